//! A session about no content: this node passes packets on for the peer, as long as it pays for them.
//!
//! So much is on the peer's tab ahead as its meter holds ([`GRANT`] at a time); what of it did not pass is taken back when
//! the session ends.

use std::sync::Arc;
use std::time::Duration;

use ledger::{PublicKey, SessionTerms};
use tokio::time::{Instant, sleep_until};

use super::line::{End, Line, refuse, refuse_for_now};
use super::open::{RETRY_BUSY_MS, join, random};
use super::pairs::Charge;
use super::session::{Session, blocking, stops};
use super::told::Told;
use super::waiting::{Pause, changed};
use super::{Peer, Server, now_ms};
use crate::ddp::books::Pair;
use crate::ddp::relay::{GRANT, Meter, Relay};
use crate::ddp::seats::Seat;
use crate::ddp::wire::{Code, Offer, Open, Text, ToClient, ToServer};

/// What of a session is the relay's.
pub(super) struct Relaying {
    relay: Relay,
    node: PublicKey,
    meter: Arc<Meter>,
    /// What of that which passed the session knows of.
    noted: u64,
    /// The payer's window, in bytes.
    window: u64,
    /// When what has passed is looked at next though nothing happens.
    look: Instant,
    _seat: Seat,
}

impl Relaying {
    fn begin(relay: &Relay, node: PublicKey, seat: Seat, window: u64) -> Relaying {
        Relaying {
            relay: relay.clone(),
            node,
            meter: relay.meters().begin(node),
            noted: 0,
            window,
            look: Instant::now() + LOOK_EVERY,
            _seat: seat,
        }
    }
}

impl Drop for Relaying {
    /// However the session ended.
    fn drop(&mut self) {
        self.relay.meters().end(&self.node, &self.meter);
    }
}

/// Offers to relay, if this node is a relay and has room. Without an escrow, where there is a price, the offer is all.
pub(super) async fn open(
    server: &Arc<Server>,
    peer: Peer,
    open: Open,
    line: &mut Line,
) -> Result<Session, End> {
    let Some((relay, quotes)) = &server.relay else {
        return Err(refuse(Code::Absent, "this node is no relay"));
    };
    let (nonce, quote) = (random()?, quotes.now(now_ms()));
    let terms = SessionTerms {
        client: peer.node,
        server: server.config.key.public(),
        quote: quote.hash(),
        client_nonce: open.nonce,
        server_nonce: nonce,
    };
    let (is_paid, payee) = (!quote.body.price.is_zero(), quote.body.payee);
    let escrow = open.escrow.filter(|_| is_paid);
    let begins = escrow.is_some() || !is_paid;
    let seat = match begins {
        true => Some(take_seat(relay, &peer)?),
        false => None,
    };
    let (payer, vouched, ahead) = blocking(server, move |server| {
        let joined = escrow
            .map(|escrow| join(server, Pair::new(&escrow, &payee)))
            .transpose()?;
        Ok(match joined {
            Some((payer, vouched, ahead)) => (Some(payer), vouched, ahead),
            None => (None, None, false),
        })
    })
    .await?;
    let offer = Offer {
        quote: quote.clone(),
        nonce,
        vouched,
        ahead,
        seen: peer.seen.map(Text),
    };
    let told = Told::new(terms.id(), terms.quote, open.root, escrow);
    let mut session = Session::new(server, peer, open.root.0, quote, payer, told);
    session.relaying =
        seat.map(|seat| Relaying::begin(relay, peer.node, seat, server.config.credit.first_window));
    line.write(&ToClient::Offer(offer)).await?;
    Ok(session)
}

fn take_seat(relay: &Relay, peer: &Peer) -> Result<Seat, End> {
    let seat = relay.nodes().take(&peer.node, peer.network);
    seat.ok_or_else(|| {
        let busy = "this relay has as many nodes as it takes: choose another one";
        refuse_for_now(Code::Busy, busy, RETRY_BUSY_MS)
    })
}

