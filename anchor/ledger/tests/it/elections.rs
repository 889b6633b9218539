//! Elections: who sits and who does not, what votes earn, what an equivocator loses.

use std::collections::{BTreeMap, BTreeSet};

use ledger::{
    Action, Address, Amount, Balance, Certificate, Election, Equivocation, Genesis, GenesisDelegate, Hash,
    MemoryState, Parts, Phase, Refusal, Rewards, Signature, SignedVote, Standing, State, Step, Transition,
    ValidatorSet, VoteKind, audit, proposal_bytes, proposer, reveal_tip, vote_bytes,
};

use crate::world::*;

/// Blocks in a round.
const ROUND: u64 = 6;
const UNBONDING: u64 = 20;
const EVIDENCE_AGE: u64 = 15;

/// Two votes of account `by` at a height.
pub fn equivocation(by: u8, height: u64) -> Equivocation {
    let key = who(by);
    let vote = |value: Option<Hash>| SignedVote {
        value,
        quorum: None,
        sig: key.sign_bytes(&vote_bytes(VoteKind::Prevote, CHAIN, height, 1, value)),
    };
    Equivocation {
        delegate: key.public(),
        kind: VoteKind::Prevote.into(),
        height,
        round: 1,
        votes: [vote(None), vote(Some(secret(1)))],
    }
}

/// The reveals of account `by`: each hashes to the one before.
fn reveals(by: u8) -> Vec<Hash> {
    let mut chain = vec![Hash::of(&[by])];
    for _ in 0..400 {
        chain.push(reveal_tip(chain.last().unwrap()));
    }
    chain.reverse();
    chain
}

fn rules() -> Genesis {
    let mut genesis = genesis();
    genesis.seats = 3;
    genesis.faucet = None;
    genesis.transactions.retain(|kind| *kind != ledger::Kind::Faucet);
    genesis.balances = (1..=9)
        .map(|n| Balance {
            address: at(n),
            amount: coins("10000000"),
        })
        .collect();
    genesis.balances.push(Balance {
        address: at(DELEGATE),
        amount: coins("10000000"),
    });
    genesis.balances.sort_by_key(|balance| balance.address);
    genesis.election = Election {
        round: ROUND,
        registration: coins("5"),
        own_min: coins("10"),
        votes_per_own: 10,
        missed_max: 1,
        absent_max: 5_000,
        jail_rounds: 2,
        unbonding: UNBONDING,
        evidence_age: EVIDENCE_AGE,
        slash: 5_000,
    };
    genesis.delegates = (1..=3)
        .map(|n| GenesisDelegate {
            key: who(n).public(),
            engine: engine(n),
            tip: Some(reveals(n)[0]),
        })
        .collect();
    genesis.delegates.sort_by_key(|delegate| delegate.key.address());
    genesis
}

fn engine(n: u8) -> String {
    format!("/ip4/10.0.0.{n}/tcp/4103/p2p/12D3KooW{n}")
}

/// A chain whose blocks are made by those who sit, but for those who are down.
struct Chain {
    genesis: Genesis,
    state: MemoryState,
    height: u64,
    /// The engine's round and the signers of the last block.
    last: Option<Certificate>,
    down: BTreeSet<u8>,
    /// How many reveals each has made.
    revealed: BTreeMap<Address, usize>,
}

impl Chain {
    fn new(change: impl FnOnce(&mut Genesis)) -> Self {
        let mut genesis = rules();
        change(&mut genesis);
        genesis.validate().unwrap();
        Self {
            state: MemoryState(genesis.initial_state().unwrap().into_iter().collect()),
            genesis,
            height: 0,
            last: None,
            down: BTreeSet::new(),
            revealed: BTreeMap::new(),
        }
    }

    fn set(&self) -> ValidatorSet {
        self.state.validators().unwrap()
    }

