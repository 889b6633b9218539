//! Four seats in one process, on loopback.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::Duration;

use chain::{Chain, Config};
use ledger::{Action, Genesis, GenesisDelegate, Hash, Reveals};

use crate::journal::note;
use crate::net::Net;
use crate::world::*;

/// Long enough for several rounds: what comes in none of them does not come.
const HALTED_FOR: Duration = Duration::from_secs(3);

/// A round in which nobody loses a seat.
const LONG: u64 = 1_000;

struct Seat {
    dir: tempfile::TempDir,
    port: u16,
    chain: Option<Chain>,
    signed: BTreeMap<String, String>,
}

struct Four {
    genesis: Genesis,
    seats: Vec<Seat>,
}

impl Four {
    /// With so many blocks in a round.
    async fn start(chain_id: &str, round: u64) -> Four {
        let ports = free_ports();
        let mut genesis = genesis(chain_id, &[]);
        genesis.seats = 4;
        genesis.block_time_ms = 200;
        genesis.election.round = round;
        let seat = |(number, port): (usize, &u16)| {
            let key = seat_key(number).public();
            let engine = format!("/ip4/127.0.0.1/tcp/{port}/p2p/{}", chain::engine_peer_id(&key));
            let tip = Some(Reveals::new(&seat_key(number), chain_id, 0).tip());
            GenesisDelegate { key, engine, tip }
        };
        genesis.delegates = ports.iter().enumerate().map(seat).collect();
        genesis.delegates.sort_by_key(|delegate| delegate.key.address());
        let seat = |port| Seat {
            dir: tempfile::tempdir().unwrap(),
            port,
            chain: None,
            signed: BTreeMap::new(),
        };
        let mut four = Four {
            genesis,
            seats: ports.into_iter().map(seat).collect(),
        };
        for number in 0..4 {
            four.begin(number).await;
        }
        four
    }

    async fn begin(&mut self, number: usize) {
        let seat = &mut self.seats[number];
        let config = Config {
            engine_listen: ([127, 0, 0, 1], seat.port).into(),
            ..config(seat.dir.path())
        };
        seat.chain = Some(try_start(&self.genesis, seat_key(number), config).await.unwrap());
    }

    /// Stops a seat and waits until the others have noticed: a delegate that is back too early stays mute.
    async fn end(&mut self, number: usize) {
        let seat = &mut self.seats[number];
        let chain = seat.chain.take().unwrap();
        chain.shutdown().await;
        assert_eq!(chain.health().failure, None);
        note(&mut seat.signed, seat.dir.path());
        let peers = self.running().count().saturating_sub(1);
        for other in self.running() {
            until("a lost peer to be noticed", || {
                (other.health().peers == peers).then_some(())
            })
            .await;
        }
    }

    /// Stops a seat and waits for nobody.
    async fn end_quietly(&mut self, number: usize) {
        let chain = self.seats[number].chain.take().unwrap();
        chain.shutdown().await;
    }

    fn chain(&self, number: usize) -> &Chain {
        self.seats[number].chain.as_ref().unwrap()
    }

    fn running(&self) -> impl Iterator<Item = &Chain> {
        self.seats.iter().filter_map(|seat| seat.chain.as_ref())
    }

    fn top(&self) -> u64 {
        self.running().map(|chain| chain.tip().height).max().unwrap()
    }

    async fn reach(&self, height: u64) {
        for chain in self.running() {
            reach(chain, height).await;
        }
    }

    /// As [`Four::agree_on_blocks`], and each has a good history of one set.
    fn agree(&self) {
        self.agree_on_blocks();
        self.running().for_each(check_history);
    }

    /// All that run have the same block at each height.
    fn agree_on_blocks(&self) {
        let common = self.running().map(|chain| chain.tip().height).min().unwrap();
        for height in 1..=common {
            let header = |chain: &Chain| chain.block(height).unwrap().unwrap().0.header;
            let first = header(self.chain(0));
            assert!(
                self.running().all(|chain| header(chain) == first),
                "height {height}"
            );
        }
    }
}

fn seat_key(number: usize) -> ledger::SecretKey {
    secret(1 + number as u8)
}

