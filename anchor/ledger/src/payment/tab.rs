//! The payee's side of a pair of escrow and payee: how much may leave before it is paid.

use serde::{Deserialize, Serialize};

use super::messages::VoucherError;
use super::owed::Owed;
use crate::amount::Amount;
use crate::state::{Escrow, Line};

/// Of the bytes that a payer has paid for, one in so many may be lost on it before it has to pay ahead.
const PAID_PER_LOST: u64 = 8;

/// How much credit a payee gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreditTerms {
    /// Bytes that may leave unpaid for a payer that has never paid; 1 MiB: one block.
    pub first_window: u64,
    /// Bytes that may ever leave unpaid; 64 MiB.
    pub window_max: u64,
    /// What the payee takes in vouchers on coins that are set aside for nobody, so that a new pair need not wait for a
    /// block. Others may take those coins first.
    pub float: Amount,
}

impl Default for CreditTerms {
    /// 1 MiB, 64 MiB, one coin.
    fn default() -> Self {
        Self {
            first_window: 1 << 20,
            window_max: 64 << 20,
            float: Amount::from_units(crate::COIN),
        }
    }
}

/// What one payer has had and promised, as its payee sees it: one for each pair of escrow and payee, over all sessions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tab {
    /// All that was delivered, without what was written off.
    pub delivered: Owed,
    /// The highest voucher that was honoured.
    pub vouched: Amount,
    /// Bytes delivered that no voucher covers, without what was written off.
    pub unpaid_bytes: u64,
    /// Bytes that may leave unpaid. It grows by every byte that is paid for, so it doubles with each window, and is
    /// halved by each fault.
    pub window: u64,
    /// Bytes written off, ever.
    pub forgiven: u64,
    /// Bytes paid for, ever.
    pub paid_bytes: u64,
}

impl Tab {
    /// For a payer that was not seen before.
    pub fn new(terms: &CreditTerms) -> Self {
        Self {
            delivered: Owed::ZERO,
            vouched: Amount::ZERO,
            unpaid_bytes: 0,
            window: terms.first_window,
            forgiven: 0,
            paid_bytes: 0,
        }
    }

    /// How many bytes of payload may leave before the next voucher; `u64::MAX` at price 0.
    ///
    /// The window bounds what is lost if no voucher comes. It does not know whether the ledger would pay one: nothing
    /// beyond [`Tab::covered`] may leave either.
    pub fn room(&self, price: Amount, terms: &CreditTerms) -> u64 {
        if price.is_zero() {
            return u64::MAX;
        }
        self.limit(price, terms).beyond(self.delivered).bytes_at(price)
    }

    /// How many bytes of payload the ledger would still pay for, if it pays this payee at most `collectible` in all (see
    /// [`collectible`]); `u64::MAX` at price 0. When it is too few, the payer must allot more.
    pub fn covered(&self, price: Amount, collectible: Amount) -> u64 {
        if price.is_zero() {
            return u64::MAX;
        }
        Owed::paid_by(collectible).beyond(self.delivered).bytes_at(price)
    }

    /// The voucher without which the next `bytes` may not leave: what a payer is asked for that pays ahead, or that wants
    /// a block larger than its window. What was vouched already, if they may leave as it is.
    pub fn needed(&self, bytes: u64, price: Amount, terms: &CreditTerms) -> Amount {
        let credit = Owed::ZERO.add(self.credit(terms), price);
        let needed = self.delivered.add(bytes, price).beyond(credit).amount();
        needed.max(self.vouched)
    }

    /// Notes that payload has left, at the session's price.
    pub fn deliver(&mut self, bytes: u64, price: Amount) {
        if price.is_zero() {
            return;
        }
        self.delivered = self.delivered.add(bytes, price);
        let open = self.delivered.beyond(Owed::paid_by(self.vouched));
        let unpaid = open.bytes_begun_at(price).min(bytes);
        self.unpaid_bytes = self.unpaid_bytes.saturating_add(unpaid);
        self.paid_bytes = self.paid_bytes.saturating_add(bytes - unpaid);
    }

