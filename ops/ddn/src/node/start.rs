//! How a node comes up: one part after the other, each failure in one line, nothing half-started left behind.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU8, AtomicU32};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use chain::Chain;
use gateway::{Backend, Certificates, Gateway, OriginBackend, SystemLookup};
use ledger::{Address, Amount, SecretKey, State as _};
use named::dap::Tlds;
use named::dns::DnsServer;
use named::dnslink::DnsLinks;
use named::ipns::Records;
use named::mesh::{Mesh, Refused};
use prometheus_client::registry::Registry;
use storage::Store;
use storage::ddp::Delivery;
use tokio::net::{TcpListener, UdpSocket};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::claims::{Claims, Parts};
use super::digests::{self, Digests};
use super::edges::Edges;
use super::error::Error;
use super::folder::{self, Folder};
use super::hearsay;
use super::joins::{
    ChainFunds, ChainMeters, ChainNames, ChainPeers, Ears, EdgeFinder, MeshHandler, MeshUpstream, NodeBlocks,
    NodeDoors, OtherChains, PublicDns, SecureHosts, WalletPayer,
};
use super::look::{Looker, Outlook};
use super::notices::Notices;
use super::origin::{self, Place};
use super::presence::Told;
use super::sender::Sender;
use super::verdicts::Verdicts;
use super::wallets::Wallets;
use super::{Node, Origin, Phase, Role, secrets, setup};
use crate::api::Server;
use crate::api::types::NodeFile;
use crate::config::{Config, Settings};

/// What deliveries and the mesh may take to say goodbye.
const STOP_WITHIN: Duration = Duration::from_secs(5);
/// How often it is looked whether anybody keeps the chain.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// More than the mesh ever writes of its peers.
const PEERS_BYTES_MAX: u64 = 16 << 20;

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
    admin: SocketAddr,
}

/// What is read from the data folder before anything runs.
struct Ground {
    folder: Folder,
    place: Place,
    node_key: SecretKey,
    wallets: Wallets,
    payee: Address,
    token: String,
    certificates: Option<Certificates>,
    store: Store,
    ipns: Arc<Records>,
    /// Whether others are named, or were met before.
    knows_others: bool,
}

pub async fn start(data: &Path, origin: &Origin, config: Config) -> Result<Started, Error> {
    let (ground, config) = {
        let (data, origin) = (data.to_owned(), origin.clone());
        blocking("the data folder", move || {
            prepare(&data, &origin, &config.settings).map(|ground| (ground, config))
        })
        .await?
    };
    // Before the chain: a port in use should be said before a seat is taken.
    let admin = listen_admin(&config.settings).await?;
    probe(&config.settings, ground.place.role()).await?;
    let mut registry = Registry::with_prefix("ddn");
    ground.store.metrics().register(&mut registry);
    let chain_config = setup::chain(data, &config.settings, ground.knows_others);
    let (chain, role) = take_place(&ground.place, chain_config, &mut registry).await?;
    let mut running = Running::default();
    match join(&mut running, ground, (&chain, role), config, registry, admin).await {
        Ok(started) => Ok(started),
        Err(error) => {
            stop_parts(running.delivery.as_ref(), running.mesh.as_ref(), &chain).await;
            Err(error)
        }
    }
}

/// The chain, as one of those who decide its blocks if the ledger has this node among them, else as one who follows. Who
/// was away follows first, and begins anew where its peers have no more.
async fn take_place(
    place: &Place,
    config: chain::Config,
    registry: &mut Registry,
) -> Result<(Chain, Role), Error> {
    if let Some(key) = &place.key {
        let delegate = chain::Role::Delegate(key.clone());
        match Chain::start(place.genesis.clone(), delegate, config.clone(), registry).await {
            Err(chain::Error::NotDelegate { .. }) => {}
            Err(away @ chain::Error::Away { .. }) => tracing::info!("{away}"),
            Err(copied @ chain::Error::SignedElsewhere { .. }) => tracing::warn!("{copied}"),
            chain => return Ok((chain?, Role::Delegate)),
        }
    }
    let chain = Chain::start(place.genesis.clone(), chain::Role::Follower, config, registry).await?;
    Ok((chain, Role::Follower))
}

/// What is to be stopped if a later part does not start.
#[derive(Default)]
struct Running {
    mesh: Option<Mesh>,
    delivery: Option<Delivery>,
}

/// Stops what other nodes talk to, the uppermost part first: deliveries need the chain for what they are paid.
pub async fn stop_parts(delivery: Option<&Delivery>, mesh: Option<&Mesh>, chain: &Chain) {
    let stop = async {
        if let Some(delivery) = delivery {
            delivery.shutdown().await;
        }
        if let Some(mesh) = mesh {
            mesh.shutdown().await;
        }
    };
    if tokio::time::timeout(STOP_WITHIN, stop).await.is_err() {
        tracing::warn!("the mesh or a delivery did not end in time and was cut");
    }
    chain.shutdown().await;
}

