//! Every state that the rules of the window can reach with a few blocks, both sides at their worst: no state is left out.
//!
//! The rules are the real ones ([`Tab`], [`Purse`]). A block is one MiB at one unit. Between the two sides are lines that keep
//! the order, and that a break of the session empties: then everything on its way is lost, as when a connection breaks or one
//! side dies and starts again with its books.

use std::collections::{HashSet, VecDeque};
use std::fmt::Debug;
use std::hash::Hash;

use ledger::{Amount, CreditTerms, Hash as Id, Owed, Purse, SecretKey, Tab};

const MIB: u64 = 1 << 20;
/// Blocks that are delivered in all, sent again or not: enough for windows to grow, shrink and grow again.
const BLOCKS: u64 = 7;
/// What a payer that keeps to nothing promises at most, in units.
const PROMISE_MAX: u64 = 9;
/// Times that a session breaks.
const BREAKS: u8 = 3;

fn price() -> Amount {
    Amount::from_units(1)
}

/// What so many blocks cost.
fn owed(blocks: u64) -> Owed {
    Owed::ZERO.add(blocks * MIB, price())
}

fn terms() -> CreditTerms {
    CreditTerms {
        first_window: MIB,
        window_max: 4 * MIB,
        float: Amount::from_units(2),
    }
}

/// A payee that keeps to the rules.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Payee {
    delivered: u64,
    vouched: u64,
    unpaid_bytes: u64,
    window: u64,
    forgiven: u64,
    paid_bytes: u64,
}

impl Payee {
    fn new() -> Payee {
        Payee::of(&Tab::new(&terms()))
    }

    fn of(tab: &Tab) -> Payee {
        Payee {
            delivered: tab.delivered.amount().units(),
            vouched: tab.vouched.units(),
            unpaid_bytes: tab.unpaid_bytes,
            window: tab.window,
            forgiven: tab.forgiven,
            paid_bytes: tab.paid_bytes,
        }
    }

    fn tab(&self) -> Tab {
        Tab {
            delivered: owed(self.delivered),
            vouched: Amount::from_units(self.vouched),
            unpaid_bytes: self.unpaid_bytes,
            window: self.window,
            forgiven: self.forgiven,
            paid_bytes: self.paid_bytes,
        }
    }

    fn change(&self, change: impl FnOnce(&mut Tab)) -> Payee {
        let mut tab = self.tab();
        change(&mut tab);
        Payee::of(&tab)
    }

    /// The next block, if it may leave and the ledger would pay for it.
    fn deliver(&self, collectible: u64) -> Option<Payee> {
        let tab = self.tab();
        let may = tab.room(price(), &terms()) >= MIB
            && tab.covered(price(), Amount::from_units(collectible)) >= MIB;
        may.then(|| self.change(|tab| tab.deliver(MIB, price())))
    }

    fn honour(&self, cumulative: u64, collectible: u64) -> Option<Payee> {
        let mut tab = self.tab();
        let honoured = tab.honour(
            Amount::from_units(cumulative),
            Amount::from_units(collectible),
            &terms(),
        );
        honoured.ok().map(|_| Payee::of(&tab))
    }
}

/// Visits all states that can be reached from the first one, and returns how many there are.
fn explore<S: Clone + Debug + Eq + Hash>(first: S, next: impl Fn(&S) -> Vec<S>, check: impl Fn(&S)) -> usize {
    let (mut known, mut open) = (HashSet::from([first.clone()]), VecDeque::from([first]));
    while let Some(state) = open.pop_front() {
        check(&state);
        for state in next(&state) {
            if known.insert(state.clone()) {
                open.push_back(state);
            }
        }
    }
    known.len()
}

/// A payee that keeps to the rules, and a payer that promises whatever it likes, or nothing, and breaks off when it likes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct AgainstPayer {
    payee: Payee,
    /// Blocks that have left, ever.
    left: u64,
    breaks: u8,
    /// What the ledger would pay: the payer has so much set aside, until it takes that back.
    collectible: u64,
    /// The widest window that there was.
    widest: u64,
}

