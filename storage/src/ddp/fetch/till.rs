//! Pays for one session: nothing that is not verified, and of what is not here yet at most one window.

use std::sync::Arc;

use cid::Cid;
use ledger::{Amount, Hash, Link, Owed, Purse, Signed, Voucher};

use super::budget::Allowance;
use super::failure::Failure;
use super::now_ms;
use crate::ddp::Payer;
use crate::ddp::books::{Books, Pair, Spending};
use crate::{Error, Store};

/// The payer's side of one session.
#[derive(Clone)]
pub(super) struct Till {
    store: Store,
    books: Books,
    payer: Arc<dyn Payer>,
    allowance: Allowance,
    /// `None` if there is nothing to pay.
    pair: Option<Pair>,
    price: Amount,
    /// What may be paid ahead.
    window: Amount,
    /// What earlier sessions paid ahead and never got, so that it is not asked for again.
    lost: Amount,
    /// The highest promise that this session has sent, or that the payee has shown.
    sent: Amount,
}

/// What becomes of a demand.
pub(super) enum Ahead {
    /// It is met, by this voucher if it was not before.
    Pay(Option<Box<Signed<Voucher>>>),
    /// Not now: it is more than one window that has not come yet. It may be for what is on its way to another session.
    TooMuch(String),
}

impl Till {
    /// `window` is in bytes.
    pub fn new(
        (store, books, payer, allowance): (Store, Books, Arc<dyn Payer>, Allowance),
        pair: Option<Pair>,
        price: Amount,
        window: u64,
    ) -> Till {
        Till {
            store,
            books,
            payer,
            allowance,
            pair,
            price,
            window: Owed::ZERO.add(window, price).amount(),
            lost: Amount::ZERO,
            sent: Amount::ZERO,
        }
    }

    /// Verifies a block, keeps it, and notes what is owed for it. Blocks on disk.
    pub fn keep(&self, cid: &Cid, block: &[u8]) -> Result<(), Error> {
        let Some(pair) = &self.pair else {
            return self.store.put(cid, block);
        };
        let spending = Spending {
            purposes: self.allowance.purposes(),
            now_ms: now_ms(),
        };
        self.books.received(pair, cid, block, self.price, &spending)
    }

    /// Notes what is owed for bytes that a relay has passed on. Blocks on disk.
    pub fn relayed(&self, bytes: u64) -> Result<(), Error> {
        let Some(pair) = &self.pair else {
            return Ok(());
        };
        let spending = Spending {
            purposes: self.allowance.purposes(),
            now_ms: now_ms(),
        };
        self.books.used(pair, bytes, self.price, &spending)
    }

    /// Why nothing more is to be asked for, if the budget of the day is spent.
    pub fn exhausted(&self) -> Result<Option<String>, Error> {
        match self.pair {
            None => Ok(None),
            Some(_) => self.allowance.exhausted(&self.books, now_ms()),
        }
    }

    /// Begins with what the payee holds: what it does not hold of all that is verified or signed is sent (again).
    ///
    /// # Errors
    /// If the voucher that it shows is not one of this node's.
    pub fn begin(
        &mut self,
        chain: &str,
        held: Option<&Signed<Voucher>>,
    ) -> Result<Option<Signed<Voucher>>, Failure> {
        let Some(pair) = self.pair else {
            return Ok(None);
        };
        let mut purse = self.books.purse(&pair)?;
        if let Some(held) = held {
            // Who shows less than was signed says nothing new: only its own loss if that is not true.
            if held.body.cumulative > purse.signed {
                self.recall(&pair, chain, held)?;
                purse = self.books.purse(&pair)?;
            }
            self.sent = held.body.cumulative;
        }
        self.lost = lost(&purse, self.window);
        self.promise(&pair, None, Amount::ZERO)
    }

    /// The voucher that acknowledges a statement that was found true.
    pub fn pay(&mut self, statement: Hash) -> Result<Option<Signed<Voucher>>, Failure> {
        match self.pair {
            Some(pair) => self.promise(&pair, Some(statement), Amount::ZERO),
            None => Ok(None),
        }
    }

    /// The voucher for which the payee waits before it sends anything more.
    ///
    /// # Errors
    /// If there is nothing to pay at all.
    pub fn pay_ahead(&mut self, cumulative: Amount) -> Result<Ahead, Failure> {
        let Some(pair) = self.pair else {
            return Err(Failure::lied(format!(
                "asks {cumulative} coins, but quoted nothing"
            )));
        };
        let verified = self.books.purse(&pair)?.verified.amount();
        if cumulative > sum([verified, self.lost, self.window]) {
            return Ok(Ahead::TooMuch(format!(
                "asks {cumulative} coins in all, but {verified} are owed and {} may be paid ahead",
                self.window
            )));
        }
        let ahead = cumulative.checked_sub(verified).unwrap_or_default();
        Ok(Ahead::Pay(self.promise(&pair, None, ahead)?.map(Box::new)))
    }

    /// The next voucher, or the highest one if this session has not sent it. The purse is written before it is given out.
    fn promise(
        &mut self,
        pair: &Pair,
        statement: Option<Hash>,
        ahead: Amount,
    ) -> Result<Option<Signed<Voucher>>, Failure> {
        let next = self.books.voucher(pair, statement, ahead)?;
        let cumulative = match &next {
            Some(voucher) => voucher.cumulative,
            None => self.books.purse(pair)?.signed,
        };
        if cumulative <= self.sent {
            return Ok(None);
        }
        self.sent = cumulative;
        Ok(Some(self.payer.sign(Voucher {
            escrow: pair.escrow,
            payee: pair.payee,
            asset: pair.asset.map(Link),
            cumulative,
            statement,
        })))
    }

    /// Learns of an own voucher that these books have forgotten, as after a power cut.
    fn recall(&self, pair: &Pair, chain: &str, held: &Signed<Voucher>) -> Result<(), Failure> {
        let own = self.payer.sign(held.body.clone()).key;
        let asset = pair.asset.map(Link);
        held.check(chain, &pair.escrow, &pair.payee, asset.as_ref(), &own)
            .map_err(|error| Failure::lied(format!("shows a voucher that is not this node's: {error}")))?;
        Ok(self.books.recall(pair, held.body.cumulative)?)
    }
}

/// What was paid ahead and never came, as far as a payer puts up with it: no more than one window and an eighth of all
/// that did come, which is also what a payee puts up with.
fn lost(purse: &Purse, window: Amount) -> Amount {
    let came = purse.verified.amount();
    let lost = purse.signed.checked_sub(came).unwrap_or_default();
    let most = sum([window, Amount::from_units(came.units() / 8)]);
    if lost <= most { lost } else { Amount::ZERO }
}

fn sum<const N: usize>(amounts: [Amount; N]) -> Amount {
    let units = amounts
        .iter()
        .fold(0u64, |sum, amount| sum.saturating_add(amount.units()));
    Amount::from_units(units)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_paid_ahead_and_lost_is_put_up_with_to_a_point() {
        let check = |mib_that_came: u64, signed: u64, expected: u64| {
            let price = Amount::from_units(100);
            let purse = Purse {
                verified: Owed::ZERO.add(mib_that_came << 20, price),
                signed: Amount::from_units(signed),
            };
            assert_eq!(
                lost(&purse, price).units(),
                expected,
                "{mib_that_came} MiB came, {signed} signed"
            );
        };
        check(0, 0, 0);
        check(5, 400, 0);
        check(0, 100, 100);
        check(0, 101, 0);
        check(8, 1000, 200);
        check(8, 1001, 0);
    }
}
