//! The home relay: where others reach this node if they do not reach it directly. It is paid as long as this node stays.
//!
//! The relay counts, this node counts too, and pays for what both have seen. What was lost between them, with a connection,
//! the relay has seen and this node has not: [`LOST_BYTES_MAX`] of that in a session is paid for as well, which is what a
//! relay gains by lying.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use ledger::{Address, Amount, Hash, Signed, Statement, Voucher};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::Fetcher;
use super::account::Account;
use super::failure::Failure;
use super::line::{Frame, Line};
use super::terms::agree_with_relay;
use super::till::{Ahead, Till};
use crate::ddp::RelayNode;
use crate::ddp::wire::{ToClient, ToServer, WireError};

/// A session with a relay.
struct Visit<'a> {
    fetcher: &'a Fetcher,
    relay: &'a RelayNode,
    line: Line,
    account: Account,
    till: Till,
    /// What had gone through relays when it began.
    before: u64,
    /// A demand that could not be met at once.
    due: Option<(Amount, Instant)>,
}

impl Fetcher {
    /// The relay through which others reach this node now.
    pub(crate) fn home(&self) -> watch::Receiver<Option<SocketAddr>> {
        self.home.subscribe()
    }

    /// Stays at a relay until it fails, or `leave` resolves.
    ///
    /// # Errors
    /// One line, that goes on after the relay's name: why it is left.
    pub(crate) async fn stay(
        &self,
        relay: &RelayNode,
        leave: impl Future<Output = ()>,
    ) -> Result<(), String> {
        tokio::pin!(leave);
        let mut allotted = None;
        loop {
            let mut paying = None;
            let stayed = self.visit(relay, leave.as_mut(), &mut paying).await;
            self.home.send_replace(None);
            match (stayed, paying) {
                (Ok(()), _) => return Ok(()),
                (Err(failure), Some((escrow, payee))) if allotted.is_none_or(has_come_far) => {
                    let Some(missing) = failure.missing() else {
                        return Err(failure.what);
                    };
                    allotted = Some(Instant::now());
                    let more = timeout(self.config.timeout, self.payer.allot(&escrow, &payee, missing));
                    more.await
                        .unwrap_or_else(|_| Err("setting coins aside took too long".to_owned()))
                        .map_err(|why| format!("could not be paid: {why}"))?;
                }
                (Err(failure), _) => return Err(failure.what),
            }
        }
    }

    async fn visit(
        &self,
        relay: &RelayNode,
        leave: Pin<&mut impl Future<Output = ()>>,
        paying: &mut Option<(Hash, Address)>,
    ) -> Result<(), Failure> {
        let silence = self.config.silence;
        let connection = timeout(silence, self.endpoint.connect(&relay.provider)).await;
        let connection = connection
            .map_err(|_| Failure::silent("could not be reached", silence))?
            .map_err(|why| Failure::poor(format!("could not be reached: {why}")))?;
        let before = self.endpoint.relayed();
        let mut agreed = agree_with_relay(self, &connection, relay.provider.node).await?;
        let offer = &agreed.offer;
        *paying = agreed.pair.map(|pair| (pair.escrow, pair.account()));
        let seen = offer.seen.as_ref().map(|seen| seen.0);
        let first = agreed.till.begin(&self.config.chain, offer.vouched.as_ref())?;
        let mut visit = Visit {
            fetcher: self,
            relay,
            line: agreed.line,
            account: agreed.account,
            till: agreed.till,
            before,
            due: None,
        };
        visit.pay(first).await?;
        self.endpoint
            .settle(relay.address, seen)
            .await
            .map_err(Failure::poor)?;
        let ended = tokio::select! {
            ended = visit.go_on() => ended,
            failure = watch_over(self, relay) => Err(failure),
            () = leave => Ok(()),
            () = self.stop.cancelled() => Ok(()),
        };
        self.endpoint.unsettle(relay.address, seen).await;
        ended?;
        visit.close().await
    }
}

/// Whether what was set aside has lasted for a while.
fn has_come_far(since: Instant) -> bool {
    since.elapsed() >= ALLOT_PAUSE
}

