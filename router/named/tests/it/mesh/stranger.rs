//! A peer that speaks our protocols and says what a node of ours never would.

use futures::StreamExt;
use ledger::{PublicKey, SecretKey};
use libp2p::identity::Keypair;
use libp2p::kad::store::MemoryStore;
use libp2p::kad::{self, Quorum, Record};
use libp2p::swarm::NetworkBehaviour;
use libp2p::{Multiaddr, PeerId, StreamProtocol, SwarmBuilder, identify, noise, tcp, yamux};
use named::mesh::Peer;
use tokio::sync::mpsc;

use super::world::*;

#[derive(NetworkBehaviour)]
struct Protocols {
    identify: identify::Behaviour,
    kad: kad::Behaviour<MemoryStore>,
}

/// The stranger; it leaves when it is dropped.
pub struct Stranger {
    pub key: SecretKey,
    records: mpsc::UnboundedSender<Record>,
}

impl Stranger {
    /// Connects to `node`, as a node of its network.
    pub async fn start(node: &Node) -> Self {
        let seed = [0xee; 32];
        let keypair = Keypair::ed25519_from_bytes(seed).unwrap();
        let mut swarm = SwarmBuilder::with_existing_identity(keypair)
            .with_tokio()
            .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
            .unwrap()
            .with_behaviour(protocols)
            .unwrap()
            .build();
        let address: Multiaddr = node.address().parse().unwrap();
        let target: PeerId = node.peer_id().parse().unwrap();
        swarm.behaviour_mut().kad.add_address(&target, address.clone());
        swarm.dial(address).unwrap();
        let (records, mut orders) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = swarm.select_next_some() => {}
                    record = orders.recv() => match record {
                        Some(record) => {
                            swarm.behaviour_mut().kad.put_record_to(record, [target].into_iter(), Quorum::One);
                        }
                        None => return,
                    },
                }
            }
        });
        Self {
            key: SecretKey::from_seed(seed),
            records,
        }
    }

    /// Hands the node a record under the key of `node`'s endpoint.
    pub fn put_endpoint(&mut self, node: &PublicKey, value: Vec<u8>) {
        let key = [&b"/ddn/endpoint/"[..], node.as_bytes()].concat();
        self.records.send(Record::new(key, value)).unwrap();
    }

    /// What a node shows of it.
    pub fn seen_by(&self, node: &Node) -> Option<Peer> {
        node.mesh
            .peers()
            .into_iter()
            .find(|peer| peer.node == self.key.public())
    }
}

fn protocols(key: &Keypair) -> Protocols {
    let version = format!("ddn/1/{CHAIN}/{}", ledger::cid_of(b"a genesis"));
    let me = key.public().to_peer_id();
    let mut kad = kad::Behaviour::with_config(
        me,
        MemoryStore::new(me),
        kad::Config::new(StreamProtocol::new("/ddn/kad/1")),
    );
    kad.set_mode(Some(kad::Mode::Server));
    Protocols {
        identify: identify::Behaviour::new(identify::Config::new(version, key.public())),
        kad,
    }
}
