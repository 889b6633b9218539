//! Which addresses an origin may have. Whoever holds a name chooses its origin, so this is what keeps them from reaching
//! through the gateway into the networks that it stands in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Networks of IPv4 that are not the public internet (the special-purpose registry of RFC 6890, multicast, and what is
/// reserved): the network and the bits of its prefix.
const SPECIAL_V4: [(Ipv4Addr, u32); 16] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 31, 196, 0), 24),
    (Ipv4Addr::new(192, 52, 193, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 3),
];

/// The only part of IPv6 that is given out for the public internet. Everything else is refused, loopback, link-local,
/// unique-local, multicast, and what carries an IPv4 address (mapped, compatible, NAT64) among it.
const GLOBAL_V6: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// Networks inside of it that are not the public internet: protocol assignments with Teredo, documentation, 6to4.
const SPECIAL_V6: [(Ipv6Addr, u32); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// Whether a connection may be opened: the address is public and its port one that HTTP has, or the operator allows
/// exactly this.
pub(super) fn may_connect(address: SocketAddr, allow: &[SocketAddr]) -> bool {
    allow.contains(&address) || (is_public(address.ip()) && has_http(address.port()))
}

fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !SPECIAL_V4.iter().any(|(network, bits)| {
            let shift = 32 - bits;
            u32::from(ip) >> shift == u32::from(*network) >> shift
        }),
        IpAddr::V6(ip) => {
            let within = |(network, bits): &(Ipv6Addr, u32)| {
                let shift = 128 - bits;
                u128::from(ip) >> shift == u128::from(*network) >> shift
            };
            within(&GLOBAL_V6) && !SPECIAL_V6.iter().any(within)
        }
    }
}

/// The low ports belong to other protocols, some of which take an HTTP request for something else.
fn has_http(port: u16) -> bool {
    matches!(port, 80 | 443 | 1024..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_addresses_may_be_connected_to() {
        for address in [
            "1.1.1.1:443",
            "8.8.8.8:80",
            "11.0.0.1:8080",
            "100.63.255.255:80",
            "100.128.0.0:80",
            "172.15.255.255:80",
            "172.32.0.0:80",
            "223.255.255.255:80",
            "[2606:4700::1111]:443",
            "[2a00:1450::1]:80",
        ] {
            assert!(may_connect(address.parse().unwrap(), &[]), "{address}");
        }
    }

    #[test]
    fn all_others_are_refused() {
        for address in [
            "0.0.0.0:80",
            "10.1.2.3:80",
            "100.64.0.1:80",
            "127.0.0.1:80",
            "127.255.255.254:80",
            "169.254.169.254:80",
            "172.16.0.1:80",
            "172.31.255.255:80",
            "192.0.0.192:80",
            "192.168.1.1:443",
            "198.18.0.1:80",
            "224.0.0.1:80",
            "240.0.0.1:80",
            "255.255.255.255:80",
            "[::]:80",
            "[::1]:80",
            "[::127.0.0.1]:80",
            "[::ffff:127.0.0.1]:80",
            "[::ffff:10.0.0.1]:80",
            "[::ffff:8.8.8.8]:80",
            "[64:ff9b::7f00:1]:80",
            "[64:ff9b:1::1]:80",
            "[100::1]:80",
            "[2001::1]:80",
            "[2001:db8::1]:80",
            "[2002:7f00:1::1]:80",
            "[3fff::1]:80",
            "[fc00::1]:80",
            "[fd00:ec2::254]:80",
            "[fe80::1]:80",
            "[fec0::1]:80",
            "[ff02::1]:80",
            "8.8.8.8:25",
            "8.8.8.8:22",
            "8.8.8.8:0",
        ] {
            assert!(!may_connect(address.parse().unwrap(), &[]), "{address}");
        }
    }

    #[test]
    fn an_operator_allows_one_address_and_port() {
        let allow = ["127.0.0.1:8081".parse().unwrap()];
        assert!(may_connect("127.0.0.1:8081".parse().unwrap(), &allow));
        assert!(!may_connect("127.0.0.1:8082".parse().unwrap(), &allow));
        assert!(!may_connect("[::ffff:127.0.0.1]:8081".parse().unwrap(), &allow));
    }
}