    /// Who sits now.
    fn seats(&self) -> BTreeSet<u8> {
        self.set()
            .validators()
            .iter()
            .map(|seat| (1..=9).find(|n| at(*n) == seat.address()).unwrap())
            .collect()
    }

    fn is_down(&self, address: &Address) -> bool {
        self.down.iter().any(|n| at(*n) == *address)
    }

    /// One block; each transaction must pass or be refused as told by the result.
    fn block(&mut self, steps: Vec<(u8, Action)>) -> Vec<Result<(), Refusal>> {
        self.height += 1;
        let (set, round) = (self.set(), self.state.round().unwrap());
        let order = round.order();
        let (attempt, maker) = (0..)
            .map(|attempt| (attempt, proposer(&set, &order, self.height, attempt).address()))
            .find(|(_, maker)| !self.is_down(maker))
            .unwrap();
        let has_tip = self.state.delegate(&maker).unwrap().unwrap().tip.is_some();
        let number = (1..=9).find(|n| at(*n) == maker).unwrap();
        let reveal = has_tip.then(|| {
            let next = self.revealed.entry(maker).or_insert(0);
            *next += 1;
            reveals(number)[*next]
        });
        let mut run = Transition::new(&self.genesis, &self.state, self.height, maker);
        run.open(reveal.as_ref(), self.last.as_ref()).unwrap();
        let mut nonces = BTreeMap::new();
        let mut results = Vec::new();
        for (by, action) in steps {
            let nonce = nonces
                .entry(by)
                .or_insert_with(|| self.state.account(&at(by)).unwrap().nonce);
            let fee = self.genesis.fee_of(action.kind());
            let result = run.apply(&sign(by, *nonce, fee, action));
            *nonce += u64::from(result.is_ok());
            results.push(result);
        }
        let changes = run.finish().unwrap();
        self.state.write(changes);
        assert!(audit(self.state.0.clone(), &self.genesis).unwrap().holds());
        let signers = set.validators().iter().map(|seat| seat.address());
        let up = signers.filter(|address| !self.is_down(address));
        let votes = up.map(|address| (address, Signature::from_bytes([0; 64])));
        let header = Hash::of(&self.height.to_be_bytes());
        self.last = Some(Certificate::build(&set, self.height, attempt, header, votes).unwrap());
        results
    }

    fn pass(&mut self, by: u8, action: Action) {
        for result in self.block(vec![(by, action)]) {
            result.unwrap();
        }
    }

    fn refused(&mut self, by: u8, action: Action) -> String {
        self.block(vec![(by, action)]).remove(0).unwrap_err().to_string()
    }

    fn empty(&mut self, blocks: u64) {
        for _ in 0..blocks {
            self.block(vec![]);
        }
    }

    /// To the last block of a round.
    fn end_round(&mut self) {
        while !self.height.is_multiple_of(ROUND) {
            self.block(vec![]);
        }
    }

    fn delegate(&self, n: u8) -> ledger::Delegate {
        self.state.delegate(&at(n)).unwrap().unwrap()
    }

    fn balance(&self, n: u8) -> Amount {
        self.state.account(&at(n)).unwrap().balance
    }
}

fn register_delegate(n: u8, stake: &str) -> Action {
    Action::DelegateRegister {
        engine: engine(n),
        tip: reveals(n)[0],
        stake: coins(stake),
    }
}

fn vote(to: u8, amount: &str) -> Action {
    Action::Vote {
        delegate: at(to),
        amount: coins(amount),
    }
}

fn unvote(from: u8, amount: &str) -> Action {
    Action::Unvote {
        delegate: at(from),
        amount: coins(amount),
    }
}

