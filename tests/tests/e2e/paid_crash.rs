//! `kill -9` of either node in the middle of a paid fetch, again and again on the same two data folders.
//!
//! After each restart the fetch goes on and ends, every block that came is paid once, what was earned is there, and both
//! ledgers are equal.
//!
//! `DDN_CRASHES` sets the number of rounds (default 4), `DDN_SEED` repeats a run that failed; both are printed.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use testkit::{Node, poll, tree, wait_until};

use crate::{campaign, number, publish, text};

/// Rounds when nobody says otherwise.
const ROUNDS: u64 = 4;

/// A block of a dev chain takes about a second.
const BLOCK_DEADLINE: Duration = Duration::from_secs(60);

/// What one round fetches.
const FILM_BYTES: usize = 24 << 20;

/// About how long that takes undisturbed; kills are drawn from it.
const FETCH: Duration = Duration::from_millis(900);

/// Units per MiB that a node asks unless told otherwise.
const PRICE: u64 = 10_000;

/// What a payer who pays ahead may have paid for and not got: one window of one block.
const AHEAD_BYTES: u64 = 1 << 20;

/// The largest window.
const WINDOW_BYTES: u64 = 64 << 20;

struct Pair {
    payee: Node,
    payer: Node,
    random: StdRng,
}

#[test]
fn kill_minus_nine_in_a_paid_fetch_loses_nothing() -> Result<()> {
    let (rounds, seed) = campaign(ROUNDS)?;
    let payee = Node::dev()?;
    let payer = Node::joining(&payee)?;
    let mut pair = Pair {
        payee,
        payer,
        random: StdRng::seed_from_u64(seed),
    };
    for round in 1..=rounds {
        pair.round(round).with_context(|| {
            let (payee, payer) = (pair.payee.log_tail(), pair.payer.log_tail());
            format!("round {round} of DDN_SEED={seed}\npayee:\n{payee}\npayer:\n{payer}")
        })?;
    }
    pair.settled()?;
    pair.claimed()
}

impl Pair {
    fn round(&mut self, round: u64) -> Result<()> {
        let folder = tempfile::tempdir()?;
        tree::write(
            folder.path(),
            "film.bin",
            &tree::noise(FILM_BYTES, self.random.random()),
        )?;
        let name = format!("film{round}.ddn");
        let published = publish(&self.payee, folder.path(), &name)?;
        let cid = text(&published, "/cid")?;
        self.interrupted(&cid)?;
        self.arrives(&cid, folder.path())?;
        self.paid_once()?;
        self.same_ledger(number(&published, "/height")?)
    }

    /// Starts the fetch, and kills one of the two somewhere on the way.
    fn interrupted(&mut self, cid: &str) -> Result<()> {
        let out = tempfile::tempdir()?;
        let copy = out.path().join("copy").to_string_lossy().into_owned();
        let mut get = self.payer.ddn().start(&["get", cid, "-o", &copy])?;
        let (start, moment) = (Instant::now(), FETCH.mul_f64(self.random.random()));
        wait_until("the moment", BLOCK_DEADLINE, || {
            Ok(start.elapsed() >= moment || get.ended()?)
        })?;
        let payee = self.random.random_bool(0.5);
        let victim = if payee { &mut self.payee } else { &mut self.payer };
        println!(
            "kill -9 of the {} after {:?}",
            if payee { "payee" } else { "payer" },
            start.elapsed()
        );
        victim.kill9()?;
        victim.start()?;
        // Whatever it says: it ends.
        get.finish(BLOCK_DEADLINE)?;
        Ok(())
    }

    /// The fetch goes on where it was, as soon as the two have found each other again.
    fn arrives(&self, cid: &str, folder: &Path) -> Result<()> {
        let out = tempfile::tempdir()?;
        let copy = out.path().join("copy");
        poll("the fetch ends", BLOCK_DEADLINE, || {
            let ran = self
                .payer
                .ddn()
                .run(&["get", cid, "-o", &copy.to_string_lossy()])?;
            Ok((ran.code == Some(0)).then_some(()))
        })?;
        tree::same(folder, &copy)
    }

    /// No byte is paid twice, and at most one window is not paid yet: when the payee died between the last block and its
    /// voucher, the next session brings it.
    fn paid_once(&self) -> Result<()> {
        let (bytes, earned) = (self.bytes()?, earned(&self.payee)?);
        ensure!(
            earned <= price(bytes + AHEAD_BYTES),
            "{bytes} bytes cost {}, and {earned} was paid",
            price(bytes)
        );
        ensure!(
            earned + price(WINDOW_BYTES) >= price(bytes),
            "{bytes} bytes cost {}, and only {earned} was paid",
            price(bytes)
        );
        Ok(())
    }

    /// After one more fetch that nobody disturbs, every byte that ever came is paid.
    fn settled(&self) -> Result<()> {
        let folder = tempfile::tempdir()?;
        tree::write(folder.path(), "last.txt", b"nothing is open any more\n")?;
        let cid = text(&publish(&self.payee, folder.path(), "last.ddn")?, "/cid")?;
        self.arrives(&cid, folder.path())?;
        let bytes = self.bytes()?;
        wait_until("the payee has all that it earned", BLOCK_DEADLINE, || {
            Ok(earned(&self.payee)? >= price(bytes))
        })?;
        self.paid_once()
    }

    /// Bytes of all blocks that the payer holds: all came from the payee.
    fn bytes(&self) -> Result<u64> {
        number(&self.payer.ddn().json(&["repo", "stat"])?, "/bytes")
    }

    fn same_ledger(&self, height: u64) -> Result<()> {
        let block = |node: &Node| node.ddn().json(&["chain", "block", &height.to_string()]);
        wait_until("the payer has the block", BLOCK_DEADLINE, || {
            Ok(number(&self.payer.ddn().json(&["chain", "status"])?, "/height")? >= height)
        })?;
        let (left, right) = (block(&self.payee)?, block(&self.payer)?);
        ensure!(left == right, "{left}\n{right}");
        for node in [&self.payee, &self.payer] {
            let status = node.ddn().json(&["chain", "status"])?;
            ensure!(status["supply"] == status["accounted"], "{status}");
        }
        Ok(())
    }

    /// What was earned becomes coins.
    fn claimed(&self) -> Result<()> {
        let all = earned(&self.payee)?;
        self.payee.ddn().ok(&["earn", "claim"])?;
        let status = self.payee.ddn().json(&["earn", "status"])?;
        ensure!(text(&status, "/claimed")? == all.to_string(), "{all}: {status}");
        let status = self.payee.ddn().json(&["chain", "status"])?;
        ensure!(status["supply"] == status["accounted"], "{status}");
        Ok(())
    }
}

fn price(bytes: u64) -> u64 {
    (bytes * PRICE).div_ceil(1 << 20)
}

fn earned(node: &Node) -> Result<u64> {
    let status = node.ddn().json(&["earn", "status"])?;
    Ok(text(&status, "/earned")?.parse()?)
}
