//! The client half: gets blocks from providers, verifies, keeps and pays for them.
//!
//! There is one [`Session`] for each root that is being read, shared by all its readers: they say what they need
//! ([`Wants`](wants::Wants)), a task of the session asks the providers until everybody has it: one, and others beside it
//! when that takes long ([`Lanes`]). Nothing is lost with a provider: what has arrived is in the store, and counted in the
//! purse by the same write.

mod account;
mod asked;
mod budget;
mod failure;
mod got;
mod home;
mod lanes;
mod line;
mod metrics;
mod pace;
mod provider;
mod reach;
mod session;
mod terms;
mod till;
mod trail;
mod transfer;
mod wants;
mod width;

use std::collections::VecDeque;
use std::collections::hash_map::{Entry, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use cid::Cid;
use ledger::{Address, Hash, PublicKey, Quote, Signed};
use nearest::hedge::Hedge;
use prometheus_client::registry::Registry;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::books::Books;
use super::endpoint::Endpoint;
use super::{Config, Finder, Payer, Provider, now_ms};
use crate::{Error, Store};
use budget::Allowance;
use lanes::Lanes;
use metrics::Metrics;
pub(crate) use session::Session;
use session::lock;
pub(crate) use wants::Answer;

/// What all sessions share.
pub(crate) struct Fetcher {
    config: Config,
    endpoint: Endpoint,
    store: Store,
    books: Books,
    finder: Arc<dyn Finder>,
    payer: Arc<dyn Payer>,
    sessions: Mutex<HashMap<Cid, Arc<Session>>>,
    /// The escrow that paid last, and when the payer said so: most likely it pays the next provider too.
    last_escrow: Mutex<Option<(Hash, Instant)>>,
    /// The quotes that were taken. Nothing went wrong with their providers since they offered them.
    quotes: Mutex<HashMap<PublicKey, Signed<Quote>>>,
    /// Under which names roots are read, if names have a budget.
    names: Mutex<HashMap<Cid, String>>,
    /// Tells sessions of one payee of each other's blocks: its demands are for all of them.
    purses: watch::Sender<()>,
    /// How long blocks take, and how many may be asked for twice: of all sessions, so that a small one has no more of that.
    hedge: Mutex<Hedge>,
    /// The relay through which others reach this node.
    home: watch::Sender<Option<SocketAddr>>,
    metrics: Metrics,
    tasks: TaskTracker,
    stop: CancellationToken,
    runtime: Handle,
}

impl Fetcher {
    /// Call it on the runtime on which the sessions shall run.
    pub fn new(
        config: Config,
        endpoint: Endpoint,
        store: Store,
        books: Books,
        finder: Arc<dyn Finder>,
        payer: Arc<dyn Payer>,
        registry: &mut Registry,
    ) -> Arc<Fetcher> {
        let metrics = Metrics::default();
        metrics.register(registry);
        Arc::new(Fetcher {
            config,
            endpoint,
            store,
            books,
            finder,
            payer,
            sessions: Mutex::default(),
            last_escrow: Mutex::default(),
            quotes: Mutex::default(),
            names: Mutex::default(),
            purses: watch::Sender::new(()),
            hedge: Mutex::default(),
            home: watch::Sender::new(None),
            metrics,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            runtime: Handle::current(),
        })
    }

    /// The block, if it is on this machine.
    pub fn get(&self, cid: &Cid) -> Result<Option<Bytes>, Error> {
        self.store.get(cid)
    }

    /// Whether the block is on this machine.
    pub fn has(&self, cid: &Cid) -> Result<bool, Error> {
        self.store.has(cid)
    }

    /// How long a reader waits for a block.
    pub fn timeout(&self) -> Duration {
        self.config.timeout
    }

    /// How long a provider may take to answer one want.
    fn patience(&self) -> Duration {
        self.config.timeout / 2
    }

    /// How long a session stays open after the last block: the more there are, the less. Where many roots are read one after
    /// the other, providers have no seats for those that nobody reads any more.
    fn linger(&self) -> Duration {
        let sessions = u32::try_from(lock(&self.sessions).len()).unwrap_or(u32::MAX);
        match sessions <= LINGERING {
            true => IDLE,
            false => IDLE * LINGERING.pow(4) / sessions.saturating_pow(4),
        }
    }

    fn hedge(&self) -> MutexGuard<'_, Hedge> {
        lock(&self.hedge)
    }

    /// The escrow that paid last, and whether that is so recent that the payer need not be asked again. A server that knows
    /// better refuses.
    fn last_escrow(&self) -> (Option<Hash>, bool) {
        match *lock(&self.last_escrow) {
            Some((escrow, said)) => (Some(escrow), said.elapsed() < ESCROW_HOLDS),
            None => (None, false),
        }
    }

    fn set_last_escrow(&self, escrow: Hash) {
        *lock(&self.last_escrow) = Some((escrow, Instant::now()));
    }

    /// The quote of this provider that was taken last, if it still holds.
    fn quote(&self, node: &PublicKey, now_ms: u64) -> Option<Signed<Quote>> {
        let quotes = lock(&self.quotes);
        quotes
            .get(node)
            .filter(|quote| now_ms < quote.body.until_ms)
            .cloned()
    }

    fn take_quote(&self, node: PublicKey, quote: &Signed<Quote>) {
        let mut quotes = lock(&self.quotes);
        if quotes.len() >= QUOTES_MAX {
            quotes.clear();
        }
        quotes.insert(node, quote.clone());
    }

    fn forget_quote(&self, node: &PublicKey) {
        lock(&self.quotes).remove(node);
    }

    /// What is below `root` is read under this name.
    pub fn named(&self, root: &Cid, name: &str) {
        if self.config.budget.name.is_zero() {
            return;
        }
        let mut names = lock(&self.names);
        if names.get(root).is_some_and(|known| known == name) {
            return;
        }
        if names.len() >= NAMES_MAX {
            names.clear();
        }
        names.insert(*root, name.to_owned());
    }

    /// What the fetching of this root may cost.
    fn allowance(&self, root: &Cid, payee: Address) -> Allowance {
        let name = lock(&self.names).get(root).cloned();
        Allowance::new(&self.config.budget, payee, name)
    }

    /// The session for this root; begins one if there is none.
    ///
    /// # Errors
    /// One line, when no more can be begun.
    pub fn session(self: &Arc<Self>, root: &Cid) -> Result<Arc<Session>, String> {
        if self.stop.is_cancelled() {
            return Err("this node is stopping".to_owned());
        }
        let mut sessions = lock(&self.sessions);
        let under_way = sessions.len();
        let place = match sessions.entry(*root) {
            Entry::Occupied(known) if !known.get().wants().is_closed() => return Ok(Arc::clone(known.get())),
            Entry::Vacant(_) if under_way >= SESSIONS_MAX => {
                return Err(format!("this node fetches {under_way} trees already: try again"));
            }
            place => place,
        };
        let session = Arc::new(Session::new(*root));
        place.insert_entry(Arc::clone(&session));
        drop(sessions);
        self.metrics.sessions.inc();
        let run = Arc::clone(self).run(Arc::clone(&session));
        self.tasks.spawn_on(run, &self.runtime);
        Ok(session)
    }

    /// Ends all sessions in order: each provider gets its last voucher, if it is there to take it.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        self.tasks.close();
        let ended = timeout(3 * self.config.silence, self.tasks.wait()).await;
        if ended.is_err() {
            tracing::warn!("some fetches did not end in order");
        }
    }

    async fn run(self: Arc<Self>, session: Arc<Session>) {
        let answer = tokio::select! {
            answer = self.fetch(&session) => answer,
            () = self.stopped() => Answer::Failed(session.tried_and("had no time left: this node is stopping")),
        };
        session.wants().close(&answer);
        let mut sessions = lock(&self.sessions);
        if sessions
            .get(&session.root)
            .is_some_and(|known| Arc::ptr_eq(known, &session))
        {
            sessions.remove(&session.root);
        }
    }

    /// Resolves when the node stops and a session had its time to end in order.
    async fn stopped(&self) {
        self.stop.cancelled().await;
        sleep(2 * self.config.silence).await;
    }

    async fn fetch(&self, session: &Session) -> Answer {
        let providers = self.providers(&session.root).await;
        match providers.is_empty() {
            true => Answer::NoProvider,
            false => Lanes::new(self, session, providers).run().await,
        }
    }

    /// Whether a reader waits, or does so soon; else the session is closed. Who has just been given a block needs the next
    /// one in a moment, and this session knows whom to ask no more.
    async fn is_needed(&self, session: &Session) -> bool {
        let deadline = Instant::now() + IDLE;
        let mut changes = session.changes();
        loop {
            if session.wants().is_waited_for() {
                return true;
            }
            tokio::select! {
                _ = changes.changed() => {}
                () = sleep_until(deadline) => return !session.wants().close_unless_waited_for(),
                () = self.stop.cancelled() => return false,
            }
        }
    }

    async fn providers(&self, root: &Cid) -> VecDeque<Provider> {
        let known = timeout(FIND_TIME_MAX, self.finder.providers(root)).await;
        let this = self.config.key.public();
        let mut providers: VecDeque<Provider> = VecDeque::new();
        for provider in known.unwrap_or_default() {
            let is_new = provider.node != this && providers.iter().all(|known| known.node != provider.node);
            if is_new && providers.len() < PROVIDERS_MAX {
                providers.push_back(provider);
            }
        }
        providers
    }
}

/// Idle sessions end after this time: a browser has asked for what a page needs by then.
const IDLE: Duration = Duration::from_secs(2);
/// How long the payer's word for an escrow holds; each time it is asked, it reads the ledger.
const ESCROW_HOLDS: Duration = Duration::from_secs(1);
/// Providers whose quotes are remembered; one that is forgotten is asked again.
const QUOTES_MAX: usize = 1024;
/// Roots whose names are remembered; of one that is forgotten nothing counts for its name until it is read again.
const NAMES_MAX: usize = 16_384;
/// Of more sessions than so many, those that are idle end sooner: of 20 after an eighth of a second, of 40 after 8 ms.
const LINGERING: u32 = 10;
/// Roots that are fetched at once: each has a connection and up to a few blocks in memory.
const SESSIONS_MAX: usize = 256;
/// Providers that a session tries; a reader's time is over sooner.
const PROVIDERS_MAX: usize = 16;
/// A finder answers within a second; one that does not knows nobody.
const FIND_TIME_MAX: Duration = Duration::from_secs(2);
