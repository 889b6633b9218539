//! Accounts and pools. Coins only ever move from one to another.

use super::{Refusal, Transition};
use crate::amount::Amount;
use crate::keys::Address;
use crate::state::{State, StateError, key};
use crate::tx::{Action, Kind};

/// What a transaction costs its sender.
#[derive(Clone, Copy)]
pub(super) struct Bill {
    /// For the proposer.
    pub(super) fee: Amount,
    /// What the action costs.
    pub(super) price: Amount,
}

impl Bill {
    fn total(self) -> Amount {
        self.fee.saturating_add(self.price)
    }
}

/// A sum that cannot come about while coins are conserved.
pub(super) fn impossible() -> Refusal {
    Refusal::State(StateError("more coins than the supply are in one place".into()))
}

impl Transition<'_> {
    /// What an action costs besides the fee, in the state as it is before it.
    pub(super) fn price(&self, action: &Action) -> Result<Amount, Refusal> {
        Ok(match action {
            Action::Transfer { amount, .. }
            | Action::EscrowOpen { amount, .. }
            | Action::EscrowTopUp { amount, .. }
            | Action::Vote { amount, .. }
            | Action::EdgeRegister { bond: amount, .. }
            | Action::EdgeSet { bond: amount, .. } => *amount,
            Action::DelegateRegister { stake, .. } => {
                stake.saturating_add(self.genesis.election.registration)
            }
            Action::AssetLicense { price, .. } => *price,
            Action::NameRegister { label, .. } => {
                let rent = self.genesis.rent.of(label);
                rent.saturating_add(self.premium(label)?)
            }
            // A TLD does not expire: it costs as much as a name that is paid for as long as a name can be.
            Action::ChainRegister { tld, .. } => {
                let rent = self.genesis.rent.of(tld).units();
                Amount::from_units(rent.saturating_mul(u64::from(self.genesis.rent.max_periods)))
            }
            Action::NameRenew { label, periods } => {
                let rent = self.genesis.rent.of(label).units();
                Amount::from_units(rent.saturating_mul(u64::from(*periods)))
            }
            _ => Amount::ZERO,
        })
    }

    /// Checks that it is the sender's turn with this nonce, and counts it.
    pub(super) fn take_nonce(&mut self, sender: &Address, found: u64) -> Result<(), Refusal> {
        let mut account = self.overlay.account(sender)?;
        let expected = account.nonce;
        if found != expected || expected == u64::MAX {
            return Err(Refusal::Nonce {
                account: self.show(sender),
                expected,
                found,
            });
        }
        account.nonce += 1;
        self.overlay.write(key::account(sender), &account);
        Ok(())
    }

    /// Takes the fee; the proposer gets it when the block ends.
    pub(super) fn pay_fee(&mut self, from: &Address, bill: Bill) -> Result<(), Refusal> {
        self.debit(from, bill.fee, bill, Amount::ZERO)
    }

    /// Takes the price, after the fee.
    pub(super) fn pay_price(&mut self, from: &Address, bill: Bill) -> Result<(), Refusal> {
        self.debit(from, bill.price, bill, bill.fee)
    }

    /// Takes coins from an account. The refusal speaks of the whole bill, and of the balance before `paid` was taken.
    fn debit(&mut self, from: &Address, amount: Amount, bill: Bill, paid: Amount) -> Result<(), Refusal> {
        let mut account = self.overlay.account(from)?;
        let Some(left) = account.balance.checked_sub(amount) else {
            let balance = account.balance.saturating_add(paid);
            return Err(Refusal::Balance {
                account: self.show(from),
                cost: bill.total(),
                balance,
            });
        };
        account.balance = left;
        self.overlay.write(key::account(from), &account);
        Ok(())
    }

    /// Adds to an account.
    pub(super) fn credit(&mut self, to: &Address, amount: Amount) -> Result<(), Refusal> {
        if amount.is_zero() {
            return Ok(());
        }
        let mut account = self.overlay.account(to)?;
        account.balance = account.balance.checked_add(amount).ok_or_else(impossible)?;
        self.overlay.write(key::account(to), &account);
        Ok(())
    }

    pub(super) fn transfer(&mut self, from: &Address, to: &Address, bill: Bill) -> Result<(), Refusal> {
        if bill.price.is_zero() {
            return Err(Refusal::NothingToTransfer);
        }
        self.pay_price(from, bill)?;
        self.credit(to, bill.price)
    }

    /// From the faucet's pool to an account that has less than a draw gives.
    pub(super) fn draw(&mut self, to: &Address) -> Result<(), Refusal> {
        let Some(faucet) = &self.genesis.faucet else {
            return Err(Refusal::NotAllowed { kind: Kind::Faucet });
        };
        let (amount, balance) = (faucet.amount, self.overlay.account(to)?.balance);
        if balance >= amount {
            return Err(Refusal::FaucetNotNeeded {
                account: self.show(to),
                balance,
                amount,
            });
        }
        let pool = key::faucet_pool();
        let held = self.overlay.pool(&pool)?;
        let left = held
            .checked_sub(amount)
            .ok_or(Refusal::FaucetEmpty { held, amount })?;
        self.overlay.write(pool, &left);
        self.credit(to, amount)
    }

    /// Rent and premium, from an account to the treasury.
    pub(super) fn pay_rent(&mut self, from: &Address, bill: Bill) -> Result<(), Refusal> {
        self.pay_price(from, bill)?;
        let pool = key::treasury_pool();
        let held = self
            .overlay
            .pool(&pool)?
            .checked_add(bill.price)
            .ok_or_else(impossible)?;
        self.overlay.write(pool, &held);
        Ok(())
    }

    /// Rent and premium, back from the treasury to whoever lost a disputed name.
    pub(super) fn return_rent(&mut self, to: &Address, rent: Amount) -> Result<(), Refusal> {
        let pool = key::treasury_pool();
        let held = self.overlay.pool(&pool)?;
        let left = held.checked_sub(rent).ok_or_else(impossible)?;
        self.overlay.write(pool, &left);
        self.credit(to, rent)
    }
}
