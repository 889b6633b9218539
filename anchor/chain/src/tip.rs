//! The newest block, in the few facts that everybody asks for.

use cid::Cid;
use ledger::{Genesis, Hash, Header};

/// The newest committed block. Before the first block: the genesis, at height 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tip {
    /// Height of the block; 0 is the genesis.
    pub height: u64,
    /// Time of the block in milliseconds since 1970.
    pub time_ms: u64,
    /// Hash of the header: what the delegates signed.
    pub header: Hash,
    /// CID of the header, or of the genesis at height 0.
    pub cid: Cid,
    /// Root of the state after the block.
    pub state_root: Hash,
}

impl Tip {
    pub(crate) fn of(header: &Header) -> Tip {
        Tip {
            height: header.height,
            time_ms: header.time_ms,
            header: header.id(),
            cid: header.cid(),
            state_root: header.state_root,
        }
    }

    pub(crate) fn genesis(genesis: &Genesis, state_root: Hash) -> Tip {
        let cid = genesis.cid();
        Tip {
            height: 0,
            time_ms: genesis.time_ms,
            header: digest(&cid),
            cid,
            state_root,
        }
    }
}

/// The digest of a CID that the ledger made: always 32 bytes of sha2-256.
pub(crate) fn digest(cid: &Cid) -> Hash {
    Hash(
        cid.hash()
            .digest()
            .try_into()
            .expect("the ledger's CIDs are sha2-256"),
    )
}
