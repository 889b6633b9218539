//! How a node comes up: one part after the other, each failure in one line, nothing half-started left behind.

use std::path::Path;
use std::sync::atomic::AtomicU8;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use chain::Chain;
use gateway::Gateway;
use ledger::{Action, SecretKey};
use named::dns::{DnsServer, NameServer};
use prometheus_client::registry::Registry;
use storage::Store;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::claims::{Claims, Parts};
use super::error::Error;
use super::folder::{self, Folder};
use super::joins::{ChainNames, NodeBlocks};
use super::sender::Sender;
use super::wallets::{self, Wallets};
use super::{Node, Origin, Phase, origin, secrets};
use crate::api::Server;
use crate::api::types::NodeFile;
use crate::config::{Config, Settings};

/// How long a start waits for the faucet's coins before it goes on without them.
const FAUCET_WITHIN: Duration = Duration::from_secs(30);

/// A node that runs, but is not ready yet.
pub struct Started {
    pub node: Arc<Node>,
    pub listeners: Listeners,
    pub server: Server,
}

/// The public listeners.
pub struct Listeners {
    pub gateway: Gateway,
    pub dns: DnsServer,
    node_id: String,
    admin: std::net::SocketAddr,
}

/// What is read from the data folder before anything runs.
struct Ground {
    folder: Folder,
    node_key: SecretKey,
    delegate: SecretKey,
    wallets: Wallets,
    token: String,
    genesis: ledger::Genesis,
    store: Store,
}

pub async fn start(data: &Path, origin: &Origin, config: Config) -> Result<Started, Error> {
    let ground = {
        let (data, origin) = (data.to_owned(), origin.clone());
        blocking("the data folder", move || prepare(&data, &origin)).await?
    };
    let settings = config.settings.clone();
    // Before the chain: a port in use should be said before a seat is taken.
    let admin = listen_admin(&settings).await?;
    let mut registry = Registry::with_prefix("ddn");
    ground.store.metrics().register(&mut registry);
    let chain_config = chain_config(data, &settings);
    probe(&settings).await?;
    let chain = Chain::start(
        ground.genesis.clone(),
        ground.delegate.clone(),
        chain_config,
        &mut registry,
    )
    .await?;
    match join(ground, &chain, config, registry, admin).await {
        Ok(started) => Ok(started),
        Err(error) => {
            chain.shutdown().await;
            Err(error)
        }
    }
}

fn prepare(data: &Path, origin: &Origin) -> Result<Ground, Error> {
    let folder = Folder::take(data)?;
    let delegate = secrets::read_or_make_key(&folder.delegate_key())?;
    let genesis = origin::settle(&folder, origin, &delegate.public())?;
    let node_key = secrets::read_or_make_key(&folder.node_key())?;
    let wallets = Wallets::open(folder.wallets())?;
    let token = secrets::admin_token(&folder.admin_token())?;
    let store = Store::open(&folder.blocks())?;
    Ok(Ground {
        folder,
        node_key,
        delegate,
        wallets,
        token,
        genesis,
        store,
    })
}

/// The rest, on a chain that runs.
async fn join(
    ground: Ground,
    chain: &Chain,
    config: Config,
    mut registry: Registry,
    admin: TcpListener,
) -> Result<Started, Error> {
    let settings = config.settings.clone();
    let node_id = ground.node_key.public().to_string();
    let names = Arc::new(ChainNames(chain.clone()));
    let blocks = NodeBlocks {
        store: ground.store.clone(),
        chain: chain.clone(),
    };
    let dns = DnsServer::bind(dns_config(&settings), names.clone(), &mut registry).await?;
    let gateway_config = gateway_config(&settings, &node_id, chain);
    let shared = Arc::new(blocks.clone());
    let gateway = Gateway::bind(gateway_config, shared, names.clone(), &mut registry).await?;
    let listens = |source| Error::Listen {
        setting: "admin.listen",
        address: settings.admin.listen.get(),
        source,
    };
    let admin_address = admin.local_addr().map_err(listens)?;
    let sender = Arc::new(Sender::new(chain.clone()));
    let claims = open_claims(&ground, chain, &sender).await?;
    let node = Arc::new(Node {
        config,
        folder: ground.folder,
        chain: chain.clone(),
        store: ground.store,
        blocks,
        names,
        wallets: ground.wallets,
        sender,
        claims,
        places: Arc::new(Semaphore::new(settings.node.publishes_max.size())),
        registry,
        token: ground.token,
        card: OnceLock::new(),
        stop: CancellationToken::new(),
        tasks: TaskTracker::new(),
        store_failure: OnceLock::new(),
        started: Instant::now(),
        phase: AtomicU8::new(Phase::Starting as u8),
    });
    let server = Server::serve(admin, Arc::clone(&node));
    let listeners = Listeners {
        gateway,
        dns,
        node_id,
        admin: admin_address,
    };
    Ok(Started {
        node,
        listeners,
        server,
    })
}

async fn open_claims(ground: &Ground, chain: &Chain, sender: &Arc<Sender>) -> Result<Claims, Error> {
    let parts = Parts {
        chain: chain.clone(),
        store: ground.store.clone(),
        wallets: ground.wallets.clone(),
        sender: Arc::clone(sender),
        dir: ground.folder.jobs(),
    };
    blocking("the publisher", move || Claims::open(parts)).await
}

/// Waits until the chain has a block: before that nothing can be proven. A chain that goes on has one.
pub async fn first_block(node: &Node) {
    let mut tips = node.chain.watch();
    // An error means that the chain ended, which is seen elsewhere.
    let _ = tips.wait_for(|tip| tip.height > 0).await;
}

