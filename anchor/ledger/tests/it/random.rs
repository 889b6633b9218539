//! Properties over random transactions and random bytes.

use std::collections::{BTreeMap, BTreeSet};

use ledger::{
    Action, Amount, AssetMeta, Body, Bundle, Certificate, Genesis, Header, Kind, MemoryState, Records, State,
    Transition, Tx, TxBody, audit, decode, encode,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::world::*;

/// A few of everything, so that transactions meet each other.
fn names() -> impl Strategy<Value = ledger::Label> {
    prop_oneof!["alice", "bob", "xy"].prop_map(|text| label(&text))
}

fn contents() -> impl Strategy<Value = ledger::Link> {
    (0..2u8).prop_map(|n| content(&n.to_string()))
}

fn people() -> impl Strategy<Value = u8> {
    1..5u8
}

fn amounts() -> impl Strategy<Value = Amount> {
    prop_oneof![
        4 => (0..1_500u64).prop_map(|n| Amount::from_coins(n).unwrap()),
        1 => any::<u64>().prop_map(Amount::from_units),
    ]
}

fn records() -> impl Strategy<Value = Records> {
    let parts = (
        proptest::option::of(contents()),
        vec(any::<[u8; 4]>(), 0..18),
        vec(any::<[u8; 16]>(), 0..3),
        proptest::option::weighted(0.1, "[a-z.]{0,20}"),
        vec("[a-z\\PC]{0,70}", 0..3),
        prop_oneof![3 => Just(None), 3 => (1..600_000u32).prop_map(Some), 1 => any::<u32>().prop_map(Some)],
    );
    parts.prop_map(|(content, a, aaaa, cname, txt, ttl)| Records {
        content,
        a: a.into_iter().map(Into::into).collect(),
        aaaa: aaaa.into_iter().map(Into::into).collect(),
        cname,
        txt,
        ttl,
    })
}

fn reveals() -> impl Strategy<Value = Action> {
    let meta = (
        proptest::option::of(".{0,40}"),
        proptest::option::of(any::<u64>()),
    )
        .prop_map(|(title, bytes)| AssetMeta {
            title,
            bytes,
            ..AssetMeta::default()
        });
    prop_oneof![
        (names(), 0..2u8, records()).prop_map(|(label, n, records)| Action::NameRegister {
            label,
            secret: secret(n),
            records
        }),
        (contents(), 0..2u8, meta).prop_map(|(cid, n, meta)| Action::AssetAnchor {
            cid,
            secret: secret(n),
            meta
        }),
    ]
}

fn other_actions() -> impl Strategy<Value = Action> {
    prop_oneof![
        (people(), amounts()).prop_map(|(to, amount)| Action::Transfer { to: at(to), amount }),
        Just(Action::Faucet {}),
        (names(), "|docs|a\\.b|-|[A-Z]{1,3}", records()).prop_map(|(label, under, records)| {
            Action::NameSet {
                label,
                under,
                records,
            }
        }),
        (names(), 0..4u32).prop_map(|(label, periods)| Action::NameRenew { label, periods }),
        (names(), people()).prop_map(|(label, to)| Action::NameTransfer { label, to: at(to) }),
        names().prop_map(|label| Action::NameRelease { label }),
        (contents(), people()).prop_map(|(cid, to)| Action::AssetTransfer { cid, to: at(to) }),
        contents().prop_map(|cid| Action::AssetTombstone { cid }),
    ]
}

/// What happens next on a chain.
#[derive(Clone, Debug)]
enum Step {
    /// Somebody sends something. `skew` is added to the right nonce.
    Send {
        by: u8,
        action: Action,
        skew: u64,
        fee: Amount,
    },
    /// The commit of a claim.
    Commit { by: u8, reveal: Action },
    /// The claim of one of the commits so far, by whoever made it, or by a thief.
    Reveal { which: Index, thief: Option<u8> },
    /// The block ends, and so many empty ones follow.
    Block { empty: u64 },
}

fn steps() -> impl Strategy<Value = Step> {
    let skew = prop_oneof![9 => Just(0u64), 1 => 1..3u64];
    let fee = prop_oneof![9 => Just(Amount::from_units(100_000)), 1 => amounts()];
    let action = prop_oneof![1 => reveals(), 5 => other_actions()];
    let empty = prop_oneof![8 => Just(0u64), 1 => 1..30u64, 1 => 80..130u64];
    prop_oneof![
        6 => (people(), action, skew, fee)
            .prop_map(|(by, action, skew, fee)| Step::Send { by, action, skew, fee }),
        2 => (people(), reveals()).prop_map(|(by, reveal)| Step::Commit { by, reveal }),
        3 => (any::<Index>(), proptest::option::weighted(0.2, people()))
            .prop_map(|(which, thief)| Step::Reveal { which, thief }),
        4 => empty.prop_map(|empty| Step::Block { empty }),
    ]
}

/// A chain on which random things are tried.
struct Trial {
    genesis: Genesis,
    state: MemoryState,
    height: u64,
    commits: Vec<(u8, Action)>,
    passed: BTreeSet<Kind>,
}

impl Trial {
    fn run(steps: &[Step]) -> Result<BTreeSet<Kind>, TestCaseError> {
        let genesis = genesis();
        let state = MemoryState(genesis.initial_state().unwrap().into_iter().collect());
        let mut trial = Self {
            genesis,
            state,
            height: 0,
            commits: vec![],
            passed: BTreeSet::new(),
        };
        let fee = trial.genesis.fee;
        let draw = |by| Step::Send {
            by,
            action: Action::Faucet {},
            skew: 0,
            fee,
        };
        trial.block(&(1..5).map(draw).collect::<Vec<_>>())?;
        for block in steps.split_inclusive(|step| matches!(step, Step::Block { .. })) {
            trial.block(block)?;
            if let Some(Step::Block { empty }) = block.last() {
                (0..*empty).try_for_each(|_| trial.block(&[]))?;
            }
        }
        let due = trial
            .state
            .0
            .keys()
            .filter(|key| key.starts_with(ledger::key::DUE))
            .count();
        prop_assert!(due as u64 <= trial.genesis.commit_ttl + 1, "old commits are kept");
        Ok(trial.passed)
    }

    /// One block with everything that is tried, and the same with what passed only: both must come to the same.
    fn block(&mut self, steps: &[Step]) -> Result<(), TestCaseError> {
        self.height += 1;
        let Self {
            genesis,
            state,
            height,
            commits,
            passed,
        } = self;
        let nonce = |n: u8| state.account(&at(n)).unwrap().nonce;
        let mut nonces: BTreeMap<u8, u64> = (1..5).map(|n| (n, nonce(n))).collect();
        let mut all = Transition::new(genesis, state, *height, at(DELEGATE));
        let mut good = Transition::new(genesis, state, *height, at(DELEGATE));
        for step in steps {
            let Some((by, action, skew, fee)) = attempt(step, commits) else {
                continue;
            };
            let kind = action.kind();
            let tx = sign(by, nonces[&by] + skew, fee, action);
            match all.apply(&tx) {
                Ok(()) => {
                    good.apply(&tx).unwrap();
                    nonces.entry(by).and_modify(|nonce| *nonce += 1);
                    passed.insert(kind);
                }
                Err(refusal) => prop_assert!(!refusal.is_fatal(), "{refusal}"),
            }
        }
        let changes = all.finish().unwrap();
        prop_assert_eq!(
            &changes,
            &good.finish().unwrap(),
            "a refused transaction left something behind"
        );
        if !changes.is_empty() {
            state.write(changes);
            let audit = audit(state.0.clone(), genesis).unwrap();
            prop_assert!(audit.holds(), "{:?} at height {}", audit, height);
        }
        Ok(())
    }
}

fn attempt(step: &Step, commits: &mut Vec<(u8, Action)>) -> Option<(u8, Action, u64, Amount)> {
    let usual = Amount::from_units(100_000);
    match step {
        Step::Send {
            by,
            action,
            skew,
            fee,
        } => Some((*by, action.clone(), *skew, *fee)),
        Step::Commit { by, reveal } => {
            commits.push((*by, reveal.clone()));
            Some((*by, commit(*by, reveal), 0, usual))
        }
        Step::Reveal { which, thief } => {
            let (by, reveal) = {
                let latest = &commits[commits.len().saturating_sub(4)..];
                (!latest.is_empty()).then(|| which.get(latest))?
            };
            Some((thief.unwrap_or(*by), reveal.clone(), 0, usual))
        }
        Step::Block { .. } => None,
    }
}

/// Whether the random chains are worth anything: each kind of transaction passes on some of them.
#[test]
fn random_chains_reach_every_kind() {
    let mut runner = TestRunner::deterministic();
    let chains = vec(steps(), 100..200);
    let mut passed = BTreeSet::new();
    for _ in 0..24 {
        let chain = chains.new_tree(&mut runner).unwrap().current();
        passed.append(&mut Trial::run(&chain).unwrap());
    }
    assert_eq!(passed.into_iter().collect::<Vec<_>>(), Kind::ALL);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn coins_are_conserved_and_refusals_leave_nothing(steps in vec(steps(), 1..120)) {
        Trial::run(&steps)?;
    }

    #[test]
    fn transactions_survive_both_encodings(
        by in people(),
        nonce: u64,
        fee in amounts(),
        action in prop_oneof![reveals(), other_actions()],
    ) {
        let tx = Tx::sign(TxBody { chain: CHAIN.into(), nonce, fee, action }, &who(by));
        prop_assert!(tx.verify_signature());
        prop_assert_eq!(&decode::<Tx>(&tx.encode()).unwrap(), &tx);
        let json = serde_json::to_vec(&tx).unwrap();
        prop_assert_eq!(&serde_json::from_slice::<Tx>(&json).unwrap(), &tx);
    }

    #[test]
    fn a_changed_transaction_is_another_one_or_none(
        by in people(),
        action in prop_oneof![reveals(), other_actions()],
        place: Index,
        mask in 1..=255u8,
    ) {
        let bytes = sign(by, 0, Amount::from_units(100_000), action).encode();
        let mut changed = bytes.clone();
        changed[place.index(bytes.len())] ^= mask;
        if let Ok(tx) = decode::<Tx>(&changed) {
            prop_assert_eq!(tx.encode(), changed, "two encodings of one transaction");
            prop_assert!(!tx.verify_signature(), "a changed transaction is still signed");
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..400)) {
        fn check<T: serde::Serialize + serde::de::DeserializeOwned>(bytes: &[u8]) {
            if let Ok(value) = decode::<T>(bytes) {
                assert_eq!(encode(&value), bytes);
            }
        }
        check::<Tx>(&bytes);
        check::<Header>(&bytes);
        check::<Body>(&bytes);
        check::<Certificate>(&bytes);
        check::<Genesis>(&bytes);
        let _ = Bundle::decode(&bytes);
        let _ = Genesis::parse(&bytes);
    }

    #[test]
    fn names_and_labels_never_panic(text in "\\PC{0,80}") {
        let _ = ledger::Label::parse(&text);
        let _ = ledger::Address::parse("dev", &text);
        let _ = Amount::parse_coins(&text);
        if let Ok(path) = ledger::NamePath::parse(&format!("{text}.ddn"), "ddn") {
            prop_assert_eq!(path.display("ddn"), format!("{text}.ddn"));
        }
    }

    #[test]
    fn coins_survive_their_text(units: u64) {
        let amount = Amount::from_units(units);
        prop_assert_eq!(Amount::parse_coins(&amount.coins()).unwrap(), amount);
    }
}
