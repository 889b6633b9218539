//! Rounds of delegates: who made blocks and who did not, the seeds, and who sits next.
//!
//! A round is a fixed number of blocks with one set of validators. When it ends, those who missed too much are jailed, the
//! seats of the next round go to those who were elected a round ago and still stand, and all candidates are ranked for
//! the round after that. So who sits is known a round before, and the seed of a round is made of reveals that were over
//! before anybody knew whether he would sit in it.
//!
//! What is counted is in the chain: the certificate that a block carries of the one before it. That of a round's last
//! block is not counted, since its seats are not those of the block that carries it.

use sha2::{Digest, Sha256};

use super::{Refusal, Transition};
use crate::amount::Amount;
use crate::certificate::Certificate;
use crate::genesis::WHOLE;
use crate::hash::Hash;
use crate::keys::Address;
use crate::proposer::{Order, proposer};
use crate::state::{Delegate, Round, Standing, State, StateError, Turns, key};
use crate::validators::{Validator, ValidatorSet};

const SEED_DOMAIN: &[u8] = b"ddn/seed/1";
const REVEAL_DOMAIN: &[u8] = b"ddn/reveal/1";

/// The seed of a round, from the reveals of an earlier one.
pub(crate) fn seed(mix: &Hash, round: u64) -> Hash {
    let digest = Sha256::new()
        .chain_update(SEED_DOMAIN)
        .chain_update(mix.0)
        .chain_update(round.to_be_bytes());
    Hash(digest.finalize().into())
}

/// What a reveal hashes to: the tip that was known before it.
pub fn reveal_tip(reveal: &Hash) -> Hash {
    Hash::of(&[REVEAL_DOMAIN, &reveal.0].concat())
}

impl Round {
    /// From what its proposers follow.
    pub fn order(&self) -> Order {
        Order {
            seed: self.seed,
            first: self.first,
        }
    }
}

