//! As much of the protobuf wire format as dag-pb and UnixFS need.
//!
//! Strict where leniency would let one object have two spellings: varints must be minimal and fit 64 bits. Groups
//! and unknown wire types are refused.

use bytes::Bytes;

/// What is wrong with some bytes; the caller knows of which block.
pub(crate) type Fault = &'static str;

/// The value of one field.
pub(crate) enum Value {
    Varint(u64),
    Fixed32,
    Fixed64,
    Bytes(Bytes),
}

impl Value {
    pub fn varint(self) -> Result<u64, Fault> {
        match self {
            Value::Varint(value) => Ok(value),
            _ => Err("a number has the wrong wire type"),
        }
    }

    pub fn bytes(self) -> Result<Bytes, Fault> {
        match self {
            Value::Bytes(value) => Ok(value),
            _ => Err("a byte string has the wrong wire type"),
        }
    }
}

/// Iterates over the fields of a message without copying.
pub(crate) struct Fields {
    rest: Bytes,
}

impl Fields {
    pub fn new(message: Bytes) -> Fields {
        Fields { rest: message }
    }

    /// The next field number and value.
    pub fn next(&mut self) -> Result<Option<(u64, Value)>, Fault> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = take_varint(&mut self.rest)?;
        let value = match key & 7 {
            0 => Value::Varint(take_varint(&mut self.rest)?),
            1 => self.take(8).map(|_| Value::Fixed64)?,
            2 => {
                let length = take_varint(&mut self.rest)?;
                Value::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Value::Fixed32)?,
            _ => return Err("unknown wire type"),
        };
        match key >> 3 {
            0 => Err("field number 0"),
            number => Ok(Some((number, value))),
        }
    }

    fn take(&mut self, length: u64) -> Result<Bytes, Fault> {
        let length = usize::try_from(length).map_err(|_| CUT)?;
        if length > self.rest.len() {
            return Err(CUT);
        }
        Ok(self.rest.split_to(length))
    }
}

/// Takes a minimal varint of at most 64 bits off the front.
pub(crate) fn take_varint(rest: &mut Bytes) -> Result<u64, Fault> {
    let mut value = 0u64;
    for (at, &byte) in rest.iter().enumerate().take(10) {
        let bits = u64::from(byte & 0x7f);
        if at == 9 && bits > 1 {
            return Err("a number does not fit 64 bits");
        }
        value |= bits << (7 * at);
        if byte & 0x80 == 0 {
            if at > 0 && byte == 0 {
                return Err("a number is not in its shortest form");
            }
            bytes::Buf::advance(rest, at + 1);
            return Ok(value);
        }
    }
    Err(CUT)
}

/// Appends a varint.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The length of a varint in bytes.
pub(crate) fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Appends a length-delimited field with a number below 16.
pub(crate) fn put_bytes(out: &mut Vec<u8>, field: u8, value: &[u8]) {
    out.push(field << 3 | 2);
    put_varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// Appends a varint field with a number below 16.
pub(crate) fn put_number(out: &mut Vec<u8>, field: u8, value: u64) {
    out.push(field << 3);
    put_varint(out, value);
}

const CUT: Fault = "cut short";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn varints_come_back(value: u64) {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            prop_assert_eq!(out.len(), varint_len(value));
            prop_assert_eq!(take_varint(&mut Bytes::from(out)), Ok(value));
        }
    }

    #[test]
    fn refuses_varints_that_are_long_or_large() {
        for bad in [
            &[0x80, 0x00][..],
            &[0xff; 11],
            &[0x80],
            &[],
            &[255, 255, 255, 255, 255, 255, 255, 255, 255, 2],
        ] {
            assert!(take_varint(&mut Bytes::copy_from_slice(bad)).is_err(), "{bad:?}");
        }
    }
}
