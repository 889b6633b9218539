//! One open session: asks for what readers need, takes what comes, pays for it.

use std::time::Duration;

use bytes::Bytes;
use cid::Cid;
use futures::future::{BoxFuture, Either, ready};
use futures::stream::FuturesOrdered;
use futures::{FutureExt as _, StreamExt as _};
use ledger::{Amount, PublicKey, Signed, Voucher};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::account::Account;
use super::asked::{Asked, Place};
use super::failure::{Failure, Fault};
use super::got::{Busy, Got};
use super::line::{Frame, Line};
use super::pace::Pace;
use super::session::Stream;
use super::terms::Agreed;
use super::till::{Ahead, Till};
use super::wants::Answer;
use super::{Fetcher, Session};
use crate::Error;
use crate::ddp::wire::{ToClient, ToServer, WireError};

/// A session that goes on until nothing is needed any more.
pub(super) struct Transfer<'a> {
    fetcher: &'a Fetcher,
    session: &'a Session,
    stream: Stream<'a>,
    node: PublicKey,
    line: Line,
    account: Account,
    till: Till,
    got: &'a Got,
    /// What is asked for here and not answered.
    asked: Asked,
    /// What came and is not dealt with, in the order in which it came: blocks are being verified and kept, and what the
    /// server says of them waits for that.
    coming: FuturesOrdered<BoxFuture<'static, Came>>,
    /// Nothing more is wanted of this server.
    is_leaving: bool,
    /// What the server asks for and cannot have now, and why.
    due: Option<(Amount, String)>,
    /// Hears when readers need something else.
    changes: watch::Receiver<()>,
    /// Hears when anything was kept that counts in a purse.
    purses: watch::Receiver<()>,
    pace: Pace,
    /// Since when something is wanted, or nothing.
    since: Instant,
    /// Whether something is wanted.
    busy: Busy<'a>,
    /// When a want was answered last.
    answered: Instant,
    /// When the last frame was dealt with: what this node takes for that is no silence of the server.
    listening: Instant,
}

