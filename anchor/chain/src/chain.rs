//! The chain of a node, as the rest of the node sees it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cid::Cid;
use ledger::{
    Address, Audit, Block, Bundle, Certificate, Checkpoint, Genesis, Label, LightBlock, PublicKey, SecretKey,
    State as _, StateProof, Tx, ValidatorSet,
};
use prometheus_client::registry::Registry;
use serde_bytes::ByteBuf;
use tokio::sync::watch;

use crate::clock::now_ms;
use crate::committer::Committer;
use crate::engine::{self, Engine};
use crate::level;
use crate::mempool::{By, Mempool, Standing};
use crate::metrics::Metrics;
use crate::monitor::Monitor;
use crate::store::{self, Store, View};
use crate::sync::{Exchange, Gossip, Peers, SyncStatus, Tasks, Verdict};
use crate::{Config, Error, Health, SubmitError, Tip};

/// The folder of the store, and that of the engine's files.
const STORE: &str = "chain";
const ENGINE: &str = "engine";
/// Block times without a block that are no sign of a fault, whatever the configuration says.
const SILENT_BLOCKS: u32 = 10;
/// Block times that a healthy follower is behind at most,
const BEHIND_BLOCKS: u32 = 10;
/// and what the clocks of delegates and followers may differ by.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(5);

/// A running chain: blocks are made or followed until [`Chain::shutdown`]. Clones are the same chain.
#[derive(Clone)]
pub struct Chain(Arc<Inner>);

/// What a node is on its chain.
#[derive(Clone, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "there is one of it, and it is gone after the start"
)]
pub enum Role {
    /// One of those who decide the blocks, with the key of its seat.
    Delegate(SecretKey),
    /// One of those who verify them: without a key, without an engine.
    Follower,
}

struct Inner {
    genesis: Arc<Genesis>,
    store: Arc<Store>,
    mempool: Arc<Mempool>,
    monitor: Arc<Monitor>,
    tips: watch::Receiver<Tip>,
    /// None for a follower.
    engine_addr: Option<SocketAddr>,
    engine: tokio::sync::Mutex<Option<Engine>>,
    exchange: Arc<Exchange>,
    follower: bool,
    engine_dir: PathBuf,
    link: Mutex<Link>,
}

/// How far a node is with its peers.
enum Link {
    /// Not connected. A follower holds here what its blocks are kept with.
    Open(Option<Committer>),
    Connected(Tasks),
    Closed,
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// This node knows nothing of it: it was never handed in here, or is an old refusal.
    Unknown,
    /// It waits for a block.
    Pending {
        /// The nonce of the transaction that its account has to send first, if it is not here yet.
        missing: Option<u64>,
    },
    /// It is in the block of this height, for ever.
    Included {
        /// The height.
        height: u64,
    },
    /// It was refused, and is not tried again.
    Refused {
        /// The ledger's reason.
        reason: String,
    },
}

impl Chain {
    /// Opens or makes the chain of a genesis in `config.dir`, and takes the delegate's seat if it has one. Nothing is
    /// said to other nodes, and a follower stays where it is, until [`Chain::connect`]; delegates find each other.
    ///
    /// # Errors
    /// If the folder is in use, holds another chain or cannot be read; if the key has no seat, or its delegate was away; if
    /// the genesis has no usable addresses of the other delegates; if the engine cannot listen.
    pub async fn start(
        genesis: Genesis,
        role: Role,
        config: Config,
        registry: &mut Registry,
    ) -> Result<Chain, Error> {
        genesis.validate().map_err(|e| Error::genesis(&genesis, e))?;
        let genesis = Arc::new(genesis);
        let store = Arc::new(open(&genesis, &config).await?);
        if let Role::Delegate(key) = &role {
            check_delegate(&genesis, &store.view(), key)?;
            if config.has_peers {
                check_level(&genesis, &store, key, &config.dir.join(ENGINE))?;
            }
        }
        let (inner, committer) = assemble(genesis, store, &role, &config, Metrics::register(registry));
        let inner = match role {
            Role::Follower => inner.follow(committer),
            Role::Delegate(key) => inner.take_seat(key, committer, &config).await?,
        };
        for (cid, tx) in inner.mempool.restore()? {
            inner.exchange.pass_on(cid, tx);
        }
        let (chain, height, follower) = (&inner.genesis.chain_id, inner.store.tip().height, inner.follower);
        tracing::info!(chain, height, follower, "the chain goes on");
        Ok(Chain(Arc::new(inner)))
    }

