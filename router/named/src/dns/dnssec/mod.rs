//! Signed answers (RFC 4033 to 4035), signed when they are asked for.
//!
//! Each zone has one key that signs everything in it (a CSK): with signatures made on the fly the key has to be on the
//! node anyway, so a second one that only signs the first would protect nothing. The algorithm is ECDSA P-256 (13),
//! which every validator knows (RFC 8624); Ed25519 is faster here, but not everywhere understood.
//!
//! What does not exist is denied by the compact proof of RFC 9824: an NSEC record at the name asked, made for the
//! question. It says nothing of other names, so nobody can walk the zone by it, and nothing has to be kept in order.
//!
//! * [`canonical`]: the bytes that a signature covers. Pure.
//! * [`denial`]: what an NSEC record says. Pure.
//! * [`key`]: keys, and what a parent or a validator is told of them.
//! * [`signer`]: signatures, each made once for its time.

mod canonical;
mod denial;
mod key;
mod signer;

pub use denial::{NXNAME, nsec};
pub use key::{Anchor, KeyError, SigningKey, ZoneKey};
pub use signer::{Seal, Signer, Window};

use hickory_proto::rr::rdata::NULL;
use hickory_proto::rr::{RData, RecordType};

/// Data of a type that only DNSSEC has, as it is on the wire.
fn opaque(code: RecordType, bytes: Vec<u8>) -> RData {
    let rdata = NULL::with(bytes);
    RData::Unknown { code, rdata }
}
