//! The media type of a file: by its name first, by its first bytes if the name says nothing.

/// How many of a file's first bytes are looked at.
pub(crate) const SNIFF_BYTES: usize = 1024;

/// The media type by the file's name, if its ending is known.
pub(crate) fn by_name(name: &str) -> Option<&'static str> {
    let (stem, ending) = name.rsplit_once('.')?;
    if stem.is_empty() {
        return None;
    }
    let ending = ending.to_ascii_lowercase();
    match ending.as_str() {
        // Mostly TypeScript today, and MPEG streams for the table: let the bytes decide.
        "ts" => None,
        "mjs" => Some("text/javascript"),
        "wasm" => Some("application/wasm"),
        "webmanifest" => Some("application/manifest+json"),
        "avif" => Some("image/avif"),
        "md" | "markdown" => Some("text/markdown"),
        other => mime_guess::from_ext(other).first_raw(),
    }
}

/// The value of `Content-Type` for a file with this name and these first bytes (of more, if `cut`). `first` is None
/// when they could not be read; then the name alone decides.
pub(crate) fn content_type(name: &str, first: Option<&[u8]>, cut: bool) -> String {
    let is_text = first.map(|bytes| is_utf8(bytes, cut));
    match by_name(name) {
        // Text that is no UTF-8 says itself what it is, or the browser guesses: a wrong charset is worse than none.
        Some(media) if media.starts_with("text/") && is_text != Some(false) => {
            format!("{media}; charset=utf-8")
        }
        Some(media) => media.to_owned(),
        None => first
            .map_or("application/octet-stream", |bytes| {
                sniff(bytes, is_text == Some(true), cut)
            })
            .to_owned(),
    }
}

/// Whether the type cannot be told without the first bytes.
pub(crate) fn needs_bytes(name: &str) -> bool {
    by_name(name).is_none_or(|media| media.starts_with("text/"))
}

fn sniff(first: &[u8], is_text: bool, cut: bool) -> &'static str {
    if first.is_empty() {
        return "text/plain; charset=utf-8";
    }
    let magic = MAGIC
        .iter()
        .find(|(offset, magic, _)| first.get(*offset..).is_some_and(|at| at.starts_with(magic)));
    if let Some((_, _, media)) = magic {
        return media;
    }
    let is_plain = is_text && !first.iter().any(|b| *b < 0x20 && !b"\t\n\r\x0c\x1b".contains(b));
    if !is_plain {
        return "application/octet-stream";
    }
    let start = first.trim_ascii_start();
    let begins = |tag: &[u8]| {
        start
            .get(..tag.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(tag))
    };
    if [&b"<!doctype html"[..], b"<html", b"<head", b"<body"]
        .iter()
        .any(|tag| begins(tag))
    {
        "text/html; charset=utf-8"
    } else if begins(b"<svg") {
        "image/svg+xml"
    } else if begins(b"<?xml") {
        "text/xml; charset=utf-8"
    } else if (begins(b"{") || begins(b"[")) && is_json(first, cut) {
        "application/json"
    } else {
        "text/plain; charset=utf-8"
    }
}

/// Whether the bytes are JSON; when they are `cut`, whether more could make them so.
fn is_json(bytes: &[u8], cut: bool) -> bool {
    match serde_json::from_slice::<serde::de::IgnoredAny>(bytes) {
        Ok(_) => true,
        Err(error) => cut && error.is_eof(),
    }
}

/// Whether the bytes are UTF-8; when they are `cut`, the last character may be incomplete.
fn is_utf8(bytes: &[u8], cut: bool) -> bool {
    match std::str::from_utf8(bytes) {
        Ok(_) => true,
        Err(error) => cut && error.error_len().is_none(),
    }
}