fn prepare(data: &Path, origin: &Origin, settings: &Settings) -> Result<Ground, Error> {
    let folder = Folder::take(data)?;
    let names_others = !settings.mesh.join.is_empty() || !settings.mesh.seeds.is_empty();
    let knows_others = names_others || remembers_peers(&folder)?;
    let place = origin::settle(&folder, origin, knows_others)?;
    let node_key = secrets::read_or_make_key(&folder.node_key())?;
    let wallets = Wallets::open(folder.wallets())?;
    let payee = payee(&wallets, &settings.delivery.payout)?;
    let token = secrets::admin_token(&folder.admin_token())?;
    let certificates = setup::certificates(settings)?;
    let store = Store::open(&folder.blocks())?;
    let ipns = Records::open(&folder.ipns(), settings.gateway.ipns_names_max.size())?;
    Ok(Ground {
        folder,
        place,
        node_key,
        wallets,
        payee,
        token,
        certificates,
        store,
        ipns: Arc::new(ipns),
        knows_others,
    })
}

/// Whether the mesh has met anybody before: its file has one address a line, and comments.
fn remembers_peers(folder: &Folder) -> Result<bool, Error> {
    let text = folder::read(&folder.peers(), PEERS_BYTES_MAX)?.unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let is_peer = |line: &str| line.trim_start().starts_with('/');
    Ok(text.lines().any(is_peer))
}

/// The public DNS for the gateway. A node of a machine without name servers serves everything else.
fn public_dns(settings: &Settings, tlds: &Tlds) -> Option<Arc<dyn gateway::Domains>> {
    let opened = DnsLinks::new(&setup::dnslink(settings)?, tlds);
    let refused = |error: &_| {
        tracing::warn!(%error, "domains of the public DNS are no sites here: set gateway.dnslink_servers, or gateway.dnslink to false");
    };
    let links = opened.inspect_err(refused).ok()?;
    Some(Arc::new(PublicDns(links)))
}

/// The address of the wallet that deliveries are paid to.
fn payee(wallets: &Wallets, name: &str) -> Result<Address, Error> {
    let key = wallets.key(name)?.ok_or_else(|| Error::NoWallet {
        setting: "delivery.payout",
        name: name.to_owned(),
    })?;
    Ok(key.address())
}

