//! The usual question, read in one pass without allocation: a header, one question of class IN, and at most an OPT record.
//!
//! Whatever is not that is for the whole protocol ([`super::Responder`]); nothing is refused here. What is accepted here is
//! accepted there, with the same meaning (a test compares them).

use super::cookie::ClientCookie;

/// A header (RFC 1035, section 4.1.1). Bytes.
pub const HEADER_BYTES: usize = 12;
/// A name on the wire (RFC 1035, section 3.1). Bytes.
const NAME_BYTES_MAX: usize = 255;
const LABEL_BYTES_MAX: u8 = 63;
/// Type and class behind the name.
const FIXED_BYTES: usize = 4;
/// The longest question. Bytes.
pub const QUESTION_BYTES_MAX: usize = NAME_BYTES_MAX + FIXED_BYTES;
/// An OPT record without options (RFC 6891, section 6.1.2): root, type, payload size, TTL and length. Bytes.
pub const OPT_BYTES: usize = 11;
/// The option for cookies (RFC 7873, section 4).
pub const COOKIE_OPTION: u16 = 10;
/// The option that fills up (RFC 7830, section 3).
pub const PADDING_OPTION: u16 = 12;

/// QR, opcode, AA, TC of the third byte, and RA, Z and the code of the fourth: none of them is in a usual question.
const UNUSUAL: [u8; 2] = [0b1111_1110, 0b1100_1111];
/// DO (RFC 3225) and CO (RFC 9824, section 5) in the third byte of an OPT record's TTL; the others must be zero.
const KNOWN_EDNS_FLAGS: u8 = 0b1100_0000;

/// A usual question.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    packet: &'a [u8],
    /// Where the question ends.
    end: usize,
    /// What was said of EDNS.
    pub edns: Option<AskedEdns<'a>>,
}

/// The OPT record of a usual question.
#[derive(Clone, Copy, Debug)]
pub struct AskedEdns<'a> {
    /// The largest datagram that the asker takes, in bytes.
    pub payload: u16,
    /// DO and CO, in their places in the byte.
    flags: u8,
    /// The cookie, if there is one.
    pub cookie: Option<ClientCookie<'a>>,
    /// Whether it was filled up, so that its length tells nothing.
    pub is_padded: bool,
}

/// All that an answer depends on, but for the client and the state: the question in lower case and the class of asker.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The question, and behind it the class.
    bytes: [u8; QUESTION_BYTES_MAX + CLASS_BYTES],
    length: u16,
    class: u16,
}

const CLASS_BYTES: usize = size_of::<u16>();

impl Key {
    /// Name, type and class; the name in lower case.
    #[must_use]
    pub fn question(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// Question and class: what tells keys apart.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length) + CLASS_BYTES]
    }

    /// Whether an HTTPS record is asked for (RFC 9460).
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.question().ends_with(&[0, 65, 0, 1])
    }

    /// RD, AD, CD, and of EDNS: whether it is there, DO and CO.
    #[must_use]
    pub fn class(&self) -> u16 {
        self.class
    }
}

impl<'a> Asked<'a> {
    /// Reads a packet; `None` if it is anything but a usual question.
    #[must_use]
    pub fn read(packet: &'a [u8]) -> Option<Self> {
        let header: &[u8; HEADER_BYTES] = packet.first_chunk()?;
        let [_, _, flags, more, 0, 1, 0, 0, 0, 0, 0, additionals @ (0 | 1)] = *header else {
            return None;
        };
        if flags & UNUSUAL[0] != 0 || more & UNUSUAL[1] != 0 {
            return None;
        }
        let end = question_end(packet)?;
        let edns = match additionals {
            0 if packet.len() == end => None,
            1 => Some(AskedEdns::read(&packet[end..])?),
            _ => return None,
        };
        let asked = Self { packet, end, edns };
        is_usual(asked.kind()).then_some(asked)
    }

