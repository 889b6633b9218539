//! The listing of a folder that has no index page. Its markup is what the clients of Kubo's gateway know.

use cid::Cid;

use super::{TAIL, head};
use crate::ask::address::{Address, Face};
use crate::escape::{html, path, query_value, segment};

/// Changes with the markup, so that caches let go of old listings; it is part of the entity tag.
pub(crate) const MARKUP: &str = "ddn1";

/// One row.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// The name of the entry.
    pub name: String,
    /// What it links to.
    pub cid: Cid,
    /// Bytes of the whole tree below.
    pub bytes: u64,
    /// Whether it looks like a folder (its block is not read to find out).
    pub folder: bool,
}

/// The page up to its first row.
pub(crate) fn top(address: &Address, cid: &Cid) -> String {
    let mut page = head(&format!("Index of {}", address.content_path()));
    page.push_str(SYMBOLS);
    page.push_str(&format!(
        "<main>\n<h1>Index of {}</h1>\n<div class=\"ipfs-hash\" translate=\"no\">{cid}</div>\n<table>\n",
        breadcrumbs(address)
    ));
    if !address.segments.is_empty() {
        page.push_str(&format!(
            "<tr><td class=\"icon\"></td><td class=\"name\"><a href=\"{}/..\">..</a></td>\
             <td class=\"hash\"></td><td class=\"size\"></td></tr>\n",
            html(&address.url())
        ));
    }
    page
}

/// One row of the page.
pub(crate) fn row(address: &Address, row: &Row) -> String {
    let symbol = if row.folder { "d" } else { "f" };
    format!(
        "<tr><td class=\"icon\"><svg aria-hidden=\"true\"><use href=\"#{symbol}\"/></svg></td>\
         <td class=\"name\"><a href=\"{}/{}\">{}</a></td><td class=\"hash\">{}</td><td class=\"size\">{}</td></tr>\n",
        html(&address.url()),
        html(&segment(&row.name)),
        html(&row.name),
        hash(address, row),
        size(row.bytes),
    )
}

/// What ends the page; `more` if the folder has entries beyond the listed ones.
pub(crate) fn bottom(entries: usize, more: bool) -> String {
    let noun = if entries == 1 { "entry" } else { "entries" };
    let rest = if more {
        " of more; the others are reached by their names"
    } else {
        ""
    };
    format!("</table>\n<footer>{entries} {noun}{rest}</footer>\n</main>\n{TAIL}")
}

/// The hash column: a link to the entry by its own CID.
fn hash(address: &Address, row: &Row) -> String {
    let Some(paths) = address.paths() else {
        // What explains CIDs is elsewhere, for whoever follows the link.
        return format!(
            "<a class=\"ipfs-hash\" translate=\"no\" href=\"https://cid.ipfs.tech/#{}\" target=\"_blank\" \
             rel=\"noreferrer noopener\">{}</a>",
            row.cid,
            short(&row.cid)
        );
    };
    // Escaped twice, as the others do it: the name arrives with one layer of escapes left.
    let name = query_value(&segment(&row.name));
    format!(
        "<a class=\"ipfs-hash\" translate=\"no\" href=\"{}/ipfs/{}?filename={name}\">{}</a>",
        html(&paths),
        row.cid,
        short(&row.cid)
    )
}

fn breadcrumbs(address: &Address) -> String {
    let root = html(&address.root_text);
    let (first, base) = match &address.face {
        Face::Path => (address.base(), address.base()),
        Face::Subdomain { gateway } => {
            let base = format!("//{gateway}/ipfs/{}", address.root_text);
            (base.clone(), base)
        }
        Face::Name { host, .. } => (format!("//{host}/"), format!("//{host}")),
    };
    let mut text = format!("/{}/<a href=\"{}\">{root}</a>", address.namespace(), html(&first));
    for (index, name) in address.segments.iter().enumerate() {
        let url = format!("{base}{}", path(&address.segments[..=index]));
        text.push_str(&format!("/<a href=\"{}\">{}</a>", html(&url), html(name)));
    }
    text
}

/// The first and the last four characters.
fn short(cid: &Cid) -> String {
    let text = cid.to_string();
    match text.len() {
        0..=8 => text,
        length => format!("{}…{}", &text[..4], &text[length - 4..]),
    }
}

fn size(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if value < 10.0 {
        format!("{value:.1} {unit}")
    } else {
        format!("{value:.0} {unit}")
    }
}

