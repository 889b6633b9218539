//! Putting text into URLs, HTML and header values without it becoming anything but text.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// What stays as it is in a path segment: the unreserved characters, and those sub-delimiters that every client
/// leaves alone (the same set as Go's `net/url`, so that our redirects equal those of the other gateways).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b',')
    .remove(b':')
    .remove(b';')
    .remove(b'=')
    .remove(b'@');

/// What stays as it is in `filename*=UTF-8''…` (RFC 8187 `attr-char`).
const ATTRIBUTE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Percent-encodes one path segment, with upper-case hex.
pub(crate) fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// Percent-encodes the value of a query parameter.
pub(crate) fn query_value(text: &str) -> String {
    utf8_percent_encode(text, ATTRIBUTE).to_string()
}

/// `/a/b c` for `["a", "b c"]`, percent-encoded; empty for no segments.
pub(crate) fn path(segments: &[String]) -> String {
    segments
        .iter()
        .map(|text| format!("/{}", segment(text)))
        .collect()
}

/// Decodes percent-escapes once. A `%` that starts no escape stays itself, since browsers send it so.
/// None if the bytes are not UTF-8.
pub(crate) fn unescape(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(Into::into)
}

/// Text for element content and quoted attributes.
pub(crate) fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// A `Content-Disposition` value (RFC 6266): an ASCII name for old clients, the exact one beside it.
pub(crate) fn disposition(kind: &str, filename: &str) -> String {
    let ascii: String = filename
        .chars()
        .map(|c| {
            if c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '/') || c == ' ' {
                c
            } else {
                '_'
            }
        })
        .collect();
    let exact = utf8_percent_encode(filename, ATTRIBUTE);
    format!("{kind}; filename=\"{ascii}\"; filename*=UTF-8''{exact}")
}

/// A header value that holds `text`: UTF-8 as it is, control characters percent-encoded.
pub(crate) fn header(text: &str) -> http::HeaderValue {
    let clean: String = text
        .chars()
        .map(|c| {
            if c.is_control() {
                query_value(&c.to_string())
            } else {
                c.to_string()
            }
        })
        .collect();
    http::HeaderValue::from_bytes(clean.as_bytes()).unwrap_or(http::HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn segments_keep_upper_case_hex() {
        assert_eq!(segment("ą"), "%C4%85");
        assert_eq!(segment("a b%2C+c=d"), "a%20b%252C+c=d");
        assert_eq!(segment("?#/\\\""), "%3F%23%2F%5C%22");
    }

    #[test]
    fn disposition_names_both_ways() {
        assert_eq!(
            disposition("attachment", "testтест.bin"),
            "attachment; filename=\"test____.bin\"; filename*=UTF-8''test%D1%82%D0%B5%D1%81%D1%82.bin"
        );
        assert_eq!(
            disposition("inline", "a\"\r\nX: y"),
            "inline; filename=\"a___X: y\"; filename*=UTF-8''a%22%0D%0AX%3A%20y"
        );
    }

    #[test]
    fn a_lone_percent_stays() {
        assert_eq!(unescape("100%.txt").as_deref(), Some("100%.txt"));
        assert_eq!(unescape("%2541").as_deref(), Some("%41"));
        assert_eq!(unescape("%ff"), None);
    }

    proptest! {
        #[test]
        fn a_segment_comes_back(text in any::<String>()) {
            prop_assert_eq!(unescape(&segment(&text)), Some(text.clone()));
            prop_assert_eq!(unescape(&query_value(&text)), Some(text));
        }

        #[test]
        fn html_never_opens_a_tag(text in any::<String>()) {
            prop_assert!(!html(&text).contains(['<', '>', '"', '\'']));
        }

        #[test]
        fn any_name_makes_a_header(text in any::<String>()) {
            prop_assert!(http::HeaderValue::from_str(&disposition("inline", &text)).is_ok());
            header(&text);
        }
    }
}
