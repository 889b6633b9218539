//! The proxy auto-configuration file: a browser that is told its URL opens `http://alice.ddn/` through this gateway, though
//! no DNS knows the name, and everything else as before.
//!
//! The gateway is a proxy for names of its own and for nothing else, so the file sends nothing else to it. Encrypted URLs
//! are not sent either: nobody certifies names that the public DNS does not have.

use named::dap::Tlds;

/// What browsers call the format.
pub(crate) const MEDIA: &str = "application/x-ns-proxy-autoconfig";

/// The file for names below `tlds`, with the gateway at `authority`: host and port as the client wrote them, which have
/// been parsed. `secure` if the client speaks TLS with it.
pub(crate) fn script(tlds: &Tlds, authority: &str, secure: bool) -> String {
    let (kind, port) = if secure { ("HTTPS", 443) } else { ("PROXY", 80) };
    let after_host = authority.rsplit_once(']').map_or(authority, |(_, after)| after);
    let port = match after_host.contains(':') {
        true => String::new(),
        false => format!(":{port}"),
    };
    let ends: Vec<String> = tlds.all().map(|tld| format!(".{tld}")).collect();
    let is_ours: Vec<String> = ends
        .iter()
        .map(|end| format!("dnsDomainIs(host, \"{end}\")"))
        .collect();
    let (ends, is_ours) = (ends.join(" or "), is_ours.join(" || "));
    format!(
        "// Names that end with {ends} are opened by this node, all others as before.\n\
         function FindProxyForURL(url, host) {{\n  \
         var plain = url.substring(0, 5) == \"http:\";\n  \
         return plain && ({is_ours}) ? \"{kind} {authority}{port}\" : \"DIRECT\";\n\
         }}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateway_is_named_as_the_client_knows_it() {
        for (authority, secure, proxy) in [
            ("127.0.0.1:8080", false, "\"PROXY 127.0.0.1:8080\""),
            ("gw.example", false, "\"PROXY gw.example:80\""),
            ("gw.example", true, "\"HTTPS gw.example:443\""),
            ("[::1]", false, "\"PROXY [::1]:80\""),
            ("[::1]:8080", false, "\"PROXY [::1]:8080\""),
        ] {
            let script = script(&Tlds::new("ddn", vec!["mmt".into()]), authority, secure);
            assert!(script.contains(proxy), "{script}");
            assert!(script.contains("(dnsDomainIs(host, \".ddn\") || dnsDomainIs(host, \".mmt\")) ?"));
        }
    }
}
