//! Compact denial (RFC 9824): an NSEC record at the name asked says which types are there, or that the name is not.
//!
//! It covers nothing but its own name: the next name is the first that can follow (RFC 4470).

use std::collections::BTreeSet;

use hickory_proto::rr::{Name, RData, RecordType};

use super::{canonical, opaque};

/// The type that no name has: in an NSEC record it says that the name does not exist (RFC 9824, section 2).
pub const NXNAME: RecordType = RecordType::Unknown(128);

/// Bytes of the longest name on the wire.
const NAME_BYTES_MAX: usize = 255;
const LABEL_BYTES_MAX: usize = 63;

/// The NSEC data for a name where `types` are; `None`: there is no such name.
pub fn nsec(name: &Name, types: Option<impl IntoIterator<Item = RecordType>>) -> RData {
    let mut present: BTreeSet<u16> = [RecordType::RRSIG, RecordType::NSEC].map(u16::from).into();
    match types {
        Some(types) => present.extend(types.into_iter().map(u16::from)),
        None => {
            present.insert(u16::from(NXNAME));
        }
    }
    let mut bytes = successor(&canonical::name(name));
    bytes.extend(bitmap(&present));
    opaque(RecordType::NSEC, bytes)
}

/// Types as windows of 256 bits, without what is empty at their ends (RFC 4034, section 4.1.2).
fn bitmap(types: &BTreeSet<u16>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut window = None;
    for kind in types {
        let [high, low] = kind.to_be_bytes();
        let (octet, bit) = (usize::from(low / 8), 0x80 >> (low % 8));
        let start = match window {
            Some((of, start)) if of == high => start,
            _ => {
                bytes.extend([high, 0]);
                window = Some((high, bytes.len()));
                bytes.len()
            }
        };
        bytes.resize(bytes.len().max(start + octet + 1), 0);
        bytes[start + octet] |= bit;
        bytes[start - 1] = u8::try_from(bytes.len() - start).unwrap_or(32);
    }
    bytes
}

/// The first name after `name` in canonical order, where there is room for it: a label of one zero byte below. A name
/// that is too long for that has nothing below it, and gives a name beside it that comes later.
///
/// In wire form, in lower case.
fn successor(name: &[u8]) -> Vec<u8> {
    match name.len() + 2 <= NAME_BYTES_MAX {
        true => [&[1, 0], name].concat(),
        false => beside(name),
    }
}

/// The next name beside this one, passing over what is below.
fn beside(name: &[u8]) -> Vec<u8> {
    let (label, rest) = name.split_at(1 + usize::from(name[0]));
    let mut label = label[1..].to_vec();
    if name.len() < NAME_BYTES_MAX && label.len() < LABEL_BYTES_MAX {
        label.push(0);
        return labelled(&label, rest);
    }
    // The last byte that can grow; what follows it falls away.
    while let Some(last) = label.pop() {
        if last < u8::MAX {
            label.push(grown(last));
            return labelled(&label, rest);
        }
    }
    // All bytes are 255, so nothing beside it is later.
    match rest.len() > 1 {
        true => beside(rest),
        false => rest.to_vec(),
    }
}

/// One more; a capital letter would be read as the small one, which is further away.
fn grown(byte: u8) -> u8 {
    match byte + 1 {
        b'A'..=b'Z' => b'Z' + 1,
        next => next,
    }
}

fn labelled(label: &[u8], rest: &[u8]) -> Vec<u8> {
    let length = u8::try_from(label.len()).unwrap_or(63);
    [&[length], label, rest].concat()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bitmaps() {
        let of = |types: &[u16]| bitmap(&types.iter().copied().collect());
        assert_eq!(of(&[]), [0; 0]);
        // A MX RRSIG NSEC TYPE1234, the example of RFC 4034, section 4.3.
        let mut expected = vec![0, 6, 0x40, 0x01, 0, 0, 0, 0x03, 4, 0x1b];
        expected.extend([0; 26]);
        expected.push(0x20);
        assert_eq!(of(&[1, 15, 46, 47, 1234]), expected);
        assert_eq!(
            of(&[46, 47, 128]),
            [&[0, 17, 0, 0, 0, 0, 0, 3][..], &[0; 10], &[0x80]].concat()
        );
    }

    #[test]
    fn the_next_name_is_right_below() {
        assert_eq!(successor(b"\x05alice\x03ddn\0"), b"\x01\0\x05alice\x03ddn\0");
    }

    fn labels(name: &[u8]) -> Vec<Vec<u8>> {
        let (mut labels, mut at) = (Vec::new(), 0);
        while name[at] > 0 {
            let end = at + 1 + usize::from(name[at]);
            labels.push(name[at + 1..end].to_ascii_lowercase());
            at = end;
        }
        // Canonical order goes by the labels from the right (RFC 4034, section 6.1).
        labels.reverse();
        labels
    }

    fn wire(labels: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for label in labels {
            if bytes.len() + label.len() + 6 > NAME_BYTES_MAX {
                break;
            }
            bytes.push(label.len() as u8);
            bytes.extend(label.to_ascii_lowercase());
        }
        bytes.extend(b"\x03ddn\0");
        bytes
    }

    proptest! {
        /// The next name is a name, it is later, and nothing of letters, digits, hyphens and underscores is in between
        /// but what is below: and that is nothing unless the next name is below too.
        #[test]
        fn a_successor_comes_later(
            name in vec(prop_oneof![vec(any::<u8>(), 1..64), vec(Just(255), 60..64), vec(Just(b'@'), 60..64)], 1..9),
            other in "[a-z0-9_-]{1,63}",
        ) {
            let name = wire(&name);
            let next = successor(&name);
            prop_assert!(next.len() <= NAME_BYTES_MAX);
            let (from, to) = (labels(&name), labels(&next));
            prop_assert!(from < to, "{from:?} then {to:?}");
            let mut beside = from.clone();
            if let Some(last) = beside.last_mut() {
                *last = other.into_bytes();
            }
            prop_assert!(beside <= from || beside >= to, "{beside:?} between {from:?} and {to:?}");
        }
    }
}
