//! The node behind a gateway: what it knows of others is told by the test, what it has is in the store.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{OnceLock, RwLock};

use cid::Cid;
use gateway::{Neighbour, Node, Ranked, Served, Unreadable};
use ledger::{Hash, Label, PublicKey, SecretKey, Signed};
use named::mesh::Web;
use storage::SharedBlocks;

/// The chain of its signatures.
pub const CHAIN: &str = "test-1";

/// A node.
pub struct Behind {
    key: SecretKey,
    here: SharedBlocks,
    webs: OnceLock<(Option<Web>, Vec<Web>)>,
    /// The others.
    pub others: RwLock<Vec<Neighbour>>,
    /// Who of them provides what.
    pub provided: RwLock<Vec<(Cid, PublicKey)>>,
    /// Which of all is chosen, in the order in which they are told; this node is the first.
    pub chosen: AtomicUsize,
    /// Questions to the network.
    pub searches: AtomicU64,
    /// Readers whose connections have ended, and how far they were, in microseconds.
    pub measured: RwLock<Vec<(IpAddr, u32)>>,
}

impl Behind {
    pub fn new(here: SharedBlocks) -> Self {
        Self {
            key: SecretKey::from_seed([7; 32]),
            here,
            webs: OnceLock::new(),
            others: RwLock::default(),
            provided: RwLock::default(),
            chosen: AtomicUsize::new(0),
            searches: AtomicU64::new(0),
            measured: RwLock::default(),
        }
    }

    pub fn id(&self) -> PublicKey {
        self.key.public()
    }

    pub fn listens_at(&self, gateway: SocketAddr, provider: Option<SocketAddr>) {
        let web = |address: SocketAddr| Web::plain(address.ip(), address.port());
        let webs = (web(gateway), provider.and_then(web).into_iter().collect());
        self.webs.set(webs).expect("it is told once");
    }
}

impl Node for Behind {
    fn myself(&self) -> Neighbour {
        let (gateway, provider) = self.webs.get().cloned().unwrap_or_default();
        Neighbour {
            node: self.id(),
            gateway,
            provider,
        }
    }

    fn neighbours(&self) -> Vec<Neighbour> {
        self.others.read().expect("no panic holds it").clone()
    }

    fn has(&self, cid: &Cid) -> Result<bool, Unreadable> {
        let block = self.here.block(cid);
        block
            .map(|block| block.is_some())
            .map_err(|error| Unreadable::new(error.to_string()))
    }

    fn providers(&self, root: &Cid) -> Vec<PublicKey> {
        self.searches.fetch_add(1, Ordering::SeqCst);
        let provided = self.provided.read().expect("no panic holds it");
        let of_root = provided.iter().filter(|(cid, _)| cid == root);
        of_root.map(|(_, node)| *node).collect()
    }

    /// In the order in which they were told, this node first; the ledger knows all of them.
    fn nearest(&self, _content: &[u8], _user: IpAddr) -> Vec<Ranked> {
        let all = std::iter::once(self.myself()).chain(self.neighbours());
        let ranked = all.enumerate().map(|(place, neighbour)| Ranked {
            neighbour,
            rtt_us: u32::try_from(place).ok(),
            chosen: place == self.chosen.load(Ordering::SeqCst),
            registered: true,
            why: format!("number {place}"),
        });
        ranked.collect()
    }

    fn measured(&self, reader: IpAddr, rtt_us: u32) {
        let mut measured = self.measured.write().expect("no panic holds it");
        measured.push((reader, rtt_us));
    }

    fn prove(&self, label: &Label) -> Result<Vec<u8>, Unreadable> {
        Err(Unreadable::new(format!("there is no ledger to prove {label}")))
    }

    fn delivery(&self, id: &Hash) -> Result<Option<Vec<u8>>, Unreadable> {
        Ok((*id == Hash([5; 32])).then(|| b"a receipt".to_vec()))
    }

    fn sign(&self, served: Served) -> Signed<Served> {
        Signed::sign(served, CHAIN, &self.key)
    }
}
