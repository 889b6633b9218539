//! An object as a page: its value, with its links to follow.

use cid::Cid;
use storage::Ipld;

use super::place::{breadcrumbs, by_cid, home, short, size};
use super::{TAIL, brand, head};
use crate::ask::address::Address;
use crate::escape::html;

/// Changes with the markup, so that caches let go of old pages; it is part of the entity tag.
pub(crate) const MARKUP: &str = "ddn2";

/// Values that are shown, and so parts of the page.
const VALUES_MAX: usize = 10_000;
/// Values within values that are shown.
const DEPTH_MAX: usize = 64;
/// Bytes of a page after which no more values are shown.
const PAGE_BYTES_MAX: usize = 1 << 20;
/// Bytes of a byte string that are shown.
const BYTES_SHOWN: usize = 64;

/// The page of the object `cid`, whose block has `bytes` bytes.
pub(crate) fn render(address: &Address, cid: &Cid, bytes: usize, value: &Ipld) -> String {
    let (codec, format) = codec(cid);
    let mut page = head(&format!("{codec} {}", address.content_path()));
    page.push_str(&brand(home(address).as_deref()));
    page.push_str(&format!(
        "<main>\n<h1><small>{codec} object</small> <span class=\"path\" translate=\"no\">{}</span></h1>\n\
         <ul class=\"facts\">\n<li>CID <span title=\"{cid}\">{}</span></li>\n<li>{}</li>\n\
         <li>Take it: <a href=\"?format={format}\">{codec}</a>, <a href=\"?format=raw\">block</a>, \
         <a href=\"?format=car\">CAR with all below it</a></li>\n</ul>\n<div class=\"card tree\">\n",
        breadcrumbs(address),
        by_cid(address, cid, None, &short(cid)),
        size(bytes as u64),
    ));
    let mut tree = Tree {
        page,
        address,
        values_left: VALUES_MAX,
    };
    tree.value(value, 0);
    tree.page + "\n</div>\n</main>\n" + TAIL
}

/// The name of the codec, and of the format that gives the object as it is.
fn codec(cid: &Cid) -> (&'static str, &'static str) {
    match cid.codec() {
        0x71 => ("DAG-CBOR", "dag-cbor"),
        0x51 => ("CBOR", "cbor"),
        0x0129 => ("DAG-JSON", "dag-json"),
        _ => ("JSON", "json"),
    }
}

/// The value as markup, as far as a page shows it.
struct Tree<'a> {
    page: String,
    address: &'a Address,
    values_left: usize,
}

