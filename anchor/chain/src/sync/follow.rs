//! The follower: it asks peers how far they are, fetches the next blocks from one of them, and keeps what holds.
//!
//! One task owns all of this. It never waits for a peer: questions run beside it, each with a deadline, and their
//! answers come back to it. It does wait for its own disk, so that a stop finds it between two blocks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::ask::{Silence, ask};
use super::judge::NotTaken;
use super::wire::{Answer, BLOCKS_MAX, Request, Sealed, quoted};
use super::{Exchange, Fault, Leave, Peers};
use crate::Error;
use crate::committer::Committer;

/// Between two looks at who is in reach, when nothing else happens.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The same while a block is known of that nobody has given yet.
const LOOK_SOON: Duration = Duration::from_millis(50);

/// A running follower.
pub(crate) struct Follower {
    exchange: Arc<Exchange>,
    committer: Arc<Committer>,
    peers: Arc<dyn Peers>,
    leave: Leave,
    asked: JoinSet<Heard>,
    /// Whether a question for blocks is under way: there is one at a time, since blocks follow each other.
    fetches: bool,
    last_block: Instant,
}

/// A question, and what came of it.
struct Heard {
    peer: String,
    question: Question,
    answer: Result<Vec<u8>, Silence>,
}

enum Question {
    Height,
    Blocks {
        from: u64,
        /// Whether the peer said that it has them.
        claims: bool,
    },
}

impl Follower {
    pub(crate) fn new(
        exchange: Arc<Exchange>,
        committer: Committer,
        peers: Arc<dyn Peers>,
        leave: Leave,
    ) -> Follower {
        Follower {
            exchange,
            committer: Arc::new(committer),
            peers,
            leave,
            asked: JoinSet::new(),
            fetches: false,
            last_block: Instant::now(),
        }
    }

    /// Follows until the chain is left.
    ///
    /// # Errors
    /// If the store fails: nothing can be followed any more.
    pub(crate) async fn run(mut self) -> Result<(), Error> {
        let ended = self.follow().await;
        // Whoever waits for the end may take it that nobody holds the peers any more.
        self.asked.shutdown().await;
        ended
    }

    async fn follow(&mut self) -> Result<(), Error> {
        let exchange = Arc::clone(&self.exchange);
        loop {
            self.ask();
            let pause = self.pause();
            tokio::select! {
                Some(heard) = self.asked.join_next() => {
                    let heard = heard.unwrap_or_else(|e| std::panic::resume_unwind(e.into_panic()));
                    self.hear(heard).await?;
                }
                () = exchange.woken.notified() => {}
                () = tokio::time::sleep(pause) => {}
                () = self.leave.left() => return Ok(()),
            }
        }
    }

    /// Puts the questions that are due.
    fn ask(&mut self) {
        let (now, tip) = (Instant::now(), self.exchange.store.tip().height);
        let in_reach = self.peers.peers();
        let (due, source) = {
            let mut known = self.exchange.known();
            known.meet(in_reach, now);
            let every = self.exchange.ask_every();
            let due = known.due(now, every, now < self.last_block + every);
            let source = if self.fetches {
                None
            } else {
                known.source(tip, now)
            };
            (due, source)
        };
        for peer in due {
            self.put(peer, Question::Height);
        }
        if let Some(source) = source {
            self.fetches = true;
            let (from, claims) = (tip + 1, source.claims);
            self.put(source.peer, Question::Blocks { from, claims });
        }
        self.exchange.show(tip);
    }

    fn put(&mut self, peer: String, question: Question) {
        let request = match question {
            Question::Height => Request::Status {},
            Question::Blocks { from, .. } => Request::Blocks {
                from,
                max: BLOCKS_MAX,
            },
        };
        let (peers, metrics) = (Arc::clone(&self.peers), self.exchange.metrics.clone());
        self.asked.spawn(async move {
            let answer = ask(peers, metrics, &peer, &request).await;
            Heard {
                peer,
                question,
                answer,
            }
        });
    }