impl<'a> Transfer<'a> {
    pub fn new(
        fetcher: &'a Fetcher,
        session: &'a Session,
        stream: Stream<'a>,
        agreed: Agreed,
        got: &'a Got,
    ) -> Transfer<'a> {
        let now = Instant::now();
        Transfer {
            fetcher,
            session,
            stream,
            node: agreed.node,
            line: agreed.line,
            account: agreed.account,
            till: agreed.till,
            got,
            asked: agreed.asked,
            coming: FuturesOrdered::new(),
            is_leaving: false,
            due: None,
            changes: session.changes(),
            purses: fetcher.purses.subscribe(),
            pace: Pace::default(),
            since: now,
            busy: got.stream(),
            answered: now,
            listening: now,
        }
    }

    /// Pays what is open from before, then fetches until nothing was needed for a while.
    pub async fn run(mut self, open: Option<Signed<Voucher>>) -> Result<(), Failure> {
        self.pay(open).await?;
        loop {
            self.pay_due().await?;
            if let Some(why) = self.till.exhausted()? {
                // What is on its way is taken and paid for.
                self.close().await?;
                return Err(Failure::own(why));
            }
            self.ask().await?;
            self.look_at_the_clock()?;
            if self.is_over() || self.fetcher.stop.is_cancelled() {
                return self.close().await;
            }
            let deadline = self.deadline();
            let dealt = tokio::select! {
                frame = self.line.next() => self.take(frame).await,
                Some(came) = self.coming.next() => self.deal_with(came).await,
                _ = self.changes.changed() => Ok(()),
                _ = self.purses.changed(), if self.due.is_some() => Ok(()),
                () = self.fetcher.stop.cancelled() => Ok(()),
                () = sleep_until(deadline) => Ok(()),
            };
            match dealt {
                Err(failure) if matches!(failure.fault, Fault::Lacks) => {
                    // What is on its way is taken and paid for.
                    self.close().await?;
                    return Err(failure);
                }
                dealt => dealt?,
            }
        }
    }

    /// Whether nothing was needed for a while, or another lane has found so.
    fn is_over(&self) -> bool {
        if self.busy.is() {
            return false;
        }
        // Before the wants are held: who holds the sessions takes them.
        let has_lingered = self.since.elapsed() >= self.fetcher.linger();
        let mut wants = self.session.wants();
        let is_over = wants.is_closed() || (has_lingered && wants.close_if_idle());
        drop(wants);
        if is_over {
            self.session.changed();
        }
        is_over
    }

    /// Wants what readers need.
    async fn ask(&mut self) -> Result<(), Failure> {
        let lane = self.stream.lane;
        while let Some(frame) = self
            .asked
            .next(self.fetcher, self.session, lane, self.pace.room())?
        {
            self.line.send(&frame).await?;
        }
        self.note_whether_busy();
        Ok(())
    }

    async fn take(&mut self, frame: Result<Frame, WireError>) -> Result<(), Failure> {
        match frame {
            Err(error) => {
                // Its last words say why.
                self.deal_until(0).await?;
                return Err(error.into());
            }
            Ok(Frame::Block(cid, block)) => self.block(cid, block).await?,
            Ok(Frame::Other(message)) => {
                self.coming.push_back(Box::pin(ready(Came::Message(message))));
                self.deal_until(KEEPING_MAX).await?;
            }
        }
        self.listening = Instant::now();
        Ok(())
    }

    /// Waits until no more than so much is not dealt with.
    async fn deal_until(&mut self, others: usize) -> Result<(), Failure> {
        while self.coming.len() > others
            && let Some(came) = self.coming.next().await
        {
            self.deal_with(came).await?;
        }
        Ok(())
    }

    async fn deal_with(&mut self, came: Came) -> Result<(), Failure> {
        match came {
            Came::Block(kept) => self.kept(kept),
            Came::Message(message) => self.hear(*message).await,
        }
    }

    async fn hear(&mut self, message: ToClient) -> Result<(), Failure> {
        match message {
            ToClient::Absent { cid } => self.absent(&cid.0),
            ToClient::End {} => match self.asked.end_path() {
                true => self.answered(),
                false => Err(Failure::lied("ended a path that was not asked for")),
            },
            ToClient::Statement { statement } => {
                let chain = &self.fetcher.config.chain;
                if let Some(proof) = self.account.contradiction(&statement, chain) {
                    self.fetcher.payer.convict(proof);
                }
                let statement = self.account.check(statement, &self.node, chain)?;
                let voucher = self.till.pay(statement)?;
                self.pay(voucher).await
            }
            ToClient::Due { cumulative } => {
                self.due = Some((cumulative, String::new()));
                self.pay_due().await
            }
            ToClient::Refuse(refuse) => Err(Failure::refused(refuse)),
            ToClient::Offer(_) | ToClient::Block { .. } => Err(Failure::lied("sent two offers")),
        }
    }

    /// The next one is received while this one is verified and kept, unless only this one tells which is the next.
    async fn block(&mut self, cid: Cid, block: Bytes) -> Result<(), Failure> {
        let Some(Place { since, is_next }) = self.asked.came(&cid) else {
            return Err(Failure::lied(format!(
                "sent block {cid}, which was not asked for"
            )));
        };
        if let Some(since) = since {
            let mut hedge = self.fetcher.hedge();
            hedge.asked();
            hedge.note(micros(since.elapsed()));
        }
        let kept = keep(self.till.clone(), cid, block, is_next);
        self.coming.push_back(Box::pin(kept.map(Came::Block)));
        let others = if is_next { 0 } else { KEEPING_MAX };
        self.deal_until(others).await
    }

    fn kept(&mut self, kept: Kept) -> Result<(), Failure> {
        let Kept {
            cid,
            block,
            is_next,
            result,
        } = kept;
        result?;
        if self.session.is_first_block() {
            self.fetcher.finder.fetched(&self.session.root);
        }
        self.fetcher.metrics.blocks.inc();
        self.fetcher.metrics.bytes.inc_by(block.len() as u64);
        self.fetcher.purses.send_replace(());
        self.account.received(block.len());
        self.got.came(block.len());
        self.pace.saw(block.len(), Instant::now().into_std());
        self.session.wants().arrived(&cid, &block);
        if is_next {
            self.asked.kept(cid, block);
        }
        self.listening = Instant::now();
        self.answered()
    }

    fn absent(&mut self, cid: &Cid) -> Result<(), Failure> {
        if self.asked.is_next(cid) {
            return self.answered();
        }
        if !self.asked.leave(cid) {
            return Err(Failure::lied(format!(
                "answered for block {cid}, which was not asked for"
            )));
        }
        let what = format!("does not have block {cid}");
        let mut wants = self.session.wants();
        match (wants.absent(self.stream.lane, cid), self.session.is_last()) {
            (false, _) => {}
            (true, false) if self.is_leaving => {}
            (true, false) => return Err(Failure::lacks(what)),
            (true, true) => wants.fail_one(cid, Answer::Failed(self.session.tried_and(&what))),
        }
        drop(wants);
        self.answered()
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

    /// Meets the server's demand, as soon as that may be.
    async fn pay_due(&mut self) -> Result<(), Failure> {
        let Some((cumulative, _)) = self.due.take() else {
            return Ok(());
        };
        match self.till.pay_ahead(cumulative)? {
            Ahead::Pay(voucher) => self.pay(voucher.map(|voucher| *voucher)).await,
            Ahead::TooMuch(what) => {
                self.due = Some((cumulative, what));
                Ok(())
            }
        }
    }

    /// Says that nothing more is needed, pays what was not stated yet, and waits until the server has it.
    async fn close(mut self) -> Result<(), Failure> {
        self.is_leaving = true;
        self.stream.retire();
        self.line.send(&ToServer::Close {}).await?;
        let silence = self.fetcher.config.silence;
        let ended = timeout(silence, async {
            loop {
                match self.line.next().await {
                    Err(WireError::Ended) => return self.deal_until(0).await,
                    frame => self.take(frame).await?,
                }
            }
        });
        let ended: Result<(), Failure> = ended
            .await
            .unwrap_or_else(|_| Err(Failure::silent("did not end the session", silence)));
        ended?;
        self.line.finish().await;
        Ok(())
    }

    fn answered(&mut self) -> Result<(), Failure> {
        self.answered = Instant::now();
        self.due = None;
        self.note_whether_busy();
        Ok(())
    }

    fn note_whether_busy(&mut self) {
        let is_busy = !self.asked.is_empty() || !self.coming.is_empty();
        if is_busy == self.busy.is() {
            return;
        }
        if !is_busy {
            self.pace.rests();
        }
        self.busy.set(is_busy);
        self.since = Instant::now();
    }

    /// When something has to be done though nothing happened.
    fn deadline(&self) -> Instant {
        match self.busy.is() {
            // Other lanes may be busy for longer.
            false => {
                let linger = self.fetcher.linger();
                (self.since + linger).max(Instant::now() + linger / 8)
            }
            true => self.silent_at().min(self.slow_at()),
        }
    }

    fn silent_at(&self) -> Instant {
        let heard = self.line.heard().max(self.listening);
        heard.max(self.since) + self.fetcher.config.silence
    }

    fn slow_at(&self) -> Instant {
        self.answered.max(self.since) + self.fetcher.patience()
    }

    fn look_at_the_clock(&self) -> Result<(), Failure> {
        let now = Instant::now();
        if self.busy.is()
            && now >= self.silent_at()
            && let Some((_, what)) = &self.due
        {
            return Err(Failure::poor(what));
        }
        if self.busy.is() && now >= self.silent_at() {
            return Err(Failure::silent("sent nothing", self.fetcher.config.silence));
        }
        if self.busy.is() && now >= self.slow_at() {
            return Err(Failure::silent("sent no block", self.fetcher.patience()));
        }
        Ok(())
    }
}

