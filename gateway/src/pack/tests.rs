use std::io::Read;

use super::*;
use crate::guard::{Guard, Guarding};
use crate::reply;
use http_body_util::BodyExt;

const BROWSER: &str = "gzip, deflate, br";

fn text() -> String {
    "All work and no play makes Jack a dull boy. ".repeat(400)
}

fn answer(media: &'static str, body: &str) -> Response<Body> {
    let mut response = reply::new(StatusCode::OK, Body::whole(body.to_owned()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    headers.insert(ETAG, HeaderValue::from_static("\"x\""));
    response
}

fn wish(pairs: &[(HeaderName, &str)]) -> (Wish, HeaderMap) {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    (Wish::take(&mut headers, true), headers)
}

fn packer_of(places: usize) -> Packer {
    let guard = Arc::new(Guard::new(&Guarding::default()));
    Packer::new(places, Labour::start(1, guard).unwrap())
}

fn packed(accept: &str, response: Response<Body>) -> Response<Body> {
    packer_of(1).pack(&wish(&[(ACCEPT_ENCODING, accept)]).0, Seat::default(), response)
}

fn header<'a>(response: &'a Response<Body>, name: &str) -> &'a str {
    response
        .headers()
        .get(name)
        .map_or("", |value| value.to_str().unwrap())
}

async fn body(response: Response<Body>) -> Vec<u8> {
    response.into_body().collect().await.unwrap().to_bytes().to_vec()
}

fn unpacked(coding: &str, bytes: &[u8]) -> String {
    let mut text = String::new();
    match coding {
        "br" => brotli::Decompressor::new(bytes, 4096).read_to_string(&mut text),
        _ => flate2::read::GzDecoder::new(bytes).read_to_string(&mut text),
    }
    .unwrap();
    text
}

#[tokio::test]
async fn text_is_packed() {
    for (accept, coding) in [(BROWSER, "br"), ("gzip", "gzip")] {
        let response = packed(accept, answer("text/css; charset=utf-8", &text()));
        assert_eq!(header(&response, "content-encoding"), coding);
        assert_eq!(header(&response, "vary"), "Accept-Encoding");
        assert_eq!(header(&response, "etag"), format!("\"x--{coding}\""));
        let length: usize = header(&response, "content-length").parse().unwrap();
        let bytes = body(response).await;
        assert!(bytes.len() == length && length < text().len() / 10);
        assert_eq!(unpacked(coding, &bytes), text());
    }
}

#[tokio::test]
async fn other_answers_stay_as_they_are() {
    let short = "x".repeat(1023);
    let changed = |change: fn(&mut Response<Body>)| {
        let mut response = answer("text/css", &text());
        change(&mut response);
        response
    };
    for (what, response) in [
        ("a picture", answer("image/png", &text())),
        (
            "a stream of blocks",
            answer("application/vnd.ipld.car; version=1", &text()),
        ),
        ("a short text", answer("text/css", &short)),
        (
            "a part",
            changed(|r| *r.status_mut() = StatusCode::PARTIAL_CONTENT),
        ),
        (
            "what is packed already",
            changed(|r| {
                r.headers_mut()
                    .insert(CONTENT_ENCODING, HeaderValue::from_static("br"));
            }),
        ),
        (
            "what must not be changed",
            changed(|r| {
                r.headers_mut()
                    .insert(CACHE_CONTROL, HeaderValue::from_static("public, No-Transform"));
            }),
        ),
    ] {
        let length = header(&response, "content-length").to_owned();
        let response = packed(BROWSER, response);
        assert_eq!(header(&response, "etag"), "\"x\"", "{what}");
        assert_eq!(header(&response, "content-length"), length, "{what}");
    }
    for accept in ["", "identity", "br;q=0"] {
        let response = packed(accept, answer("text/css", &text()));
        assert_eq!(
            (header(&response, "vary"), header(&response, "content-encoding")),
            ("Accept-Encoding", "")
        );
        assert_eq!(body(response).await, text().as_bytes());
    }
    let (wish, _) = wish(&[(ACCEPT_ENCODING, "br"), (CACHE_CONTROL, "no-transform")]);
    let response = packer_of(1).pack(&wish, Seat::default(), answer("text/css", &text()));
    assert_eq!(header(&response, "content-encoding"), "");
}

