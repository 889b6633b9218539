//! Delegates: register, update, resign, return; votes and what they earn.

use super::money::{Bill, impossible};
use super::{Refusal, Transition};
use crate::amount::Amount;
use crate::hash::Hash;
use crate::keys::{Address, PublicKey};
use crate::state::{Ballot, Delegate, Freed, Index, Leaving, Standing, State, key};

/// The most who can be elected: their list is one entry of the state.
pub const MAX_CANDIDATES: usize = 4096;
/// The most heights at which a delegate's own votes, taken back, become free.
const MAX_LEAVING: usize = 64;
/// The most bytes of where an engine is reached.
const MAX_ENGINE_BYTES: usize = 256;

/// Where a consensus engine is reached: a multiaddr that ends in `/p2p/…`.
///
/// # Errors
/// What is wrong with it, in a few words.
pub(crate) fn check_engine(address: &str) -> Result<(), String> {
    if address.len() > MAX_ENGINE_BYTES {
        return Err(format!("{} bytes, at most {MAX_ENGINE_BYTES}", address.len()));
    }
    let peer = address.rsplit_once("/p2p/").map(|(_, peer)| peer);
    let plain = address.starts_with('/') && address.bytes().all(|b| b.is_ascii_graphic());
    if plain && peer.is_some_and(|peer| !peer.is_empty() && !peer.contains('/')) {
        return Ok(());
    }
    Err(format!(
        "'{address}' is not a multiaddr that ends in /p2p/ and a peer id"
    ))
}

