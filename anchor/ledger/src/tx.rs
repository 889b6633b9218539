//! Transactions: what an account may ask of the ledger, and the signature under it.

mod kind;

use cid::Cid;
use serde::{Deserialize, Serialize};

use crate::amount::Amount;
use crate::codec::{DecodeError, Link, cid_of, decode_within, encode};
use crate::hash::Hash;
use crate::keys::{Address, PublicKey, SecretKey, Signature, signed_bytes, verify_batch};
use crate::light::{Checkpoint, LightBlock};
use crate::name::Label;
use crate::payment::{FraudProof, Split, Voucher};
use crate::records::Records;
use crate::signed::Signed;
use crate::state::AssetMeta;
use crate::transition::Equivocation;

pub use kind::Kind;

/// The largest encoded transaction in bytes: the fullest records fit, and 128 of them fill a block.
pub const MAX_TX_BYTES: usize = 16 * 1024;
/// The domain tag of a transaction's signature.
pub(crate) const TX_DOMAIN: &str = "ddn/tx/1";
const COMMIT_DOMAIN: &str = "ddn/commit/1";
const EDGE_DOMAIN: &str = "ddn/edge/1";
/// The most vouchers in one claim: each costs every node the check of a signature.
pub const MAX_CLAIM_VOUCHERS: usize = 32;

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
        /// Who else gets a part of what deliveries of it earn, for ever.
        #[serde(default, skip_serializing_if = "Split::is_empty")]
        split: Split,
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
    /// Replaces what the owner says about an own asset. What says how it was made (`profile`, `bytes`, `files`) must be as it
    /// was.
    AssetSet {
        /// The content's root.
        cid: Link,
        /// All that the owner says now.
        meta: AssetMeta,
    },
    /// Gives an asset to another account.
    AssetTransfer {
        /// The content's root.
        cid: Link,
        /// The new owner.
        to: Address,
    },
    /// Buys a licence of somebody else's asset, from whoever owns it then.
    AssetLicense {
        /// The content's root.
        cid: Link,
        /// Exactly what a licence costs, so that nobody pays more than was meant.
        price: Amount,
    },
    /// Marks an asset as withdrawn by its owner, for ever.
    AssetTombstone {
        /// The content's root.
        cid: Link,
    },
    /// Puts coins aside to pay with vouchers. The escrow's id is [`crate::escrow_id`].
    EscrowOpen {
        /// Whose vouchers it honours.
        voucher_key: PublicKey,
        /// How many coins; above zero.
        amount: Amount,
    },
    /// Adds to an escrow, anybody's.
    EscrowTopUp {
        /// The escrow.
        escrow: Hash,
        /// How many coins; above zero.
        amount: Amount,
    },
    /// Sets coins of an own escrow aside for one payee, so that its claims never depend on others'. Replaces what was set
    /// aside for it before; less, or for a shorter time, only once that has expired.
    EscrowAllot {
        /// The escrow.
        escrow: Hash,
        /// The payee.
        payee: Address,
        /// How many coins it can claim from now on; 0 to set nothing aside any more.
        amount: Amount,
        /// The first height at which they are set aside no more: later than this block, at most a year's blocks later.
        expires: u64,
        /// The payee counts by itself what it earns of them, and claims that without vouchers ([`Metered`]). What is set
        /// aside so is apart from what is set aside for vouchers.
        #[serde(default, skip_serializing_if = "is_false")]
        metered: bool,
    },
    /// Announces that an own escrow is to be closed, so that payees claim in time.
    EscrowExit {
        /// The escrow.
        escrow: Hash,
    },
    /// Closes an own escrow, once the time after its exit and of all that is set aside is over. The rest comes back.
    EscrowClose {
        /// The escrow.
        escrow: Hash,
    },
    /// Turns vouchers into coins. The sender is their payee. The fee is taken after the coins have come in.
    Claim {
        /// The highest voucher of each escrow; at most [`MAX_CLAIM_VOUCHERS`]. May be empty if there is something else.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        vouchers: Vec<Signed<Voucher>>,
        /// What was delivered since the last claim.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        receipts: Option<Receipts>,
        /// What it has counted of metered allotments; together with the vouchers at most [`MAX_CLAIM_VOUCHERS`].
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        metered: Vec<Metered>,
    },
    /// Registers a node that offers delivery.
    EdgeRegister {
        /// The node's key.
        node: PublicKey,
        /// The account that vouchers are made out to.
        payout: Address,
        /// What it means to ask for each MiB.
        price: Amount,
        /// How many requests it serves at once, at least 1.
        capacity: u32,
        /// Bytes that it serves in a month; 0 if there is no cap.
        traffic_max: u64,
        /// The node's consent to this owner: [`edge_consent`].
        consent: Signature,
        /// What the owner puts up for the node's honesty. What it still has locked for this node counts too; together at
        /// least [`crate::Delivery::bond_min`].
        #[serde(default, skip_serializing_if = "Amount::is_zero")]
        bond: Amount,
    },
    /// Changes what an own edge offers.
    EdgeSet {
        /// The node's key.
        node: PublicKey,
        /// The account that vouchers are made out to.
        payout: Address,
        /// What it means to ask for each MiB.
        price: Amount,
        /// How many requests it serves at once, at least 1.
        capacity: u32,
        /// Bytes that it serves in a month; 0 if there is no cap.
        traffic_max: u64,
        /// How many coins are added to its bond.
        #[serde(default, skip_serializing_if = "Amount::is_zero")]
        bond: Amount,
    },
    /// Takes an own edge out of the list. Its bond comes back after [`crate::Election::unbonding`] blocks, unless it is convicted
    /// until then.
    EdgeLeave {
        /// The node's key.
        node: PublicKey,
    },
    /// Makes the sender a candidate: its key is the delegate key. It costs [`crate::Election::registration`].
    DelegateRegister {
        /// Where its consensus engine is reached: a multiaddr that ends in `/p2p/…`.
        engine: String,
        /// What its first reveal hashes to: [`crate::reveal_tip`].
        tip: Hash,
        /// How many coins it locks for itself; with what it has locked before at least [`crate::Election::own_min`].
        stake: Amount,
    },
    /// Changes what the sender says as a delegate. At least one of both.
    DelegateUpdate {
        /// Where its consensus engine is reached.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        engine: Option<String>,
        /// What its first reveal in the next round hashes to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tip: Option<Hash>,
    },
    /// Gives up being a candidate.
    DelegateResign {},
    /// Makes the sender a candidate again after jail.
    DelegateReturn {},
    /// Locks coins for a delegate, as votes.
    Vote {
        /// The delegate.
        delegate: Address,
        /// How many coins more; above zero.
        amount: Amount,
    },
    /// Takes votes back. They are free after [`crate::Election::unbonding`] blocks.
    Unvote {
        /// The delegate.
        delegate: Address,
        /// How many coins; above zero.
        amount: Amount,
    },
    /// Collects what the sender's votes for a delegate have earned. The fee is taken after that has come in.
    VoteCollect {
        /// The delegate.
        delegate: Address,
    },
    /// Shows that a delegate has signed two things.
    Evidence {
        /// What it has signed.
        found: Box<Equivocation>,
    },
    /// Makes the ledger follow another chain. It costs [`crate::Rent::of`] its TLD, for as many periods as a name can be paid
    /// for ahead. Whoever comes first has the TLD: see [`crate::ChainEntry`].
    ChainRegister {
        /// What the other chain's names end with.
        tld: Label,
        /// What its addresses start with.
        prefix: String,
        /// Where the ledger begins to follow: its genesis ([`Checkpoint::of_genesis`]), or a later height.
        checkpoint: Box<Checkpoint>,
    },
    /// Brings a newer header of another chain. [`MAX_TX_BYTES`] holds a header of 101 seats that all change at once, or one of
    /// 303 seats (whose certificate takes most of it) of which 30 change: anchor at least so often.
    ChainAnchor {
        /// The header, its certificate, and who votes after it ([`LightBlock::new`]).
        block: Box<LightBlock>,
    },
    /// Shows that a node that delivers has lied. It loses its bond, a part of which ([`crate::Delivery::bounty`]) is the
    /// sender's, is no edge any more, and never registers again. A node that never was one is kept from it too.
    Fraud {
        /// What it has signed.
        proof: Box<FraudProof>,
    },
}

