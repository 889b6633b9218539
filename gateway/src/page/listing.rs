//! The listing of a folder that has no index page.

use cid::Cid;

use super::kind::{Kind, pictures};
use super::place::{breadcrumbs, by_cid, home, short, size};
use super::{TAIL, brand, head};
use crate::ask::address::Address;
use crate::escape::{html, query_value, segment};

/// Changes with the markup, so that caches let go of old listings; it is part of the entity tag.
pub(crate) const MARKUP: &str = "ddn2";

/// A folder, or one page of a large one.
pub(crate) struct Folder<'a> {
    /// Where it was asked for.
    pub address: &'a Address,
    /// Its root.
    pub cid: &'a Cid,
    /// The entries of this page, in the order in which they are shown.
    pub rows: &'a [Row],
    /// Whether entries come before those of this page.
    pub begun: bool,
    /// The entry after which the next page begins, if there is one.
    pub next: Option<&'a str>,
}

/// One row.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// The name of the entry.
    pub name: String,
    /// What it links to.
    pub cid: Cid,
    /// Bytes of the whole tree below.
    pub bytes: u64,
    /// What it seems to be.
    pub kind: Kind,
}

/// The page.
pub(crate) fn render(folder: &Folder<'_>) -> String {
    let mut page = head(&format!("Index of {}", folder.address.content_path()));
    page.push_str(&pictures());
    page.push_str(&brand(home(folder.address).as_deref()));
    page.push_str(&top(folder));
    if is_paged(folder) {
        page.push_str(&pages(folder));
    }
    match folder.rows {
        [] => page.push_str("<p>There is nothing in this folder.</p>\n"),
        rows => table(&mut page, folder.address, rows),
    }
    if is_paged(folder) && !folder.rows.is_empty() {
        page.push_str(&turns(folder));
    }
    page.push_str("</main>\n");
    page.push_str(TAIL);
    page
}

fn top(folder: &Folder<'_>) -> String {
    let (address, cid) = (folder.address, folder.cid);
    let up = match address.segments.is_empty() {
        true => String::new(),
        false => format!(
            "<li><a href=\"{}/..\">..</a> one folder up</li>\n",
            html(&address.url())
        ),
    };
    let total = match is_paged(folder) {
        true => "a part of a large folder".to_owned(),
        false => format!(
            "{}, {}",
            count(folder.rows.len()),
            size(
                folder
                    .rows
                    .iter()
                    .fold(0, |sum, row| sum.saturating_add(row.bytes))
            )
        ),
    };
    format!(
        "<main>\n<h1><small>Index of</small> <span class=\"path\" translate=\"no\">{}</span></h1>\n\
         <ul class=\"facts\">\n{up}<li>{total}</li>\n\
         <li>CID <span title=\"{cid}\">{}</span></li>\n\
         <li>All of it: <a href=\"?format=tar&amp;download=true\">TAR</a>, <a href=\"?format=car\">CAR</a></li>\n\
         </ul>\n",
        breadcrumbs(address),
        by_cid(address, cid, None, &short(cid)),
    )
}

fn table(page: &mut String, address: &Address, rows: &[Row]) {
    page.push_str(
        "<div class=\"card\"><table>\n<caption class=\"hidden\">The entries of this folder</caption>\n\
         <thead><tr><th scope=\"col\">Name</th><th scope=\"col\" class=\"kind\">Kind</th>\
         <th scope=\"col\" class=\"size\">Size</th><th scope=\"col\" class=\"cid\">CID</th></tr></thead>\n<tbody>\n",
    );
    let base = html(&address.url());
    for row in rows {
        page.push_str(&format!(
            "<tr><td><div class=\"name\">{}<a href=\"{base}/{}\">{}</a></div></td><td class=\"kind\">{}</td>\
             <td class=\"size\">{}</td><td class=\"cid\">{}</td></tr>\n",
            row.kind.icon(),
            html(&segment(&row.name)),
            html(&row.name),
            row.kind.word(),
            size(row.bytes),
            by_cid(address, &row.cid, Some(&row.name), &short(&row.cid)),
        ));
    }
    page.push_str("</tbody>\n</table></div>\n");
}

/// In a large folder nobody wants to leaf: an entry is opened by its name.
fn pages(folder: &Folder<'_>) -> String {
    format!(
        "<form class=\"card\" action=\"{}/\" method=\"get\"><label>Open an entry of this folder by its name\
         <input name=\"entry\" required autocomplete=\"off\" autocapitalize=\"off\" spellcheck=\"false\"></label>\
         <button>Open</button></form>\n",
        html(&folder.address.url())
    )
}

fn turns(folder: &Folder<'_>) -> String {
    let url = html(&folder.address.url());
    let first = match folder.begun {
        true => format!("<a href=\"{url}/\">First page</a>"),
        false => String::new(),
    };
    let next = match folder.next {
        Some(name) => format!(
            "<a rel=\"next\" href=\"{url}/?after={}\">Next page</a>",
            query_value(name)
        ),
        None => String::new(),
    };
    let shown = count(folder.rows.len());
    format!(
        "<nav class=\"pages\" aria-label=\"Pages\"><span>{shown} on this page</span>{first}{next}</nav>\n"
    )
}

fn is_paged(folder: &Folder<'_>) -> bool {
    folder.begun || folder.next.is_some()
}

fn count(entries: usize) -> String {
    match entries {
        1 => "1 entry".to_owned(),
        entries => format!("{entries} entries"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask::address::{Face, Root};

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

    fn row(name: &str) -> Row {
        Row {
            name: name.into(),
            cid: CID.parse().unwrap(),
            bytes: 2048,
            kind: Kind::Text,
        }
    }

    fn page(address: &Address, rows: &[Row]) -> String {
        render(&Folder {
            address,
            cid: &CID.parse().unwrap(),
            rows,
            begun: false,
            next: None,
        })
    }

    fn check(address: &Address, expected: &[&str]) {
        let page = page(address, &[row("file-źł.txt")]);
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
                "1 entry",
            ],
        );
        assert!(!page(&address(Face::Path, &[]), &[row("a")]).contains(">..<"));
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
                r#"<a class="brand" href="//localhost:80/">"#,
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
                r#"<span class="brand">"#,
            ],
        );
    }

    #[test]
    fn names_are_text() {
        let html = page(&address(Face::Path, &[]), &[row("\"><script>x</script>")]);
        assert!(!html.contains("<script>"));
        let site = address(Face::Subdomain { gateway: "x".into() }, &[]);
        assert!(page(&site, &[row("javascript:alert(1)")]).contains("href=\"/javascript:"));
    }

    #[test]
    fn a_large_folder_has_pages() {
        let address = address(Face::Path, &[]);
        let cid = CID.parse().unwrap();
        let part = |begun, next| {
            let rows = [row("a"), row("b & c")];
            render(&Folder {
                address: &address,
                cid: &cid,
                rows: &rows,
                begun,
                next,
            })
        };
        let first = part(false, Some("b & c"));
        assert!(first.contains(&format!(
            "<a rel=\"next\" href=\"/ipfs/{CID}/?after=b%20%26%20c\">"
        )));
        assert!(first.contains("name=\"entry\"") && !first.contains("First page"));
        let last = part(true, None);
        assert!(last.contains("First page") && !last.contains("Next page"));
        assert!(page(&address, &[]).contains("nothing in this folder"));
    }
}
