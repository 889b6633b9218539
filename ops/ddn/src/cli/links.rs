//! URLs at the node's gateway, as a browser on this machine opens them.

use std::net::SocketAddr;

/// Content by CID. Without a slash at the end, so that it fits files too; folders are redirected.
pub fn of_content(gateway: &str, cid: &str) -> String {
    format!("http://{}/ipfs/{cid}", host(gateway))
}

/// A name: an origin of its own below `localhost`, which browsers resolve by themselves; a path where the gateway is
/// not on loopback.
pub fn of_name(gateway: &str, name: &str) -> String {
    let host = host(gateway);
    match host.starts_with("localhost:") {
        true => format!("http://{name}.{host}/"),
        false => format!("http://{host}/ipns/{name}/"),
    }
}

/// Where the gateway's own pages are.
pub fn of_gateway(gateway: &str) -> String {
    format!("http://{}/", host(gateway))
}

fn host(gateway: &str) -> String {
    match gateway.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() || address.ip().is_unspecified() => {
            format!("localhost:{}", address.port())
        }
        _ => gateway.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_an_origin_of_their_own_on_loopback() {
        for (gateway, name, content) in [
            (
                "127.0.0.1:8080",
                "http://a.ddn.localhost:8080/",
                "http://localhost:8080/ipfs/bafy",
            ),
            (
                "0.0.0.0:80",
                "http://a.ddn.localhost:80/",
                "http://localhost:80/ipfs/bafy",
            ),
            (
                "[::1]:1",
                "http://a.ddn.localhost:1/",
                "http://localhost:1/ipfs/bafy",
            ),
            (
                "192.0.2.1:80",
                "http://192.0.2.1:80/ipns/a.ddn/",
                "http://192.0.2.1:80/ipfs/bafy",
            ),
        ] {
            assert_eq!(
                (of_name(gateway, "a.ddn"), of_content(gateway, "bafy")),
                (name.into(), content.into())
            );
        }
    }
}
