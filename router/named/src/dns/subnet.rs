//! Client subnets (RFC 7871): for whom a resolver asks, and how much of that an answer depends on.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::rdata::opt::ClientSubnet;

/// So much of an IPv4 address is looked at: what a network is announced by, and no more of a person than that.
const BITS_V4: u8 = 24;
/// So much of an IPv6 address: one site (RFC 7871, section 11.1).
const BITS_V6: u8 = 56;

/// The network of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
    named: bool,
}

/// A subnet that a query names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet {
    address: IpAddr,
    bits: u8,
}

/// The option does not follow RFC 7871.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl Network {
    /// Where a packet came from: the network of a resolver, or of the client itself.
    #[must_use]
    pub fn of_source(source: IpAddr) -> Self {
        let source = source.to_canonical();
        Self::cut(source, bits_max(source), false)
    }

    /// The address with zeros after its bits.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// How many bits are known: at most 24 of IPv4, 56 of IPv6.
    #[must_use]
    pub fn bits(&self) -> u8 {
        self.bits
    }

    /// Whether the query named it; else it is where the packet came from.
    #[must_use]
    pub fn is_named(&self) -> bool {
        self.named
    }

    fn cut(address: IpAddr, bits: u8, named: bool) -> Self {
        Self {
            address: masked(address, bits),
            bits,
            named,
        }
    }
}

impl Subnet {
    /// Reads the option's data strictly (sections 6 and 7.1.2): a family that we know, no more bits than it has, a scope
    /// of 0, exactly the bytes for the bits, and zeros behind these.
    ///
    /// # Errors
    /// [`Malformed`]: the query gets FORMERR.
    pub fn read(data: &[u8]) -> Result<Self, Malformed> {
        let [0, family, bits, 0, rest @ ..] = data else {
            return Err(Malformed);
        };
        let octets = usize::from(bits.div_ceil(8));
        let address = match family {
            1 if *bits <= 32 => IpAddr::from(Ipv4Addr::from(padded::<4>(rest, octets)?)),
            2 if *bits <= 128 => IpAddr::from(Ipv6Addr::from(padded::<16>(rest, octets)?)),
            _ => return Err(Malformed),
        };
        let is_clean = masked(address, *bits) == address;
        let subnet = Self { address, bits: *bits };
        is_clean.then_some(subnet).ok_or(Malformed)
    }

    /// The network to answer for; none if the client does not want to be told apart (section 7.1.2).
    #[must_use]
    pub fn network(&self) -> Option<Network> {
        let bits = self.bits.min(bits_max(self.address));
        (self.bits > 0).then(|| Network::cut(self.address, bits, true))
    }

    /// The option for a reply that depends on `scope` bits.
    #[must_use]
    pub fn answer(&self, scope: u8) -> ClientSubnet {
        let scope = if self.bits == 0 { 0 } else { scope };
        ClientSubnet::new(self.address, self.bits, scope)
    }
}

fn bits_max(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => BITS_V4,
        IpAddr::V6(_) => BITS_V6,
    }
}

fn padded<const N: usize>(bytes: &[u8], length: usize) -> Result<[u8; N], Malformed> {
    let mut octets = [0; N];
    let known = octets.get_mut(..length).ok_or(Malformed)?;
    if bytes.len() != length {
        return Err(Malformed);
    }
    known.copy_from_slice(bytes);
    Ok(octets)
}

fn masked(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            Ipv4Addr::from_bits(v4.to_bits() & mask).into()
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            Ipv6Addr::from_bits(v6.to_bits() & mask).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn network(data: &[u8]) -> Option<(String, u8)> {
        let network = Subnet::read(data).expect("well-formed").network()?;
        Some((network.address().to_string(), network.bits()))
    }

    #[test]
    fn good_options() {
        let v6 = [0, 2, 48, 0, 0x20, 1, 0xd, 0xb8, 0, 9];
        for (data, expected) in [
            (&[0, 1, 24, 0, 203, 0, 113][..], Some(("203.0.113.0", 24))),
            (&[0, 1, 32, 0, 203, 0, 113, 9], Some(("203.0.113.0", 24))),
            (&[0, 1, 20, 0, 203, 0, 112], Some(("203.0.112.0", 20))),
            (&[0, 1, 0, 0], None),
            (&v6, Some(("2001:db8:9::", 48))),
            (&[0, 2, 0, 0], None),
        ] {
            let expected = expected.map(|(text, bits)| (text.to_owned(), bits));
            assert_eq!(network(data), expected, "{data:?}");
        }
    }

    #[test]
    fn bad_options() {
        for data in [
            &[][..],
            &[0, 1, 24],
            &[0, 0, 0, 0],
            &[0, 3, 8, 0, 1],
            &[1, 1, 8, 0, 1],
            // A scope in a question.
            &[0, 1, 24, 24, 203, 0, 113],
            // Too few and too many bytes.
            &[0, 1, 24, 0, 203, 0],
            &[0, 1, 24, 0, 203, 0, 113, 0],
            &[0, 1, 0, 0, 0],
            // Bits behind the prefix.
            &[0, 1, 20, 0, 203, 0, 113],
            &[0, 1, 33, 0, 1, 2, 3, 4, 5],
            &[
                0, 2, 129, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17,
            ],
        ] {
            assert_eq!(Subnet::read(data), Err(Malformed), "{data:?}");
        }
    }

    proptest! {
        /// Whatever is accepted goes back as it came, with the scope in its place.
        #[test]
        fn what_is_read_goes_back(data in proptest::collection::vec(any::<u8>(), 0..22), scope in 0u8..57) {
            if let Ok(subnet) = Subnet::read(&data) {
                let mut expected = data.clone();
                expected[3] = if data[2] == 0 { 0 } else { scope };
                prop_assert_eq!(Vec::<u8>::try_from(&subnet.answer(scope)).expect("bytes"), expected);
            }
        }
    }
}
