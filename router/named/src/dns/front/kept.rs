//! One answer as it is kept, and what is changed in it for each asker.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

use triomphe::ThinArc;

use super::asked::{Asked, HEADER_BYTES, Key};
use super::cookie::OPTION_BYTES;
use super::fresh::Basis;
use super::seal::Seal;
use super::wire;

/// An answer in memory, in one piece: what is known of it, and behind that its bytes.
pub type Kept = ThinArc<Known, u8>;

/// What is known of an answer in memory.
#[derive(Debug)]
pub struct Known {
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
    /// The answer; its bytes are the message. The question in it is in lower case, its id zero, and it has no cookie.
    Answer(Message),
    /// There is one for each network of askers: by so many bits of an IPv4 address, of an IPv6 address. Its bytes are the
    /// question in lower case.
    ByNetwork(u8, u8),
}

/// What is known of a message that is to be sent again.
#[derive(Debug)]
pub struct Message {
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

impl Known {
    /// Something to keep, with its bytes.
    pub fn keep(hash: u64, class: u16, what: What, bytes: &[u8]) -> Kept {
        let known = Self {
            hash,
            class,
            what,
            used: AtomicBool::new(false),
        };
        ThinArc::from_header_and_slice(known, bytes)
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
}

/// What is known of something that is kept, and its bytes.
pub fn parts(kept: &Kept) -> (&Known, &[u8]) {
    (&kept.header.header, &kept.slice)
}

/// Whether it is for this key.
pub fn is_for(kept: &Kept, hash: u64, key: &Key) -> bool {
    let (known, bytes) = parts(kept);
    let question = match &known.what {
        What::Answer(_) => bytes.get(HEADER_BYTES..HEADER_BYTES + key.question().len()),
        What::ByNetwork(..) => Some(bytes),
    };
    known.hash == hash && known.class == key.class() && question == Some(key.question())
}

/// Memory that it takes. Bytes.
pub fn memory(kept: &Kept) -> usize {
    let (known, bytes) = parts(kept);
    let behind = match &known.what {
        What::Answer(message) => message.basis.bytes(),
        What::ByNetwork(..) => 0,
    };
    size_of::<Known>() + bytes.len() + behind + ALLOCATION
}

/// What an allocation costs beside its bytes, about: rounding up, the count and the length.
const ALLOCATION: usize = 24;

impl Message {
    /// Writes it, of which these are the bytes, for an asker: id, letter case and serial are its own, and a cookie goes into
    /// the OPT record at its end.
    pub fn write(
        &self,
        bytes: &[u8],
        out: &mut Vec<u8>,
        asked: &Asked<'_>,
        cookie: Option<&[u8; OPTION_BYTES]>,
        height: u64,
        limit: usize,
    ) -> Fit {
        let length = bytes.len() + cookie.map_or(0, |cookie| cookie.len());
        let question = asked.question();
        let start = out.len();
        if length > limit {
            if !wire::is_bare(bytes, asked.edns.is_some()) {
                return Fit::Unfit;
            }
            wire::cut(out, bytes, question.len(), asked.edns.is_some());
        } else {
            out.extend_from_slice(bytes);
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
