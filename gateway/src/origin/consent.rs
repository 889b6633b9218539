//! Consent: nobody serves a site under a name that the site does not want.
//!
//! The owner of the name writes `ddn-origin=TOKEN` among its texts. The site shows that it knows of it by the line
//! `NAME TOKEN` in its file `/.well-known/ddn-origin`: the name is there so that a token, which everybody can read on the
//! ledger, is of no use under another name. Nothing else is fetched from an origin before that.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use http_body_util::{BodyExt, Limited};
use quick_cache::sync::Cache;

use super::exchange::Exchanges;
use super::fault::Fault;
use super::head;
use super::{Marks, Site};

/// Where an origin says to which names it consents.
pub(super) const PATH: &str = "/.well-known/ddn-origin";
/// What the text of a name starts with.
const PREFIX: &str = "ddn-origin=";
/// The most bytes of the file: some hundred names.
const FILE_BYTES_MAX: usize = 64 << 10;
/// The most characters of a token.
const TOKEN_MAX: usize = 128;
/// How long a yes holds. A site that takes it back is served no longer than this.
const YES_FOR: Duration = Duration::from_secs(300);
/// How long a no holds, so that its owner soon sees the change.
const NO_FOR: Duration = Duration::from_secs(10);
/// How long a yes holds, looked for again and again, while the origin is ill.
const ILL_FOR: Duration = Duration::from_secs(3600);
/// Sites whose consent is remembered.
const SITES_MAX: usize = 10_000;

/// The token among the texts of a name.
pub(crate) fn token(texts: &[String]) -> Option<String> {
    let token = texts.iter().find_map(|text| text.strip_prefix(PREFIX))?.trim();
    let plain = !token.is_empty() && token.len() <= TOKEN_MAX && token.bytes().all(|b| b.is_ascii_graphic());
    plain.then(|| token.to_owned())
}

/// Whether a file of this text has the line of a name.
fn consents(file: &[u8], name: &str, token: &str) -> bool {
    let wanted = [name.as_bytes(), token.as_bytes()];
    file.split(|byte| *byte == b'\n').any(|line| {
        let words = line
            .split(|byte| byte.is_ascii_whitespace())
            .filter(|word| !word.is_empty());
        words.eq(wanted)
    })
}

/// What was found out of consents.
pub(super) struct Consents(Cache<(String, String, String), Arc<Found>>);

/// What one origin said of one name.
struct Found {
    verdict: Result<(), Fault>,
    /// When it was last said in so many words.
    said: Instant,
    until: Instant,
}

impl Consents {
    pub(super) fn new() -> Self {
        Self(Cache::new(SITES_MAX))
    }

    /// Whether a site may be served. Of many who ask at once, one looks.
    pub(super) async fn check(&self, site: &Site, marks: &Marks, exchanges: &Exchanges) -> Result<(), Fault> {
        let token = site.token.clone().ok_or(Fault::NoToken)?;
        let key = (site.name.clone(), site.origin.to_string(), token);
        let mut before = None;
        loop {
            match self.0.get_value_or_guard_async(&key).await {
                Ok(found) if Instant::now() < found.until => return found.verdict.clone(),
                Ok(found) => {
                    self.0.remove_if(&key, |now| Arc::ptr_eq(now, &found));
                    before = Some(found);
                }
                Err(place) => {
                    let found = Arc::new(look(site, &key.2, marks, exchanges, before.as_deref()).await);
                    // Somebody else has put in the same.
                    let _ = place.insert(Arc::clone(&found));
                    return found.verdict.clone();
                }
            }
        }
    }
}

/// Asks the origin. While it is ill, an earlier yes holds on for a while.
async fn look(
    site: &Site,
    token: &str,
    marks: &Marks,
    exchanges: &Exchanges,
    before: Option<&Found>,
) -> Found {
    let (verdict, now) = (ask(site, token, marks, exchanges).await, Instant::now());
    let kept = before.filter(|before| before.verdict.is_ok() && now < before.said + ILL_FOR);
    match (verdict, kept) {
        (Err(fault), Some(before)) if fault.is_illness() || fault == Fault::Busy => Found {
            verdict: Ok(()),
            said: before.said,
            until: now + NO_FOR,
        },
        (verdict, _) => Found {
            until: match verdict {
                Ok(()) => now + YES_FOR,
                // That says nothing of the origin.
                Err(Fault::Busy) => now,
                Err(_) => now + NO_FOR,
            },
            said: now,
            verdict,
        },
    }
}

async fn ask(site: &Site, token: &str, marks: &Marks, exchanges: &Exchanges) -> Result<(), Fault> {
    let request = head::request(site, &Method::GET, PATH, marks);
    let reply = exchanges.send(&site.origin, request).await?;
    if reply.head.status.is_server_error() {
        return Err(Fault::Unreachable(format!("it answers {}", reply.head.status)));
    }
    if reply.head.status != StatusCode::OK {
        return Err(Fault::NoConsent(format!("it answers {}", reply.head.status)));
    }
    let body = Limited::new(reply.body, FILE_BYTES_MAX).collect();
    let body = tokio::time::timeout(exchanges.patience, body)
        .await
        .map_err(|_| Fault::Slow)?;
    let file = body.map_err(|_| Fault::NoConsent("its file cannot be read, or is too long".into()))?;
    match consents(&file.to_bytes(), &site.name, token) {
        true => Ok(()),
        false => Err(Fault::NoConsent("its file does not name it".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_token_is_one_plain_word() {
        let of = |texts: &[&str]| token(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&["hello", "ddn-origin=abc"]).as_deref(), Some("abc"));
        assert_eq!(of(&["ddn-origin= abc "]).as_deref(), Some("abc"));
        for none in [
            &["hello"][..],
            &[],
            &["ddn-origin="],
            &["ddn-origin=a b"],
            &["ddn-origin=ü"],
        ] {
            assert_eq!(of(none), None, "{none:?}");
        }
        assert_eq!(of(&[&format!("ddn-origin={}", "a".repeat(129))]), None);
    }

    #[test]
    fn the_file_has_a_line_of_name_and_token() {
        let file = b"# who may\r\nshop.ddn abc\r\n  docs.shop.ddn\tabc  \nother.ddn xyz";
        for (name, token, expected) in [
            ("shop.ddn", "abc", true),
            ("docs.shop.ddn", "abc", true),
            ("other.ddn", "xyz", true),
            ("shop.ddn", "xyz", false),
            ("evil.ddn", "abc", false),
            ("shop.ddn", "ab", false),
            ("#", "who", false),
        ] {
            assert_eq!(consents(file, name, token), expected, "{name} {token}");
        }
        assert!(!consents(b"", "shop.ddn", "abc"));
        assert!(!consents(b"abc", "shop.ddn", "abc"));
        assert!(!consents(b"shop.ddn abc more", "shop.ddn", "abc"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_safe(file: Vec<u8>, name in "[a-z.]{1,20}", token in "[!-~]{1,20}") {
            consents(&file, &name, &token);
            let mut with = file;
            with.extend(format!("\n{name} {token}\n").into_bytes());
            prop_assert!(consents(&with, &name, &token));
        }
    }
}