    /// Takes payload off again that was noted and did not leave after all.
    pub fn take_back(&mut self, bytes: u64, price: Amount) {
        if price.is_zero() {
            return;
        }
        self.delivered = self.delivered.beyond(Owed::ZERO.add(bytes, price));
        self.unpaid_bytes = self.unpaid_bytes.saturating_sub(bytes);
    }

    /// Takes a voucher whose signature and parties were checked ([`crate::Signed::check`]). Returns what it adds.
    ///
    /// # Errors
    /// If it is not above the highest so far, or beyond what the ledger would pay; then nothing has changed.
    pub fn honour(
        &mut self,
        cumulative: Amount,
        collectible: Amount,
        terms: &CreditTerms,
    ) -> Result<Amount, VoucherError> {
        let highest = self.vouched;
        if cumulative == highest {
            return Err(VoucherError::Replayed { cumulative });
        }
        let Some(fresh) = cumulative.checked_sub(highest) else {
            return Err(VoucherError::Shrunk { cumulative, highest });
        };
        if cumulative > collectible {
            return Err(VoucherError::Overdrawn {
                cumulative,
                collectible,
            });
        }
        self.settle(fresh, terms);
        self.vouched = cumulative;
        Ok(fresh)
    }

    /// Moves the bytes that `fresh` coins pay for from unpaid to paid, and opens the window by as many.
    fn settle(&mut self, fresh: Amount, terms: &CreditTerms) {
        let due = self.due();
        let bytes = if fresh >= due {
            self.unpaid_bytes
        } else {
            let part = u128::from(self.unpaid_bytes) * u128::from(fresh.units()) / u128::from(due.units());
            u64::try_from(part).unwrap_or(u64::MAX)
        };
        self.unpaid_bytes -= bytes;
        self.paid_bytes = self.paid_bytes.saturating_add(bytes);
        self.window = self.window.saturating_add(bytes).min(terms.window_max);
    }

    /// Writes off what is unpaid, and halves the window: a session broke off. If the payer comes back, let it first pay
    /// for what it did get. Nothing happens if nothing is unpaid.
    pub fn fault(&mut self, terms: &CreditTerms) {
        let paid = Owed::paid_by(self.vouched);
        if self.delivered <= paid {
            return;
        }
        self.delivered = paid;
        self.forgiven = self.forgiven.saturating_add(self.unpaid_bytes);
        self.unpaid_bytes = 0;
        self.window = (self.window / 2).max(terms.first_window);
    }

    /// Whether so much was written off on this payer that nothing leaves unpaid any more. It ends once more is paid for.
    pub fn pays_ahead(&self, terms: &CreditTerms) -> bool {
        self.forgiven > terms.first_window.saturating_add(self.paid_bytes / PAID_PER_LOST)
    }

    /// What is delivered and not vouched for.
    pub fn due(&self) -> Amount {
        let owed = self.delivered.amount();
        owed.checked_sub(self.vouched).unwrap_or_default()
    }

    /// Bytes that may leave unpaid.
    fn credit(&self, terms: &CreditTerms) -> u64 {
        if self.pays_ahead(terms) {
            return 0;
        }
        self.window.min(terms.window_max)
    }

    /// What may be delivered in all before the next voucher.
    fn limit(&self, price: Amount, terms: &CreditTerms) -> Owed {
        Owed::paid_by(self.vouched).add(self.credit(terms), price)
    }
}

/// The highest cumulative voucher that a payee should take: what it was paid from the escrow, what is set aside for it
/// there at `height`, and of what is set aside for nobody at most the `float`; nothing of that while the payer leaves.
///
/// What it was paid and what is set aside is safe: the ledger pays it whatever others claim. So give the height at which
/// the claim will be on the ledger at the latest, not the present one. No escrow: what was paid, and no more.
pub fn collectible(escrow: Option<&Escrow>, line: Option<&Line>, height: u64, float: Amount) -> Amount {
    let (paid, reserve) = line.map_or((Amount::ZERO, Amount::ZERO), |line| {
        (line.paid, line.reserve_at(height))
    });
    let Some(escrow) = escrow else {
        return paid;
    };
    let free = match escrow.exit {
        None => escrow.free_for(line, height).min(float),
        Some(_) => Amount::ZERO,
    };
    paid.saturating_add(reserve).saturating_add(free)
}
