//! The job's decisions against the ledger's own rules, with restarts at every point where there can be one.

use std::collections::{BTreeMap, HashMap};

use chain::Fate;
use cid::Cid;
use ledger::{
    Account, Action, Address, Amount, AssetMeta, Genesis, Hash, Kind, Label, Link, MemoryState, NamePath,
    Records, Refusal, SecretKey, Split, State as _, Transition, Tx, TxBody,
};
use proptest::prelude::*;

use super::files;
use super::job::{Content, FORMAT, Job, Naming, Sent, Track, Wish, Work};
use super::step::{self, Facts, Failure, Next};

/// A chain without a network: what waits comes into the next block if the ledger takes it.
struct World {
    genesis: Genesis,
    state: MemoryState,
    height: u64,
    /// What this node would put into the next block.
    waiting: Vec<Tx>,
    /// What only other nodes still know: this node forgot it in a restart.
    elsewhere: Vec<Tx>,
    included: HashMap<Cid, u64>,
    log: Vec<Tx>,
}

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

fn delegate() -> Address {
    key(99).address()
}

fn root(content: u8) -> Link {
    Link(ledger::cid_of(&[content]))
}

impl World {
    fn new() -> Self {
        let mut genesis = Genesis::dev("dev-test", 1, key(99).public());
        genesis.commit_ttl = 8;
        let state = MemoryState(genesis.initial_state().expect("a state").into_iter().collect());
        let (included, log) = (HashMap::new(), Vec::new());
        let mut world = Self {
            genesis,
            state,
            height: 0,
            waiting: Vec::new(),
            elsewhere: Vec::new(),
            included,
            log,
        };
        for seed in [1, 2] {
            world
                .send(&key(seed), Action::Faucet {})
                .expect("the faucet gives");
        }
        world.block();
        world
    }

    fn next_nonce(&self, address: &Address) -> u64 {
        let waiting = self.waiting.iter().filter(|tx| tx.sender() == *address).count() as u64;
        self.state.account(address).expect("readable").nonce + waiting
    }

    fn sign(&self, key: &SecretKey, action: Action) -> Tx {
        let (chain, nonce) = (self.genesis.chain_id.clone(), self.next_nonce(&key.address()));
        Tx::sign(
            TxBody {
                chain,
                nonce,
                fee: self.genesis.fee,
                action,
            },
            key,
        )
    }

    fn send(&mut self, key: &SecretKey, action: Action) -> Result<(), Refusal> {
        let tx = self.sign(key, action);
        self.submit(tx)
    }

    fn submit(&mut self, tx: Tx) -> Result<(), Refusal> {
        if self.waiting.contains(&tx) || self.included.contains_key(&tx.cid()) {
            return Ok(());
        }
        let mut run = Transition::new(&self.genesis, &self.state, self.height + 1, delegate());
        for waiting in &self.waiting {
            run.apply(waiting)?;
        }
        run.apply(&tx)?;
        drop(run);
        self.waiting.push(tx);
        Ok(())
    }

    fn block(&mut self) {
        let mut run = Transition::new(&self.genesis, &self.state, self.height + 1, delegate());
        let mut taken = Vec::new();
        for tx in self.waiting.drain(..).chain(self.elsewhere.iter().cloned()) {
            if !taken.contains(&tx) && run.apply(&tx).is_ok() {
                taken.push(tx);
            }
        }
        let changes = run.finish().expect("coins are conserved");
        self.state.write(changes);
        self.height += 1;
        for tx in taken {
            self.elsewhere.retain(|known| *known != tx);
            self.included.insert(tx.cid(), self.height);
            self.log.push(tx);
        }
    }

    /// The node restarts: it forgets what waits, which other nodes may still know.
    fn restart(&mut self, others_know: bool) {
        let waiting = std::mem::take(&mut self.waiting);
        if others_know {
            self.elsewhere.extend(waiting);
        }
    }

