//! A payee that follows the rules against a payer that does not, on a real chain: whatever the payer does, and whoever
//! helps it, the payee loses one window or the float, and nothing more.

use ledger::{Action, Amount, COIN, CreditTerms, Hash, Owed, Tab, collectible};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::credit::{MIB, price, units};
use crate::paying::*;
use crate::world::*;

/// The float is between the windows of a new payer and those of an old one, so that each is the larger one at times.
fn terms() -> CreditTerms {
    CreditTerms {
        float: coins("0.35"),
        ..crate::credit::terms()
    }
}

/// What an adversary does to a payee.
#[derive(Clone, Debug)]
enum Move {
    /// Wants so many bytes; the payee sends as many of them as its rules allow.
    Want(u64),
    /// Promises so many thousandths of what is due, or of what it was asked for ahead; more than 1000 is too much.
    Pay(u64),
    /// Breaks the session off.
    Break,
    /// Changes what is set aside for the payee (2) or its accomplice (3).
    Allot {
        to: u8,
        amount: u64,
        term: u64,
    },
    /// Its accomplice takes all that is free.
    Drain,
    TopUp(u64),
    Exit,
    Close,
    /// The payee claims.
    Claim,
    Blocks(u64),
}

fn moves() -> impl Strategy<Value = Move> {
    let bytes = prop_oneof![3 => 1..3 * MIB, 1 => 1..64 * MIB, 1 => 1..100u64];
    let share = prop_oneof![3 => Just(1000u64), 2 => 0..1000u64, 1 => 1001..5000u64];
    prop_oneof![
        24 => bytes.prop_map(Move::Want),
        18 => share.prop_map(Move::Pay),
        2 => Just(Move::Break),
        4 => (2..4u8, 0..2 * COIN, 1..30u64).prop_map(|(to, amount, term)| Move::Allot { to, amount, term }),
        2 => Just(Move::Drain),
        2 => (1..5 * COIN).prop_map(Move::TopUp),
        1 => Just(Move::Exit),
        1 => Just(Move::Close),
        2 => Just(Move::Claim),
        4 => (1..4u64).prop_map(Move::Blocks),
    ]
}

/// A payee (2) that follows the rules, and a payer (1) and its accomplice (3) that do not.
struct Duel {
    world: World,
    escrow: Hash,
    tab: Tab,
    /// Put into the escrow, ever.
    put_in: u64,
    /// The accomplice's highest voucher.
    drained: u64,
    /// The most that the window ever was.
    widest: u64,
}

/// A payee claims what is set aside for it this many blocks before that expires.
const MARGIN: u64 = 2;

impl Duel {
    fn new() -> Self {
        let mut world = World::new();
        let escrow = open(&mut world, 1, "5");
        Self {
            world,
            escrow,
            tab: Tab::new(&terms()),
            put_in: 5 * COIN,
            drained: 0,
            widest: MIB,
        }
    }

    /// What the ledger will still pay the payee when it claims at the last moment.
    fn collectible(&self, float: Amount) -> Amount {
        let (escrow, line) = (
            escrow_at(&self.world, &self.escrow),
            line_at(&self.world, &self.escrow, 2),
        );
        collectible(escrow.as_ref(), line.as_ref(), self.world.height + MARGIN, float)
    }

    fn paid(&self) -> Amount {
        line_at(&self.world, &self.escrow, 2).map_or(Amount::ZERO, |line| line.paid)
    }

    fn step(&mut self, step: &Move) -> Result<(), TestCaseError> {
        let (terms, escrow) = (terms(), self.escrow);
        match step {
            Move::Want(bytes) => {
                let room = self.tab.room(price(), &terms);
                let covered = self.tab.covered(price(), self.collectible(terms.float));
                self.tab.deliver((*bytes).min(room).min(covered), price());
            }
            Move::Pay(share) => {
                let asked = self.tab.needed(MIB, price(), &terms);
                let due = self.tab.due().max(asked.checked_sub(self.tab.vouched).unwrap());
                let cumulative = units(self.tab.vouched.units() + due.units() * share / 1000);
                let _ = self.tab.honour(cumulative, self.collectible(terms.float), &terms);
            }
            Move::Break => self.tab.fault(&terms),
            Move::Allot { to, amount, term } => {
                let (payee, amount, expires) = (at(*to), units(*amount), self.world.height + term);
                let action = Action::EscrowAllot {
                    escrow,
                    payee,
                    amount,
                    expires,
                    metered: false,
                };
                self.send(1, action)?;
            }
            Move::Drain => self.drain()?,
            Move::TopUp(amount) => {
                let amount = units(*amount);
                if self.send(1, Action::EscrowTopUp { escrow, amount })? {
                    self.put_in += amount.units();
                }
            }
            Move::Exit => drop(self.send(1, Action::EscrowExit { escrow })?),
            Move::Close => drop(self.send(1, Action::EscrowClose { escrow })?),
            Move::Claim => self.claim()?,
            Move::Blocks(count) => (0..*count).try_for_each(|_| self.block(vec![]).map(drop))?,
        }
        self.widest = self.widest.max(self.tab.window);
        self.check()
    }