#[tokio::test]
async fn without_a_place_it_goes_out_plain() {
    let packer = packer_of(0);
    let response = packer.pack(
        &wish(&[(ACCEPT_ENCODING, "br")]).0,
        Seat::default(),
        answer("text/css", &text()),
    );
    assert_eq!(header(&response, "content-encoding"), "");
    assert_eq!(body(response).await, text().as_bytes());
    let packer = packer_of(1);
    for _ in 0..3 {
        let response = packer.pack(
            &wish(&[(ACCEPT_ENCODING, "br")]).0,
            Seat::default(),
            answer("text/css", &text()),
        );
        assert_eq!(
            header(&response, "content-encoding"),
            "br",
            "the place is given back"
        );
    }
}

#[test]
fn vary_is_said_once() {
    for (before, after) in [
        ("Accept", "Accept, Accept-Encoding"),
        ("accept-encoding", "accept-encoding"),
        ("*", "*"),
    ] {
        let mut response = answer("text/css", &text());
        response
            .headers_mut()
            .insert(VARY, HeaderValue::from_static(before));
        let response = packed("", response);
        let all: Vec<_> = response
            .headers()
            .get_all(VARY)
            .iter()
            .map(|value| value.to_str().unwrap())
            .collect();
        assert_eq!(all.join(", "), after);
    }
}

#[test]
fn a_head_says_what_the_answer_would() {
    let mut response = answer("text/css", "");
    response
        .headers_mut()
        .insert(CONTENT_LENGTH, HeaderValue::from(5000));
    let response = packed("br", response);
    assert_eq!(
        (
            header(&response, "content-encoding"),
            header(&response, "content-length")
        ),
        ("br", "")
    );
    assert_eq!(header(&response, "etag"), "\"x--br\"");
}

#[test]
fn conditions_name_the_plain_answer() {
    for (sent, read) in [
        ("\"x--br\"", "\"x\""),
        ("\"x--gzip\", W/\"y--br\" , \"z\"", "\"x\", W/\"y\" , \"z\""),
        ("\"x\"", "\"x\""),
        ("*", "*"),
        ("\"--br", "\"--br"),
    ] {
        for name in [IF_NONE_MATCH, IF_MATCH] {
            let (_, headers) = wish(&[(name.clone(), sent)]);
            assert_eq!(headers.get(&name).unwrap(), read);
        }
    }
    let (_, headers) = wish(&[(IF_NONE_MATCH, "\"a--br\""), (IF_NONE_MATCH, "\"b\"")]);
    assert_eq!(headers.get(IF_NONE_MATCH).unwrap(), "\"a\", \"b\"");
    let (_, headers) = wish(&[(http::header::IF_RANGE, "\"x--br\"")]);
    assert_eq!(
        headers.get(http::header::IF_RANGE).unwrap(),
        "\"x--br\"",
        "ranges are of the plain bytes"
    );
}

#[test]
fn what_is_not_modified_has_the_tag_that_was_named() {
    for (sent, told) in [
        ("\"x--br\"", "\"x--br\""),
        ("\"y\", \"x--gzip\"", "\"x--gzip\""),
        ("\"x\"", "\"x\""),
        ("\"x\", \"y--br\"", "\"x\""),
    ] {
        let mut response = reply::new(StatusCode::NOT_MODIFIED, Body::empty());
        response
            .headers_mut()
            .insert(ETAG, HeaderValue::from_static("\"x\""));
        let (wish, _) = wish(&[(IF_NONE_MATCH, sent)]);
        let response = packer_of(1).pack(&wish, Seat::default(), response);
        assert_eq!(header(&response, "etag"), told, "{sent}");
    }
}

#[tokio::test]
async fn one_client_does_not_take_all_places() {
    let guard = Arc::new(Guard::new(&Guarding {
        works_in_flight: 1,
        ..Guarding::default()
    }));
    let packer = Packer::new(2, Labour::start(1, Arc::clone(&guard)).unwrap());
    let (busy, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
    let _in_work = guard.work(guard.seat(busy)).unwrap();
    for (client, coding) in [(busy, ""), (other, "br")] {
        let wish = wish(&[(ACCEPT_ENCODING, "br")]).0;
        let response = packer.pack(&wish, guard.seat(client), answer("text/css", &text()));
        assert_eq!(header(&response, "content-encoding"), coding, "{client}");
    }
}
