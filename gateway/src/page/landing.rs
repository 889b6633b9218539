//! The page at `/` of the gateway: the front door of the node. What this is, how to reach content, how to publish some.

use super::{POLICY, TAIL, brand, head};
use crate::ask::open;
use crate::config::Card;
use crate::escape::html;

/// What the page says of the node.
pub(crate) struct Door<'a> {
    /// `http` or `https`, as the reader came.
    pub scheme: &'a str,
    /// The gateway's host and port, below which sites have host names.
    pub host: &'a str,
    /// The top-level name of the chain.
    pub tld: &'a str,
    /// The newest block that the node has.
    pub height: u64,
    /// What the node says of itself.
    pub card: &'a Card,
}

/// The page.
pub(crate) fn render(door: &Door<'_>) -> String {
    let (scheme, host, tld) = (door.scheme, html(door.host), html(door.tld));
    let mut page = head("DDN gateway");
    page.push_str(&brand(Some("/")));
    page.push_str(&format!(
        "<main>\n<h1>Sites that any node can serve, and nobody can forge</h1>\n\
         <p class=\"lead\">This node is a door to DDN. What you open here is found by its name, fetched from whoever is near, \
         and checked block by block against its address before you see it.</p>\n\
         <form class=\"card\" action=\"{}\" method=\"get\"><label>Open a name, a CID or a link\
         <input name=\"address\" required placeholder=\"alice.{tld}\" autocomplete=\"off\" autocapitalize=\"off\" \
         spellcheck=\"false\"></label><button>Open</button></form>\n{}",
        open::PATH,
        facts(door)
    ));
    section(&mut page, "Addresses", &addresses(scheme, &host, &tld));
    page.push_str(&format!(
        "<h2>Publish your own</h2>\n<p>A folder becomes a site with one command, on your own node:</p>\n\
         <pre class=\"card\"><code>ddn publish ./my-site --name my-site.{tld}</code></pre>\n\
         <p>It is then at <code>{scheme}://my-site.{tld}.{host}/</code> of every node of this chain, and stays yours: only your \
         key can point the name elsewhere.</p>\n"
    ));
    section(&mut page, "Check what you get", &checks(scheme, &host, &tld));
    page.push_str(
        "<p>The paths follow the <a href=\"https://specs.ipfs.tech/http-gateways/\">specifications of IPFS gateways</a>, so IPFS \
         clients work here as they are.</p>\n</main>\n",
    );
    page.push_str(&format!(
        "<footer><a href=\"/.well-known/ddn/node\">About this node</a> · {}</footer>\n{TAIL}",
        html(&door.card.software)
    ));
    page
}

/// What the page may load, and where its form may lead: to sites below this host.
pub(crate) fn policy(host: &str) -> String {
    format!("{POLICY} *.{host}")
}

fn facts(door: &Door<'_>) -> String {
    let mut facts = String::from("<ul class=\"facts\">\n");
    if let Some(chain) = &door.card.chain_id {
        facts.push_str(&format!("<li>Chain <code>{}</code></li>\n", html(chain)));
    }
    facts.push_str(&format!(
        "<li>Block {}</li>\n<li>Names end with <code>.{}</code></li>\n",
        door.height,
        html(door.tld)
    ));
    if let Some(node) = &door.card.node_id {
        let node = html(node);
        let short: String = node.chars().take(10).collect();
        facts.push_str(&format!("<li>Node <code title=\"{node}\">{short}…</code></li>\n"));
    }
    facts + "</ul>\n"
}

fn section(page: &mut String, title: &str, rows: &[(String, &str)]) {
    page.push_str(&format!("<h2>{title}</h2>\n<dl class=\"card\">\n"));
    for (term, meaning) in rows {
        page.push_str(&format!(
            "<div><dt><code>{term}</code></dt><dd>{meaning}</dd></div>\n"
        ));
    }
    page.push_str("</dl>\n");
}

fn addresses(scheme: &str, host: &str, tld: &str) -> [(String, &'static str); 5] {
    [
        (
            format!("{scheme}://NAME.{tld}.{host}/"),
            "the site of a name; what its owner points it to now",
        ),
        (
            format!("{scheme}://CID.ipfs.{host}/path"),
            "content by its CID, which never changes, as a site of its own",
        ),
        (
            format!("{scheme}://{host}/ipns/NAME.{tld}/path"),
            "the content of a name, by path",
        ),
        (
            format!("{scheme}://{host}/ipfs/CID/path"),
            "content by its CID, by path",
        ),
        (
            format!("http://NAME.{tld}/"),
            "the site of a name, in a browser that takes its proxy from /.well-known/ddn/proxy.pac of this gateway",
        ),
    ]
}

fn checks(scheme: &str, host: &str, tld: &str) -> [(String, &'static str); 5] {
    [
        (
            format!("ddn get NAME.{tld}"),
            "fetches it by another node of yours, which trusts this one with nothing",
        ),
        (
            format!("{scheme}://{host}/ipfs/CID/path?format=car"),
            "all blocks below the path, to verify for yourself; &amp;dag-scope=block or entity for fewer",
        ),
        (
            format!("{scheme}://{host}/ipfs/CID/path?format=raw"),
            "one block, byte for byte",
        ),
        (
            format!("{scheme}://{host}/.well-known/ddn/proof/NAME.{tld}"),
            "the proof of a name, from the genesis to its CID; ddn chain verify checks it",
        ),
        (
            "?download=true&amp;filename=NAME".to_owned(),
            "save instead of show, and under which name",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(host: &str) -> String {
        render(&Door {
            scheme: "http",
            host,
            tld: "ddn",
            height: 7,
            card: &Card {
                chain_id: Some("<chain>".into()),
                ..Card::default()
            },
        })
    }

    #[test]
    fn names_the_addresses_and_loads_nothing() {
        let shown = page("localhost:8080");
        for part in [
            "http://NAME.ddn.localhost:8080/",
            "Block 7",
            "&lt;chain&gt;",
            "name=\"address\"",
        ] {
            assert!(shown.contains(part), "{part}");
        }
        assert!(!shown.contains("src=") && !shown.contains("<script"));
        assert!(!page("<b>").contains("<b>"));
        assert!(policy("localhost:80").ends_with("form-action 'self' *.localhost:80"));
    }
}
