//! What the state holds, and under which keys.
//!
//! The state is a flat map of bytes. Values are DAG-CBOR; keys are a short text prefix and raw bytes, see [`key`].

mod asset;
mod chains;
mod delegates;
mod payment;

use std::collections::BTreeMap;

use cid::Cid;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::amount::Amount;
use crate::codec::decode;
use crate::hash::Hash;
use crate::keys::{Address, PublicKey};
use crate::name::Label;
use crate::records::Records;
use crate::validators::ValidatorSet;

pub use asset::{Asset, AssetMeta, Licence, Ownership, Tag, Tagged};
pub use chains::{Anchored, ChainEntry};
pub use delegates::{Ballot, Delegate, Freed, Index, Leaving, Round, Standing, Turns};
pub use payment::{Bond, ClaimEntry, Conviction, EdgeEntry, Escrow, Line, escrow_id};

/// The keys of the state.
pub mod key {
    use super::*;
    use crate::tx::v1_bytes;

    /// Prefix of all accounts.
    pub const ACCOUNTS: &[u8] = b"acct/";
    /// Prefix of all names.
    pub const NAMES: &[u8] = b"name/";
    /// Prefix of all assets.
    pub const ASSETS: &[u8] = b"asset/";
    /// Prefix of the index of assets by tag.
    pub const TAGS: &[u8] = b"tag/";
    /// Prefix of all licences, by asset.
    pub const LICENCES: &[u8] = b"licence/";
    /// Prefix of all pools: amounts that belong to no account.
    pub const POOLS: &[u8] = b"pool/";
    /// Prefix of all open commits.
    pub const COMMITS: &[u8] = b"commit/";
    /// Prefix of the lists of commits by height, from which old ones are removed.
    pub const DUE: &[u8] = b"due/";
    /// Prefix of all escrows.
    pub const ESCROWS: &[u8] = b"escrow/";
    /// Prefix of what escrows have set aside for payees and paid to them.
    pub const LINES: &[u8] = b"line/";
    /// Prefix of what escrows have set aside for payees that count by themselves, by payee.
    pub const METERS: &[u8] = b"meter/";
    /// Prefix of all claims that carried receipts.
    pub const CLAIMS: &[u8] = b"claim/";
    /// Prefix of all delegates, with or without a seat.
    pub const DELEGATES: &[u8] = b"delegate/";
    /// Prefix of what accounts have locked for delegates, by voter.
    pub const BALLOTS: &[u8] = b"ballot/";
    /// Prefix of the lists of votes that are free at a height.
    pub const FREED: &[u8] = b"freed/";
    /// Prefix of all edges.
    pub const EDGES: &[u8] = b"edge/";
    /// Prefix of the bonds of edges that have left.
    pub const BONDS: &[u8] = b"bond/";
    /// Prefix of the lists of nodes whose bonds are free at a height.
    pub const UNBONDED: &[u8] = b"unbonded/";
    /// Prefix of all nodes that were convicted of a lie.
    pub const CONVICTIONS: &[u8] = b"conviction/";

    /// Prefix of all other chains that are followed.
    pub const CHAINS: &[u8] = b"chain/";
    /// Prefix of the TLDs of other chains.
    pub const TLDS: &[u8] = b"tld/";
    /// Prefix of the headers of other chains that are anchored, by chain.
    pub const ANCHORED: &[u8] = b"anchored/";

    /// [`Account`] of an address.
    pub fn account(address: &Address) -> Vec<u8> {
        [ACCOUNTS, address.as_bytes()].concat()
    }

    /// [`NameEntry`] of a label.
    pub fn name(label: &Label) -> Vec<u8> {
        [NAMES, label.as_str().as_bytes()].concat()
    }

    /// [`Asset`] of a CID; versions 0 and 1 of a CID have the same key.
    pub fn asset(cid: &Cid) -> Vec<u8> {
        [ASSETS, &v1_bytes(cid)].concat()
    }

    /// What all entries of the index under a tag begin with; the rest of each key is a CID of version 1.
    pub fn tagged(tag: &Tag) -> Vec<u8> {
        [TAGS, tag.as_str().as_bytes(), b"/"].concat()
    }

    /// [`Tagged`] of a tag and a CID.
    pub fn tag(tag: &Tag, cid: &Cid) -> Vec<u8> {
        [tagged(tag), v1_bytes(cid)].concat()
    }

