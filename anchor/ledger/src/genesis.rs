//! The genesis: a chain's rules and its first state, fixed for ever.

mod delivery;
mod election;
mod json;
mod presets;
mod rent;
mod validate;

use cid::Cid;
use serde::{Deserialize, Serialize};

use crate::amount::Amount;
use crate::codec::{cid_of, encode};
use crate::error::Error;
use crate::hash::Hash;
use crate::keys::{Address, PublicKey};
use crate::name::Label;
use crate::state::{Delegate, Entry, Index, Round, Standing, Turns, key};
use crate::tx::Kind;
use crate::validators::{Validator, ValidatorSet};

pub use delivery::Delivery;
pub(crate) use delivery::part_of;
pub(crate) use election::WHOLE;
pub use election::{Election, Parts, Phase, Rewards};
pub use rent::Rent;
pub use validate::MAX_BLOCK_BYTES;
pub(crate) use validate::{chain_id_fault, prefix_fault};

/// Which family of rules a genesis comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// A chain for one machine or a test: one seat, 1 s blocks, a faucet.
    Dev,
    /// The DDN white paper's: 101 seats, 10 s blocks.
    Ddn,
    /// The MMT white paper's: 108 seats, 10 s blocks, a reward that falls from 5 coins to 1.
    Mmt,
    /// The WTB paper's: 303 seats, 23 of them super seats, 5 s blocks, a reward that halves.
    Wtb,
}

/// A chain's rules and its first state. Two chains with different rules have different CIDs of their genesis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Genesis {
    /// The chain's id, part of everything that is signed: `[a-z0-9-]`, 1 to 32 characters.
    pub chain_id: String,
    /// The preset that the numbers come from.
    pub preset: Preset,
    /// Milliseconds since 1970. The first block is later.
    pub time_ms: u64,
    /// The label that names of this chain end with.
    pub tld: String,
    /// What addresses of this chain start with: `[a-z]`, 1 to 16 characters.
    pub prefix: String,
    /// How many delegates can vote, 1 to 1024.
    pub seats: u32,
    /// Milliseconds between blocks, 100 to 600,000.
    pub block_time_ms: u64,
    /// The most bytes of an encoded block body, at most [`MAX_BLOCK_BYTES`].
    pub max_block_bytes: u64,
    /// All coins that there are at the start.
    pub supply: Amount,
    /// The least fee of a transaction.
    pub fee: Amount,
    /// Kinds that cost another fee, in the order of [`Kind::ALL`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fees: Vec<KindFee>,
    /// How delegates are elected.
    pub election: Election,
    /// What a block brings, and to whom.
    pub rewards: Rewards,
    /// What names cost.
    pub rent: Rent,
    /// What edges answer for, and what of claims goes to all.
    #[serde(default, skip_serializing_if = "Delivery::is_usual")]
    pub delivery: Delivery,
    /// Labels that nobody can register, in the order of their bytes; at most 1,000.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reserved: Vec<Label>,
    /// A reveal is valid from this many blocks after its commit.
    pub reveal_delay: u64,
    /// A reveal is valid until this many blocks after its commit.
    pub commit_ttl: u64,
    /// How many blocks lie at least between the exit of an escrow and its end, so that payees can claim.
    pub escrow_exit_delay: u64,
    /// Where an empty account gets coins, on a `dev` chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub faucet: Option<Faucet>,
    /// What accounts hold at the start, by address. With a faucet, the rest of the supply is in its pool.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub balances: Vec<Balance>,
    /// Those who vote, each with power 1, by address: at least one, at most `seats`.
    pub delegates: Vec<GenesisDelegate>,
    /// What transactions the chain allows, in the order of [`Kind::ALL`].
    pub transactions: Vec<Kind>,
}

/// What transactions of a kind cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KindFee {
    /// The kind.
    pub kind: Kind,
    /// The least fee.
    pub fee: Amount,
}

/// A pool that gives coins to empty accounts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Faucet {
    /// What one draw gives. Who holds as much already gets nothing.
    pub amount: Amount,
}

/// What an account holds at the start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Balance {
    /// The account; bech32m with the chain's prefix in a genesis file.
    pub address: Address,
    /// What it holds.
    pub amount: Amount,
}

