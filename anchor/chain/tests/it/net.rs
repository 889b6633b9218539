//! Nodes of one process, joined by memory instead of sockets: questions, gossip, faults, and peers that lie.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chain::{Chain, Fault, Gossip, Peers, Verdict};
use ledger::{Hash, decode, encode};

use crate::wire::{Answer, Request};

/// What a peer makes of its chain's answer. None: it says nothing, for ever.
pub type Tamper = Arc<dyn Fn(&Request, Answer) -> Option<Vec<u8>> + Send + Sync>;

/// What a peer says without asking its chain. None: it asks its chain.
pub type Instead = Arc<dyn Fn(&Request) -> Option<Answer> + Send + Sync>;

#[derive(Default)]
pub struct Net {
    nodes: Mutex<BTreeMap<String, Node>>,
    mute: AtomicBool,
}

struct Node {
    chain: Chain,
    links: BTreeSet<String>,
    tamper: Option<Tamper>,
    instead: Option<Instead>,
    faults: Vec<(String, Fault)>,
    seen: BTreeSet<Hash>,
    rejected: Vec<String>,
}

/// The net as one node sees it.
struct Port {
    net: Arc<Net>,
    me: String,
}

impl Net {
    pub fn new() -> Arc<Net> {
        Arc::default()
    }

    /// A net in which nothing spreads by gossip.
    pub fn without_gossip() -> Arc<Net> {
        let net = Net::default();
        net.mute.store(true, Ordering::Relaxed);
        Arc::new(net)
    }

    /// Makes a node reachable. It asks nobody.
    pub fn serve(&self, name: &str, chain: &Chain) {
        let node = Node {
            chain: chain.clone(),
            links: BTreeSet::new(),
            tamper: None,
            instead: None,
            faults: Vec::new(),
            seen: BTreeSet::new(),
            rejected: Vec::new(),
        };
        self.nodes.lock().unwrap().insert(name.to_owned(), node);
    }

    /// Makes a node reachable, links it, and connects its chain.
    pub fn join(self: &Arc<Self>, name: &str, chain: &Chain, links: &[&str]) {
        self.serve(name, chain);
        for other in links {
            self.link(name, other);
        }
        let (net, me) = (Arc::clone(self), name.to_owned());
        chain.connect(Arc::new(Port { net, me }));
    }

    pub fn link(&self, a: &str, b: &str) {
        self.with(a, |node| node.links.insert(b.to_owned()));
        self.with(b, |node| node.links.insert(a.to_owned()));
    }

    pub fn unlink(&self, a: &str, b: &str) {
        let mut nodes = self.nodes.lock().unwrap();
        for (from, to) in [(a, b), (b, a)] {
            // One of them may have left.
            if let Some(node) = nodes.get_mut(from) {
                node.links.remove(to);
            }
        }
    }

    /// Takes a node away.
    pub fn leave(&self, name: &str) {
        let mut nodes = self.nodes.lock().unwrap();
        nodes.remove(name);
        for node in nodes.values_mut() {
            node.links.remove(name);
        }
    }

    pub fn tamper(
        &self,
        name: &str,
        tamper: impl Fn(&Request, Answer) -> Option<Vec<u8>> + Send + Sync + 'static,
    ) {
        self.with(name, |node| node.tamper = Some(Arc::new(tamper)));
    }

    pub fn instead(&self, name: &str, instead: impl Fn(&Request) -> Option<Answer> + Send + Sync + 'static) {
        self.with(name, |node| node.instead = Some(Arc::new(instead)));
    }

    /// What a node said against others.
    pub fn faults(&self, name: &str) -> Vec<(String, Fault)> {
        self.with(name, |node| node.faults.clone())
    }

    /// Gossip that a node rejected, with the reason.
    pub fn rejected(&self, name: &str) -> Vec<String> {
        self.with(name, |node| node.rejected.clone())
    }

    fn with<T>(&self, name: &str, work: impl FnOnce(&mut Node) -> T) -> T {
        work(self.nodes.lock().unwrap().get_mut(name).unwrap())
    }

    fn links(&self, name: &str) -> BTreeSet<String> {
        let nodes = self.nodes.lock().unwrap();
        nodes.get(name).map(|node| node.links.clone()).unwrap_or_default()
    }

    /// Everybody who accepts it passes it on, as gossip does.
    fn spread(self: &Arc<Self>, from: &str, what: Gossip, bytes: &[u8]) {
        for to in self.links(from) {
            let (net, from, bytes) = (Arc::clone(self), from.to_owned(), bytes.to_owned());
            tokio::task::spawn_blocking(move || {
                let id = Hash::of(&bytes);
                let chain = {
                    let mut nodes = net.nodes.lock().unwrap();
                    let Some(node) = nodes.get_mut(&to) else {
                        return;
                    };
                    if !node.seen.insert(id) {
                        return;
                    }
                    node.chain.clone()
                };
                match chain.heard(what, &from, &bytes) {
                    Verdict::Accept => net.spread(&to, what, &bytes),
                    Verdict::Ignore => {}
                    Verdict::Reject(reason) => net.with(&to, |node| node.rejected.push(reason)),
                }
            });
        }
    }
}

#[async_trait]
impl Peers for Port {
    fn peers(&self) -> Vec<String> {
        self.net.links(&self.me).into_iter().collect()
    }

    async fn ask(&self, peer: &str, request: Vec<u8>) -> Result<Vec<u8>, String> {
        let found = {
            let nodes = self.net.nodes.lock().unwrap();
            let node = nodes.get(peer).filter(|node| node.links.contains(&self.me));
            node.map(|node| (node.chain.clone(), node.tamper.clone(), node.instead.clone()))
        };
        let (chain, tamper, instead) = found.ok_or("it is not connected")?;
        let answer = tokio::task::spawn_blocking(move || {
            let other = instead.and_then(|instead| instead(&decode(&request).unwrap()));
            if let Some(other) = other {
                return sent(&other);
            }
            let answer = chain.answer(&request);
            let Some(tamper) = tamper else {
                return Some(answer);
            };
            tamper(&decode(&request).unwrap(), decode(&answer).unwrap())
        });
        match answer.await.unwrap() {
            Some(answer) => Ok(answer),
            None => std::future::pending().await,
        }
    }

    fn fault(&self, peer: &str, fault: Fault) {
        if matches!(fault, Fault::Severe(_)) {
            self.net.unlink(&self.me, peer);
        }
        self.net
            .with(&self.me, |node| node.faults.push((peer.to_owned(), fault)));
    }

    fn publish(&self, what: Gossip, bytes: Vec<u8>) {
        if !self.net.mute.load(Ordering::Relaxed) {
            self.net.spread(&self.me, what, &bytes);
        }
    }
}

/// An answer as it is sent.
pub fn sent(answer: &Answer) -> Option<Vec<u8>> {
    Some(encode(answer))
}