    /// Begins to speak with peers: a follower follows the chain from now on, and both roles pass transactions on. To be
    /// called once, on a tokio runtime; a second call has no effect. The peers are let go by [`Chain::shutdown`].
    pub fn connect(&self, peers: Arc<dyn Peers>) {
        let mut link = self.0.link.lock().expect("no panic while the link is held");
        if let Link::Open(committer) = &mut *link {
            let tips = self.0.tips.clone();
            let tasks = self.0.exchange.connect(peers, committer.take(), tips);
            *link = Link::Connected(tasks);
        }
    }

    /// Answers a question of a peer's chain, in at most 4 MiB. Whatever the bytes are, there is an answer. It reads the
    /// disk.
    pub fn answer(&self, request: &[u8]) -> Vec<u8> {
        self.0.exchange.answer(request)
    }

    /// Judges what a peer says by gossip: a header with its certificate, or a transaction. It reads the disk.
    pub fn heard(&self, what: Gossip, from: &str, bytes: &[u8]) -> Verdict {
        self.0.exchange.heard(what, from, bytes)
    }

    /// Waits until a follower is at the tip of the peers that answer; at once for a delegate. If no peer answers, a
    /// chain that has blocks is good as it is after 5 s, so that a node starts without its peers.
    ///
    /// # Errors
    /// If every peer was refused; if there is no block, and no peer answers within 30 s. The error says what became of
    /// each peer. The follower goes on trying: the call can be repeated.
    pub async fn synced(&self) -> Result<(), Error> {
        self.0.exchange.synced().await
    }

    /// How a node stands to its peers.
    pub fn sync_status(&self) -> SyncStatus {
        self.0.exchange.sync_status()
    }

    /// Asks some peers for a newer tip, and waits until their blocks are here: before an answer that must not be old,
    /// such as "there is no such name". Calls at the same time share their questions. Returns after `within` at the
    /// latest; at once for a delegate.
    pub async fn refresh(&self, within: Duration) {
        self.0.exchange.refresh(within).await;
    }

    /// The rules of the chain.
    pub fn genesis(&self) -> &Genesis {
        &self.0.genesis
    }

    /// The newest committed block.
    pub fn tip(&self) -> Tip {
        self.0.store.tip()
    }

    /// The height of the newest committed block; costs one load.
    pub fn height(&self) -> u64 {
        self.0.store.height()
    }

    /// The labels of names that blocks above `since` have changed, from memory. `None` if one of these blocks is not known
    /// any more: then any name may have changed.
    pub fn names_changed(&self, since: u64) -> Option<Vec<Label>> {
        self.0.store.names_changed(since)
    }

    /// Tells about each new tip. A slow reader misses some, never the newest.
    pub fn watch(&self) -> watch::Receiver<Tip> {
        self.0.tips.clone()
    }

    /// Hands in a transaction. One that is known already, waiting or in a block, is taken again without effect, so
    /// that a submitter that is not sure can repeat itself.
    ///
    /// # Errors
    /// If the ledger refuses it, it is too large, the mempool is full, or the chain cannot be read.
    pub fn submit(&self, tx: Tx) -> Result<Cid, SubmitError> {
        let cid = tx.cid();
        if self.0.store.height_of(&cid)?.is_some() {
            return Ok(cid);
        }
        match self.0.mempool.submit(cid, tx.clone(), By::User) {
            // Its block may have come in between: then the ledger refuses only to take it twice.
            Err(SubmitError::Refused(_)) if self.0.store.height_of(&cid)?.is_some() => Ok(cid),
            Err(error) => Err(error),
            // Also one that a peer brought before: this node answers for it now.
            Ok(_) => {
                self.0.exchange.pass_on(cid, tx);
                Ok(cid)
            }
        }
    }