    /// [`Licence`] of an account for an asset.
    pub fn licence(cid: &Cid, holder: &Address) -> Vec<u8> {
        [LICENCES, &v1_bytes(cid), holder.as_bytes()].concat()
    }

    /// [`CommitEntry`] of a sender's commit. The sender is in the key, so nobody can take up another's hash.
    pub fn commit(sender: &Address, hash: &Hash) -> Vec<u8> {
        [COMMITS, sender.as_bytes(), &hash.0].concat()
    }

    /// The commits that were made at a height: a list of keys.
    pub fn due(height: u64) -> Vec<u8> {
        [DUE, &height.to_be_bytes()].concat()
    }

    /// [`Escrow`] with an id.
    pub fn escrow(id: &Hash) -> Vec<u8> {
        [ESCROWS, &id.0].concat()
    }

    /// [`Line`] of a payee of an escrow; what a split divides is at [`crate::split_account`].
    pub fn line(escrow: &Hash, payee: &Address) -> Vec<u8> {
        [LINES, &escrow.0, payee.as_bytes()].concat()
    }

    /// [`Line`] of a payee that counts by itself. The payee comes first, so that it finds its own.
    pub fn meter(escrow: &Hash, payee: &Address) -> Vec<u8> {
        [METERS, payee.as_bytes(), &escrow.0].concat()
    }

    /// [`ClaimEntry`] of a payee's claim with a root of receipts.
    pub fn claim(payee: &Address, root: &Hash) -> Vec<u8> {
        [CLAIMS, payee.as_bytes(), &root.0].concat()
    }

    /// [`EdgeEntry`] of a node.
    pub fn edge(node: &PublicKey) -> Vec<u8> {
        [EDGES, node.as_bytes()].concat()
    }

    /// [`Bond`] of a node that has left.
    pub fn bond(node: &PublicKey) -> Vec<u8> {
        [BONDS, node.as_bytes()].concat()
    }

    /// The nodes whose bonds are free at a height: a list.
    pub fn unbonded(height: u64) -> Vec<u8> {
        [UNBONDED, &height.to_be_bytes()].concat()
    }

    /// [`Conviction`] of a node.
    pub fn conviction(node: &PublicKey) -> Vec<u8> {
        [CONVICTIONS, node.as_bytes()].concat()
    }

    /// [`Delegate`] with an account.
    pub fn delegate(address: &Address) -> Vec<u8> {
        [DELEGATES, address.as_bytes()].concat()
    }

    /// [`Ballot`] of a voter for a delegate.
    pub fn ballot(voter: &Address, delegate: &Address) -> Vec<u8> {
        [BALLOTS, voter.as_bytes(), delegate.as_bytes()].concat()
    }

    /// The [`Freed`] votes of a height: a list.
    pub fn freed(height: u64) -> Vec<u8> {
        [FREED, &height.to_be_bytes()].concat()
    }

    /// [`ChainEntry`] of another chain.
    pub fn chain(id: &str) -> Vec<u8> {
        [CHAINS, id.as_bytes()].concat()
    }

    /// The id of the other chain that has a TLD.
    pub fn tld(tld: &Label) -> Vec<u8> {
        [TLDS, tld.as_str().as_bytes()].concat()
    }

    /// [`Anchored`] header of another chain at one of its heights.
    pub fn anchored(chain: &str, height: u64) -> Vec<u8> {
        [ANCHORED, chain.as_bytes(), b"/", &height.to_be_bytes()].concat()
    }

    /// The addresses of all who can be elected, in order.
    pub fn candidates() -> Vec<u8> {
        b"candidates".to_vec()
    }

    /// [`Round`] of delegates that the next height is in.
    pub fn round() -> Vec<u8> {
        b"round".to_vec()
    }

    /// [`ValidatorSet`] that votes on the next height.
    pub fn validators() -> Vec<u8> {
        b"validators".to_vec()
    }

    /// The whole [`Amount`] that there is.
    pub fn supply() -> Vec<u8> {
        b"supply".to_vec()
    }

    /// The [`Amount`] that the faucet can still give.
    pub fn faucet_pool() -> Vec<u8> {
        [POOLS, b"faucet"].concat()
    }

