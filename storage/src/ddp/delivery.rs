//! Both halves of a node, joined.

use std::net::SocketAddr;
use std::sync::Arc;

use cid::Cid;
use ledger::{Address, Amount, Hash, Quote};
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use super::books::{Batch, Books, Count, CountRow, Purpose, PurseRow, ReceiptRow, TabRow, Traffic};
use super::endpoint::Endpoint;
use super::fetch::Fetcher;
use super::relay::Relay;
use super::serve::Server;
use super::{Config, Finder, Funds, Payer, RelayNode, Remote, now_ms};
use crate::{BlockSource, Error, SharedBlocks, Store};

/// Serves what a store holds and fetches what it does not hold. Clones share it; it works until [`Delivery::shutdown`].
#[derive(Clone)]
pub struct Delivery {
    address: SocketAddr,
    endpoint: Endpoint,
    store: Store,
    books: Books,
    relay: Option<Relay>,
    server: Arc<Server>,
    fetcher: Arc<Fetcher>,
}

impl Delivery {
    /// Opens the endpoint and begins to serve. Call it on the runtime on which it shall work.
    ///
    /// # Errors
    /// If it cannot listen or read its books.
    pub async fn start(
        config: Config,
        store: Store,
        finder: Arc<dyn Finder>,
        payer: Arc<dyn Payer>,
        funds: Arc<dyn Funds>,
        registry: &mut Registry,
    ) -> Result<Delivery, Error> {
        let endpoint = Endpoint::bind(&config).await?;
        let address = endpoint.local_addr().unwrap_or(config.listen);
        let books = Books::new(store.clone());
        books.forget_spent(now_ms())?;
        let relay = match &config.relay {
            Some(config) => Some(Relay::start(config, registry).await?),
            None => None,
        };
        let server = Server::start(&config, &endpoint, &store, &books, funds, relay.clone(), registry)?;
        let fetcher = Fetcher::new(
            config,
            endpoint.clone(),
            store.clone(),
            books.clone(),
            finder,
            payer,
            registry,
        );
        Ok(Delivery {
            address,
            endpoint,
            store,
            books,
            relay,
            server,
            fetcher,
        })
    }

    /// Where it listens, UDP.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Where its relay listens, TCP, if it is one.
    pub fn relay_addr(&self) -> Option<SocketAddr> {
        self.relay.as_ref().map(Relay::local_addr)
    }

    /// What its relay asks now, and for how many more nodes it has room; `None` if it is none.
    pub fn relay_offer(&self) -> Option<(Quote, u32)> {
        self.server.relay()
    }

    /// The relay through which others reach this node, TCP.
    pub fn home_relay(&self) -> watch::Receiver<Option<SocketAddr>> {
        self.fetcher.home()
    }

    /// Lets others reach this node through a relay, and pays for that, until the relay fails or `leave` resolves.
    ///
    /// # Errors
    /// One line that goes on after the relay's name: why it was left.
    pub async fn stay_at(&self, relay: &RelayNode, leave: impl Future<Output = ()>) -> Result<(), String> {
        self.fetcher.stay(relay, leave).await
    }

    /// What it asks now.
    pub fn quote(&self) -> Quote {
        self.server.quote()
    }

    /// From now on new sessions are offered to be paid to this account, at this price for each MiB; with nothing, as
    /// configured. Sessions in hand go on as they began.
    pub fn set_terms(&self, terms: Option<(Address, Amount)>) {
        self.server.set_terms(terms);
    }

    /// Sessions in hand.
    pub fn load(&self) -> u32 {
        self.server.load()
    }

    /// Everything below `root`: from the store, else fetched, verified, kept and paid for. Reading waits for the network:
    /// never read on an asynchronous worker.
    pub fn below(&self, root: &Cid) -> Remote {
        Remote::new(Arc::clone(&self.fetcher), *root)
    }

