//! Requests that go in a circle (RFC 8586), or too far.
//!
//! A gateway that asks others over HTTP adds itself to `CDN-Loop`, and refuses what carries its own mark already. A
//! circle of gateways that do not do so is ended by the number of marks that others left.

use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};

/// Who has passed a request on, in order.
pub(crate) const CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");

/// This gateway's mark, and how many marks a request may carry.
#[derive(Clone, Debug)]
pub(crate) struct Hops {
    own: String,
    max: usize,
}

/// Why a request is passed on no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stray {
    /// It has been here before.
    Circle,
    /// It carries more marks than may be.
    TooFar,
}

impl Hops {
    /// `node` tells this gateway from others. `max`: marks of others that a request may carry.
    pub(crate) fn new(node: &str, max: usize) -> Self {
        let token = node.chars().filter(char::is_ascii_alphanumeric).take(NODE_CHARS);
        let own = ["ddn-", &token.collect::<String>()].concat();
        Self { own, max }
    }

    /// Looks at the marks of a request.
    pub(crate) fn judge(&self, headers: &HeaderMap) -> Result<(), Stray> {
        let mut marks = 0;
        for value in headers.get_all(CDN_LOOP) {
            for mark in entries(value.as_bytes()) {
                if mark.eq_ignore_ascii_case(self.own.as_bytes()) {
                    return Err(Stray::Circle);
                }
                marks += 1;
            }
        }
        if marks > self.max {
            Err(Stray::TooFar)
        } else {
            Ok(())
        }
    }

    /// `CDN-Loop` of a request that is made to answer one with these `headers`.
    pub(crate) fn onward(&self, headers: &HeaderMap) -> HeaderValue {
        let before = headers.get_all(CDN_LOOP).iter().map(HeaderValue::as_bytes);
        let all: Vec<&[u8]> = before.chain([self.own.as_bytes()]).collect();
        // It cannot fail: the parts are header values, and commas may stand between them.
        HeaderValue::from_bytes(&all.join(&b", "[..])).unwrap_or_else(|_| HeaderValue::from_static("ddn"))
    }
}

/// Characters of the node's identity in its mark: 80 bits and more of any alphabet in use.
const NODE_CHARS: usize = 24;

/// The marks of a list, without their parameters. A comma in a quoted parameter parts nothing.
fn entries(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    let entries = list.split(move |&byte| {
        let is_end = byte == b',' && !quoted;
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
        is_end
    });
    let marks = entries.map(|entry| entry.split(|&byte| byte == b';').next().unwrap_or(entry));
    marks.map(<[u8]>::trim_ascii).filter(|mark| !mark.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(CDN_LOOP, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn marks() {
        let hops = Hops::new("abc", 2);
        for (values, expected) in [
            (&[][..], Ok(())),
            (&[""], Ok(())),
            (&["foo"], Ok(())),
            (&["foo, bar.example:80"], Ok(())),
            (&["foo, bar, baz"], Err(Stray::TooFar)),
            (&["foo", "bar", "baz"], Err(Stray::TooFar)),
            (&["ddn-abc"], Err(Stray::Circle)),
            (&["foo, DDN-ABC;v=1"], Err(Stray::Circle)),
            (&["foo", " ddn-abc ; q=\"x,y\""], Err(Stray::Circle)),
            (&["foo; v=\"a, b, c, ddn-abc\""], Ok(())),
            (&["foo; v=\"\\\", a, b, c\", bar"], Ok(())),
            (&["ddn-abcd, ddn-ab"], Ok(())),
            (&[",,, ,foo,,"], Ok(())),
        ] {
            assert_eq!(hops.judge(&headers(values)), expected, "{values:?}");
        }
    }

    #[test]
    fn the_own_mark_is_added_at_the_end() {
        let hops = Hops::new("12D3/Koo W", 3);
        assert_eq!(hops.onward(&headers(&[])), "ddn-12D3KooW");
        let passed = hops.onward(&headers(&["foo;x=1", "bar"]));
        assert_eq!(passed, "foo;x=1, bar, ddn-12D3KooW");
        assert_eq!(
            hops.judge(&headers(&[passed.to_str().unwrap()])),
            Err(Stray::Circle)
        );
    }

    proptest! {
        #[test]
        fn any_list_is_safe(list in "[ -~]{0,80}") {
            let hops = Hops::new("abc", 2);
            let headers = headers(&[&list]);
            let _ = hops.judge(&headers);
            hops.onward(&headers);
        }
    }
}