/// What came from the server.
enum Came {
    Block(Kept),
    Message(Box<ToClient>),
}

/// What became of a block that came.
struct Kept {
    cid: Cid,
    block: Bytes,
    /// Whether it is the next one of a path.
    is_next: bool,
    result: Result<(), Failure>,
}

/// Hashing and writing a large block take long enough to be no work for an asynchronous thread; a small one takes less than
/// to hand it over.
fn keep(till: Till, cid: Cid, block: Bytes, is_next: bool) -> impl Future<Output = Kept> + use<> {
    let kept = match block.len() <= SMALL_BYTES {
        true => Either::Left(ready(Ok(till.keep(&cid, &block)))),
        false => {
            let given = block.clone();
            Either::Right(tokio::task::spawn_blocking(move || till.keep(&cid, &given)))
        }
    };
    async move {
        let result = match kept.await {
            Ok(Err(Error::Mismatch(_))) => Err(Failure::lied(format!("sent wrong bytes for block {cid}"))),
            Ok(kept) => kept.map_err(Failure::from),
            Err(error) => Err(Failure::own(format!("was left: {error}"))),
        };
        Kept {
            cid,
            block,
            is_next,
            result,
        }
    }
}

/// Kept where it is received.
const SMALL_BYTES: usize = 16 << 10;
/// Blocks of a stream that are being verified and kept, or messages between them, while the next one comes: the store takes about as long for one as
/// the transport.
const KEEPING_MAX: usize = 3;

/// In microseconds.
pub(super) fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}
