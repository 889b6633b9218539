//! One session, from the open to the last voucher.

use std::collections::VecDeque;
use std::sync::Arc;

use cid::Cid;
use iroh::endpoint::{RecvStream, SendStream};
use ledger::{Link, Quote, Receipt, Signed};
use tokio::time::{Instant, timeout};

use super::line::{End, Line, refuse, refuse_for_now};
use super::open::open;
use super::pairs::{Charge, Halt};
use super::paying::{Bill, Payer, no_allotment};
use super::reading::{self, Answer, Want};
use super::relaying::Relaying;
use super::told::Told;
use super::waiting::Pause;
use super::{Peer, Server, now_ms};
use crate::ddp::seats::Seat;
use crate::ddp::wire::{
    Code, OUTSTANDING_MAX, PATH_SEGMENTS_MAX, Refuse, ToClient, ToServer, WANT_BLOCKS_MAX,
};

/// Serves one stream until it ends.
pub(super) async fn run(
    server: Arc<Server>,
    peer: Peer,
    seat: Option<Seat>,
    send: SendStream,
    recv: RecvStream,
) {
    let mut line = Line::new(send, recv, server.config.timeout);
    let end = match open(&server, peer, seat.is_some(), &mut line).await {
        Ok(mut session) => {
            server.metrics.sessions.inc();
            let ended = match session.relaying.take() {
                Some(relaying) => {
                    // A relay has seats of its own.
                    drop(seat);
                    session.relay(&mut line, relaying).await
                }
                None => session.run(&mut line).await,
            };
            let end = ended.err().unwrap_or(End::Done);
            session.end(&end).await;
            end
        }
        Err(end) => end,
    };
    if let End::Refused(reason) = end {
        server.metrics.refused.inc();
        line.refuse(reason).await;
    }
}

/// A session whose price was offered.
pub(super) struct Session {
    pub server: Arc<Server>,
    pub peer: Peer,
    root: Cid,
    pub quote: Signed<Quote>,
    /// `None` if there is nothing to pay, or nobody who does.
    pub payer: Option<Payer>,
    pub told: Told,
    /// What it is about, if not about content.
    pub relaying: Option<Relaying>,
    /// The number of its receipt.
    pub receipt: Option<u64>,
    wants: VecDeque<Want>,
    /// What was read and not sent.
    pub ready: VecDeque<Answer>,
    /// How much of it may leave, if that was asked for with the open.
    charged: Option<Charge>,
    /// Whether anything was sent.
    has_begun: bool,
    pub is_closing: bool,
    /// When something was asked or sent last.
    pub active: Instant,
    /// Since when it waits for a voucher.
    pub unpaid_since: Option<Instant>,
}

impl Session {
    pub fn new(
        server: &Arc<Server>,
        peer: Peer,
        root: Cid,
        quote: Signed<Quote>,
        payer: Option<Payer>,
        told: Told,
    ) -> Session {
        Session {
            server: Arc::clone(server),
            peer,
            root,
            quote,
            payer,
            told,
            relaying: None,
            receipt: None,
            wants: VecDeque::new(),
            ready: VecDeque::new(),
            charged: None,
            has_begun: false,
            is_closing: false,
            active: Instant::now(),
            unpaid_since: None,
        }
    }

    /// What was wanted with the open.
    pub fn begin(&mut self, first: Batch, charged: Option<Charge>) {
        (self.wants, self.ready, self.charged) = (first.wants, first.ready, charged);
    }

    /// Goes on until it is over; returns why, if not in order.
    async fn run(&mut self, line: &mut Line) -> Result<(), End> {
        while !self.server.stop.is_cancelled() {
            while let Some(frame) = line.next_here() {
                self.take(frame?).await?;
            }
            if self.is_closing {
                return self.close(line).await;
            }
            if let Some(pause) = self.step(line).await? {
                self.wait(line, pause).await?;
            }
        }
        Err(stops())
    }

    pub(super) async fn take(&mut self, frame: ToServer) -> Result<(), End> {
        match frame {
            ToServer::Open(_) => Err(refuse(Code::Protocol, "the session is open already")),
            ToServer::Want { blocks } => self.want_blocks(blocks),
            ToServer::Path { segments } => self.want_path(segments),
            ToServer::Pay { voucher } => self.pay(voucher).await,
            ToServer::Close {} => {
                self.is_closing = true;
                Ok(())
            }
        }
    }

