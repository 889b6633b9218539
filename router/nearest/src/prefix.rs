//! Who counts as one party, by its address.
//!
//! Over IPv6 that is a /56: what a provider gives to one customer, or more (RFC 6177, section 2; RIPE-690). A limit for each
//! /64 would be no limit to anybody, since each customer has 256 of them.
//!
//! Over IPv4 it depends on what is counted. Requests are counted by address ([`Prefix::line`]): the neighbours in a /24
//! are strangers to each other, and many of them stand behind one address already. What is held for long or given for free
//! is counted by the /24 ([`Prefix::network`]), the least that is announced to the Internet: who rents addresses has them side
//! by side.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One party: its address, with zeros behind the bits that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Prefix(IpAddr);

impl Prefix {
    /// Who has a line to itself: an IPv4 address, the /56 of an IPv6 address. For requests.
    pub fn line(address: IpAddr) -> Self {
        Self::cut(address, 32)
    }

    /// Who has a network to itself: the /24 of an IPv4 address, the /56 of an IPv6 address. For connections, and for what
    /// is free.
    pub fn network(address: IpAddr) -> Self {
        Self::cut(address, 24)
    }

    /// An IPv4 address in IPv6 form is that IPv4 address (RFC 4291, section 2.5.5.2).
    fn cut(address: IpAddr, v4_bits: u32) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() & u32::MAX << (32 - v4_bits)).into(),
            IpAddr::V6(address) => {
                Ipv6Addr::from_bits(address.to_bits() & u128::MAX << (128 - V6_BITS)).into()
            }
        })
    }
}

/// Bits of an IPv6 address that count.
const V6_BITS: u32 = 56;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parties() {
        for (one, other, line, network) in [
            ("192.0.2.1", "192.0.2.255", false, true),
            ("192.0.2.1", "192.0.3.1", false, false),
            ("192.0.2.1", "::ffff:192.0.2.1", true, true),
            ("192.0.2.1", "::ffff:192.0.2.9", false, true),
            ("2001:db8:0:1200::1", "2001:db8:0:12ff::2", true, true),
            ("2001:db8:0:1200::1", "2001:db8:0:1300::1", false, false),
            ("::1", "127.0.0.1", false, false),
        ] {
            let same = |of: fn(IpAddr) -> Prefix| {
                let of = |text: &str| of(text.parse().expect("an address"));
                of(one) == of(other)
            };
            assert_eq!(same(Prefix::line), line, "{one} {other}");
            assert_eq!(same(Prefix::network), network, "{one} {other}");
        }
    }
}
