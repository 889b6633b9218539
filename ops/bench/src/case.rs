//! What is measured: a load, the servers that bear it, and what is hoped for.

use serde::{Deserialize, Serialize};

/// One comparison.
#[derive(Clone, Debug)]
pub struct Case {
    /// The row of the plan.
    pub row: &'static str,
    /// What it is about, in a few words.
    pub name: &'static str,
    /// What the clients do.
    pub load: Load,
    /// Who is measured beside the node.
    pub peers: &'static [Peer],
    /// The ratios that the node should reach at least.
    pub goals: &'static [(Peer, f64)],
}

/// What the clients do.
#[derive(Clone, Copy, Debug)]
pub enum Load {
    /// `wrk`: each connection asks for the same file again and again.
    Wrk {
        file: &'static str,
        connections: usize,
        tls: bool,
    },
    /// Our own client of HTTP/1.1, which costs less than `wrk`.
    Light { file: &'static str, connections: usize },
    /// `wrk`: 64 KiB from a random place of the large file.
    Ranges { connections: usize },
    /// `h2load`: HTTP/2 over TLS.
    H2 {
        file: &'static str,
        connections: usize,
        streams: usize,
    },
    /// HTTP/3.
    H3 {
        file: &'static str,
        connections: usize,
        streams: usize,
    },
    /// One connection reads the large file.
    Stream,
    /// Connections that ask once and stay.
    Idle { connections: usize, tls: bool },
}

/// A server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Peer {
    /// The node.
    Node,
    /// The floor.
    Floor,
    /// The floor with the node's headers in its answers.
    FloorSame,
    /// nginx with `sendfile`.
    NginxSendfile,
    /// nginx without.
    Nginx,
    Varnish,
    Caddy,
    /// A DNS server.
    Nsd,
    /// Another.
    Knot,
    /// The node's own DNS server with 1,000 names.
    FewNames,
    /// A node that asks no price.
    Free,
    /// A BitTorrent client.
    Libtorrent,
    /// A copy by TCP.
    Tcp,
    /// A node with the other congestion control.
    Cubic,
    /// A node whose providers are all well.
    Healthy,
}

impl Peer {
    pub fn name(self) -> &'static str {
        match self {
            Self::Node => "ddn",
            Self::Floor => "floor",
            Self::FloorSame => "floor, same bytes",
            Self::NginxSendfile => "nginx, sendfile on",
            Self::Nginx => "nginx, sendfile off",
            Self::Varnish => "varnish",
            Self::Caddy => "caddy",
            Self::Nsd => "nsd",
            Self::Knot => "knot",
            Self::FewNames => "ddn with 1,000 names",
            Self::Free => "ddn, for nothing",
            Self::Libtorrent => "libtorrent",
            Self::Tcp => "TCP",
            Self::Cubic => "ddn with Cubic",
            Self::Healthy => "ddn, all four well",
        }
    }
}

/// One measurement.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Measured {
    /// Requests, or bytes where one request is many, in a second. Of idle connections: KiB for each.
    pub rate: f64,
    /// Processor time of the server for each request, or for each MiB, in microseconds.
    pub cpu_us: f64,
    /// Latencies in microseconds, where the client tells them.
    pub p50_us: Option<f64>,
    pub p99_us: Option<f64>,
    /// Memory of the server afterwards.
    pub pss_kib: u64,
    /// Questions that got no answer. Of datagrams only.
    #[serde(default)]
    pub lost: u64,
    /// Which part of the time the client was busy, where it is a process for each round. At 1 the rate is the client's.
    #[serde(default)]
    pub client: Option<f64>,
}

/// What one case has come to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    pub row: String,
    pub name: String,
    pub what: String,
    pub unit: Unit,
    /// By round, then by server.
    pub rounds: Vec<Vec<(Peer, Measured)>>,
    /// Rounds that were left out, since the floor was off by more than 15 %.
    pub dropped: usize,
    /// Rounds that were measured although the machine was busy.
    pub disturbed: usize,
    pub goals: Vec<(Peer, f64)>,
    /// Of processor time.
    #[serde(default)]
    pub goals_cpu: Vec<(Peer, f64)>,
    /// Of the median latency: at most so many times the other's.
    #[serde(default)]
    pub goals_p50: Vec<(Peer, f64)>,
    /// Of the 99th percentile: at most so many times the other's.
    #[serde(default)]
    pub goals_p99: Vec<(Peer, f64)>,
    pub seconds: f64,
    pub profile: String,
    pub machine: crate::machine::Machine,
}

/// What a rate counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unit {
    Requests,
    Bytes,
    /// Of slower lines.
    Megabytes,
    /// Less is better.
    KibPerConnection,
    /// Less is better.
    BytesPerName,
}

impl Load {
    pub fn unit(&self) -> Unit {
        match self {
            Self::Idle { .. } => Unit::KibPerConnection,
            Self::Stream => Unit::Bytes,
            Self::Wrk { file, .. } | Self::H2 { file, .. } | Self::H3 { file, .. } if is_long(file) => {
                Unit::Bytes
            }
            _ => Unit::Requests,
        }
    }

    /// In words, for the page.
    pub fn words(&self) -> String {
        match self {
            Self::Wrk {
                file,
                connections,
                tls,
            } => {
                let tls = if *tls { " over TLS 1.3" } else { "" };
                format!("`wrk -t1 -c{connections}`{tls}, {file}")
            }
            Self::Light { file, connections } => {
                format!("own client, which only counts what comes, {connections} connections, {file}")
            }
            Self::Ranges { connections } => format!("`wrk -t1 -c{connections}`, 64 KiB at a random byte"),
            Self::H2 {
                file,
                connections,
                streams,
            } => format!("`h2load -t1 -c{connections} -m{streams}` over TLS 1.3, {file}"),
            Self::H3 {
                file,
                connections,
                streams,
            } => {
                format!("own client of quinn and h3, {connections} connections of {streams} requests, {file}")
            }
            Self::Stream => "one connection, read by 1 MiB".into(),
            Self::Idle { connections, tls } => {
                let tls = if *tls { " of TLS" } else { "" };
                format!(
                    "{connections} connections{tls}, each after one request, beside those of the rounds before"
                )
            }
        }
    }
}

/// Whether what counts is how many bytes come.
fn is_long(file: &str) -> bool {
    file.ends_with("m.bin") || file == "100k.bin"
}
