//! What deliveries may cost in a day, for one session.

use ledger::{Address, Amount};

use crate::Error;
use crate::ddp::books::{Books, Purpose};
use crate::ddp::parts::Budget;

/// What a session spends for, and the most that each of it may cost today.
#[derive(Clone)]
pub(super) struct Allowance {
    purposes: Vec<Purpose>,
    /// Of each of the purposes; zero: any amount.
    limits: Vec<Amount>,
}

impl Allowance {
    /// For what is had from `payee`, and read under this name.
    pub fn new(budget: &Budget, payee: Address, name: Option<String>) -> Allowance {
        let mut limited = vec![(Purpose::All, budget.all)];
        if !budget.payee.is_zero() {
            limited.push((Purpose::Payee(payee), budget.payee));
        }
        if let Some(name) = name {
            limited.push((Purpose::Name(name), budget.name));
        }
        let (purposes, limits) = limited.into_iter().unzip();
        Allowance { purposes, limits }
    }

    /// For what is spent.
    pub fn purposes(&self) -> &[Purpose] {
        &self.purposes
    }

    /// Why nothing more is to be paid for today, if that is so.
    ///
    /// # Errors
    /// If the books cannot be read.
    pub fn exhausted(&self, books: &Books, now_ms: u64) -> Result<Option<String>, Error> {
        for (purpose, limit) in self.purposes.iter().zip(&self.limits) {
            if !limit.is_zero() && books.spent(purpose, now_ms)? >= *limit {
                return Ok(Some(format!(
                    "could not be paid: {limit} coins were spent today {}, which is the budget of a day; the next begins at \
                     00:00 UTC",
                    words(purpose)
                )));
            }
        }
        Ok(None)
    }
}

/// How it goes on after a provider's name.
fn words(purpose: &Purpose) -> String {
    match purpose {
        Purpose::All => "on deliveries".to_owned(),
        Purpose::Payee(_) => "on deliveries of this one's operator".to_owned(),
        Purpose::Name(name) => format!("on what is read as {name}"),
    }
}
