//! The client behind proxies that are trusted to say who it is.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::header::HeaderName;

use nearest::Network;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Who asks: the other end of the connection, or, if that is one of `proxies`, whom it names. Each proxy appends the
/// address that it saw, so only the part of the list that was written by trusted ones counts: the last address that is
/// none of them. What is before it anybody could have written.
pub(crate) fn client(peer: IpAddr, headers: &HeaderMap, proxies: &[Network]) -> IpAddr {
    let is_proxy = |address: IpAddr| proxies.iter().any(|network| network.contains(address));
    let mut client = peer.to_canonical();
    let mut lists = headers.get_all(X_FORWARDED_FOR).iter().rev();
    let named = std::iter::from_fn(|| lists.next().map(|list| list.to_str().unwrap_or("")));
    for entry in named.flat_map(|list| list.rsplit(',')) {
        if !is_proxy(client) {
            break;
        }
        match address(entry.trim()) {
            Some(address) => client = address.to_canonical(),
            // The list says nothing more that could be believed.
            None => break,
        }
    }
    client
}

/// An address as proxies write it: alone, with a port, or in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let plain = || text.parse().ok();
    let with_port = || text.parse().ok().map(|address: SocketAddr| address.ip());
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    plain().or_else(with_port).or_else(bracketed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn of(peer: &str, lists: &[&str]) -> String {
        let proxies = ["127.0.0.0/8", "10.0.0.0/8", "::1"].map(|network| network.parse().unwrap());
        let mut headers = HeaderMap::new();
        for list in lists {
            headers.append(X_FORWARDED_FOR, HeaderValue::from_str(list).unwrap());
        }
        client(peer.parse().unwrap(), &headers, &proxies).to_string()
    }

    #[test]
    fn only_what_trusted_proxies_wrote_counts() {
        for (peer, lists, expected) in [
            ("203.0.113.9", &[][..], "203.0.113.9"),
            ("203.0.113.9", &["192.0.2.1"], "203.0.113.9"),
            ("127.0.0.1", &["192.0.2.1"], "192.0.2.1"),
            ("::ffff:127.0.0.1", &["192.0.2.1"], "192.0.2.1"),
            ("127.0.0.1", &["6.6.6.6, 192.0.2.1"], "192.0.2.1"),
            ("127.0.0.1", &["6.6.6.6, 192.0.2.1, 10.1.1.1"], "192.0.2.1"),
            ("127.0.0.1", &["6.6.6.6, 192.0.2.1", "10.1.1.1"], "192.0.2.1"),
            ("127.0.0.1", &["192.0.2.1:4711"], "192.0.2.1"),
            ("::1", &["[2001:db8::1]:443"], "2001:db8::1"),
            ("::1", &["[2001:db8::1]"], "2001:db8::1"),
            ("127.0.0.1", &["10.0.0.1"], "10.0.0.1"),
            ("127.0.0.1", &["unknown"], "127.0.0.1"),
            ("127.0.0.1", &["192.0.2.1, nonsense, 10.0.0.1"], "10.0.0.1"),
            ("127.0.0.1", &[""], "127.0.0.1"),
        ] {
            assert_eq!(of(peer, lists), expected, "{peer} {lists:?}");
        }
    }

    proptest! {
        #[test]
        fn any_list_is_safe(list in "[ -~]{0,60}") {
            prop_assert_eq!(of("203.0.113.9", &[&list]), "203.0.113.9");
            of("127.0.0.1", &[&list]);
        }
    }
}
