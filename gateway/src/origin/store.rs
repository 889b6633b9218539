//! Answers that are kept: in memory, bounded by bytes, told apart by what their page varies by.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, StatusCode};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::head::Selected;
use super::policy::Terms;

/// What an entry takes besides its body, its head and its key, about.
const ENTRY_BYTES: u64 = 512;
/// How long it is remembered that a page is not kept, so that its readers do not wait for each other.
const PASS_FOR: Duration = Duration::from_secs(30);
/// Bytes of an entry of middling size, to make room for about as many as there will be.
const MIDDLING_BYTES: usize = 16 << 10;

/// A page of a site: the name and the origin that it has now, so that nothing stays when either changes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Page {
    pub site: Arc<str>,
    pub target: Arc<str>,
}

/// One of its variants.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Variant {
    pub page: Page,
    pub selected: Selected,
}

/// An answer that is kept.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub status: StatusCode,
    /// As readers get them.
    pub headers: HeaderMap,
    pub body: Bytes,
    pub terms: Terms,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Page(Page),
    Variant(Variant),
}

#[derive(Clone)]
enum Entry {
    /// What a page varies by.
    Varies(Arc<[HeaderName]>),
    Answer(Arc<Stored>),
    /// It is not kept, as was seen then.
    Pass(Instant),
}

/// What is known of a variant.
pub(super) enum Known {
    /// Nothing.
    Nothing,
    /// An answer, fresh or not.
    Answer(Arc<Stored>),
    /// It is not kept.
    Pass,
}

/// The cache.
pub(super) struct Kept(Cache<Key, Entry, Weight>);

impl Kept {
    /// Of at most so many bytes.
    pub(super) fn new(bytes_max: usize) -> Self {
        let entries = (bytes_max / MIDDLING_BYTES).max(16);
        Self(Cache::with_weighter(entries, bytes_max as u64, Weight))
    }

    /// What a page varies by, as far as that is known.
    pub(super) fn varies(&self, page: &Page) -> Arc<[HeaderName]> {
        match self.0.get(&Key::Page(page.clone())) {
            Some(Entry::Varies(names)) => names,
            _ => Arc::from([]),
        }
    }

    /// Learns what a page varies by, besides what was known.
    pub(super) fn learn(&self, page: &Page, more: &[HeaderName]) {
        let known = self.varies(page);
        if more.iter().all(|name| known.contains(name)) {
            return;
        }
        let mut names: Vec<HeaderName> = known.iter().chain(more).cloned().collect();
        names.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        names.dedup();
        self.0
            .insert(Key::Page(page.clone()), Entry::Varies(names.into()));
    }

    /// What is known of a variant.
    pub(super) fn look(&self, variant: &Variant) -> Known {
        match self.0.get(&Key::Variant(variant.clone())) {
            Some(Entry::Answer(stored)) => Known::Answer(stored),
            Some(Entry::Pass(at)) if at.elapsed() < PASS_FOR => Known::Pass,
            _ => Known::Nothing,
        }
    }

    pub(super) fn keep(&self, variant: &Variant, stored: Arc<Stored>) {
        self.0
            .insert(Key::Variant(variant.clone()), Entry::Answer(stored));
    }

    /// The variant is not kept: whoever asks next need not wait to see that.
    pub(super) fn pass(&self, variant: &Variant) {
        self.0
            .insert(Key::Variant(variant.clone()), Entry::Pass(Instant::now()));
    }
}

impl Stored {
    /// By what the origin is asked whether it has changed.
    pub(super) fn validators(&self) -> Vec<(HeaderName, HeaderValue)> {
        let pairs = [
            (header::ETAG, header::IF_NONE_MATCH),
            (header::LAST_MODIFIED, header::IF_MODIFIED_SINCE),
        ];
        let value = |(from, to): (HeaderName, HeaderName)| Some((to, self.headers.get(from)?.clone()));
        pairs.into_iter().filter_map(value).collect()
    }

    /// The same body under the head that a 304 brought (RFC 9111, 3.2); `None` if it must not be kept any more, or was of
    /// another version. `said` is the head as it came, `shown` what of it is for readers.
    pub(super) fn renewed(
        &self,
        said: &HeaderMap,
        shown: &HeaderMap,
        sent: SystemTime,
        received: SystemTime,
    ) -> Option<Self> {
        let other = |name: HeaderName| {
            said.get(&name)
                .is_some_and(|value| Some(value) != self.headers.get(&name))
        };
        if other(header::ETAG) {
            return None;
        }
        let (mut headers, mut all) = (self.headers.clone(), self.headers.clone());
        for (into, from) in [(&mut headers, shown), (&mut all, said)] {
            for name in from.keys().filter(|name| !BODY.contains(name)) {
                into.remove(name);
                from.get_all(name).iter().for_each(|value| {
                    into.append(name, value.clone());
                });
            }
        }
        // What was old then says nothing of now.
        if !said.contains_key(header::AGE) {
            headers.remove(header::AGE);
            all.remove(header::AGE);
        }
        Some(Self {
            terms: Terms::of(self.status, &all, sent, received)?,
            headers,
            ..self.clone()
        })
    }
}

