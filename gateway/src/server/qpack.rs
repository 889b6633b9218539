//! Heads of answers as HTTP/3 sends them: QPACK without a table of its own (RFC 9204).
//!
//! Strings go as they are. The code of Huffman would save a fifth of them, and to write and read it costs both ends more
//! than all the rest of a small answer. What everybody has in the static table is named by its place there.

use http::{HeaderMap, StatusCode};

/// Appends the frame of a head (RFC 9114, section 7.2.2).
pub(super) fn head(out: &mut Vec<u8>, status: StatusCode, headers: &HeaderMap) {
    // No entry of a dynamic table is needed.
    let mut block = vec![0, 0];
    field(&mut block, ":status", status.as_str().as_bytes());
    for (name, value) in headers {
        field(&mut block, name.as_str(), value.as_bytes());
    }
    frame(out, HEADERS, block.len());
    out.extend_from_slice(&block);
}

/// Appends the beginning of a frame of data (RFC 9114, section 7.2.1).
pub(super) fn data(out: &mut Vec<u8>, length: usize) {
    frame(out, DATA, length);
}

fn frame(out: &mut Vec<u8>, kind: u8, length: usize) {
    out.push(kind);
    // Integers of QUIC (RFC 9000, section 16).
    let length = length as u64;
    match length {
        0..64 => out.push(length as u8),
        64..0x4000 => out.extend_from_slice(&(length as u16 | 0x4000).to_be_bytes()),
        0x4000..0x4000_0000 => out.extend_from_slice(&(length as u32 | 0x8000_0000).to_be_bytes()),
        _ => out.extend_from_slice(&(length | 0xc000_0000_0000_0000).to_be_bytes()),
    }
}

/// One line of a head (RFC 9204, section 4.5).
fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    if let Some(place) = place_of_line(name, value) {
        return integer(out, 0b1100_0000, 6, place);
    }
    match place_of_name(name) {
        Some(place) => integer(out, 0b0101_0000, 4, place),
        None => {
            integer(out, 0b0010_0000, 3, name.len());
            out.extend_from_slice(name.as_bytes());
        }
    }
    integer(out, 0, 7, value.len());
    out.extend_from_slice(value);
}

/// An integer whose first `bits` bits share a byte with `flags` (RFC 7541, section 5.1).
fn integer(out: &mut Vec<u8>, flags: u8, bits: u32, value: usize) {
    let max = (1_usize << bits) - 1;
    if value < max {
        return out.push(flags | value as u8);
    }
    out.push(flags | max as u8);
    let mut rest = value - max;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Where a line that our answers have is in the static table (RFC 9204, appendix A).
fn place_of_line(name: &str, value: &[u8]) -> Option<usize> {
    Some(match (name, value) {
        (":status", b"200") => 25,
        (":status", b"304") => 26,
        (":status", b"404") => 27,
        (":status", b"503") => 28,
        (":status", b"206") => 65,
        (":status", b"302") => 66,
        (":status", b"400") => 67,
        (":status", b"403") => 68,
        (":status", b"500") => 71,
        ("accept-ranges", b"bytes") => 32,
        ("access-control-allow-origin", b"*") => 35,
        ("cache-control", b"no-cache") => 39,
        ("content-encoding", b"br") => 42,
        ("content-encoding", b"gzip") => 43,
        ("content-type", b"application/json") => 46,
        ("content-type", b"image/gif") => 48,
        ("content-type", b"image/jpeg") => 49,
        ("content-type", b"image/png") => 50,
        ("content-type", b"text/css") => 51,
        ("content-type", b"text/html; charset=utf-8") => 52,
        ("x-content-type-options", b"nosniff") => 61,
        _ => return None,
    })
}

/// Where a name that our answers have is in it.
fn place_of_name(name: &str) -> Option<usize> {
    Some(match name {
        "age" => 2,
        "content-disposition" => 3,
        "content-length" => 4,
        "date" => 6,
        "etag" => 7,
        "last-modified" => 10,
        "link" => 11,
        "location" => 12,
        "set-cookie" => 14,
        ":status" => 24,
        "accept-ranges" => 32,
        "access-control-allow-headers" => 33,
        "access-control-allow-origin" => 35,
        "cache-control" => 36,
        "content-encoding" => 42,
        "content-type" => 44,
        "strict-transport-security" => 56,
        "vary" => 59,
        "x-content-type-options" => 61,
        "access-control-allow-methods" => 76,
        "access-control-expose-headers" => 79,
        "alt-svc" => 83,
        "content-security-policy" => 85,
        "server" => 92,
        "x-frame-options" => 97,
        _ => return None,
    })
}

/// Kinds of frames.
const DATA: u8 = 0;
const HEADERS: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, value: &str, expected: &[u8]) {
        let mut out = Vec::new();
        field(&mut out, name, value.as_bytes());
        assert_eq!(out, expected, "{name}: {value}");
    }

    #[test]
    fn lines() {
        check(":status", "200", &[0xd9]);
        check(":status", "206", &[0xff, 2]);
        check("etag", "\"a\"", b"\x57\x03\"a\"");
        check("alt-svc", "h3", b"\x5f\x44\x02h3");
        check("te", "x", b"\x22te\x01x");
        check("x-ipfs-path", "", b"\x27\x04x-ipfs-path\x00");
        let long = "a".repeat(200);
        check("etag", &long, &[b"\x57\x7f\x49", long.as_bytes()].concat());
    }

    #[test]
    fn frames() {
        for (length, expected) in [
            (63, &[0, 63][..]),
            (64, &[0, 0x40, 64]),
            (0x4000, &[0, 0x80, 0, 0x40, 0]),
            (0x4000_0000, &[0, 0xc0, 0, 0, 0, 0x40, 0, 0, 0]),
        ] {
            let mut out = Vec::new();
            data(&mut out, length);
            assert_eq!(out, expected);
        }
        let mut out = Vec::new();
        head(&mut out, StatusCode::NOT_MODIFIED, &HeaderMap::new());
        assert_eq!(out, [1, 3, 0, 0, 0xda]);
    }
}
