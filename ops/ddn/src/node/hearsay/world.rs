//! For tests: real meshes on loopback. What the ledger says of who is an edge, the test says.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ledger::{PublicKey, SecretKey, cid_of};
use named::mesh::{Config, Handler, Limits, Mesh};
use prometheus_client::registry::Registry;
use tempfile::TempDir;

use super::Entry;

pub const CHAIN: &str = "test-1";
pub const HEIGHT: u64 = 7;
/// Far longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

/// Nodes 1 and 2 are of one operator, 3 to 19 of others, and 20 and above are no edges.
pub fn entry(node: &PublicKey) -> Entry {
    let seed = (1..20).find(|seed| key(*seed).public() == *node);
    Entry {
        height: HEIGHT,
        owner: seed.map(|seed| key(100 + u8::max(seed, 2)).address()),
    }
}

/// Starts a mesh, and the folder that it uses.
pub async fn mesh(
    key: &SecretKey,
    join: &[&Mesh],
    handler: Arc<dyn Handler>,
    registry: &mut Registry,
) -> (Mesh, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let config = Config {
        seed: key.seed(),
        chain_id: CHAIN.into(),
        genesis: cid_of(b"a genesis"),
        listen: (Ipv4Addr::LOCALHOST, 0).into(),
        external: Vec::new(),
        join: join.iter().map(|mesh| mesh.addresses()[0].clone()).collect(),
        seeds: Vec::new(),
        seed_servers: Vec::new(),
        network_key: None,
        peers_file: folder.path().join("peers.txt"),
        providers_file: folder.path().join("providers"),
        limits: Limits::default(),
    };
    let mesh = Mesh::start(config, handler, registry).await;
    (mesh.expect("a mesh"), folder)
}

pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What a counter of [`super::Fates`] says.
pub fn count(registry: &Registry, name: &str, fate: &str) -> u64 {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry).expect("metrics");
    let line = format!("{name}_total{{fate=\"{fate}\"}} ");
    let value = text
        .lines()
        .find_map(|found| found.strip_prefix(&line)?.parse().ok());
    value.unwrap_or(0)
}
