//! Properties over random transactions and random bytes.

use std::collections::{BTreeMap, BTreeSet};

use ledger::{
    Action, Amount, AssetMeta, Body, Bundle, Certificate, DeliveryProof, Genesis, Hash, Header, Kind,
    MemoryState, Parts, Records, Rewards, State, Transition, Tx, TxBody, audit, decode, encode,
};
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::paying::*;
use crate::world::*;

/// A few of everything, so that transactions meet each other.
fn names() -> impl Strategy<Value = ledger::Label> {
    prop_oneof!["alice", "bob", "xy"].prop_map(|text| label(&text))
}

fn contents() -> impl Strategy<Value = ledger::Link> {
    (0..2u8).prop_map(|n| content(&n.to_string()))
}

fn assets() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("0"), Just("1")]
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
        weighted(0.1, "[a-z.]{0,20}"),
        vec("[a-z\\PC]{0,70}", 0..3),
        prop_oneof![3 => Just(None), 3 => (1..600_000u32).prop_map(Some), 1 => any::<u32>().prop_map(Some)],
        weighted(0.2, "https://[a-z]{1,20}\\.example(:[1-3][0-9]{0,4})?"),
        weighted(0.2, "[1-9][0-9]{0,3} [a-z]{1,20}"),
    );
    parts.prop_map(|(content, a, aaaa, cname, txt, ttl, origin, mx)| Records {
        content,
        a: a.into_iter().map(Into::into).collect(),
        aaaa: aaaa.into_iter().map(Into::into).collect(),
        cname,
        txt,
        mx: mx.iter().map(|text| text.parse().unwrap()).collect(),
        origin: origin.map(|text| ledger::Origin::parse(&text).unwrap()),
        ttl,
        ..Records::default()
    })
}

fn prices() -> impl Strategy<Value = Amount> {
    (0..3u64).prop_map(|n| Amount::from_coins(n).unwrap())
}

/// Mostly the same bytes, since these cannot change later.
fn metas() -> impl Strategy<Value = AssetMeta> {
    let tags = vec(prop_oneof![Just("a"), Just("b"), Just("b-c"), Just("d")], 0..4);
    let parts = (
        proptest::option::of(".{0,40}"),
        weighted(0.1, any::<u64>()),
        tags,
        any::<bool>(),
        weighted(0.3, ".{0,70}"),
        weighted(0.7, prices()),
    );
    parts.prop_map(|(title, bytes, mut tags, is_sorted, licence, price)| {
        if is_sorted {
            tags.sort_unstable();
            tags.dedup();
        }
        AssetMeta {
            title,
            bytes,
            tags: tags.into_iter().map(|tag| tag.parse().unwrap()).collect(),
            licence,
            price,
            ..AssetMeta::default()
        }
    })
}

fn reveals() -> impl Strategy<Value = Action> {
    let meta = metas();
    prop_oneof![
        (names(), 0..2u8, records()).prop_map(|(label, n, records)| Action::NameRegister {
            label,
            secret: secret(n),
            records
        }),
        (contents(), 0..2u8, meta, shares()).prop_map(|(cid, n, meta, shares)| Action::AssetAnchor {
            cid,
            secret: secret(n),
            meta,
            split: split_of(&shares),
        }),
    ]
}

fn shares() -> impl Strategy<Value = Vec<(Option<u8>, u16)>> {
    vec((proptest::option::of(people()), 0..3_000u16), 0..3)
}

fn other_actions() -> impl Strategy<Value = Action> {
    prop_oneof![
        1 => (people(), amounts()).prop_map(|(to, amount)| Action::Transfer { to: at(to), amount }),
        1 => Just(Action::Faucet {}),
        1 => (names(), "|docs|a\\.b|_dmarc|_|-|[A-Z]{1,3}", records()).prop_map(|(label, under, records)| {
            Action::NameSet {
                label,
                under,
                records,
            }
        }),
        1 => (names(), 0..4u32).prop_map(|(label, periods)| Action::NameRenew { label, periods }),
        1 => (names(), people()).prop_map(|(label, to)| Action::NameTransfer { label, to: at(to) }),
        1 => names().prop_map(|label| Action::NameRelease { label }),
        1 => (contents(), people()).prop_map(|(cid, to)| Action::AssetTransfer { cid, to: at(to) }),
        1 => contents().prop_map(|cid| Action::AssetTombstone { cid }),
        2 => (contents(), metas()).prop_map(|(cid, meta)| Action::AssetSet { cid, meta }),
        2 => (contents(), prices()).prop_map(|(cid, price)| Action::AssetLicense { cid, price }),
        5 => edges(),
        3 => chains(),
        8 => delegates(),
    ]
}

