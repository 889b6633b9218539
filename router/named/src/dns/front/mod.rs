//! The fast path: usual questions are answered from memory, by bytes that the slow path composed.
//!
//! Nothing is decided here about what an answer says. A usual question ([`asked`]) is looked up under everything that its
//! answer may depend on; what is there, and still holds ([`fresh`]), is written with the asker's id and letter case, cut to its
//! size, with its cookie. What is not there is composed by the [`Responder`] on a thread that may wait for a disk, and kept if the
//! responder says that it may be ([`Reuse`]). Unusual questions are never kept.
//!
//! * A look-up takes no lock, no disk and no allocation.
//! * What anybody can make up (absences, refusals) has a table of its own, so that a flood of such questions cannot push
//!   out answers about names that exist.
//! * Over UDP, answers are counted by whom they go to ([`limit`]), unless a cookie shows that he asked ([`cookie`]).

mod asked;
mod cookie;
mod fresh;
mod kept;
mod limit;
mod moment;
mod seal;
mod table;
mod tally;
mod wire;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use siphasher::sip::SipHasher13;

pub use limit::RateLimit;
pub use moment::Moment;
pub use tally::Tally;

use super::answer::Responder;
use super::message::{UDP_PAYLOAD_MAX, UDP_PAYLOAD_PLAIN};
use super::metrics::Transport;
use super::own::Directory;
use super::reuse::{Client, Reuse, Validity};
use crate::dap::Names;
use asked::{Asked, Key};
use cookie::{ClientCookie, Cookies};
use fresh::{Changes, Witness};
use kept::{Fit, Known, Message, What};
use limit::{Limiter, Sort, Verdict};
use seal::Seals;
use table::{Found, Table};

/// The label below which hosts prove themselves: what is there changes without a block.
const CHALLENGE: &[u8] = b"\x0f_acme-challenge";
/// A secret makes cookies for so long (RFC 7873, section 7.1, asks for less than some weeks).
pub const SECRET_AGE: Duration = Duration::from_secs(86_400);
/// Of the memory for answers, one part of so many is for absences and refusals.
const OTHERS_SHARE: usize = 4;

/// The fast path in front of a responder; shared by all sockets.
pub struct Front {
    responder: Arc<Responder>,
    names: Arc<dyn Names>,
    changes: Changes,
    /// One for each stage of the directory: answers of one are not found in another.
    hashes: [SipHasher13; Directory::STAGES],
    /// Answers with records.
    answers: Table,
    /// Absences and refusals.
    others: Table,
    cookies: Cookies,
    seals: Seals,
    limiter: Limiter,
    started: Instant,
}

/// What the fast path made of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quick {
    /// The reply has been added to the buffer.
    Reply,
    /// There is none.
    Silence,
    /// It has to be composed: see [`Front::compose`].
    Slow,
}

impl Front {
    /// In front of `responder`, with room for `memory_bytes` of answers.
    ///
    /// # Panics
    /// If the system has no random numbers.
    #[must_use]
    pub fn new(
        responder: Arc<Responder>,
        names: Arc<dyn Names>,
        memory_bytes: usize,
        limit: &RateLimit,
    ) -> Self {
        let others = memory_bytes / OTHERS_SHARE;
        Self {
            changes: Changes::new(names.height()),
            hashes: std::array::from_fn(|_| SipHasher13::new_with_key(&secret())),
            answers: Table::new(memory_bytes - others),
            others: Table::new(others),
            cookies: Cookies::new(secret(), secret()),
            seals: Seals::default(),
            limiter: Limiter::new(limit),
            started: Instant::now(),
            responder,
            names,
        }
    }

    /// The responder behind.
    #[must_use]
    pub fn responder(&self) -> &Arc<Responder> {
        &self.responder
    }

    /// Replaces the secret of cookies.
    pub fn rotate_secret(&self) {
        self.cookies.rotate(secret());
    }

