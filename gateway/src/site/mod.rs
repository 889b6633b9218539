//! What a publisher says about its own site, in files of the site: `_redirects` for paths that do not exist, `_headers` for
//! what is sent beside the content, `404.html` for what is nowhere; and `about` for `about.html`.
//!
//! All of it acts only where a site has a host of its own (`CID.ipfs.GATEWAY`, a ledger name, a domain with a DNSLink):
//! there a rule can reach nothing but the site that it is part of. Below `/ipfs/` and `/ipns/` of the gateway's own host
//! all sites share one origin, and these files are files like any other.
//!
//! Here is what the files mean, and nothing of where they come from: [`redirects`] and [`headers`] are pure, and any bytes
//! are safe in them. The desk reads the files and acts (`desk::site`).

pub(crate) mod headers;
mod path;
pub(crate) mod redirects;

/// The rules for paths that do not exist.
pub(crate) const REDIRECTS: &str = "_redirects";
/// The headers that the publisher adds.
pub(crate) const HEADERS: &str = "_headers";
/// The page for what is nowhere.
pub(crate) const NOT_FOUND: &str = "404.html";
/// The page of a folder.
pub(crate) const INDEX: &str = "index.html";
/// Bytes that a file of rules has at most: the bound that the specification sets for `_redirects`.
pub(crate) const FILE_BYTES_MAX: u64 = 64 << 10;

/// The same path as a page: `about` is `about.html`. None for the start page, and for what is named as a page already.
pub(crate) fn page_of(segments: &[String]) -> Option<Vec<String>> {
    let (last, above) = segments.split_last()?;
    if last.ends_with(".html") {
        return None;
    }
    Some([above, &[format!("{last}.html")]].concat())
}

/// The text of a file of rules, without the mark that some editors put before it.
fn text(file: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(file).ok()?;
    Some(text.strip_prefix('\u{feff}').unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_without_their_ending() {
        let owned = |segments: &[&str]| -> Vec<String> { segments.iter().map(|&s| s.to_owned()).collect() };
        for (path, page) in [
            (&["about"][..], Some(&["about.html"][..])),
            (&["docs", "a.b"], Some(&["docs", "a.b.html"])),
            (&["about.html"], None),
            (&[], None),
        ] {
            assert_eq!(page_of(&owned(path)), page.map(owned), "{path:?}");
        }
    }
}