    fn fate(&self, tx: Option<&Tx>) -> Fate {
        match tx {
            Some(tx) if self.included.contains_key(&tx.cid()) => Fate::Included {
                height: self.included[&tx.cid()],
            },
            Some(tx) if self.waiting.contains(tx) => Fate::Pending { missing: None },
            _ => Fate::Unknown,
        }
    }

    fn facts(&self, owner: Address, track: &Track, claim: &Action) -> Facts<'_> {
        let hash = claim.commitment(&self.genesis.chain_id, &owner);
        let commit = hash.and_then(|hash| self.state.commit(&owner, &hash).expect("readable"));
        let account: Account = self.state.account(&owner).expect("readable");
        let fate = self.fate(track.tx());
        Facts {
            genesis: &self.genesis,
            height: self.height,
            owner,
            account,
            fate,
            commit,
        }
    }

    fn owner_of(&self, label: &str) -> Option<Address> {
        let label = Label::parse(label).expect("a label");
        self.state
            .name(&label)
            .expect("readable")
            .map(|entry| entry.owner)
    }

    fn count(&self, kind: Kind, sender: &Address) -> usize {
        self.log
            .iter()
            .filter(|tx| tx.body.action.kind() == kind && tx.sender() == *sender)
            .count()
    }
}

/// A publish as it is in memory and on the disk.
#[derive(Clone)]
struct Publish {
    content: Content,
    asset: Track,
    name: Naming,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Crash {
    BeforeWriting,
    BeforeSubmitting,
    AfterSubmitting,
}

#[derive(Clone, Copy, PartialEq)]
enum Which {
    Name,
    Asset,
}

struct Run {
    memory: Publish,
    disk: Publish,
    crashed: bool,
}

impl Run {
    fn new(content: u8, name: &str) -> Self {
        let path = NamePath::parse(name, "ddn").expect("a name");
        let root = root(content);
        let publish = Publish {
            content: Content {
                root,
                meta: AssetMeta::default(),
                split: Split::default(),
            },
            asset: Track::begin(Hash([content; 32])),
            name: Naming::new(path, "ddn", Wish::Content(root), Hash([content + 100; 32])),
        };
        Self {
            memory: publish.clone(),
            disk: publish,
            crashed: false,
        }
    }

    fn track(&mut self, which: Which) -> &mut Track {
        match which {
            Which::Name => &mut self.memory.name.track,
            Which::Asset => &mut self.memory.asset,
        }
    }

    fn next(&self, world: &World, which: Which) -> Next {
        let owner = key(1).address();
        let secret = |track: &Track| match track {
            Track::Commit { secret, .. } | Track::Claim { secret, .. } => *secret,
            _ => Hash::default(),
        };
        let Publish { content, asset, name } = &self.memory;
        match which {
            Which::Name => {
                let (label, secret) = (name.label.clone(), secret(&name.track));
                let claim = Action::NameRegister {
                    label,
                    secret,
                    records: Records::default(),
                };
                let entry = world.state.name(&name.label).expect("readable");
                step::name(
                    &name.track,
                    name,
                    entry.as_ref(),
                    &world.facts(owner, &name.track, &claim),
                )
            }
            Which::Asset => {
                let (cid, secret, meta) = (content.root, secret(asset), AssetMeta::default());
                let claim = Action::AssetAnchor {
                    cid,
                    secret,
                    meta,
                    split: Split::default(),
                };
                let entry = world.state.asset(&cid.0).expect("readable");
                step::asset(asset, content, entry.as_ref(), &world.facts(owner, asset, &claim))
            }
        }
    }

    /// As far as it goes in this block. A crash happens at the first transaction that is sent.
    fn pass(&mut self, world: &mut World, crash: Option<Crash>) -> Result<(), Failure> {
        for which in [Which::Name, Which::Asset] {
            while self.advance(world, which, crash)? {}
            if self.crashed {
                return Ok(());
            }
        }
        Ok(())
    }

