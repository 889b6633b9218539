//! Where crates that do not know each other meet: names and blocks for those who serve them.

use bytes::Bytes;
use chain::Chain;
use cid::Cid;
use ledger::{Label, NameEntry};
use named::dap::{Names, NamesError};
use storage::{Blocks, Store};

/// The names of the chain at its tip.
pub struct ChainNames(pub Chain);

impl Names for ChainNames {
    fn tld(&self) -> &str {
        &self.0.genesis().tld
    }

    fn height(&self) -> u64 {
        self.0.tip().height
    }

    fn entry(&self, label: &Label) -> Result<Option<NameEntry>, NamesError> {
        self.0
            .state()
            .name(label)
            .map_err(|error| NamesError::new(error.to_string()))
    }
}

/// The blocks of the store and the objects of the ledger.
#[derive(Clone)]
pub struct NodeBlocks {
    /// Content.
    pub store: Store,
    /// Transactions, headers, bodies, the genesis.
    pub chain: Chain,
}

impl Blocks for NodeBlocks {
    fn block(&self, cid: &Cid) -> Result<Option<Bytes>, storage::Error> {
        if let Some(bytes) = self.store.block(cid)? {
            return Ok(Some(bytes));
        }
        if cid.codec() != storage::codec::DAG_CBOR {
            return Ok(None);
        }
        let object = self.chain.object(cid).map_err(|error| storage::Error::Stream {
            operation: "read",
            source: std::io::Error::other(error.to_string()),
        })?;
        Ok(object.map(Bytes::from))
    }
}
