//! What a frame of the relay protocol carries. Pure.
//!
//! A frame begins with its type, one byte for all that there are; packets follow with the other side's key, what the network
//! said of congestion (1 byte), and in a batch the length of each packet (2 bytes).

use ledger::PublicKey;

/// The packets in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packets {
    /// To whom they go, or from whom they come.
    pub other: PublicKey,
    /// Their bytes.
    pub bytes: u64,
}

/// What a frame is to the meters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// It carries packets.
    Packets(Packets),
    /// It belongs to the protocol.
    Other,
    /// It carries packets to nobody: a key that nobody can have, or less than a head.
    Nobody,
}

impl Frame {
    /// Looks at a frame, of either direction.
    pub fn of(frame: &[u8]) -> Frame {
        let Some((kind, rest)) = frame.split_first() else {
            return Frame::Nobody;
        };
        let head = match kind {
            4 | 6 => ONE_HEAD,
            5 | 7 => BATCH_HEAD,
            _ => return Frame::Other,
        };
        let (Some(key), Some(bytes)) = (rest.first_chunk::<32>(), rest.len().checked_sub(32 + head)) else {
            return Frame::Nobody;
        };
        match PublicKey::from_bytes(*key) {
            Ok(other) => Frame::Packets(Packets {
                other,
                bytes: bytes as u64,
            }),
            Err(_) => Frame::Nobody,
        }
    }
}

const ONE_HEAD: usize = 1;
const BATCH_HEAD: usize = 3;

#[cfg(test)]
mod tests {
    use ledger::SecretKey;

    use super::*;

    #[test]
    fn packets_are_counted_without_their_heads() {
        let other = SecretKey::from_seed([1; 32]).public();
        let frame = |kind: u8, rest: usize| [&[kind], other.as_bytes().as_slice(), &vec![0; rest]].concat();
        let packets = |bytes| Frame::Packets(Packets { other, bytes });
        for (kind, rest, expected) in [
            (4, 1 + 1200, packets(1200)),
            (6, 1, packets(0)),
            (5, 3 + 12_000, packets(12_000)),
            (7, 3 + 1, packets(1)),
            (4, 0, Frame::Nobody),
            (7, 2, Frame::Nobody),
            (9, 8, Frame::Other),
            (0, 16, Frame::Other),
        ] {
            assert_eq!(Frame::of(&frame(kind, rest)), expected, "{kind} and {rest}");
        }
        assert_eq!(Frame::of(&[]), Frame::Nobody);
        assert_eq!(Frame::of(&[4; 10]), Frame::Nobody);
        assert_eq!(
            Frame::of(&[[4].as_slice(), &[0; 40]].concat()),
            Frame::Nobody,
            "a weak key"
        );
    }
}
