//! An object as a page: its value as text, with its links to follow.

use cid::Cid;
use storage::Ipld;

use super::{TAIL, head};
use crate::ask::address::Address;
use crate::escape::html;

/// Changes with the markup, so that caches let go of old pages; it is part of the entity tag.
pub(crate) const MARKUP: &str = "ddn1";

/// Characters of the value that are shown.
const VALUE_CHARS_MAX: usize = 256 << 10;
/// Bytes of a byte string that are shown.
const BYTES_SHOWN: usize = 64;

/// The page of the object `cid`, whose block has `bytes` bytes.
pub(crate) fn render(address: &Address, cid: &Cid, bytes: usize, value: &Ipld) -> String {
    let mut page = head(&address.content_path());
    page.push_str(&format!(
        "<main>\n<h1>{}</h1>\n<div class=\"ipfs-hash\" translate=\"no\">{cid}</div>\n<p>{} of {bytes} bytes: \
         <a href=\"?format=raw\">block</a> · <a href=\"?format=car\">with all below it</a> · \
         <a href=\"?format={}\">as it is</a></p>\n<pre>",
        html(&address.content_path()),
        codec(cid),
        codec(cid),
    ));
    let mut text = Text {
        out: String::new(),
        paths: address.paths(),
    };
    text.value(value, 0);
    page.push_str(&text.out);
    if text.is_full() {
        page.push_str("\n… and more: the block has it all");
    }
    page.push_str(&format!("</pre>\n</main>\n{TAIL}"));
    page
}

fn codec(cid: &Cid) -> &'static str {
    match cid.codec() {
        0x71 => "dag-cbor",
        0x51 => "cbor",
        0x0129 => "dag-json",
        _ => "json",
    }
}

/// The value as it is written.
struct Text {
    out: String,
    /// The URL below which content has paths, if there is one from here.
    paths: Option<String>,
}

impl Text {
    fn is_full(&self) -> bool {
        self.out.len() >= VALUE_CHARS_MAX
    }

    fn value(&mut self, value: &Ipld, depth: usize) {
        match value {
            Ipld::Null => self.out.push_str("null"),
            Ipld::Bool(bool) => self.out.push_str(if *bool { "true" } else { "false" }),
            Ipld::Integer(number) => self.out.push_str(&number.to_string()),
            Ipld::Float(number) => self.out.push_str(&number.to_string()),
            Ipld::String(text) => self.string(text),
            Ipld::Bytes(bytes) => self.bytes(bytes),
            Ipld::Link(cid) => self.link(cid),
            Ipld::List(list) => self.all(depth, ["[", "]"], list.iter(), |text, value| {
                text.value(value, depth + 1);
            }),
            Ipld::Map(map) => self.all(depth, ["{", "}"], map.iter(), |text, (key, value)| {
                text.string(key);
                text.out.push_str(": ");
                text.value(value, depth + 1);
            }),
        }
    }

    fn all<T>(
        &mut self,
        depth: usize,
        [open, close]: [&str; 2],
        values: impl ExactSizeIterator<Item = T>,
        mut each: impl FnMut(&mut Self, T),
    ) {
        self.out.push_str(open);
        let count = values.len();
        for (at, value) in values.enumerate() {
            if self.is_full() {
                return;
            }
            self.line(depth + 1);
            each(self, value);
            if at + 1 < count {
                self.out.push(',');
            }
        }
        if count > 0 {
            self.line(depth);
        }
        self.out.push_str(close);
    }

    fn line(&mut self, depth: usize) {
        self.out.push('\n');
        self.out.push_str(&"  ".repeat(depth));
    }

    fn string(&mut self, text: &str) {
        let room = VALUE_CHARS_MAX.saturating_sub(self.out.len());
        let shown: String = text.chars().take(room).collect();
        self.out.push_str(&html(&format!("{shown:?}")));
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let hex: String = bytes
            .iter()
            .take(BYTES_SHOWN)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let more = if bytes.len() > BYTES_SHOWN { "…" } else { "" };
        self.out.push_str(&format!("{} bytes {hex}{more}", bytes.len()));
    }

    fn link(&mut self, cid: &Cid) {
        match &self.paths {
            Some(paths) => self
                .out
                .push_str(&format!("<a href=\"{}/ipfs/{cid}\">{cid}</a>", html(paths))),
            None => self.out.push_str(&cid.to_string()),
        }
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
            segments: Vec::new(),
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
                Ipld::List(vec![Ipld::Integer(1), Ipld::Bytes(vec![255; 70])]),
            ),
        ]
        .into();
        let page = page(&Ipld::Map(map));
        assert!(!page.contains("<script>") && !page.contains("<b>"));
        assert!(page.contains(&format!("&quot;link&quot;: <a href=\"/ipfs/{CID}\">{CID}</a>,")));
        assert!(page.contains("    1,\n    70 bytes ffff"));
        assert!(page.ends_with("</html>\n"));
    }

    #[test]
    fn a_long_value_is_cut() {
        let page = page(&Ipld::List(vec![Ipld::String("x".repeat(1 << 20)); 100]));
        assert!(page.len() < 2 * VALUE_CHARS_MAX && page.contains("and more"));
    }
}
