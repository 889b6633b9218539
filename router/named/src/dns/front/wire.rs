//! Small changes to messages that are composed already.

use super::asked::{HEADER_BYTES, OPT_BYTES, PADDING_OPTION};
use super::kept::Serials;
use super::seal::{Seals, Signed};

/// TC in the third byte of a message (RFC 1035, section 4.1.1).
const TC: u8 = 0b10;
const TYPE_SOA: u16 = 6;
const TYPE_OPT: u16 = 41;
const TYPE_RRSIG: u16 = 46;
/// Type, class, TTL and length behind a record's owner. Bytes.
const RECORD_HEAD_BYTES: usize = 10;
/// The five numbers at the end of an SOA, of which the serial is the first. Bytes.
const SOA_NUMBERS_BYTES: usize = 20;
const SERIAL_BYTES: usize = 4;
/// What is before the signer's name in an RRSIG record (RFC 4034, section 3.1). Bytes.
const RRSIG_HEAD_BYTES: usize = 18;

/// Whether the message has nothing in its additional section but the OPT record, if that: then it is cut to its head.
pub fn is_bare(message: &[u8], edns: bool) -> bool {
    count(message, 3) == u16::from(edns)
}

/// Answers, authorities or additionals, by the index of the word in the header's second half.
fn count(message: &[u8], index: usize) -> u16 {
    let at = 4 + 2 * index;
    u16::from_be_bytes([message[at], message[at + 1]])
}

/// The start of each record, its type, and where its data are.
struct Records<'a> {
    message: &'a [u8],
    at: usize,
    left: usize,
}

impl<'a> Records<'a> {
    fn of(message: &'a [u8]) -> Option<Self> {
        let at = skip_name(message, HEADER_BYTES)? + 4;
        let left = (1..4).map(|index| usize::from(count(message, index))).sum();
        Some(Self { message, at, left })
    }
}

impl Iterator for Records<'_> {
    /// Start, type, place of the data, end.
    type Item = (usize, u16, usize, usize);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let start = self.at;
        let head = skip_name(self.message, start)?;
        let fixed: &[u8; RECORD_HEAD_BYTES] = self.message.get(head..)?.first_chunk()?;
        let kind = u16::from_be_bytes([fixed[0], fixed[1]]);
        let data = head + RECORD_HEAD_BYTES;
        self.at = data + usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
        (self.at <= self.message.len()).then_some((start, kind, data, self.at))
    }
}

fn skip_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            length @ 1..=63 => at += 1 + usize::from(length),
            192..=255 => return Some(at + 2),
            _ => return None,
        }
    }
}

/// Whether the message ends with its OPT record, so that options can be added. `None` if it cannot be read.
pub fn ends_with_opt(message: &[u8]) -> Option<bool> {
    let records = Records::of(message)?;
    let wanted = records.left;
    let all: Vec<_> = records.collect();
    let whole = all.len() == wanted && all.last().is_none_or(|last| last.3 == message.len());
    whole.then(|| all.last().is_some_and(|(_, kind, ..)| *kind == TYPE_OPT))
}

/// Where the serial of the message's zone is. Who signed it is kept in `seals`, at the height of the message.
pub fn serials(message: &[u8], height: u64, seals: &Seals) -> Serials {
    let Some(records) = Records::of(message) else {
        return Serials::Fixed;
    };
    let (mut zones, mut signatures, mut signed) = (Vec::new(), Vec::new(), false);
    for (_, kind, data, end) in records {
        match kind {
            TYPE_SOA => zones.push(end),
            TYPE_RRSIG if message[data..].starts_with(&TYPE_SOA.to_be_bytes()) => {
                signatures.push((data, end));
            }
            TYPE_RRSIG => signed = true,
            _ => {}
        }
    }
    let place = |end: usize| end.checked_sub(SOA_NUMBERS_BYTES);
    match (&zones[..], &signatures[..]) {
        ([], _) => Serials::None,
        ([end], []) if !signed => place(*end)
            .and_then(|at| u16::try_from(at).ok())
            .map_or(Serials::Fixed, Serials::At),
        ([end], [signature]) => place(*end)
            .and_then(|at| sealed(message, height, at, *signature, seals))
            .unwrap_or(Serials::Fixed),
        _ => Serials::Fixed,
    }
}

