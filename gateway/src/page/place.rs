//! Where a page stands: the links from it to its surroundings. Their markup is what the clients of Kubo's gateway know.

use cid::Cid;

use crate::ask::address::{Address, Face};
use crate::escape::{html, path, query_value, segment};

/// The start page of the gateway, if it can be reached from this host.
pub(crate) fn home(address: &Address) -> Option<String> {
    address.paths().map(|paths| format!("{paths}/"))
}

/// The path with a link for each of its parts.
pub(crate) fn breadcrumbs(address: &Address) -> String {
    let (first, base) = match &address.face {
        Face::Path => (address.base(), address.base()),
        Face::Subdomain { gateway } => {
            let base = format!("//{gateway}/ipfs/{}", address.root_text);
            (base.clone(), base)
        }
        Face::Name { host, .. } => (format!("//{host}/"), format!("//{host}")),
    };
    let root = html(&address.root_text);
    let mut text = format!("/{}/<a href=\"{}\">{root}</a>", address.namespace(), html(&first));
    for (index, name) in address.segments.iter().enumerate() {
        let url = format!("{base}{}", path(&address.segments[..=index]));
        text.push_str(&format!("/<a href=\"{}\">{}</a>", html(&url), html(name)));
    }
    text
}

/// A link to an object by its own CID: on this gateway, or, where a name stands alone, to a page that explains the CID.
/// `filename` is under which name it is to be saved.
pub(crate) fn by_cid(address: &Address, cid: &Cid, filename: Option<&str>, text: &str) -> String {
    let Some(paths) = address.paths() else {
        return format!(
            "<a class=\"ipfs-hash\" translate=\"no\" href=\"https://cid.ipfs.tech/#{cid}\" target=\"_blank\" \
             rel=\"noreferrer noopener\">{text}</a>"
        );
    };
    // Escaped twice, as the others do it: the name arrives with one layer of escapes left.
    let filename = filename.map(|name| format!("?filename={}", query_value(&segment(name))));
    let filename = filename.unwrap_or_default();
    format!(
        "<a class=\"ipfs-hash\" translate=\"no\" href=\"{}/ipfs/{cid}{filename}\">{text}</a>",
        html(&paths)
    )
}

/// The first and the last four characters.
pub(crate) fn short(cid: &Cid) -> String {
    let text = cid.to_string();
    match text.len() {
        0..=8 => text,
        length => format!("{}…{}", &text[..4], &text[length - 4..]),
    }
}

/// `2.0 KiB`.
pub(crate) fn size(bytes: u64) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

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
