//! The consensus engine: the one module that runs it. What it is told of the ledger is the crate `consensus`.
//!
//! Blocks, certificates and state know nothing of it. It is started with what a node keeps (store, mempool, journal),
//! asks for blocks, judges those of others through `app`, and is watched from outside, because it can die silently.

mod accuse;
mod app;
mod journal;
mod peers;
mod reveals;
mod settings;
mod sign;
mod watchdog;
mod wire;

#[cfg(test)]
mod tests;

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_malachitebft_app_channel::app::config::NodeConfig;
use arc_malachitebft_app_channel::app::engine::network::{NetworkEvent, NetworkMsg, NetworkRef, Subscriber};
use arc_malachitebft_app_channel::app::engine::util::output_port::{OutputPort, OutputPortSubscriberTrait};
use arc_malachitebft_app_channel::app::metrics::SharedRegistry;
use arc_malachitebft_app_channel::app::net::Multiaddr;
use arc_malachitebft_app_channel::spawn::spawn_network_actor;
use arc_malachitebft_app_channel::{
    Channels, ConsensusContext, EngineBuilder, EngineHandle, NetworkIdentity, NetworkRequest, RequestContext,
    SyncContext, WalContext,
};
use consensus::{Address, Chain, Checker};
use ledger::{Genesis, PublicKey, SecretKey, State as _};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

pub use peers::engine_peer_id;
pub(crate) use peers::seated_others;
pub use reveals::REVEAL_GENERATIONS;

use crate::Error;
use crate::committer::Committer;
use crate::execute::Executor;
use crate::monitor::Monitor;
use crate::store::Store;
use accuse::Accuser;
use app::App;
use journal::Journal;
use reveals::OwnReveals;
use settings::Settings;
use sign::Delegate;
use wire::Wire;

/// The engine listens and asks where to start within this, or it does not start.
const START_DEADLINE: Duration = Duration::from_secs(20);
/// A part of the engine that does not finish within this is cut off.
const STOP_DEADLINE: Duration = Duration::from_secs(3);
/// Requests to the engine that may wait: only the watchdog asks.
const REQUESTS_MAX: usize = 16;
/// The file of the engine's write-ahead log.
const WAL: &str = "wal";
/// The file of what this delegate has signed.
const JOURNAL: &str = "signer.journal";

/// What the engine works with.
pub(crate) struct Parts {
    pub(crate) genesis: Arc<Genesis>,
    pub(crate) delegate: SecretKey,
    /// Keeps the blocks; the store and all that hears of them is in it.
    pub(crate) committer: Committer,
}

/// A running engine.
pub(crate) struct Engine {
    handle: EngineHandle,
    app: std::thread::JoinHandle<()>,
    monitor: Arc<Monitor>,
    watchdog: JoinHandle<()>,
    listen: SocketAddr,
}

impl Engine {
    /// Starts the engine with its files in `dir`. It has found its height when this returns.
    pub(crate) async fn start(parts: Parts, dir: &Path, listen: SocketAddr) -> Result<Engine, Error> {
        let failed = |reason: String| Error::Engine {
            listen: listen.to_string(),
            reason,
        };
        std::fs::create_dir_all(dir).map_err(|source| Error::Folder {
            dir: dir.to_owned(),
            source,
        })?;
        // The engine only logs that it cannot listen, and waits for ever.
        TcpListener::bind(listen).map_err(|e| failed(e.to_string()))?;

        let (ready_tx, ready) = oneshot::channel();
        let delegate = open_delegate(&parts, dir)?;
        let (channels, handle, network) = build(&parts, &delegate, dir, listen)
            .await
            .map_err(|e| failed(format!("{e:#}")))?;
        let Channels {
            consensus,
            requests,
            net_requests,
            ..
        } = channels;
        let monitor = Arc::clone(&parts.committer.monitor);
        let app = app(parts, delegate, (network.clone(), net_requests.clone()), ready_tx)?;
        let app = std::thread::Builder::new()
            .name("chain".into())
            .spawn(move || app.run(consensus));
        let app = app.map_err(|e| failed(e.to_string()))?;
        let listen = match tokio::time::timeout(START_DEADLINE, listening(ready, &network)).await {
            Ok(Some(listen)) => listen,
            _ => {
                monitor.leave();
                let _ = handle.actor.stop_and_wait(None, None).await;
                return Err(failed(format!(
                    "it does not listen after {} s",
                    START_DEADLINE.as_secs()
                )));
            }
        };
        let watchdog = tokio::spawn(watchdog::watch(Arc::clone(&monitor), requests, net_requests));
        Ok(Engine {
            handle,
            app,
            monitor,
            watchdog,
            listen,
        })
    }