/// What is tried with delegates, among the same few accounts.
fn delegates() -> impl Strategy<Value = Action> {
    let stakes = (0..40u64).prop_map(|n| Amount::from_coins(n).unwrap());
    (people(), people(), stakes, 0..40u64, 0..14u8).prop_map(|(by, of, amount, height, what)| {
        let delegate = at(of);
        match what {
            0..3 => Action::DelegateRegister {
                engine: "/ip4/10.0.0.1/tcp/1/p2p/12D3KooW".into(),
                tip: secret(by),
                stake: amount,
            },
            3 => Action::DelegateUpdate {
                engine: None,
                tip: Some(secret(by)),
            },
            4 => Action::DelegateResign {},
            5 => Action::DelegateReturn {},
            6..9 => Action::Vote { delegate, amount },
            9..11 => Action::Unvote { delegate, amount },
            11..13 => Action::VoteCollect { delegate },
            _ => Action::Evidence {
                found: Box::new(crate::elections::equivocation(of, height)),
            },
        }
    })
}

/// Two other chains, and headers of theirs that fit, contradict each other, or hang in the air.
fn chains() -> impl Strategy<Value = Action> {
    let ids = prop_oneof!["far-1", "far-2"];
    let tlds = prop_oneof!["faraway", "alice", "ddn"];
    prop_oneof![
        1 => (ids.clone(), tlds).prop_map(|(id, tld)| crate::chains::register_far(&id, &tld)),
        3 => (ids, 1..6u64, 0..2u8, 4..6u8, 4..6u8).prop_map(|(id, height, root, from, to)| {
            let [from, to] = [from, to].map(crate::blocks::set);
            crate::chains::anchor_of(crate::chains::block(&id, 2 * height, secret(root), &from, &to))
        }),
    ]
}

fn edges() -> impl Strategy<Value = Action> {
    let bonds = (0..40u64).prop_map(|n| Amount::from_coins(n).unwrap());
    let parts = (1..4u8, people(), people(), amounts(), 0..4u32, bonds, 0..10u8);
    parts.prop_map(|(n, owner, payout, price, capacity, bond, what)| {
        let (node, payout, traffic_max) = (node_key(n), at(payout), 0);
        match what {
            0 => crate::frauds::fraud(crate::frauds::equivocation(n, 9 * u64::from(capacity))),
            1..3 => Action::EdgeLeave { node },
            3..5 => Action::EdgeSet {
                node,
                payout,
                price,
                capacity,
                traffic_max,
                bond,
            },
            _ => Action::EdgeRegister {
                node,
                payout,
                price,
                capacity,
                traffic_max,
                consent: ledger::edge_consent(CHAIN, &crate::paying::node(n), &at(owner)),
                bond,
            },
        }
    })
}

/// What is tried with an escrow.
#[derive(Clone, Debug)]
enum Use {
    TopUp(Amount),
    Allot {
        payee: u8,
        amount: Amount,
        term: u64,
        metered: bool,
    },
    Count(Amount),
    Exit,
    Close,
    Claim {
        signer: Option<u8>,
        asset: Option<&'static str>,
        cumulative: Amount,
        root: Option<u8>,
    },
}

