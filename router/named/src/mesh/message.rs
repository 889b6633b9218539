//! What nodes sign for each other: where the delivery plane reaches a node, and what an edge offers.
//!
//! (What it tells of its readers' distances is in [`super::distances`], and checked here.)
//!
//! All come from anybody, so all are bounded, strictly decoded, and worth nothing unless the node that they speak of
//! signed them. What depends on the clock is stale rather than wrong: an honest peer with another clock may pass it on.

use std::net::SocketAddr;
use std::num::NonZeroU16;

use ledger::{Address, Amount, Message, PublicKey, Signed};
use serde::{Deserialize, Serialize};

use super::position::Position;
use super::web::Web;

/// The largest encoding of either message, signature and all: 8 addresses of 50 characters, two of web servers with 100,
/// a coordinate, two relays, and the rest.
pub const MESSAGE_BYTES_MAX: usize = 1536;
/// The most addresses in one message.
pub const ADDRESSES_MAX: usize = 8;
/// The longest that an endpoint may say it holds, in milliseconds: 48 hours.
pub const ENDPOINT_LIFE_MS_MAX: u64 = 48 * 3_600_000;
/// The longest that an advert may say it holds, in milliseconds: 10 minutes. An edge that is gone is forgotten then.
pub const ADVERT_LIFE_MS_MAX: u64 = 600_000;
/// What an edge may say to be wrong with itself: its clock is off (1), its disk is full (2), its ledger is behind (4), its
/// ports are not reached (8), it is about to stop (16).
pub const HEALTH_BITS: u8 = 0b1_1111;
/// How far ahead of ours another clock may be, in milliseconds.
pub const CLOCK_AHEAD_MS_MAX: u64 = 30_000;

/// Where the delivery plane reaches a node. Provider records name nodes only; this says how to dial them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// The node, which must be the signer.
    pub node: PublicKey,
    /// Its UDP addresses, 1 to [`ADDRESSES_MAX`], best first.
    #[serde(with = "addresses")]
    pub addresses: Vec<SocketAddr>,
    /// The relay through which it is reached (TCP), if that is needed.
    #[serde(default, with = "addresses::maybe", skip_serializing_if = "Option::is_none")]
    pub home_relay: Option<SocketAddr>,
    /// When it was signed, in milliseconds since 1970. The newest replaces all before.
    pub time_ms: u64,
    /// Until when it holds, at most [`ENDPOINT_LIFE_MS_MAX`] later.
    pub until_ms: u64,
}

/// What an edge offers right now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Advert {
    /// The edge, which must be the signer.
    pub node: PublicKey,
    /// Its UDP addresses in the delivery plane, 1 to [`ADDRESSES_MAX`], best first.
    #[serde(with = "addresses")]
    pub addresses: Vec<SocketAddr>,
    /// The relay through which it is reached (TCP), if that is needed.
    #[serde(default, with = "addresses::maybe", skip_serializing_if = "Option::is_none")]
    pub home_relay: Option<SocketAddr>,
    /// Its own relay, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay: Option<Relay>,
    /// The account that is paid.
    pub payee: Address,
    /// The price per MiB.
    pub price: Amount,
    /// How many requests it serves at once, at least 1.
    pub capacity: u32,
    /// How many it has in hand.
    pub load: u32,
    /// The height of its ledger.
    pub height: u64,
    /// What it knows to be wrong with itself, as bits; 0 is well. See [`HEALTH_BITS`].
    #[serde(default, skip_serializing_if = "is_well")]
    pub health: u8,
    /// Where readers reach its gateway, if they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Web>,
    /// Where IPFS clients get single blocks from it over HTTP, if they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Web>,
    /// The TCP port of its encrypted gateway, at the same addresses, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_port: Option<NonZeroU16>,
    /// Where it is among the others, by what it measured itself; none before it measured anybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// When it was signed, in milliseconds since 1970. The newest replaces all before.
    pub time_ms: u64,
    /// Until when it holds, at most [`ADVERT_LIFE_MS_MAX`] later.
    pub until_ms: u64,
}

/// What a relay offers: it passes packets on to nodes that cannot be reached, which pay for that at their home relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relay {
    /// Where clients connect (TCP).
    #[serde(with = "addresses::one")]
    pub address: SocketAddr,
    /// The price per MiB.
    pub price: Amount,
    /// How many nodes it passes packets on for at once.
    pub capacity: u32,
    /// For how many more it has room.
    pub free: u32,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_well(health: &u8) -> bool {
    *health == 0
}

impl Message for Endpoint {
    const DOMAIN: &'static str = "ddn/endpoint/1";
}

impl Message for Advert {
    const DOMAIN: &'static str = "ddn/advert/1";
}

/// Why a message is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It could never have been right: whoever sent it did not look at it, or made it.
    Wrong(String),
    /// It is out of its time, which may be our clock's fault: who signed it, and when, in milliseconds since 1970.
    Stale {
        /// The node that it speaks of, and that signed it.
        node: PublicKey,
        /// The moment by that node's clock.
        time_ms: u64,
    },
}

/// What all messages have, so that one function checks them.
pub trait Dated: Message {
    /// The longest life, in milliseconds.
    const LIFE_MS_MAX: u64;
    /// The largest encoding, signature and all.
    const BYTES_MAX: usize = MESSAGE_BYTES_MAX;
    /// The node that it speaks of.
    fn node(&self) -> &PublicKey;
    /// Its addresses, if it is of a kind that names some.
    fn addresses(&self) -> Option<&[SocketAddr]>;
    /// Relays that it names (TCP).
    fn relays(&self) -> [Option<SocketAddr>; 2] {
        [None; 2]
    }
    /// From when and until when it holds.
    fn times(&self) -> (u64, u64);
    /// What else is wrong with it.
    fn flaw(&self) -> Option<&'static str> {
        None
    }
}