    /// Where the engine listens.
    pub(crate) fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Stops the engine and waits until nothing of it runs and its files are closed.
    pub(crate) async fn stop(self) {
        self.monitor.leave();
        self.watchdog.abort();
        self.stop_parts().await;
        if let Err(e) = self.handle.actor.stop_and_wait(None, None).await {
            tracing::warn!("the engine did not stop in order: {e}");
        }
        let _ = self.handle.handle.await;
        let _ = tokio::task::spawn_blocking(move || self.app.join()).await;
    }

    /// Lets each part finish what it is at, the newest first, since it asks the older ones. The engine itself would cut
    /// them off in the middle, and those that were asked would log errors.
    async fn stop_parts(&self) {
        let node = self.handle.actor.get_cell();
        let mut parts = node.get_children();
        parts.sort_by_key(|part| std::cmp::Reverse(part.get_id().pid()));
        for part in parts {
            part.unlink(node.clone());
            let _ = part.stop_and_wait(None, Some(STOP_DEADLINE)).await;
        }
    }

    /// Tells the engine to stop, for a caller that cannot wait for it.
    pub(crate) fn abandon(&self) {
        self.monitor.leave();
        self.watchdog.abort();
        self.handle.actor.stop(None);
    }
}

/// Makes the journal of a delegate that never had a seat. One that has had one must not start without its own.
///
/// # Errors
/// If it cannot be written.
pub(crate) fn prepare(dir: &Path, chain: &str, delegate: &PublicKey) -> Result<(), Error> {
    std::fs::create_dir_all(dir).map_err(|source| Error::Folder {
        dir: dir.to_owned(),
        source,
    })?;
    Journal::open(&dir.join(JOURNAL), chain, delegate).map(drop)
}

fn open_delegate(parts: &Parts, dir: &Path) -> Result<Delegate, Error> {
    let chain = &parts.genesis.chain_id;
    let path = dir.join(JOURNAL);
    let tip = parts.committer.store.tip().height;
    if has_voted_with_others(parts, tip)? && !path.exists() {
        return Err(Error::JournalLost { path, height: tip });
    }
    let journal = Journal::open(&path, chain, &parts.delegate.public())?;
    check_signed(&parts.committer.store, &journal, &path, &parts.delegate.public())?;
    check_wal(parts, &journal, &dir.join(WAL), tip + 1)?;
    Ok(Delegate::new(
        parts.delegate.clone(),
        chain,
        journal,
        Arc::clone(&parts.committer.monitor),
    ))
}

/// Refuses a delegate whose folder is older than what it has signed, be it restored or copied, while the votes that are
/// missing in its journal may be of a height that is still open.
///
/// # Errors
/// [`Error::SignedElsewhere`]; if journal or store cannot be read.
pub(crate) fn check_folder(store: &Store, dir: &Path, chain: &str, me: &PublicKey) -> Result<(), Error> {
    let path = dir.join(JOURNAL);
    check_signed(store, &Journal::open(&path, chain, me)?, &path, me)
}

/// Another copy that has signed a height of late may have signed the next one too. That is decided one block later.
fn check_signed(store: &Store, journal: &Journal, path: &Path, me: &PublicKey) -> Result<(), Error> {
    let tip = store.tip().height;
    for height in (tip.saturating_sub(1).max(1)..=tip).filter(|height| *height > journal.top()) {
        let set = store.voters(height)?;
        let Some((place, _)) = set.find(&me.address()) else {
            continue;
        };
        if set.len() > 1
            && store
                .certificate(height)?
                .is_some_and(|found| found.signed_by(place))
        {
            let path = path.to_owned();
            return Err(Error::SignedElsewhere { height, path });
        }
    }
    Ok(())
}

/// Whether this delegate may have signed something that others count on: who has no seat yet has not.
fn has_voted_with_others(parts: &Parts, tip: u64) -> Result<bool, Error> {
    let (state, me) = (parts.committer.store.view(), parts.delegate.public());
    let sits = state
        .validators()
        .is_ok_and(|set| set.find(&me.address()).is_some());
    Ok(tip > 0 && sits && !seated_others(&state, &me)?.is_empty())
}

/// The engine's lock on a block is in its WAL alone: without it, a delegate could vote in a later round against what
/// it is bound to, and the journal, which knows no locks, would let it. One seat has nobody to disagree with.
fn check_wal(parts: &Parts, journal: &Journal, wal: &Path, next: u64) -> Result<(), Error> {
    let empty = std::fs::metadata(wal).map_or(true, |found| found.len() == 0);
    let others = seated_others(&parts.committer.store.view(), &parts.delegate.public())?;
    if empty && !others.is_empty() && journal.has_precommitted(next) {
        return Err(Error::WalLost {
            path: wal.to_owned(),
            height: next,
        });
    }
    Ok(())
}

