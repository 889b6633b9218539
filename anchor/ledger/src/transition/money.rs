//! Accounts and pools. Coins only ever move from one to another.

use super::{Refusal, Transition};
use crate::amount::Amount;
use crate::keys::Address;
use crate::state::{State, StateError, key};

/// A sum that cannot come about while coins are conserved.
pub(super) fn impossible() -> Refusal {
    Refusal::State(StateError("more coins than the supply are in one place".into()))
}

impl Transition<'_> {
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

    /// Takes `amount` from an account. `paid` is what this transaction took from it already, for the refusal's text.
    pub(super) fn debit(&mut self, from: &Address, amount: Amount, paid: Amount) -> Result<(), Refusal> {
        let mut account = self.overlay.account(from)?;
        let Some(balance) = account.balance.checked_sub(amount) else {
            let cost = Amount::from_units(amount.units().saturating_add(paid.units()));
            let balance = Amount::from_units(account.balance.units().saturating_add(paid.units()));
            return Err(Refusal::Balance {
                account: self.show(from),
                cost,
                balance,
            });
        };
        account.balance = balance;
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

    pub(super) fn transfer(
        &mut self,
        from: &Address,
        to: &Address,
        amount: Amount,
        fee: Amount,
    ) -> Result<(), Refusal> {
        if amount.is_zero() {
            return Err(Refusal::NothingToTransfer);
        }
        self.debit(from, amount, fee)?;
        self.credit(to, amount)
    }

    /// From the faucet's pool to an account that has less than a draw gives.
    pub(super) fn draw(&mut self, to: &Address) -> Result<(), Refusal> {
        let Some(faucet) = &self.genesis.faucet else {
            return Err(Refusal::NotAllowed {
                kind: crate::tx::Kind::Faucet,
            });
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

    /// Rent, from an account to the treasury.
    pub(super) fn pay_rent(&mut self, from: &Address, rent: Amount, fee: Amount) -> Result<(), Refusal> {
        self.debit(from, rent, fee)?;
        let pool = key::treasury_pool();
        let held = self
            .overlay
            .pool(&pool)?
            .checked_add(rent)
            .ok_or_else(impossible)?;
        self.overlay.write(pool, &held);
        Ok(())
    }

    /// Rent, back from the treasury to whoever lost a disputed name.
    pub(super) fn return_rent(&mut self, to: &Address, rent: Amount) -> Result<(), Refusal> {
        let pool = key::treasury_pool();
        let held = self.overlay.pool(&pool)?;
        let left = held.checked_sub(rent).ok_or_else(impossible)?;
        self.overlay.write(pool, &left);
        self.credit(to, rent)
    }
}
