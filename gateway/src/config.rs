//! What an operator can set.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::acme::Acme;
use crate::door::Allowance;
use crate::guard::Guarding;
use crate::journal::AccessLog;
use crate::origin::OriginLimits;
use crate::tls::Certificates;

/// The settings of a gateway.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen: `gateway.listen`. Port 0 takes a free one. Default `127.0.0.1:8080`.
    pub listen: SocketAddr,
    /// The gateway's own host names, without ports. On them content has paths (`/ipfs/…`, `/ipns/…`); below them are
    /// sites (`alice.ddn.localhost`, `CID.ipfs.localhost`). Default `localhost`, which browsers resolve by themselves
    /// with everything below it.
    pub hosts: Vec<String>,
    /// Domains of the public DNS under which the chain's names are sites too: with `ddn.example`, `alice.ddn.example` is
    /// `alice.ddn`. Default none.
    pub alias_zones: Vec<String>,
    /// Domains and the content paths that they point to, before the DNS is asked: `gateway.dnslinks`. Default none.
    pub dnslinks: BTreeMap<String, String>,
    /// Threads that connections live on; 0 stands for one per core. Default 0.
    pub workers: usize,
    /// Bytes of blocks and answers that are kept in memory. Default 128 MiB: several thousand pages of sites, and little
    /// beside what a node takes anyway. 0 keeps none.
    pub memory_bytes: u64,
    /// The face for other nodes.
    pub provider: ProviderFace,
    /// The encrypted listener, if there is one.
    pub tls: Option<Tls>,
    /// What the gateway may be made to hold.
    pub limits: Limits,
    /// What one client may do.
    pub guarding: Guarding,
    /// Denylists in the compact format of IPFS: files, and folders whose `.deny` files count. They are read again when
    /// they change. Default: none.
    pub denylists: Vec<PathBuf>,
    /// The access log. Default: none.
    pub access_log: Option<AccessLog>,
    /// Whether readers of pages are sent on to the edge that should serve them (307): `gateway.nearest_redirect`. Default no.
    pub sends_on: bool,
    /// What sites of origins may take.
    pub origins: OriginLimits,
    /// What the node says of itself at `/.well-known/ddn/node`.
    pub card: Card,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            hosts: vec!["localhost".into()],
            alias_zones: Vec::new(),
            dnslinks: BTreeMap::new(),
            workers: 0,
            memory_bytes: 128 << 20,
            provider: ProviderFace::default(),
            tls: None,
            limits: Limits::default(),
            guarding: Guarding::default(),
            denylists: Vec::new(),
            access_log: None,
            sends_on: false,
            origins: OriginLimits::default(),
            card: Card::default(),
        }
    }
}

/// The face for other nodes, which gives single blocks and fetches nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderFace {
    /// A listener of its own; none by default. Port 0 takes a free one.
    pub listen: Option<SocketAddr>,
    /// Names under which it is found on the gateway's listeners.
    pub hosts: Vec<String>,
    /// What each network prefix may have, free as it is. Default 1 MiB a second, and 64 MiB at once.
    pub allowance: Allowance,
}

impl Default for ProviderFace {
    fn default() -> Self {
        Self {
            listen: None,
            hosts: Vec::new(),
            allowance: Allowance {
                bytes_per_s: 1 << 20,
                burst_bytes: 64 << 20,
            },
        }
    }
}

/// The encrypted listener: HTTP/1.1 and HTTP/2 over TCP, HTTP/3 over UDP.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Where to listen: `gateway.tls_listen`. Port 0 takes one that is free for both.
    pub listen: SocketAddr,
    /// What it shows to clients.
    pub certificates: Certificates,
    /// What certificates to obtain beside those. Default none.
    pub acme: Option<Acme>,
    /// Whether it speaks HTTP/3 on the same port over UDP, and tells others of it: `gateway.http3`. Default true.
    pub http3: bool,
    /// Which plain requests are sent to it. Default none.
    pub redirect: Redirect,
}

impl Tls {
    /// With the defaults.
    #[must_use]
    pub fn new(listen: SocketAddr, certificates: Certificates) -> Self {
        Self {
            listen,
            certificates,
            acme: None,
            http3: true,
            redirect: Redirect::Off,
        }
    }
}

/// Which plain requests are sent to the encrypted listener. Only such for hosts that a certificate names, since others
/// would be sent to a warning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Redirect {
    /// None.
    #[default]
    Off,
    /// All but those for `localhost` and names below it, which are secure as they are.
    On,
    /// All.
    All,
}