    fn want_blocks(&mut self, blocks: Vec<Link>) -> Result<(), End> {
        if blocks.is_empty() || blocks.len() > WANT_BLOCKS_MAX {
            let reason = format!(
                "{} blocks wanted at once, 1 to {WANT_BLOCKS_MAX} may be",
                blocks.len()
            );
            return Err(refuse(Code::Protocol, reason));
        }
        self.want(blocks.into_iter().map(|Link(cid)| Want::Block(cid)))
    }

    fn want_path(&mut self, segments: Vec<String>) -> Result<(), End> {
        if segments.len() > PATH_SEGMENTS_MAX {
            let reason = format!(
                "a path of {} names, at most {PATH_SEGMENTS_MAX} may be",
                segments.len()
            );
            return Err(refuse(Code::Protocol, reason));
        }
        self.want([Want::Path(segments)].into_iter())
    }

    fn want(&mut self, wants: impl ExactSizeIterator<Item = Want>) -> Result<(), End> {
        if !self.quote.body.price.is_zero() && self.payer.is_none() {
            return Err(refuse(
                Code::NoEscrow,
                "delivery has a price here: open the session with an escrow",
            ));
        }
        let outstanding = self.wants.len() + self.ready.len() + wants.len();
        if outstanding > OUTSTANDING_MAX {
            let reason =
                format!("{outstanding} blocks are wanted and not yet sent, at most {OUTSTANDING_MAX} may be");
            return Err(refuse(Code::Protocol, reason));
        }
        self.active = Instant::now();
        self.wants.extend(wants);
        Ok(())
    }

    /// Sends what may be sent; else says what has to come first.
    async fn step(&mut self, line: &mut Line) -> Result<Option<Pause>, End> {
        if self.ready.is_empty() && self.wants.is_empty() {
            return Ok(Some(Pause::Idle));
        }
        if !std::mem::replace(&mut self.has_begun, true) {
            // Whatever this payer has from before, it has paid for by now.
            self.write_off().await?;
        }
        let charge = match (self.charged.take(), self.server.uplink.spent_for_ms(now_ms())) {
            (Some(charge), _) => charge,
            (None, Some(ms)) => return self.spent(line, ms).await,
            (None, None) => self.charge().await?,
        };
        match charge {
            Charge::Go { count, window } => {
                self.unpaid_since = None;
                self.send(line, count).await?;
                if self.told.unstated() >= (window / 2).max(1) {
                    self.state(line).await?;
                }
                Ok(None)
            }
            Charge::Halt(halt) => self.halt(line, halt).await,
        }
    }

    /// Nothing leaves for now; says what has to come first, unless something was written off.
    pub(super) async fn halt(&mut self, line: &mut Line, halt: Halt) -> Result<Option<Pause>, End> {
        if self.write_off().await? {
            return Ok(None);
        }
        self.state(line).await?;
        match halt {
            Halt::Unpaid { needed, all_paid } => {
                if all_paid || self.owes_unknowingly() {
                    self.ask(line, needed).await?;
                }
                Ok(Some(Pause::Unpaid))
            }
            Halt::NotCovered { missing, all_paid } => {
                if all_paid || self.told.unacknowledged() == 0 {
                    return Err(no_allotment(
                        "the escrow would not pay this node for more",
                        missing,
                    ));
                }
                Ok(Some(Pause::Unpaid))
            }
        }
    }

    /// Nothing more leaves this month: what did leave is stated and paid for first.
    pub(super) async fn spent(&mut self, line: &mut Line, ms: u64) -> Result<Option<Pause>, End> {
        self.state(line).await?;
        match self.payer.is_some() && self.told.unacknowledged() > 0 {
            true => Ok(Some(Pause::Unpaid)),
            false => Err(spent(ms)),
        }
    }

    /// How much of what is ready may leave; the next batch is read if the last one is sent. All of it in one visit of the
    /// disk: each takes as long as a small answer.
    async fn charge(&mut self) -> Result<Charge, End> {
        let (bill, root) = (self.bill(), self.root);
        let mut next = Batch {
            wants: std::mem::take(&mut self.wants),
            ready: std::mem::take(&mut self.ready),
        };
        let (charge, next) = blocking(&self.server, move |server| {
            let charge = next.charge(server, &root, &bill)?;
            Ok((charge, next))
        })
        .await?;
        (self.ready, self.wants) = (next.ready, next.wants);
        Ok(charge)
    }

