//! Who pays for the sites of origins that this node's gateway serves: the owners of their names, by metered allotments.
//!
//! What is served is counted in memory, and written at least once per MiB and owner, so a crash costs this node no more than
//! that. It is never counted above what the owner has set aside for this node.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chain::Chain;
use gateway::{Free, Meter, Meters};
use ledger::{Address, Amount, Hash, Line, State as _};
use storage::ddp::{Count, Delivery};

use crate::node::error::chained;

/// Bytes that are counted between two writes.
const KEEP_EVERY: u64 = 1 << 20;
/// Owners whose allotment is remembered for the height at which it was looked up.
const OWNERS_MAX: usize = 10_000;
/// Blocks within which a claim gets onto the ledger: what is set aside for less time is not served for.
const CLAIM_BLOCKS: u64 = 10;

/// The metered allotments of the chain, and what was counted.
pub struct ChainMeters {
    chain: Chain,
    delivery: Delivery,
    tallies: Mutex<HashMap<(Hash, Address), Arc<Tally>>>,
    owners: Mutex<Owners>,
}

/// What was found at one height.
#[derive(Default)]
struct Owners {
    height: u64,
    found: HashMap<Address, Result<Arc<Tally>, String>>,
}

/// What is counted for one escrow.
struct Tally {
    escrow: Hash,
    payee: Address,
    delivery: Delivery,
    state: Mutex<State>,
}

struct State {
    count: Count,
    /// Bytes of what was written.
    kept: u64,
    price: Amount,
    /// What the ledger pays in all.
    most: Amount,
}

impl ChainMeters {
    /// On this chain, paid as this delivery is.
    pub fn new(chain: Chain, delivery: Delivery) -> Self {
        Self {
            chain,
            delivery,
            tallies: Mutex::default(),
            owners: Mutex::default(),
        }
    }

    /// Writes what was counted and is not written yet.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn keep(&self) -> Result<(), storage::Error> {
        let tallies: Vec<_> = lock(&self.tallies).values().cloned().collect();
        tallies.iter().try_for_each(|tally| tally.keep())
    }

    /// The owner's allotment to this node with something left in it.
    fn find(
        &self,
        owner: &Address,
        height: u64,
        payee: &Address,
        price: Amount,
    ) -> Result<Arc<Tally>, String> {
        let view = self.chain.state();
        let prefix = [ledger::key::METERS, payee.as_bytes()].concat();
        let mut reason = "nothing is set aside for it";
        for row in view.scan(&prefix).map_err(|error| chained(&error))? {
            let (key, value) = row.map_err(|error| chained(&error))?;
            let line: Line = ledger::decode(&value).map_err(|error| chained(&error))?;
            let Ok(id) = <[u8; 32]>::try_from(&key[prefix.len()..]) else {
                continue;
            };
            let escrow = view.escrow(&Hash(id)).map_err(|error| chained(&error))?;
            if escrow.is_none_or(|escrow| escrow.payer != *owner) {
                continue;
            }
            let left = line.reserve_at(height + CLAIM_BLOCKS);
            let most = Amount::from_units(line.paid.units().saturating_add(left.units()));
            let tally = self.tally(Hash(id), *payee).map_err(|error| chained(&error))?;
            if tally.renew(price, most) {
                return Ok(tally);
            }
            reason = "what is set aside for it is used up, or ends soon";
        }
        Err(reason.to_owned())
    }

    fn tally(&self, escrow: Hash, payee: Address) -> Result<Arc<Tally>, storage::Error> {
        let mut tallies = lock(&self.tallies);
        if let Some(tally) = tallies.get(&(escrow, payee)) {
            return Ok(Arc::clone(tally));
        }
        let count = self.delivery.count(&escrow, &payee)?;
        let tally = Arc::new(Tally {
            escrow,
            payee,
            delivery: self.delivery.clone(),
            state: Mutex::new(State {
                count,
                kept: count.bytes,
                price: Amount::ZERO,
                most: Amount::ZERO,
            }),
        });
        tallies.insert((escrow, payee), Arc::clone(&tally));
        Ok(tally)
    }
}

impl Meters for ChainMeters {
    fn open(&self, owner: &Address) -> Result<Arc<dyn Meter>, String> {
        let quote = self.delivery.quote();
        if quote.price.is_zero() {
            return Ok(Arc::new(Free));
        }
        let height = self.chain.tip().height;
        {
            let owners = lock(&self.owners);
            if owners.height == height
                && let Some(Ok(tally)) = owners.found.get(owner)
                && tally.payee == quote.payee
                && tally.has_more()
            {
                return Ok(Arc::clone(tally) as Arc<dyn Meter>);
            }
        }
        let found = self.find(owner, height, &quote.payee, quote.price);
        let mut owners = lock(&self.owners);
        if owners.height != height || owners.found.len() >= OWNERS_MAX {
            *owners = Owners {
                height,
                ..Owners::default()
            };
        }
        owners.found.insert(*owner, found.clone());
        Ok(found?)
    }
}

impl Tally {
    /// Takes the price and the allotment of now. Whether something is left.
    fn renew(&self, price: Amount, most: Amount) -> bool {
        let mut state = lock(&self.state);
        (state.price, state.most) = (price, most);
        state.has_more()
    }

    fn has_more(&self) -> bool {
        lock(&self.state).has_more()
    }

    fn keep(&self) -> Result<(), storage::Error> {
        self.write(&mut lock(&self.state))
    }

    fn write(&self, state: &mut State) -> Result<(), storage::Error> {
        if state.kept == state.count.bytes {
            return Ok(());
        }
        self.delivery
            .keep_count(&self.escrow, &self.payee, &state.count)?;
        state.kept = state.count.bytes;
        Ok(())
    }
}

impl State {
    fn covers(&self, bytes: u64) -> bool {
        self.count.add(bytes, self.price, self.most).is_some()
    }

    /// Whether a byte more is paid for.
    fn has_more(&self) -> bool {
        self.covers(1)
    }
}

impl Meter for Tally {
    fn covers(&self, bytes: u64) -> bool {
        lock(&self.state).covers(bytes)
    }

    fn count(&self, bytes: u64) -> bool {
        let mut state = lock(&self.state);
        let Some(count) = state.count.add(bytes, state.price, state.most) else {
            return false;
        };
        state.count = count;
        if count.bytes - state.kept >= KEEP_EVERY
            && let Err(error) = self.write(&mut state)
        {
            tracing::error!(%error, "what was served of an origin is not written down");
        }
        true
    }
}

/// Each holder changes what it holds in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
