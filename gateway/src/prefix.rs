//! Who counts as one client: the network that one party commonly has to itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network: the /24 of an IPv4 address, the /56 of an IPv6 address. Smaller ones are had in plenty by one party,
/// larger ones are shared by many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Prefix {
    /// Its first 24 bits.
    V4(u32),
    /// Its first 56 bits.
    V6(u64),
}

impl Prefix {
    /// The network of an address. An IPv4 address in IPv6 form is that IPv4 address (RFC 4291, section 2.5.5.2).
    pub(crate) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(Ipv4Addr::to_bits(address) >> 8),
            IpAddr::V6(address) => Self::V6((Ipv6Addr::to_bits(address) >> 72) as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        for (one, other, same) in [
            ("192.0.2.1", "192.0.2.255", true),
            ("192.0.2.1", "192.0.3.1", false),
            ("192.0.2.1", "::ffff:192.0.2.9", true),
            ("2001:db8:0:1200::1", "2001:db8:0:12ff::2", true),
            ("2001:db8:0:1200::1", "2001:db8:0:1300::1", false),
            ("::1", "127.0.0.1", false),
        ] {
            let of = |text: &str| Prefix::of(text.parse().expect("an address"));
            assert_eq!(of(one) == of(other), same, "{one} {other}");
        }
    }
}