    /// What became of a transaction.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn fate(&self, tx: &Cid) -> Result<Fate, Error> {
        // The mempool first: a transaction leaves it only after its block is in the store.
        let standing = self.0.mempool.standing(tx);
        if let Some(height) = self.0.store.height_of(tx)? {
            return Ok(Fate::Included { height });
        }
        Ok(match standing {
            Standing::Waiting => Fate::Pending { missing: None },
            Standing::Early { missing } => Fate::Pending {
                missing: Some(missing),
            },
            Standing::Refused(reason) => Fate::Refused { reason },
            Standing::Unknown => Fate::Unknown,
        })
    }

    /// The nonce of an account's next transaction, after its pending ones.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn next_nonce(&self, address: &Address) -> Result<u64, Error> {
        self.0.mempool.next_nonce(address)
    }

    /// The state at the tip.
    pub fn state(&self) -> View {
        self.0.store.view()
    }

    /// A block with the certificate that decided it.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn block(&self, height: u64) -> Result<Option<(Block, Certificate)>, Error> {
        self.0.store.block(height)
    }

    /// A committed transaction and its height.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn transaction(&self, cid: &Cid) -> Result<Option<(Tx, u64)>, Error> {
        self.0.store.transaction(cid)
    }

    /// The DAG-CBOR bytes of a header, a body, a transaction or the genesis.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn object(&self, cid: &Cid) -> Result<Option<Vec<u8>>, Error> {
        self.0.store.object(cid)
    }

    /// What the state at the tip says under a key, or that it says nothing, provable with the genesis alone.
    ///
    /// # Errors
    /// If there is no block yet, or the store cannot be read.
    pub fn prove(&self, key: &[u8]) -> Result<Bundle, Error> {
        self.prove_at(key, self.height())
    }

    /// As [`Chain::prove`], of the state after the block of `height`.
    ///
    /// # Errors
    /// If the state of that height is not here any more, or not yet; else as [`Chain::prove`].
    pub fn prove_at(&self, key: &[u8], height: u64) -> Result<Bundle, Error> {
        let store = &self.0.store;
        let kept = store.kept();
        if height > 0 && !kept.contains(&height) {
            return Err(Error::NotKept {
                height,
                first: *kept.start(),
                last: *kept.end(),
            });
        }
        let no_block = || Error::NoBlock {
            chain: self.0.genesis.chain_id.clone(),
        };
        let header = store.header(height)?.ok_or_else(no_block)?;
        let certificate = store.certificate(height)?.ok_or_else(no_block)?;
        let (value, proof) = store.prove(key, height)?;
        let (set_changes, set) = self.set_changes(height)?;
        Ok(Bundle {
            key: key.to_vec(),
            value: value.map(ByteBuf::from),
            proof: StateProof(proof),
            header,
            certificate: certificate.trimmed(&set),
            set_changes,
            foreign: None,
        })
    }

    /// What a light client must know of the newest block.
    ///
    /// # Errors
    /// If there is no block yet, or the store cannot be read.
    pub fn checkpoint(&self) -> Result<Checkpoint, Error> {
        let (genesis, view) = (&self.0.genesis, self.state());
        let no_block = || Error::NoBlock {
            chain: genesis.chain_id.clone(),
        };
        let header = self.0.store.header(view.tip().height)?.ok_or_else(no_block)?;
        let failed = |reason: String| Error::Ledger {
            operation: "make a checkpoint",
            reason,
        };
        let next = view.validators().map_err(|e| failed(e.to_string()))?;
        Checkpoint::new(genesis, &header, next).map_err(|e| failed(e.to_string()))
    }

    /// Copies the chain into a new data folder, from which a node can go on, while blocks go on here. Returns a tip that
    /// is in it.
    ///
    /// # Errors
    /// If there is something at `dir`, or it cannot be written.
    pub fn backup(&self, dir: &Path) -> Result<Tip, Error> {
        if dir.exists() {
            return Err(Error::NotEmpty { dir: dir.to_owned() });
        }
        let failed = |source| Error::Folder {
            dir: dir.to_owned(),
            source,
        };
        std::fs::create_dir_all(dir).map_err(failed)?;
        std::fs::write(dir.join("genesis.json"), self.0.genesis.to_json()).map_err(failed)?;
        let tip = self.tip();
        self.0.store.backup(&dir.join(STORE))?;
        Ok(tip)
    }

    /// Writes the state at the tip with all that proves it to whoever has the genesis: see [`restore`]. Blocks go on
    /// meanwhile; it has to be done within 1000 of them. Returns the tip that it is of.
    ///
    /// # Errors
    /// If there is no block yet, the store cannot be read, or `out` be written.
    pub fn write_snapshot(&self, out: &mut dyn std::io::Write) -> Result<Tip, Error> {
        let (store, view) = (&self.0.store, self.state());
        let height = view.tip().height;
        let no_block = || Error::NoBlock {
            chain: self.0.genesis.chain_id.clone(),
        };
        let header = store.header(height)?.ok_or_else(no_block)?;
        let certificate = store.certificate(height)?.ok_or_else(no_block)?;
        let (mut way, set) = self.set_changes(height)?;
        let next = view.validators().map_err(|e| Error::Ledger {
            operation: "read the validators",
            reason: e.to_string(),
        })?;
        way.push(LightBlock::new(header, certificate, &set, &next));
        store::write_snapshot(&view, way, out)?;
        Ok(view.tip().clone())
    }

    /// Every change of the validators before a height, each with why it is to be believed; and who votes on the height.
    fn set_changes(&self, height: u64) -> Result<(Vec<LightBlock>, ValidatorSet), Error> {
        let store = &self.0.store;
        let missing = |height: u64| Error::damaged("set_changes", format!("block {height} is not here"));
        let first = self.0.genesis.validators();
        let mut set = first.map_err(|e| Error::damaged("set_changes", e.to_string()))?;
        let mut changes = Vec::new();
        for (height, next) in store.set_changes(height)? {
            let header = store.header(height)?.ok_or_else(|| missing(height))?;
            let certificate = store.certificate(height)?.ok_or_else(|| missing(height))?;
            changes.push(LightBlock::new(header, certificate, &set, &next));
            set = next;
        }
        Ok((changes, set))
    }

    /// Whether a delegate sits, or may sit in the next round: then its node runs the engine, else it follows.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn may_sit(&self, delegate: &Address) -> Result<bool, Error> {
        may_sit(&self.state(), delegate)
    }

    /// Whether a follower would be a delegate if it began anew: it may sit, and nobody signs with its key.
    ///
    /// # Errors
    /// If the store or the signer's journal cannot be read.
    pub fn may_begin(&self, delegate: &PublicKey) -> Result<bool, Error> {
        if !self.may_sit(&delegate.address())? {
            return Ok(false);
        }
        let (dir, chain) = (&self.0.engine_dir, &self.0.genesis.chain_id);
        match engine::check_folder(&self.0.store, dir, chain, delegate) {
            Err(error @ Error::SignedElsewhere { .. }) => {
                tracing::warn!("{error}");
                Ok(false)
            }
            checked => checked.map(|()| true),
        }
    }

    /// Prepares the folder of a chain for a delegate that never had a seat, before it registers: one that has had a seat must
    /// not start without its journal.
    ///
    /// # Errors
    /// If its journal cannot be written.
    pub fn prepare_seat(&self, delegate: &PublicKey) -> Result<(), Error> {
        engine::prepare(&self.0.engine_dir, &self.0.genesis.chain_id, delegate)
    }

    /// Notes that a follower is at its peers' tip, after [`Chain::synced`]: from there a delegate may start whenever it was
    /// there last.
    ///
    /// # Errors
    /// If the note cannot be written.
    pub fn note_level(&self) -> Result<(), Error> {
        level::note(&self.0.engine_dir, self.height())
    }

    /// Whether the chain seems to go on without this delegate: its engine has been out of reach of too many others for as
    /// long as makes a chain silent, and peers have told of blocks that are not here. It should follow the chain to its
    /// tip, where it sees whether it still sits. Never for a follower.
    pub fn goes_on_elsewhere(&self) -> bool {
        let (monitor, tip) = (&self.0.monitor, self.height());
        !self.0.follower && monitor.is_cut_off(Instant::now()) && self.0.exchange.heard_of() > tip + 1
    }

    /// Adds up all coins of the state at the tip.
    ///
    /// # Errors
    /// If the store cannot be read, or holds what cannot be counted.
    pub fn audit(&self) -> Result<Audit, Error> {
        let view = self.state();
        let mut broken = None;
        let entries = view
            .scan(&[])?
            .map_while(|entry| entry.map_err(|e| broken = Some(e)).ok());
        let audit = ledger::audit(entries, &self.0.genesis).map_err(|e| Error::Ledger {
            operation: "audit the state",
            reason: e.to_string(),
        });
        match broken {
            Some(error) => Err(error),
            None => audit,
        }
    }

    /// Where the consensus engine listens; none for a follower, and after [`Chain::shutdown`] has begun.
    pub fn engine_addr(&self) -> Option<SocketAddr> {
        let running = self.0.engine.try_lock().map_or(true, |engine| engine.is_some());
        self.0.engine_addr.filter(|_| running)
    }

    /// How the chain is.
    pub fn health(&self) -> Health {
        let mut health = self.0.monitor.health(Instant::now());
        if self.0.follower {
            let behind_ms = now_ms().saturating_sub(self.tip().time_ms);
            health.behind = Some(Duration::from_millis(behind_ms));
            let block_time = Duration::from_millis(self.0.genesis.block_time_ms);
            health.behind_max = block_time * BEHIND_BLOCKS + CLOCK_TOLERANCE;
        }
        health
    }

    /// Resolves with the reason when the chain does not go on: the process should exit, and be started again after at
    /// least 30 s. Never resolves while all is well, nor because of [`Chain::shutdown`].
    pub async fn failed(&self) -> Error {
        Error::Failed(self.0.monitor.failed().await)
    }

    /// Stops the engine or the follower, and lets go of the peers. The store stays readable until the last clone is
    /// gone, and its folder locked until then.
    pub async fn shutdown(&self) {
        let link = {
            let mut link = self.0.link.lock().expect("no panic while the link is held");
            std::mem::replace(&mut *link, Link::Closed)
        };
        if let Link::Connected(tasks) = link {
            tasks.stop().await;
        }
        if let Some(engine) = self.0.engine.lock().await.take() {
            engine.stop().await;
        }
    }
}

