//! A record, checked against its name.

use std::time::{Duration, SystemTime};

use libp2p::identity::PublicKey;
use serde::Deserialize;

use super::name::Name;
use super::{time, wire};

/// The largest record, in bytes: what the specification lets everybody assume.
pub const RECORD_BYTES_MAX: usize = 10 << 10;

/// What is signed begins with this.
const SIGNED_PREFIX: &[u8] = b"ipns-signature:";
/// The only kind of validity: an end of life.
const EOL: u64 = 0;

/// What a name points to, signed by its key. It was valid when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    bytes: Vec<u8>,
    value: Vec<u8>,
    sequence: u64,
    eol: SystemTime,
    ttl: Duration,
}

/// What is wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It is too large.
    #[error("it has {0} bytes, and a record has at most 10240")]
    TooLarge(usize),
    /// It cannot be read.
    #[error("{0}")]
    Malformed(&'static str),
    /// It has no key, or one of another name.
    #[error("{0}")]
    Key(&'static str),
    /// It is not signed by the name's key in the way that counts.
    #[error("{0}")]
    Signature(&'static str),
    /// The unsigned fields say something else than the signed ones.
    #[error("its field {0} differs from what is signed")]
    Differs(&'static str),
    /// Its end of life has passed.
    #[error("it has expired")]
    Expired,
}

impl Record {
    /// Reads a record of `name`, and checks that it holds at the time `now`.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn read(name: &Name, bytes: &[u8], now: SystemTime) -> Result<Self, Fault> {
        if bytes.len() > RECORD_BYTES_MAX {
            return Err(Fault::TooLarge(bytes.len()));
        }
        let entry = wire::Entry::decode(bytes).ok_or(Fault::Malformed("it is no protobuf of a record"))?;
        let (Some(data), Some(signature)) = (entry.data, entry.signature_v2) else {
            return Err(Fault::Signature(
                "it has no V2 signature, and older ones are not trusted",
            ));
        };
        let signed = [SIGNED_PREFIX, data].concat();
        if !key(name, &entry)?.verify(&signed, signature) {
            return Err(Fault::Signature("its V2 signature is not by the name's key"));
        }
        let data: Data = serde_ipld_dagcbor::from_slice(data)
            .map_err(|_| Fault::Malformed("its signed data is no DAG-CBOR of a record"))?;
        data.agrees(&entry)?;
        let record = data.record(bytes)?;
        match record.eol > now {
            true => Ok(record),
            false => Err(Fault::Expired),
        }
    }

    /// The record as it was read.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What the name points to: a content path, unless the owner meant something else. Not checked.
    #[must_use]
    pub fn value(&self) -> &[u8] {
        &self.value
    }

    /// The number of the version.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Until when it holds.
    #[must_use]
    pub fn eol(&self) -> SystemTime {
        self.eol
    }

    /// How long whoever read it at the time `now` may keep it: as its owner says, and no longer than it holds.
    #[must_use]
    pub fn ttl(&self, now: SystemTime) -> Duration {
        let left = self.eol.duration_since(now).unwrap_or_default();
        self.ttl.min(left)
    }

    /// Whether this record takes the place of `other`: a higher version, or the same for longer.
    #[must_use]
    pub fn supersedes(&self, other: &Record) -> bool {
        (self.sequence, self.eol) > (other.sequence, other.eol)
    }
}

/// The key of a name: in the record, or in the name itself.
fn key(name: &Name, entry: &wire::Entry<'_>) -> Result<PublicKey, Fault> {
    let Some(bytes) = entry.public_key else {
        return name
            .inline_key()
            .ok_or(Fault::Key("its key is neither in it nor in the name"));
    };
    let key = PublicKey::try_decode_protobuf(bytes).map_err(|_| Fault::Key("its key cannot be read"))?;
    match Name::of(&key) == *name {
        true => Ok(key),
        false => Err(Fault::Key("its key is that of another name")),
    }
}

/// What is signed. Owners may add fields of their own.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Data {
    #[serde(with = "serde_bytes")]
    value: Vec<u8>,
    #[serde(with = "serde_bytes")]
    validity: Vec<u8>,
    validity_type: u64,
    sequence: u64,
    #[serde(rename = "TTL")]
    ttl: u64,
}

impl Data {
    /// Software of before V2 reads the fields beside the signed data, so they must not say anything else.
    fn agrees(&self, entry: &wire::Entry<'_>) -> Result<(), Fault> {
        if entry.value.is_none() && entry.signature_v1.is_none() {
            return Ok(());
        }
        let fields = [
            ("value", entry.value.unwrap_or_default() == self.value),
            ("validity", entry.validity == self.validity),
            ("validityType", entry.validity_type == self.validity_type),
            ("sequence", entry.sequence == self.sequence),
            ("ttl", entry.ttl == self.ttl),
        ];
        match fields.into_iter().find(|(_, agrees)| !agrees) {
            Some((field, _)) => Err(Fault::Differs(field)),
            None => Ok(()),
        }
    }

    fn record(self, bytes: &[u8]) -> Result<Record, Fault> {
        if self.validity_type != EOL {
            return Err(Fault::Malformed("its validity is of an unknown type"));
        }
        let eol = std::str::from_utf8(&self.validity).ok().and_then(time::parse);
        Ok(Record {
            bytes: bytes.to_vec(),
            value: self.value,
            sequence: self.sequence,
            eol: eol.ok_or(Fault::Malformed("its end of life is not a time by RFC 3339"))?,
            ttl: Duration::from_nanos(self.ttl),
        })
    }
}