    fn advance(&mut self, world: &mut World, which: Which, crash: Option<Crash>) -> Result<bool, Failure> {
        match self.next(world, which) {
            Next::Wait => Ok(false),
            Next::Become(track) => {
                *self.track(which) = track;
                Ok(true)
            }
            Next::Fail(failure) => Err(failure),
            Next::Repeat => {
                let tx = self.track(which).tx().cloned().expect("something to repeat");
                self.handed_in(world, which, tx);
                Ok(false)
            }
            Next::Send(action) => {
                self.crashed = crash.is_some();
                if crash == Some(Crash::BeforeWriting) {
                    return Ok(false);
                }
                let tx = world.sign(&key(1), action);
                let sent = self.track(which).sent_mut().expect("a state that sends");
                *sent = Sent {
                    tx: Some(Box::new(tx.clone())),
                    times: sent.times + 1,
                };
                self.disk = self.memory.clone();
                if crash != Some(Crash::BeforeSubmitting) {
                    self.handed_in(world, which, tx);
                }
                Ok(false)
            }
        }
    }

    fn handed_in(&mut self, world: &mut World, which: Which, tx: Tx) {
        if let Err(Refusal::Nonce { .. }) = world.submit(tx)
            && let Some(sent) = self.track(which).sent_mut()
        {
            sent.tx = None;
        }
    }

    fn restart(&mut self, world: &mut World, others_know: bool) {
        self.memory = self.disk.clone();
        self.crashed = false;
        world.restart(others_know);
    }