impl Use {
    /// The action, on an escrow of `payer`, by account `by`.
    fn action(&self, escrow: Hash, payer: u8, by: u8, height: u64) -> Action {
        match self {
            Self::TopUp(amount) => Action::EscrowTopUp {
                escrow,
                amount: *amount,
            },
            Self::Allot {
                payee,
                amount,
                term,
                metered,
            } => Action::EscrowAllot {
                escrow,
                payee: at(*payee),
                amount: *amount,
                expires: height + term,
                metered: *metered,
            },
            Self::Count(cumulative) => claim_counted(escrow, *cumulative),
            Self::Exit => Action::EscrowExit { escrow },
            Self::Close => Action::EscrowClose { escrow },
            Self::Claim {
                signer,
                asset,
                cumulative,
                root,
            } => {
                let signer = signer.unwrap_or(payer);
                let voucher = match asset {
                    Some(asset) => voucher_for(asset, escrow, signer, by, *cumulative),
                    None => voucher(escrow, signer, by, *cumulative),
                };
                let vouchers = vec![voucher];
                match root {
                    Some(n) => claim_with(vouchers, secret(*n), u64::from(*n)),
                    None => claim_of(vouchers),
                }
            }
        }
    }
}

fn uses() -> impl Strategy<Value = Use> {
    prop_oneof![
        1 => amounts().prop_map(Use::TopUp),
        3 => (people(), amounts(), 0..30u64, any::<bool>())
            .prop_map(|(payee, amount, term, metered)| Use::Allot { payee, amount, term, metered }),
        2 => amounts().prop_map(Use::Count),
        1 => Just(Use::Exit),
        1 => Just(Use::Close),
        5 => (weighted(0.2, people()), weighted(0.4, assets()), amounts(), weighted(0.2, 0..6u8))
            .prop_map(|(signer, asset, cumulative, root)| Use::Claim { signer, asset, cumulative, root }),
    ]
}

fn escrow_actions() -> impl Strategy<Value = Action> {
    (uses(), people(), people()).prop_map(|(what, payer, by)| what.action(secret(payer), payer, by, 9))
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
    /// An escrow.
    Open { by: u8, amount: Amount },
    /// Something with one of the escrows so far, by its payer or by somebody else.
    Escrow { which: Index, by: Option<u8>, what: Use },
    /// The block ends, and so many empty ones follow.
    Block { empty: u64 },
}

fn steps() -> impl Strategy<Value = Step> {
    let skew = prop_oneof![9 => Just(0u64), 1 => 1..3u64];
    let fee = prop_oneof![9 => Just(Amount::from_units(100_000)), 1 => amounts()];
    let action = prop_oneof![1 => reveals(), 5 => other_actions()];
    let empty = prop_oneof![8 => Just(0u64), 1 => 1..30u64, 1 => 80..130u64];
    prop_oneof![
        10 => (people(), action, skew, fee)
            .prop_map(|(by, action, skew, fee)| Step::Send { by, action, skew, fee }),
        2 => (people(), reveals()).prop_map(|(by, reveal)| Step::Commit { by, reveal }),
        3 => (any::<Index>(), weighted(0.2, people()))
            .prop_map(|(which, thief)| Step::Reveal { which, thief }),
        1 => (people(), amounts()).prop_map(|(by, amount)| Step::Open { by, amount }),
        4 => (any::<Index>(), proptest::option::of(people()), uses())
            .prop_map(|(which, by, what)| Step::Escrow { which, by, what }),
        4 => empty.prop_map(|empty| Step::Block { empty }),
    ]
}

/// Everybody has a part of what blocks bring.
const PARTS: Parts = Parts {
    proposer: 3_000,
    leaders: 1_000,
    seats: 2_500,
    voters: 2_500,
    burnt: 1_000,
};

/// A chain on which random things are tried.
struct Trial {
    genesis: Genesis,
    state: MemoryState,
    height: u64,
    tried: Tried,
    passed: BTreeSet<Kind>,
}

/// What later steps come back to.
#[derive(Default)]
struct Tried {
    commits: Vec<(u8, Action)>,
    /// Payers and ids.
    escrows: Vec<(u8, Hash)>,
}