impl Transition<'_> {
    /// What the header and the body say of delegates, before the first transaction: the proposer's reveal, and the
    /// certificate of the block before.
    ///
    /// # Errors
    /// If the reveal is not what the proposer's tip was made of; then the block is invalid.
    pub fn open(&mut self, reveal: Option<&Hash>, last: Option<&Certificate>) -> Result<(), Refusal> {
        let (set, mut round) = (self.overlay.validators()?, self.overlay.round()?);
        if let Some(reveal) = self.take_reveal(reveal)? {
            round.mix = mixed(&round.mix, &reveal);
        }
        if let Some((place, _)) = set.find(&self.proposer) {
            turn(&mut round, place).made += 1;
        }
        if let Some(last) = last.filter(|_| self.height > round.first) {
            count(&mut round, &set, last);
        }
        self.overlay.write(key::round(), &round);
        self.overlay.keep();
        Ok(())
    }

    /// Checks the proposer's reveal against its tip, which moves on.
    fn take_reveal(&mut self, reveal: Option<&Hash>) -> Result<Option<Hash>, Refusal> {
        let proposer = self.proposer;
        let Some(mut delegate) = self.overlay.delegate(&proposer)? else {
            return Ok(None);
        };
        if delegate.tip != reveal.map(reveal_tip) {
            return Err(Refusal::Reveal {
                delegate: self.show(&proposer),
            });
        }
        if reveal.is_some() {
            delegate.tip = reveal.copied();
            self.overlay.write(key::delegate(&proposer), &delegate);
        }
        Ok(reveal.copied())
    }

    /// Ends the round, if this block is its last.
    pub(super) fn end_round(&mut self) -> Result<(), Refusal> {
        let round = self.overlay.round()?;
        let last = round.first.saturating_add(self.genesis.election.round - 1);
        if self.height < last {
            return Ok(());
        }
        let set = self.overlay.validators()?;
        self.pay_seats(&set)?;
        self.jail(&round, &set)?;
        let ranked = self.rank()?;
        let seated = self.seat(&round, &ranked, &set)?;
        let next = Round {
            number: round.number + 1,
            first: self.height + 1,
            seed: round.next_seed,
            next_seed: seed(&round.mix, round.number + 2),
            mix: round.mix,
            turns: vec![Turns::default(); seated.len()],
            elected: ranked.into_iter().take(self.elected_max()).collect(),
        };
        self.overlay.write(key::validators(), &seated);
        self.overlay.write(key::round(), &next);
        Ok(())
    }

    /// Twice the seats, so that there is somebody for each of those who fail until they would sit.
    fn elected_max(&self) -> usize {
        2 * self.genesis.seats as usize
    }

    fn jail(&mut self, round: &Round, set: &ValidatorSet) -> Result<(), StateError> {
        let rules = &self.genesis.election;
        // The certificates that were counted: all but the last block's.
        let counted = self.height - round.first;
        for (validator, turns) in set.validators().iter().zip(&round.turns) {
            let address = validator.address();
            let is_absent =
                u64::from(turns.absent) * u64::from(WHOLE) > counted * u64::from(rules.absent_max);
            if turns.missed <= rules.missed_max && !is_absent {
                continue;
            }
            if let Some(mut delegate) = self.overlay.delegate(&address)?
                && delegate.standing == Standing::Candidate
            {
                let until_round = round.number + 1 + u64::from(rules.jail_rounds);
                delegate.standing = Standing::Jailed { until_round };
                self.overlay.write(key::delegate(&address), &delegate);
            }
        }
        Ok(())
    }

    /// All who can be elected, the best first; tips that were changed since count from now on.
    fn rank(&mut self) -> Result<Vec<Address>, StateError> {
        let mut ranked: Vec<(Amount, Address)> = Vec::new();
        for address in self.overlay.candidates()? {
            let Some(mut delegate) = self.overlay.delegate(&address)? else {
                continue;
            };
            if let Some(tip) = delegate.next_tip.take() {
                delegate.tip = Some(tip);
                self.overlay.write(key::delegate(&address), &delegate);
            }
            if delegate.standing == Standing::Candidate {
                ranked.push((self.weight(&delegate), address));
            }
        }
        ranked.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        Ok(ranked.into_iter().map(|(_, address)| address).collect())
    }

    pub(super) fn weight(&self, delegate: &Delegate) -> Amount {
        delegate.weight(self.genesis.election.votes_per_own)
    }

    /// Those who were elected and still stand; then the best of the others; if nobody stands, those who sit go on.
    fn seat(
        &self,
        round: &Round,
        ranked: &[Address],
        set: &ValidatorSet,
    ) -> Result<ValidatorSet, StateError> {
        let stands = |address: &&Address| ranked.contains(address);
        let elected = round.elected.iter().filter(stands);
        let others = ranked.iter().filter(|address| !round.elected.contains(address));
        let mut seats = Vec::new();
        for address in elected.chain(others).take(self.genesis.seats as usize) {
            if let Some(delegate) = self.overlay.delegate(address)? {
                seats.push(Validator {
                    key: delegate.key,
                    power: 1,
                });
            }
        }
        if seats.is_empty() {
            return Ok(set.clone());
        }
        ValidatorSet::new(seats).map_err(|error| StateError(error.to_string()))
    }
}

fn mixed(mix: &Hash, reveal: &Hash) -> Hash {
    Hash::of(&[SEED_DOMAIN, mix.0.as_slice(), &reveal.0].concat())
}

/// Notes who let his turn pass, and whose signature is missing.
fn count(round: &mut Round, set: &ValidatorSet, last: &Certificate) {
    let order = round.order();
    // After as many attempts as there are seats, it is everybody's second turn.
    for attempt in 0..last.round.min(set.len() as u32) {
        let address = proposer(set, &order, last.height, attempt).address();
        if let Some((place, _)) = set.find(&address) {
            turn(round, place).missed += 1;
        }
    }
    for place in (0..set.len()).filter(|place| !last.signed_by(*place)) {
        turn(round, place).absent += 1;
    }
}

/// There is one for each seat.
fn turn(round: &mut Round, place: usize) -> &mut Turns {
    if round.turns.len() <= place {
        round.turns.resize(place + 1, Turns::default());
    }
    &mut round.turns[place]
}