impl Inner {
    /// A follower's blocks come from the peers that it is given later.
    fn follow(mut self, committer: Committer) -> Inner {
        self.link = Mutex::new(Link::Open(Some(committer)));
        self
    }

    async fn take_seat(
        mut self,
        delegate: SecretKey,
        committer: Committer,
        config: &Config,
    ) -> Result<Inner, Error> {
        let parts = engine::Parts {
            genesis: Arc::clone(&self.genesis),
            delegate,
            committer,
        };
        let engine = Engine::start(parts, &self.engine_dir, config.engine_listen).await?;
        self.engine_addr = Some(engine.listen());
        self.engine = tokio::sync::Mutex::new(Some(engine));
        Ok(self)
    }
}

/// A chain that was not shut down stops nevertheless, only nobody waits for it.
impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(engine) = self.engine.get_mut() {
            engine.abandon();
        }
    }
}

/// Makes the chain's folder below `dir` from a snapshot, before any node runs there. Nothing of it is believed but what
/// follows from the genesis, and from the checkpoint if one is given.
///
/// # Errors
/// If the bytes are no snapshot of this chain, or there is a chain already. Then nothing is left of it.
pub fn restore(
    dir: &Path,
    genesis: &Genesis,
    checkpoint: Option<&Checkpoint>,
    input: &mut impl std::io::Read,
    progress: impl FnMut(u64, u64),
) -> Result<Tip, Error> {
    genesis.validate().map_err(|e| Error::genesis(genesis, e))?;
    store::read_snapshot(&dir.join(STORE), (genesis, checkpoint), input, progress)
}