const SYMBOLS: &str = "<svg style=\"display:none\"><symbol id=\"d\" viewBox=\"0 0 16 16\"><path d=\"M1.5 12.5v-9h4l1.5 2h7.5v7z\"/>\
</symbol><symbol id=\"f\" viewBox=\"0 0 16 16\"><path d=\"M3.5 14.5v-13h6l3 3v10zM9.5 1.5v3h3\"/></symbol></svg>\n";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask::address::Root;

    const CID: &str = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi";

    fn address(face: Face, segments: &[&str]) -> Address {
        let (root, root_text) = match face {
            Face::Name { .. } => (Root::Name("alice.ddn".into()), "alice.ddn"),
            _ => (Root::Cid(CID.parse().unwrap()), CID),
        };
        let segments = segments.iter().map(|s| (*s).to_owned()).collect();
        Address {
            root,
            root_text: root_text.into(),
            segments,
            slash: true,
            face,
        }
    }

    fn page(address: &Address) -> String {
        let cid = CID.parse().unwrap();
        let entry = Row {
            name: "file-źł.txt".into(),
            cid,
            bytes: 2048,
            folder: false,
        };
        format!(
            "{}{}{}",
            top(address, &cid),
            row(address, &entry),
            bottom(1, false)
        )
    }

    fn check(address: &Address, expected: &[&str]) {
        let page = page(address);
        for text in expected {
            assert!(
                page.contains(&text.replace("{{cid}}", CID)),
                "{text} is not in\n{page}"
            );
        }
    }

    #[test]
    fn markup_on_the_path_face() {
        check(
            &address(Face::Path, &["ą", "ę"]),
            &[
                "Index of",
                r#"/ipfs/<a href="/ipfs/{{cid}}">{{cid}}</a>/<a href="/ipfs/{{cid}}/%C4%85">ą</a>/<a href="/ipfs/{{cid}}/%C4%85/%C4%99">ę</a>"#,
                r#"<a href="/ipfs/{{cid}}/%C4%85/%C4%99/..">..</a>"#,
                r#"<a href="/ipfs/{{cid}}/%C4%85/%C4%99/file-%C5%BA%C5%82.txt">file-źł.txt</a>"#,
                r#"<a class="ipfs-hash" translate="no" href="/ipfs/{{cid}}?filename=file-%25C5%25BA%25C5%2582.txt">"#,
                "2.0 KiB",
            ],
        );
        assert!(!page(&address(Face::Path, &[])).contains(">..<"));
    }

    #[test]
    fn markup_on_the_subdomain_face() {
        check(
            &address(
                Face::Subdomain {
                    gateway: "localhost:80".into(),
                },
                &["ą"],
            ),
            &[
                r#"/ipfs/<a href="//localhost:80/ipfs/{{cid}}">{{cid}}</a>/<a href="//localhost:80/ipfs/{{cid}}/%C4%85">ą</a>"#,
                r#"<a href="/%C4%85/..">..</a>"#,
                r#"<a href="/%C4%85/file-%C5%BA%C5%82.txt">"#,
                r#"href="//localhost:80/ipfs/{{cid}}?filename="#,
            ],
        );
    }

    #[test]
    fn markup_on_the_face_of_a_name() {
        let host = "alice.ddn".to_owned();
        check(
            &address(Face::Name { host, gateway: None }, &["ą"]),
            &[
                r#"/ipns/<a href="//alice.ddn/">alice.ddn</a>/<a href="//alice.ddn/%C4%85">ą</a>"#,
                r#"<a href="/%C4%85/file-%C5%BA%C5%82.txt">"#,
                r#"<a class="ipfs-hash" translate="no" href="https://cid.ipfs.tech/#{{cid}}" target="_blank" rel="noreferrer noopener">"#,
            ],
        );
    }

    #[test]
    fn names_are_text() {
        let cid = CID.parse().unwrap();
        let entry = Row {
            name: "\"><script>x</script>".into(),
            cid,
            bytes: 0,
            folder: true,
        };
        let html = row(&address(Face::Path, &[]), &entry);
        assert!(!html.contains("<script>"));
        let entry = Row {
            name: "javascript:alert(1)".into(),
            ..entry
        };
        assert!(
            row(&address(Face::Subdomain { gateway: "x".into() }, &[]), &entry)
                .contains("href=\"/javascript:")
        );
    }

    #[test]
    fn sizes() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (10 << 20, "10 MiB"),
            (u64::MAX, "16 EiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