impl Dated for Endpoint {
    const LIFE_MS_MAX: u64 = ENDPOINT_LIFE_MS_MAX;
    fn node(&self) -> &PublicKey {
        &self.node
    }
    fn addresses(&self) -> Option<&[SocketAddr]> {
        Some(&self.addresses)
    }
    fn relays(&self) -> [Option<SocketAddr>; 2] {
        [self.home_relay, None]
    }
    fn times(&self) -> (u64, u64) {
        (self.time_ms, self.until_ms)
    }
}

impl Dated for Advert {
    const LIFE_MS_MAX: u64 = ADVERT_LIFE_MS_MAX;
    fn flaw(&self) -> Option<&'static str> {
        if self.health & !HEALTH_BITS != 0 {
            return Some("an illness that there is not");
        }
        let is_somewhere = self
            .position
            .is_none_or(|position| position.coordinate().is_sane());
        if !is_somewhere {
            return Some("a place that there is not");
        }
        let relay = self.relay.as_ref();
        let is_odd = relay.is_some_and(|relay| relay.free > relay.capacity);
        is_odd.then_some("a relay with more room than it has")
    }
    fn relays(&self) -> [Option<SocketAddr>; 2] {
        [self.home_relay, self.relay.as_ref().map(|relay| relay.address)]
    }
    fn node(&self) -> &PublicKey {
        &self.node
    }
    fn addresses(&self) -> Option<&[SocketAddr]> {
        Some(&self.addresses)
    }
    fn times(&self) -> (u64, u64) {
        (self.time_ms, self.until_ms)
    }
}

/// Reads a message for `chain` at `now_ms`, milliseconds since 1970, and says why not if it is not to be taken.
pub fn read<T: Dated>(bytes: &[u8], chain: &str, now_ms: u64) -> Result<T, Flaw> {
    let signed = Signed::<T>::decode(bytes, T::BYTES_MAX).map_err(|e| Flaw::Wrong(e.to_string()))?;
    check(signed, chain, now_ms)
}

/// As [`read`], for a message that is decoded already.
pub fn check<T: Dated>(signed: Signed<T>, chain: &str, now_ms: u64) -> Result<T, Flaw> {
    let wrong = |reason: &str| Err(Flaw::Wrong(format!("{}: {reason}", T::DOMAIN)));
    let body = &signed.body;
    if body.node() != &signed.key {
        return wrong("signed by another key than the node's");
    }
    let addresses = body.addresses();
    if addresses.is_some_and(|addresses| !(1..=ADDRESSES_MAX).contains(&addresses.len())) {
        return wrong("needs 1 to 8 addresses");
    }
    let relays = body.relays();
    if !addresses
        .unwrap_or_default()
        .iter()
        .chain(relays.iter().flatten())
        .all(is_reachable)
    {
        return wrong("an address that nobody can dial");
    }
    if let Some(flaw) = body.flaw() {
        return wrong(flaw);
    }
    let (time_ms, until_ms) = body.times();
    if until_ms
        .checked_sub(time_ms)
        .is_none_or(|life| life == 0 || life > T::LIFE_MS_MAX)
    {
        return wrong("holds for no time or for too long");
    }
    if !signed.verify(chain) {
        return wrong("the signature is not the node's on this chain");
    }
    if until_ms <= now_ms || time_ms > now_ms.saturating_add(CLOCK_AHEAD_MS_MAX) {
        let node = signed.key;
        return Err(Flaw::Stale { node, time_ms });
    }
    Ok(signed.body)
}

/// A port and one host. A scope id means something on one machine only, so it is no address for others.
fn is_reachable(address: &SocketAddr) -> bool {
    let scoped = matches!(address, SocketAddr::V6(v6) if v6.scope_id() != 0 || v6.flowinfo() != 0);
    address.port() != 0 && !address.ip().is_unspecified() && !address.ip().is_multicast() && !scoped
}

/// Addresses as text, `127.0.0.1:4102`, in binary too: readable through any gateway, and one text for each address.
mod addresses {
    use super::{ADDRESSES_MAX, SocketAddr};
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(list: &[SocketAddr], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(list.iter().map(ToString::to_string))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SocketAddr>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        if texts.len() > ADDRESSES_MAX {
            return Err(Error::custom("more than 8 addresses"));
        }
        texts
            .iter()
            .map(|text| text.parse().map_err(|_| Error::custom("not an address and port")))
            .collect()
    }

    /// One.
    pub mod one {
        use super::{Deserialize, Deserializer, Error, Serializer, SocketAddr};

        pub fn serialize<S: Serializer>(address: &SocketAddr, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_str(address)
        }

        pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
            let text = String::deserialize(deserializer)?;
            text.parse()
                .map_err(|_| D::Error::custom("not an address and port"))
        }
    }

    /// One, or none, which is left out.
    pub mod maybe {
        use super::{Deserializer, Serializer, SocketAddr, one};

        pub fn serialize<S: Serializer>(
            address: &Option<SocketAddr>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            match address {
                Some(address) => one::serialize(address, serializer),
                None => serializer.serialize_none(),
            }
        }

        pub fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<SocketAddr>, D::Error> {
            one::deserialize(deserializer).map(Some)
        }
    }
}

#[cfg(test)]
mod tests;
