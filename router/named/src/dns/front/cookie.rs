//! Cookies (RFC 7873), in the form that all servers share (RFC 9018): who shows one that we gave has the address that it
//! claims, and is not counted by the rate limit.

use std::hash::Hasher as _;
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use siphasher::sip::SipHasher24;

use super::asked::COOKIE_OPTION;

/// A client's part. Bytes.
const CLIENT_BYTES: usize = 8;
/// Our part: version, reserved, time, hash (RFC 9018, section 4). Bytes.
const SERVER_BYTES: usize = 16;
/// The option in a reply, with its head. Bytes.
pub const OPTION_BYTES: usize = 4 + CLIENT_BYTES + SERVER_BYTES;
/// What servers may give is of 8 to 32 bytes (RFC 7873, section 4.2).
const SERVERS_BYTES: std::ops::RangeInclusive<usize> = 8..=32;
/// Of which the first part: version, reserved, time. Bytes.
const HEAD_BYTES: usize = 8;
const VERSION: u8 = 1;

/// A cookie is good for an hour, and for five minutes before its time, as clocks differ (RFC 9018, section 4.3). Seconds.
const GOOD_FOR: u32 = 3_600;
const GOOD_BEFORE: u32 = 300;
/// From this age on a new one is given. Seconds.
const RENEWED_AFTER: u32 = 1_800;

/// What a client showed: its own part, and what a server gave it before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientCookie<'a> {
    client: [u8; CLIENT_BYTES],
    server: &'a [u8],
}

/// A secret of 16 bytes.
pub type Secret = [u8; 16];

/// Makes and checks cookies. A secret is used for a day, and known for a day more.
#[derive(Debug)]
pub struct Cookies(ArcSwap<Secrets>);

#[derive(Clone, Copy)]
struct Secrets {
    now: Secret,
    before: Secret,
}

/// Secrets are not for logs.
impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets")
    }
}

impl<'a> ClientCookie<'a> {
    /// Reads the option's data; `None` if its length is none that a cookie has (RFC 7873, section 5.2.2: FORMERR).
    #[must_use]
    pub fn read(data: &'a [u8]) -> Option<Self> {
        let (client, server) = data.split_first_chunk::<CLIENT_BYTES>()?;
        (server.is_empty() || SERVERS_BYTES.contains(&server.len())).then_some(Self {
            client: *client,
            server,
        })
    }
}

impl Cookies {
    /// With a first secret and one that nobody has seen.
    #[must_use]
    pub fn new(secret: Secret, before: Secret) -> Self {
        Self(ArcSwap::from_pointee(Secrets { now: secret, before }))
    }

    /// From now on `secret` is used; the last one stays good, the one before it does not.
    pub fn rotate(&self, secret: Secret) {
        let before = self.0.load().now;
        self.0.store(Arc::new(Secrets { now: secret, before }));
    }

    /// Whether the client showed what we gave to this address, not too long before `now` (seconds since 1970).
    #[must_use]
    pub fn is_good(&self, shown: &ClientCookie<'_>, client: IpAddr, now: u32) -> bool {
        let secrets = self.0.load();
        is_of(shown, client, now, &secrets.now) || is_of(shown, client, now, &secrets.before)
    }

    /// The option for the reply. A good cookie of the present secret is given back until it is half an hour old.
    #[must_use]
    pub fn option(&self, shown: &ClientCookie<'_>, client: IpAddr, now: u32) -> [u8; OPTION_BYTES] {
        let secrets = self.0.load();
        let kept = issued(shown.server)
            .filter(|issued| now.wrapping_sub(*issued) < RENEWED_AFTER)
            .filter(|_| is_of(shown, client, now, &secrets.now));
        let server = server_cookie(&shown.client, client, head(kept.unwrap_or(now)), &secrets.now);
        let mut option = [0; OPTION_BYTES];
        option[..2].copy_from_slice(&COOKIE_OPTION.to_be_bytes());
        option[3] = (CLIENT_BYTES + SERVER_BYTES) as u8;
        option[4..4 + CLIENT_BYTES].copy_from_slice(&shown.client);
        option[4 + CLIENT_BYTES..].copy_from_slice(&server);
        option
    }
}

/// When a cookie was given, if it has our form.
fn issued(server: &[u8]) -> Option<u32> {
    match *server.first_chunk::<SERVER_BYTES>()? {
        [VERSION, _, _, _, a, b, c, d, ..] if server.len() == SERVER_BYTES => {
            Some(u32::from_be_bytes([a, b, c, d]))
        }
        _ => None,
    }
}

/// What comes before the hash. Others may write what they like into the reserved bytes; we write zeros.
fn head(issued: u32) -> [u8; HEAD_BYTES] {
    let [a, b, c, d] = issued.to_be_bytes();
    [VERSION, 0, 0, 0, a, b, c, d]
}

fn is_of(shown: &ClientCookie<'_>, client: IpAddr, now: u32, secret: &Secret) -> bool {
    let Some(issued) = issued(shown.server) else {
        return false;
    };
    // Times are serial numbers (RFC 1982): they wrap.
    let in_time = now.wrapping_sub(issued) <= GOOD_FOR || issued.wrapping_sub(now) <= GOOD_BEFORE;
    let mut head = [0; HEAD_BYTES];
    head.copy_from_slice(&shown.server[..HEAD_BYTES]);
    let expected = server_cookie(&shown.client, client, head, secret);
    // All bytes are looked at, so that the time tells nothing of them.
    let difference = expected
        .iter()
        .zip(shown.server)
        .fold(0, |sum, (a, b)| sum | (a ^ b));
    in_time && difference == 0
}