impl Trial {
    fn run(steps: &[Step]) -> Result<BTreeSet<Kind>, TestCaseError> {
        let mut genesis = genesis();
        genesis.seats = 3;
        genesis.election.round = 3;
        genesis.delivery.claim_burnt = 700;
        genesis.delivery.claim_seats = 1_100;
        genesis.delivery.withdrawn_grace = Some(2);
        genesis.rewards = Rewards {
            phases: vec![ledger::Phase {
                until: Some(50),
                reward: Amount::from_units(1_234_567),
            }],
            parts: PARTS,
            fees: PARTS,
            leaders: 2,
        };
        let state = MemoryState(genesis.initial_state().unwrap().into_iter().collect());
        let mut trial = Self {
            genesis,
            state,
            height: 0,
            tried: Tried::default(),
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
            tried,
            passed,
        } = self;
        let nonce = |n: u8| state.account(&at(n)).unwrap().nonce;
        let mut nonces: BTreeMap<u8, u64> = (1..5).map(|n| (n, nonce(n))).collect();
        let mut all = Transition::new(genesis, state, *height, at(DELEGATE));
        let mut good = Transition::new(genesis, state, *height, at(DELEGATE));
        for step in steps {
            let Some((by, action, skew, fee)) = tried.attempt(step, &nonces, *height) else {
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
            reserves_add_up(state)?;
            tags_are_found(state)?;
            anchors_are_listed(state)?;
            the_convicted_have_nothing(state)?;
        }
        Ok(())
    }
}

/// What an escrow says that it has set aside is what its lines say, metered or not.
fn reserves_add_up(state: &MemoryState) -> Result<(), TestCaseError> {
    use ledger::{Escrow, Line, key};
    let id = |key: &[u8], from: usize| key[from..from + 32].to_vec();
    let mut reserves: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
    for (key, value) in &state.0 {
        let escrow = if key.starts_with(key::LINES) {
            id(key, key::LINES.len())
        } else if key.starts_with(key::METERS) {
            id(key, key.len() - 32)
        } else {
            continue;
        };
        *reserves.entry(escrow).or_default() += decode::<Line>(value).unwrap().reserved.units();
    }
    for (key, value) in &state.0 {
        if key.starts_with(key::ESCROWS) {
            let escrow: Escrow = decode(value).unwrap();
            let lines = reserves.remove(&id(key, key::ESCROWS.len())).unwrap_or_default();
            prop_assert_eq!(escrow.reserved.units(), lines);
        }
    }
    Ok(())
}

/// The index of tags is what a look at every asset gives.
fn tags_are_found(state: &MemoryState) -> Result<(), TestCaseError> {
    use ledger::{Asset, key};
    let below = |prefix: &'static [u8]| state.0.iter().filter(move |(key, _)| key.starts_with(prefix));
    let index: BTreeSet<Vec<u8>> = below(key::TAGS).map(|(key, _)| key.clone()).collect();
    let mut scanned = BTreeSet::new();
    for (key, value) in below(key::ASSETS) {
        let cid: cid::Cid = key[key::ASSETS.len()..].try_into().unwrap();
        let asset: Asset = decode(value).unwrap();
        if asset.tombstone.is_none() {
            scanned.extend(asset.meta.tags.iter().map(|tag| key::tag(tag, &cid)));
        }
    }
    prop_assert_eq!(index, scanned);
    Ok(())
}

/// The headers that are kept of other chains are those that their entries list; each TLD is of a chain that has it.
fn anchors_are_listed(state: &MemoryState) -> Result<(), TestCaseError> {
    use ledger::{ChainEntry, key};
    let below = |prefix: &'static [u8]| state.0.iter().filter(move |(key, _)| key.starts_with(prefix));
    let kept: BTreeSet<Vec<u8>> = below(key::ANCHORED).map(|(key, _)| key.clone()).collect();
    let (mut listed, mut tlds) = (BTreeSet::new(), 0);
    for (_, value) in below(key::CHAINS) {
        let entry: ChainEntry = decode(value).unwrap();
        let id = &entry.checkpoint.chain;
        let holder = state.tld(&entry.tld).unwrap();
        prop_assert_eq!(holder.as_ref(), Some(id));
        prop_assert!(entry.forked.is_none() || entry.anchors.is_empty());
        listed.extend(entry.anchors.iter().map(|height| key::anchored(id, *height)));
        tlds += 1;
    }
    prop_assert_eq!(kept, listed);
    prop_assert_eq!(below(key::TLDS).count(), tlds);
    Ok(())
}

/// Who was convicted is no edge, and has nothing at stake.
fn the_convicted_have_nothing(state: &MemoryState) -> Result<(), TestCaseError> {
    for n in (1..5).map(node_key) {
        if state.conviction(&n).unwrap().is_some() {
            prop_assert_eq!((state.edge(&n).unwrap(), state.bond(&n).unwrap()), (None, None));
        }
    }
    Ok(())
}

impl Tried {
    fn attempt(
        &mut self,
        step: &Step,
        nonces: &BTreeMap<u8, u64>,
        height: u64,
    ) -> Option<(u8, Action, u64, Amount)> {
        let usual = Amount::from_units(100_000);
        match step {
            Step::Send {
                by,
                action,
                skew,
                fee,
            } => Some((*by, action.clone(), *skew, *fee)),
            Step::Commit { by, reveal } => {
                self.commits.push((*by, reveal.clone()));
                Some((*by, commit(*by, reveal), 0, usual))
            }
            Step::Reveal { which, thief } => {
                let (by, reveal) = pick(&self.commits, which)?;
                Some((thief.unwrap_or(*by), reveal.clone(), 0, usual))
            }
            Step::Open { by, amount } => {
                let id = ledger::escrow_id(CHAIN, &at(*by), nonces[by]);
                self.escrows.push((*by, id));
                let action = Action::EscrowOpen {
                    voucher_key: voucher_key(*by).public(),
                    amount: *amount,
                };
                Some((*by, action, 0, usual))
            }
            Step::Escrow { which, by, what } => {
                let (payer, id) = *pick(&self.escrows, which)?;
                let by = by.unwrap_or(payer);
                Some((by, what.action(id, payer, by, height), 0, usual))
            }
            Step::Block { .. } => None,
        }
    }
}

/// One of the latest few.
fn pick<'a, T>(all: &'a [T], which: &Index) -> Option<&'a T> {
    let latest = &all[all.len().saturating_sub(4)..];
    (!latest.is_empty()).then(|| which.get(latest))
}