impl Tree<'_> {
    fn value(&mut self, value: &Ipld, depth: usize) {
        if self.is_full() || depth > DEPTH_MAX {
            self.page
                .push_str("<span class=\"soft\">… the block has it all</span>");
            return;
        }
        self.values_left -= 1;
        match value {
            Ipld::Null => self.plain("null"),
            Ipld::Bool(bool) => self.plain(&bool.to_string()),
            Ipld::Integer(number) => self.plain(&number.to_string()),
            Ipld::Float(number) => self.plain(&number.to_string()),
            Ipld::String(text) => {
                let text = html(self.cut(text));
                self.page.push_str(&format!("<span class=\"text\">{text}</span>"));
            }
            Ipld::Bytes(bytes) => self.bytes(bytes),
            Ipld::Link(cid) => {
                let link = by_cid(self.address, cid, None, &cid.to_string());
                self.page.push_str(&link);
            }
            Ipld::List(list) => self.all("list", "ol", list.iter(), |tree, value| {
                tree.page.push_str("<li>");
                tree.value(value, depth + 1);
                tree.page.push_str("</li>\n");
            }),
            Ipld::Map(map) => self.all("map", "dl", map.iter(), |tree, (key, value)| {
                let key = html(tree.cut(key));
                tree.page.push_str(&format!("<div><dt>{key}</dt><dd>"));
                tree.value(value, depth + 1);
                tree.page.push_str("</dd></div>\n");
            }),
        }
    }

    fn is_full(&self) -> bool {
        self.values_left == 0 || self.page.len() >= PAGE_BYTES_MAX
    }

    fn plain(&mut self, text: &str) {
        self.page
            .push_str(&format!("<span class=\"value\">{text}</span>"));
    }

    /// What of a text the page has room for.
    fn cut<'t>(&self, text: &'t str) -> &'t str {
        let room = PAGE_BYTES_MAX.saturating_sub(self.page.len());
        &text[..text.floor_char_boundary(room)]
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let shown = &bytes[..bytes.len().min(BYTES_SHOWN)];
        let hex: String = shown.iter().map(|byte| format!("{byte:02x}")).collect();
        let more = if bytes.len() > shown.len() { "…" } else { "" };
        self.page.push_str(&format!(
            "<code class=\"value\">{hex}{more}</code> <span class=\"soft\">{} bytes</span>",
            bytes.len()
        ));
    }

    /// Values that can be folded away, and after the last one that is shown, that there are more.
    fn all<T>(
        &mut self,
        what: &str,
        element: &str,
        values: impl ExactSizeIterator<Item = T>,
        mut each: impl FnMut(&mut Self, T),
    ) {
        let count = values.len();
        if count == 0 {
            self.page
                .push_str(&format!("<span class=\"soft\">empty {what}</span>"));
            return;
        }
        self.page.push_str(&format!(
            "<details open><summary>{what} of {count}</summary><{element}>\n"
        ));
        for value in values {
            let last = self.is_full();
            each(self, value);
            if last {
                break;
            }
        }
        self.page.push_str(&format!("</{element}></details>"));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::ask::address::{Face, Root};

    const CID: &str = "bafyreibs4utpgbn7uqegmd2goqz4bkyflre2ek2iwv743fhvylwi4zeeim";

    fn page(value: &Ipld) -> String {
        let cid: Cid = CID.parse().unwrap();
        let address = Address {
            root: Root::Cid(cid),
            root_text: CID.into(),
            segments: vec!["a b".into()],
            slash: true,
            face: Face::Path,
        };
        render(&address, &cid, 7, value)
    }

    #[test]
    fn values_are_text_and_links_lead_on() {
        let map: BTreeMap<String, Ipld> = [
            ("<b>".to_owned(), Ipld::String("<script>".into())),
            ("link".to_owned(), Ipld::Link(CID.parse().unwrap())),
            (
                "list".to_owned(),
                Ipld::List(vec![
                    Ipld::Integer(1),
                    Ipld::Bytes(vec![255; 70]),
                    Ipld::List(vec![]),
                ]),
            ),
        ]
        .into();
        let page = page(&Ipld::Map(map));
        for part in [
            "<dt>&lt;b&gt;</dt><dd><span class=\"text\">&lt;script&gt;</span></dd>",
            &format!("href=\"/ipfs/{CID}\">{CID}</a>"),
            &format!("/ipfs/<a href=\"/ipfs/{CID}\">{CID}</a>/<a href=\"/ipfs/{CID}/a%20b\">a b</a>"),
            "ffff…</code> <span class=\"soft\">70 bytes</span>",
            "empty list",
            "<summary>map of 3</summary>",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
        assert!(page.ends_with("</html>\n"));
    }

    #[test]
    fn what_is_too_much_is_cut() {
        let wide = page(&Ipld::List(vec![Ipld::Null; 2 * VALUES_MAX]));
        assert_eq!(wide.matches("null").count(), VALUES_MAX - 1);
        assert_eq!(wide.matches("the block has it all").count(), 1);
        let deep = (0..2 * DEPTH_MAX).fold(Ipld::Null, |inner, _| Ipld::List(vec![inner]));
        assert!(page(&deep).contains("the block has it all"));
        let long = "ą".repeat(PAGE_BYTES_MAX);
        let long = page(&Ipld::List(vec![Ipld::String(long); 3]));
        assert!(long.len() < PAGE_BYTES_MAX + 1024 && long.contains("the block has it all"));
    }
}