impl Transition<'_> {
    /// A candidate from the end of this round on; the tip counts from then on too.
    pub(super) fn register_delegate(
        &mut self,
        key: &PublicKey,
        engine: &str,
        tip: &Hash,
        stake: Amount,
        bill: Bill,
    ) -> Result<(), Refusal> {
        let sender = key.address();
        engine_form(engine)?;
        let held = self.overlay.delegate(&sender)?;
        if let Some(held) = &held
            && held.standing != Standing::Resigned
        {
            let delegate = self.show(&sender);
            return Err(match held.standing {
                Standing::Tombstoned => Refusal::DelegateTombstoned { delegate },
                _ => Refusal::DelegateTaken { delegate },
            });
        }
        let mut delegate = held.unwrap_or(Delegate {
            key: *key,
            engine: String::new(),
            standing: Standing::Candidate,
            own: Amount::ZERO,
            votes: Amount::ZERO,
            tip: None,
            next_tip: None,
            leaving: Vec::new(),
            index: Index::default(),
            registered: self.height,
        });
        delegate.standing = Standing::Candidate;
        delegate.engine = engine.to_owned();
        delegate.next_tip = Some(*tip);
        self.overlay.write(key::delegate(&sender), &delegate);
        self.add_candidate(&sender)?;
        self.pay_price(&sender, bill)?;
        self.add_to_pool(key::treasury_pool(), self.genesis.election.registration)?;
        self.lock(&sender, &sender, stake)?;
        self.check_own(&sender)
    }

    fn add_candidate(&mut self, address: &Address) -> Result<(), Refusal> {
        let mut candidates = self.overlay.candidates()?;
        let Err(place) = candidates.binary_search(address) else {
            return Ok(());
        };
        if candidates.len() >= MAX_CANDIDATES {
            return Err(Refusal::CandidatesFull { max: MAX_CANDIDATES });
        }
        candidates.insert(place, *address);
        self.overlay.write(key::candidates(), &candidates);
        Ok(())
    }

    fn remove_candidate(&mut self, address: &Address) -> Result<(), Refusal> {
        let mut candidates = self.overlay.candidates()?;
        if let Ok(place) = candidates.binary_search(address) {
            candidates.remove(place);
            self.overlay.write(key::candidates(), &candidates);
        }
        Ok(())
    }

    /// Whether a candidate has locked enough for itself.
    fn check_own(&self, address: &Address) -> Result<(), Refusal> {
        let own = self.known_delegate(address)?.own;
        let least = self.genesis.election.own_min;
        if own >= least {
            return Ok(());
        }
        Err(Refusal::OwnStake {
            delegate: self.show(address),
            own,
            least,
        })
    }

    pub(super) fn update_delegate(
        &mut self,
        sender: &Address,
        engine: Option<&str>,
        tip: Option<&Hash>,
    ) -> Result<(), Refusal> {
        let mut delegate = self.known_delegate(sender)?;
        if engine.is_none() && tip.is_none() {
            return Err(Refusal::NothingToUpdate);
        }
        if let Some(engine) = engine {
            engine_form(engine)?;
            delegate.engine = engine.to_owned();
        }
        delegate.next_tip = tip.copied().or(delegate.next_tip);
        self.overlay.write(key::delegate(sender), &delegate);
        Ok(())
    }

    /// No candidate any more; a seat is kept until the round after this one is over.
    pub(super) fn resign(&mut self, sender: &Address) -> Result<(), Refusal> {
        let mut delegate = self.known_delegate(sender)?;
        let name = self.show(sender);
        match delegate.standing {
            Standing::Candidate | Standing::Jailed { .. } => {}
            Standing::Resigned => return Err(Refusal::DelegateResigned { delegate: name }),
            Standing::Tombstoned => return Err(Refusal::DelegateTombstoned { delegate: name }),
        }
        delegate.standing = Standing::Resigned;
        self.overlay.write(key::delegate(sender), &delegate);
        self.remove_candidate(sender)
    }

    /// Back from jail, once the time is over.
    pub(super) fn return_delegate(&mut self, sender: &Address) -> Result<(), Refusal> {
        let mut delegate = self.known_delegate(sender)?;
        let name = self.show(sender);
        let Standing::Jailed { until_round } = delegate.standing else {
            return Err(Refusal::DelegateNotJailed { delegate: name });
        };
        let round = self.overlay.round()?.number;
        if round < until_round {
            return Err(Refusal::DelegateJailed {
                delegate: name,
                round,
                until_round,
            });
        }
        delegate.standing = Standing::Candidate;
        self.overlay.write(key::delegate(sender), &delegate);
        self.add_candidate(sender)
    }

    pub(super) fn vote(&mut self, sender: &Address, to: &Address, bill: Bill) -> Result<(), Refusal> {
        if bill.price.is_zero() {
            return Err(Refusal::NothingToVote);
        }
        let delegate = self.known_delegate(to)?;
        let name = self.show(to);
        match delegate.standing {
            Standing::Resigned => return Err(Refusal::DelegateResigned { delegate: name }),
            Standing::Tombstoned => return Err(Refusal::DelegateTombstoned { delegate: name }),
            Standing::Candidate | Standing::Jailed { .. } => {}
        }
        self.pay_price(sender, bill)?;
        self.lock(sender, to, bill.price)
    }

    /// Coins that have left the sender's account become votes.
    fn lock(&mut self, voter: &Address, to: &Address, amount: Amount) -> Result<(), Refusal> {
        let (mut delegate, mut ballot) = self.settle(voter, to)?;
        ballot.amount = ballot.amount.checked_add(amount).ok_or_else(impossible)?;
        delegate.votes = delegate.votes.checked_add(amount).ok_or_else(impossible)?;
        if voter == to {
            delegate.own = ballot.amount;
        }
        self.write_ballot(voter, to, &ballot);
        self.overlay.write(key::delegate(to), &delegate);
        Ok(())
    }

    pub(super) fn unvote(&mut self, sender: &Address, to: &Address, amount: Amount) -> Result<(), Refusal> {
        if amount.is_zero() {
            return Err(Refusal::NothingToVote);
        }
        let (mut delegate, mut ballot) = self.settle(sender, to)?;
        let Some(left) = ballot.amount.checked_sub(amount) else {
            return Err(Refusal::VotesBeyond {
                delegate: self.show(to),
                amount,
                held: ballot.amount,
            });
        };
        ballot.amount = left;
        delegate.votes = delegate.votes.checked_sub(amount).ok_or_else(impossible)?;
        let height = self.height.saturating_add(self.genesis.election.unbonding);
        let freed = if sender == to {
            delegate.own = left;
            self.leave(&mut delegate, height, amount)?;
            None
        } else {
            Some(amount)
        };
        self.write_ballot(sender, to, &ballot);
        self.overlay.write(key::delegate(to), &delegate);
        self.free_at(height, *sender, freed)?;
        let is_candidate = matches!(delegate.standing, Standing::Candidate | Standing::Jailed { .. });
        if sender == to && is_candidate {
            return self.check_own(to);
        }
        Ok(())
    }

    /// What a delegate takes back of its own stays where it can be slashed.
    fn leave(&self, delegate: &mut Delegate, height: u64, amount: Amount) -> Result<(), Refusal> {
        if let Some(leaving) = delegate
            .leaving
            .iter_mut()
            .find(|leaving| leaving.height == height)
        {
            leaving.amount = leaving.amount.checked_add(amount).ok_or_else(impossible)?;
            return Ok(());
        }
        if delegate.leaving.len() == MAX_LEAVING {
            return Err(Refusal::LeavingFull { max: MAX_LEAVING });
        }
        delegate.leaving.push(Leaving { height, amount });
        Ok(())
    }

    fn free_at(&mut self, height: u64, voter: Address, amount: Option<Amount>) -> Result<(), Refusal> {
        let place = key::freed(height);
        let mut list: Vec<Freed> = self.overlay.read(&place)?.unwrap_or_default();
        list.push(Freed { voter, amount });
        self.overlay.write(place, &list);
        Ok(())
    }

    /// Gives back the votes whose time ends with this block.
    pub(super) fn free_votes(&mut self) -> Result<(), Refusal> {
        let place = key::freed(self.height);
        let Some(list) = self.overlay.read::<Vec<Freed>>(&place)? else {
            return Ok(());
        };
        for Freed { voter, amount } in list {
            let amount = match amount {
                Some(amount) => amount,
                None => self.left_by(&voter)?,
            };
            self.credit(&voter, amount)?;
        }
        self.overlay.remove(place);
        Ok(())
    }

    /// What is free now of what a delegate has taken back; nothing the second time.
    fn left_by(&mut self, address: &Address) -> Result<Amount, Refusal> {
        let Some(mut delegate) = self.overlay.delegate(address)? else {
            return Ok(Amount::ZERO);
        };
        let mut sum = Amount::ZERO;
        for leaving in delegate
            .leaving
            .iter()
            .filter(|leaving| leaving.height <= self.height)
        {
            sum = sum.checked_add(leaving.amount).ok_or_else(impossible)?;
        }
        let height = self.height;
        delegate.leaving.retain(|leaving| leaving.height > height);
        self.overlay.write(key::delegate(address), &delegate);
        Ok(sum)
    }

    /// Pays a voter what its votes have earned.
    pub(super) fn collect(&mut self, sender: &Address, from: &Address) -> Result<(), Refusal> {
        let before = self.overlay.account(sender)?.balance;
        let (_, ballot) = self.settle(sender, from)?;
        if self.overlay.account(sender)?.balance == before {
            return Err(Refusal::NothingEarned {
                delegate: self.show(from),
            });
        }
        self.write_ballot(sender, from, &ballot);
        Ok(())
    }

    /// Pays what a ballot has earned so far; it has earned nothing after that.
    fn settle(&mut self, voter: &Address, to: &Address) -> Result<(Delegate, Ballot), Refusal> {
        let delegate = self.known_delegate(to)?;
        let mut ballot = self.overlay.ballot(voter, to)?.unwrap_or(Ballot {
            amount: Amount::ZERO,
            index: delegate.index,
        });
        let earned = delegate.index.since(ballot.index, ballot.amount);
        ballot.index = delegate.index;
        if !earned.is_zero() {
            let pool = key::earned_pool();
            let held = self
                .overlay
                .pool(&pool)?
                .checked_sub(earned)
                .ok_or_else(impossible)?;
            self.overlay.write(pool, &held);
            self.credit(voter, earned)?;
        }
        Ok((delegate, ballot))
    }

    /// An empty ballot is not kept.
    fn write_ballot(&mut self, voter: &Address, to: &Address, ballot: &Ballot) {
        let place = key::ballot(voter, to);
        match ballot.amount.is_zero() {
            true => self.overlay.remove(place),
            false => self.overlay.write(place, ballot),
        }
    }

    pub(super) fn known_delegate(&self, address: &Address) -> Result<Delegate, Refusal> {
        self.overlay
            .delegate(address)?
            .ok_or_else(|| Refusal::DelegateUnknown {
                delegate: self.show(address),
            })
    }

    /// Takes from a delegate what it has locked for itself, also what it has taken back, and ends it for ever.
    pub(super) fn tombstone_delegate(&mut self, address: &Address) -> Result<(), Refusal> {
        let (mut delegate, mut ballot) = self.settle(address, address)?;
        let mut lost = self.slash(&mut ballot.amount)?;
        delegate.votes = delegate.votes.checked_sub(lost).ok_or_else(impossible)?;
        delegate.own = ballot.amount;
        for leaving in &mut delegate.leaving {
            let taken = self.slash(&mut leaving.amount)?;
            lost = lost.checked_add(taken).ok_or_else(impossible)?;
        }
        delegate.standing = Standing::Tombstoned;
        self.write_ballot(address, address, &ballot);
        self.overlay.write(key::delegate(address), &delegate);
        self.add_to_pool(key::treasury_pool(), lost)?;
        self.remove_candidate(address)
    }

    /// Takes the part that an equivocator loses; returns it.
    fn slash(&self, amount: &mut Amount) -> Result<Amount, Refusal> {
        let points = u128::from(self.genesis.election.slash);
        let units = (u128::from(amount.units()) * points).div_ceil(u128::from(crate::genesis::WHOLE));
        let lost = Amount::from_units(units as u64).min(*amount);
        *amount = amount.checked_sub(lost).ok_or_else(impossible)?;
        Ok(lost)
    }
}

fn engine_form(engine: &str) -> Result<(), Refusal> {
    check_engine(engine).map_err(|reason| Refusal::Engine { reason })
}
