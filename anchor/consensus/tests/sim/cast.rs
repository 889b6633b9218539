//! Who takes part: delegates with and without a seat, and people who vote for them.

use std::collections::BTreeMap;

use ledger::{Address, Amount, Balance, Election, Genesis, GenesisDelegate, Hash, SecretKey, reveal_tip};

use crate::plan::Plan;

/// Milliseconds since 1970 at which every chain here begins.
pub const BEGIN_MS: u64 = 1_700_000_000_000;
/// Blocks that one delegate can make: no run is as long.
const REVEALS: usize = 1024;
/// What everybody holds at the start.
const WEALTH: Amount = coins(100_000);

pub const fn coins(coins: u64) -> Amount {
    match Amount::from_coins(coins) {
        Some(amount) => amount,
        None => panic!("it fits"),
    }
}

/// A node and the delegate that it is.
pub struct Player {
    pub key: SecretKey,
    pub address: Address,
    /// Each hashes to the one before; the first is the tip that is registered.
    reveals: Vec<Hash>,
}

/// All of them, by address: neighbours here are neighbours in the validator set.
pub struct Cast {
    pub players: Vec<Player>,
    /// Accounts that are nobody's delegate.
    pub people: Vec<SecretKey>,
    pub genesis: Genesis,
    places: BTreeMap<Address, usize>,
}

impl Player {
    fn new(number: u64) -> Self {
        let key = key(b'd', number);
        let mut reveals = vec![Hash::of(&number.to_be_bytes())];
        for _ in 0..REVEALS {
            reveals.push(reveal_tip(reveals.last().expect("not empty")));
        }
        reveals.reverse();
        Self {
            address: key.address(),
            key,
            reveals,
        }
    }

    pub fn first_tip(&self) -> Hash {
        self.reveals[0]
    }

    /// The reveal that hashes to `tip`.
    pub fn reveal(&self, tip: &Hash) -> Option<Hash> {
        let place = self.reveals.iter().position(|hash| hash == tip)?;
        self.reveals.get(place + 1).copied()
    }

    pub fn engine(&self) -> String {
        format!("/ip4/10.0.0.1/tcp/4103/p2p/{}", self.key.public())
    }
}

impl Cast {
    pub fn new(plan: &Plan) -> Self {
        let mut players: Vec<Player> = (0..plan.seats + plan.standby)
            .map(|number| Player::new(number as u64))
            .collect();
        // The last ones have no seat; which places these are among the addresses is chance.
        let seated: Vec<Address> = players[..plan.seats].iter().map(|p| p.address).collect();
        players.sort_by_key(|player| player.address);
        let people: Vec<SecretKey> = (0..4).map(|number| key(b'p', number)).collect();
        let genesis = genesis(plan, &players, &seated, &people);
        let places = players.iter().enumerate().map(|(place, p)| (p.address, place));
        Self {
            places: places.collect(),
            players,
            people,
            genesis,
        }
    }

    /// The node of a delegate.
    pub fn place(&self, address: &Address) -> usize {
        self.places[address]
    }
}

fn key(kind: u8, number: u64) -> SecretKey {
    let mut seed = [kind; 32];
    seed[..8].copy_from_slice(&number.to_be_bytes());
    SecretKey::from_seed(seed)
}

fn genesis(plan: &Plan, players: &[Player], seated: &[Address], people: &[SecretKey]) -> Genesis {
    let delegates = players.iter().filter(|player| seated.contains(&player.address));
    let delegates = delegates.map(|player| GenesisDelegate {
        key: player.key.public(),
        engine: player.engine(),
        tip: Some(player.first_tip()),
    });
    let accounts = players.iter().map(|player| player.address);
    let accounts: Vec<Address> = accounts.chain(people.iter().map(SecretKey::address)).collect();
    let given = WEALTH.units() * (accounts.len() - 1) as u64;
    let mut balances: Vec<Balance> = accounts
        .into_iter()
        .map(|address| Balance {
            address,
            amount: WEALTH,
        })
        .collect();
    // The supply is the preset's: the last one holds the rest.
    let rest = coins(100_000_000).units() - given;
    balances.last_mut().expect("people").amount = Amount::from_units(rest);
    let chain = Genesis::ddn("sim", BEGIN_MS, delegates.collect(), balances).expect("a valid genesis");
    let genesis = Genesis {
        seats: plan.seats as u32,
        block_time_ms: plan.block_time_ms,
        election: Election {
            round: plan.round,
            registration: coins(1),
            own_min: coins(10),
            votes_per_own: 10,
            jail_rounds: 1,
            unbonding: 300,
            evidence_age: 200,
            ..chain.election.clone()
        },
        ..chain
    };
    genesis.validate().expect("a valid genesis");
    genesis
}