impl Visit<'_> {
    /// Pays for what the relay states, until it fails.
    async fn go_on(&mut self) -> Result<(), Failure> {
        loop {
            let frame = match self.due {
                None => self.line.next().await,
                Some((cumulative, until)) => {
                    let again = (Instant::now() + DUE_AGAIN).min(until);
                    tokio::select! {
                        frame = self.line.next() => frame,
                        () = sleep_until(again) => {
                            self.meet(cumulative, until).await?;
                            continue;
                        }
                    }
                }
            };
            self.take(frame?).await?;
        }
    }

    async fn take(&mut self, frame: Frame) -> Result<(), Failure> {
        let Frame::Other(message) = frame else {
            return Err(Failure::lied("sent a block that was not asked for"));
        };
        match *message {
            ToClient::Statement { statement } => self.acknowledge(statement).await,
            ToClient::Due { cumulative } => {
                let until = Instant::now() + self.fetcher.config.silence;
                self.meet(cumulative, until).await
            }
            ToClient::Refuse(refuse) => Err(Failure::refused(refuse)),
            _ => Err(Failure::lied("sent an answer to nothing")),
        }
    }

    /// Pays for what was stated, if it is no more than what this node has seen.
    async fn acknowledge(&mut self, statement: Signed<Statement>) -> Result<(), Failure> {
        let stated = statement.body.bytes;
        let before = self.account.bytes();
        self.until_seen(stated).await?;
        self.account.relayed(stated);
        let chain = &self.fetcher.config.chain;
        if let Some(proof) = self.account.contradiction(&statement, chain) {
            self.fetcher.payer.convict(proof);
        }
        let hash = self.account.check(statement, &self.relay.provider.node, chain)?;
        let bytes = stated.saturating_sub(before);
        let till = self.till.clone();
        blocking(move || till.relayed(bytes)).await?;
        let voucher = self.till.pay(hash)?;
        self.pay(voucher).await?;
        match self.till.exhausted()? {
            Some(why) => Err(Failure::own(why)),
            None => Ok(()),
        }
    }

    /// Waits until this node has seen so much: packets may be behind the statement.
    async fn until_seen(&mut self, stated: u64) -> Result<(), Failure> {
        let until = Instant::now() + self.fetcher.config.silence;
        loop {
            let seen = self.fetcher.endpoint.relayed() - self.before;
            if stated <= seen.saturating_add(LOST_BYTES_MAX) {
                return Ok(());
            }
            if Instant::now() >= until {
                return Err(Failure::lied(format!(
                    "states {stated} bytes passed on, of which {seen} came or went"
                )));
            }
            sleep(SEEN_AGAIN).await;
        }
    }

    async fn meet(&mut self, cumulative: Amount, until: Instant) -> Result<(), Failure> {
        self.due = None;
        match self.till.pay_ahead(cumulative)? {
            Ahead::Pay(voucher) => self.pay(voucher.map(|voucher| *voucher)).await,
            Ahead::TooMuch(what) if Instant::now() >= until => Err(Failure::poor(what)),
            Ahead::TooMuch(_) => {
                self.due = Some((cumulative, until));
                Ok(())
            }
        }
    }

    async fn pay(&mut self, voucher: Option<Signed<Voucher>>) -> Result<(), Failure> {
        match voucher {
            Some(voucher) => {
                self.fetcher.metrics.vouchers.inc();
                self.line.send(&ToServer::Pay { voucher }).await
            }
            None => Ok(()),
        }
    }

    /// Says that this node leaves, and pays what was not stated yet.
    async fn close(mut self) -> Result<(), Failure> {
        self.line.send(&ToServer::Close {}).await?;
        let silence = self.fetcher.config.silence;
        let ended = timeout(silence, async {
            loop {
                match self.line.next().await {
                    Err(WireError::Ended) => return Ok(()),
                    frame => self.take(frame?).await?,
                }
            }
        });
        ended
            .await
            .unwrap_or_else(|_| Err(Failure::silent("did not end the session", silence)))?;
        self.line.finish().await;
        Ok(())
    }
}

/// Resolves when the relay does not take this node, or has lost it for a while.
async fn watch_over(fetcher: &Fetcher, relay: &RelayNode) -> Failure {
    let endpoint = &fetcher.endpoint;
    loop {
        let settled = timeout(SETTLE_TIME_MAX, endpoint.until_settled(relay.address, true)).await;
        if settled.is_err() {
            return Failure::silent("passed nothing on", SETTLE_TIME_MAX);
        }
        fetcher.home.send_replace(Some(relay.address));
        endpoint.until_settled(relay.address, false).await;
    }
}

async fn blocking(work: impl FnOnce() -> Result<(), crate::Error> + Send + 'static) -> Result<(), Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => Ok(result?),
        Err(error) => Err(Failure::own(format!("was left: {error}"))),
    }
}

/// What of a session may be lost between the relay and this node, and is paid for all the same, in bytes: what is on its way
/// when a connection breaks.
const LOST_BYTES_MAX: u64 = 1 << 20;
/// Who asks for more again so soon asks too much.
const ALLOT_PAUSE: Duration = Duration::from_secs(60);
/// How often it is looked whether what was stated has come.
const SEEN_AGAIN: Duration = Duration::from_millis(5);
/// How often a demand is tried again that is more than may be paid ahead.
const DUE_AGAIN: Duration = Duration::from_millis(50);
/// What a relay may take to take this node, or to take it back.
const SETTLE_TIME_MAX: Duration = Duration::from_secs(10);