    /// Sends the first so many answers; they are on the tab.
    async fn send(&mut self, line: &mut Line, count: usize) -> Result<(), End> {
        let answers: Vec<Answer> = self.ready.drain(..count).collect();
        let blocks = answers
            .iter()
            .filter(|answer| matches!(answer, Answer::Block(..)));
        self.told
            .sent(answers.iter().map(Answer::bytes).sum(), blocks.count() as u64);
        for answer in answers {
            match answer {
                Answer::Block(cid, block) => {
                    let bytes = block.len() as u64;
                    self.server.uplink.turn(&self.peer.node, bytes).await;
                    line.write_block(&cid, &block).await?;
                    self.server.uplink.left(bytes, now_ms())?;
                    self.server.metrics.blocks.inc();
                    self.server.metrics.bytes.inc_by(block.len() as u64);
                }
                Answer::Absent(cid) => line.write(&ToClient::Absent { cid: Link(cid) }).await?,
                Answer::End => line.write(&ToClient::End {}).await?,
            }
        }
        self.active = Instant::now();
        Ok(())
    }

    /// The last statement goes out, the last voucher comes in.
    pub(super) async fn close(&mut self, line: &mut Line) -> Result<(), End> {
        self.state(line).await?;
        line.finish();
        let limit = self.server.config.timeout;
        let last = async {
            loop {
                match line.next().await? {
                    ToServer::Pay { voucher } => self.pay(voucher).await?,
                    // Nothing can be said any more, and nothing is served.
                    _ => return Ok::<(), End>(()),
                }
            }
        };
        if let Ok(Err(End::Refused(Refuse { reason, .. }))) = timeout(limit, last).await {
            tracing::debug!(reason, "the last voucher of a session was not honoured");
        }
        Ok(())
    }

    /// After the last frame: the receipt of a session that has no voucher.
    async fn end(&mut self, end: &End) {
        tracing::debug!(root = %self.root, unacknowledged = self.told.unacknowledged(), %end, "a session is over");
        let is_free = self.quote.body.price.is_zero();
        let Some(statement) = self.told.last().filter(|_| is_free).cloned() else {
            return;
        };
        let receipt = Receipt {
            quote: self.quote.clone(),
            statement,
            voucher: None,
        };
        if let Err(End::Refused(Refuse { reason, .. })) = self.write_receipt(receipt).await {
            tracing::error!(reason, "the receipt of a session is lost");
        }
    }
}

/// What is wanted, and what of it was read.
#[derive(Default)]
pub(super) struct Batch {
    pub wants: VecDeque<Want>,
    pub ready: VecDeque<Answer>,
}

impl Batch {
    /// Reads the next, unless something is ready, and puts on the bill what of it may leave: that much must leave then.
    /// Blocks on disk.
    pub fn charge(&mut self, server: &Server, root: &Cid, bill: &Bill) -> Result<Charge, End> {
        if self.ready.is_empty() {
            self.ready = reading::answer(&server.store, root, &mut self.wants)?.into();
        }
        bill.charge(server, self.ready.iter().map(Answer::bytes).collect())
    }
}

/// Nothing more leaves this month.
pub(super) fn spent(ms: u64) -> End {
    refuse_for_now(Code::Busy, "this node has sent all that it may this month", ms)
}

pub(super) fn stops() -> End {
    refuse_for_now(Code::Unable, "this node stops", RETRY_STOP_MS)
}

/// Work that may wait for the disk, on a thread for that. A panic in it is one of the session.
pub(super) async fn blocking<T: Send + 'static>(
    server: &Arc<Server>,
    work: impl FnOnce(&Server) -> Result<T, End> + Send + 'static,
) -> Result<T, End> {
    let server = Arc::clone(server);
    match tokio::task::spawn_blocking(move || work(&server)).await {
        Ok(answer) => answer,
        Err(stopped) => match stopped.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(stops()),
        },
    }
}

const RETRY_STOP_MS: u64 = 10_000;
