//! Nodes for the tests, and waiting for what they do.

use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use ledger::{Amount, PublicKey, SecretKey};
use named::mesh::{Advert, Config, Error, Handler, Limits, Mesh, NetworkKey, Peer, Topic, Verdict};
use prometheus_client::registry::Registry;
use tempfile::TempDir;

pub const CHAIN: &str = "test-1";
/// Far longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A node that is to be started.
pub struct Setup {
    pub config: Config,
    folder: TempDir,
}

/// A running node.
pub struct Node {
    network_key: Option<NetworkKey>,
    pub mesh: Mesh,
    pub ear: Arc<Ear>,
    pub key: SecretKey,
    pub registry: Registry,
    pub folder: TempDir,
}

/// What a node heard, and how it judges by the first word: `bad` is rejected, `dull` is ignored, else accepted. Requests come
/// back reversed; `silence` gets no answer, `size N` gets N bytes.
#[derive(Default)]
pub struct Ear {
    heard: Mutex<Vec<(Topic, PublicKey, Vec<u8>)>>,
    silent: AtomicU64,
}

#[async_trait]
impl Handler for Ear {
    async fn gossip(&self, topic: Topic, from: PublicKey, data: Vec<u8>) -> Verdict {
        self.heard.lock().unwrap().push((topic, from, data.clone()));
        match data.split(|b| *b == b' ').next() {
            Some(b"bad") => Verdict::Reject("it says so itself".into()),
            Some(b"dull") => Verdict::Ignore,
            _ => Verdict::Accept,
        }
    }

    async fn request(&self, _: PublicKey, request: Vec<u8>) -> Vec<u8> {
        if request == b"silence" {
            self.silent.fetch_add(1, Ordering::Relaxed);
            return pending().await;
        }
        if let Some(size) = request.strip_prefix(b"size ") {
            return vec![7; std::str::from_utf8(size).unwrap().parse().unwrap()];
        }
        request.into_iter().rev().collect()
    }
}

impl Ear {
    /// How many requests it left without answer.
    pub fn silent(&self) -> u64 {
        self.silent.load(Ordering::Relaxed)
    }

    /// How often it heard exactly this.
    pub fn count(&self, text: &str) -> usize {
        self.heard
            .lock()
            .unwrap()
            .iter()
            .filter(|(_, _, data)| data == text.as_bytes())
            .count()
    }

    /// Who passed this on, and on which topic.
    pub fn from(&self, text: &str) -> Option<(Topic, PublicKey)> {
        let heard = self.heard.lock().unwrap();
        heard
            .iter()
            .find(|(_, _, data)| data == text.as_bytes())
            .map(|(topic, from, _)| (*topic, *from))
    }
}

/// A node with a key of its own, alone.
pub fn setup() -> Setup {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    let folder = tempfile::tempdir().unwrap();
    let config = Config {
        seed,
        chain_id: CHAIN.into(),
        genesis: ledger::cid_of(b"a genesis"),
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        external: Vec::new(),
        join: Vec::new(),
        seeds: Vec::new(),
        seed_servers: Vec::new(),
        network_key: None,
        peers_file: folder.path().join("peers.txt"),
        providers_file: folder.path().join("providers"),
        limits: Limits::default(),
    };
    Setup { config, folder }
}

impl Setup {
    pub fn join(mut self, other: &Node) -> Self {
        self.config.join.push(other.address());
        self
    }

    pub fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.config.limits);
        self
    }

    pub async fn start(self) -> Node {
        self.try_start().await.unwrap()
    }

    pub async fn try_start(self) -> Result<Node, Error> {
        let (ear, mut registry) = (Arc::new(Ear::default()), Registry::default());
        let key = SecretKey::from_seed(self.config.seed);
        let network_key = self.config.network_key;
        let mesh = Mesh::start(self.config, ear.clone(), &mut registry).await?;
        Ok(Node {
            network_key,
            mesh,
            ear,
            key,
            registry,
            folder: self.folder,
        })
    }
}

/// A node that joins `other`.
pub async fn joined(other: &Node) -> Node {
    setup().join(other).start().await
}

/// As many nodes as asked, all connected to all.
pub async fn crowd<const N: usize>() -> [Node; N] {
    let first = setup().start().await;
    let mut nodes = vec![first];
    while nodes.len() < N {
        nodes.push(joined(&nodes[0]).await);
    }
    let nodes: [Node; N] = nodes.try_into().ok().unwrap();
    until("all know all", || {
        nodes.iter().all(|node| node.mesh.peers().len() == N - 1)
    })
    .await;
    nodes
}

impl Node {
    pub fn network_key(&self) -> Option<NetworkKey> {
        self.network_key
    }

    pub fn id(&self) -> PublicKey {
        self.mesh.node_id()
    }

    pub fn address(&self) -> String {
        self.mesh.addresses().first().unwrap().clone()
    }

    /// The peer id, at the end of the address.
    pub fn peer_id(&self) -> String {
        self.address().rsplit('/').next().unwrap().to_owned()
    }

    pub fn listen(&self) -> SocketAddr {
        let address = self.address();
        let parts: Vec<_> = address.split('/').collect();
        SocketAddr::new(parts[2].parse().unwrap(), parts[4].parse().unwrap())
    }

    /// What this node shows of `other`.
    pub fn peer(&self, other: &Node) -> Option<Peer> {
        self.mesh.peers().into_iter().find(|peer| peer.node == other.id())
    }

    pub fn score(&self, other: &Node) -> i64 {
        self.peer(other).map_or(0, |peer| peer.score)
    }

    /// Why this node refused `peer_id`.
    pub fn refusal(&self, peer_id: &str) -> Option<String> {
        self.mesh
            .refused()
            .into_iter()
            .find(|refused| refused.who == peer_id)
            .map(|refused| refused.reason)
    }

    pub fn peers_file(&self) -> PathBuf {
        self.folder.path().join("peers.txt")
    }

    /// The value of one line of the metrics.
    pub fn metric(&self, line: &str) -> u64 {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        let value = text
            .lines()
            .find_map(|found| found.strip_prefix(line)?.trim().parse().ok());
        value.unwrap_or(0)
    }

    /// Stops it, and sets it up again with the same key, folder and port, joining nobody.
    pub async fn restart(self) -> Setup {
        let listen = self.listen();
        self.mesh.shutdown().await;
        let mut again = setup();
        again.config.seed = self.key.seed();
        again.config.peers_file = self.peers_file();
        again.config.providers_file = self.folder.path().join("providers");
        again.config.listen = listen;
        again.folder = self.folder;
        again
    }
}

/// Waits until something is so; fails after long, and says what was waited for.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// As [`until`], asking again and again.
pub async fn until_async<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let start = Instant::now();
    while !is_so().await {
        assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Milliseconds since 1970.
pub fn now_ms() -> u64 {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    since.as_millis() as u64
}

/// What an edge says of itself, for a minute.
pub fn advert(key: &SecretKey, time_ms: u64, load: u32) -> Advert {
    Advert {
        node: key.public(),
        addresses: vec!["127.0.0.1:4102".parse().unwrap()],
        home_relay: None,
        relay: None,
        payee: key.address(),
        price: Amount::from_units(1_000),
        capacity: 64,
        load,
        height: 1,
        health: 0,
        gateway: None,
        provider: None,
        tls_port: None,
        position: None,
        time_ms,
        until_ms: time_ms + 60_000,
    }
}
