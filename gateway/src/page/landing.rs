//! The page at `/` of the gateway: what this is, and how to reach content.

use super::{TAIL, head};
use crate::escape::html;

/// The page. `host` is the gateway's own host and port, `tld` that of the names here.
pub(crate) fn render(host: &str, tld: &str, software: &str) -> String {
    let (host, tld) = (html(host), html(tld));
    let mut page = head("DDN gateway");
    page.push_str(
        "<main>\n<h1>DDN gateway</h1>\n\
         <p>This node serves sites and files that are addressed by what they are, not by where they lie. Each block is \
         checked against its address when it arrives, so any node can serve it to you.</p>\n\
         <h2>Addresses</h2>\n<dl>\n",
    );
    for (address, meaning) in addresses(&host, &tld) {
        page.push_str(&format!(
            "<div><dt><code>{address}</code></dt><dd>{meaning}</dd></div>\n"
        ));
    }
    page.push_str(
        "</dl>\n<h2>Forms</h2>\n<dl>\n\
         <div><dt><code>?format=raw</code></dt><dd>one block, byte for byte</dd></div>\n\
         <div><dt><code>?format=car</code></dt><dd>all blocks below the path, to verify for yourself; \
         <code>&amp;dag-scope=block</code> or <code>entity</code> for fewer</dd></div>\n\
         <div><dt><code>?download=true</code>, <code>?filename=NAME</code></dt>\
         <dd>save instead of show, and under which name</dd></div>\n</dl>\n\
         <p>The paths follow the <a href=\"https://specs.ipfs.tech/http-gateways/path-gateway/\">path gateway</a> and \
         <a href=\"https://specs.ipfs.tech/http-gateways/trustless-gateway/\">trustless gateway</a> specifications.</p>\n",
    );
    page.push_str(&format!(
        "<footer><a href=\"/.well-known/ddn/node\">About this node</a> · {}</footer>\n</main>\n{TAIL}",
        html(software)
    ));
    page
}

fn addresses(host: &str, tld: &str) -> [(String, &'static str); 4] {
    [
        (
            format!("http://NAME.{tld}.{host}/"),
            "the site of a name; what its owner points it to now",
        ),
        (format!("http://{host}/ipns/NAME.{tld}/path"), "the same, by path"),
        (
            format!("http://{host}/ipfs/CID/path"),
            "content by its CID, which never changes",
        ),
        (
            format!("http://CID.ipfs.{host}/path"),
            "the same, as a site with an origin of its own",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_addresses_and_loads_nothing() {
        let page = render("localhost:8080", "ddn", "ddn/0");
        assert!(page.contains("http://NAME.ddn.localhost:8080/"));
        assert!(!page.contains("src=") && !page.contains("<script"));
        assert!(!render("<b>", "ddn", "ddn").contains("<b>"));
    }
}
