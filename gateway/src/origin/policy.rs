//! What may be kept of an answer, and for how long: RFC 9111 for a shared cache, and `stale-if-error` of RFC 5861. Pure:
//! the time comes in.
//!
//! Readers cannot make a cached page be fetched anew (`no-cache` in a request): its owner pays for each fetch.

use std::time::{Duration, SystemTime};

use http::header::{self, HeaderName};
use http::{HeaderMap, StatusCode};

/// Of the time since its last change, a page that says nothing of its age is fresh for one part in so many.
const HEURISTIC_PART: u32 = 10;
/// The longest time for which a page is fresh that says nothing of its age.
const HEURISTIC_MAX: Duration = Duration::from_secs(24 * 3600);
/// The most seconds that a directive can mean (RFC 9111, 1.2.2).
const SECONDS_MAX: u64 = 1 << 31;

/// For how long an answer is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    /// How long it is fresh, from when it was made; 0 if it must be looked for anew each time.
    lifetime: Duration,
    /// How old it was when it came.
    age: Duration,
    /// When it came.
    received: SystemTime,
    /// How long beyond that it may stand in while the origin is ill.
    stale_if_error: Duration,
}

impl Terms {
    /// The terms of an answer; `None` if it must not be kept.
    pub(super) fn of(
        status: StatusCode,
        headers: &HeaderMap,
        sent: SystemTime,
        received: SystemTime,
    ) -> Option<Self> {
        let said = Directives::of(headers)?;
        let forbidden = said.no_store
            || said.private
            || headers.contains_key(header::SET_COOKIE)
            || headers.contains_key(header::CONTENT_RANGE)
            || varies_by_all(headers);
        if forbidden || !understood(status) {
            return None;
        }
        let date = date(headers, &header::DATE).unwrap_or(received);
        let lifetime = said
            .lifetime(headers, date)
            .or_else(|| heuristic(status, said.public, headers, date))?;
        let strict = said.no_cache || said.must_revalidate || said.s_maxage.is_some();
        Some(Self {
            lifetime: if said.no_cache { Duration::ZERO } else { lifetime },
            age: age(headers, date, sent, received),
            received,
            stale_if_error: match said.stale_if_error {
                Some(Some(seconds)) if !strict => Duration::from_secs(seconds),
                _ => Duration::ZERO,
            },
        })
    }

    /// How old it is.
    pub(super) fn age(&self, now: SystemTime) -> Duration {
        self.age.saturating_add(since(self.received, now))
    }

    /// Whether it may be given without asking.
    pub(super) fn is_fresh(&self, now: SystemTime) -> bool {
        self.age(now) < self.lifetime
    }

    /// Whether it may be given if nothing better can be had.
    pub(super) fn may_stand_in(&self, now: SystemTime) -> bool {
        self.age(now) < self.lifetime.saturating_add(self.stale_if_error)
    }
}

/// RFC 9111, 3: a cache understands what it keeps.
fn understood(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200 | 203 | 204 | 300..=303 | 307 | 308 | 404 | 405 | 410 | 414 | 501
    )
}

/// RFC 9110, 15.1: what may be kept though it says nothing of its age.
fn heuristically_fresh(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501
    )
}

/// How long what says nothing of its age is fresh. Without a date of its last change not at all, but a version can be asked
/// for again.
fn heuristic(status: StatusCode, public: bool, headers: &HeaderMap, date: SystemTime) -> Option<Duration> {
    if !public && !heuristically_fresh(status) {
        return None;
    }
    let changed = self::date(headers, &header::LAST_MODIFIED);
    let part = changed.map(|changed| since(changed, date) / HEURISTIC_PART);
    Some(part.unwrap_or_default().min(HEURISTIC_MAX))
}

/// RFC 9111, 4.2.3.
fn age(headers: &HeaderMap, date: SystemTime, sent: SystemTime, received: SystemTime) -> Duration {
    let value = headers.get(header::AGE).and_then(|value| value.to_str().ok());
    let value = value.and_then(seconds).unwrap_or_default();
    let corrected = Duration::from_secs(value).saturating_add(since(sent, received));
    corrected.max(since(date, received))
}

fn since(earlier: SystemTime, later: SystemTime) -> Duration {
    later.duration_since(earlier).unwrap_or_default()
}

fn varies_by_all(headers: &HeaderMap) -> bool {
    headers.get_all(header::VARY).iter().any(|list| {
        list.as_bytes()
            .split(|byte| *byte == b',')
            .any(|name| name.trim_ascii() == b"*")
    })
}