impl Session {
    /// Relays until the peer closes the session; returns why, if it ends otherwise.
    pub(super) async fn relay(&mut self, line: &mut Line, mut relaying: Relaying) -> Result<(), End> {
        let ended = self.relay_on(line, &mut relaying).await;
        self.take_back(&mut relaying).await?;
        drop(relaying);
        ended?;
        self.close(line).await
    }

    async fn relay_on(&mut self, line: &mut Line, relaying: &mut Relaying) -> Result<(), End> {
        // Whatever this payer has from before, it has paid for by now.
        self.write_off().await?;
        while !self.server.stop.is_cancelled() {
            while let Some(frame) = line.next_here() {
                self.take_of_relayed(frame?).await?;
            }
            self.note(relaying)?;
            if self.is_closing {
                return Ok(());
            }
            if let Some(pause) = self.fill(line, relaying).await? {
                self.wait_relaying(line, relaying, pause).await?;
            }
        }
        Err(stops())
    }

    async fn take_of_relayed(&mut self, frame: ToServer) -> Result<(), End> {
        match frame {
            ToServer::Want { .. } | ToServer::Path { .. } => Err(refuse(
                Code::Protocol,
                "a session with a relay is about no content",
            )),
            frame => self.take(frame).await,
        }
    }

    /// Puts what has passed to the session's account.
    fn note(&mut self, relaying: &mut Relaying) -> Result<(), End> {
        let passed = relaying.meter.passed();
        let bytes = passed - relaying.noted;
        relaying.noted = passed;
        self.told.sent(bytes, 0);
        Ok(self.server.uplink.left(bytes, now_ms())?)
    }

    /// Lets more pass if the meter is low, and states what has passed; else says what has to come first.
    async fn fill(&mut self, line: &mut Line, relaying: &mut Relaying) -> Result<Option<Pause>, End> {
        let is_time = relaying.look <= Instant::now();
        if is_time {
            relaying.look = Instant::now() + LOOK_EVERY;
        }
        if self.told.unstated() >= (relaying.window / 2).max(1) || is_time {
            self.state(line).await?;
        }
        if !relaying.meter.is_low() {
            return Ok(Some(Pause::Idle));
        }
        if let Some(ms) = self.server.uplink.spent_for_ms(now_ms()) {
            return self.spent(line, ms).await;
        }
        let bill = self.bill();
        match blocking(&self.server, move |server| bill.charge(server, vec![GRANT])).await? {
            Charge::Go { window, .. } => {
                self.unpaid_since = None;
                relaying.window = window;
                relaying.meter.grant(GRANT);
                Ok(None)
            }
            Charge::Halt(halt) => self.halt(line, halt).await,
        }
    }

    async fn wait_relaying(
        &mut self,
        line: &mut Line,
        relaying: &mut Relaying,
        pause: Pause,
    ) -> Result<(), End> {
        let stop = self.server.stop.clone();
        let deadline = match pause {
            Pause::Idle => relaying.look,
            Pause::Unpaid => self.deadline(pause),
        };
        let frame = tokio::select! {
            frame = line.next() => frame?,
            () = relaying.meter.low(), if pause == Pause::Idle => return Ok(()),
            () = changed(&mut self.payer) => {
                // Who pays in another session is not late.
                self.unpaid_since = None;
                return Ok(());
            }
            () = stop.cancelled() => return Err(stops()),
            () = sleep_until(deadline) => return match pause {
                Pause::Idle => Ok(()),
                Pause::Unpaid => self.late(line, pause).await,
            },
        };
        self.take_of_relayed(frame).await
    }

    /// Lets nothing pass any more, and takes off the tab what did not.
    async fn take_back(&mut self, relaying: &mut Relaying) -> Result<(), End> {
        let left = relaying.meter.close();
        self.note(relaying)?;
        let (Some(payer), price) = (&self.payer, self.quote.body.price) else {
            return Ok(());
        };
        let live = payer.live();
        blocking(&self.server, move |server| {
            Ok(server.pairs.take_back(&live, left, price)?)
        })
        .await
    }
}

/// How often it is looked what has passed, and stated, while little does.
const LOOK_EVERY: Duration = Duration::from_secs(1);
