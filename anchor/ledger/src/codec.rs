//! Strict DAG-CBOR: the one encoding of everything that is signed, hashed, stored or sent.
//!
//! `decode` accepts exactly the bytes that `encode` makes: it decodes, encodes again and compares. Before that it walks
//! over the bytes without recursion, so that depth and declared lengths are bounded before anything is built.

use std::fmt;

use cid::Cid;
use cid::multihash::Multihash;
use serde::de::{DeserializeOwned, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// The largest object that [`decode`] looks at: a block of 2 MiB and a long proof bundle fit, a bomb does not.
pub const MAX_OBJECT_BYTES: usize = 8 * 1024 * 1024;
/// The deepest nesting of arrays, maps and tags that [`decode`] follows; our deepest object has 9 levels.
pub const MAX_DEPTH: usize = 24;

const DAG_CBOR: u64 = 0x71;
const SHA2_256: u64 = 0x12;

/// Why bytes were not decoded. `what` is the type that was wanted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// More bytes than an object of this type may have.
    #[error("decode {what}: {bytes} bytes, at most {max} are allowed")]
    TooLarge {
        /// The wanted type.
        what: &'static str,
        /// How many there were.
        bytes: usize,
        /// How many may be.
        max: usize,
    },
    /// The bytes are not well-formed CBOR of bounded depth.
    #[error("decode {what}: byte {offset}: {reason}")]
    Shape {
        /// The wanted type.
        what: &'static str,
        /// Where it went wrong.
        offset: usize,
        /// What went wrong.
        reason: &'static str,
    },
    /// The bytes are CBOR, but not of this type.
    #[error("decode {what}: {reason}")]
    Type {
        /// The wanted type.
        what: &'static str,
        /// What the decoder says.
        reason: String,
    },
    /// The bytes mean something of this type, but are not its one encoding.
    #[error(
        "decode {what}: not the canonical encoding (unknown field, empty field written out, or unsorted list)"
    )]
    NotCanonical {
        /// The wanted type.
        what: &'static str,
    },
}

/// The DAG-CBOR encoding of `value`.
///
/// # Panics
/// If the type holds what DAG-CBOR cannot: a float that is not finite, or a map whose keys are not text. No type of
/// this crate does.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    serde_ipld_dagcbor::to_vec(value).expect("a type of finite numbers and text keys has a DAG-CBOR encoding")
}

/// Decodes one object of at most [`MAX_OBJECT_BYTES`], refusing everything that [`encode`] would not have made.
pub fn decode<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    decode_within(bytes, MAX_OBJECT_BYTES)
}

/// As [`decode`], with another bound on the size.
///
/// # Errors
/// As [`decode`].
pub fn decode_within<T: Serialize + DeserializeOwned>(bytes: &[u8], max: usize) -> Result<T, DecodeError> {
    let what = type_name::<T>();
    if bytes.len() > max {
        return Err(DecodeError::TooLarge {
            what,
            bytes: bytes.len(),
            max,
        });
    }
    check_shape(bytes).map_err(|(offset, reason)| DecodeError::Shape { what, offset, reason })?;
    let value: T = serde_ipld_dagcbor::from_slice(bytes).map_err(|e| DecodeError::Type {
        what,
        reason: e.to_string(),
    })?;
    if serde_ipld_dagcbor::to_vec(&value).ok().as_deref() != Some(bytes) {
        return Err(DecodeError::NotCanonical { what });
    }
    Ok(value)
}

/// The CID of an encoded object: version 1, DAG-CBOR, sha2-256.
pub fn cid_of(bytes: &[u8]) -> Cid {
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    cid_of_digest(&digest)
}

/// The CID of an object whose sha2-256 is known.
pub(crate) fn cid_of_digest(digest: &[u8; 32]) -> Cid {
    let hash = Multihash::wrap(SHA2_256, digest).expect("32 bytes fit in a multihash of 64");
    Cid::new_v1(DAG_CBOR, hash)
}

fn type_name<T>() -> &'static str {
    let full = std::any::type_name::<T>();
    full.rsplit("::").next().unwrap_or(full)
}