/// All that both roles have, and what blocks are kept with.
fn assemble(
    genesis: Arc<Genesis>,
    store: Arc<Store>,
    role: &Role,
    config: &Config,
    metrics: Metrics,
) -> (Inner, Committer) {
    let tip = store.tip();
    metrics.height.set(tip.height as i64);
    let monitor = Arc::new(monitor(&genesis, &store.view(), role, config, tip.height));
    let (tips, watched) = watch::channel(tip);
    let proposer = proposer(&genesis, role);
    let mempool = Mempool::new(
        Arc::clone(&genesis),
        proposer,
        config,
        metrics.clone(),
        Arc::clone(&store),
    );
    let committer = Committer {
        store,
        mempool: Arc::new(mempool),
        monitor,
        metrics,
        tips,
    };
    let follower = matches!(role, Role::Follower);
    let inner = Inner {
        store: Arc::clone(&committer.store),
        mempool: Arc::clone(&committer.mempool),
        monitor: Arc::clone(&committer.monitor),
        tips: watched,
        engine_addr: None,
        engine: tokio::sync::Mutex::new(None),
        exchange: Arc::new(Exchange::new(Arc::clone(&genesis), &committer, follower)),
        follower,
        engine_dir: config.dir.join(ENGINE),
        link: Mutex::new(Link::Open(None)),
        genesis,
    };
    (inner, committer)
}

