//! The chain of a node, as the rest of the node sees it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cid::Cid;
use ledger::{Address, Audit, Block, Bundle, Certificate, Genesis, SecretKey, StateProof, Tx};
use prometheus_client::registry::Registry;
use serde_bytes::ByteBuf;
use tokio::sync::watch;

use crate::engine::{self, Engine};
use crate::mempool::{Mempool, Standing};
use crate::metrics::Metrics;
use crate::monitor::Monitor;
use crate::store::{Store, View};
use crate::{Config, Error, Health, SubmitError, Tip};

/// Block times without a block that are no sign of a fault, whatever the configuration says.
const SILENT_BLOCKS: u32 = 10;

/// A running chain: blocks are made and followed until [`Chain::shutdown`]. Clones are the same chain.
#[derive(Clone)]
pub struct Chain(Arc<Inner>);

struct Inner {
    genesis: Arc<Genesis>,
    store: Arc<Store>,
    mempool: Arc<Mempool>,
    monitor: Arc<Monitor>,
    tips: watch::Receiver<Tip>,
    engine_addr: SocketAddr,
    engine: tokio::sync::Mutex<Option<Engine>>,
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// This node knows nothing of it: never seen, lost by a restart before it came into a block, or an old refusal.
    Unknown,
    /// It waits for a block.
    Pending,
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
    /// Opens or makes the chain of a genesis in `config.dir` and takes the delegate's seat.
    ///
    /// # Errors
    /// If the folder is in use, holds another chain or cannot be read; if the key has no seat; if the genesis has no
    /// usable addresses of the other delegates; if the engine cannot listen.
    pub async fn start(
        genesis: Genesis,
        delegate: SecretKey,
        config: Config,
        registry: &mut Registry,
    ) -> Result<Chain, Error> {
        genesis.validate().map_err(|e| Error::genesis(&genesis, e))?;
        check_seat(&genesis, &delegate)?;
        let genesis = Arc::new(genesis);
        let store = Arc::new(open(&genesis, &config).await?);
        let metrics = Metrics::register(registry);
        let tip = store.tip();
        metrics.height.set(tip.height as i64);
        let (tips, watched) = watch::channel(tip.clone());
        let monitor = Arc::new(monitor(&genesis, &config, tip.height));
        let mempool = Mempool::new(
            Arc::clone(&genesis),
            delegate.address(),
            &config,
            metrics.clone(),
            store.view(),
        );
        let mempool = Arc::new(mempool);
        let parts = engine::Parts {
            genesis: Arc::clone(&genesis),
            delegate,
            store: Arc::clone(&store),
            mempool: Arc::clone(&mempool),
            monitor: Arc::clone(&monitor),
            metrics,
            tips,
        };
        let engine = Engine::start(parts, &config.dir.join("engine"), config.engine_listen).await?;
        let engine_addr = engine.listen();
        tracing::info!(chain = genesis.chain_id, height = tip.height, %engine_addr, "the chain goes on");
        let engine = tokio::sync::Mutex::new(Some(engine));
        let inner = Inner {
            genesis,
            store,
            mempool,
            monitor,
            tips: watched,
            engine_addr,
            engine,
        };
        Ok(Chain(Arc::new(inner)))
    }

    /// The rules of the chain.
    pub fn genesis(&self) -> &Genesis {
        &self.0.genesis
    }

    /// The newest committed block.
    pub fn tip(&self) -> Tip {
        self.0.store.tip()
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
        match self.0.mempool.submit(cid, tx) {
            // Its block may have come in between: then the ledger refuses only to take it twice.
            Err(SubmitError::Refused(_)) if self.0.store.height_of(&cid)?.is_some() => Ok(cid),
            taken => taken.map(|()| cid),
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
            Standing::Waiting => Fate::Pending,
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
        let store = &self.0.store;
        let height = store.tip().height;
        let no_block = || Error::NoBlock {
            chain: self.0.genesis.chain_id.clone(),
        };
        let header = store.header(height)?.ok_or_else(no_block)?;
        let certificate = store.certificate(height)?.ok_or_else(no_block)?;
        let (value, proof) = store.prove(key, height)?;
        Ok(Bundle {
            key: key.to_vec(),
            value: value.map(ByteBuf::from),
            proof: StateProof(proof),
            header,
            certificate,
            // No transaction changes the delegates yet.
            set_changes: Vec::new(),
        })
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

    /// Where the consensus engine listens; none after [`Chain::shutdown`] has begun.
    pub fn engine_addr(&self) -> Option<SocketAddr> {
        let running = self.0.engine.try_lock().map_or(true, |engine| engine.is_some());
        running.then_some(self.0.engine_addr)
    }

    /// How the chain is.
    pub fn health(&self) -> Health {
        self.0.monitor.health(Instant::now())
    }

    /// Resolves with the reason when the chain does not go on: the process should exit, and be started again after at
    /// least 30 s. Never resolves while all is well, nor because of [`Chain::shutdown`].
    pub async fn failed(&self) -> Error {
        Error::Failed(self.0.monitor.failed().await)
    }

    /// Stops the engine. The store stays readable until the last clone is gone, and its folder locked until then.
    pub async fn shutdown(&self) {
        if let Some(engine) = self.0.engine.lock().await.take() {
            engine.stop().await;
        }
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

fn check_seat(genesis: &Genesis, delegate: &SecretKey) -> Result<(), Error> {
    if genesis.delegates.iter().any(|seat| seat.key == delegate.public()) {
        return Ok(());
    }
    let address = delegate.address().display(&genesis.prefix);
    Err(Error::NotDelegate {
        address,
        chain: genesis.chain_id.clone(),
    })
}

async fn open(genesis: &Arc<Genesis>, config: &Config) -> Result<Store, Error> {
    let (genesis, dir) = (Arc::clone(genesis), config.dir.join("chain"));
    let opened = tokio::task::spawn_blocking(move || Store::open(&dir, &genesis)).await;
    opened.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

fn monitor(genesis: &Genesis, config: &Config, height: u64) -> Monitor {
    let block_time = Duration::from_millis(genesis.block_time_ms);
    let silent_after = config.silent_after.max(block_time * SILENT_BLOCKS);
    Monitor::new(
        silent_after,
        config.mute_after,
        engine::peers_wanted(genesis),
        height,
    )
}
