//! One key, two names: a node's ledger key and its libp2p peer id; and which network a node belongs to.

use cid::Cid;
use ledger::PublicKey;
use libp2p::PeerId;
use libp2p::identity::{self, Keypair, ed25519};

/// The keys of a seed. A signature by either library verifies with the other.
pub fn keypair(seed: [u8; 32]) -> Keypair {
    Keypair::ed25519_from_bytes(seed).expect("any 32 bytes are a seed")
}

/// The peer id of a node: the identity multihash of its key, so nothing has to be looked up.
pub fn peer_id(node: &PublicKey) -> PeerId {
    let key =
        ed25519::PublicKey::try_from_bytes(node.as_bytes()).expect("a ledger key is a point of the curve");
    identity::PublicKey::from(key).to_peer_id()
}

/// The node behind a peer id; none for peers with keys of other kinds.
pub fn node_of(peer: &PeerId) -> Option<PublicKey> {
    const IDENTITY: u64 = 0;
    let multihash = peer.as_ref();
    if multihash.code() != IDENTITY {
        return None;
    }
    let key = identity::PublicKey::try_decode_protobuf(multihash.digest()).ok()?;
    PublicKey::from_bytes(key.try_into_ed25519().ok()?.to_bytes()).ok()
}

/// Which network a node is of: one chain, by its id and by its genesis.
#[derive(Clone, Debug)]
pub struct Network {
    /// The chain's id, which every signature covers.
    pub chain: String,
    /// The genesis, which says the rest.
    pub genesis: Cid,
}

/// Why a peer is not of our network.
#[derive(Debug, PartialEq, Eq)]
pub struct Foreign {
    /// `protocol`, `chain` or `genesis`, for the metrics.
    pub kind: &'static str,
    /// One line for people.
    pub reason: String,
}

const PROTOCOL: &str = "ddn/1/";
const SHOWN_CHARS: usize = 80;

impl Network {
    /// What a node tells others when they connect: `ddn/1/CHAIN/GENESIS`.
    pub fn version(&self) -> String {
        format!("{PROTOCOL}{}/{}", self.chain, self.genesis)
    }

    /// Whether a peer that says `version` is of this network.
    pub fn judge(&self, version: &str) -> Result<(), Foreign> {
        let foreign = |kind, reason| Err(Foreign { kind, reason });
        let Some((chain, genesis)) = version.strip_prefix(PROTOCOL).and_then(|v| v.rsplit_once('/')) else {
            let said = shown(version, SHOWN_CHARS);
            return foreign(
                "protocol",
                format!("it speaks `{said}`, this node speaks `{PROTOCOL}…`"),
            );
        };
        if chain != self.chain {
            let (theirs, ours) = (shown(chain, SHOWN_CHARS), &self.chain);
            return foreign(
                "chain",
                format!("it is on chain `{theirs}`, this node is on `{ours}`"),
            );
        }
        if genesis != self.genesis.to_string() {
            let (theirs, ours) = (shown(genesis, SHOWN_CHARS), &self.genesis);
            return foreign(
                "genesis",
                format!("its genesis of chain `{chain}` is {theirs}, this node's is {ours}"),
            );
        }
        Ok(())
    }
}

/// Foreign text, fit for a log line or a terminal: printable ASCII, at most `max` characters.
pub fn shown(text: &str, max: usize) -> String {
    text.chars()
        .filter(|c| c.is_ascii_graphic() || *c == ' ')
        .take(max)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::SecretKey;

    fn network() -> Network {
        Network {
            chain: "dev-1".into(),
            genesis: ledger::cid_of(b"one"),
        }
    }

    #[test]
    fn keys_and_peer_ids_map_both_ways() {
        for byte in 0..32 {
            let seed = [byte; 32];
            let node = SecretKey::from_seed(seed).public();
            let peer = keypair(seed).public().to_peer_id();
            assert_eq!(peer_id(&node), peer);
            assert_eq!(node_of(&peer), Some(node));
        }
    }

    #[test]
    fn a_hashed_peer_id_names_no_node() {
        let hashed = libp2p::multihash::Multihash::wrap(0x12, &[7; 32]).expect("32 bytes fit");
        let peer = PeerId::from_multihash(hashed).expect("sha2-256 is allowed");
        assert_eq!(node_of(&peer), None);
    }

    #[test]
    fn only_the_same_chain_and_genesis_will_do() {
        let ours = network();
        assert_eq!(ours.judge(&ours.version()), Ok(()));
        let other_chain = Network {
            chain: "dev-2".into(),
            ..network()
        };
        let other_genesis = Network {
            genesis: ledger::cid_of(b"two"),
            ..network()
        };
        for (version, kind, word) in [
            (
                other_chain.version(),
                "chain",
                "it is on chain `dev-2`, this node is on `dev-1`",
            ),
            (
                other_genesis.version(),
                "genesis",
                "its genesis of chain `dev-1` is ",
            ),
            (
                "ipfs/0.1.0\u{1b}[2J".into(),
                "protocol",
                "it speaks `ipfs/0.1.0[2J`",
            ),
            ("ddn/1/".into(), "protocol", "it speaks"),
            (String::new(), "protocol", "it speaks ``"),
        ] {
            let foreign = ours.judge(&version).expect_err(&version);
            assert_eq!(foreign.kind, kind, "{version}");
            assert!(foreign.reason.starts_with(word), "{}", foreign.reason);
        }
    }
}