pub(super) fn date(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()
}

/// Digits; what is more than can be meant is the most that can be.
fn seconds(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX).min(SECONDS_MAX))
}

/// A number of seconds: absent, or given, or given in a way that makes no sense.
type Given = Option<Option<u64>>;

/// What `Cache-Control` says.
#[derive(Debug, Default)]
struct Directives {
    no_store: bool,
    private: bool,
    no_cache: bool,
    must_revalidate: bool,
    public: bool,
    max_age: Given,
    s_maxage: Given,
    stale_if_error: Given,
}

impl Directives {
    /// `None` if it cannot be read: then nothing may be concluded from it.
    fn of(headers: &HeaderMap) -> Option<Self> {
        let mut said = Self::default();
        for list in headers.get_all(header::CACHE_CONTROL) {
            for directive in entries(list.to_str().ok()?)? {
                let (name, value) = match directive.split_once('=') {
                    Some((name, value)) => (name.trim(), Some(value.trim().trim_matches('"'))),
                    None => (directive, None),
                };
                said.take(&name.to_ascii_lowercase(), value);
            }
        }
        Some(said)
    }

    fn take(&mut self, name: &str, value: Option<&str>) {
        match name {
            "no-store" => self.no_store = true,
            // With names of fields, too: these would have to be taken out one by one.
            "private" => self.private = true,
            "no-cache" => self.no_cache = true,
            "must-revalidate" | "proxy-revalidate" => self.must_revalidate = true,
            "public" => self.public = true,
            "max-age" => give(&mut self.max_age, value),
            "s-maxage" => give(&mut self.s_maxage, value),
            "stale-if-error" => give(&mut self.stale_if_error, value),
            _ => {}
        }
    }

    /// What is said of the time for which it is fresh; `None` if nothing is. What makes no sense is no time at all.
    fn lifetime(&self, headers: &HeaderMap, date: SystemTime) -> Option<Duration> {
        if let Some(seconds) = self.s_maxage.or(self.max_age) {
            return Some(Duration::from_secs(seconds.unwrap_or_default()));
        }
        headers.contains_key(header::EXPIRES).then(|| {
            let expires = self::date(headers, &header::EXPIRES);
            expires.map(|expires| since(date, expires)).unwrap_or_default()
        })
    }
}

/// Takes a number; two that differ make no sense.
fn give(place: &mut Given, value: Option<&str>) {
    let value = value.and_then(seconds);
    *place = match *place {
        None => Some(value),
        Some(before) if before == value => Some(value),
        Some(_) => Some(None),
    };
}