fn sealed(
    message: &[u8],
    height: u64,
    at: usize,
    signature: (usize, usize),
    seals: &Seals,
) -> Option<Serials> {
    let (data, end) = signature;
    // The signer's name is not compressed (RFC 4034, section 3.1.7): it names the zone, and so the SOA but for its numbers.
    let from = skip_name(message, data + RRSIG_HEAD_BYTES)?;
    let numbers = message.get(at + SERIAL_BYTES..at + SOA_NUMBERS_BYTES)?;
    let covers = [message.get(data..from)?, numbers].concat();
    let signed = Signed {
        height,
        signature: message.get(from..end)?.into(),
    };
    let place = |at: usize| u16::try_from(at).ok();
    Some(Serials::Sealed(
        place(at)?,
        place(from)?,
        place(end)?,
        seals.learn(&covers, signed),
    ))
}

/// Writes the message without its records but the OPT, with TC.
pub fn cut(out: &mut Vec<u8>, message: &[u8], question_bytes: usize, edns: bool) {
    let start = out.len();
    out.extend_from_slice(&message[..HEADER_BYTES + question_bytes]);
    out[start + 2] |= TC;
    out[start + 6..start + HEADER_BYTES].fill(0);
    if edns {
        out[start + 11] = 1;
        let opt = Records::of(message).and_then(|records| records.last());
        if let Some((opt, _, _, end)) = opt {
            out.extend_from_slice(&message[opt..end]);
        }
    }
}

/// Adds an option to the OPT record at the end of the message that begins at `start`.
pub fn add_option(out: &mut Vec<u8>, start: usize, option: &[u8]) {
    let opt = Records::of(&out[start..]).and_then(|records| records.last());
    if let Some((_, TYPE_OPT, data, end)) = opt {
        let length = (end - data + option.len()) as u16;
        out[start + data - 2..start + data].copy_from_slice(&length.to_be_bytes());
        out.extend_from_slice(option);
    }
}

/// Fills the message that begins at `start` up to whole blocks of 468 bytes, if it has an OPT record at its end, so that
/// who sees an encrypted reply learns little from its length (RFC 7830; RFC 8467, section 4.1).
pub fn pad(out: &mut Vec<u8>, start: usize) {
    const BLOCK_BYTES: usize = 468;
    const OPTION_HEAD_BYTES: usize = 4;
    let length = out.len() - start + OPTION_HEAD_BYTES;
    let whole = length.next_multiple_of(BLOCK_BYTES).min(usize::from(u16::MAX));
    let Some(fill) = whole.checked_sub(length) else {
        return;
    };
    let mut option = vec![0; OPTION_HEAD_BYTES + fill];
    option[..2].copy_from_slice(&PADDING_OPTION.to_be_bytes());
    option[2..OPTION_HEAD_BYTES].copy_from_slice(&(fill as u16).to_be_bytes());
    add_option(out, start, &option);
}

/// The response code of a message without EDNS.
pub fn code(message: &[u8]) -> u8 {
    message[3] & 0x0f
}

/// Whether there are answers.
pub fn has_answers(message: &[u8]) -> bool {
    count(message, 1) > 0
}

/// A reply without records, for an error or to say that the truth is over TCP. The OPT record is bare.
pub fn bare(packet: &[u8], question_end: usize, code: u8, truncated: bool, edns: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(question_end + OPT_BYTES);
    out.extend_from_slice(&packet[..question_end.max(HEADER_BYTES)]);
    out[2] = 0x80 | (packet[2] & 0x79) | if truncated { TC } else { 0 };
    out[3] = (packet[3] & 0x10) | code;
    out[4..HEADER_BYTES].fill(0);
    out[5] = u8::from(question_end > HEADER_BYTES);
    if edns {
        out[11] = 1;
        out.extend([0, 0, 41]);
        out.extend(super::super::message::UDP_PAYLOAD_MAX.to_be_bytes());
        out.extend([0; 6]);
    }
    out
}

/// FORMERR for a packet that has a header.
pub fn malformed(packet: &[u8]) -> Vec<u8> {
    const FORMERR: u8 = 1;
    let question_end = skip_name(packet, HEADER_BYTES).map_or(HEADER_BYTES, |end| end + 4);
    bare(packet, question_end.min(packet.len()), FORMERR, false, false)
}

/// A composed reply without its records, with TC.
pub fn slipped(message: &[u8]) -> Vec<u8> {
    let question_bytes = match count(message, 0) {
        1 => skip_name(message, HEADER_BYTES).map_or(0, |end| end + 4 - HEADER_BYTES),
        _ => 0,
    };
    let mut out = Vec::with_capacity(HEADER_BYTES + question_bytes);
    cut(&mut out, message, question_bytes, false);
    out
}