/// Offset, signature, type: from the WHATWG MIME Sniffing Standard, and formats that sites are made of.
const MAGIC: &[(usize, &[u8], &str)] = &[
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF8", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (4, b"ftypavif", "image/avif"),
    (4, b"ftyp", "video/mp4"),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
    (0, b"OggS", "application/ogg"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xfb", "audio/mpeg"),
    (0, b"fLaC", "audio/flac"),
    (8, b"WAVE", "audio/wav"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"PK\x03\x04", "application/zip"),
    (0, b"\x1f\x8b\x08", "application/gzip"),
    (0, b"\x28\xb5\x2f\xfd", "application/zstd"),
    (0, b"wOF2", "font/woff2"),
    (0, b"wOFF", "font/woff"),
    (0, b"\0asm", "application/wasm"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn table() {
        for (name, bytes, expected) in [
            ("index.html", &b"<p>"[..], "text/html; charset=utf-8"),
            ("INDEX.HTML", b"<p>", "text/html; charset=utf-8"),
            ("latin.html", b"caf\xe9 ", "text/html"),
            ("a.css", b"", "text/css; charset=utf-8"),
            ("a.js", b"", "text/javascript; charset=utf-8"),
            ("a.mjs", b"", "text/javascript; charset=utf-8"),
            ("a.json", b"{}", "application/json"),
            ("a.svg", b"<svg", "image/svg+xml"),
            ("a.png", b"not a picture", "image/png"),
            ("a.woff2", b"", "font/woff2"),
            ("a.wasm", b"", "application/wasm"),
            ("a.pdf", b"", "application/pdf"),
            ("a.mp4", b"", "video/mp4"),
            ("a.txt", "ą".as_bytes(), "text/plain; charset=utf-8"),
            ("a.ts", b"const a = 1", "text/plain; charset=utf-8"),
            ("LICENSE", b"Permission is hereby", "text/plain; charset=utf-8"),
            (".gitignore", b"target", "text/plain; charset=utf-8"),
            ("", b"", "text/plain; charset=utf-8"),
            ("", b"  <!DOCTYPE HTML><p>", "text/html; charset=utf-8"),
            ("", b"<svg xmlns", "image/svg+xml"),
            ("", b"\x89PNG\r\n\x1a\nxxx", "image/png"),
            ("", b"RIFF0000WEBPVP8", "image/webp"),
            ("", b"\0\0\0\x18ftypisom", "video/mp4"),
            ("", b"{\"a\": [1]}\n", "application/json"),
            ("", b"[section]\nkey = 1", "text/plain; charset=utf-8"),
            ("", b"{\"a\": ", "text/plain; charset=utf-8"),
            ("objects.inv", b"# Sphinx\n\x01\x02", "application/octet-stream"),
            ("", b"caf\xe9 ", "application/octet-stream"),
        ] {
            assert_eq!(
                content_type(name, Some(bytes), false),
                expected,
                "{name:?} {bytes:?}"
            );
        }
    }

    #[test]
    fn a_cut_character_is_text() {
        assert_eq!(
            content_type("", Some(b"a\xc4"), true),
            "text/plain; charset=utf-8"
        );
        assert_eq!(
            content_type("", Some(b"a\xc4"), false),
            "application/octet-stream"
        );
    }

    #[test]
    fn cut_json_is_json() {
        for (bytes, media) in [
            (&b"{\"a\": \"\xc4"[..], "application/json"),
            (b"[1, 2,", "application/json"),
            (b"[1, x,", "text/plain; charset=utf-8"),
        ] {
            assert_eq!(content_type("", Some(bytes), true), media);
        }
    }

    #[test]
    fn without_bytes_the_name_decides() {
        assert_eq!(content_type("a.html", None, false), "text/html; charset=utf-8");
        assert_eq!(content_type("a", None, false), "application/octet-stream");
    }

    proptest! {
        #[test]
        fn always_a_header(name in any::<String>(), bytes in proptest::collection::vec(any::<u8>(), 0..64), cut: bool) {
            prop_assert!(http::HeaderValue::from_str(&content_type(&name, Some(&bytes), cut)).is_ok());
        }
    }
}
