//! The head of an answer that is given many times: written once, for both ways of HTTP.
//!
//! What differs between the times is filled in: the date, and for parts of a file their length and place.

use std::ops::Range;

use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, StatusCode};

/// A head.
pub(crate) struct Head {
    status: StatusCode,
    headers: HeaderMap,
    /// As HTTP/1.1 writes it, without the date and the empty line at the end, and without what is filled in.
    text: Vec<u8>,
    /// Where that goes.
    holes: Vec<(usize, Hole)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hole {
    Length,
    Place,
}

/// A part of a file: its bytes, and the length of the whole.
pub(crate) type Part = (Range<u64>, u64);

impl Head {
    /// Of an answer's status and headers. `None` if it says something about one connection or one moment.
    pub(super) fn of(status: StatusCode, headers: &HeaderMap) -> Option<Self> {
        if MOMENTARY.iter().any(|name| headers.contains_key(name)) {
            return None;
        }
        let mut head = Self {
            status,
            headers: headers.clone(),
            text: status_line(status),
            holes: Vec::new(),
        };
        for (name, value) in headers {
            head.write(name, value);
        }
        Some(head)
    }

    fn write(&mut self, name: &HeaderName, value: &HeaderValue) {
        let hole = match *name {
            _ if self.status != StatusCode::PARTIAL_CONTENT => None,
            header::CONTENT_LENGTH => Some(Hole::Length),
            header::CONTENT_RANGE => Some(Hole::Place),
            _ => None,
        };
        match hole {
            None => write_header(&mut self.text, name, value.as_bytes()),
            Some(hole) => {
                self.text.extend_from_slice(name.as_str().as_bytes());
                self.text.extend_from_slice(b": ");
                self.holes.push((self.text.len(), hole));
                self.text.extend_from_slice(b"\r\n");
            }
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// The headers, for the answer with all of the content, or with this part of it.
    pub(crate) fn headers(&self, part: Option<&Part>) -> HeaderMap {
        let mut headers = self.headers.clone();
        if let Some(part) = part {
            for (hole, name) in [
                (Hole::Length, header::CONTENT_LENGTH),
                (Hole::Place, header::CONTENT_RANGE),
            ] {
                let mut text = Vec::with_capacity(64);
                hole.fill(&mut text, part);
                if let Ok(value) = HeaderValue::from_maybe_shared(bytes::Bytes::from(text)) {
                    headers.insert(name, value);
                }
            }
        }
        headers
    }

    /// Writes the head as HTTP/1.1 has it, up to the date and the empty line.
    pub(crate) fn write_to(&self, out: &mut Vec<u8>, part: Option<&Part>) {
        let mut written = 0;
        for (at, hole) in part.iter().flat_map(|_| &self.holes) {
            out.extend_from_slice(&self.text[written..*at]);
            part.iter().for_each(|part| hole.fill(out, part));
            written = *at;
        }
        out.extend_from_slice(&self.text[written..]);
    }

    /// What it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        // The same text again in the map, and the map's own.
        2 * self.text.len() + 128 * self.headers.len()
    }
}

impl Hole {
    fn fill(self, out: &mut Vec<u8>, (range, size): &Part) {
        match self {
            Self::Length => number(out, range.end - range.start),
            Self::Place => {
                out.extend_from_slice(b"bytes ");
                number(out, range.start);
                out.push(b'-');
                number(out, range.end - 1);
                out.push(b'/');
                number(out, *size);
            }
        }
    }
}

/// `HTTP/1.1 200 OK` and the end of the line.
pub(crate) fn status_line(status: StatusCode) -> Vec<u8> {
    let reason = status.canonical_reason().unwrap_or("<none>");
    format!("HTTP/1.1 {} {reason}\r\n", status.as_str()).into_bytes()
}

/// One line of a head.
pub(crate) fn write_header(out: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Decimal digits.
pub(crate) fn number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[first..]);
}

/// Headers that are about one connection, one request or one moment.
const MOMENTARY: [HeaderName; 8] = [
    header::CONNECTION,
    header::DATE,
    header::SET_COOKIE,
    header::TRANSFER_ENCODING,
    header::TRAILER,
    header::UPGRADE,
    header::RETRY_AFTER,
    header::AGE,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn text(head: &Head, part: Option<&Part>) -> String {
        let mut out = Vec::new();
        head.write_to(&mut out, part);
        String::from_utf8(out).expect("a head of text")
    }

    #[test]
    fn a_part_is_filled_in() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(10));
        headers.insert(header::ETAG, HeaderValue::from_static("\"x\""));
        headers.insert(header::CONTENT_RANGE, HeaderValue::from_static("bytes 0-9/31"));
        let head = Head::of(StatusCode::PARTIAL_CONTENT, &headers).expect("a head");
        let part = (7..31, 31);
        assert_eq!(
            text(&head, Some(&part)),
            "HTTP/1.1 206 Partial Content\r\ncontent-length: 24\r\netag: \"x\"\r\ncontent-range: bytes 7-30/31\r\n"
        );
        let filled = head.headers(Some(&part));
        assert_eq!(filled[header::CONTENT_RANGE], "bytes 7-30/31");
        assert_eq!(
            (filled[header::CONTENT_LENGTH].as_bytes(), filled.len()),
            (&b"24"[..], 3)
        );
    }

    #[test]
    fn a_whole_is_as_it_was() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(10));
        let head = Head::of(StatusCode::OK, &headers).expect("a head");
        assert_eq!(text(&head, None), "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n");
        headers.insert(header::SET_COOKIE, HeaderValue::from_static("a=b"));
        assert!(Head::of(StatusCode::OK, &headers).is_none());
    }

    #[test]
    fn numbers() {
        for value in [0, 9, 10, 12_345, u64::MAX] {
            let mut out = Vec::new();
            number(&mut out, value);
            assert_eq!(String::from_utf8(out).expect("digits"), value.to_string());
        }
    }
}
