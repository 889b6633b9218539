//! Transactions: what an account may ask of the ledger, and the signature under it.

use std::fmt;

use cid::Cid;
use serde::{Deserialize, Serialize};

use crate::amount::Amount;
use crate::codec::{DecodeError, Link, cid_of, decode_within, encode};
use crate::hash::Hash;
use crate::keys::{Address, PublicKey, SecretKey, Signature, signed_bytes};
use crate::name::Label;
use crate::records::Records;
use crate::state::AssetMeta;

/// The largest encoded transaction in bytes: the fullest records fit, and 128 of them fill a block.
pub const MAX_TX_BYTES: usize = 16 * 1024;
/// The domain tag of a transaction's signature.
pub(crate) const TX_DOMAIN: &str = "ddn/tx/1";
const COMMIT_DOMAIN: &str = "ddn/commit/1";

/// What a transaction does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Moves coins to another account.
    Transfer {
        /// The account that gets them.
        to: Address,
        /// How many; above zero.
        amount: Amount,
    },
    /// Draws the faucet's amount, on a chain that has a faucet, for an account that holds less than that amount.
    Faucet {},
    /// Announces a claim without saying what it is about. The claim itself (a *reveal*) follows some blocks later.
    Commit {
        /// [`Action::commitment`] of the reveal.
        hash: Hash,
    },
    /// Reveal: takes a free name for one period.
    NameRegister {
        /// The name's label.
        label: Label,
        /// The secret that went into the commit.
        secret: Hash,
        /// What the name says from the start.
        records: Records,
    },
    /// Reveal: anchors the ownership of content.
    AssetAnchor {
        /// The content's root.
        cid: Link,
        /// The secret that went into the commit.
        secret: Hash,
        /// What the owner says about it.
        meta: AssetMeta,
    },
    /// Replaces the records of a name, or of a name under it.
    NameSet {
        /// The name's label.
        label: Label,
        /// Empty for the name itself, `docs` for `docs.LABEL.TLD`.
        under: String,
        /// The new records; empty ones remove what was there.
        records: Records,
    },
    /// Pays rent for more periods.
    NameRenew {
        /// The name's label.
        label: Label,
        /// How many periods, at least 1.
        periods: u32,
    },
    /// Gives a name to another account, records and all.
    NameTransfer {
        /// The name's label.
        label: Label,
        /// The new owner.
        to: Address,
    },
    /// Gives a name up. The rent that was paid is not returned.
    NameRelease {
        /// The name's label.
        label: Label,
    },
    /// Gives an asset to another account.
    AssetTransfer {
        /// The content's root.
        cid: Link,
        /// The new owner.
        to: Address,
    },
    /// Marks an asset as withdrawn by its owner, for ever.
    AssetTombstone {
        /// The content's root.
        cid: Link,
    },
}

/// The kind of an [`Action`]; a genesis lists those that its chain allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// [`Action::Transfer`]
    Transfer,
    /// [`Action::Faucet`]
    Faucet,
    /// [`Action::Commit`]
    Commit,
    /// [`Action::NameRegister`]
    NameRegister,
    /// [`Action::NameSet`]
    NameSet,
    /// [`Action::NameRenew`]
    NameRenew,
    /// [`Action::NameTransfer`]
    NameTransfer,
    /// [`Action::NameRelease`]
    NameRelease,
    /// [`Action::AssetAnchor`]
    AssetAnchor,
    /// [`Action::AssetTransfer`]
    AssetTransfer,
    /// [`Action::AssetTombstone`]
    AssetTombstone,
}

impl Kind {
    /// Every kind, in order.
    pub const ALL: [Self; 11] = [
        Self::Transfer,
        Self::Faucet,
        Self::Commit,
        Self::NameRegister,
        Self::NameSet,
        Self::NameRenew,
        Self::NameTransfer,
        Self::NameRelease,
        Self::AssetAnchor,
        Self::AssetTransfer,
        Self::AssetTombstone,
    ];