    /// Answers a packet from memory, if that can be done, by adding the reply to `out`. Takes no lock and no disk.
    pub fn quick(
        &self,
        packet: &[u8],
        client: Client,
        now: Moment,
        out: &mut Vec<u8>,
        tally: &mut Tally,
    ) -> Quick {
        let Some(asked) = Asked::read(packet) else {
            return Quick::Slow;
        };
        let key = asked.key();
        let height = self.changes.follow(&*self.names);
        let hash = self.hash(&key, None);
        let mut found = self.find(hash, &key);
        if let Some(What::ByNetwork(v4, v6)) = found.as_ref().and_then(what) {
            let network = table::network(client.address, (*v4, *v6));
            found = self.find(self.hash(&key, Some(network)), &key);
        }
        let Some((known, bytes)) = found.as_ref().and_then(|found| found.as_ref()).map(kept::parts) else {
            return Quick::Slow;
        };
        let What::Answer(message) = &known.what else {
            return Quick::Slow;
        };
        if !self.holds(message, height, now) {
            return Quick::Slow;
        }
        known.touch();
        tally.kept += 1;
        self.send(&asked, (message, bytes), height, client, now, out, tally)
    }

    /// Writes a message for an asker, if he may have it.
    #[expect(clippy::too_many_arguments, reason = "all that an answer depends on, once")]
    fn send(
        &self,
        asked: &Asked<'_>,
        (message, bytes): (&Message, &[u8]),
        height: u64,
        client: Client,
        now: Moment,
        out: &mut Vec<u8>,
        tally: &mut Tally,
    ) -> Quick {
        let shown = asked.edns.and_then(|edns| edns.cookie);
        let option = shown.map(|shown| self.cookies.option(&shown, client.address, now.unix as u32));
        let limit = match self.judge(client, shown.as_ref(), message.sort, now) {
            Verdict::Send => limit_of(asked, client.transport),
            Verdict::Slip => 0,
            Verdict::Drop => {
                tally.limited += 1;
                return Quick::Silence;
            }
        };
        if limit == 0 {
            tally.slipped += 1;
            let end = asked::HEADER_BYTES + asked.question().len();
            out.extend(wire::bare(asked.packet(), end, 0, true, asked.edns.is_some()));
            return Quick::Reply;
        }
        let start = out.len();
        match message.write(bytes, out, asked, option.as_ref(), height, limit) {
            Fit::Unfit => return Quick::Slow,
            Fit::Cut => tally.truncated += 1,
            Fit::Whole => {}
        }
        if client.transport.is_private() && asked.edns.is_some_and(|edns| edns.is_padded) {
            wire::pad(out, start);
        }
        tally.reply(message.label);
        Quick::Reply
    }

    /// Composes the reply to a packet, and keeps it if it may be. Reads the ledger's state, so it may block on a disk.
    #[must_use]
    pub fn compose(&self, packet: &[u8], client: Client) -> Option<Vec<u8>> {
        let (now, mut tally, mut out) = (Moment::now(), Tally::new(client.transport), Vec::new());
        let quick = match Asked::read(packet) {
            Some(asked) => self.compose_usual(&asked, client, now, &mut out, &mut tally),
            None => self.compose_unusual(packet, client, now, &mut out, &mut tally),
        };
        tally.flush(self.responder.metrics());
        (quick == Quick::Reply).then_some(out)
    }

