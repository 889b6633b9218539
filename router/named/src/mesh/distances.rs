//! What an edge tells of how far readers are: [`nearest::digest`] on the wire.
//!
//! The entries are grouped by edge and packed: the first 3 bytes of a /24 or 6 of a /48, then the step. Groups and entries
//! rise strictly, so that each set of distances has one encoding.

use std::net::SocketAddr;

use ledger::{Message, PublicKey};
use nearest::digest::{DISTANCES_MAX, LIFE_US_MAX, Told};
use serde::{Deserialize, Serialize};

use super::message::{self, Dated, Flaw};

/// The largest encoding, signature and all: 1,024 distances of 7 bytes, and the keys of 64 edges.
pub const DISTANCES_BYTES_MAX: usize = 12 << 10;
/// The longest that distances may say they hold, in milliseconds: an hour.
pub const DISTANCES_LIFE_MS_MAX: u64 = LIFE_US_MAX / 1_000;
/// The most edges of which one message tells.
const EDGES_MAX: usize = 64;

/// How far readers are from edges, as one edge says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distances {
    /// The edge that tells, which must be the signer.
    pub node: PublicKey,
    /// The height of its ledger.
    pub height: u64,
    /// When it was signed, in milliseconds since 1970.
    pub time_ms: u64,
    /// Until when it holds, at most [`DISTANCES_LIFE_MS_MAX`] later.
    pub until_ms: u64,
    /// By edge and place, both rising: at least one, at most [`nearest::digest::DISTANCES_MAX`], of at most 64 edges.
    #[serde(with = "packed")]
    pub told: Vec<Told>,
}

impl Message for Distances {
    const DOMAIN: &'static str = "ddn/distances/1";
}

impl Dated for Distances {
    const LIFE_MS_MAX: u64 = DISTANCES_LIFE_MS_MAX;
    const BYTES_MAX: usize = DISTANCES_BYTES_MAX;
    fn node(&self) -> &PublicKey {
        &self.node
    }
    fn addresses(&self) -> Option<&[SocketAddr]> {
        None
    }
    fn times(&self) -> (u64, u64) {
        (self.time_ms, self.until_ms)
    }
    fn flaw(&self) -> Option<&'static str> {
        (!(1..=DISTANCES_MAX).contains(&self.told.len())).then_some("needs 1 to 1,024 distances")
    }
}

impl Distances {
    /// Reads what was signed for `chain`, at `now_ms`, milliseconds since 1970. Whether the signer is an edge is not known
    /// here.
    ///
    /// # Errors
    /// [`Flaw`]: it is out of its time, or was never right.
    pub fn read(bytes: &[u8], chain: &str, now_ms: u64) -> Result<Self, Flaw> {
        message::read(bytes, chain, now_ms)
    }
}

/// The distances as they are on the wire.
mod packed {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    use nearest::digest::{Step, Told};
    use nearest::{EdgeId, Prefix};
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use serde_bytes::{ByteArray, ByteBuf};

    use super::{DISTANCES_MAX, EDGES_MAX};

    /// The distances from one edge.
    #[derive(Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct FromEdge {
        edge: ByteArray<32>,
        /// 3 bytes of a /24, and the step.
        v4: ByteBuf,
        /// 6 bytes of a /48, and the step.
        v6: ByteBuf,
    }

    pub fn serialize<S: Serializer>(told: &[Told], serializer: S) -> Result<S::Ok, S::Error> {
        let groups = told.chunk_by(|one, next| one.edge == next.edge);
        serializer.collect_seq(groups.map(FromEdge::of))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Told>, D::Error> {
        let groups = Vec::<FromEdge>::deserialize(deserializer)?;
        let told = read(&groups).map_err(Error::custom)?;
        let is_rising = told.is_sorted_by(|one, next| (one.edge, one.place) < (next.edge, next.place));
        is_rising
            .then_some(told)
            .ok_or_else(|| Error::custom("distances out of order, or twice"))
    }

    fn read(groups: &[FromEdge]) -> Result<Vec<Told>, &'static str> {
        let bytes: usize = groups
            .iter()
            .map(|group| group.v4.len() / 4 + group.v6.len() / 7)
            .sum();
        if groups.len() > EDGES_MAX || bytes > DISTANCES_MAX {
            return Err("too many distances");
        }
        let mut told = Vec::with_capacity(bytes);
        for group in groups {
            group.read(&mut told)?;
        }
        Ok(told)
    }

    impl FromEdge {
        fn of(told: &[Told]) -> Self {
            let (mut v4, mut v6) = (Vec::new(), Vec::new());
            for told in told {
                match told.place.address() {
                    IpAddr::V4(ip) => v4.extend([&ip.octets()[..3], &[told.step.number()]].concat()),
                    IpAddr::V6(ip) => v6.extend([&ip.octets()[..6], &[told.step.number()]].concat()),
                }
            }
            Self {
                edge: ByteArray::new(told.first().map(|told| told.edge).unwrap_or_default()),
                v4: ByteBuf::from(v4),
                v6: ByteBuf::from(v6),
            }
        }

        fn read(&self, told: &mut Vec<Told>) -> Result<(), &'static str> {
            let (v4, rest4) = self.v4.as_chunks::<4>();
            let (v6, rest6) = self.v6.as_chunks::<7>();
            if !rest4.is_empty() || !rest6.is_empty() || v4.is_empty() && v6.is_empty() {
                return Err("a part of a distance, or none");
            }
            let edge = self.edge.into_array();
            for [a, b, c, step] in v4 {
                told.push(one(edge, Ipv4Addr::new(*a, *b, *c, 0).into(), *step)?);
            }
            for [place @ .., step] in v6 {
                let mut octets = [0; 16];
                octets[..6].copy_from_slice(place);
                told.push(one(edge, Ipv6Addr::from(octets).into(), *step)?);
            }
            Ok(())
        }
    }

    fn one(edge: EdgeId, address: IpAddr, step: u8) -> Result<Told, &'static str> {
        let has_readers = match address {
            IpAddr::V4(ip) => !matches!(ip.octets()[0], 0 | 127 | 224..),
            IpAddr::V6(ip) => !ip.is_unspecified() && !ip.is_multicast(),
        };
        let place = Prefix::exactly_place(address).filter(|_| has_readers);
        Ok(Told {
            place: place.ok_or("a place where no readers are")?,
            edge,
            step: Step::new(step).ok_or("a distance that there is not")?,
        })
    }
}

#[cfg(test)]
mod tests;
