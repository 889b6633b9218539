//! What blocks bring: fees and new coins, and who gets them.

use super::money::impossible;
use super::{Refusal, Transition};
use crate::amount::Amount;
use crate::genesis::{Parts, part_of};
use crate::keys::Address;
use crate::state::{State, key};
use crate::validators::ValidatorSet;

impl Transition<'_> {
    /// Gives out the block's fees and reward: to the proposer at once, to others through pools until the round is over.
    pub(super) fn give_out(&mut self) -> Result<(), Refusal> {
        let rewards = &self.genesis.rewards;
        let (reward, parts, fee_parts) = (rewards.at(self.height), rewards.parts, rewards.fees);
        self.mint(reward)?;
        self.divide(reward, &parts)?;
        self.divide(self.fees, &fee_parts)
    }

    fn mint(&mut self, amount: Amount) -> Result<(), Refusal> {
        if amount.is_zero() {
            return Ok(());
        }
        let supply = self
            .overlay
            .supply()?
            .checked_add(amount)
            .ok_or_else(impossible)?;
        self.overlay.write(key::supply(), &supply);
        Ok(())
    }

    /// What does not divide evenly is the proposer's.
    fn divide(&mut self, amount: Amount, parts: &Parts) -> Result<(), Refusal> {
        let part = |points: u16| part_of(amount, points);
        let mut left = amount;
        let pools = [
            (key::leaders_pool(), part(parts.leaders)),
            (key::seats_pool(), part(parts.seats)),
            (key::voters_pool(), part(parts.voters)),
        ];
        for (pool, part) in pools {
            left = left.checked_sub(part).ok_or_else(impossible)?;
            self.add_to_pool(pool, part)?;
        }
        let burnt = part(parts.burnt);
        left = left.checked_sub(burnt).ok_or_else(impossible)?;
        self.burn(burnt)?;
        let proposer = self.proposer;
        self.credit(&proposer, left)
    }

    pub(super) fn burn(&mut self, amount: Amount) -> Result<(), Refusal> {
        if amount.is_zero() {
            return Ok(());
        }
        let supply = self
            .overlay
            .supply()?
            .checked_sub(amount)
            .ok_or_else(impossible)?;
        self.overlay.write(key::supply(), &supply);
        Ok(())
    }

    pub(super) fn add_to_pool(&mut self, pool: Vec<u8>, amount: Amount) -> Result<(), Refusal> {
        if amount.is_zero() {
            return Ok(());
        }
        let held = self
            .overlay
            .pool(&pool)?
            .checked_add(amount)
            .ok_or_else(impossible)?;
        self.overlay.write(pool, &held);
        Ok(())
    }

    /// Gives each seat, and its voters, what the round brought them. What does not divide stays for the next round.
    pub(super) fn pay_seats(&mut self, set: &ValidatorSet) -> Result<(), Refusal> {
        let seats: Vec<Address> = set.validators().iter().map(|seat| seat.address()).collect();
        self.share_pool(key::seats_pool(), &seats)?;
        let leaders = self.leaders(&seats)?;
        self.share_pool(key::leaders_pool(), &leaders)?;
        self.share_with_voters(&seats)
    }

    /// The seats with the most votes.
    fn leaders(&self, seats: &[Address]) -> Result<Vec<Address>, Refusal> {
        let mut by_weight = Vec::new();
        for seat in seats {
            let weight = match self.overlay.delegate(seat)? {
                Some(delegate) => self.weight(&delegate),
                None => Amount::ZERO,
            };
            by_weight.push((weight, *seat));
        }
        by_weight.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        by_weight.truncate(self.genesis.rewards.leaders as usize);
        Ok(by_weight.into_iter().map(|(_, seat)| seat).collect())
    }

    fn share_pool(&mut self, pool: Vec<u8>, seats: &[Address]) -> Result<(), Refusal> {
        let mut held = self.overlay.pool(&pool)?;
        let each = Amount::from_units(held.units().checked_div(seats.len() as u64).unwrap_or_default());
        if each.is_zero() {
            return Ok(());
        }
        for seat in seats {
            held = held.checked_sub(each).ok_or_else(impossible)?;
            self.credit(seat, each)?;
        }
        self.overlay.write(pool, &held);
        Ok(())
    }

    /// The voters of each seat have the same part, shared by what they have locked; that of a seat without votes stays.
    fn share_with_voters(&mut self, seats: &[Address]) -> Result<(), Refusal> {
        let pool = key::voters_pool();
        let mut held = self.overlay.pool(&pool)?;
        let each = Amount::from_units(held.units().checked_div(seats.len() as u64).unwrap_or_default());
        if each.is_zero() {
            return Ok(());
        }
        for seat in seats {
            let Some(mut delegate) = self.overlay.delegate(seat)? else {
                continue;
            };
            if delegate.votes.is_zero() {
                continue;
            }
            held = held.checked_sub(each).ok_or_else(impossible)?;
            delegate.index = delegate.index.add(each, delegate.votes);
            self.overlay.write(key::delegate(seat), &delegate);
            self.add_to_pool(key::earned_pool(), each)?;
        }
        self.overlay.write(pool, &held);
        Ok(())
    }
}
