//! The head of a request of HTTP/1.1, as far as it is usual. Everything else is for the HTTP library: it knows all cases.

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt, Empty};
use httparse::{Header, Status};

use super::service::Upload;
use crate::fast::{Asked, Way};

/// Room for the headers of a usual request.
pub(super) type Room<'a> = [MaybeUninit<Header<'a>>; HEADERS_MAX];

/// More than any browser sends.
const HEADERS_MAX: usize = 64;

/// What there is at the beginning of some bytes.
pub(super) enum Parsed<'a, 'b> {
    /// A head that is not complete.
    Partial,
    /// A `GET` or `HEAD` without a body, on a connection that stays open.
    Usual(Usual<'a, 'b>),
    /// Something else, or nothing that makes sense.
    Strange,
}

/// The head of a usual request.
pub(super) struct Usual<'a, 'b> {
    /// Its bytes.
    pub length: usize,
    get: bool,
    target: &'a str,
    headers: &'b [Header<'a>],
}

/// An empty room.
pub(super) const fn room<'a>() -> Room<'a> {
    [const { MaybeUninit::uninit() }; HEADERS_MAX]
}

/// Reads the head at the beginning of `bytes`.
pub(super) fn parse<'a, 'b>(bytes: &'a [u8], room: &'b mut Room<'a>) -> Parsed<'a, 'b> {
    let mut request = httparse::Request::new(&mut []);
    let length = match request.parse_with_uninit_headers(bytes, room) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Parsed::Partial,
        Err(_) => return Parsed::Strange,
    };
    let (Some(method), Some(target), Some(1)) = (request.method, request.path, request.version) else {
        return Parsed::Strange;
    };
    let headers: &'b [Header<'a>] = request.headers;
    if !matches!(method, "GET" | "HEAD") || headers.iter().any(is_strange) {
        return Parsed::Strange;
    }
    Parsed::Usual(Usual {
        length,
        get: method == "GET",
        target,
        headers,
    })
}

/// Whether a header is about a body, or about what becomes of the connection.
fn is_strange(header: &Header<'_>) -> bool {
    let is = |known: &str| header.name.eq_ignore_ascii_case(known);
    match header.name.len() {
        6 => is("expect"),
        7 => is("upgrade") || is("trailer"),
        10 => is("connection") && !header.value.eq_ignore_ascii_case(b"keep-alive"),
        14 => is("content-length") || is("http2-settings"),
        16 => is("proxy-connection"),
        17 => is("transfer-encoding"),
        _ => false,
    }
}

impl<'a> Usual<'a, '_> {
    /// What decides its answer, if that is all known.
    pub(super) fn asked(&self, way: Way) -> Option<Asked<'a>> {
        if !self.get {
            return None;
        }
        let headers = self.headers.iter().map(|header| (header.name, header.value));
        Asked::read(way, self.target.as_bytes(), headers)
    }

    /// Path and query.
    pub(super) fn target(&self) -> &'a str {
        self.target
    }

    /// The value of a header; empty if it is not there.
    pub(super) fn header(&self, name: &str) -> &'a [u8] {
        let mut headers = self.headers.iter();
        let found = headers.find(|header| header.name.eq_ignore_ascii_case(name));
        found.map_or(b"", |header| header.value)
    }

    /// Whether the answer has no body.
    pub(super) fn is_head(&self) -> bool {
        !self.get
    }

    /// The whole of it. `None` if its target is no URL.
    pub(super) fn request(&self) -> Option<Request<Upload>> {
        let upload = Empty::<Bytes>::new()
            .map_err(|never| match never {})
            .boxed_unsync();
        let mut request = Request::new(upload);
        *request.method_mut() = if self.get { Method::GET } else { Method::HEAD };
        *request.uri_mut() = Uri::try_from(self.target).ok()?;
        request.headers_mut().reserve(self.headers.len());
        for header in self.headers {
            let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
            let value = HeaderValue::from_bytes(header.value).ok()?;
            request.headers_mut().append(name, value);
        }
        Some(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kind(text: &str) -> &'static str {
        match parse(text.as_bytes(), &mut room()) {
            Parsed::Partial => "partial",
            Parsed::Strange => "strange",
            Parsed::Usual(usual) if usual.asked(Way::default()).is_some() => "asked",
            Parsed::Usual(_) => "usual",
        }
    }

    #[test]
    fn table() {
        for (head, expected) in [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "asked"),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nUser-Agent: x\r\n\r\n",
                "asked",
            ),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nCache-Control: no-cache\r\n\r\n",
                "asked",
            ),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nSec-Fetch-Mode: navigate\r\n\r\n",
                "asked",
            ),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nCache-Control: only-if-cached\r\n\r\n",
                "usual",
            ),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "usual"),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=0-\r\nRange: bytes=1-\r\n\r\n",
                "usual",
            ),
            ("GET / HTTP/1.1\r\nHost: a\r\nIf-Match: \"x\"\r\n\r\n", "usual"),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nTraceparent: 00-1-1-1\r\n\r\n",
                "usual",
            ),
            ("GET / HTTP/1.1\r\n\r\n", "usual"),
            ("GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "usual"),
            ("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "usual"),
            ("GET / HTTP/1.1\r\nHost: a\r\n", "partial"),
            ("", "partial"),
            ("GET / HTTP/1.0\r\nHost: a\r\n\r\n", "strange"),
            ("POST / HTTP/1.1\r\nHost: a\r\n\r\n", "strange"),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
                "strange",
            ),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
                "strange",
            ),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
                "strange",
            ),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n",
                "strange",
            ),
            ("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n\r\n", "strange"),
            ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", "strange"),
            ("GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", "strange"),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "strange"),
            ("\u{16}\u{3}\u{1}", "strange"),
        ] {
            assert_eq!(kind(head), expected, "{head:?}");
        }
        let many = "X: y\r\n".repeat(100);
        assert_eq!(
            kind(&format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n")),
            "strange"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_safe(bytes in proptest::collection::vec(any::<u8>(), 0..200), tail in "[ -~\r\n]{0,200}") {
            let text = [&bytes[..], b"GET / HTTP/1.1\r\n", tail.as_bytes(), b"\r\n\r\n"].concat();
            for bytes in [&text[..], &text[bytes.len()..]] {
                if let Parsed::Usual(usual) = parse(bytes, &mut room()) {
                    let _ = (usual.asked(Way::default()), usual.request());
                }
            }
        }
    }
}