    async fn hear(&mut self, heard: Heard) -> Result<(), Error> {
        let peer = heard.peer;
        let answer = heard.answer.map(|bytes| Answer::decode(&bytes));
        if let Question::Blocks { .. } = heard.question {
            self.fetches = false;
        }
        match (heard.question, answer) {
            (_, Err(silence)) => self.was_silent(&peer, &silence),
            (_, Ok(Err(reason))) => self.refuse(&peer, reason),
            (_, Ok(Ok(Answer::Failed { reason }))) => {
                self.was_silent(&peer, &Silence::Unable(quoted(&reason)));
            }
            (Question::Height, Ok(Ok(answer @ Answer::Status { .. }))) => self.hear_height(&peer, &answer),
            (Question::Blocks { from, claims }, Ok(Ok(Answer::Blocks { blocks }))) => {
                self.hear_blocks(&peer, from, claims, blocks).await?;
            }
            (_, Ok(Ok(answer))) => {
                self.refuse(&peer, format!("it answers another question: {:?}", answer.kind()));
            }
        }
        self.exchange.progress.send_replace(());
        Ok(())
    }

    fn hear_height(&mut self, peer: &str, answer: &Answer) {
        let Answer::Status {
            chain,
            genesis,
            height,
            header,
        } = answer
        else {
            return;
        };
        let tip = self.exchange.store.tip();
        if let Err(reason) = self.exchange.is_ours(&quoted(chain), &genesis.0) {
            self.refuse(peer, reason);
        } else if *height == tip.height && *header != tip.header {
            let ours = tip.header;
            self.refuse(
                peer,
                format!("its block {height} is {header}, the one here is {ours}"),
            );
        } else {
            self.exchange.known().said(peer, *height);
        }
    }

    async fn hear_blocks(
        &mut self,
        peer: &str,
        from: u64,
        claims: bool,
        blocks: Vec<Sealed>,
    ) -> Result<(), Error> {
        if blocks.is_empty() && claims {
            self.refuse(
                peer,
                format!("it said that it has block {from}, and does not give it"),
            );
            return Ok(());
        }
        if blocks.is_empty() {
            self.exchange.known().had_none(peer, Instant::now());
            return Ok(());
        }
        if blocks.len() > BLOCKS_MAX as usize {
            self.refuse(peer, format!("it gives {} blocks for {BLOCKS_MAX}", blocks.len()));
            return Ok(());
        }
        let before = self.exchange.store.tip().height;
        let taken = self.take(from, blocks).await;
        let reached = self.exchange.store.tip().height;
        if reached > before {
            self.last_block = Instant::now();
        }
        match taken {
            Ok(height) => self.exchange.known().gave(peer, height),
            Err(NotTaken::Refused(reason)) => self.refuse(peer, reason),
            Err(NotTaken::Store(error)) => return Err(error),
        }
        Ok(())
    }

    /// Runs blocks where they may wait for the disk.
    async fn take(&self, from: u64, blocks: Vec<Sealed>) -> Result<u64, NotTaken> {
        let (exchange, committer) = (Arc::clone(&self.exchange), Arc::clone(&self.committer));
        let leave = self.leave.clone();
        let work = move || exchange.take(&committer, from, &blocks, || leave.has_left());
        let done = tokio::task::spawn_blocking(work).await;
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }

    fn was_silent(&mut self, peer: &str, silence: &Silence) {
        tracing::debug!(peer, "no answer: {silence}");
        if let Some(fault) = silence.fault() {
            self.peers.fault(peer, fault);
        }
        self.exchange.known().was_silent(peer, silence.to_string());
    }

    fn refuse(&mut self, peer: &str, reason: String) {
        self.exchange.refuse(&*self.peers, peer, reason);
    }

    fn pause(&self) -> Duration {
        let tip = self.exchange.store.tip().height;
        let waits = !self.fetches && self.exchange.known().best(tip) > tip;
        if waits { LOOK_SOON } else { LOOK_EVERY }
    }
}

impl Exchange {
    /// A peer does what no honest node of this chain does: nothing more is asked of it.
    pub(crate) fn refuse(&self, peers: &dyn Peers, peer: &str, reason: String) {
        tracing::warn!(peer, "refused: {reason}");
        self.metrics.count_ask("any", "refused");
        peers.fault(peer, Fault::Severe(reason.clone()));
        self.known().refuse(peer, reason, Instant::now());
    }
}