fn check_delegate(genesis: &Genesis, state: &View, delegate: &SecretKey) -> Result<(), Error> {
    if may_sit(state, &delegate.address())? {
        return Ok(());
    }
    let address = delegate.address().display(&genesis.prefix);
    Err(Error::NotDelegate {
        address,
        chain: genesis.chain_id.clone(),
    })
}

/// One of several delegates starts at the tip, or where it cannot have lost its seat.
fn check_level(genesis: &Genesis, store: &Store, delegate: &SecretKey, dir: &Path) -> Result<(), Error> {
    let state = store.view();
    if engine::seated_others(&state, &delegate.public())?.is_empty() {
        return Ok(());
    }
    let round = state.round().map_err(|e| Error::Ledger {
        operation: "read the round",
        reason: e.to_string(),
    })?;
    let next_round = round.first.saturating_add(genesis.election.round);
    level::check(genesis, &store.tip(), next_round, dir, now_ms())
}

/// Whether somebody sits, or was elected for the next round or as one who may take a place in it: those have engines that
/// know each other.
fn may_sit(state: &View, address: &Address) -> Result<bool, Error> {
    let failed = |e: ledger::StateError| Error::Ledger {
        operation: "read the delegates",
        reason: e.to_string(),
    };
    let sits = state.validators().map_err(failed)?.find(address).is_some();
    Ok(sits || state.round().map_err(failed)?.elected.contains(address))
}

async fn open(genesis: &Arc<Genesis>, config: &Config) -> Result<Store, Error> {
    let (genesis, dir) = (Arc::clone(genesis), config.dir.join(STORE));
    let opened = tokio::task::spawn_blocking(move || Store::open(&dir, &genesis)).await;
    opened.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

fn monitor(genesis: &Genesis, state: &View, role: &Role, config: &Config, height: u64) -> Monitor {
    let block_time = Duration::from_millis(genesis.block_time_ms);
    let silent_after = config.silent_after.max(block_time * SILENT_BLOCKS);
    let seated = match role {
        Role::Delegate(key) => engine::seated_others(state, &key.public()).unwrap_or_default(),
        Role::Follower => BTreeSet::new(),
    };
    Monitor::new(silent_after, config.mute_after, seated, height)
}

/// Who gets the fees of the blocks that a node reckons with: some delegate, it matters only to that delegate's own
/// transactions.
fn proposer(genesis: &Genesis, role: &Role) -> Address {
    match role {
        Role::Delegate(key) => key.address(),
        Role::Follower => genesis
            .delegates
            .first()
            .map_or_else(|| Address::from_bytes([0; 20]), |seat| seat.key.address()),
    }
}