/// Walks over one CBOR object without recursion: every length within the bytes, depth bounded, nothing behind it.
fn check_shape(bytes: &[u8]) -> Result<(), (usize, &'static str)> {
    let mut open = vec![1u64];
    let mut pos = 0usize;
    while let Some(left) = open.last_mut() {
        if *left == 0 {
            open.pop();
            continue;
        }
        *left -= 1;
        let (major, argument, length) = head(&bytes[pos..]).map_err(|reason| (pos, reason))?;
        let start = pos;
        pos += length;
        let rest = (bytes.len() - pos) as u64;
        let inside = match major {
            2 | 3 if argument > rest => return Err((start, "a string longer than what follows")),
            2 | 3 => {
                pos += argument as usize;
                None
            }
            4 if argument > rest => return Err((start, "an array longer than what follows")),
            4 => Some(argument),
            5 if argument > rest / 2 => return Err((start, "a map longer than what follows")),
            5 => Some(argument * 2),
            6 => Some(1),
            _ => None,
        };
        if let Some(items) = inside {
            if open.len() > MAX_DEPTH {
                return Err((start, "nested too deep"));
            }
            open.push(items);
        }
    }
    if pos == bytes.len() {
        Ok(())
    } else {
        Err((pos, "bytes behind the object"))
    }
}

/// Major type, argument and length of the head at the start of `bytes`.
fn head(bytes: &[u8]) -> Result<(u8, u64, usize), &'static str> {
    const SHORT: &str = "ends in the middle of an object";
    let first = *bytes.first().ok_or(SHORT)?;
    let width = match first & 0x1f {
        small @ 0..=23 => return Ok((first >> 5, u64::from(small), 1)),
        24 => 1,
        25 => 2,
        26 => 4,
        27 => 8,
        _ => return Err("a length that is indefinite or reserved"),
    };
    let argument = bytes.get(1..1 + width).ok_or(SHORT)?;
    let value = argument
        .iter()
        .fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
    Ok((first >> 5, value, 1 + width))
}

/// A CID that is a DAG-CBOR link (tag 42) in binary and the CID's text in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Link(pub Cid);

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<Cid> for Link {
    fn from(cid: Cid) -> Self {
        Self(cid)
    }
}

impl Serialize for Link {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(&self.0)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Link {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return Cid::deserialize(deserializer).map(Self);
        }
        let text = String::deserialize(deserializer)?;
        text.parse()
            .map(Self)
            .map_err(|e| serde::de::Error::custom(format!("'{text}' is not a CID: {e}")))
    }
}

/// Arrays of a fixed number of bytes: a byte string in binary, hex in JSON.
pub(crate) mod fixed {
    use super::*;

    pub(crate) fn serialize<const N: usize, S: Serializer>(
        bytes: &[u8; N],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(&hex::encode(bytes))
        } else {
            serializer.serialize_bytes(bytes)
        }
    }

    pub(crate) fn deserialize<'de, const N: usize, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<[u8; N], D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_str(FixedVisitor)
        } else {
            deserializer.deserialize_bytes(FixedVisitor)
        }
    }

    struct FixedVisitor<const N: usize>;

    impl<const N: usize> Visitor<'_> for FixedVisitor<N> {
        type Value = [u8; N];

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{N} bytes")
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
            let mut bytes = [0; N];
            hex::decode_to_slice(text, &mut bytes)
                .map_err(|e| E::custom(format!("'{text}' is not {N} bytes in hex: {e}")))?;
            Ok(bytes)
        }

        fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
            bytes
                .try_into()
                .map_err(|_| E::invalid_length(bytes.len(), &self))
        }
    }
}

/// Bytes of any length: a byte string in binary, hex in JSON.
pub(crate) mod text_or_bytes {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(&hex::encode(bytes))
        } else {
            serializer.serialize_bytes(bytes)
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            hex::decode(&text).map_err(|e| serde::de::Error::custom(format!("'{text}' is not hex: {e}")))
        } else {
            serde_bytes::ByteBuf::deserialize(deserializer).map(serde_bytes::ByteBuf::into_vec)
        }
    }
}

#[cfg(test)]
mod tests;
