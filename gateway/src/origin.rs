//! Site acceleration: a name with an `origin` record, and without content, is served from that HTTP site through a cache.
//!
//! Who asks for what is public: cookies and credentials go neither way, nothing but `GET` and `HEAD` is passed on, and no
//! body. What the cache does not tell apart, the origin does not see (`head`). So no reader can change what another one gets.
//!
//! Whoever holds a name chooses its origin, so the gateway trusts neither. Only public addresses are connected to, and the
//! address that was checked is the one (`address`, `connect`). Redirects are given to the reader, never followed. The
//! origin must have agreed (`consent`). Each request has a connection of its own, and an answer that could mean two things
//! is refused (`exchange`, `head`). Bodies are passed on as they are, undecoded, as long as they say, and held only up to a
//! bound (`fetch`, `store`); of many who want the same, one asks (`flight`). How long an answer is kept is RFC 9111 (`policy`). The name's owner pays for what readers
//! get (`meter`): a body ends where the money does.

mod address;
mod connect;
mod consent;
mod download;
mod exchange;
mod fault;
mod fetch;
mod flight;
mod head;
mod meter;
mod policy;
mod respond;
mod store;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, Response};
use hyper::body::Body as _;
use ledger::{Address, Origin};
use rustls_pki_types::CertificateDer;
use tokio::sync::Semaphore;

use crate::body::Body;
use crate::problem::Problem;
use connect::Connector;
pub use connect::{Looked, Lookup, SystemLookup, verifying};
use consent::Consents;
pub(crate) use consent::token;
use exchange::{Exchanges, Places};
use fault::Fault;
use flight::{Coming, Flights, How, Parts};
pub use meter::{Free, Meter, Meters};
use store::{Kept, Stored};

/// The longest path and query that is passed on.
const TARGET_BYTES_MAX: usize = 8 << 10;
/// Of the cache's size, one part in so many may be on its way into it.
const COMING_PART: usize = 4;
/// The unit in which that is counted.
const COMING_UNIT: u64 = 1 << 10;

/// What an operator can set about origins.
#[derive(Clone, Debug)]
pub struct OriginLimits {
    /// Addresses that may be connected to though they are not public. Default none.
    pub allow: Vec<SocketAddr>,
    /// Certificates (DER) that are trusted besides those of the system. Default none.
    pub roots: Vec<CertificateDer<'static>>,
    /// Bytes of memory for answers. Default 64 MiB.
    pub cache_bytes_max: usize,
    /// Bytes of the largest answer that is kept; larger ones are passed on. Default 4 MiB.
    pub answer_bytes_max: u64,
    /// Requests to origins at once, downloads of large answers included; a quarter of them to one origin. Each holds a
    /// connection and about 100 KiB. Default 64.
    pub requests_max: usize,
    /// How long an origin may take for the head of an answer, and for each part of its body. Default 15 s.
    pub patience: Duration,
}

impl Default for OriginLimits {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            roots: Vec::new(),
            cache_bytes_max: 64 << 20,
            answer_bytes_max: 4 << 20,
            requests_max: 64,
            patience: Duration::from_secs(15),
        }
    }
}

/// What a gateway needs of a node to serve the sites of origins.
#[derive(Clone)]
pub struct OriginBackend {
    /// How their names become addresses.
    pub lookup: Arc<dyn Lookup>,
    /// Who pays.
    pub meters: Arc<dyn Meters>,
}

/// A name that is served from an origin.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    /// The whole name.
    pub name: String,
    /// Where it is.
    pub origin: Origin,
    /// By what it consents.
    pub token: Option<String>,
    /// Who pays.
    pub owner: Address,
}

/// Headers that go with each request which is made to answer one.
pub(crate) type Marks = Vec<(HeaderName, HeaderValue)>;

/// What a reader asks of a site.
#[derive(Clone, Debug)]
pub(crate) struct Want {
    /// `HEAD`.
    pub head: bool,
    /// Path and query, as the reader sent them.
    pub target: String,
    /// The reader's headers.
    pub headers: HeaderMap,
    /// What is said of the request itself: through whom it came, this gateway included, and its number.
    pub marks: Marks,
    /// Whether only what is cached may be given.
    pub only_if_cached: bool,
}

/// Serves sites from their origins; a clone shares everything.
#[derive(Clone)]
pub(crate) struct Origins(Arc<Shared>);

struct Shared {
    exchanges: Exchanges,
    consents: Consents,
    kept: Kept,
    flights: Arc<Flights>,
    meters: Arc<dyn Meters>,
    answer_bytes_max: u64,
    /// Room for bodies that are on their way into the cache.
    coming: Arc<Semaphore>,
}

/// An answer for one reader.
enum Got {
    Stored(Arc<Stored>, How),
    Coming(Arc<Coming>),
    /// The head as readers get it, and the body as it comes.
    Piped(http::response::Parts, Parts),
}

impl Origins {
    pub(crate) fn new(limits: &OriginLimits, backend: OriginBackend) -> Self {
        let OriginBackend { lookup, meters } = backend;
        let answer_bytes_max = limits.answer_bytes_max.min(limits.cache_bytes_max as u64 / 8);
        let coming = (limits.cache_bytes_max / COMING_PART) as u64 / COMING_UNIT;
        Self(Arc::new(Shared {
            exchanges: Exchanges {
                connector: Connector::new(lookup, limits.allow.clone(), limits.roots.clone()),
                places: Places::new(limits.requests_max),
                patience: limits.patience,
            },
            consents: Consents::new(),
            kept: Kept::new(limits.cache_bytes_max),
            flights: Arc::default(),
            meters,
            answer_bytes_max,
            coming: Arc::new(Semaphore::new(coming as usize)),
        }))
    }

    /// Answers a request for a site.
    pub(crate) async fn answer(&self, site: Site, want: &Want) -> Result<Response<Body>, Problem> {
        let site = Arc::new(site);
        let got = self.serve(&site, want).await;
        got.map_err(|fault| {
            tracing::info!(name = site.name, origin = %site.origin, ?fault, "an origin was not served");
            fault.problem(&site)
        })
    }

    async fn serve(&self, site: &Arc<Site>, want: &Want) -> Result<Response<Body>, Fault> {
        if want.target.len() > TARGET_BYTES_MAX {
            return Err(Fault::TooLong);
        }
        self.0
            .consents
            .check(site, &want.marks, &self.0.exchanges)
            .await?;
        let (shared, owner) = (Arc::clone(&self.0), site.owner);
        let opened = tokio::task::spawn_blocking(move || shared.meters.open(&owner)).await;
        let meter = opened.unwrap_or_else(|_| Err("the books cannot be read".into()));
        let meter = meter.map_err(Fault::Unpaid)?;
        let got = self.page(site, want).await?;
        let answer = respond::respond(want, got, SystemTime::now());
        let length = answer.body().size_hint().exact();
        if length.is_some_and(|length| !meter.covers(length)) {
            return Err(Fault::Unpaid(
                "what is left of it does not pay for this page".into(),
            ));
        }
        Ok(answer.map(|body| body.metered(meter)))
    }
}

impl Got {
    fn headers(&self) -> &HeaderMap {
        match self {
            Self::Stored(stored, _) => &stored.headers,
            Self::Coming(coming) => &coming.headers,
            Self::Piped(head, _) => &head.headers,
        }
    }
}