/// On a chain with a faucet, an empty default wallet draws once, by a transaction that everybody can see.
pub async fn draw_from_faucet(node: &Arc<Node>) {
    let genesis = node.chain.genesis();
    if genesis.faucet.is_none() || !node.config.settings.node.faucet {
        return;
    }
    let drawing = Arc::clone(node);
    let drawn = blocking("the faucet", move || draw(&drawing)).await;
    match drawn {
        Ok(None) => {}
        Ok(Some(tx)) => match tokio::time::timeout(FAUCET_WITHIN, node.sender.finality(&tx)).await {
            Ok(Ok(height)) => tracing::info!(%tx, height, "the default wallet drew from the faucet"),
            Ok(Err(error)) => tracing::warn!(%error, "the faucet gave nothing"),
            Err(_) => tracing::warn!(%tx, "the faucet's coins are still on their way"),
        },
        Err(error) => tracing::warn!(%error, "the faucet gave nothing"),
    }
}

fn draw(node: &Node) -> Result<Option<cid::Cid>, Error> {
    let Some(key) = node.wallets.key(wallets::DEFAULT)? else {
        return Ok(None);
    };
    let account = node.chain.state().account(&key.address())?;
    if !account.balance.is_zero() {
        return Ok(None);
    }
    let sent = node.sender.send(&key, Action::Faucet {}, |_| Ok(()))?;
    match sent {
        Ok(tx) => Ok(Some(tx)),
        Err(refused) => Err(Error::Broken {
            part: "the faucet",
            reason: refused.to_string(),
        }),
    }
}

/// Writes where the node is, for those who look for it.
pub fn announce(node: &Node, listeners: &Listeners) -> Result<(), Error> {
    let card = NodeFile {
        pid: std::process::id(),
        node_id: listeners.node_id.clone(),
        chain_id: node.chain.genesis().chain_id.clone(),
        gateway: listeners.gateway.local_addr().to_string(),
        dns: listeners.dns.local_addr().to_string(),
        admin: listeners.admin.to_string(),
        engine: node.chain.engine_addr().map(|address| address.to_string()),
        mesh: Vec::new(),
    };
    let path = node.folder.node_file();
    let mut json =
        serde_json::to_vec_pretty(&card).map_err(|error| Error::content(&path, error.to_string()))?;
    json.push(b'\n');
    folder::write(&path, &json)?;
    // Announced once; a second card would be the same.
    let _ = node.card.set(card);
    Ok(())
}

async fn listen_admin(settings: &Settings) -> Result<TcpListener, Error> {
    let address = settings.admin.listen.get();
    let failed = |source| Error::Listen {
        setting: "admin.listen",
        address,
        source,
    };
    TcpListener::bind(address).await.map_err(failed)
}

/// Sees that every port can be had before the engine runs: the engine knows no settings, and should not start and stop
/// because a port that is bound after it is in use.
async fn probe(settings: &Settings) -> Result<(), Error> {
    let listeners = [
        ("engine.listen", settings.engine.listen),
        ("dns.listen", settings.dns.listen),
        ("gateway.listen", settings.gateway.listen),
    ];
    for (setting, address) in listeners {
        let failed = |source| Error::Listen {
            setting,
            address,
            source,
        };
        TcpListener::bind(address).await.map(drop).map_err(failed)?;
    }
    Ok(())
}

fn chain_config(data: &Path, settings: &Settings) -> chain::Config {
    chain::Config {
        dir: data.to_owned(),
        engine_listen: settings.engine.listen,
        mempool_max_txs: settings.chain.mempool_txs_max.size(),
        mempool_max_bytes: settings.chain.mempool_bytes_max.size(),
        refusals_kept: settings.chain.refusals_max.size(),
        silent_after: settings.chain.silent_after_s.seconds(),
        mute_after: u32::try_from(settings.chain.mute_after.get()).unwrap_or(u32::MAX),
    }
}

fn dns_config(settings: &Settings) -> named::dns::Config {
    let dns = &settings.dns;
    let server = |host: &String| NameServer {
        host: host.clone(),
        addresses: dns.name_server_addresses.clone(),
    };
    named::dns::Config {
        listen: dns.listen,
        name_servers: dns.name_servers.iter().map(server).collect(),
        edges: dns.edges.clone(),
        alias_zones: dns.alias_zones.clone(),
        ttl: u32::try_from(dns.ttl_s.get()).unwrap_or(u32::MAX),
        tcp_connections: dns.tcp_connections_max.size(),
        tcp_connections_per_source: dns.tcp_connections_per_source_max.size(),
        tcp_idle: dns.tcp_idle_s.seconds(),
    }
}

fn gateway_config(settings: &Settings, node_id: &str, chain: &Chain) -> gateway::Config {
    let set = &settings.gateway;
    gateway::Config {
        listen: set.listen,
        hosts: set.hosts.clone(),
        limits: gateway::Limits {
            connections_max: set.connections_max.size(),
            requests_max: set.requests_max.size(),
            cars_max: set.cars_max.size(),
            listing_entries_max: set.listing_entries_max.size(),
            head_bytes_max: set.head_bytes_max.size(),
            head_timeout: set.head_timeout_s.seconds(),
            stall_timeout: set.stall_timeout_s.seconds(),
            drain_timeout: settings.node.stop_after_s.seconds(),
        },
        card: gateway::Card {
            node_id: Some(node_id.to_owned()),
            chain_id: Some(chain.genesis().chain_id.clone()),
            ..gateway::Card::default()
        },
    }
}

/// Blocking work on a thread for it; a panic there becomes an error of the part.
pub async fn blocking<T: Send + 'static>(
    part: &'static str,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let joined = tokio::task::spawn_blocking(work).await;
    joined.map_err(|error| Error::Broken {
        part,
        reason: error.to_string(),
    })?
}