    fn compose_usual(
        &self,
        asked: &Asked<'_>,
        client: Client,
        now: Moment,
        out: &mut Vec<u8>,
        tally: &mut Tally,
    ) -> Quick {
        let key = asked.key();
        self.changes.follow(&*self.names);
        let witness = Witness::new(&*self.names);
        let canonical = asked.canonical(&key);
        let Some(composed) = self.responder.whole(&witness, &canonical, client) else {
            return Quick::Silence;
        };
        let (basis, until_moment) = witness.basis(&self.changes);
        let serials = wire::serials(&composed.bytes, basis.height(), &self.seals);
        let message = Message {
            sort: sort_of(&composed.bytes),
            label: tally::label(asked.kind(), wire::code(&composed.bytes)),
            until: 0,
            until_moment,
            serials,
            basis,
        };
        let bytes = composed.bytes;
        let height = message.basis.height();
        let fits = wire::ends_with_opt(&bytes) == Some(asked.edns.is_some());
        let quick = match fits {
            true => self.send(asked, (&message, &bytes), height, client, now, out, tally),
            false => Quick::Slow,
        };
        if fits && !key.question().starts_with(CHALLENGE) {
            self.keep(&key, message, &bytes, composed.reuse, client.address);
        }
        match quick {
            // It is too long for this asker, or ends otherwise than it should: in the words of the slow path, then.
            Quick::Slow => self.compose_unusual(asked.packet(), client, now, out, tally),
            quick => quick,
        }
    }

    /// What is no usual question, or no usual answer: each time anew.
    fn compose_unusual(
        &self,
        packet: &[u8],
        client: Client,
        now: Moment,
        out: &mut Vec<u8>,
        tally: &mut Tally,
    ) -> Quick {
        let shown = match asked::option_of(packet, asked::COOKIE_OPTION) {
            Some(data) => match ClientCookie::read(data) {
                Some(shown) => Some(shown),
                // RFC 7873, section 5.2.2.
                None => return self.answer_unusual(wire::malformed(packet), None, client, now, out, tally),
            },
            None => None,
        };
        let Some(composed) = self.responder.respond(packet, client) else {
            return Quick::Silence;
        };
        let quick = self.answer_unusual(composed.bytes, shown, client, now, out, tally);
        pad(packet, client.transport, out);
        quick
    }

    fn answer_unusual(
        &self,
        message: Vec<u8>,
        shown: Option<ClientCookie<'_>>,
        client: Client,
        now: Moment,
        out: &mut Vec<u8>,
        tally: &mut Tally,
    ) -> Quick {
        match self.judge(client, shown.as_ref(), sort_of(&message), now) {
            Verdict::Send => {
                *out = message;
                let room = client.transport != Transport::Udp
                    || out.len() + cookie::OPTION_BYTES <= usize::from(UDP_PAYLOAD_PLAIN);
                if let Some(shown) = shown.filter(|_| room && wire::ends_with_opt(out) == Some(true)) {
                    let option = self.cookies.option(&shown, client.address, now.unix as u32);
                    wire::add_option(out, 0, &option);
                }
                Quick::Reply
            }
            Verdict::Slip => {
                tally.slipped += 1;
                *out = wire::slipped(&message);
                Quick::Reply
            }
            Verdict::Drop => {
                tally.limited += 1;
                Quick::Silence
            }
        }
    }

    fn keep(&self, key: &Key, mut message: Message, bytes: &[u8], reuse: Reuse, client: IpAddr) {
        let (validity, bits) = match reuse {
            Reuse::Never => return,
            Reuse::Everybody(validity) => (validity, None),
            Reuse::Network(bits, validity) => (validity, Some(bits)),
        };
        message.until = match key.is_https() && message.sort == Sort::Absence {
            // One comes with a certificate, of which no block tells.
            true => validity.until.min(moment::unix_now() + 1),
            false => validity.until,
        };
        let (table, other) = match message.sort {
            Sort::Answer => (&self.answers, &self.others),
            Sort::Absence | Sort::Error => (&self.others, &self.answers),
        };
        let hash = match bits {
            None => self.hash(key, None),
            Some(bits) => {
                let bits = self.fork(key, client, bits);
                self.hash(key, Some(table::network(client, bits)))
            }
        };
        table.keep(Known::keep(hash, key.class(), What::Answer(message), bytes), key);
        other.forget(hash, key);
    }

