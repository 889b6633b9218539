//! Blocks: a header that is voted on, and the body that it names.

use cid::Cid;
use serde::{Deserialize, Serialize};

use crate::certificate::Certificate;
use crate::codec::{Link, cid_of, encode};
use crate::error::Error;
use crate::genesis::Genesis;
use crate::hash::Hash;
use crate::keys::Address;
use crate::tx::{MAX_TX_BYTES, Tx};
use crate::validators::ValidatorSet;

/// What delegates vote on, by its [`Header::id`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The chain's id.
    pub chain: String,
    /// The CID of the chain's genesis, so that a header proves which rules it was made under.
    pub genesis: Link,
    /// 1 for the first block.
    pub height: u64,
    /// Milliseconds since 1970, as its proposer says; later than the parent's.
    pub time_ms: u64,
    /// The header before this one; the genesis for height 1.
    pub parent: Link,
    /// The block's body.
    pub body: Link,
    /// The root of the state after this block.
    pub state_root: Hash,
    /// The account of the delegate that proposed it, which gets the fees.
    pub proposer: Address,
    /// The next reveal of the proposer ([`crate::reveal_tip`] of it is its tip); absent if it has no tip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reveal: Option<Hash>,
    /// [`ValidatorSet::hash`] of those who vote on this height.
    pub validators: Hash,
    /// The same for the next height.
    pub next_validators: Hash,
}

impl Header {
    /// What delegates vote on: the sha2-256 of the encoding, the same digest that is in [`Header::cid`].
    pub fn id(&self) -> Hash {
        Hash::of(&encode(self))
    }

    /// The CID of the encoding.
    pub fn cid(&self) -> Cid {
        self.id().cid()
    }
}

/// The transactions of a block, in the order of their execution.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Body {
    /// Transactions; all of them are executed, a block with one that is refused is invalid.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub txs: Vec<Tx>,
    /// The certificate of the parent, as the proposer saw it; absent at height 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_certificate: Option<Certificate>,
}

impl Body {
    /// The CID of the encoding.
    pub fn cid(&self) -> Cid {
        cid_of(&encode(self))
    }
}

/// A header and its body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// What is voted on.
    pub header: Header,
    /// What is executed.
    pub body: Body,
}

impl Block {
    /// Everything that can be said about a block without executing it.
    ///
    /// `parent` is the header before it (`None` for height 1), `set` votes on this height, `parent_set` voted on the
    /// parent. What remains is execution: `state_root` and `next_validators`; and the wall clock, which only a node has.
    pub fn check(
        &self,
        genesis: &Genesis,
        parent: Option<&Header>,
        set: &ValidatorSet,
        parent_set: &ValidatorSet,
    ) -> Result<(), Error> {
        self.check_header(genesis, parent, set)?;
        self.check_body(genesis)?;
        self.check_last_certificate(parent, parent_set)
    }

    fn check_header(
        &self,
        genesis: &Genesis,
        parent: Option<&Header>,
        set: &ValidatorSet,
    ) -> Result<(), Error> {
        let header = &self.header;
        let genesis_cid = genesis.cid();
        let (height, time_ms, cid) = parent.map_or((0, genesis.time_ms, genesis_cid), |parent| {
            (parent.height, parent.time_ms, parent.cid())
        });
        if header.chain != genesis.chain_id {
            return self.bad(format!(
                "it is of chain '{}', this is '{}'",
                header.chain, genesis.chain_id
            ));
        }
        if header.genesis.0 != genesis_cid {
            return self.bad(format!(
                "its genesis is {}, this chain's is {genesis_cid}",
                header.genesis
            ));
        }
        if height.checked_add(1) != Some(header.height) {
            return self.bad(format!("its parent has height {height}"));
        }
        if header.time_ms <= time_ms {
            return self.bad(format!(
                "its time {} is not after its parent's {time_ms}",
                header.time_ms
            ));
        }
        if header.parent.0 != cid {
            return self.bad(format!("its parent is {}, expected {cid}", header.parent));
        }
        if header.validators != set.hash() {
            return self.bad(format!(
                "it names validators {}, expected {}",
                header.validators,
                set.hash()
            ));
        }
        if set.find(&header.proposer).is_none() {
            let proposer = header.proposer.display(&genesis.prefix);
            return self.bad(format!("its proposer {proposer} has no seat"));
        }
        Ok(())
    }

    fn check_body(&self, genesis: &Genesis) -> Result<(), Error> {
        let bytes = encode(&self.body);
        if bytes.len() as u64 > genesis.max_block_bytes {
            return self.bad(format!(
                "its body has {} bytes, at most {}",
                bytes.len(),
                genesis.max_block_bytes
            ));
        }
        let cid = cid_of(&bytes);
        if self.header.body.0 != cid {
            return self.bad(format!("its body is {cid}, the header says {}", self.header.body));
        }
        if let Some(tx) = self.body.txs.iter().find(|tx| tx.encode().len() > MAX_TX_BYTES) {
            return self.bad(format!(
                "transaction {} is larger than {MAX_TX_BYTES} bytes",
                tx.cid()
            ));
        }
        Ok(())
    }

    fn check_last_certificate(
        &self,
        parent: Option<&Header>,
        parent_set: &ValidatorSet,
    ) -> Result<(), Error> {
        match (parent, &self.body.last_certificate) {
            (None, None) => Ok(()),
            (None, Some(_)) => self.bad("the first block carries a certificate".into()),
            (Some(_), None) => self.bad("it carries no certificate of its parent".into()),
            (Some(parent), Some(last)) if last.height != parent.height || last.header != parent.id() => {
                self.bad("the certificate that it carries is not of its parent".into())
            }
            (Some(parent), Some(last)) => last.verify(&parent.chain, parent_set),
        }
    }

    fn bad(&self, reason: String) -> Result<(), Error> {
        Err(Error::Block {
            height: self.header.height,
            reason,
        })
    }
}