#[test]
fn a_payee_loses_one_window_whatever_the_payer_does() {
    for reserved in [0, 2, 5, PROMISE_MAX] {
        let first = AgainstPayer {
            payee: Payee::new(),
            left: 0,
            breaks: 0,
            collectible: reserved,
            widest: MIB,
        };
        let with = |state: &AgainstPayer, payee: Payee| AgainstPayer {
            widest: state.widest.max(payee.window),
            payee,
            ..state.clone()
        };
        let next = |state: &AgainstPayer| {
            let mut all = Vec::new();
            if state.left < BLOCKS
                && let Some(payee) = state.payee.deliver(state.collectible)
            {
                all.push(AgainstPayer {
                    left: state.left + 1,
                    ..with(state, payee)
                });
            }
            for promise in 0..=PROMISE_MAX {
                all.extend(
                    state
                        .payee
                        .honour(promise, state.collectible)
                        .map(|payee| with(state, payee)),
                );
            }
            if state.breaks < BREAKS {
                let payee = state.payee.change(|tab| tab.fault(&terms()));
                all.push(AgainstPayer {
                    breaks: state.breaks + 1,
                    ..with(state, payee)
                });
            }
            all
        };
        let check = |state: &AgainstPayer| {
            let payee = &state.payee;
            assert!(
                payee.vouched <= state.collectible,
                "a promise that nobody pays: {state:?}"
            );
            assert!(
                payee.unpaid_bytes <= state.widest,
                "more than a window is open: {state:?}"
            );
            // All that left and was never promised: what is open, and what was written off.
            let lost = (state.left * MIB).saturating_sub(payee.vouched * MIB);
            let allowed = MIB + payee.paid_bytes / 8 + 2 * state.widest;
            assert!(lost <= allowed, "{lost} bytes are lost: {state:?}");
            assert!(
                payee.forgiven + payee.unpaid_bytes >= lost,
                "bytes are forgotten: {state:?}"
            );
        };
        let states = explore(first, next, check);
        assert!(states > if reserved == 0 { 0 } else { 50 }, "{states} states");
    }
}

/// A payer that keeps to the rules, and a payee that sends what it likes, asks for what it likes and breaks off when it likes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct AgainstPayee {
    verified: u64,
    signed: u64,
    /// What an earlier session paid ahead and never got, as this session reckons it.
    lost: u64,
    breaks: u8,
}

#[test]
fn a_payer_loses_one_window_whatever_the_payee_does() {
    let key = SecretKey::from_seed([1; 32]);
    let purse = |state: &AgainstPayee| Purse {
        verified: owed(state.verified),
        signed: Amount::from_units(state.signed),
    };
    let voucher = |state: &AgainstPayee, ahead: u64| {
        let mut purse = purse(state);
        purse.voucher(Id([0; 32]), key.address(), None, None, Amount::from_units(ahead));
        AgainstPayee {
            signed: purse.signed.units(),
            ..state.clone()
        }
    };
    let window = 1;
    let first = AgainstPayee {
        verified: 0,
        signed: 0,
        lost: 0,
        breaks: 0,
    };
    let next = |state: &AgainstPayee| {
        let mut all = Vec::new();
        if state.verified < BLOCKS {
            let mut purse = purse(state);
            purse.receive(MIB, price());
            all.push(AgainstPayee {
                verified: purse.verified.amount().units(),
                ..state.clone()
            });
        }
        // It pays for what it verified, and ahead whatever is demanded within one window.
        all.push(voucher(state, 0));
        for demand in 0..=PROMISE_MAX {
            if demand <= state.verified + state.lost + window {
                all.push(voucher(state, demand.saturating_sub(state.verified)));
            }
        }
        if state.breaks < BREAKS {
            // The next session puts up with so much that was lost: one window and an eighth of what came.
            let lost = state.signed.saturating_sub(state.verified);
            let puts_up = if lost <= window + state.verified / 8 {
                lost
            } else {
                0
            };
            all.push(AgainstPayee {
                lost: puts_up,
                breaks: state.breaks + 1,
                ..state.clone()
            });
        }
        all
    };
    let check = |state: &AgainstPayee| {
        let ahead = state.signed.saturating_sub(state.verified);
        assert!(
            ahead <= 2 * window + state.verified / 8,
            "{ahead} units are paid for nothing: {state:?}"
        );
    };
    assert!(explore(first, next, check) > 50);
}