/// RFC 9018, section 4.4: SipHash-2-4 of the client's part, version, reserved, time and the client's address.
fn server_cookie(
    client_cookie: &[u8; CLIENT_BYTES],
    client: IpAddr,
    head: [u8; HEAD_BYTES],
    secret: &Secret,
) -> [u8; SERVER_BYTES] {
    let mut server = [0; SERVER_BYTES];
    server[..HEAD_BYTES].copy_from_slice(&head);
    let mut hasher = SipHasher24::new_with_key(secret);
    hasher.write(client_cookie);
    hasher.write(&head);
    match client.to_canonical() {
        IpAddr::V4(v4) => hasher.write(&v4.octets()),
        IpAddr::V6(v6) => hasher.write(&v6.octets()),
    }
    server[HEAD_BYTES..].copy_from_slice(&hasher.finish().to_le_bytes());
    server
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        hex::decode(hex).expect("hex")
    }

    /// The examples of RFC 9018, appendix A: client's part, address, secret, what a server gave. The reserved bytes of the
    /// second are not zero, and are hashed as they are.
    #[test]
    fn the_examples_of_the_rfc() {
        let secret = "e5e973e5a6b2a43f48e7dc849e37bfcf";
        for (client, address, secret, expected) in [
            (
                "2464c4abcf10c957",
                "198.51.100.100",
                secret,
                "010000005cf79f111f8130c3eee29480",
            ),
            (
                "fc93fc62807ddb86",
                "203.0.113.203",
                secret,
                "01abcdef5cf78f71a314227b6679ebf5",
            ),
            (
                "22681ab97d52c298",
                "2001:db8:220:1:59de:d0f4:8769:82b8",
                "dd3bdf9344b678b185a6f5cb60fca715",
                "010000005cf7c57926556bd0934c72f8",
            ),
            (
                "22681ab97d52c298",
                "2001:db8:220:1:59de:d0f4:8769:82b8",
                "445536bcd2513298075a5d379663c962",
                "010000005cf7c609a6bb79d16625507a",
            ),
        ] {
            let cookie = [bytes(client), bytes(expected)].concat();
            let shown = ClientCookie::read(&cookie).expect("a cookie");
            let secret: Secret = bytes(secret).try_into().expect("16 bytes");
            let address = address.parse().expect("an address");
            let given = issued(shown.server).expect("our form");
            assert!(is_of(&shown, address, given, &secret), "{expected}");
            assert!(!is_of(&shown, address, given, &[0; 16]), "{expected}");
        }
    }

    const NOW: u32 = 1_800_000_000;

    fn given(cookies: &Cookies, client: [u8; 8], address: IpAddr, now: u32) -> Vec<u8> {
        let first = ClientCookie { client, server: &[] };
        cookies.option(&first, address, now)[4..].to_vec()
    }

    #[test]
    fn good_for_one_address_for_an_hour_and_two_secrets() {
        let cookies = Cookies::new([1; 16], [2; 16]);
        let (here, there): (IpAddr, IpAddr) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        let cookie = given(&cookies, [7; 8], here, NOW);
        let shown = ClientCookie::read(&cookie).expect("a cookie");
        for (address, now, good) in [
            (here, NOW, true),
            (there, NOW, false),
            (here, NOW + GOOD_FOR, true),
            (here, NOW + GOOD_FOR + 1, false),
            (here, NOW - GOOD_BEFORE, true),
            (here, NOW - GOOD_BEFORE - 1, false),
        ] {
            assert_eq!(cookies.is_good(&shown, address, now), good, "{address} {now}");
        }
        cookies.rotate([3; 16]);
        assert!(cookies.is_good(&shown, here, NOW), "the last secret");
        assert_ne!(
            cookies.option(&shown, here, NOW)[4..],
            cookie,
            "a new one is given"
        );
        cookies.rotate([4; 16]);
        assert!(!cookies.is_good(&shown, here, NOW), "the one before");
    }

    #[test]
    fn a_young_cookie_is_given_back() {
        let cookies = Cookies::new([1; 16], [2; 16]);
        let here: IpAddr = [192, 0, 2, 1].into();
        let cookie = given(&cookies, [7; 8], here, NOW);
        let shown = ClientCookie::read(&cookie).expect("a cookie");
        assert_eq!(cookies.option(&shown, here, NOW + RENEWED_AFTER - 1)[4..], cookie);
        assert_ne!(cookies.option(&shown, here, NOW + RENEWED_AFTER)[4..], cookie);
        assert_eq!(
            given(
                &cookies,
                [7; 8],
                "::ffff:192.0.2.1".parse().expect("an address"),
                NOW
            ),
            cookie
        );
    }

    #[test]
    fn lengths() {
        for length in 0..64 {
            let good = length == 8 || (16..=40).contains(&length);
            assert_eq!(ClientCookie::read(&vec![0; length]).is_some(), good, "{length}");
        }
    }
}
