//! URLs at the node's gateway, as a browser on this machine opens them.

use std::net::SocketAddr;

use cid::{Cid, Version};

/// Content by CID: where the gateway serves it, so that nobody is redirected. That is an origin of its own below
/// `localhost`, and a path where the gateway is not on loopback; there it has no slash at the end, so that it fits files too.
pub fn of_content(gateway: &str, cid: &str) -> String {
    let host = host(gateway);
    match label(cid) {
        Some(label) if host.starts_with("localhost:") => format!("http://{label}.ipfs.{host}/"),
        _ => format!("http://{host}/ipfs/{cid}"),
    }
}

/// A CID as a part of a host name, which knows no capitals.
fn label(cid: &str) -> Option<String> {
    let cid: Cid = cid.parse().ok()?;
    let cid = match cid.version() {
        Version::V0 => Cid::new_v1(cid.codec(), *cid.hash()),
        Version::V1 => cid,
    };
    Some(cid.to_string()).filter(|label| label.len() <= LABEL_BYTES_MAX)
}

/// The longest part of a host name (RFC 1035, section 2.3.4).
const LABEL_BYTES_MAX: usize = 63;

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

    const V0: &str = "QmcRD4wkPPi6dig81r5sLj9Zm1gDCL4zgpEj9CfuRrGbzF";
    const V1: &str = "bafybeigrf2dwtpjkiovnigysyto3d55opf6qkdikx6d65onrqnfzwgdkfa";
    const SHA512: &str = "bafkrgqhhyivzstcz3hhswshfjgy6ertgmnqeleynhwt4dlfsthi4hn7zgh4uvlsb5xncykzapi3ocd4lzogukir6ksdy6wzrnz6ohnv4aglcs";

    #[test]
    fn sites_have_an_origin_of_their_own_on_loopback() {
        for (gateway, name, content) in [
            (
                "127.0.0.1:8080",
                "http://a.ddn.localhost:8080/",
                format!("http://{V1}.ipfs.localhost:8080/"),
            ),
            (
                "0.0.0.0:80",
                "http://a.ddn.localhost:80/",
                format!("http://{V1}.ipfs.localhost:80/"),
            ),
            (
                "[::1]:1",
                "http://a.ddn.localhost:1/",
                format!("http://{V1}.ipfs.localhost:1/"),
            ),
            (
                "192.0.2.1:80",
                "http://192.0.2.1:80/ipns/a.ddn/",
                format!("http://192.0.2.1:80/ipfs/{V1}"),
            ),
        ] {
            assert_eq!(
                (of_name(gateway, "a.ddn"), of_content(gateway, V1)),
                (name.into(), content)
            );
        }
    }

    #[test]
    fn what_is_no_host_name_has_a_path() {
        let by_host = format!("http://{V1}.ipfs.localhost:1/");
        assert_eq!(of_content("127.0.0.1:1", V0), by_host);
        for cid in [SHA512, "nonsense"] {
            assert_eq!(
                of_content("127.0.0.1:1", cid),
                format!("http://localhost:1/ipfs/{cid}")
            );
        }
    }
}