fn free_ports() -> Vec<u16> {
    let listeners: Vec<_> = (0..4)
        .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
        .collect();
    listeners
        .iter()
        .map(|listener| listener.local_addr().unwrap().port())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_four_may_be_away_and_is_heard_when_it_is_back() {
    let mut four = Four::start("one-away", LONG).await;
    four.reach(3).await;
    let draw = next(four.chain(0), &secret(20), Action::Faucet {});
    let height = include(four.chain(0), draw.clone()).await;
    four.reach(height).await;
    for chain in four.running() {
        assert_eq!(
            chain.transaction(&draw.cid()).unwrap(),
            Some((draw.clone(), height))
        );
    }
    four.agree();

    four.end(3).await;
    four.reach(four.top() + 4).await;
    four.begin(3).await;
    four.reach(four.top()).await;
    // Its signature is in a certificate that another keeps: it is no mute.
    let (chain, from) = (four.chain(0), four.top());
    until("a certificate of all four", || {
        let certificates = (from..=chain.tip().height).map(|height| chain.block(height).unwrap().unwrap().1);
        certificates
            .map(|found| found.signatures.len())
            .find(|signatures| *signatures == 4)
    })
    .await;
    four.agree();
    for number in 0..4 {
        four.end(number).await;
    }
}

/// The order of turns changes with each round, and all follow.
#[tokio::test(flavor = "multi_thread")]
async fn four_go_through_rounds() {
    let mut four = Four::start("rounds", 4).await;
    four.reach(18).await;
    four.agree();
    let (chain, mut turns) = (four.chain(0), Vec::new());
    for round in 0..4 {
        let proposer = |height| chain.block(height).unwrap().unwrap().0.header.proposer;
        turns.push((round * 4 + 1..=round * 4 + 4).map(proposer).collect::<Vec<_>>());
    }
    turns.dedup();
    assert!(turns.len() > 1, "every round has the same turns: {turns:?}");
    for number in 0..4 {
        four.end(number).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_of_four_halt_and_go_on_with_the_others() {
    let mut four = Four::start("two-away", LONG).await;
    four.reach(3).await;
    four.end(2).await;
    four.end(3).await;
    let halted = four.top();
    let more = tokio::time::timeout(HALTED_FOR, reach(four.chain(0), halted + 2)).await;
    assert!(more.is_err(), "two of four made blocks");
    assert!(four.running().all(|chain| !chain.health().is_good()));

    four.begin(2).await;
    four.begin(3).await;
    four.reach(four.top() + 3).await;
    four.agree();
    for number in 0..4 {
        four.end(number).await;
    }
}

/// Without its engine's log a delegate does not know what it is bound to.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_log_or_journal_stops_a_delegate_of_several() {
    let mut four = Four::start("lost-files", LONG).await;
    four.reach(2).await;
    for number in 1..4 {
        four.end(number).await;
    }
    let chain = four.chain(0).clone();
    four.end(0).await;
    let height = chain.tip().height;
    drop(chain);
    let dir = four.seats[0].dir.path().to_owned();
    let refused = async |four: &Four| {
        let config = config(&dir);
        try_start(&four.genesis, seat_key(0), config)
            .await
            .err()
            .unwrap()
            .to_string()
    };
    let journal = dir.join("engine/signer.journal");
    let kept = dir.join("journal.kept");
    std::fs::rename(&journal, &kept).unwrap();
    let error = refused(&four).await;
    assert!(
        error.starts_with(&format!("the signer's journal {} is gone", journal.display())),
        "{error}"
    );
    std::fs::rename(&kept, &journal).unwrap();

    // As if it had been stopped between its precommit and the block.
    let voted = format!("{} 0 precommit {}", height + 1, Hash::of(b"vote"));
    let check = &Hash::of(voted.as_bytes()).to_string()[..8];
    let text = std::fs::read_to_string(&journal).unwrap();
    std::fs::write(&journal, format!("{text}{voted} {check}\n")).unwrap();
    let wal = dir.join("engine/wal");
    std::fs::remove_file(&wal).unwrap();
    let error = refused(&four).await;
    let expected = format!(
        "although the delegate has voted on height {}, which is not decided here",
        height + 1
    );
    assert!(
        error.starts_with(&format!(
            "the consensus log {} is gone, {expected}",
            wal.display()
        )),
        "{error}"
    );
}

/// A folder from a backup knows less than its delegate has signed: it does not sign while that may matter.
#[tokio::test(flavor = "multi_thread")]
async fn a_restored_folder_signs_nothing_that_may_be_open() {
    let mut four = Four::start("restored", LONG).await;
    four.reach(2).await;
    four.end(3).await;
    let backup = tempfile::tempdir().unwrap();
    copy(
        &four.seats[3].dir.path().join("engine"),
        &backup.path().join("engine"),
    );
    four.begin(3).await;
    let (chain, from) = (four.chain(0).clone(), four.top() + 1);
    let signed_by_all = |height| chain.block(height).unwrap().unwrap().1.signatures.len() == 4;
    until("a certificate of all four", || {
        (from..chain.tip().height).any(signed_by_all).then_some(())
    })
    .await;
    four.end_quietly(0).await;
    let tip = chain.tip().height;
    let newest = [tip - 1, tip].into_iter().any(signed_by_all);
    drop(chain);
    four.end_quietly(3).await;

    // Its journal from the backup, beside blocks that it has signed since.
    copy(
        &four.seats[0].dir.path().join("chain"),
        &backup.path().join("chain"),
    );
    let key = seat_key(3);
    let refused = try_start(&four.genesis, key.clone(), config(backup.path()))
        .await
        .err();
    assert_eq!(refused.is_some(), newest, "{refused:?}");
    let told = refused.is_none_or(|error| matches!(error, chain::Error::SignedElsewhere { .. }));
    assert!(told);

    // It follows the others until what it may have signed is past.
    four.begin(0).await;
    let follower = start_follower(&four.genesis, backup.path()).await;
    assert_eq!(follower.may_begin(&key.public()).unwrap(), !newest);
    let net = Net::without_gossip();
    net.serve("one", four.chain(0));
    net.join("four", &follower, &["one"]);
    reach(&follower, tip + 3).await;
    assert!(follower.may_begin(&key.public()).unwrap());
    follower.shutdown().await;
    drop(net);
    for number in 0..3 {
        four.end_quietly(number).await;
    }
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let place = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &place),
            false => drop(std::fs::copy(entry.path(), place).unwrap()),
        }
    }
}
