//! What is kept, what of it counts, and for whom.

use std::sync::LazyLock;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use ledger::{Label, NameEntry};
use named::dap::{NamesError, Tlds};
use storage::{BlockSource, Error, SharedBlocks};

use super::*;

struct Source(AtomicU64);

struct Nothing;

impl Blocks for Nothing {
    fn block(&self, _cid: &Cid) -> Result<Option<Bytes>, Error> {
        Ok(None)
    }
}

impl BlockSource for Source {
    fn below(&self, _root: &Cid) -> SharedBlocks {
        self.here()
    }

    fn here(&self) -> SharedBlocks {
        Arc::new(Nothing)
    }

    fn removed(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

struct Heights(AtomicU64);

impl Names for Heights {
    fn tlds(&self) -> &Tlds {
        static TLDS: LazyLock<Tlds> = LazyLock::new(|| Tlds::of("ddn"));
        &TLDS
    }

    fn height(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    fn entry(&self, _label: &Label) -> Result<Option<NameEntry>, NamesError> {
        Ok(None)
    }
}

struct World {
    fast: Fast,
    source: Arc<Source>,
    names: Arc<Heights>,
}

fn world() -> World {
    let source = Arc::new(Source(AtomicU64::new(0)));
    let names = Arc::new(Heights(AtomicU64::new(1)));
    let fast = Fast::new(1 << 20, source.clone(), names.clone());
    World { fast, source, names }
}

fn asked<'a>(target: &'a str, headers: &[(&'a str, &'a str)]) -> Asked<'a> {
    let headers = headers.iter().map(|(name, value)| (*name, value.as_bytes()));
    let host = [("Host", &b"localhost"[..])].into_iter();
    Asked::read(Way::default(), target.as_bytes(), host.chain(headers)).expect("a usual request")
}

fn answer(basis: Basis, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::whole(text));
    response.extensions_mut().insert(basis);
    let headers = response.headers_mut();
    headers.insert(header::ETAG, HeaderValue::from_static("\"x\""));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(text.len()));
    response
}

fn body(found: Option<Found>) -> Option<Bytes> {
    match found?.sent {
        Sent::Bytes(bytes) => Some(bytes),
        _ => None,
    }
}

#[test]
fn an_answer_is_for_who_asks_the_same() {
    let World { fast, .. } = world();
    let plain = asked("/a", &[("accept", "text/html")]);
    fast.keep(&plain, &answer(fast.basis(Cid::default(), None), "a"));
    assert_eq!(body(fast.find(&plain)).as_deref(), Some(&b"a"[..]));
    for other in [
        asked("/b", &[("accept", "text/html")]),
        asked("/a", &[("accept", "text/plain")]),
        asked("/a", &[]),
        asked("/a", &[("accept", "text/html"), ("accept-encoding", "br")]),
        asked("/a", &[("accept", "text/html"), ("if-none-match", "\"x\"")]),
        asked("/a", &[("accept", "text/html"), ("range", "bytes=0-0")]),
    ] {
        assert!(fast.find(&other).is_none(), "{other:?}");
    }
    let same = asked(
        "/a",
        &[
            ("cookie", "a=b"),
            ("ACCEPT", "text/html"),
            ("if-none-match", "\"y\""),
        ],
    );
    assert!(
        fast.find(&same).is_none(),
        "another version is a question of the usual path"
    );
    let same = asked("/a", &[("cookie", "a=b"), ("ACCEPT", "text/html")]);
    assert!(fast.find(&same).is_some());
}

#[test]
fn an_answer_counts_until_something_is_removed() {
    let World { fast, source, .. } = world();
    let asked = asked("/a", &[]);
    let before = fast.basis(Cid::default(), None);
    fast.keep(&asked, &answer(before.clone(), "a"));
    source.0.fetch_add(1, Ordering::SeqCst);
    assert!(fast.find(&asked).is_none());
    fast.keep(&asked, &answer(before, "a"));
    assert!(fast.find(&asked).is_none(), "it was begun before");
    fast.keep(&asked, &answer(fast.basis(Cid::default(), None), "a"));
    assert!(fast.find(&asked).is_some());
    fast.forget();
    assert!(fast.find(&asked).is_none());
}

#[test]
fn a_name_is_read_again_after_each_block() {
    let World { fast, names, .. } = world();
    let (one, two) = (asked("/1", &[]), asked("/2", &[]));
    let root = Cid::default();
    for asked in [one, two] {
        fast.keep(&asked, &answer(fast.basis(root, Some(("alice.ddn", 1))), "a"));
    }
    assert!(fast.find(&one).is_some());
    names.0.store(2, Ordering::SeqCst);
    assert!(fast.find(&one).is_none());
    // Whoever reads the name, reads it for all of its pages.
    fast.keep(&one, &answer(fast.basis(root, Some(("alice.ddn", 2))), "a"));
    assert!(fast.find(&one).is_some() && fast.find(&two).is_some());
    // Somebody was slow, and tells what was so before.
    fast.basis(root, Some(("alice.ddn", 1)));
    assert!(fast.find(&two).is_some());
}

#[test]
fn the_heads_of_one_answer_come_together() {
    let World { fast, .. } = world();
    let basis = fast.basis(Cid::default(), None);
    let (whole, part) = (asked("/a", &[]), asked("/a", &[("range", "bytes=1-2")]));
    let mut partial = answer(basis.clone(), "bc");
    *partial.status_mut() = StatusCode::PARTIAL_CONTENT;
    partial
        .headers_mut()
        .insert(header::CONTENT_RANGE, HeaderValue::from_static("bytes 1-2/4"));
    fast.keep(&part, &partial);
    assert!(fast.find(&part).is_none(), "what the whole is was not seen");
    fast.keep(&whole, &answer(basis.clone(), "abcd"));
    fast.keep(&part, &partial);
    assert_eq!(body(fast.find(&part)).as_deref(), Some(&b"bc"[..]));
    let tail = asked("/a", &[("range", "bytes=-1"), ("if-range", "\"x\"")]);
    assert_eq!(body(fast.find(&tail)).as_deref(), Some(&b"d"[..]));
    for (name, value) in [("range", "bytes=9-"), ("range", "x"), ("if-range", "\"x\"")] {
        assert!(
            fast.find(&asked("/a", &[(name, value)])).is_none(),
            "{name}: {value}"
        );
    }
    let mut unchanged = answer(basis, "");
    *unchanged.status_mut() = StatusCode::NOT_MODIFIED;
    let known = asked("/a", &[("if-none-match", "\"x\""), ("range", "bytes=0-0")]);
    fast.keep(&known, &unchanged);
    let found = fast.find(&known).expect("a 304");
    assert_eq!(found.status(), StatusCode::NOT_MODIFIED);
    assert!(matches!(found.sent, Sent::Nothing));
}

#[test]
fn what_is_of_one_moment_is_not_kept() {
    let World { fast, .. } = world();
    let asked = asked("/a", &[]);
    let of = |name, value| {
        let mut response = answer(fast.basis(Cid::default(), None), "a");
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
        response
    };
    for response in [
        of(header::SET_COOKIE, "a=b"),
        of(header::RETRY_AFTER, "1"),
        of(header::CONTENT_LENGTH, "7"),
    ] {
        fast.keep(&asked, &response);
        assert!(fast.find(&asked).is_none());
    }
    let mut without = of(header::VARY, "Accept");
    without.extensions_mut().clear();
    fast.keep(&asked, &without);
    assert!(
        fast.find(&asked).is_none(),
        "it is not known to follow from content"
    );
}