#[test]
fn who_has_most_votes_sits_in_the_round_after_the_next() {
    let mut chain = Chain::new(|_| {});
    chain.pass(4, register_delegate(4, "100"));
    chain.pass(5, register_delegate(5, "50"));
    chain.pass(9, vote(5, "200"));
    // Those of the genesis have no votes, but somebody has to sit: of them the one with the lowest address stays.
    chain.end_round();
    assert_eq!(chain.seats(), BTreeSet::from([1, 2, 3]), "elected, but for later");
    chain.empty(ROUND);
    let stays = (1..=3).min_by_key(|n| at(*n)).unwrap();
    assert_eq!(chain.seats(), BTreeSet::from([4, 5, stays]));
    assert_eq!(chain.delegate(5).weight(10), coins("250"));
    // They propose, with reveals, for a round.
    chain.empty(ROUND);
    let made: u32 = chain
        .revealed
        .iter()
        .filter(|(who, _)| **who == at(4))
        .map(|(_, n)| *n as u32)
        .sum();
    assert_eq!(made, 2, "two turns of six for each of three seats");
}

#[test]
fn votes_of_others_count_up_to_ten_times_the_own() {
    let mut chain = Chain::new(|_| {});
    chain.pass(4, register_delegate(4, "10"));
    chain.pass(5, register_delegate(5, "10"));
    chain.pass(6, register_delegate(6, "10"));
    chain.pass(7, register_delegate(7, "20"));
    chain.block(
        (4..=6)
            .map(|n| (9, vote(n, "10000")))
            .chain([(9, vote(7, "150"))])
            .collect(),
    );
    chain.end_round();
    chain.empty(ROUND);
    assert!(chain.seats().contains(&7), "170 count more than 110");
}

#[test]
fn who_is_gone_is_jailed_and_comes_back_when_it_asks() {
    let mut chain = Chain::new(|_| {});
    chain.block((4..=5).map(|n| (n, register_delegate(n, "100"))).collect());
    chain.pass(9, vote(1, "900"));
    chain.pass(9, vote(4, "500"));
    chain.end_round();
    chain.empty(ROUND);
    assert!(chain.seats().is_superset(&BTreeSet::from([4, 5])));
    assert_eq!(
        chain.delegate(1).weight(10),
        coins("0"),
        "with nothing of its own"
    );
    chain.down.insert(4);
    chain.empty(ROUND);
    let Standing::Jailed { until_round } = chain.delegate(4).standing else {
        panic!("{:?}", chain.delegate(4));
    };
    assert!(
        !chain.seats().contains(&4),
        "another sits at once in the next round"
    );
    assert_eq!(chain.seats().len(), 3);
    let words = chain.refused(4, Action::DelegateReturn {});
    assert!(
        words.contains(&format!("in jail until round {until_round}")),
        "{words}"
    );
    chain.down.clear();
    chain.end_round();
    while chain.state.round().unwrap().number < until_round {
        chain.empty(ROUND);
    }
    chain.pass(4, Action::DelegateReturn {});
    chain.end_round();
    chain.empty(ROUND);
    assert!(chain.seats().contains(&4));
    assert!(
        chain
            .refused(4, Action::DelegateReturn {})
            .ends_with("is not in jail")
    );
}

#[test]
fn votes_are_locked_until_their_time_is_over() {
    // Who makes a block would get its own fee back.
    let mut chain = Chain::new(|genesis| {
        genesis.rewards.fees = Parts {
            proposer: 0,
            burnt: 10_000,
            ..Parts::default()
        };
    });
    chain.pass(4, register_delegate(4, "100"));
    chain.pass(9, vote(4, "70"));
    let before = chain.balance(9);
    chain.pass(9, unvote(4, "30"));
    let fee = chain.genesis.fee;
    assert_eq!(chain.balance(9), before.checked_sub(fee).unwrap());
    assert_eq!(chain.delegate(4).votes, coins("140"));
    chain.empty(UNBONDING - 1);
    assert_eq!(chain.balance(9), before.checked_sub(fee).unwrap());
    chain.empty(1);
    assert_eq!(
        chain.balance(9),
        before.checked_sub(fee).unwrap().checked_add(coins("30")).unwrap()
    );
    let words = chain.refused(9, unvote(4, "41"));
    assert!(words.ends_with("this account has locked 40 for it"), "{words}");
    let words = chain.refused(4, unvote(4, "91"));
    assert!(words.contains("at least 10 are needed"), "{words}");
    chain.pass(4, Action::DelegateResign {});
    let before = chain.balance(4);
    chain.pass(4, unvote(4, "100"));
    chain.empty(UNBONDING);
    assert_eq!(
        chain.balance(4),
        before
            .checked_sub(fee)
            .unwrap()
            .checked_add(coins("100"))
            .unwrap()
    );
    assert!(chain.refused(9, vote(4, "1")).contains("has resigned"));
}