    /// Whether an account's transaction passes. Accounts of the duel never run dry.
    fn send(&mut self, by: u8, action: Action) -> Result<bool, TestCaseError> {
        self.block(vec![(by, Action::Faucet {})])?;
        self.block(vec![(by, action)])
    }

    fn drain(&mut self) -> Result<(), TestCaseError> {
        self.drained += 1_000 * COIN;
        let promise = voucher(self.escrow, 1, 3, units(self.drained));
        self.send(3, claim_of(vec![promise])).map(drop)
    }

    /// A block, after which a careful payee claims if its reserve is about to expire, or its payer about to leave.
    fn block(&mut self, steps: Vec<(u8, Action)>) -> Result<bool, TestCaseError> {
        let passed = self.world.block(steps).iter().all(Result::is_ok);
        let expires = line_at(&self.world, &self.escrow, 2)
            .filter(|line| !line.reserved.is_zero())
            .map_or(u64::MAX, |line| line.expires);
        let leaves = escrow_at(&self.world, &self.escrow).is_some_and(|escrow| escrow.exit.is_some());
        if self.world.height + MARGIN >= expires || leaves {
            self.claim()?;
        }
        Ok(passed)
    }

    /// The payee claims its highest voucher. What was set aside for it is paid in full, and the voucher is not paid again.
    fn claim(&mut self) -> Result<(), TestCaseError> {
        let (vouched, paid) = (self.tab.vouched, self.paid());
        if vouched <= paid {
            return Ok(());
        }
        let safe = {
            let line = line_at(&self.world, &self.escrow, 2).unwrap_or_default();
            paid.checked_add(line.reserve_at(self.world.height + 1)).unwrap()
        };
        let action = claim_of(vec![voucher(self.escrow, 1, 2, vouched)]);
        let result = self.world.block(vec![(2, action.clone())]).remove(0);
        prop_assert!(
            self.paid() >= vouched.min(safe),
            "{:?}: {} of {}",
            result,
            self.paid(),
            safe
        );
        prop_assert!(self.paid() <= vouched);
        prop_assert!(
            self.world.block(vec![(2, action)]).remove(0).is_err(),
            "paid twice"
        );
        Ok(())
    }

    /// What is unpaid, or vouched for by coins that others can take, is never more than one window or the float.
    fn check(&self) -> Result<(), TestCaseError> {
        let (terms, tab) = (terms(), &self.tab);
        let safe = self.collectible(Amount::ZERO).min(tab.vouched);
        let delivered = tab.delivered.amount();
        let at_risk = delivered.checked_sub(safe).unwrap_or_default();
        let window = Owed::ZERO.add(self.widest, price()).amount();
        prop_assert!(
            at_risk <= window.max(terms.float),
            "{} at risk: {:?}",
            at_risk,
            tab
        );
        let unpaid = Owed::ZERO.add(tab.unpaid_bytes, price()).amount();
        // A byte or two for each payment of a part.
        prop_assert!(unpaid.units().abs_diff(tab.due().units()) <= 1_000, "{:?}", tab);
        let allowance = terms.first_window + tab.paid_bytes / 8 + self.widest;
        prop_assert!(tab.forgiven <= allowance, "{:?}", tab);
        Ok(())
    }

    /// The payer leaves, the accomplice takes what it can, and the payee comes last.
    fn end(mut self) -> Result<(), TestCaseError> {
        self.drain()?;
        let escrow = self.escrow;
        self.send(1, Action::EscrowExit { escrow })?;
        self.drain()?;
        self.claim()?;
        let lost = self
            .tab
            .delivered
            .amount()
            .checked_sub(self.paid())
            .unwrap_or_default();
        let window = Owed::ZERO.add(self.widest, price()).amount();
        prop_assert!(lost <= window.max(terms().float), "{} lost: {:?}", lost, self.tab);
        let accomplice = line_at(&self.world, &self.escrow, 3).map_or(Amount::ZERO, |line| line.paid);
        prop_assert!(self.paid().units() + accomplice.units() <= self.put_in);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_payee_loses_one_window_or_the_float(moves in vec(moves(), 1..60)) {
        let mut duel = Duel::new();
        for step in &moves {
            duel.step(step)?;
        }
        duel.end()?;
    }
}