    /// The [`Amount`] that the seats with the most votes share when the round is over.
    pub fn leaders_pool() -> Vec<u8> {
        [POOLS, b"leaders"].concat()
    }

    /// The [`Amount`] that all seats share when the round is over.
    pub fn seats_pool() -> Vec<u8> {
        [POOLS, b"seats"].concat()
    }

    /// The [`Amount`] that voters share when the round is over.
    pub fn voters_pool() -> Vec<u8> {
        [POOLS, b"voters"].concat()
    }

    /// The [`Amount`] that voters have earned and not collected.
    pub fn earned_pool() -> Vec<u8> {
        [POOLS, b"earned"].concat()
    }

    /// The [`Amount`] of rent that was paid.
    pub fn treasury_pool() -> Vec<u8> {
        [POOLS, b"treasury"].concat()
    }
}

/// The state could not be read, or holds what cannot be there: a fault of the node, not of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read the state: {0}")]
pub struct StateError(pub String);

/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// Read access to the state at one height.
pub trait State {
    /// The value under `key`, `None` if there is none.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError>;

    /// The account of an address; empty if it was never used.
    fn account(&self, address: &Address) -> Result<Account, StateError> {
        Ok(read(self, &key::account(address))?.unwrap_or_default())
    }

    /// The entry of a label, also an expired one.
    fn name(&self, label: &Label) -> Result<Option<NameEntry>, StateError> {
        read(self, &key::name(label))
    }

    /// The asset with a CID, also a withdrawn one.
    fn asset(&self, cid: &Cid) -> Result<Option<Asset>, StateError> {
        read(self, &key::asset(cid))
    }

    /// The licence that an account holds for an asset. It outlives the asset.
    fn licence(&self, cid: &Cid, holder: &Address) -> Result<Option<Licence>, StateError> {
        read(self, &key::licence(cid, holder))
    }

    /// A sender's open commit.
    fn commit(&self, sender: &Address, hash: &Hash) -> Result<Option<CommitEntry>, StateError> {
        read(self, &key::commit(sender, hash))
    }

    /// The escrow with an id; `None` also once it is closed.
    fn escrow(&self, id: &Hash) -> Result<Option<Escrow>, StateError> {
        read(self, &key::escrow(id))
    }

    /// What an escrow has set aside for a payee and paid to it. It outlives the escrow.
    fn line(&self, escrow: &Hash, payee: &Address) -> Result<Option<Line>, StateError> {
        read(self, &key::line(escrow, payee))
    }

    /// What an escrow has set aside for a payee that counts by itself, and paid to it. It outlives the escrow.
    fn meter(&self, escrow: &Hash, payee: &Address) -> Result<Option<Line>, StateError> {
        read(self, &key::meter(escrow, payee))
    }

    /// A payee's claim that carried the receipts under a root.
    fn claim(&self, payee: &Address, root: &Hash) -> Result<Option<ClaimEntry>, StateError> {
        read(self, &key::claim(payee, root))
    }

    /// The entry of a node that offers delivery.
    fn edge(&self, node: &PublicKey) -> Result<Option<EdgeEntry>, StateError> {
        read(self, &key::edge(node))
    }

    /// The bond of a node that has left, until it is free.
    fn bond(&self, node: &PublicKey) -> Result<Option<Bond>, StateError> {
        read(self, &key::bond(node))
    }

    /// Why a node does not deliver any more.
    fn conviction(&self, node: &PublicKey) -> Result<Option<Conviction>, StateError> {
        read(self, &key::conviction(node))
    }

    /// Another chain that is followed.
    fn chain(&self, id: &str) -> Result<Option<ChainEntry>, StateError> {
        read(self, &key::chain(id))
    }

    /// The id of the other chain that has a TLD.
    fn tld(&self, tld: &Label) -> Result<Option<String>, StateError> {
        read(self, &key::tld(tld))
    }

    /// The header of another chain that is anchored at one of its heights; only the newest are kept.
    fn anchored(&self, chain: &str, height: u64) -> Result<Option<Anchored>, StateError> {
        read(self, &key::anchored(chain, height))
    }

    /// A delegate, with or without a seat.
    fn delegate(&self, address: &Address) -> Result<Option<Delegate>, StateError> {
        read(self, &key::delegate(address))
    }

