//! One provider: agree, transfer, and what became of it.

use std::sync::Mutex;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use iroh::endpoint::{Connection, VarInt};
use ledger::{Address, Amount, Hash, PublicKey};
use tokio::time::{Instant, sleep, timeout};

use super::failure::{Failure, Fault};
use super::got::Got;
use super::reach::gone;
use super::session::{Asking, lock};
use super::terms::agree;
use super::transfer::Transfer;
use super::width::wider;
use super::{Fetcher, Session};
use crate::ddp::Outcome;
use crate::ddp::wire::{Code, Refuse};

/// Why a provider is no longer asked.
pub(super) enum End {
    /// Nothing is needed any more.
    Idle,
    /// It failed.
    Failed {
        /// One line that goes on after its name.
        what: String,
        /// Whether it may do better the next time.
        may_try_again: bool,
        /// Whether it has nothing of what is read.
        lacks_root: bool,
        /// Whether it is this node that could not pay or keep what came.
        is_ours: bool,
    },
}

/// Fetches from one provider until nothing is needed or it fails.
pub(super) async fn fetch(
    fetcher: &Fetcher,
    session: &Session,
    asking: Asking<'_>,
    node: PublicKey,
    connected: Result<Connection, Failure>,
) -> End {
    let mut visit = Visit {
        fetcher,
        session,
        asking: &asking,
        node,
        got: Got::default(),
        paying: Mutex::default(),
        allotted: false,
    };
    let (rtt_us, result) = match connected {
        Err(failure) => (None, Err(failure)),
        Ok(connection) => {
            let result = tokio::select! {
                result = visit.run(&connection) => result,
                failure = gone(session, &connection) => Err(failure),
            };
            let rtt_us = rtt_us(&connection);
            if let Err(Failure {
                fault: Fault::Silent, ..
            }) = &result
            {
                fetcher.tasks.spawn(close_if_dead(connection));
            }
            (rtt_us, result)
        }
    };
    let got = visit.got;
    if let Err(failure) = &result {
        fetcher.metrics.failures.inc();
        fetcher
            .metrics
            .lies
            .inc_by(u64::from(matches!(failure.fault, Fault::Lied)));
    }
    fetcher
        .finder
        .outcome(&node, outcome(&got, rtt_us, result.as_ref().err()));
    match result {
        Ok(()) => End::Idle,
        Err(Failure { what, fault }) => End::Failed {
            what,
            may_try_again: matches!(fault, Fault::Lost) && got.bytes() > 0,
            lacks_root: lacks_root(&fault),
            is_ours: matches!(fault, Fault::Own),
        },
    }
}

/// Whoever is asked on the off chance may well not have it.
fn lacks_root(fault: &Fault) -> bool {
    is_refused(fault, Code::Absent)
}

fn is_refused(fault: &Fault, why: Code) -> bool {
    matches!(fault, Fault::Refused(refuse) if refuse.code == why)
}

/// A fault of this node's own is not told of the provider, and it is no failure not to have something.
fn outcome(got: &Got, rtt_us: Option<u32>, failure: Option<&Failure>) -> Outcome {
    let failure =
        failure.filter(|failure| !matches!(failure.fault, Fault::Own) && !lacks_root(&failure.fault));
    Outcome {
        rtt_us,
        bytes: got.bytes(),
        took: got.took(),
        failure: failure.map(|failure| failure.what.clone()),
        lied: failure.is_some_and(|failure| matches!(failure.fault, Fault::Lied)),
        turned_away: failure.is_some_and(|failure| is_refused(&failure.fault, Code::Busy)),
    }
}

struct Visit<'a> {
    fetcher: &'a Fetcher,
    session: &'a Session,
    asking: &'a Asking<'a>,
    node: PublicKey,
    got: Got,
    /// Who pays, and who is paid, if anything is.
    paying: Mutex<Option<(Hash, Address)>>,
    /// Whether more was set aside for it since something came.
    allotted: bool,
}

