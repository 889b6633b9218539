//! The protobuf around a record (`IpnsEntry`), read strictly: known fields have their wire type, lengths fit, nothing is
//! left over. Unknown fields are skipped, since newer software may send them.

/// The fields of a record as they came. What is absent is empty or zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry<'a> {
    /// V1: what the name points to.
    pub value: Option<&'a [u8]>,
    /// V1: the old signature, which is not checked.
    pub signature_v1: Option<&'a [u8]>,
    /// V1: what `validity` is.
    pub validity_type: u64,
    /// V1: until when the record holds.
    pub validity: &'a [u8],
    /// V1: which version this is.
    pub sequence: u64,
    /// V1: how long it may be kept, in nanoseconds.
    pub ttl: u64,
    /// The key, where the name does not hold it.
    pub public_key: Option<&'a [u8]>,
    /// The signature over `data`.
    pub signature_v2: Option<&'a [u8]>,
    /// What is signed.
    pub data: Option<&'a [u8]>,
}

impl<'a> Entry<'a> {
    /// Reads an entry; None if it is malformed.
    pub fn decode(mut bytes: &'a [u8]) -> Option<Self> {
        let mut entry = Self::default();
        while !bytes.is_empty() {
            let key = varint(&mut bytes)?;
            let field = key >> 3;
            match (key & 7, field) {
                (0, 3) => entry.validity_type = varint(&mut bytes)?,
                (0, 5) => entry.sequence = varint(&mut bytes)?,
                (0, 6) => entry.ttl = varint(&mut bytes)?,
                (2, 1) => entry.value = Some(chunk(&mut bytes)?),
                (2, 2) => entry.signature_v1 = Some(chunk(&mut bytes)?),
                (2, 4) => entry.validity = chunk(&mut bytes)?,
                (2, 7) => entry.public_key = Some(chunk(&mut bytes)?),
                (2, 8) => entry.signature_v2 = Some(chunk(&mut bytes)?),
                (2, 9) => entry.data = Some(chunk(&mut bytes)?),
                (_, 0..=9) => return None,
                (0, _) => drop(varint(&mut bytes)?),
                (1, _) => drop(take(&mut bytes, 8)?),
                (2, _) => drop(chunk(&mut bytes)?),
                (5, _) => drop(take(&mut bytes, 4)?),
                _ => return None,
            }
        }
        Some(entry)
    }
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        number |= bits << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn chunk<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(varint(bytes)?).ok()?;
    take(bytes, length)
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}
