//! What a node keeps, and how it gets in and out: content-addressed blocks, UnixFS, pins.
//!
//! * [`Store`] owns one folder of blocks (RocksDB): it imports, pins, collects garbage and verifies.
//! * [`Blocks`] is all that reading needs: [`resolve`], [`list`], [`FileReader`], [`export`] and [`contains`] work on
//!   anything that can answer for a CID. A block that is not here is [`Error::Missing`]: fetch it, then call again.
//! * [`pack_tar`] and [`hash_path`] need no store: the first is what a client streams to a node, the second tells the
//!   CID that a node would answer.
//! * [`car`] moves DAGs between stores; [`Archive`] gives a tree to those who have no store.
//!
//! Everything here is synchronous and blocks on disk; asynchronous callers use a blocking thread. Every block that
//! comes in is checked against its CID, everything that is decoded is treated as hostile: depths, counts and sizes
//! are bounded, and nothing panics.

mod block;
pub mod car;
mod dag;
pub mod ddp;
mod error;
mod import;
mod read;
mod store;
mod tar;

pub use block::{BLOCK_BYTES_MAX, BlockSource, Blocks, SharedBlocks, codec, verify};
pub use dag::decode;
pub use dag::profile::{ParseProfileError, Profile};
pub use error::{Attempt, Error};
pub use import::pack::{Packed, pack_tar};
pub use import::{Import, Imported, Progress, Selection, hash_path};
pub use ipld_core::ipld::Ipld;
pub use read::archive::Archive;
pub use read::contains::contains;
pub use read::export::export;
pub use read::file::FileReader;
pub use read::leaves::{Leaf, Leaves};
pub use read::list::{Entry, Listing, list, list_after};
pub use read::resolve::{Kind, Node, resolve};
pub use read::walk::Walk;
pub use store::pins::Pin;
pub use store::verify::{Bad, Report};
pub use store::{Checked, Freed, Metrics, Stat, Store};
