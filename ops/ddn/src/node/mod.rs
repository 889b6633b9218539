//! A node: the parts of the other crates, joined, from start to stop.
//!
//! [`run`] takes the data folder, opens chain and store, joins the mesh, starts the listeners, says when it is ready, and
//! takes all down again in order. What requests need of the node is in [`Node`]; it holds no logic of other crates, only
//! their handles.

mod claiming;
pub mod claims;
pub mod digests;
pub mod edges;
pub mod error;
mod faucet;
pub mod folder;
pub mod health;
mod hearsay;
pub mod home;
pub mod joins;
pub mod look;
pub mod notices;
pub mod origin;
pub mod places;
pub mod preflight;
pub mod presence;
pub mod publish;
pub mod receipts;
mod seat;
pub mod secrets;
pub mod sender;
mod setup;
mod start;
pub mod upload;
pub mod verdicts;
pub mod wallets;

use std::future::Future;
use std::path::Path;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use chain::Chain;
use gateway::InFlight;
use ledger::SecretKey;
use named::dns::{Anchor, Directory};
use named::mesh::Mesh;
use prometheus_client::registry::Registry;
use storage::Store;
use storage::ddp::Delivery;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::Server;
use crate::api::types::NodeFile;
use crate::config::Config;
use claims::Claims;
use digests::Digests;
use edges::Edges;
pub use error::Error;
use folder::Folder;
use joins::{ChainMeters, ChainNames, EdgeFinder, NodeBlocks, OtherChains, WalletPayer, Webs};
use notices::Notices;
pub use origin::{Origin, Role};
use places::Places;
use sender::Sender;
use start::{Listeners, Started};
use verdicts::Verdicts;
use wallets::Wallets;

/// A running node, as those who answer requests see it.
pub struct Node {
    /// The settings and their origins.
    pub config: Config,
    /// The data folder.
    pub folder: Folder,
    /// The ledger.
    pub chain: Chain,
    /// What it is on that ledger.
    pub role: Role,
    /// The other nodes.
    pub mesh: Mesh,
    /// How peers see this node's ports.
    pub outlook: look::Outlook,
    /// The blocks of content.
    pub store: Store,
    /// Content from and for other nodes.
    pub delivery: Delivery,
    /// Blocks of content and objects of the ledger, those that are here and those that others have.
    pub blocks: NodeBlocks,
    /// The names of the chain.
    pub names: Arc<ChainNames>,
    /// The chains that are asked for names.
    pub others: Arc<OtherChains>,
    /// Where others reach its HTTP servers.
    pub webs: Arc<OnceLock<Webs>>,
    /// By what a validator believes the signed zones of the DNS server.
    pub zones: Vec<Anchor>,
    /// Whom the DNS server asks for edges.
    pub directory: Directory,
    /// The edges, and how far they are.
    pub edges: Arc<Edges>,
    /// Who delivers.
    pub finder: Arc<EdgeFinder>,
    /// How far readers are from edges.
    pub reader_places: Places,
    /// What edges tell each other of that.
    pub digests: Arc<Digests>,
    /// Whom a quorum of edges found to have failed.
    pub verdicts: Arc<Verdicts>,
    /// Who sends no readers here.
    pub notices: Arc<Notices>,
    /// Who pays for deliveries.
    pub payer: Arc<WalletPayer>,
    /// Who pays for what the gateway serves of origins.
    pub meters: Arc<ChainMeters>,
    /// The accounts whose keys are here.
    pub wallets: Wallets,
    /// From where transactions leave.
    pub sender: Arc<Sender>,
    /// Publishes and registrations under way.
    pub claims: Claims,
    /// A place for each publish.
    pub places: Arc<Semaphore>,
    /// What `/metrics` shows.
    pub registry: Registry,
    /// What of this node's load others were told.
    pub told: presence::Told,
    /// Requests that the gateway has in hand.
    pub in_flight: InFlight,
    /// Opens the admin API.
    pub token: String,
    /// Where the node listens; set before it is ready.
    pub card: OnceLock<NodeFile>,
    /// Begins when the node stops: whoever reads an upload gives up.
    pub stop: CancellationToken,
    /// Publishes whose upload is in hand.
    pub tasks: TaskTracker,
    /// The identity in the mesh and in deliveries.
    node_key: SecretKey,
    /// Why the block store takes no more writes, once that is so.
    store_failure: OnceLock<String>,
    /// Requests that this node says it serves at once.
    capacity: AtomicU32,
    started: Instant,
    phase: AtomicU8,
}

/// Where a node is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Parts are there, but it may not have seen a block yet.
    Starting,
    /// It does its work.
    Ready,
    /// It takes nothing new.
    Stopping,
}

impl Node {
    /// Where it is in its life.
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Ready,
            _ => Phase::Stopping,
        }
    }

    /// Why it does not do its work; nothing if it does.
    pub fn problem(&self) -> Option<String> {
        match self.phase() {
            Phase::Starting => return Some("the node is starting".to_owned()),
            Phase::Stopping => return Some("the node is stopping".to_owned()),
            Phase::Ready => {}
        }
        if let Some(failure) = self.store_failure.get() {
            return Some(failure.clone());
        }
        self.chain.health().problem()
    }

    /// The key that is the node's identity, in the mesh, in deliveries and on vouchers.
    pub fn node_key(&self) -> &SecretKey {
        &self.node_key
    }

    /// Takes note of an error of the block store: after some it writes nothing until the next start.
    pub fn note(&self, error: &storage::Error) {
        if error.is_fatal() {
            // The first one is the cause of those that follow.
            let _ = self.store_failure.set(error.to_string());
        }
    }

    /// Time since it was put together.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Requests that this node says it serves at once: as registered on the ledger, else as configured.
    pub fn capacity(&self) -> u32 {
        self.capacity.load(Ordering::Relaxed)
    }

    /// Requests that it has in hand: of readers, and of nodes that fetch from it.
    pub fn load(&self) -> u32 {
        self.delivery.load().saturating_add(self.in_flight.count())
    }

    /// The domains whose hosts it serves beside those of its chain.
    pub fn domains(&self) -> Vec<String> {
        setup::domains(&self.config.settings)
    }

    fn set_capacity(&self, registered: Option<u32>) {
        let configured = setup::capacity(&self.config.settings);
        self.capacity
            .store(registered.unwrap_or(configured), Ordering::Relaxed);
    }

    fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }
}