/// Bounds on what clients can make the gateway hold. Each has its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open connections. One that waits costs about 1 KiB, the system's 8 KiB and a file descriptor; more are answered 503 and closed.
    /// Default 4096.
    pub connections_max: usize,
    /// Open connections from one network (/24, /56), so that nobody takes all. A proxy in front is one network: then it
    /// should be as high as `connections_max`. Default 1024.
    pub connections_per_prefix_max: usize,
    /// Requests at once on one connection of HTTP/2 or HTTP/3. A browser asks for some hundred things at the start of a
    /// page and is served as well in two rounds. Default 100, which RFC 9113 (section 6.5.2) recommends as the least.
    pub connection_requests_max: usize,
    /// Requests in flight, slow downloads included. Each holds at most one block of 1 MiB (2 MiB from foreign importers)
    /// for a reader that does not keep up; more are answered 503 with `Retry-After`. Default 1024.
    pub requests_max: usize,
    /// Answers in flight that are longer than a block. Each holds up to three blocks for a reader that does not keep up,
    /// and the addresses of the blocks that come next: 768 MiB at most with blocks of 1 MiB. More are answered 503 with
    /// `Retry-After`. Default 256.
    pub streams_max: usize,
    /// Listings that are made at the same time: each takes some milliseconds of a processor and, with all its rows,
    /// some MiB. More are answered 503 with `Retry-After`. Default 16.
    pub listings_max: usize,
    /// Reads that wait for blocks from other nodes. Each occupies one of the runtime's blocking threads (512 by default)
    /// for as long as the others take, up to the timeout of the block source; half of the threads are left to reads of
    /// what is here, which so never wait for a slow node. Of more, those that have not begun to answer are answered 503
    /// with `Retry-After`, the others wait for their turn without a thread. It should be well below `requests_max`, so
    /// that slow requests do not take all places. Default 256.
    pub fetches_max: usize,
    /// CAR streams in flight. Each remembers which blocks it has sent, at about 200 bytes a block; more are answered
    /// 503. Default 64.
    pub cars_max: usize,
    /// How long it is remembered that nobody has a block; zero for not at all. Default 5 s: long enough for a page that
    /// asks for it a hundred times, and soon over when somebody publishes it.
    pub absent_ttl: Duration,
    /// Large files of which more is fetched while readers take parts of them, each with a place among the fetches; 0 for
    /// none. Default 4.
    pub fills_max: usize,
    /// Answers that are compressed at the same time, each with some 4 MiB; what is beyond goes out as it is, 0 for all.
    /// Default 8.
    pub compressions_max: usize,
    /// Other gateways and networks that a request may have come through, as `CDN-Loop` lists them (RFC 8586); more are
    /// answered 508. Default 3.
    pub hops_max: usize,
    /// Rows of one page of a generated listing. A row takes about 600 bytes of the page, which is made in memory; entries
    /// beyond are on the next pages. Default 2,000: more makes a telephone slow, and nobody reads so many.
    pub listing_entries_max: usize,
    /// Bytes of a request's head; a longer one is answered 431. Browsers send at most 16 KiB of cookies and a URL.
    /// Default 32 KiB, at least 8 KiB.
    pub head_bytes_max: usize,
    /// How long a client may take for the head of a request, and how long a connection may lie idle before the next:
    /// a client that trickles its request cannot keep a place for longer. Default 30 s.
    pub head_timeout: Duration,
    /// How long a request may wait for the head of its answer; then it is answered 504. It should be longer than what the
    /// block source waits for one block, so that a reader is told who did not give it. Default 60 s.
    pub first_byte_timeout: Duration,
    /// How long a body may wait for its next part, for a place among the fetches included; then it is cut, and its reader
    /// sees that it is short. Default 60 s.
    pub silence_timeout: Duration,
    /// How long an answer may take in all, so that no client keeps its place for ever by taking little. Default 1 h.
    pub request_timeout: Duration,
    /// How long a client may take less than 16 KiB of an answer before the connection is cut. A slow line is well served
    /// with this: it has to take 270 bytes a second. Default 60 s.
    pub stall_timeout: Duration,
    /// How long answers in flight may take to end when the gateway shuts down; then they are cut. Default 10 s.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 4096,
            connections_per_prefix_max: 1024,
            connection_requests_max: 100,
            requests_max: 1024,
            streams_max: 256,
            listings_max: 16,
            fetches_max: 256,
            cars_max: 64,
            absent_ttl: Duration::from_secs(5),
            fills_max: 4,
            compressions_max: 8,
            hops_max: 3,
            listing_entries_max: 2_000,
            head_bytes_max: 32 << 10,
            head_timeout: Duration::from_secs(30),
            first_byte_timeout: Duration::from_secs(60),
            silence_timeout: Duration::from_secs(60),
            request_timeout: Duration::from_secs(3600),
            stall_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(10),
        }
    }
}

/// What a node says of itself to anybody. The chain's top-level name and height are added at each request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Card {
    /// Program and version, `ddn/0.1.0`.
    pub software: String,
    /// The node's public identity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_id: Option<String>,
    /// The chain that the node follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chain_id: Option<String>,
    /// The domains whose hosts it serves beside those of its chain: gateway hosts and alias zones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<String>,
}

impl Default for Card {
    fn default() -> Self {
        Self {
            software: concat!("ddn/", env!("CARGO_PKG_VERSION")).into(),
            node_id: None,
            chain_id: None,
            domains: Vec::new(),
        }
    }
}