/// The rest, on a chain that runs.
async fn join(
    running: &mut Running,
    ground: Ground,
    (chain, role): (&Chain, Role),
    config: Config,
    mut registry: Registry,
    admin: TcpListener,
) -> Result<Started, Error> {
    let settings = config.settings.clone();
    let (genesis, key) = (chain.genesis(), &ground.node_key);
    let mesh_config = setup::mesh(&settings, &ground.folder, key, genesis)?;
    let looker = Arc::new(Looker::new());
    let reader_places = setup::places(&settings, key);
    digests::restore(&ground.folder, &reader_places);
    let digests = Digests::new(
        key.clone(),
        &genesis.chain_id,
        reader_places.clone(),
        registrations(chain),
        &mut registry,
    );
    let digests = Arc::new(digests);
    let verdicts = Verdicts::new(
        key.clone(),
        &genesis.chain_id,
        registrations(chain),
        &mut registry,
    );
    let (verdicts, notices) = (Arc::new(verdicts), Arc::new(Notices::default()));
    let ears = Ears {
        looker: looker.clone(),
        notices: notices.clone(),
        digests: digests.clone(),
        verdicts: verdicts.clone(),
    };
    let handler = Arc::new(MeshHandler::new(chain.clone(), ears));
    let mesh = Mesh::start(mesh_config, handler, &mut registry).await?;
    looker.connect(mesh.clone());
    digests.connect(mesh.clone());
    verdicts.connect(mesh.clone());
    running.mesh = Some(mesh.clone());
    chain.connect(Arc::new(ChainPeers(mesh.clone())));

    let sender = Arc::new(Sender::new(chain.clone()));
    let edges = Arc::new(Edges::new(reader_places.clone()));
    let finder = Arc::new(EdgeFinder::new(mesh.clone(), Arc::clone(&edges)));
    let payer = Arc::new(open_payer(&ground, chain, &sender, settings.delivery.escrow.get()).await?);
    let delivery = Delivery::start(
        setup::delivery(&settings, key, genesis, ground.payee),
        ground.store.clone(),
        finder.clone(),
        payer.clone(),
        Arc::new(ChainFunds(chain.clone())),
        &mut registry,
    )
    .await?;
    running.delivery = Some(delivery.clone());

    let others = Arc::new(OtherChains::open(&settings, ground.folder.dir(), genesis)?);
    let blocks = NodeBlocks {
        store: ground.store.clone(),
        chain: chain.clone(),
        delivery: delivery.clone(),
        others: Arc::clone(&others),
    };
    // The threads that compose answers of the DNS server are few.
    let (names, dns_names) = (
        ChainNames::fresh(chain.clone(), Arc::clone(&others), role),
        ChainNames::at_tip(chain.clone(), Arc::clone(&others)),
    );
    let names = Arc::new(names);
    let dns_config = setup::dns(&settings, &ground.folder, others.tlds())?;
    let dns = DnsServer::bind(dns_config, Arc::new(dns_names), &mut registry).await?;
    let webs = Arc::new(OnceLock::new());
    let doors = NodeDoors {
        chain: chain.clone(),
        mesh: mesh.clone(),
        store: ground.store.clone(),
        blocks: blocks.clone(),
        edges: Arc::clone(&edges),
        places: reader_places.clone(),
        key: key.clone(),
        delivery: delivery.clone(),
        webs: webs.clone(),
        runtime: Handle::current(),
    };
    let tls = ground.certificates.as_ref();
    let tls = tls.and_then(|known| setup::tls(&settings, &ground.folder, known, dns.challenges()));
    if let (Some(listen), Some(known)) = (settings.dns.tls_listen, ground.certificates.as_ref()) {
        dns.serve_tls(listen, Arc::new(known.clone())).await?;
    }
    let meters = Arc::new(ChainMeters::new(chain.clone(), delivery.clone()));
    let gateway_config = setup::gateway(
        &settings,
        ground.folder.dir(),
        &key.public(),
        genesis,
        tls.clone(),
    )?;
    let gateway = Gateway::bind(
        gateway_config,
        Backend {
            blocks: Arc::new(blocks.clone()),
            names: names.clone(),
            ipns: Arc::clone(&ground.ipns),
            domains: public_dns(&settings, others.tlds()),
            node: Arc::new(doors),
            dns: dns.responder(),
            upstream: Arc::new(MeshUpstream(mesh.clone())),
            origins: settings.gateway.origins.then(|| OriginBackend {
                lookup: Arc::new(SystemLookup),
                meters: meters.clone(),
            }),
        },
        &mut registry,
    )
    .await?;
    // Set once; nobody else does.
    let _ = webs.set(setup::webs(&settings, &gateway, &mesh.addresses()));
    if let (Some(tls), Some(address)) = (tls, gateway.tls_addr()) {
        dns.directory().set(Arc::new(SecureHosts::new(tls, address)));
    }
    let admin_address = admin
        .local_addr()
        .map_err(taken("admin.listen", settings.admin.listen.get()))?;
    let claims = open_claims(&ground, chain, &sender, &mesh).await?;
    let node = Arc::new(Node {
        config,
        folder: ground.folder,
        chain: chain.clone(),
        role,
        mesh,
        outlook: Outlook::default(),
        store: ground.store,
        delivery,
        blocks,
        names,
        others,
        webs,
        zones: dns.anchors(),
        directory: dns.directory(),
        edges,
        finder,
        reader_places,
        digests,
        verdicts,
        notices,
        payer,
        meters,
        wallets: ground.wallets,
        sender,
        claims,
        places: Arc::new(Semaphore::new(settings.node.publishes_max.size())),
        registry,
        told: Told::default(),
        in_flight: gateway.in_flight(),
        token: ground.token,
        card: OnceLock::new(),
        stop: CancellationToken::new(),
        tasks: TaskTracker::new(),
        node_key: ground.node_key,
        store_failure: OnceLock::new(),
        capacity: AtomicU32::new(setup::capacity(&settings)),
        started: Instant::now(),
        phase: AtomicU8::new(Phase::Starting as u8),
    });
    let server = Server::serve(admin, Arc::clone(&node));
    let listeners = Listeners {
        gateway,
        dns,
        admin: admin_address,
    };
    Ok(Started {
        node,
        listeners,
        server,
    })
}

/// Who is an edge, as the newest state says.
fn registrations(chain: &Chain) -> hearsay::Ledger {
    let chain = chain.clone();
    Box::new(move |node| {
        let height = chain.tip().height;
        let entry = chain.state().edge(node)?;
        let owner = entry.map(|entry| entry.owner);
        Ok(hearsay::Entry { height, owner })
    })
}

async fn open_payer(
    ground: &Ground,
    chain: &Chain,
    sender: &Arc<Sender>,
    amount: Amount,
) -> Result<WalletPayer, Error> {
    let (chain, sender, wallets) = (chain.clone(), Arc::clone(sender), ground.wallets.clone());
    let (key, path) = (ground.node_key.clone(), ground.folder.escrow());
    blocking("the payer", move || {
        WalletPayer::open(chain, sender, wallets, key, amount, path)
    })
    .await
}