#[test]
fn an_equivocator_loses_half_of_its_own_and_is_out_for_ever() {
    let mut chain = Chain::new(|_| {});
    chain.pass(4, register_delegate(4, "100"));
    chain.pass(9, vote(4, "70"));
    chain.pass(4, unvote(4, "40"));
    let evidence = |height| Action::Evidence {
        found: Box::new(equivocation(4, height)),
    };
    let spent = chain.balance(4);
    chain.pass(8, evidence(2));
    let delegate = chain.delegate(4);
    assert_eq!(delegate.standing, Standing::Tombstoned);
    assert_eq!((delegate.own, delegate.votes), (coins("30"), coins("100")));
    assert_eq!(
        delegate.leaving[0].amount,
        coins("20"),
        "what it took back is not safe either"
    );
    let words = chain.refused(8, evidence(3));
    assert!(words.contains("is out for ever"), "{words}");
    for action in [register_delegate(4, "100"), Action::DelegateReturn {}] {
        chain.refused(4, action);
    }
    chain.pass(9, unvote(4, "70"));
    chain.empty(UNBONDING);
    assert_eq!(chain.balance(4), spent.checked_add(coins("20")).unwrap());
    chain.pass(4, unvote(4, "30"));
    assert_eq!(chain.delegate(4).votes, coins("0"));
}

#[test]
fn evidence_that_proves_nothing_is_refused() {
    let mut chain = Chain::new(|_| {});
    chain.empty(EVIDENCE_AGE + 5);
    let mut check = |change: fn(&mut Equivocation), words: &str| {
        let mut found = equivocation(1, 18);
        change(&mut found);
        let said = chain.refused(
            8,
            Action::Evidence {
                found: Box::new(found),
            },
        );
        assert!(said.contains(words), "{said:?} does not say {words:?}");
    };
    let nothing = "the evidence proves nothing against";
    check(|found| found.votes.reverse(), nothing);
    check(|found| found.votes[1] = found.votes[0].clone(), nothing);
    check(|found| found.round = 2, nothing);
    check(|found| found.kind = VoteKind::Precommit.into(), nothing);
    check(|found| found.votes[1].value = Some(secret(2)), nothing);
    check(|found| found.height = 1, "the evidence is of height 1, from ");
    check(
        |found| found.height = 1_000,
        "the evidence is of height 1000, from ",
    );
    check(|found| found.delegate = who(9).public(), "is no delegate");
    chain.pass(
        8,
        Action::Evidence {
            found: Box::new(equivocation(1, 18)),
        },
    );
}

#[test]
fn two_proposals_of_one_round_convict() {
    let mut chain = Chain::new(|_| {});
    chain.empty(20);
    let proposed = |value: Hash, quorum| SignedVote {
        value: Some(value),
        quorum,
        sig: who(1).sign_bytes(&proposal_bytes(CHAIN, 18, 2, quorum, &value)),
    };
    let mut votes = [proposed(secret(1), None), proposed(secret(2), Some(1))];
    votes.sort_by_key(|vote| vote.value);
    let found = Equivocation {
        delegate: who(1).public(),
        kind: Step::Proposal,
        height: 18,
        round: 2,
        votes,
    };
    let mut changed = found.clone();
    changed.votes[0].quorum = Some(0);
    let changed = Box::new(changed);
    let said = chain.refused(8, Action::Evidence { found: changed });
    assert!(said.contains("the evidence proves nothing against"), "{said}");
    let found = Box::new(found);
    chain.pass(8, Action::Evidence { found: found.clone() });
    let again = chain.refused(8, Action::Evidence { found });
    assert!(
        again.contains("is tombstoned") || again.contains("two things"),
        "{again}"
    );
}

