//! Receipts: what was delivered, signed by who delivered it.
//!
//! Of an answer of the gateway: who sends `Prefer: receipt` (RFC 7240) gets a link with the answer, and behind it, once the
//! answer has ended, the node's signature over what it sent. It is kept for some minutes, for as many answers as there is
//! room for. Of a delivery between nodes: the receipt by its id, which only the two of them know; once a claim has taken
//! it to the ledger, with the proof of that. `ddn chain verify` checks either.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cid::Cid;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use hyper::body::Body as _;
use ledger::{Hash, Link, Message, PublicKey};
use serde::{Deserialize, Serialize};

use super::{Doors, Node, cbor, is_head, only_read, unreadable};
use crate::body::{Body, Onlooker};
use crate::escape;
use crate::problem::Problem;
use crate::reply;

/// Receipts that are kept, those of answers in hand included; the oldest make room. Each has some hundred bytes.
const KEPT_MAX: usize = 4096;
/// How long a receipt is kept.
const KEPT_FOR: Duration = Duration::from_secs(600);
/// The longest path that a receipt repeats, in bytes; of a longer one there is none.
const PATH_BYTES_MAX: usize = 2048;
const PREFER: HeaderName = HeaderName::from_static("prefer");
const APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// What a node says that it sent to one reader, over HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Served {
    /// Which answer: a number that only the reader was told.
    pub id: Hash,
    /// Who sent it, which must be the signer.
    pub node: PublicKey,
    /// What was asked, `/ipns/alice.ddn/style.css`.
    pub path: String,
    /// What that was.
    pub content: Link,
    /// Bytes of the body that were handed to the reader's connection.
    pub bytes: u64,
    /// Whether the body came to its end.
    pub complete: bool,
    /// The ledger's height at which the path led there.
    pub height: u64,
    /// When the answer began, in milliseconds since 1970.
    pub time_ms: u64,
    /// When it ended.
    pub until_ms: u64,
}

impl Served {
    /// The largest encoding of a signed one, in bytes.
    pub const BYTES_MAX: usize = 2 * PATH_BYTES_MAX;
}

impl Message for Served {
    const DOMAIN: &'static str = "ddn/served/1";
}

/// The receipts of the answers of late.
pub(super) struct Kept {
    node: Arc<dyn Node>,
    shelf: Mutex<Shelf>,
}

#[derive(Default)]
struct Shelf {
    served: HashMap<Hash, Served>,
    /// The same in the order in which they came, with the time from which on they are kept no more.
    order: VecDeque<(Hash, Instant)>,
}

impl Kept {
    pub(super) fn new(node: Arc<dyn Node>) -> Self {
        Self {
            node,
            shelf: Mutex::default(),
        }
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    fn put(&mut self, served: Served, now: Instant) {
        self.clear(now);
        while self.order.len() >= KEPT_MAX {
            self.drop_oldest();
        }
        self.order.push_back((served.id, now + KEPT_FOR));
        self.served.insert(served.id, served);
    }

    fn get(&mut self, id: &Hash, now: Instant) -> Option<Served> {
        self.clear(now);
        self.served.get(id).cloned()
    }

    fn clear(&mut self, now: Instant) {
        while self.order.front().is_some_and(|(_, until)| *until <= now) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((id, _)) = self.order.pop_front() {
            self.served.remove(&id);
        }
    }
}

/// Sees an answer go out, and leaves its receipt when that is over.
struct Witness {
    kept: Arc<Kept>,
    served: Served,
    /// The bytes that were announced, if they were: whoever sends them asks for no more.
    announced: Option<u64>,
}

impl Onlooker for Witness {
    fn sent(&mut self, bytes: usize) {
        self.served.bytes += bytes as u64;
        self.served.complete |= Some(self.served.bytes) == self.announced;
    }

    fn ended(&mut self) {
        self.served.complete = true;
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.served.until_ms = now_ms();
        self.kept.shelf().put(self.served.clone(), Instant::now());
    }
}

impl Doors {
    /// The same answer, with a receipt if the reader wants one and if it is content.
    pub(super) fn witnessed(&self, asked: &HeaderMap, response: Response<Body>) -> Response<Body> {
        match wants_receipt(asked).then(|| self.witness(&response)).flatten() {
            Some(witness) => with(response, witness),
            None => response,
        }
    }