/// Both keep to the rules, and the lines between them break.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Honest {
    payee: Payee,
    verified: u64,
    signed: u64,
    /// Blocks on their way.
    blocks: u64,
    /// Vouchers on their way, the first first.
    vouchers: Vec<u64>,
    /// What earlier sessions paid ahead and never got, as far as the payer puts up with it.
    lost: u64,
    breaks: u8,
}

impl Honest {
    fn next(&self) -> Vec<Honest> {
        let mut all = Vec::new();
        let collectible = PROMISE_MAX;
        if self.blocks < 4
            && self.verified + self.blocks < BLOCKS
            && let Some(payee) = self.payee.deliver(collectible)
        {
            all.push(Honest {
                payee,
                blocks: self.blocks + 1,
                ..self.clone()
            });
        }
        if self.blocks > 0 {
            all.push(Honest {
                blocks: self.blocks - 1,
                verified: self.verified + 1,
                ..self.clone()
            });
        }
        if self.verified > self.signed.max(self.payee.vouched) && self.vouchers.len() < 3 {
            all.push(Honest {
                signed: self.verified,
                vouchers: [self.vouchers.as_slice(), &[self.verified]].concat(),
                ..self.clone()
            });
        }
        if let Some(demand) = self
            .demand()
            .filter(|demand| *demand <= self.verified + self.lost + 1)
        {
            all.push(Honest {
                signed: demand,
                vouchers: vec![demand],
                ..self.clone()
            });
        }
        if let Some((voucher, rest)) = self.vouchers.split_first() {
            let payee = self.payee.honour(*voucher, collectible);
            all.push(Honest {
                payee: payee.unwrap_or_else(|| panic!("an honest voucher of {voucher} is refused: {self:?}")),
                vouchers: rest.to_vec(),
                ..self.clone()
            });
        }
        if self.breaks < BREAKS {
            all.push(self.broken());
        }
        all
    }

    /// What the payee asks for when all is paid and nothing may leave: the next block ahead.
    fn demand(&self) -> Option<u64> {
        let tab = self.payee.tab();
        let is_quiet = self.blocks == 0 && self.vouchers.is_empty() && self.verified < BLOCKS;
        let needed = tab.needed(MIB, price(), &terms()).units();
        (is_quiet && tab.due().is_zero() && needed > self.payee.vouched.max(self.signed)).then_some(needed)
    }

    /// Everything on its way is lost. The payer comes back and pays for all that it has; what is left is written off.
    fn broken(&self) -> Honest {
        let mut payee = self.payee.clone();
        let promised = self.signed.max(self.verified);
        if promised > payee.vouched {
            payee = payee
                .honour(promised, PROMISE_MAX)
                .expect("what was promised is honoured");
        }
        let lost = promised - self.verified;
        Honest {
            payee: payee.change(|tab| tab.fault(&terms())),
            signed: promised,
            lost: if lost <= 1 + self.verified / 8 { lost } else { 0 },
            blocks: 0,
            vouchers: Vec::new(),
            breaks: self.breaks + 1,
            ..self.clone()
        }
    }
}

#[test]
fn two_who_keep_to_the_rules_are_never_stuck_and_never_refused() {
    let first = Honest {
        payee: Payee::new(),
        verified: 0,
        signed: 0,
        blocks: 0,
        vouchers: Vec::new(),
        lost: 0,
        breaks: 0,
    };
    let check = |state: &Honest| {
        assert!(state.payee.vouched <= state.signed, "{state:?}");
        assert!(
            state.signed <= state.verified + 2 + state.verified / 8,
            "{state:?}"
        );
        let is_done = state.verified >= BLOCKS && state.vouchers.is_empty() && state.payee.vouched >= BLOCKS;
        let goes_on = state.next().into_iter().any(|next| next.breaks == state.breaks);
        // A payer that lost more than that on its way pays nobody ahead any more.
        let has_had_enough = state
            .demand()
            .is_some_and(|demand| demand > state.verified + state.lost + 1);
        assert!(
            is_done || goes_on || has_had_enough,
            "nobody can do anything: {state:?}"
        );
    };
    assert!(explore(first, Honest::next, check) > 500);
}
