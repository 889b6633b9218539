//! Whom to ask: the first provider that gives a sign of life.
//!
//! A node that is gone says nothing, and who waits for it waits in vain. So the next provider is asked too as soon as one
//! gives no sign within the time of two packets ([`nearest::hedge::silence_us`]); and on an open connection, a sign is asked
//! for when nothing comes. How long an answer takes says nothing of that: a transport answers whatever its node is busy
//! with.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use iroh::endpoint::Connection;
use nearest::hedge::{DELAY_UNKNOWN_US, silence_us};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::failure::Failure;
use super::provider::rtt_us;
use super::{Fetcher, Session};
use crate::ddp::Provider;

/// A provider, and the connection to it.
pub(super) type Reached = (Provider, Result<Connection, Failure>);

/// The providers of a session, in the order in which they are to be asked.
pub(super) struct Reach<'a> {
    fetcher: &'a Fetcher,
    session: &'a Session,
    waiting: VecDeque<Provider>,
    /// Those who have given no sign yet, in their order.
    silent: Vec<Provider>,
    dials: FuturesUnordered<BoxFuture<'a, Reached>>,
    /// Until then the last of them has time.
    until: Instant,
}

impl<'a> Reach<'a> {
    pub fn new(fetcher: &'a Fetcher, session: &'a Session, providers: VecDeque<Provider>) -> Self {
        Self {
            fetcher,
            session,
            waiting: providers,
            silent: Vec::new(),
            dials: FuturesUnordered::new(),
            until: Instant::now(),
        }
    }

    /// Whether nobody is left to be asked.
    pub fn is_over(&self) -> bool {
        self.left() == 0
    }

    /// How many were not reached yet.
    pub fn left(&self) -> usize {
        self.waiting.len() + self.dials.len()
    }

    /// A provider may be asked again, after the others.
    pub fn again(&mut self, provider: Provider) {
        self.waiting.push_back(provider);
    }

    /// The next provider that is reached, or is not for a reason that is told. Others who were asked meanwhile keep their
    /// turn. May be cancelled and called again.
    pub async fn next(&mut self) -> Option<Reached> {
        if self.dials.is_empty() {
            self.dial();
        }
        loop {
            tokio::select! {
                reached = self.dials.next() => {
                    let (provider, connected) = reached?;
                    self.silent.retain(|silent| silent.node != provider.node);
                    if connected.is_ok() {
                        self.dials.clear();
                        while let Some(silent) = self.silent.pop() {
                            self.waiting.push_front(silent);
                        }
                    }
                    return Some((provider, connected));
                }
                () = sleep_until(self.until), if !self.waiting.is_empty() => self.dial(),
            }
        }
    }

    fn dial(&mut self) {
        let Some(provider) = self.waiting.pop_front() else {
            return;
        };
        self.session.begin(provider.node);
        self.until = Instant::now() + sign_within(provider.rtt_us);
        self.silent.push(provider.clone());
        let fetcher = self.fetcher;
        self.dials.push(Box::pin(async move {
            let connected = connect(fetcher, &provider).await;
            (provider, connected)
        }));
    }
}

async fn connect(fetcher: &Fetcher, provider: &Provider) -> Result<Connection, Failure> {
    let silence = fetcher.config.silence;
    let connection = timeout(silence, fetcher.endpoint.connect(provider)).await;
    connection
        .map_err(|_| Failure::silent("could not be reached", silence))?
        .map_err(|why| Failure::poor(format!("could not be reached: {why}")))
}

/// Resolves when the other side of an open connection is gone, as far as that can be known: somebody waits for a block who
/// may have it from another provider, nothing comes, and a question to its transport is not answered.
pub(super) async fn gone(session: &Session, connection: &Connection) -> Failure {
    let heard = || connection.stats().udp_rx.datagrams;
    loop {
        let before = heard();
        sleep(QUIET).await;
        if heard() != before || session.is_last() || !session.wants().is_waited_for() {
            continue;
        }
        // It is acknowledged, and read by nobody.
        let asked = connection.send_datagram(Bytes::from_static(&[0]));
        let within = sign_within(rtt_us(connection)).max(SIGN_WITHIN_MIN);
        sleep(within).await;
        if asked.is_ok() && heard() == before {
            return Failure::silent("gave no sign of life", QUIET + within);
        }
    }
}

/// How long a provider at this distance may give no sign.
fn sign_within(rtt_us: Option<u32>) -> Duration {
    Duration::from_micros(rtt_us.map_or(DELAY_UNKNOWN_US, silence_us).into())
}

/// How long nothing comes before that is strange.
const QUIET: Duration = Duration::from_millis(100);
/// An open connection has shown that somebody is there, who may be a machine with much to do.
const SIGN_WITHIN_MIN: Duration = Duration::from_millis(250);