impl Visit<'_> {
    /// Opens sessions until nothing is needed: another one after a refusal that can be helped.
    async fn run(&mut self, connection: &Connection) -> Result<(), Failure> {
        let mut patience = Instant::now() + self.fetcher.patience();
        loop {
            let had = self.got.bytes();
            let failure = match self.together(connection).await {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            if self.got.bytes() > had {
                patience = Instant::now() + self.fetcher.patience();
                self.allotted = false;
            }
            if Instant::now() >= patience || !self.fetcher.is_needed(self.session).await {
                return Err(failure);
            }
            self.help(failure).await?;
        }
    }

    /// One stream, and others beside it as long as readers wait and the windows of all of them are full. What breaks one
    /// of them breaks all, but a refusal and the lack of a block: then the others go on, and there are no more of them.
    async fn together(&self, connection: &Connection) -> Result<(), Failure> {
        let mut streams = FuturesUnordered::from_iter([self.once(connection)]);
        let mut meter = Meter::new(connection);
        let mut result = None;
        loop {
            tokio::select! {
                ended = streams.next() => match ended {
                    None => return result.unwrap_or(Ok(())),
                    Some(Err(failure)) if !matches!(failure.fault, Fault::Refused(_) | Fault::Lacks) => return Err(failure),
                    Some(ended) => result = Some(ended),
                },
                () = sleep(WIDTH_LOOK), if result.is_none() => {
                    let wider = meter.look(connection, streams.len(), self.got.bytes());
                    let wanted = wider.filter(|_| self.session.wants().is_behind()).unwrap_or_default();
                    while streams.len() < wanted {
                        self.fetcher.metrics.streams.inc();
                        streams.push(self.once(connection));
                    }
                }
            }
        }
    }

    async fn once(&self, connection: &Connection) -> Result<(), Failure> {
        let result = self.stream(connection).await;
        if result.is_err() {
            self.fetcher.forget_quote(&self.node);
        }
        result
    }

    async fn stream(&self, connection: &Connection) -> Result<(), Failure> {
        let stream = self.asking.stream();
        let mut agreed = agree(self.fetcher, self.session, connection, self.node, stream.lane).await?;
        let offer = &agreed.offer;
        *lock(&self.paying) = agreed.pair.map(|pair| (pair.escrow, pair.account()));
        let first = agreed
            .till
            .begin(&self.fetcher.config.chain, offer.vouched.as_ref())?;
        let transfer = Transfer::new(self.fetcher, self.session, stream, agreed, &self.got);
        transfer.run(first).await
    }

    /// Does what is needed before the provider is asked again, or fails as it did.
    async fn help(&mut self, failure: Failure) -> Result<(), Failure> {
        let Fault::Refused(Refuse {
            code,
            retry_ms,
            missing,
            ..
        }) = &failure.fault
        else {
            return Err(failure);
        };
        let paying = *lock(&self.paying);
        match (code, paying) {
            (Code::NoAllotment, Some((escrow, payee))) if !self.allotted => {
                self.allotted = true;
                self.allot(&escrow, &payee, *missing).await
            }
            // Its ledger may be a block behind; with others left, it is their turn.
            (Code::NoAllotment | Code::NoEscrow | Code::Split, _) if *retry_ms > 0 => {
                self.wait(*retry_ms).await
            }
            (Code::Busy, _) if *retry_ms > 0 && self.session.is_last() => self.wait(*retry_ms).await,
            _ => Err(failure),
        }
    }

    async fn allot(&self, escrow: &Hash, payee: &Address, amount: Amount) -> Result<(), Failure> {
        let allotted = timeout(
            self.fetcher.config.timeout,
            self.fetcher.payer.allot(escrow, payee, amount),
        );
        allotted
            .await
            .unwrap_or_else(|_| Err("setting coins aside took too long".to_owned()))
            .map_err(|why| Failure::own(format!("could not be paid: {why}")))
    }

    async fn wait(&self, ms: u64) -> Result<(), Failure> {
        sleep(Duration::from_millis(ms).clamp(WAIT_MIN, WAIT_MAX)).await;
        Ok(())
    }
}

/// How much comes on a path, and how long it is.
struct Meter {
    /// The shortest round trip that was seen: in others, packets waited in queues.
    rtt: Duration,
    looked: Instant,
    bytes: u64,
}

impl Meter {
    fn new(connection: &Connection) -> Meter {
        Meter {
            rtt: rtt(connection),
            looked: Instant::now(),
            bytes: 0,
        }
    }

    /// How many streams there shall be, if more than there are, of which so many bytes came by now.
    fn look(&mut self, connection: &Connection, streams: usize, bytes: u64) -> Option<usize> {
        let now = Instant::now();
        self.rtt = self.rtt.min(rtt(connection));
        let (came, took) = (bytes - self.bytes, now - self.looked);
        (self.bytes, self.looked) = (bytes, now);
        wider(streams, came, took, self.rtt)
    }
}

/// Closes a connection on which nothing comes any more, so that the next session makes a new one. Others may be well
/// served on it.
async fn close_if_dead(connection: Connection) {
    let received = || connection.stats().udp_rx.datagrams;
    let before = received();
    sleep(DEAD_AFTER).await;
    if received() == before {
        connection.close(VarInt::from_u32(1), b"silent");
    }
}

/// The round trip of the path in use, in microseconds.
pub(super) fn rtt_us(connection: &Connection) -> Option<u32> {
    let paths = connection.paths();
    let selected = paths.iter().find(|path| path.is_selected())?;
    Some(u32::try_from(selected.rtt().as_micros()).unwrap_or(u32::MAX))
}

fn rtt(connection: &Connection) -> Duration {
    Duration::from_micros(rtt_us(connection).unwrap_or_default().into())
}

/// How often it is looked whether the streams fill the path.
const WIDTH_LOOK: Duration = Duration::from_millis(250);
/// How long a refused session waits before it is opened again.
const WAIT_MIN: Duration = Duration::from_millis(20);
const WAIT_MAX: Duration = Duration::from_secs(2);
/// How long nothing comes from a node that is gone.
const DEAD_AFTER: Duration = Duration::from_secs(1);