    /// What an account has locked for a delegate.
    fn ballot(&self, voter: &Address, delegate: &Address) -> Result<Option<Ballot>, StateError> {
        read(self, &key::ballot(voter, delegate))
    }

    /// Those who can be elected, by address.
    fn candidates(&self) -> Result<Vec<Address>, StateError> {
        Ok(read(self, &key::candidates())?.unwrap_or_default())
    }

    /// The round that the next height is in.
    fn round(&self) -> Result<Round, StateError> {
        read(self, &key::round())?.ok_or_else(|| StateError("it has no round of delegates".into()))
    }

    /// All coins that there are.
    fn supply(&self) -> Result<Amount, StateError> {
        Ok(read(self, &key::supply())?.unwrap_or_default())
    }

    /// The validators of the next height.
    fn validators(&self) -> Result<ValidatorSet, StateError> {
        read(self, &key::validators())?.ok_or_else(|| StateError("it has no validators".into()))
    }

    /// What is in a pool, such as [`key::treasury_pool`].
    fn pool(&self, key: &[u8]) -> Result<Amount, StateError> {
        Ok(read(self, key)?.unwrap_or_default())
    }
}

/// Reads and decodes one value.
pub(crate) fn read<T, S>(state: &S, key: &[u8]) -> Result<Option<T>, StateError>
where
    T: Serialize + DeserializeOwned,
    S: State + ?Sized,
{
    let Some(bytes) = state.get(key)? else {
        return Ok(None);
    };
    decode(&bytes)
        .map(Some)
        .map_err(|e| StateError(format!("entry {}: {e}", show_key(key))))
}

/// A key for people: its text prefix, and the rest as text where it is text, else hex.
pub(crate) fn show_key(key: &[u8]) -> String {
    if key.iter().all(|byte| byte.is_ascii_graphic()) {
        return String::from_utf8_lossy(key).into_owned();
    }
    let prefix = key
        .iter()
        .position(|byte| *byte == b'/')
        .map_or(0, |slash| slash + 1);
    format!("{}{}", key[..prefix].escape_ascii(), hex::encode(&key[prefix..]))
}

/// A state in memory: what a genesis starts with, and what tests run on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryState(pub BTreeMap<Vec<u8>, Vec<u8>>);

impl MemoryState {
    /// Writes what [`crate::Transition::finish`] returned.
    pub fn write(&mut self, changes: BTreeMap<Vec<u8>, Option<Vec<u8>>>) {
        for (key, value) in changes {
            match value {
                Some(value) => self.0.insert(key, value),
                None => self.0.remove(&key),
            };
        }
    }
}

impl State for MemoryState {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.0.get(key).cloned())
    }
}

/// An account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// What it holds.
    pub balance: Amount,
    /// How many transactions it has sent: the nonce of its next one.
    pub nonce: u64,
}

/// A commit that waits for its reveal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommitEntry {
    /// The height of the block that has it.
    pub height: u64,
}

/// A registered name. Heights count blocks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NameEntry {
    /// Who may change it.
    pub owner: Address,
    /// The height of its registration.
    pub registered: u64,
    /// The height of the commit that it was registered by. Of two claims the older commit wins, as long as its reveal
    /// comes within its time; so a registration is beyond dispute from `committed + commit_ttl` on.
    pub committed: u64,
    /// The first height at which it does not resolve any more, unless it is renewed.
    pub expires: u64,
    /// How many times it was changed since its registration.
    pub seq: u64,
    /// The height of the last change of owner, records or term.
    pub changed: u64,
    /// What was paid for it beyond the rent when it was registered; it comes back with the rent if an older commit wins.
    #[serde(default, skip_serializing_if = "Amount::is_zero")]
    pub premium: Amount,
    /// Records of the name itself (under the empty text) and of the names under it. Empty ones are absent.
    pub records: BTreeMap<String, Records>,
}

impl NameEntry {
    /// Whether it resolves at a height.
    pub fn is_active(&self, height: u64) -> bool {
        height < self.expires
    }

    /// The first height at which anybody may register it again, unless it is renewed.
    pub fn free_at(&self, grace: u64) -> u64 {
        self.expires.saturating_add(grace)
    }
}

pub(crate) fn is_zero(number: &u64) -> bool {
    *number == 0
}
