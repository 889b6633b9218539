//! The blocks of a node: those that are here, and those that others have.

use std::sync::Arc;

use bytes::Bytes;
use chain::Chain;
use cid::Cid;
use storage::ddp::{Delivery, Remote};
use storage::{BlockSource, Blocks, SharedBlocks, Store};

use super::OtherChains;

/// The blocks of the store and the objects of the ledger; through [`BlockSource::below`] those of other nodes too.
#[derive(Clone)]
pub struct NodeBlocks {
    /// Content.
    pub store: Store,
    /// Transactions, headers, bodies, the genesis.
    pub chain: Chain,
    /// Content elsewhere.
    pub delivery: Delivery,
    /// Content of names of other chains.
    pub others: Arc<OtherChains>,
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
            root: *root,
            remote: self.delivery.below(root),
        })
    }

    fn named(&self, root: &Cid, name: &str) {
        self.others.named(root, name);
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
    root: Cid,
    remote: Remote,
}

impl Blocks for Below {
    fn block(&self, cid: &Cid) -> Result<Option<Bytes>, storage::Error> {
        if cid.codec() == storage::codec::DAG_CBOR
            && let Some(bytes) = self.here.block(cid)?
        {
            return Ok(Some(bytes));
        }
        match self.of_another_chain(cid)? {
            Some(bytes) => Ok(Some(bytes)),
            None => self.remote.block(cid),
        }
    }

    fn soon(&self, cids: &mut dyn Iterator<Item = &Cid>) {
        self.remote.soon(cids);
    }

    fn path(&self, root: &Cid, segments: &[&str]) {
        Blocks::path(&self.remote, root, segments);
    }
}

impl Below {
    /// What a name of another chain led to is with that chain's nodes first.
    fn of_another_chain(&self, cid: &Cid) -> Result<Option<Bytes>, storage::Error> {
        let store = &self.here.store;
        if !self.here.others.has_led_to(&self.root) || store.has(cid)? {
            return Ok(None);
        }
        let block = self.here.others.block(&self.root, cid);
        if let Some(bytes) = &block {
            store.put(cid, bytes)?;
        }
        Ok(block)
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