    fn is_done(&self) -> bool {
        self.memory.asset.is_done() && self.memory.name.track.is_done()
    }
}

fn run_to_end(run: &mut Run, world: &mut World) -> Result<u64, Failure> {
    let start = world.height;
    while !run.is_done() {
        run.pass(world, None)?;
        world.block();
        assert!(world.height < start + 100, "it comes to an end");
        run.pass(world, None)?;
    }
    Ok(world.height - start)
}

#[test]
fn a_new_name_takes_two_blocks_and_a_republish_one() {
    let mut world = World::new();
    let mut first = Run::new(1, "alice.ddn");
    assert_eq!(run_to_end(&mut first, &mut world).expect("it is free"), 2);
    assert_eq!(world.owner_of("alice"), Some(key(1).address()));

    let mut second = Run::new(2, "alice.ddn");
    second.pass(&mut world, None).expect("it is ours");
    world.block();
    let entry = world
        .state
        .name(&Label::parse("alice").expect("a label"))
        .expect("readable")
        .expect("held");
    assert_eq!(entry.records[""].content, Some(root(2)));
    run_to_end(&mut second, &mut world).expect("it is ours");
}

#[test]
fn other_records_stay_when_the_content_changes() {
    let mut world = World::new();
    run_to_end(&mut Run::new(1, "alice.ddn"), &mut world).expect("it is free");
    let label = Label::parse("alice").expect("a label");
    let records = Records {
        txt: vec!["hello".into()],
        ttl: Some(60),
        ..Records::default()
    };
    world
        .send(
            &key(1),
            Action::NameSet {
                label: label.clone(),
                under: String::new(),
                records,
            },
        )
        .expect("ours");
    world.block();
    run_to_end(&mut Run::new(2, "alice.ddn"), &mut world).expect("ours");
    let entry = world.state.name(&label).expect("readable").expect("held");
    let expected = Records {
        content: Some(root(2)),
        txt: vec!["hello".into()],
        ttl: Some(60),
        ..Records::default()
    };
    assert_eq!(entry.records[""], expected);
}

#[test]
fn nothing_is_sent_for_what_is_so_already() {
    let mut world = World::new();
    run_to_end(&mut Run::new(1, "alice.ddn"), &mut world).expect("it is free");
    let before = world.log.len();
    let mut again = Run::new(1, "alice.ddn");
    run_to_end(&mut again, &mut world).expect("it is ours");
    assert_eq!(world.log.len(), before);
    assert!(matches!(again.memory.asset, Track::Done { tx: None, .. }));
}

/// What another account does while ours is between commit and claim.
fn taken_by_another(world: &mut World, action: impl Fn(Hash) -> Action) {
    let other = key(2);
    let secret = Hash([200; 32]);
    let hash = action(secret)
        .commitment(&world.genesis.chain_id, &other.address())
        .expect("a claim");
    world.send(&other, Action::Commit { hash }).expect("a commit");
    world.block();
    world.send(&other, action(secret)).expect("a claim");
    world.block();
}

fn register(label: &str) -> impl Fn(Hash) -> Action {
    let label = Label::parse(label).expect("a label");
    move |secret| Action::NameRegister {
        label: label.clone(),
        secret,
        records: Records::default(),
    }
}

#[test]
fn a_name_of_somebody_else_is_a_failure_that_says_whose() {
    let mut world = World::new();
    taken_by_another(&mut world, register("alice"));
    let failure = run_to_end(&mut Run::new(1, "alice.ddn"), &mut world).expect_err("taken");
    let owner = key(2).address().display("dev");
    let expected = format!("the name alice.ddn is taken: it belongs to {owner}, choose another one");
    assert_eq!((failure.code, failure.message), ("name_taken", expected));
}

#[test]
fn whoever_copies_a_claim_with_a_younger_commit_loses_it() {
    let mut world = World::new();
    let mut run = Run::new(1, "alice.ddn");
    run.pass(&mut world, None).expect("it is free");
    world.block();
    // Our claim is held back; another's commit and claim come first.
    taken_by_another(&mut world, register("alice"));
    assert_eq!(world.owner_of("alice"), Some(key(2).address()));
    run_to_end(&mut run, &mut world).expect("ours is older");
    assert_eq!(world.owner_of("alice"), Some(key(1).address()));
}

#[test]
fn content_of_somebody_else_is_told_and_no_failure() {
    let mut world = World::new();
    taken_by_another(&mut world, |secret| Action::AssetAnchor {
        cid: root(1),
        secret,
        meta: AssetMeta::default(),
        split: Split::default(),
    });
    let mut run = Run::new(1, "alice.ddn");
    run_to_end(&mut run, &mut world).expect("the name is free");
    let Track::Done {
        tx: None,
        note: Some(note),
        ..
    } = &run.memory.asset
    else {
        panic!("{:?}", run.memory.asset)
    };
    let owner = key(2).address().display("dev");
    assert_eq!(
        *note,
        format!(
            "the content {} is anchored already, it belongs to {owner}",
            root(1)
        )
    );
}

#[test]
fn a_commit_that_ran_out_is_made_again_with_the_same_secret() {
    let mut world = World::new();
    let mut run = Run::new(1, "alice.ddn");
    run.pass(&mut world, None).expect("it is free");
    for _ in 0..=world.genesis.commit_ttl + 1 {
        world.block();
    }
    run_to_end(&mut run, &mut world).expect("it is free");
    assert_eq!(world.count(Kind::Commit, &key(1).address()), 4);
    assert_eq!(world.count(Kind::NameRegister, &key(1).address()), 1);
}

#[test]
fn an_undername_needs_its_name() {
    let mut world = World::new();
    let failure =
        run_to_end(&mut Run::new(1, "docs.alice.ddn"), &mut world).expect_err("nobody holds alice.ddn");
    assert_eq!(
        failure.message,
        "alice.ddn is not registered, so nothing can be under it: register it first with `ddn name register alice.ddn`"
    );
    run_to_end(&mut Run::new(1, "alice.ddn"), &mut world).expect("it is free");
    run_to_end(&mut Run::new(2, "docs.alice.ddn"), &mut world).expect("it is ours");
    let entry = world
        .state
        .name(&Label::parse("alice").expect("a label"))
        .expect("readable")
        .expect("held");
    assert_eq!(entry.records["docs"].content, Some(root(2)));
}

fn crashes() -> impl Strategy<Value = Vec<(Option<Crash>, bool, bool)>> {
    let crash = prop_oneof![
        Just(Crash::BeforeWriting),
        Just(Crash::BeforeSubmitting),
        Just(Crash::AfterSubmitting)
    ];
    // Whether and where it dies in this pass, whether others know what waited, whether a block comes meanwhile.
    prop::collection::vec((prop::option::of(crash), any::<bool>(), any::<bool>()), 0..24)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Wherever the node dies, and however often: each claim is made once, with the secret that was written down, and
    /// coins are spent for nothing but it.
    #[test]
    fn restarts_never_make_a_second_claim(crashes in crashes()) {
        let mut world = World::new();
        let mut run = Run::new(1, "alice.ddn");
        for (crash, others_know, block) in crashes {
            run.pass(&mut world, crash).expect("nobody else wants it");
            if crash.is_some() {
                run.restart(&mut world, others_know);
            }
            if block {
                world.block();
            }
        }
        run_to_end(&mut run, &mut world).expect("nobody else wants it");
        let us = key(1).address();
        prop_assert_eq!(world.owner_of("alice"), Some(us));
        prop_assert_eq!(world.state.asset(&root(1).0).expect("readable").map(|asset| asset.owner), Some(us));
        prop_assert_eq!(world.count(Kind::NameRegister, &us), 1);
        prop_assert_eq!(world.count(Kind::AssetAnchor, &us), 1);
        prop_assert_eq!(world.count(Kind::NameSet, &us), 0);
        prop_assert_eq!(world.count(Kind::Commit, &us), 2);
    }
}

fn job() -> Job {
    let path = NamePath::parse("docs.alice.ddn", "ddn").expect("a name");
    let body = TxBody {
        chain: "dev-test".into(),
        nonce: 7,
        fee: Amount::from_units(100_000),
        action: Action::Commit { hash: Hash([3; 32]) },
    };
    let mut name = Naming::new(path, "ddn", Wish::Content(root(1)), Hash([1; 32]));
    name.track = Track::Commit {
        secret: Hash([1; 32]),
        sent: Sent {
            tx: Some(Box::new(Tx::sign(body, &key(1)))),
            times: 1,
        },
    };
    let content = Content {
        root: root(1),
        meta: AssetMeta {
            bytes: Some(5),
            files: Some(1),
            ..AssetMeta::default()
        },
        split: Split::default(),
    };
    let asset = Track::Claim {
        secret: Hash([2; 32]),
        commit: Some(root(2)),
        sent: Sent::default(),
    };
    Job {
        format: FORMAT,
        id: "1700000000000-00000001".into(),
        started_ms: 1_700_000_000_000,
        wallet: "default".into(),
        owner: key(1).address(),
        work: Work::Claiming {
            content: Some(Box::new(content)),
            asset: Some(asset),
            name: Some(Box::new(name)),
        },
    }
}

/// Files of an earlier version must be read for ever: this one is kept as it was written.
#[test]
fn the_job_file_of_format_1_is_read() {
    let stored = include_str!("../../../fixtures/job-1.json");
    let read: Job = serde_json::from_str(stored).expect("a job");
    assert_eq!(read, job());
    assert_eq!(
        serde_json::to_string_pretty(&read).expect("JSON"),
        stored.trim_end()
    );
}

#[test]
fn jobs_are_kept_in_their_order_and_damage_is_not_passed_over() {
    let dir = tempfile::tempdir().expect("a folder");
    let (first, mut second) = (job(), job());
    second.id = "1700000000001-00000000".into();
    files::save(dir.path(), &second).expect("saved");
    files::save(dir.path(), &first).expect("saved");
    assert_eq!(files::load(dir.path()).expect("loaded"), [first.clone(), second]);
    files::forget(dir.path(), &first.id).expect("forgotten");
    assert_eq!(files::load(dir.path()).expect("loaded").len(), 1);
    std::fs::write(dir.path().join("x.json"), "{").expect("written");
    assert!(
        files::load(dir.path())
            .expect_err("damaged")
            .to_string()
            .contains("x.json: is not a job of this program")
    );
}

#[test]
fn records_of_a_wish() {
    let naming = Naming::new(
        NamePath::parse("alice.ddn", "ddn").expect("a name"),
        "ddn",
        Wish::Content(root(1)),
        Hash::default(),
    );
    let held = Records {
        cname: Some("x.ddn".into()),
        ..Records::default()
    };
    let records = naming.records(&BTreeMap::from([(String::new(), held)]));
    assert_eq!(records, Records::to_content(root(1)));
}