    fn witness(&self, response: &Response<Body>) -> Option<Witness> {
        let headers = response.headers();
        let text = |name| headers.get(name)?.to_str().ok();
        let is_content = matches!(response.status(), StatusCode::OK | StatusCode::PARTIAL_CONTENT);
        let path = text(reply::X_IPFS_PATH).filter(|path| is_content && path.len() <= PATH_BYTES_MAX)?;
        let content = text(reply::X_IPFS_ROOTS)?.rsplit(',').next()?;
        let mut id = [0; 32];
        getrandom::fill(&mut id).ok()?;
        let served = Served {
            id: Hash(id),
            node: self.node.myself().node,
            path: path.to_owned(),
            content: Link(Cid::try_from(content).ok()?),
            bytes: 0,
            complete: response.body().is_end_stream(),
            height: self.names.height(),
            time_ms: now_ms(),
            until_ms: 0,
        };
        let kept = Arc::clone(&self.receipts);
        let announced = headers.get(header::CONTENT_LENGTH);
        Some(Witness {
            kept,
            served,
            announced: announced.and_then(|length| length.to_str().ok()?.parse().ok()),
        })
    }

    pub(super) async fn receipt(&self, id: &str, asked: &Parts) -> Result<Response<Body>, Problem> {
        if let Some(answer) = only_read(asked)? {
            return Ok(answer);
        }
        let hash: Hash = id
            .parse()
            .map_err(|_| Problem::bad_request(format!("{id:?} is no receipt: give its id, 64 hex digits")))?;
        let found = self.blocking(move |doors| doors.find(&hash)).await?;
        let receipt = found.ok_or_else(|| Problem::no_receipt(id))?;
        Ok(cbor(receipt, &format!("{id}.receipt"), is_head(asked)))
    }

    fn find(&self, id: &Hash) -> Result<Option<Vec<u8>>, Problem> {
        if let Some(served) = self.receipts.shelf().get(id, Instant::now()) {
            return Ok(Some(self.receipts.node.sign(served).encode()));
        }
        let delivery = self.node.delivery(id);
        delivery.map_err(|error| unreadable("the receipt of a delivery", &error))
    }
}

fn with(mut response: Response<Body>, witness: Witness) -> Response<Body> {
    let link = format!(
        "</.well-known/ddn/receipt/{}>; rel=\"urn:ddn:receipt\"; type=\"application/cbor\"",
        witness.served.id
    );
    let headers = response.headers_mut();
    headers.append(header::LINK, escape::header(&link));
    headers.insert(APPLIED, HeaderValue::from_static("receipt"));
    // The link is for this reader: nobody else should get it from a cache.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.map(|body| body.seen_by(Box::new(witness)))
}

/// `Prefer: receipt`, among other preferences maybe.
fn wants_receipt(asked: &HeaderMap) -> bool {
    let values = asked.get_all(PREFER).iter();
    let mut preferences = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','));
    preferences.any(|preference| preference.trim().eq_ignore_ascii_case("receipt"))
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::{SecretKey, Signed};

    /// Handed out to readers: these bytes must stay.
    const FIXTURE: &str = include_str!("../../tests/it/fixtures/served.hex");

    fn served(number: u16) -> Served {
        let mut id = [0; 32];
        id[..2].copy_from_slice(&number.to_be_bytes());
        Served {
            id: Hash(id),
            node: SecretKey::from_seed([7; 32]).public(),
            path: "/ipns/alice.ddn/style.css".into(),
            content: Link(ledger::cid_of(b"style")),
            bytes: 18,
            complete: true,
            height: 7,
            time_ms: 1_800_000_000_000,
            until_ms: 1_800_000_000_005,
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_fixture() {
        let key = SecretKey::from_seed([7; 32]);
        let signed = Signed::sign(served(1), "dev-1", &key);
        let text: String = signed.encode().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(text, FIXTURE.trim());
        assert!(signed.verify("dev-1") && !signed.verify("dev-2"));
    }

    #[test]
    fn the_longest_fits() {
        let longest = Served {
            path: "x".repeat(PATH_BYTES_MAX),
            bytes: u64::MAX,
            height: u64::MAX,
            time_ms: u64::MAX,
            until_ms: u64::MAX,
            ..served(0)
        };
        let signed = Signed::sign(longest, "dev-1", &SecretKey::from_seed([7; 32]));
        assert!(signed.encode().len() <= Served::BYTES_MAX);
    }

    #[test]
    fn what_is_kept_is_bounded_in_number_and_time() {
        let (mut shelf, now) = (Shelf::default(), Instant::now());
        for number in 0..=u16::try_from(KEPT_MAX).expect("a small bound") {
            shelf.put(served(number), now);
        }
        assert_eq!((shelf.served.len(), shelf.order.len()), (KEPT_MAX, KEPT_MAX));
        assert_eq!(shelf.get(&served(0).id, now), None);
        assert_eq!(shelf.get(&served(1).id, now), Some(served(1)));
        assert_eq!(shelf.get(&served(1).id, now + KEPT_FOR), None);
        assert!(shelf.served.is_empty());
    }

    #[test]
    fn preferences() {
        for (value, wanted) in [
            ("receipt", true),
            ("respond-async, Receipt", true),
            ("receipts", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(PREFER, HeaderValue::from_static(value));
            assert_eq!(wants_receipt(&headers), wanted, "{value}");
        }
    }
}
