//! Who counts as one party, by its address.
//!
//! Over IPv6 that is a /56: what a provider gives to one customer, or more (RFC 6177, section 2; RIPE-690). A limit for each
//! /64 would be no limit to anybody, since each customer has 256 of them.
//!
//! Over IPv4 it depends on what is counted. Requests are counted by address ([`Prefix::line`]): the neighbours in a /24
//! are strangers to each other, and many of them stand behind one address already. What is held for long or given for free
//! is counted by the /24 ([`Prefix::network`]), the least that is announced to the Internet: who rents addresses has them side
//! by side. Servers, and the readers of a region, are counted by the /24 or the /48 ([`Prefix::place`]), the least that is
//! announced over IPv6: the readers of a place are several, so their distance may be told to others.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One party: its address, with zeros behind the bits that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix(IpAddr);

impl Prefix {
    /// Who has a line to itself: an IPv4 address, the /56 of an IPv6 address. For requests.
    #[must_use]
    pub fn line(address: IpAddr) -> Self {
        Self::cut(address, 32, 56)
    }

    /// Who has a network to itself: the /24 of an IPv4 address, the /56 of an IPv6 address. For connections, and for what
    /// is free.
    #[must_use]
    pub fn network(address: IpAddr) -> Self {
        Self::cut(address, 24, 56)
    }

    /// Who is in one place of the Internet: the /24 of an IPv4 address, the /48 of an IPv6 address. For servers, and for
    /// distances.
    #[must_use]
    pub fn place(address: IpAddr) -> Self {
        Self::cut(address, 24, 48)
    }

    /// What is given to one provider or large customer at a time: the /12 of an IPv4 address, the /32 of an IPv6 address.
    #[must_use]
    pub fn parent(&self) -> Self {
        Self::cut(self.0, 12, 32)
    }

    /// Its first address.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.0
    }

    /// The place that begins with this address, if one does: for what came from others.
    #[must_use]
    pub fn exactly_place(address: IpAddr) -> Option<Self> {
        let place = Self::place(address);
        (place.0 == address).then_some(place)
    }

    /// Whether it is on this machine or in a private network, where places say nothing of who is who.
    #[must_use]
    pub fn is_private(&self) -> bool {
        match self.0 {
            IpAddr::V4(address) => address.is_private() || address.is_loopback() || address.is_link_local(),
            IpAddr::V6(address) => {
                address.is_unique_local() || address.is_unicast_link_local() || address.to_bits() >> 80 == 0
            }
        }
    }

    /// A number for its bits, the same on every machine.
    pub(crate) fn number(&self) -> u64 {
        match self.0 {
            IpAddr::V4(address) => u64::from(address.to_bits()),
            IpAddr::V6(address) => (address.to_bits() >> 64) as u64 | 1 << 63,
        }
    }

    /// An IPv4 address in IPv6 form is that IPv4 address (RFC 4291, section 2.5.5.2).
    fn cut(address: IpAddr, v4_bits: u32, v6_bits: u32) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() & u32::MAX << (32 - v4_bits)).into(),
            IpAddr::V6(address) => {
                Ipv6Addr::from_bits(address.to_bits() & u128::MAX << (128 - v6_bits)).into()
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parties() {
        for (one, other, line, network, place) in [
            ("192.0.2.1", "192.0.2.255", false, true, true),
            ("192.0.2.1", "192.0.3.1", false, false, false),
            ("192.0.2.1", "::ffff:192.0.2.1", true, true, true),
            ("192.0.2.1", "::ffff:192.0.2.9", false, true, true),
            ("2001:db8:0:1200::1", "2001:db8:0:12ff::2", true, true, true),
            ("2001:db8:0:1200::1", "2001:db8:0:1300::1", false, false, true),
            ("2001:db8:0:1200::1", "2001:db8:1:1200::1", false, false, false),
            ("::1", "127.0.0.1", false, false, false),
        ] {
            let same = |of: fn(IpAddr) -> Prefix| {
                let of = |text: &str| of(text.parse().expect("an address"));
                of(one) == of(other)
            };
            assert_eq!(same(Prefix::line), line, "{one} {other}");
            assert_eq!(same(Prefix::network), network, "{one} {other}");
            assert_eq!(same(Prefix::place), place, "{one} {other}");
        }
    }

    #[test]
    fn places() {
        for (text, exact, private) in [
            ("198.51.100.0", true, false),
            ("198.51.100.1", false, false),
            ("2001:db8:7::", true, false),
            ("2001:db8:7:1::", false, false),
            ("::ffff:198.51.100.0", false, false),
            ("127.0.0.1", false, true),
            ("10.1.2.0", true, true),
            ("::1", false, true),
            ("fd00::1", false, true),
        ] {
            let address = text.parse().expect("an address");
            assert_eq!(Prefix::exactly_place(address).is_some(), exact, "{text}");
            assert_eq!(Prefix::place(address).is_private(), private, "{text}");
        }
    }
}