    /// From now on what is below `root` counts as read under this name, until another one is said.
    pub fn named(&self, root: &Cid, name: &str) {
        self.fetcher.named(root, name);
    }

    /// What deliveries have cost today (UTC); of a payee or a name only if they have a budget.
    pub fn spent(&self, purpose: &Purpose) -> Result<Amount, Error> {
        self.books.spent(purpose, now_ms())
    }

    /// Blocks within which a claim has to be on the ledger.
    pub fn claim_blocks(&self) -> u64 {
        self.server.claim_blocks()
    }

    /// What has left for other nodes in this calendar month.
    pub fn traffic(&self) -> Traffic {
        self.server.traffic()
    }

    /// Ends all sessions in order, makes the books durable and closes the endpoint; takes some seconds at most.
    pub async fn shutdown(&self) {
        tokio::join!(self.fetcher.shutdown(), self.server.shutdown());
        if let Some(relay) = &self.relay {
            relay.shutdown().await;
        }
        let books = self.books.clone();
        let synced = tokio::task::spawn_blocking(move || books.sync()).await;
        if let Ok(Err(error)) = synced {
            tracing::warn!(%error, "the books of deliveries may lose their last lines if the machine stops now");
        }
        self.endpoint.close().await;
    }
}

/// The books.
impl Delivery {
    /// What others had from this node and promised.
    pub fn tabs(&self) -> Result<Vec<TabRow>, Error> {
        self.books.tabs()
    }

    /// What this node had from others and promised.
    pub fn purses(&self) -> Result<Vec<PurseRow>, Error> {
        self.books.purses()
    }

    /// What this node has counted by itself for the payers of metered allotments.
    pub fn counts(&self) -> Result<Vec<CountRow>, Error> {
        self.books.counts()
    }

    /// What of that is for one payer and account.
    pub fn count(&self, escrow: &Hash, payee: &Address) -> Result<Count, Error> {
        self.books.count(escrow, payee)
    }

    /// Writes it. Whoever counts it must be alone in that.
    pub fn keep_count(&self, escrow: &Hash, payee: &Address, count: &Count) -> Result<(), Error> {
        self.books.keep_count(escrow, payee, count)
    }

    /// At most `max` receipts from number `from` on. Numbers begin with 1.
    pub fn receipts(&self, from: u64, max: usize) -> Result<Vec<ReceiptRow>, Error> {
        self.books.receipts(from, max)
    }

    /// The receipt with this id.
    pub fn receipt(&self, id: &Hash) -> Result<Option<ReceiptRow>, Error> {
        self.books.receipt(id)
    }

    /// Gathers receipts that no claim has taken, the oldest first; `None` if there are none. It is on disk when the call
    /// returns: do that before the claim is sent.
    pub fn stage_claim(&self) -> Result<Option<Batch>, Error> {
        self.books.stage_claim()
    }

    /// Batches whose claims are not known to be on the ledger.
    pub fn batches(&self) -> Result<Vec<Batch>, Error> {
        self.books.batches()
    }

    /// The batch with this root, settled or not.
    pub fn batch(&self, root: &Hash) -> Result<Option<Batch>, Error> {
        self.books.batch(root)
    }

    /// Notes that a claim is on the ledger.
    pub fn settle_claim(&self, root: &Hash) -> Result<(), Error> {
        self.books.settle_claim(root)
    }

    /// Gives up a claim that will never be on the ledger: its receipts are free for the next one.
    pub fn drop_claim(&self, root: &Hash) -> Result<(), Error> {
        self.books.drop_claim(root)
    }
}

impl BlockSource for Delivery {
    fn named(&self, root: &Cid, name: &str) {
        Delivery::named(self, root, name);
    }

    fn below(&self, root: &Cid) -> SharedBlocks {
        Arc::new(Delivery::below(self, root))
    }

    fn here(&self) -> SharedBlocks {
        self.store.here()
    }

    fn removed(&self) -> u64 {
        self.store.removed()
    }
}
