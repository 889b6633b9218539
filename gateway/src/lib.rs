//! The HTTP edge: content by path, by name and by host name, for browsers and for IPFS clients.
//!
//! A request is decided in three steps. `ask` reads its head: pure, every rule a row in a table of tests. `desk` looks
//! the content up and makes the answer; it blocks on disks, so it runs on the runtime's blocking threads. `body` sends
//! what it found, block by block, as fast as the client takes it and no faster.
//!
//! What it serves: `/ipfs/CID/…`, `/ipns/NAME/…`, `NAME.ddn`, `NAME.ddn.localhost`, `CID.ipfs.localhost`,
//! `KEY.ipns.localhost`, and domains that point here by DNSLink. Names are read from the ledger's state at each request
//! and never cached, so a change is seen with the next request; records of keys and domains hold as long as they say.
//! Content by CID cannot change and may be cached for ever. On the gateway's own host names a path leads to a host of its
//! own, since browsers keep sites apart by hosts; on its addresses it is served as it is.
//!
//! What was answered lately is answered from memory (`fast`), before any of this, and on the thread that has the
//! connection.
//!
//! Where a site has a host of its own, it may say more than its files do (`site`): what is served where there is nothing,
//! and which headers go with it. Nowhere else: there it would speak for its neighbours.
//!
//! What takes a processor for long, such as listings and compression, is done by threads that give way to all others
//! (`labour`), so that it delays nobody but those who asked for it.
//!
//! Besides content it has doors (`door`): delegated routing and single blocks for IPFS clients, DNS over HTTPS, the nearest
//! edge, proofs and receipts.
//!
//! A name without content may have an origin: an HTTP site that is served through a cache (`origin`).
//!
//! Content that is not here is read through the [`BlockSource`](storage::BlockSource), which may wait for other nodes.
//! So each read is tried first with what is here (`trail`), and only one that needs more waits, in a place of a bounded
//! number (`fetches`): a page that is here comes at once, however many others are fetched. The first byte goes out as
//! soon as the first block is here. What nobody has is a 404, what nobody gave in time a 504 that says who did what;
//! `only-if-cached`, an entity tag that the path alone tells, the look at a file's first bytes for its media type: none
//! of them fetches.

// `cargo fuzz` sets `fuzzing`.
#![allow(unexpected_cfgs)]

mod absent;
mod acme;
mod ask;
mod backend;
mod body;
mod config;
mod deny;
mod desk;
mod domains;
mod door;
mod escape;
mod fast;
mod fetches;
mod fill;
mod flights;
mod fresh;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod guard;
mod journal;
mod labour;
mod media;
mod metrics;
mod origin;
mod pac;
mod pace;
mod pack;
mod page;
mod problem;
mod reply;
mod server;
mod site;
mod tls;
mod trail;

pub use absent::Upstream;
pub use acme::Acme;
pub use backend::Backend;
pub use config::{Card, Config, Limits, ProviderFace, Redirect, Tls};
pub use deny::DenyError;
pub use domains::{Dnslink, DomainError, Domains};
pub use door::{Allowance, Neighbour, Node, Ranked, Served, Unreadable};
pub use guard::{Guarding, Network};
pub use journal::{AccessLog, Style};
pub use metrics::InFlight;
pub use origin::{Free, Looked, Lookup, Meter, Meters, OriginBackend, OriginLimits, SystemLookup, verifying};
pub use server::{Error, Gateway};
pub use tls::{CertificateError, CertificateFiles, Certificates};