/// Why a node has stopped in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was told to.
    Told,
    /// To begin anew, in a new process: it was elected, or is not any more.
    Again,
}

/// Runs a node on a data folder until `stop` resolves. `ready` is called once, when it does its work.
///
/// # Errors
/// If it cannot start, or one of its parts ends by itself. The text is one line for the operator.
pub async fn run(
    data: &Path,
    origin: &Origin,
    config: Config,
    ready: impl FnOnce(&NodeFile),
    stop: impl Future<Output = ()>,
) -> Result<Ended, Error> {
    let Started {
        node,
        listeners,
        server,
    } = start::start(data, origin, config).await?;
    let (caught_up, at_tip) = oneshot::channel();
    let driver = tokio::spawn(drive_claims(Arc::clone(&node), at_tip));
    let ended = work(&node, &listeners, ready, stop, driver, caught_up).await;
    take_down(&node, listeners, server).await;
    ended
}

/// Publishes go on as soon as the chain is at its tip: in an older state they could seem not to have happened.
async fn drive_claims(node: Arc<Node>, at_tip: oneshot::Receiver<()>) -> Result<(), Error> {
    match at_tip.await {
        Ok(()) => node.claims.drive(node.stop.child_token()).await,
        // The node ends before it came so far.
        Err(_) => Ok(()),
    }
}

/// From put together to the reason for the end.
async fn work(
    node: &Arc<Node>,
    listeners: &Listeners,
    ready: impl FnOnce(&NodeFile),
    stop: impl Future<Output = ()>,
    driver: JoinHandle<Result<(), Error>>,
    caught_up: oneshot::Sender<()>,
) -> Result<Ended, Error> {
    let living = async {
        match start::catch_up(node).await {
            // Those who have begun no chain yet have nobody to ask.
            Err(Error::Alone { .. }) if seat::begins_alone(node).await => return Ok(Ended::Again),
            caught_up => caught_up?,
        }
        // The driver is gone only if it failed, which is seen below.
        let _ = caught_up.send(());
        faucet::draw(node).await;
        start::announce(node, listeners)?;
        node.enter(Phase::Ready);
        if let Some(card) = node.card.get() {
            ready(card);
        }
        node.tasks.spawn(edges::keep(Arc::clone(node)));
        node.tasks.spawn(presence::keep_up(Arc::clone(node)));
        node.tasks.spawn(claiming::keep(Arc::clone(node)));
        match node.role {
            Role::Follower => seat::keep(node).await,
            // From the start, see below: its engine may call those who do not know it any more.
            Role::Delegate => std::future::pending().await,
        }
        Ok(Ended::Again)
    };
    tokio::select! {
        () = stop => {
            tracing::info!("the node stops");
            Ok(Ended::Told)
        }
        ended = living => ended,
        () = seat::keep(node), if node.role == Role::Delegate => Ok(Ended::Again),
        failed = node.chain.failed() => Err(Error::Chain(failed)),
        ended = driver => match ended {
            Ok(ended) => ended.map(|()| Ended::Told),
            Err(error) => Err(Error::Broken { part: "the publisher", reason: error.to_string() }),
        },
    }
}

/// After the gateway, which counts and measures, and before the books are closed.
async fn keep_counts(node: &Arc<Node>) {
    let keeping = Arc::clone(node);
    let kept = tokio::task::spawn_blocking(move || {
        digests::keep(&keeping);
        keeping.meters.keep()
    });
    let kept = kept.await;
    if let Ok(Err(error)) = kept {
        tracing::error!(%error, "the last of what was served of origins is not written down");
    }
}

/// Everything takes nothing new at once; what is in hand has the configured time.
async fn take_down(node: &Arc<Node>, listeners: Listeners, server: Server) {
    node.enter(Phase::Stopping);
    // Whoever would choose this node should know before its listeners close.
    presence::tell_advert(node);
    if let Err(error) = folder::remove(&node.folder.node_file()) {
        tracing::error!(%error, "the node's address file stays behind");
    }
    let bound = node.config.settings.node.stop_after_s.seconds();
    node.stop.cancel();
    node.tasks.close();
    let drained = async {
        tokio::join!(
            listeners.gateway.shutdown(),
            listeners.dns.shutdown(),
            server.shutdown(bound),
            node.tasks.wait()
        )
    };
    // The gateway cuts by itself after the bound; a little more lets it say so.
    if tokio::time::timeout(bound + Duration::from_secs(2), drained)
        .await
        .is_err()
    {
        tracing::warn!("some requests did not end in time and were cut");
    }
    keep_counts(node).await;
    start::stop_parts(Some(&node.delivery), Some(&node.mesh), &node.chain).await;
    tracing::info!("the node has stopped");
}
