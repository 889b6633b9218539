//! Domains of the public DNS that lead to content: by DNSLink (<https://dnslink.dev>), or by a CNAME to a name of ours.
//!
//! For `www.example.org` the first of these counts:
//!
//! 1. a TXT record `dnslink=/ipfs/…` or `dnslink=/ipns/…` at `_dnslink.www.example.org`;
//! 2. a CNAME of `www.example.org` that leads to a name of the ledger, `alice.ddn` or `alice.ddn.example`: as that name,
//!    so that a change on the ledger is seen at once;
//! 3. such a TXT record at `www.example.org` itself.
//!
//! Names that are ours by themselves (below the TLD or an alias zone) ask nobody. Everything else asks name servers that
//! the operator has set, and nothing but them: only TXT and CNAME records are read, and no address that an answer has is
//! ever spoken to.
//!
//! An answer is kept for the time that it states, absence too, within bounds; a failure for moments, so that servers that
//! are ill are not asked by each request. Who asks for the same domain at the same time shares one question. An answer
//! that has run out is given while it is asked for anew, and for an hour while the servers fail (RFC 8767). How many ask
//! and wait at once is bounded, and so is how many domains are known.

mod known;
pub(crate) mod resolver;
mod text;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::net::NetError;
use quick_cache::sync::Cache;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::dap::{Tlds, Zones};
use known::{Answer, Known};
pub use text::is_public;

/// The settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The name servers to ask, over UDP and TCP; empty takes those of this machine.
    pub servers: Vec<SocketAddr>,
    /// Domains of the public DNS under which the chain's names are served too: with `ddn.example`,
    /// `alice.ddn.example` is `alice.ddn`.
    pub alias_zones: Vec<String>,
    /// Who may wait for name servers at once; each occupies a thread for as long as they take.
    pub lookups_max: usize,
    /// Domains that are known at once, with what they lead to: some 300 bytes each.
    pub known_max: usize,
    /// How long the name servers have for an answer.
    pub timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            alias_zones: Vec::new(),
            lookups_max: 64,
            known_max: 16_384,
            timeout: Duration::from_secs(4),
        }
    }
}

/// Where a domain leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// `/ipfs/CID…` or `/ipns/NAME…`, as the record says it.
    pub path: String,
    /// How much longer this may be kept. Nothing for names of ours, which may change with each block.
    pub ttl: Duration,
}

/// Why it is not known where a domain leads.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The name servers gave no answer.
    #[error("looking up {domain} in the DNS: {reason}")]
    Unanswered {
        /// Which domain.
        domain: String,
        /// What they did instead.
        reason: String,
    },
    /// More wait for name servers than may.
    #[error("looking up {domain} in the DNS: too many domains are being looked up at once; try again soon")]
    Busy {
        /// Which domain.
        domain: String,
    },
    /// The settings give no name server.
    #[error("the name servers of this machine cannot be read: {reason}")]
    NoServers {
        /// Why.
        reason: String,
    },
}

/// Looks domains up. A clone shares everything.
#[derive(Clone)]
pub struct DnsLinks(Arc<Shared>);

struct Shared {
    resolver: TokioResolver,
    ours: Zones,
    known: Cache<String, Arc<Known>>,
    places: Semaphore,
    timeout: Duration,
    runtime: Handle,
}

/// What the name servers said, and for how long it holds.
struct Said<T> {
    what: Option<T>,
    ttl: Duration,
}

impl DnsLinks {
    /// Reads the settings; asks nobody yet. Needs a running tokio runtime, on which questions are asked from then on.
    /// `tlds` are those of the ledgers' names.
    ///
    /// # Errors
    /// [`Error::NoServers`] if the machine's name servers are wanted and it does not say them.
    pub fn new(config: &Config, tlds: &Tlds) -> Result<Self, Error> {
        let resolver = resolver::open(&config.servers, config.timeout).map_err(|error| Error::NoServers {
            reason: error.to_string(),
        })?;
        Ok(Self(Arc::new(Shared {
            resolver,
            ours: Zones::new(tlds, &config.alias_zones),
            known: Cache::new(config.known_max),
            places: Semaphore::new(config.lookups_max),
            timeout: config.timeout,
            runtime: Handle::current(),
        })))
    }

    /// Where `domain` leads, if anywhere. Blocks while the name servers are asked, so it is not to be called from
    /// asynchronous code.
    ///
    /// # Errors
    /// Nobody answered, or too many wait for answers.
    pub fn find_blocking(&self, domain: &str) -> Result<Option<Link>, Error> {
        self.0.runtime.block_on(self.find(domain))
    }

    /// Where `domain` leads, if anywhere.
    ///
    /// # Errors
    /// Nobody answered, or too many wait for answers.
    pub async fn find(&self, domain: &str) -> Result<Option<Link>, Error> {
        let domain = domain.strip_suffix('.').unwrap_or(domain).to_ascii_lowercase();
        if let Some(name) = self.0.ours.name(&domain) {
            return Ok(Some(link(&format!("/ipns/{name}"), Duration::ZERO)));
        }
        if !is_public(&domain) {
            return Ok(None);
        }
        let (path, left) = self.0.find(&domain).await?;
        Ok(path.map(|path| link(&path, left)))
    }
}

fn link(path: &str, ttl: Duration) -> Link {
    Link {
        path: path.to_owned(),
        ttl,
    }
}

impl Shared {
    /// The path, and how much longer it holds.
    async fn find(&self, domain: &str) -> Result<Answer, Error> {
        let new = || Ok::<_, Infallible>(Arc::default());
        let Ok(known) = self.known.get_or_insert_with(domain, new);
        loop {
            if let Some(fresh) = known.fresh(Instant::now()) {
                return fresh;
            }
            let asking = known.asking.try_lock();
            let Ok(_place) = self.places.try_acquire() else {
                let busy = || Error::Busy {
                    domain: domain.to_owned(),
                };
                return known.stale(Instant::now()).ok_or_else(busy);
            };
            if asking.is_ok() {
                let said = self.ask(domain).await;
                return known.learn(said, Instant::now());
            }
            if let Some(stale) = known.stale(Instant::now()) {
                return Ok(stale);
            }
            drop(known.asking.lock().await);
        }
    }

    async fn ask(&self, domain: &str) -> Result<Said<String>, Error> {
        let unanswered = |reason: String| Error::Unanswered {
            domain: domain.to_owned(),
            reason,
        };
        let asked = tokio::time::timeout(self.timeout, self.look_up(domain)).await;
        let said = match asked {
            Ok(asked) => asked.map_err(|error| unanswered(error.to_string())),
            Err(_) => Err(unanswered(format!("no answer within {:?}", self.timeout))),
        };
        said.inspect_err(|error| tracing::info!(%error, "a domain could not be looked up"))
    }

    /// All three at once; of their answers the first that leads somewhere counts, and it counts only as long as those
    /// before it say nothing.
    async fn look_up(&self, domain: &str) -> Result<Said<String>, NetError> {
        let marked = format!("_dnslink.{domain}.");
        let own = format!("{domain}.");
        let (marked, alias, own) = tokio::join!(
            resolver::link(&self.resolver, &marked),
            resolver::alias(&self.resolver, &own, &self.ours),
            resolver::link(&self.resolver, &own),
        );
        let mut ttl = Duration::MAX;
        for said in [marked, alias, own] {
            let said = said?;
            ttl = ttl.min(said.ttl);
            if said.what.is_some() {
                return Ok(Said { ttl, ..said });
            }
        }
        Ok(Said { what: None, ttl })
    }
}