async fn build(
    parts: &Parts,
    delegate: &Delegate,
    dir: &Path,
    listen: SocketAddr,
) -> eyre::Result<(Channels<Chain>, EngineHandle, NetworkRef<Chain>)> {
    let key = parts.delegate.public();
    let moniker = moniker(&parts.genesis, &parts.delegate);
    peers::check_genesis(&parts.genesis, &key)?;
    let peers = peers::others(&parts.genesis, &parts.committer.store.view(), &key)?;
    let settings = Settings::new(&parts.genesis, moniker.clone(), listen, peers);
    let registry = SharedRegistry::global().with_moniker(&moniker);
    let identity = NetworkIdentity::new(moniker, peers::keypair(&parts.delegate), None);
    // Made here and not by the builder, to be able to ask where it listens, and to send to it directly: the sender
    // that comes with it logs an error when the engine stops between two proposals.
    let (network, to_network) = spawn_network_actor(
        identity,
        settings.consensus(),
        settings.value_sync(),
        &registry,
        Wire,
    )
    .await?;
    let checker = Checker::new(&parts.genesis.chain_id);
    let me = Address(key.address());
    let consensus = ConsensusContext::new_validator(me, Box::new(checker), Box::new(delegate.clone()));
    let (channels, handle) = EngineBuilder::new(Chain, settings)
        .with_default_wal(WalContext::new(dir.join(WAL), Wire))
        .with_custom_network(network.clone(), to_network)
        .with_default_sync(SyncContext::new(Wire))
        .with_default_consensus(consensus)
        .with_default_request(RequestContext::new(REQUESTS_MAX))
        .build()
        .await
        .inspect_err(|_| network.stop(None))?;
    Ok((channels, handle, network))
}

fn app(
    parts: Parts,
    delegate: Delegate,
    (network, network_requests): (NetworkRef<Chain>, mpsc::Sender<NetworkRequest>),
    ready: oneshot::Sender<()>,
) -> Result<App, Error> {
    let committer = parts.committer;
    let executor = Executor::new(
        Arc::clone(&parts.genesis),
        Arc::clone(&committer.store),
        committer.mempool.signatures(),
    );
    let me = parts.delegate.public();
    Ok(App {
        peers: peers::others(&parts.genesis, &committer.store.view(), &me)?,
        round_of_peers: executor.round_number()?,
        network_requests,
        me,
        reveals: OwnReveals::new(&parts.delegate, &parts.genesis.chain_id),
        accuser: Accuser::new(parts.delegate.clone(), Arc::clone(&parts.genesis)),
        checker: Checker::new(&parts.genesis.chain_id),
        delegate,
        executor,
        genesis: parts.genesis,
        store: Arc::clone(&committer.store),
        mempool: Arc::clone(&committer.mempool),
        monitor: Arc::clone(&committer.monitor),
        metrics: committer.metrics.clone(),
        committer,
        network,
        ready: Some(ready),
        #[cfg(test)]
        two_faced: tests::is_two_faced(&parts.delegate).then(|| parts.delegate.clone()),
        rounds: app::Rounds::default(),
        pace: app::Pace::default(),
    })
}

/// The engine keys its metrics by this name, for the whole process: an engine that is started again needs a new one.
fn moniker(genesis: &Genesis, delegate: &SecretKey) -> String {
    static STARTED: AtomicU64 = AtomicU64::new(0);
    let number = STARTED.fetch_add(1, Ordering::Relaxed);
    format!(
        "{}-{}-{number}",
        genesis.chain_id,
        &delegate.address().display(&genesis.prefix)
    )
}

/// Waits until the engine is ready, then asks its network for the address.
async fn listening(ready: oneshot::Receiver<()>, network: &NetworkRef<Chain>) -> Option<SocketAddr> {
    ready.await.ok()?;
    let (found, mut addresses) = mpsc::unbounded_channel();
    network
        .cast(NetworkMsg::Subscribe(Box::new(Listener(found))))
        .ok()?;
    addresses.recv().await.as_ref().and_then(socket_addr)
}

/// Takes the listen addresses that a new subscriber is told, and nothing after that.
struct Listener(mpsc::UnboundedSender<Multiaddr>);

impl Subscriber<NetworkEvent<Chain>> for Listener {
    fn send(&self, event: NetworkEvent<Chain>) {
        if let NetworkEvent::Listening(address) = event {
            let _ = self.0.send(address);
        }
    }
}

impl OutputPortSubscriberTrait<NetworkEvent<Chain>> for Listener {
    fn subscribe_to_port(&self, _: &OutputPort<NetworkEvent<Chain>>) {}
}

/// `/ip4/1.2.3.4/tcp/5` as a socket address.
fn socket_addr(address: &Multiaddr) -> Option<SocketAddr> {
    let text = address.to_string();
    let mut words = text.split('/').skip(2);
    let ip = words.next()?.parse().ok()?;
    let port = words.nth(1)?.parse().ok()?;
    Some(SocketAddr::new(ip, port))
}
