//! A gateway whose node holds little, and gets the rest from others as the test lets it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use bytes::Bytes;
use cid::Cid;
use gateway::{Config, Gateway};
use prometheus_client::registry::Registry;
use storage::{Attempt, BlockSource, Blocks, Error, SharedBlocks, Store, Walk};
use tempfile::TempDir;

use crate::client::{Answer, raw, request};
use crate::site::{Site, backend, metric};

/// What becomes of a block that is wanted from others.
#[derive(Clone, Debug)]
pub enum Fate {
    /// It comes at once, and is kept.
    Comes,
    /// It comes when the test says so.
    Held,
    /// Those who have it fail, each in its way.
    Fails(Vec<Attempt>),
    /// Nobody has it.
    Nowhere,
}

/// The blocks of a node and of those around it. A clone shares everything.
#[derive(Clone)]
pub struct Network(Arc<State>);

struct State {
    here: Store,
    others: Store,
    fates: Mutex<Fates>,
    changed: Condvar,
}

struct Fates {
    of: HashMap<Cid, Fate>,
    of_the_rest: Fate,
    /// The roots below which the gateway reads.
    roots: Vec<Cid>,
    /// What was asked of others, in order.
    asked: Vec<Cid>,
    /// What others were told to send soon.
    told: Vec<Cid>,
    waiting: usize,
}

impl Network {
    fn new(here: Store, others: Store) -> Self {
        let fates = Fates {
            of: HashMap::new(),
            of_the_rest: Fate::Comes,
            roots: Vec::new(),
            asked: Vec::new(),
            told: Vec::new(),
            waiting: 0,
        };
        Self(Arc::new(State {
            here,
            others,
            fates: Mutex::new(fates),
            changed: Condvar::new(),
        }))
    }

    /// Decides on one block.
    pub fn set(&self, cid: Cid, fate: Fate) {
        self.fates().of.insert(cid, fate);
        self.0.changed.notify_all();
    }

    /// Decides on all blocks.
    pub fn set_all(&self, fate: Fate) {
        let mut fates = self.fates();
        fates.of.clear();
        fates.of_the_rest = fate;
        self.0.changed.notify_all();
    }

    /// Puts a block, and everything below it if `deep`, on the node itself.
    pub fn keep(&self, cid: Cid, deep: bool) {
        let blocks = Walk::new(&self.0.others, &[cid]).map(|block| block.expect("a block"));
        for (cid, block) in blocks.take(if deep { usize::MAX } else { 1 }) {
            self.0.here.put(&cid, &block).expect("a block");
        }
    }

    pub fn roots(&self) -> Vec<Cid> {
        self.fates().roots.clone()
    }

    pub fn asked(&self) -> Vec<Cid> {
        self.fates().asked.clone()
    }

    pub fn told(&self) -> Vec<Cid> {
        self.fates().told.clone()
    }

    /// Reads that wait for a held block.
    pub fn waiting(&self) -> usize {
        self.fates().waiting
    }

    fn fates(&self) -> MutexGuard<'_, Fates> {
        self.0.fates.lock().expect("no panic holds it")
    }

    fn fetch(&self, cid: &Cid) -> Result<Option<Bytes>, Error> {
        let mut fates = self.fates();
        fates.asked.push(*cid);
        fates.waiting += 1;
        let mut fates = self
            .0
            .changed
            .wait_while(fates, |fates| matches!(fates.fate(cid), Fate::Held))
            .expect("no panic holds it");
        fates.waiting -= 1;
        match fates.fate(cid) {
            Fate::Fails(tried) => Err(Error::Unavailable { cid: *cid, tried }),
            Fate::Nowhere | Fate::Held => Ok(None),
            Fate::Comes => {
                drop(fates);
                let block = self.0.others.block(cid)?;
                if let Some(block) = &block {
                    self.0.here.put(cid, block)?;
                }
                Ok(block)
            }
        }
    }
}

impl Fates {
    fn fate(&self, cid: &Cid) -> Fate {
        self.of.get(cid).unwrap_or(&self.of_the_rest).clone()
    }
}

impl BlockSource for Network {
    fn below(&self, root: &Cid) -> SharedBlocks {
        self.fates().roots.push(*root);
        Arc::new(Below(self.clone()))
    }

    fn here(&self) -> SharedBlocks {
        Arc::new(self.0.here.clone())
    }
}

struct Below(Network);

impl Blocks for Below {
    fn block(&self, cid: &Cid) -> Result<Option<Bytes>, Error> {
        match self.0.0.here.block(cid)? {
            Some(block) => Ok(Some(block)),
            None => self.0.fetch(cid),
        }
    }

    fn soon(&self, cids: &mut dyn Iterator<Item = &Cid>) {
        self.0.fates().told.extend(cids);
    }
}

/// A gateway on a node that holds nothing, among others that hold a site.
pub struct Second {
    pub gateway: Gateway,
    pub registry: Registry,
    pub network: Network,
    /// The root of the site.
    pub root: Cid,
    _folder: TempDir,
}

impl Second {
    /// What `site` holds is what others have; its names are known.
    pub async fn new(site: &Site) -> Self {
        Self::with(site, |_| {}).await
    }

    pub async fn with(site: &Site, configure: impl FnOnce(&mut Config)) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let here = Store::open(folder.path()).expect("a store");
        let network = Network::new(here, site.store.clone());
        let mut config = Config {
            listen: "127.0.0.1:0".parse().expect("an address"),
            ..Config::default()
        };
        configure(&mut config);
        let mut registry = Registry::default();
        let source = Arc::new(network.clone());
        let gateway = Gateway::bind(config, backend(source, site.book.clone()), &mut registry).await;
        Self {
            gateway: gateway.expect("a free port"),
            registry,
            network,
            root: site.root,
            _folder: folder,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.gateway.local_addr()
    }

    pub fn metric(&self, name: &str) -> f64 {
        metric(&self.registry, name)
    }

    pub async fn ask(&self, method: &str, host: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
        raw(self.address(), &request(method, host, target, headers)).await
    }

    /// By path below the root of the site.
    pub async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.ask("GET", "127.0.0.1", &format!("/ipfs/{}{path}", self.root), headers)
            .await
    }
}

/// Lets go of every thread that waits, so that the runtime can end.
impl Drop for Second {
    fn drop(&mut self) {
        self.network.set_all(Fate::Nowhere);
    }
}
