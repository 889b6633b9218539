//! The blocks of a node: those that are here, and those that others have.

use std::sync::Arc;

use bytes::Bytes;
use chain::Chain;
use cid::Cid;
use storage::ddp::{Delivery, Remote};
use storage::{BlockSource, Blocks, SharedBlocks, Store};

/// The blocks of the store and the objects of the ledger; through [`BlockSource::below`] those of other nodes too.
#[derive(Clone)]
pub struct NodeBlocks {
    /// Content.
    pub store: Store,
    /// Transactions, headers, bodies, the genesis.
    pub chain: Chain,
    /// Content elsewhere.
    pub delivery: Delivery,
}

impl Blocks for NodeBlocks {
    fn block(&self, cid: &Cid) -> Result<Option<Bytes>, storage::Error> {
        match self.store.block(cid)? {
            Some(bytes) => Ok(Some(bytes)),
            None => ledger_object(&self.chain, cid),
        }
    }
}

impl BlockSource for NodeBlocks {
    fn below(&self, root: &Cid) -> SharedBlocks {
        Arc::new(Below {
            here: self.clone(),
            remote: self.delivery.below(root),
        })
    }

    fn named(&self, root: &Cid, name: &str) {
        self.delivery.named(root, name);
    }

    fn here(&self) -> SharedBlocks {
        Arc::new(self.clone())
    }

    fn removed(&self) -> u64 {
        self.store.removed()
    }
}

/// What is below one root, fetched where it is not here.
struct Below {
    here: NodeBlocks,
    remote: Remote,
}

impl Blocks for Below {
    fn block(&self, cid: &Cid) -> Result<Option<Bytes>, storage::Error> {
        if cid.codec() == storage::codec::DAG_CBOR
            && let Some(bytes) = self.here.block(cid)?
        {
            return Ok(Some(bytes));
        }
        self.remote.block(cid)
    }

    fn soon(&self, cids: &mut dyn Iterator<Item = &Cid>) {
        self.remote.soon(cids);
    }

    fn path(&self, root: &Cid, segments: &[&str]) {
        Blocks::path(&self.remote, root, segments);
    }
}

/// A transaction, a header, a body, the genesis; `None` if the CID names none of this chain.
fn ledger_object(chain: &Chain, cid: &Cid) -> Result<Option<Bytes>, storage::Error> {
    if cid.codec() != storage::codec::DAG_CBOR {
        return Ok(None);
    }
    let object = chain.object(cid).map_err(|error| storage::Error::Stream {
        operation: "read",
        source: std::io::Error::other(error.to_string()),
    })?;
    Ok(object.map(Bytes::from))
}