/// A delegate of the first validator set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisDelegate {
    /// Its delegate key.
    pub key: PublicKey,
    /// Where its consensus engine is reached: a multiaddr that ends in `/p2p/…`. May be empty where one delegate votes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub engine: String,
    /// What its first reveal hashes to ([`crate::Delegate::tip`]). Without one it adds nothing to the seeds of rounds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tip: Option<Hash>,
}

impl Genesis {
    /// The CID of the DAG-CBOR encoding. The JSON file is another form of the same object.
    pub fn cid(&self) -> Cid {
        cid_of(&encode(self))
    }

    /// The digest in the CID: the seeds of the first two rounds are made of it.
    pub fn id(&self) -> Hash {
        Hash::of(&encode(self))
    }

    /// For how long votes that were taken back stay locked, in milliseconds, if blocks come in time.
    pub fn unbonding_ms(&self) -> u64 {
        self.election.unbonding.saturating_mul(self.block_time_ms)
    }

    /// The validators of the first height.
    ///
    /// # Errors
    /// If the genesis was not validated, and has no possible set.
    pub fn validators(&self) -> Result<ValidatorSet, Error> {
        let seat = |delegate: &GenesisDelegate| Validator {
            key: delegate.key,
            power: 1,
        };
        ValidatorSet::new(self.delegates.iter().map(seat).collect())
    }

    /// What the faucet's pool holds at the start: the supply without the balances; nothing without a faucet.
    pub fn faucet_pool(&self) -> Amount {
        if self.faucet.is_none() {
            return Amount::ZERO;
        }
        let given = self
            .balances
            .iter()
            .map(|balance| balance.amount.units())
            .fold(0, u64::saturating_add);
        Amount::from_units(self.supply.units().saturating_sub(given))
    }

    /// The entries of the state before the first block.
    ///
    /// # Errors
    /// As [`Self::validators`].
    pub fn initial_state(&self) -> Result<Vec<Entry>, Error> {
        let mut entries = vec![
            (key::supply(), encode(&self.supply)),
            (key::treasury_pool(), encode(&Amount::ZERO)),
            (key::faucet_pool(), encode(&self.faucet_pool())),
            (key::validators(), encode(&self.validators()?)),
            (key::candidates(), encode(&self.addresses())),
            (key::round(), encode(&self.first_round())),
        ];
        entries.extend(self.delegates.iter().map(|delegate| {
            let entry = first_entry(delegate);
            (key::delegate(&delegate.key.address()), encode(&entry))
        }));
        entries.extend(self.balances.iter().map(|Balance { address, amount }| {
            let account = crate::state::Account {
                balance: *amount,
                nonce: 0,
            };
            (key::account(address), encode(&account))
        }));
        entries.sort();
        Ok(entries)
    }

    fn addresses(&self) -> Vec<Address> {
        self.delegates
            .iter()
            .map(|delegate| delegate.key.address())
            .collect()
    }

    fn first_round(&self) -> Round {
        Round {
            number: 0,
            first: 1,
            seed: crate::transition::seed(&self.id(), 0),
            next_seed: crate::transition::seed(&self.id(), 1),
            mix: self.id(),
            turns: vec![Turns::default(); self.delegates.len()],
            elected: self.addresses(),
        }
    }

    /// The least fee of a kind of transaction.
    pub fn fee_of(&self, kind: Kind) -> Amount {
        let own = self.fees.iter().find(|fee| fee.kind == kind);
        own.map_or(self.fee, |fee| fee.fee)
    }

    /// Whether nobody can register a label.
    pub fn is_reserved(&self, label: &Label) -> bool {
        self.reserved.contains(label)
    }

    /// Whether the chain allows a kind of transaction.
    pub fn allows(&self, kind: Kind) -> bool {
        self.transactions.contains(&kind)
    }
}

/// A delegate of the genesis has a seat before anybody has locked anything for it.
fn first_entry(delegate: &GenesisDelegate) -> Delegate {
    Delegate {
        key: delegate.key,
        engine: delegate.engine.clone(),
        standing: Standing::Candidate,
        own: Amount::ZERO,
        votes: Amount::ZERO,
        tip: delegate.tip,
        next_tip: None,
        leaving: Vec::new(),
        index: Index::default(),
        registered: 0,
    }
}
