//! Transactions on their way to a delegate.
//!
//! What was handed in at this node, or was taken from a peer that asked this node to pass it on, is spread by gossip,
//! and by a follower also handed to some peers directly, since gossip tells nobody whether it arrived. That is
//! repeated every few blocks until the transaction is in a block, does not hold any more, or peers have refused it
//! again and again. A peer's word alone does not end it at once: the peer may be behind, or lie.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use cid::Cid;
use ledger::Tx;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::ask::{Silence, ask};
use super::wire::{Answer, Request, quoted};
use super::{Exchange, Gossip, Leave, Peers};
use crate::Error;

/// Peers that a transaction is handed to at a time.
const HANDED_TO: usize = 3;
/// Blocks after which it is done again.
const AGAIN_AFTER_BLOCKS: u64 = 3;
/// The same if no blocks come.
const AGAIN_AFTER: Duration = Duration::from_secs(5);
/// Tries in which peers refused and none took it, after which it is given up.
const REFUSALS_MAX: u32 = 3;
/// Between two looks, while something is on its way.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Transactions that this node has taken over to bring to a delegate. All of them wait in the mempool, which bounds
/// their number.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    waiting: Mutex<Vec<Outgoing>>,
    filled: Notify,
}

#[derive(Debug)]
struct Outgoing {
    cid: Cid,
    tx: Tx,
    /// Height and time of the last try.
    tried: Option<(u64, Instant)>,
    tries: u32,
    /// Refusals since it was last taken.
    refusals: u32,
}

/// What a peer said about a transaction.
enum Said {
    Taken,
    Refused(String),
    Nothing,
}

/// What came of handing transactions to a peer.
struct Handed {
    peer: String,
    said: Vec<(Cid, Said)>,
    silence: Option<Silence>,
    /// Why the peer is to be refused.
    wrong: Option<String>,
}