    /// All of it.
    #[must_use]
    pub fn packet(&self) -> &'a [u8] {
        self.packet
    }

    /// The question as it came.
    #[must_use]
    pub fn question(&self) -> &'a [u8] {
        &self.packet[HEADER_BYTES..self.end]
    }

    /// The type asked.
    #[must_use]
    pub fn kind(&self) -> u16 {
        u16::from_be_bytes([self.packet[self.end - 4], self.packet[self.end - 3]])
    }

    /// The id.
    #[must_use]
    pub fn id(&self) -> [u8; 2] {
        [self.packet[0], self.packet[1]]
    }

    /// What is looked up.
    #[must_use]
    pub fn key(&self) -> Key {
        let mut bytes = [0; QUESTION_BYTES_MAX + CLASS_BYTES];
        let question = self.question();
        // Lengths of labels are below any letter, and so are type and class put back.
        let name = question.len() - FIXED_BYTES;
        for (lower, byte) in bytes.iter_mut().zip(&question[..name]) {
            *lower = byte.to_ascii_lowercase();
        }
        bytes[name..question.len()].copy_from_slice(&question[name..]);
        let edns = self.edns.map_or(0, |edns| u16::from(edns.flags) | 1);
        let rd = u16::from(self.packet[2] & 1) << 8;
        let ad_cd = u16::from(self.packet[3] & 0b0011_0000) << 8;
        let class = edns | rd | ad_cd;
        bytes[question.len()..question.len() + CLASS_BYTES].copy_from_slice(&class.to_be_bytes());
        Key {
            bytes,
            length: question.len() as u16,
            class,
        }
    }

    /// The packet that asks the same in lower case, without cookie, from nobody in particular.
    #[must_use]
    pub fn canonical(&self, key: &Key) -> Vec<u8> {
        let mut packet = vec![0, 0, self.packet[2], self.packet[3], 0, 1, 0, 0, 0, 0, 0, 0];
        packet.extend_from_slice(key.question());
        if let Some(edns) = &self.edns {
            packet[11] = 1;
            packet.extend([0, 0, 41]);
            packet.extend(super::super::message::UDP_PAYLOAD_MAX.to_be_bytes());
            packet.extend([0, 0, edns.flags, 0, 0, 0]);
        }
        packet
    }
}

impl<'a> AskedEdns<'a> {
    /// Reads an OPT record to the last byte, with no options but a well-formed cookie and padding.
    fn read(record: &'a [u8]) -> Option<Self> {
        let (head, options) = record.split_first_chunk::<OPT_BYTES>()?;
        let [0, 0, 41, p1, p2, 0, 0, flags, 0, l1, l2] = *head else {
            return None;
        };
        if flags & !KNOWN_EDNS_FLAGS != 0 || options.len() != usize::from(u16::from_be_bytes([l1, l2])) {
            return None;
        }
        let (mut cookie, mut is_padded) = (None, false);
        let mut left = options;
        while !left.is_empty() {
            let (code, data, rest) = option(left)?;
            match code {
                COOKIE_OPTION if cookie.is_none() => cookie = Some(ClientCookie::read(data)?),
                PADDING_OPTION if !is_padded => is_padded = true,
                _ => return None,
            }
            left = rest;
        }
        Some(Self {
            payload: u16::from_be_bytes([p1, p2]),
            flags,
            cookie,
            is_padded,
        })
    }
}

/// The first option: its code and data, and what follows it.
fn option(options: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let (head, rest) = options.split_first_chunk::<4>()?;
    let [c1, c2, l1, l2] = *head;
    let (data, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([l1, l2])))?;
    Some((u16::from_be_bytes([c1, c2]), data, rest))
}

/// The data of an option in an unusual question: one that has others too, or records before the OPT.
#[must_use]
pub fn option_of(packet: &[u8], wanted: u16) -> Option<&[u8]> {
    let header: &[u8; HEADER_BYTES] = packet.first_chunk()?;
    let [_, _, flags, _, 0, 1, 0, 0, 0, 0, 0, 1] = *header else {
        return None;
    };
    // A query (QR and opcode zero).
    let end = (flags & 0b1111_1000 == 0)
        .then(|| question_end(packet))
        .flatten()?;
    let (head, mut options) = packet.get(end..)?.split_first_chunk::<OPT_BYTES>()?;
    let [0, 0, 41, ..] = *head else { return None };
    while let Some((code, data, rest)) = option(options) {
        if code == wanted {
            return Some(data);
        }
        options = rest;
    }
    None
}

/// Where the only question ends, if it is of class IN and its name is uncompressed.
fn question_end(packet: &[u8]) -> Option<usize> {
    let mut at = HEADER_BYTES;
    loop {
        match *packet.get(at)? {
            0 => break,
            length @ 1..=LABEL_BYTES_MAX => at += 1 + usize::from(length),
            _ => return None,
        }
    }
    let name_end = at + 1;
    if name_end - HEADER_BYTES > NAME_BYTES_MAX {
        return None;
    }
    let [_, _, 0, 1] = *packet.get(name_end..)?.first_chunk::<FIXED_BYTES>()? else {
        return None;
    };
    Some(name_end + FIXED_BYTES)
}

/// Types that are about the protocol rather than the name: 0, OPT, NXNAME and all of the range of question types but ANY.
fn is_usual(kind: u16) -> bool {
    !matches!(kind, 0 | 41 | 128..=254)
}