/// The entries of a list in which a comma may stand within quotes; `None` if a quote does not end.
fn entries(list: &str) -> Option<Vec<&str>> {
    let (mut found, mut quoted, mut from) = (Vec::new(), false, 0);
    for (at, byte) in list.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b',' if !quoted => {
                found.push(&list[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    found.push(&list[from..]);
    let found = found.into_iter().map(str::trim).filter(|entry| !entry.is_empty());
    (!quoted).then(|| found.collect())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn now() -> SystemTime {
        NOW + Duration::from_secs(1_700_000_000)
    }

    /// `Date`, `Expires` and `Last-Modified` are given in seconds from now.
    fn map(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            let value = match (*name, value.parse::<i64>()) {
                ("date" | "expires" | "last-modified", Ok(offset)) => {
                    let at = now().checked_add(Duration::from_secs(offset.max(0) as u64));
                    let at = at.unwrap() - Duration::from_secs((-offset).max(0) as u64);
                    httpdate::fmt_http_date(at)
                }
                _ => (*value).to_owned(),
            };
            map.append(*name, HeaderValue::from_str(&value).unwrap());
        }
        map
    }

    fn terms(status: u16, pairs: &[(&'static str, &str)]) -> Option<Terms> {
        Terms::of(StatusCode::from_u16(status).unwrap(), &map(pairs), now(), now())
    }

    #[test]
    fn what_must_not_be_kept_is_not() {
        for pairs in [
            &[("cache-control", "no-store")][..],
            &[("cache-control", "max-age=60, No-Store")],
            &[("cache-control", "PRIVATE, max-age=60")],
            &[("cache-control", "private=\"set-cookie, x\", max-age=60")],
            &[("cache-control", "max-age=60"), ("cache-control", "no-store")],
            &[("cache-control", "max-age=60, x=\"open")],
            &[("cache-control", "max-age=60, \u{e9}")],
            &[("cache-control", "max-age=60"), ("set-cookie", "a=1")],
            &[("cache-control", "public, max-age=60"), ("set-cookie", "a=1")],
            &[("cache-control", "max-age=60"), ("vary", "*")],
            &[("cache-control", "max-age=60"), ("vary", "accept, *")],
            &[("cache-control", "max-age=60"), ("content-range", "bytes 0-1/2")],
        ] {
            assert_eq!(terms(200, pairs), None, "{pairs:?}");
        }
        for status in [206, 304, 401, 403, 500, 502, 503] {
            assert_eq!(
                terms(status, &[("cache-control", "max-age=60")]),
                None,
                "{status}"
            );
        }
        assert_eq!(terms(302, &[]), None);
        assert!(terms(302, &[("cache-control", "max-age=60")]).is_some());
        assert!(terms(404, &[]).is_some());
    }

    #[test]
    fn how_long_it_is_fresh() {
        for (pairs, seconds) in [
            (&[("cache-control", "max-age=60")][..], 60),
            (&[("cache-control", "max-age=60, s-maxage=10")], 10),
            (&[("cache-control", "MAX-AGE=\"60\"")], 60),
            (&[("cache-control", "max-age=60"), ("expires", "999")], 60),
            (&[("cache-control", "max-age=60, max-age=60")], 60),
            (&[("cache-control", "max-age=60, max-age=61")], 0),
            (&[("cache-control", "max-age=-1")], 0),
            (&[("cache-control", "max-age")], 0),
            (&[("cache-control", "max-age=99999999999999999999")], SECONDS_MAX),
            (&[("cache-control", "max-age=60, no-cache")], 0),
            (&[("cache-control", "max-age=60, no-cache=\"x\"")], 0),
            (&[("expires", "30"), ("date", "0")], 30),
            (&[("expires", "0"), ("date", "0")], 0),
            (&[("expires", "never")], 0),
            (&[("date", "0"), ("last-modified", "-1000")], 100),
            (&[("date", "0"), ("last-modified", "-100000000")], 86_400),
            (&[("date", "0"), ("last-modified", "1000")], 0),
            (&[], 0),
        ] {
            let lifetime = terms(200, pairs).map(|terms| terms.lifetime.as_secs());
            assert_eq!(lifetime, Some(seconds), "{pairs:?}");
        }
    }

    #[test]
    fn how_old_it_is() {
        let later = now() + Duration::from_secs(5);
        for (pairs, age) in [
            (&[("date", "0")][..], 5),
            (&[("date", "0"), ("age", "7")], 12),
            (&[("date", "-20"), ("age", "7")], 25),
            (&[("date", "100"), ("age", "x")], 5),
            (&[("age", "99999999999999999999")], SECONDS_MAX + 5),
        ] {
            let terms = terms(200, pairs).unwrap();
            assert_eq!(terms.age(later).as_secs(), age, "{pairs:?}");
        }
        let slow = Terms::of(
            StatusCode::OK,
            &map(&[("cache-control", "max-age=6")]),
            now(),
            later,
        )
        .unwrap();
        assert_eq!(slow.age(later).as_secs(), 5);
        assert!(slow.is_fresh(later) && !slow.is_fresh(later + Duration::from_secs(1)));
    }

    #[test]
    fn what_is_stale_stands_in_only_if_that_was_said() {
        for (control, stands_in) in [
            ("max-age=10, stale-if-error=60", true),
            ("max-age=10", false),
            ("max-age=10, stale-if-error=5", false),
            ("max-age=10, stale-if-error=60, must-revalidate", false),
            ("max-age=10, stale-if-error=60, proxy-revalidate", false),
            ("s-maxage=10, stale-if-error=60", false),
            ("no-cache, stale-if-error=60", false),
        ] {
            let terms = terms(200, &[("cache-control", control)]).unwrap();
            let later = now() + Duration::from_secs(20);
            assert!(!terms.is_fresh(later));
            assert_eq!(terms.may_stand_in(later), stands_in, "{control}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_safe(control in "[ -~]{0,60}", age in "[ -~]{0,24}", date in "[ -~]{0,40}") {
            let headers = map(&[("cache-control", &control), ("age", &age), ("date", &date), ("expires", &date)]);
            if let Some(terms) = Terms::of(StatusCode::OK, &headers, now(), now()) {
                terms.is_fresh(now() + Duration::from_secs(u64::from(u32::MAX)));
                prop_assert!(!control.to_ascii_lowercase().split(',').any(|word| word.trim() == "no-store"));
            }
        }
    }
}