impl Outbox {
    /// Takes over a transaction that waits in the mempool.
    pub(crate) fn push(&self, cid: Cid, tx: Tx) {
        let mut waiting = self.waiting();
        if !waiting.iter().any(|outgoing| outgoing.cid == cid) {
            waiting.push(Outgoing {
                cid,
                tx,
                tried: None,
                tries: 0,
                refusals: 0,
            });
            self.filled.notify_one();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Outgoing>> {
        self.waiting.lock().expect("no panic while the outbox is held")
    }

    fn is_empty(&self) -> bool {
        self.waiting().is_empty()
    }

    /// Those that are to be tried now, in the order in which they came; they count as tried.
    fn due(&self, height: u64, now: Instant) -> Vec<(Cid, Tx)> {
        let mut waiting = self.waiting();
        let due = waiting.iter_mut().filter(|outgoing| outgoing.is_due(height, now));
        due.map(|outgoing| {
            outgoing.tried = Some((height, now));
            outgoing.tries += 1;
            (outgoing.cid, outgoing.tx.clone())
        })
        .collect()
    }

    /// Notes what a peer said. Returns the reason if the transaction is to be given up.
    fn note(&self, cid: &Cid, said: Said) -> Option<String> {
        let mut waiting = self.waiting();
        let outgoing = waiting.iter_mut().find(|outgoing| outgoing.cid == *cid)?;
        match said {
            Said::Nothing => None,
            Said::Taken => {
                outgoing.refusals = 0;
                None
            }
            Said::Refused(reason) => {
                outgoing.refusals += 1;
                let enough = outgoing.refusals.min(outgoing.tries) >= REFUSALS_MAX;
                enough.then_some(reason)
            }
        }
    }
}

impl Outgoing {
    fn is_due(&self, height: u64, now: Instant) -> bool {
        self.tried
            .is_none_or(|(at, when)| height >= at + AGAIN_AFTER_BLOCKS || now >= when + AGAIN_AFTER)
    }
}

/// The task that empties the outbox.
pub(crate) struct Relay {
    exchange: Arc<Exchange>,
    peers: Arc<dyn Peers>,
    leave: Leave,
    handing: JoinSet<Handed>,
    /// Peers that are being handed something.
    busy: BTreeSet<String>,
    /// Whose turn it is.
    turn: usize,
}

impl Relay {
    pub(crate) fn new(exchange: Arc<Exchange>, peers: Arc<dyn Peers>, leave: Leave) -> Relay {
        Relay {
            exchange,
            peers,
            leave,
            handing: JoinSet::new(),
            busy: BTreeSet::new(),
            turn: 0,
        }
    }

    /// Runs until the chain is left.
    ///
    /// # Errors
    /// If the store fails.
    pub(crate) async fn run(mut self) -> Result<(), Error> {
        let ended = self.relay().await;
        self.handing.shutdown().await;
        ended
    }

    async fn relay(&mut self) -> Result<(), Error> {
        let exchange = Arc::clone(&self.exchange);
        loop {
            self.forget();
            self.send();
            let idle = self.exchange.outbox.is_empty();
            tokio::select! {
                Some(handed) = self.handing.join_next() => {
                    let handed = handed.unwrap_or_else(|e| std::panic::resume_unwind(e.into_panic()));
                    self.hear(handed).await?;
                }
                () = exchange.outbox.filled.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY), if !idle => {}
                () = self.leave.left() => return Ok(()),
            }
        }
    }

    /// What does not wait any more is in a block, or does not hold.
    fn forget(&self) {
        let mempool = &self.exchange.mempool;
        let waits = |outgoing: &Outgoing| mempool.waits(&outgoing.cid);
        self.exchange.outbox.waiting().retain(waits);
    }

    fn send(&mut self) {
        let to = self.receivers();
        if self.exchange.follows && to.is_empty() {
            return;
        }
        let height = self.exchange.store.tip().height;
        let due = self.exchange.outbox.due(height, Instant::now());
        if due.is_empty() {
            return;
        }
        for (_, tx) in &due {
            self.peers.publish(Gossip::Tx, tx.encode());
        }
        self.turn = self.turn.wrapping_add(to.len()) % usize::from(u16::MAX);
        for peer in to {
            self.busy.insert(peer.clone());
            let (peers, exchange) = (Arc::clone(&self.peers), Arc::clone(&self.exchange));
            self.handing.spawn(hand(exchange, peers, peer, due.clone()));
        }
    }

    /// A delegate has its own turn to propose: it hands its transactions to nobody.
    fn receivers(&self) -> Vec<String> {
        if !self.exchange.follows {
            return Vec::new();
        }
        let mut some = self.exchange.known().some(HANDED_TO, self.turn);
        some.retain(|peer| !self.busy.contains(peer));
        some
    }

    async fn hear(&mut self, handed: Handed) -> Result<(), Error> {
        self.busy.remove(&handed.peer);
        if let Some(reason) = handed.wrong {
            self.exchange.refuse(&*self.peers, &handed.peer, reason);
        }
        if let Some(fault) = handed.silence.as_ref().and_then(Silence::fault) {
            self.peers.fault(&handed.peer, fault);
        }
        for (cid, said) in handed.said {
            if let Some(reason) = self.exchange.outbox.note(&cid, said) {
                self.give_up(cid, reason).await?;
            }
        }
        Ok(())
    }

    async fn give_up(&self, cid: Cid, reason: String) -> Result<(), Error> {
        tracing::warn!(%cid, "peers refuse a transaction for good: {reason}");
        let exchange = Arc::clone(&self.exchange);
        let work = move || exchange.mempool.give_up(&cid, reason);
        let done = tokio::task::spawn_blocking(work).await;
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }
}

/// Hands transactions to a peer one by one, since those of one account must come in order.
async fn hand(exchange: Arc<Exchange>, peers: Arc<dyn Peers>, peer: String, txs: Vec<(Cid, Tx)>) -> Handed {
    let mut handed = Handed {
        peer,
        said: Vec::new(),
        silence: None,
        wrong: None,
    };
    for (cid, tx) in txs {
        let tx = Box::new(tx);
        let (peers, metrics) = (Arc::clone(&peers), exchange.metrics.clone());
        let answer = match ask(peers, metrics, &handed.peer, &Request::Submit { tx }).await {
            Ok(bytes) => Answer::decode(&bytes),
            Err(silence) => {
                handed.silence = Some(silence);
                return handed;
            }
        };
        let said = match answer {
            Ok(Answer::Taken {}) => Said::Taken,
            Ok(Answer::Refused { reason }) => Said::Refused(quoted(&reason)),
            Ok(Answer::Failed { .. }) => Said::Nothing,
            Ok(answer) => {
                handed.wrong = Some(format!("it answers another question: {:?}", answer.kind()));
                return handed;
            }
            Err(reason) => {
                handed.wrong = Some(reason);
                return handed;
            }
        };
        handed.said.push((cid, said));
    }
    handed
}