#[test]
fn a_wrong_reveal_makes_no_block() {
    let chain = Chain::new(|_| {});
    let (set, round) = (chain.set(), chain.state.round().unwrap());
    let maker = proposer(&set, &round.order(), 1, 0).address();
    for reveal in [None, Some(secret(1))] {
        let mut run = Transition::new(&chain.genesis, &chain.state, 1, maker);
        let refusal = run.open(reveal.as_ref(), None).unwrap_err();
        assert!(matches!(refusal, Refusal::Reveal { .. }), "{refusal}");
    }
}

/// What is revealed in a round decides the order of the round after the next, and of none before.
#[test]
fn reveals_decide_the_order_two_rounds_later() {
    let seeds = |with: bool| {
        let mut chain = Chain::new(|genesis| {
            for delegate in genesis.delegates.iter_mut().filter(|_| !with) {
                delegate.tip = None;
            }
        });
        let mut seeds = vec![];
        for _ in 0..4 {
            seeds.push(chain.state.round().unwrap().seed);
            chain.empty(ROUND);
        }
        seeds
    };
    let (with, without) = (seeds(true), seeds(false));
    // The genesis is another one, so only what changes within each chain can be compared.
    assert_eq!(with.iter().collect::<BTreeSet<_>>().len(), 4);
    assert_eq!(without.iter().collect::<BTreeSet<_>>().len(), 4);
    let mut chain = Chain::new(|_| {});
    chain.down.insert(1);
    let first = chain.state.round().unwrap();
    chain.empty(ROUND);
    let second = chain.state.round().unwrap();
    assert_eq!((first.seed, second.seed), (with[0], with[1]), "whoever reveals");
    chain.empty(ROUND);
    assert_ne!(chain.state.round().unwrap().seed, with[2]);
}

#[test]
fn rewards_and_fees_go_where_the_genesis_says() {
    let parts = Parts {
        proposer: 1_000,
        leaders: 1_000,
        seats: 3_000,
        voters: 4_000,
        burnt: 1_000,
    };
    let mut chain = Chain::new(|genesis| {
        genesis.rewards = Rewards {
            phases: vec![
                Phase {
                    until: Some(ROUND),
                    reward: coins("10"),
                },
                Phase {
                    until: Some(2 * ROUND),
                    reward: coins("5"),
                },
            ],
            parts,
            fees: parts,
            leaders: 1,
        };
    });
    let supply = |chain: &Chain| chain.state.supply().unwrap();
    let start = supply(&chain);
    chain.pass(1, vote(1, "10"));
    chain.pass(9, vote(1, "30"));
    chain.end_round();
    // 60 coins and two fees of 0.001, a tenth of both burnt.
    let grown = supply(&chain).checked_sub(start).unwrap();
    assert_eq!(grown, coins("53.9998"));
    let before = chain.balance(9);
    chain.pass(9, Action::VoteCollect { delegate: at(1) });
    // Voters of a seat share a third of 40 % of 60.002 coins; three quarters of that are account 9's.
    let earned = chain
        .balance(9)
        .checked_add(chain.genesis.fee)
        .unwrap()
        .checked_sub(before)
        .unwrap();
    assert_eq!(earned, coins("6.00019999"));
    assert!(
        chain
            .refused(9, Action::VoteCollect { delegate: at(1) })
            .contains("have earned nothing")
    );
    chain.empty(3 * ROUND);
    let end = supply(&chain);
    chain.empty(ROUND);
    assert_eq!(supply(&chain), end, "nothing comes after the last phase");
}