    /// Notes that the answer to a question is one for each network. Returns by how many bits, of all answers so far.
    fn fork(&self, key: &Key, client: IpAddr, bits: u8) -> (u8, u8) {
        let hash = self.hash(key, None);
        let before = match self.find(hash, key).as_ref().and_then(what) {
            Some(What::ByNetwork(v4, v6)) => (*v4, *v6),
            _ => (0, 0),
        };
        let bits = match client.to_canonical() {
            IpAddr::V4(_) => (before.0.max(bits), before.1),
            IpAddr::V6(_) => (before.0, before.1.max(bits)),
        };
        let what = What::ByNetwork(bits.0, bits.1);
        let kept = Known::keep(hash, key.class(), what, key.question());
        self.answers.keep(kept, key);
        bits
    }

    fn find(&self, hash: u64, key: &Key) -> Option<Found> {
        self.answers
            .find(hash, key)
            .or_else(|| self.others.find(hash, key))
    }

    fn holds(&self, message: &Message, height: u64, now: Moment) -> bool {
        message.serials.hold(message.basis.height(), height)
            && (message.until == Validity::NO_END || now.unix < message.until)
            && message.until_moment.is_none_or(|until| now.at < until)
            && self.changes.hold(&message.basis, height)
    }

    /// Whether an answer may go. Who came over a stream, or shows our cookie, is where he says.
    fn judge(&self, client: Client, shown: Option<&ClientCookie<'_>>, sort: Sort, now: Moment) -> Verdict {
        let is_good = |shown| self.cookies.is_good(shown, client.address, now.unix as u32);
        match client.transport {
            Transport::Udp if !shown.is_some_and(is_good) => {
                let since = now.at.saturating_duration_since(self.started);
                self.limiter.judge(client.address, sort, since.as_nanos() as u64)
            }
            _ => Verdict::Send,
        }
    }

    fn hash(&self, key: &Key, network: Option<(u128, u8)>) -> u64 {
        let hasher = &self.hashes[self.responder.zones().directory().stage()];
        let hash = hasher.hash(key.bytes());
        match network {
            None => hash,
            Some((network, family)) => {
                let mut both = [family; 25];
                both[..8].copy_from_slice(&hash.to_le_bytes());
                both[8..24].copy_from_slice(&network.to_le_bytes());
                hasher.hash(&both)
            }
        }
    }
}

/// What was found.
fn what(found: &Found) -> Option<&What> {
    found.as_ref().map(|kept| &kept::parts(kept).0.what)
}

/// The largest reply that the asker takes. Bytes.
fn limit_of(asked: &Asked<'_>, transport: Transport) -> usize {
    let payload = match (transport, asked.edns) {
        (Transport::Udp, None) => UDP_PAYLOAD_PLAIN,
        (Transport::Udp, Some(edns)) => edns.payload.clamp(UDP_PAYLOAD_PLAIN, UDP_PAYLOAD_MAX),
        _ => u16::MAX,
    };
    usize::from(payload)
}

fn sort_of(message: &[u8]) -> Sort {
    match wire::code(message) {
        0 if wire::has_answers(message) => Sort::Answer,
        0 | 3 => Sort::Absence,
        _ => Sort::Error,
    }
}

/// Fills a reply up, if the question was, and nobody else reads either (RFC 7830, section 4).
pub fn pad(packet: &[u8], transport: Transport, reply: &mut Vec<u8>) {
    if transport.is_private() && asked::option_of(packet, asked::PADDING_OPTION).is_some() {
        wire::pad(reply, 0);
    }
}

/// Where the question of a usual packet is.
#[cfg(any(test, fuzzing))]
pub fn usual_question(packet: &[u8]) -> Option<std::ops::Range<usize>> {
    let asked = Asked::read(packet)?;
    Some(asked::HEADER_BYTES..asked::HEADER_BYTES + asked.question().len())
}

/// Whether a packet brings a cookie, well-formed or not.
#[cfg(any(test, fuzzing))]
pub fn has_cookie(packet: &[u8]) -> bool {
    asked::option_of(packet, asked::COOKIE_OPTION).is_some()
}

fn secret() -> cookie::Secret {
    let mut secret = cookie::Secret::default();
    getrandom::fill(&mut secret).expect("the system has random numbers");
    secret
}
