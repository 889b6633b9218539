//! The two import profiles of IPIP-499 "UnixFS CID Profiles": equal input and profile give equal CIDs everywhere.

use std::fmt;
use std::str::FromStr;

use cid::Cid;
use multihash_codetable::{Code, MultihashDigest};

use super::Sink;
use crate::{Error, codec};

/// How files and folders are cut into blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Profile {
    /// `unixfs-v1-2025`: CIDv1, 1 MiB chunks, raw leaves, 1024 links a node, HAMT above 262,144 bytes of block.
    #[default]
    V1_2025,
    /// `unixfs-v0-2015`: CIDv0, 256 KiB chunks, dag-pb leaves, 174 links a node, HAMT above 262,144 bytes of links.
    V0_2015,
}

impl Profile {
    /// Both profiles, the default first.
    pub const ALL: [Profile; 2] = [Profile::V1_2025, Profile::V0_2015];

    /// The name given by IPIP-499.
    pub fn name(self) -> &'static str {
        match self {
            Profile::V1_2025 => "unixfs-v1-2025",
            Profile::V0_2015 => "unixfs-v0-2015",
        }
    }

    /// Bytes of a file in one leaf.
    pub(crate) fn chunk_bytes(self) -> usize {
        match self {
            Profile::V1_2025 => 1 << 20,
            Profile::V0_2015 => 256 << 10,
        }
    }

    /// Children of an inner node of a file.
    pub(crate) fn width(self) -> usize {
        match self {
            Profile::V1_2025 => 1024,
            Profile::V0_2015 => 174,
        }
    }

    pub(crate) fn raw_leaves(self) -> bool {
        self == Profile::V1_2025
    }

    /// Hashes a dag-pb block and hands it over.
    pub(crate) fn seal_node(self, sink: &dyn Sink, block: &[u8]) -> Result<Cid, Error> {
        let hash = Code::Sha2_256.digest(block);
        let cid = match self {
            Profile::V1_2025 => Cid::new_v1(codec::DAG_PB, hash),
            Profile::V0_2015 => Cid::new_v0(hash).expect("sha2-256 is the hash of CIDv0"),
        };
        put(sink, cid, block)
    }

    /// Hashes a raw block and hands it over.
    pub(crate) fn seal_raw(sink: &dyn Sink, block: &[u8]) -> Result<Cid, Error> {
        put(sink, Cid::new_v1(codec::RAW, Code::Sha2_256.digest(block)), block)
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Profile {
    type Err = ParseProfileError;

    fn from_str(name: &str) -> Result<Profile, ParseProfileError> {
        let found = Profile::ALL.into_iter().find(|profile| profile.name() == name);
        found.ok_or_else(|| ParseProfileError {
            name: name.to_owned(),
        })
    }
}

/// A profile name that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown import profile {name:?}; there are unixfs-v1-2025 and unixfs-v0-2015")]
pub struct ParseProfileError {
    name: String,
}

fn put(sink: &dyn Sink, cid: Cid, block: &[u8]) -> Result<Cid, Error> {
    if block.len() > crate::BLOCK_BYTES_MAX {
        return Err(Error::TooLarge {
            cid,
            bytes: block.len(),
        });
    }
    sink.put(&cid, block)?;
    Ok(cid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_back() {
        for profile in Profile::ALL {
            assert_eq!(profile.to_string().parse(), Ok(profile));
        }
        let error = "unixfs".parse::<Profile>().unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"unknown import profile "unixfs"; there are unixfs-v1-2025 and unixfs-v0-2015"#
        );
    }
}
