//! Conditional requests (RFC 9110 section 13). We give entity tags and no dates, so only the tag conditions count.

use http::HeaderMap;
use http::header::{HeaderName, IF_MATCH, IF_NONE_MATCH, IF_RANGE};

/// What the conditions of a request make of a representation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Answer as if there were no condition.
    Proceed,
    /// 304: the client has it already.
    NotModified,
    /// 412: the client wanted another version.
    Failed,
}

/// Judges `If-Match` and `If-None-Match` against the current tag, in the order of RFC 9110 section 13.2.2.
pub(crate) fn judge(headers: &HeaderMap, etag: &str) -> Verdict {
    if headers.contains_key(IF_MATCH) && !lists(headers, &IF_MATCH, |tag| tag.strong_eq(etag)) {
        return Verdict::Failed;
    }
    if lists(headers, &IF_NONE_MATCH, |tag| tag.weak_eq(etag)) {
        return Verdict::NotModified;
    }
    Verdict::Proceed
}

/// Whether `If-None-Match` names this very tag, and no other condition is in its way: then the answer is 304 whatever
/// else there is to know. `*` names no tag.
pub(crate) fn names(headers: &HeaderMap, etag: &str) -> bool {
    !headers.contains_key(IF_MATCH) && lists(headers, &IF_NONE_MATCH, |tag| tag.0 != "*" && tag.weak_eq(etag))
}

/// Whether `Range` counts: there is no `If-Range`, or it names the current tag (strong comparison). A date never
/// matches, since we give none.
pub(crate) fn range_holds(headers: &HeaderMap, etag: &str) -> bool {
    match headers.get(IF_RANGE) {
        None => true,
        Some(value) => value
            .to_str()
            .is_ok_and(|text| text.trim() == etag && !etag.starts_with("W/")),
    }
}

/// One entry of a tag list, as sent: `*`, `"x"` or `W/"x"`.
#[derive(Clone, Copy)]
struct Tag<'a>(&'a str);

impl Tag<'_> {
    fn strong_eq(self, etag: &str) -> bool {
        self.0 == "*" || (self.0 == etag && !etag.starts_with("W/"))
    }

    fn weak_eq(self, etag: &str) -> bool {
        self.0 == "*" || opaque(self.0) == opaque(etag)
    }
}

fn opaque(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

/// Whether a tag of the header's lists matches.
fn lists(headers: &HeaderMap, name: &HeaderName, matches: impl Fn(Tag<'_>) -> bool) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|list| tags(list).any(&matches))
}

/// Reads a tag list up to its end or its first malformed entry. A tag may hold commas, so this is no `split`.
fn tags(list: &str) -> impl Iterator<Item = Tag<'_>> {
    let mut rest = list;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let length = tag_length(rest)?;
        let (tag, after) = rest.split_at(length);
        rest = after;
        Some(Tag(tag))
    })
}

fn tag_length(text: &str) -> Option<usize> {
    if text.starts_with('*') {
        return Some(1);
    }
    let open = if text.starts_with("W/") { 2 } else { 0 };
    let quoted = text.get(open..)?.strip_prefix('"')?;
    Some(open + 1 + quoted.find('"')? + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(name, HeaderValue::from_str(value).unwrap());
        }
        map
    }

    #[test]
    fn if_none_match() {
        use Verdict::*;
        for (value, etag, expected) in [
            ("\"a\"", "\"a\"", NotModified),
            ("W/\"a\"", "\"a\"", NotModified),
            ("\"a\"", "W/\"a\"", NotModified),
            ("*", "\"a\"", NotModified),
            ("\"x\", \"y\", \"a\"", "\"a\"", NotModified),
            ("\"x,y\",\"a\"", "\"a\"", NotModified),
            ("\"x\"", "\"a\"", Proceed),
            ("a", "\"a\"", Proceed),
            ("\"a", "\"a\"", Proceed),
            ("W/", "\"a\"", Proceed),
            ("", "\"a\"", Proceed),
        ] {
            assert_eq!(
                judge(&headers(&[(IF_NONE_MATCH, value)]), etag),
                expected,
                "{value}"
            );
        }
        let two = headers(&[(IF_NONE_MATCH, "\"x\""), (IF_NONE_MATCH, "\"a\"")]);
        assert_eq!(judge(&two, "\"a\""), NotModified);
    }

    #[test]
    fn if_match_comes_first_and_is_strong() {
        use Verdict::*;
        for (value, etag, expected) in [
            ("\"a\"", "\"a\"", Proceed),
            ("*", "\"a\"", Proceed),
            ("\"b\"", "\"a\"", Failed),
            ("W/\"a\"", "\"a\"", Failed),
            ("W/\"a\"", "W/\"a\"", Failed),
        ] {
            assert_eq!(judge(&headers(&[(IF_MATCH, value)]), etag), expected, "{value}");
        }
        assert_eq!(
            judge(
                &headers(&[(IF_MATCH, "\"b\""), (IF_NONE_MATCH, "\"a\"")]),
                "\"a\""
            ),
            Failed
        );
    }

    #[test]
    fn a_tag_is_named() {
        for (pairs, expected) in [
            (&[(IF_NONE_MATCH, "\"x\", W/\"a\"")][..], true),
            (&[(IF_NONE_MATCH, "*")], false),
            (&[(IF_NONE_MATCH, "\"x\"")], false),
            (&[(IF_NONE_MATCH, "\"a\""), (IF_MATCH, "\"a\"")], false),
            (&[], false),
        ] {
            assert_eq!(names(&headers(pairs), "\"a\""), expected, "{pairs:?}");
        }
    }

    #[test]
    fn if_range() {
        for (value, expected) in [
            ("\"a\"", true),
            ("W/\"a\"", false),
            ("\"b\"", false),
            ("Sat, 21 Nov 2026 03:00:00 GMT", false),
        ] {
            assert_eq!(
                range_holds(&headers(&[(IF_RANGE, value)]), "\"a\""),
                expected,
                "{value}"
            );
        }
        assert!(range_holds(&HeaderMap::new(), "\"a\""));
    }

    proptest! {
        #[test]
        fn own_tag_is_found_in_any_list(tags in proptest::collection::vec("[!#-~]{0,12}", 1..6), pick in any::<prop::sample::Index>()) {
            let list = tags.iter().map(|t| format!("\"{t}\"")).collect::<Vec<_>>().join(", ");
            let etag = format!("\"{}\"", pick.get(&tags));
            prop_assert_eq!(judge(&headers(&[(IF_NONE_MATCH, &list)]), &etag), Verdict::NotModified);
        }

        #[test]
        fn any_text_is_safe(text in "[ -~]{0,40}") {
            judge(&headers(&[(IF_NONE_MATCH, &text), (IF_MATCH, &text)]), "\"a\"");
        }
    }
}