/// A tree of receipts that goes with a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipts {
    /// [`crate::receipts_root`] of their ids.
    pub root: Hash,
    /// How many they are, at least 1.
    pub count: u64,
}

/// What a payee has counted by itself for the payer of an escrow, who trusts in that as far as a metered allotment goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metered {
    /// The escrow.
    pub escrow: Hash,
    /// All that was counted since the escrow was opened. The ledger pays what this adds to what it has paid, and at most
    /// what is set aside.
    pub cumulative: Amount,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// A node's consent to being registered by an account.
pub fn edge_consent(chain_id: &str, node: &SecretKey, owner: &Address) -> Signature {
    node.sign(EDGE_DOMAIN, chain_id, owner.as_bytes())
}

/// Whether a node has consented to being registered by an account.
pub(crate) fn edge_consents(chain_id: &str, node: &PublicKey, owner: &Address, consent: &Signature) -> bool {
    node.verify(EDGE_DOMAIN, chain_id, owner.as_bytes(), consent)
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
            Self::AssetSet { .. } => Kind::AssetSet,
            Self::AssetTransfer { .. } => Kind::AssetTransfer,
            Self::AssetLicense { .. } => Kind::AssetLicense,
            Self::AssetTombstone { .. } => Kind::AssetTombstone,
            Self::EscrowOpen { .. } => Kind::EscrowOpen,
            Self::EscrowTopUp { .. } => Kind::EscrowTopUp,
            Self::EscrowAllot { .. } => Kind::EscrowAllot,
            Self::EscrowExit { .. } => Kind::EscrowExit,
            Self::EscrowClose { .. } => Kind::EscrowClose,
            Self::Claim { .. } => Kind::Claim,
            Self::EdgeRegister { .. } => Kind::EdgeRegister,
            Self::EdgeSet { .. } => Kind::EdgeSet,
            Self::EdgeLeave { .. } => Kind::EdgeLeave,
            Self::DelegateRegister { .. } => Kind::DelegateRegister,
            Self::DelegateUpdate { .. } => Kind::DelegateUpdate,
            Self::DelegateResign {} => Kind::DelegateResign,
            Self::DelegateReturn {} => Kind::DelegateReturn,
            Self::Vote { .. } => Kind::Vote,
            Self::Unvote { .. } => Kind::Unvote,
            Self::VoteCollect { .. } => Kind::VoteCollect,
            Self::Evidence { .. } => Kind::Evidence,
            Self::ChainRegister { .. } => Kind::ChainRegister,
            Self::ChainAnchor { .. } => Kind::ChainAnchor,
            Self::Fraud { .. } => Kind::Fraud,
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
        self.key.verify_bytes(&self.signed_bytes(), &self.sig)
    }

    fn signed_bytes(&self) -> Vec<u8> {
        signed_bytes(TX_DOMAIN, &self.body.chain, &encode(&self.body))
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

/// The place of the first transaction whose signature does not hold, if there is one.
pub fn first_forged(txs: &[&Tx]) -> Option<usize> {
    let signed: Vec<_> = txs.iter().map(|tx| tx.signed_bytes()).collect();
    let all = txs.iter().zip(&signed);
    if verify_batch(all.map(|(tx, bytes)| (tx.key, bytes.as_slice(), tx.sig))) {
        return None;
    }
    txs.iter().position(|tx| !tx.verify_signature())
}