/// Whether the random chains are worth anything: each kind of transaction passes on some of them.
#[test]
fn random_chains_reach_every_kind() {
    let mut runner = TestRunner::deterministic();
    let chains = vec(steps(), 100..200);
    let mut passed = BTreeSet::new();
    for _ in 0..128 {
        let chain = chains.new_tree(&mut runner).unwrap().current();
        passed.append(&mut Trial::run(&chain).unwrap());
    }
    // Nobody is jailed here, since no block has a certificate.
    let reachable = Kind::ALL.into_iter().filter(|kind| *kind != Kind::DelegateReturn);
    assert_eq!(passed, reachable.collect());
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
        action in prop_oneof![reveals(), other_actions(), escrow_actions()],
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
        action in prop_oneof![reveals(), other_actions(), escrow_actions()],
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
        check::<ledger::Receipt>(&bytes);
        check::<ledger::Tab>(&bytes);
        check::<ledger::LightBlock>(&bytes);
        let _ = Bundle::decode(&bytes);
        let _ = ledger::Checkpoint::decode(&bytes);
        let _ = ledger::Checkpoint::parse(&bytes);
        let _ = DeliveryProof::decode(&bytes);
        let _ = Genesis::parse(&bytes);
    }

    #[test]
    fn names_and_labels_never_panic(text in "\\PC{0,80}") {
        let _ = ledger::Label::parse(&text);
        let _ = ledger::Address::parse("dev", &text);
        let _ = Amount::parse_coins(&text);
        for origin in [text.clone(), format!("http://{text}"), format!("https://{text}:{text}")] {
            if let Ok(parsed) = ledger::Origin::parse(&origin) {
                prop_assert_eq!(parsed.as_str(), origin);
            }
        }
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
