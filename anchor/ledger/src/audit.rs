//! Conservation: every coin of the supply is somewhere, and none is anywhere twice.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::amount::Amount;
use crate::codec::decode;
use crate::error::Error;
use crate::genesis::Genesis;
use crate::state::{Account, Ballot, Bond, Delegate, EdgeEntry, Entry, Escrow, Freed, key, show_key};

/// What an audit of the whole state found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// What the state says there is: the genesis' supply, what blocks have brought, without what was burnt.
    pub supply: Amount,
    /// What accounts, pools, escrows, votes and bonds hold together.
    pub accounted: Amount,
    /// How many accounts there are.
    pub accounts: u64,
}

impl Audit {
    /// Whether the two are equal.
    pub fn holds(&self) -> bool {
        self.supply == self.accounted
    }
}

/// Adds up every account, pool, escrow, vote and bond. `entries` is the whole state, in any order; entries without coins are passed over.
///
/// # Errors
/// If an entry does not decode, the sum does not fit in 64 bits, or the state's own supply is not the genesis' one.
pub fn audit(entries: impl IntoIterator<Item = Entry>, genesis: &Genesis) -> Result<Audit, Error> {
    let mut found = Audit {
        supply: genesis.supply,
        accounted: Amount::ZERO,
        accounts: 0,
    };
    for (key, value) in entries {
        let amount = if key.starts_with(key::ACCOUNTS) {
            found.accounts += 1;
            entry::<Account>(&key, &value)?.balance
        } else if key.starts_with(key::POOLS) {
            entry::<Amount>(&key, &value)?
        } else if key.starts_with(key::ESCROWS) {
            escrow(&key, &value)?
        } else if key.starts_with(key::BALLOTS) {
            entry::<Ballot>(&key, &value)?.amount
        } else if key.starts_with(key::FREED) {
            freed(&key, &value)?
        } else if key.starts_with(key::DELEGATES) {
            leaving(&key, &value)?
        } else if key.starts_with(key::EDGES) {
            entry::<EdgeEntry>(&key, &value)?.bond
        } else if key.starts_with(key::BONDS) {
            entry::<Bond>(&key, &value)?.amount
        } else if key == key::supply() {
            found.supply = entry(&key, &value)?;
            Amount::ZERO
        } else {
            Amount::ZERO
        };
        let sum = found.accounted.checked_add(amount);
        found.accounted = sum.ok_or_else(|| bad(&key, "the sum does not fit in 64 bits".into()))?;
    }
    Ok(found)
}

/// What is in an escrow, which must not have set aside more than that.
fn escrow(key: &[u8], value: &[u8]) -> Result<Amount, Error> {
    let Escrow {
        balance, reserved, ..
    } = entry(key, value)?;
    if reserved > balance {
        return Err(bad(key, format!("{reserved} are set aside of {balance}")));
    }
    Ok(balance)
}

/// Votes that were taken back; those of a delegate's own are counted with it.
fn freed(key: &[u8], value: &[u8]) -> Result<Amount, Error> {
    let list: Vec<Freed> = entry(key, value)?;
    sum(key, list.iter().filter_map(|freed| freed.amount))
}

/// What a delegate has taken back of its own.
fn leaving(key: &[u8], value: &[u8]) -> Result<Amount, Error> {
    let delegate: Delegate = entry(key, value)?;
    sum(key, delegate.leaving.iter().map(|leaving| leaving.amount))
}

fn sum(key: &[u8], mut amounts: impl Iterator<Item = Amount>) -> Result<Amount, Error> {
    amounts
        .try_fold(Amount::ZERO, Amount::checked_add)
        .ok_or_else(|| bad(key, "the sum does not fit in 64 bits".into()))
}

fn entry<T: Serialize + DeserializeOwned>(key: &[u8], value: &[u8]) -> Result<T, Error> {
    decode(value).map_err(|e| bad(key, e.to_string()))
}

fn bad(key: &[u8], reason: String) -> Error {
    Error::Audit {
        key: show_key(key),
        reason,
    }
}