/// Fields that speak of the body of the message that they stand in.
const BODY: [HeaderName; 4] = [
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::CONTENT_TYPE,
    header::CONTENT_RANGE,
];

/// Entries by the bytes that they hold.
#[derive(Clone)]
struct Weight;

impl Weighter<Key, Entry> for Weight {
    fn weight(&self, key: &Key, entry: &Entry) -> u64 {
        let key = match key {
            Key::Page(page) => page.bytes(),
            Key::Variant(variant) => {
                variant.page.bytes() + pairs(variant.selected.iter().map(|(n, v)| (n, v)))
            }
        };
        let entry = match entry {
            Entry::Varies(_) | Entry::Pass(_) => 0,
            Entry::Answer(stored) => stored.body.len() + pairs(&stored.headers),
        };
        ENTRY_BYTES + (key + entry) as u64
    }
}

impl Page {
    fn bytes(&self) -> usize {
        self.site.len() + self.target.len()
    }
}

fn pairs<'a>(headers: impl IntoIterator<Item = (&'a HeaderName, &'a HeaderValue)>) -> usize {
    let pair = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + 32;
    headers.into_iter().map(pair).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(target: &str) -> Page {
        Page {
            site: "shop.ddn https://example.com".into(),
            target: target.into(),
        }
    }

    fn variant(target: &str) -> Variant {
        Variant {
            page: page(target),
            selected: vec![],
        }
    }

    fn stored(bytes: usize) -> Arc<Stored> {
        let now = SystemTime::now();
        let mut headers = HeaderMap::new();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=60"));
        headers.insert(header::ETAG, HeaderValue::from_static("\"1\""));
        Arc::new(Stored {
            status: StatusCode::OK,
            terms: Terms::of(StatusCode::OK, &headers, now, now).unwrap(),
            headers,
            body: Bytes::from(vec![0; bytes]),
        })
    }

    #[test]
    fn it_holds_no_more_than_it_may() {
        let kept = Kept::new(1 << 20);
        for number in 0..1000 {
            kept.keep(&variant(&format!("/{number}")), stored(10_000));
        }
        assert!(kept.0.weight() <= 1 << 20, "{}", kept.0.weight());
        assert!(kept.0.len() > 10);
        // Small things count too.
        for number in 0..100_000 {
            kept.pass(&variant(&format!("/{number}")));
        }
        assert!(kept.0.len() <= (1 << 20) / ENTRY_BYTES as usize);
    }

    #[test]
    fn what_a_page_varies_by_is_added_up() {
        let kept = Kept::new(1 << 20);
        assert!(kept.varies(&page("/")).is_empty());
        kept.learn(&page("/"), &[header::ORIGIN]);
        kept.learn(&page("/"), &[header::ACCEPT]);
        kept.learn(&page("/"), &[header::ORIGIN]);
        assert_eq!(*kept.varies(&page("/")), [header::ACCEPT, header::ORIGIN]);
        assert!(kept.varies(&page("/a")).is_empty());
    }

    #[test]
    fn no_change_brings_new_terms_and_keeps_the_body() {
        let (old, now) = (stored(5), SystemTime::now());
        let said = |name: HeaderName, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            headers
        };
        let renew = |headers: &HeaderMap| old.renewed(headers, headers, now, now);
        let renewed = renew(&said(header::CACHE_CONTROL, "max-age=9")).unwrap();
        assert_eq!(
            (renewed.body.len(), &renewed.headers[header::CACHE_CONTROL]),
            (5, &HeaderValue::from_static("max-age=9"))
        );
        assert!(renew(&said(header::ETAG, "\"1\"")).is_some());
        assert!(renew(&said(header::ETAG, "\"2\"")).is_none());
        assert!(renew(&said(header::CACHE_CONTROL, "no-store")).is_none());
        assert!(renew(&said(header::SET_COOKIE, "a=1")).is_none());
        assert!(
            !renew(&said(header::CONTENT_LENGTH, "9"))
                .unwrap()
                .headers
                .contains_key(header::CONTENT_LENGTH)
        );
    }
}