async fn open_claims(
    ground: &Ground,
    chain: &Chain,
    sender: &Arc<Sender>,
    mesh: &Mesh,
) -> Result<Claims, Error> {
    let parts = Parts {
        chain: chain.clone(),
        store: ground.store.clone(),
        mesh: mesh.clone(),
        wallets: ground.wallets.clone(),
        sender: Arc::clone(sender),
        dir: ground.folder.jobs(),
    };
    blocking("the publisher", move || Claims::open(parts)).await
}

/// Waits until a delegate's chain has a block, since before that nothing can be proven, and until a follower is at the
/// tip of its peers.
///
/// # Errors
/// If no peer gives the chain to a follower that has nothing of it.
pub async fn catch_up(node: &Node) -> Result<(), Error> {
    if node.role == Role::Follower {
        return tokio::select! {
            synced = node.chain.synced() => synced.map_err(|asked| Error::Alone {
                asked,
                refused: refused(node, |_| true),
            }),
            () = only_strangers(node) => Err(Error::Strangers {
                chain: node.chain.genesis().chain_id.clone(),
                refused: refused(node, Refused::is_foreign),
            }),
        };
    }
    let mut tips = node.chain.watch();
    // An error means that the chain ended, which is seen elsewhere.
    let _ = tips.wait_for(|tip| tip.height > 0).await;
    Ok(())
}

/// Resolves when nothing of the chain is here and every node to join keeps another one: waiting changes nothing then.
async fn only_strangers(node: &Node) {
    let join = &node.config.settings.mesh.join;
    let mut looks = tokio::time::interval(LOOK_EVERY);
    loop {
        looks.tick().await;
        let strangers = refused(node, Refused::is_foreign);
        // The address of a node to join ends with its peer id.
        let is_stranger = |address: &String| strangers.iter().any(|(who, _)| address.ends_with(who.as_str()));
        let nobody_else = node.mesh.peers().is_empty() && node.chain.tip().height == 0;
        if nobody_else && !join.is_empty() && join.iter().all(is_stranger) {
            return;
        }
    }
}

/// Whom the mesh refused, and why.
fn refused(node: &Node, which: impl Fn(&Refused) -> bool) -> Vec<(String, String)> {
    let refused = node.mesh.refused().into_iter().filter(|refused| which(refused));
    refused.map(|refused| (refused.who, refused.reason)).collect()
}

/// Writes where the node is, for those who look for it.
pub fn announce(node: &Node, listeners: &Listeners) -> Result<(), Error> {
    let card = NodeFile {
        pid: std::process::id(),
        node_id: node.node_key().public().to_string(),
        chain_id: node.chain.genesis().chain_id.clone(),
        gateway: listeners.gateway.local_addr().to_string(),
        dns: listeners.dns.local_addr().to_string(),
        admin: listeners.admin.to_string(),
        engine: node.chain.engine_addr().map(|address| address.to_string()),
        delivery: node.delivery.local_addr().to_string(),
        relay: node.delivery.relay_addr().map(|address| address.to_string()),
        mesh: node.mesh.addresses(),
        private: !node.config.settings.mesh.psk_file.is_empty(),
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
    TcpListener::bind(address)
        .await
        .map_err(taken("admin.listen", address))
}

/// Sees that every port can be had before anything runs: the engine knows no settings, and should not start and stop
/// because a port that is bound after it is in use.
async fn probe(settings: &Settings, role: Role) -> Result<(), Error> {
    let mut listeners = vec![
        ("mesh.listen", settings.mesh.listen),
        ("dns.listen", settings.dns.listen),
        ("gateway.listen", settings.gateway.listen),
    ];
    listeners.extend(settings.provider.listen.map(|listen| ("provider.listen", listen)));
    if let Some(address) = settings.gateway.tls_listen {
        listeners.push(("gateway.tls_listen", address));
    }
    if let Some(address) = settings.dns.tls_listen {
        listeners.push(("dns.tls_listen", address));
    }
    listeners.extend(settings.relay.listen.map(|listen| ("relay.listen", listen)));
    if role == Role::Delegate {
        listeners.push(("engine.listen", settings.engine.listen));
    }
    for (setting, address) in listeners {
        TcpListener::bind(address)
            .await
            .map(drop)
            .map_err(taken(setting, address))?;
    }
    let address = settings.delivery.listen;
    let free = UdpSocket::bind(address).await;
    free.map(drop).map_err(taken("delivery.listen", address))
}

/// For `map_err`: an address cannot be listened on.
fn taken(setting: &'static str, address: SocketAddr) -> impl FnOnce(std::io::Error) -> Error {
    move |source| Error::Listen {
        setting,
        address,
        source,
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
