//! What is not served: denylists in the compact format of IPFS (IPIP-383), read from files and read anew when they change.
//!
//! A rule names content by its multihash, a path below it, a name, a path below a name, or the hash of one of these, which
//! tells nobody what it is about. Of the rules that fit, the last one counts. Blocks are looked at one by one as they are
//! read, so what is denied is also not in a larger file, a folder or a CAR stream, whatever it is reached through.

mod blocks;
mod files;
mod list;
mod parse;

pub(crate) use blocks::{Allowed, denial, only};
pub use files::DenyError;
pub(crate) use files::Denylists;
pub(crate) use list::{Denied, Rules};