    /// As it is written in a genesis file and in errors.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Transfer => "transfer",
            Self::Faucet => "faucet",
            Self::Commit => "commit",
            Self::NameRegister => "name_register",
            Self::NameSet => "name_set",
            Self::NameRenew => "name_renew",
            Self::NameTransfer => "name_transfer",
            Self::NameRelease => "name_release",
            Self::AssetAnchor => "asset_anchor",
            Self::AssetTransfer => "asset_transfer",
            Self::AssetTombstone => "asset_tombstone",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a commit binds itself to. The records and the description may still change until the reveal: the sender's
/// signature covers those.
#[derive(Serialize)]
struct Claim<'a> {
    kind: Kind,
    sender: &'a Address,
    secret: &'a Hash,
    #[serde(with = "serde_bytes")]
    subject: &'a [u8],
}

impl Action {
    /// Which kind of action it is.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Transfer { .. } => Kind::Transfer,
            Self::Faucet {} => Kind::Faucet,
            Self::Commit { .. } => Kind::Commit,
            Self::NameRegister { .. } => Kind::NameRegister,
            Self::NameSet { .. } => Kind::NameSet,
            Self::NameRenew { .. } => Kind::NameRenew,
            Self::NameTransfer { .. } => Kind::NameTransfer,
            Self::NameRelease { .. } => Kind::NameRelease,
            Self::AssetAnchor { .. } => Kind::AssetAnchor,
            Self::AssetTransfer { .. } => Kind::AssetTransfer,
            Self::AssetTombstone { .. } => Kind::AssetTombstone,
        }
    }

    /// The hash that the commit of this reveal must carry; `None` for what is not a reveal.
    ///
    /// It binds the sender and the chain, so a copy of it is worth nothing to anybody else.
    pub fn commitment(&self, chain_id: &str, sender: &Address) -> Option<Hash> {
        let v1;
        let (secret, subject) = match self {
            Self::NameRegister { label, secret, .. } => (secret, label.as_str().as_bytes()),
            Self::AssetAnchor { cid, secret, .. } => {
                v1 = v1_bytes(&cid.0);
                (secret, v1.as_slice())
            }
            _ => return None,
        };
        let claim = encode(&Claim {
            kind: self.kind(),
            sender,
            secret,
            subject,
        });
        Some(Hash::of(&signed_bytes(COMMIT_DOMAIN, chain_id, &claim)))
    }
}

/// The bytes of a CID as version 1: both versions name the same content.
pub(crate) fn v1_bytes(cid: &Cid) -> Vec<u8> {
    Cid::new_v1(cid.codec(), *cid.hash()).to_bytes()
}

/// What is signed: the action, for one chain, in the sender's order, with a fee.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TxBody {
    /// The chain's id.
    pub chain: String,
    /// How many transactions of the sender come before this one.
    pub nonce: u64,
    /// What the block's proposer gets; at least the genesis' fee.
    pub fee: Amount,
    /// What is asked.
    pub action: Action,
}

/// A signed transaction. The sender is the address of the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tx {
    /// What is signed.
    pub body: TxBody,
    /// The sender's key.
    pub key: PublicKey,
    /// The signature over the encoding of `body`.
    pub sig: Signature,
}

impl Tx {
    /// Signs `body`.
    pub fn sign(body: TxBody, key: &SecretKey) -> Self {
        let sig = key.sign(TX_DOMAIN, &body.chain, &encode(&body));
        Self {
            key: key.public(),
            sig,
            body,
        }
    }

    /// Whether the signature is the key's over this body.
    pub fn verify_signature(&self) -> bool {
        self.key
            .verify(TX_DOMAIN, &self.body.chain, &encode(&self.body), &self.sig)
    }

    /// The account that sent it.
    pub fn sender(&self) -> Address {
        self.key.address()
    }

    /// The CID of its encoding.
    pub fn cid(&self) -> Cid {
        cid_of(&self.encode())
    }

    /// Its DAG-CBOR encoding.
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// Decodes a transaction of at most [`MAX_TX_BYTES`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode_within(bytes, MAX_TX_BYTES)
    }
}
