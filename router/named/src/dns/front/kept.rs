//! One answer as it is kept, and what is changed in it for each asker.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

use super::asked::{Asked, HEADER_BYTES, Key};
use super::cookie::OPTION_BYTES;
use super::fresh::Basis;
use super::seal::Seal;
use super::wire;

/// An answer in memory.
#[derive(Debug)]
pub struct Kept {
    /// The hash of its key.
    pub hash: u64,
    /// The class of askers, see [`Key::class`].
    class: u16,
    pub what: What,
    /// Set when it is used, cleared when room is wanted.
    used: AtomicBool,
}

/// What is kept for a question.
#[derive(Debug)]
pub enum What {
    /// The answer.
    Answer(Message),
    /// There is one for each network of askers: by so many bits of their address.
    ByNetwork {
        /// The question in lower case.
        question: Box<[u8]>,
        /// Bits of an IPv4 address, of an IPv6 address.
        bits: (u8, u8),
    },
}

/// A message, to be sent again.
#[derive(Debug)]
pub struct Message {
    /// Its question is in lower case, its id zero, and it has no cookie.
    pub bytes: Box<[u8]>,
    /// What it was made of.
    pub basis: Basis,
    /// Until then it is right, in seconds since 1970.
    pub until: u64,
    /// Until then it needs no look elsewhere.
    pub until_moment: Option<Instant>,
    /// Where serials of zones are: they are always those of the newest block.
    pub serials: Serials,
    /// Which of the usual counters counts it.
    pub label: u8,
    /// What the rate limit takes it for.
    pub sort: super::limit::Sort,
}

/// Where the serials of SOA records are in a message.
#[derive(Clone, Debug)]
pub enum Serials {
    /// There is none.
    None,
    /// One, at this place.
    At(u16),
    /// One, at the first place, and its signature from the second to the third, which is that of the seal.
    Sealed(u16, u16, u16, Arc<Seal>),
    /// They cannot be changed: the message is for one height.
    Fixed,
}

impl Serials {
    /// Whether a message that was made at `made` is right at `height` too, as far as serials go.
    pub fn hold(&self, made: u64, height: u64) -> bool {
        match self {
            Self::None | Self::At(_) => true,
            Self::Sealed(.., seal) => seal.is_of(height),
            Self::Fixed => made == height,
        }
    }

    /// Makes the message one of `height`. False if that cannot be done any more.
    fn write(&self, height: u64, message: &mut [u8]) -> bool {
        let at = match self {
            Self::None | Self::Fixed => return true,
            Self::At(at) | Self::Sealed(at, ..) => usize::from(*at),
        };
        let serial = super::super::zone::serial(height).to_be_bytes();
        message[at..at + serial.len()].copy_from_slice(&serial);
        match self {
            Self::Sealed(_, from, to, seal) => {
                seal.write(height, &mut message[usize::from(*from)..usize::from(*to)])
            }
            _ => true,
        }
    }
}

/// What a reply turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// All of it.
    Whole,
    /// Cut, with TC: the rest comes over TCP.
    Cut,
    /// It has to be composed for this size.
    Unfit,
}

impl Kept {
    pub fn new(hash: u64, class: u16, what: What) -> Self {
        Self {
            hash,
            class,
            what,
            used: AtomicBool::new(false),
        }
    }

    /// Whether it is for this key.
    pub fn is_for(&self, hash: u64, key: &Key) -> bool {
        let question = match &self.what {
            What::Answer(message) => message.question(key.question().len()),
            What::ByNetwork { question, .. } => Some(&**question),
        };
        self.hash == hash && self.class == key.class() && question == Some(key.question())
    }

    /// Notes that it is wanted.
    pub fn touch(&self) {
        if !self.used.load(Relaxed) {
            self.used.store(true, Relaxed);
        }
    }

    /// Whether it was wanted since the last time that this was asked.
    pub fn was_used(&self) -> bool {
        self.used.load(Relaxed) && self.used.swap(false, Relaxed)
    }

    /// Memory that it takes. Bytes.
    pub fn bytes(&self) -> usize {
        let behind = match &self.what {
            What::Answer(message) => message.bytes.len() + message.basis.bytes(),
            What::ByNetwork { question, .. } => question.len(),
        };
        size_of::<Self>() + behind + 2 * ALLOCATION
    }
}

/// What an allocation costs beside its bytes, about: rounding up, and the counts of an `Arc`.
const ALLOCATION: usize = 16;

impl Message {
    fn question(&self, length: usize) -> Option<&[u8]> {
        self.bytes.get(HEADER_BYTES..HEADER_BYTES + length)
    }

    /// Writes it for an asker: id, letter case and serial are its own, and a cookie goes into the OPT record at its end.
    pub fn write(
        &self,
        out: &mut Vec<u8>,
        asked: &Asked<'_>,
        cookie: Option<&[u8; OPTION_BYTES]>,
        height: u64,
        limit: usize,
    ) -> Fit {
        let length = self.bytes.len() + cookie.map_or(0, |cookie| cookie.len());
        let question = asked.question();
        let start = out.len();
        if length > limit {
            if !wire::is_bare(&self.bytes, asked.edns.is_some()) {
                return Fit::Unfit;
            }
            wire::cut(out, &self.bytes, question.len(), asked.edns.is_some());
        } else {
            out.extend_from_slice(&self.bytes);
            if !self.serials.write(height, &mut out[start..]) {
                out.truncate(start);
                return Fit::Unfit;
            }
        }
        let message = &mut out[start..];
        message[..2].copy_from_slice(&asked.id());
        message[HEADER_BYTES..HEADER_BYTES + question.len()].copy_from_slice(question);
        if let Some(cookie) = cookie {
            wire::add_option(out, start, cookie);
        }
        match length > limit {
            true => Fit::Cut,
            false => Fit::Whole,
        }
    }
}
