//! The sync protocol as a stranger would write it, to lie in it.

use ledger::{
    Block, Body, Certificate, Genesis, Hash, Header, Link, SecretKey, Tx, VoteKind, decode, encode,
    vote_bytes,
};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    Status {},
    Blocks { from: u64, max: u32 },
    Submit { tx: Box<Tx> },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Status {
        chain: String,
        genesis: Link,
        height: u64,
        header: Hash,
    },
    Blocks {
        blocks: Vec<Sealed>,
    },
    Taken {},
    Refused {
        reason: String,
    },
    Failed {
        reason: String,
    },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sealed {
    pub header: ByteBuf,
    pub body: ByteBuf,
    pub certificate: ByteBuf,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Announcement {
    pub header: Header,
    pub certificate: Certificate,
}

impl Sealed {
    pub fn new(block: &Block, certificate: &Certificate) -> Sealed {
        Sealed {
            header: encode(&block.header).into(),
            body: encode(&block.body).into(),
            certificate: encode(certificate).into(),
        }
    }

    pub fn header(&self) -> Header {
        decode(&self.header).unwrap()
    }

    pub fn body(&self) -> Body {
        decode(&self.body).unwrap()
    }

    pub fn certificate(&self) -> Certificate {
        decode(&self.certificate).unwrap()
    }

    /// The same block with another header, certified by `key`.
    pub fn recertified(&self, genesis: &Genesis, key: &SecretKey, header: &Header) -> Sealed {
        Sealed {
            header: encode(header).into(),
            body: self.body.clone(),
            certificate: encode(&certify(genesis, key, header)).into(),
        }
    }
}

/// The certificate of a chain of one seat, if `key` has it.
pub fn certify(genesis: &Genesis, key: &SecretKey, header: &Header) -> Certificate {
    let (height, id) = (header.height, header.id());
    let vote = vote_bytes(VoteKind::Precommit, &genesis.chain_id, height, 0, Some(id));
    Certificate {
        height,
        round: 0,
        header: id,
        signers: vec![1],
        signatures: vec![key.sign_bytes(&vote)],
    }
}
