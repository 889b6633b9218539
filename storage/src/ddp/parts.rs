//! What a [`Delivery`](super::Delivery) is configured with, and what it needs of the node around it.

use std::net::SocketAddr;
use std::time::Duration;

use super::RelayConfig;
use async_trait::async_trait;
use cid::Cid;
use ledger::{
    Address, Amount, CreditTerms, Escrow, FraudProof, Hash, Line, PublicKey, SecretKey, Signed, Voucher,
};

/// How a node delivers and fetches. [`Config::new`] has the defaults.
#[derive(Clone, Debug)]
pub struct Config {
    /// The node key: identity of the endpoint, signs quotes and statements.
    pub key: SecretKey,
    /// The id of the chain on which is paid.
    pub chain: String,
    /// Where to listen, UDP; port 0 takes a free one.
    pub listen: SocketAddr,
    /// How fast it sends on a path.
    pub congestion: Congestion,
    /// What this node asks for each MiB; 0: it delivers for nothing.
    pub price: Amount,
    /// The most that this node pays for each MiB.
    pub price_max: Amount,
    /// The most that deliveries cost it in a day.
    pub budget: Budget,
    /// The account that vouchers to this node are made out to.
    pub payee: Address,
    /// How much leaves unpaid.
    pub credit: CreditTerms,
    /// How long a read waits for a block, and a server for a voucher or for a client that takes nothing.
    pub timeout: Duration,
    /// How long a provider may be silent before the next is tried.
    pub silence: Duration,
    /// Sessions that are served at once: each holds at most 4 MiB of blocks and 4096 wants.
    pub sessions_max: usize,
    /// Of them, for one peer: a peer needs one for each root that it reads.
    pub sessions_per_peer: usize,
    /// Bytes that leave in a second, shared fairly between peers; 0: as fast as they are taken.
    pub rate_max: u64,
    /// Bytes that leave in a calendar month (UTC), then new sessions are refused until the next; 0: any number.
    pub month_max: u64,
    /// Sessions end when nothing was asked for so long.
    pub idle: Duration,
    /// Passes packets on for others, if this is set.
    pub relay: Option<RelayConfig>,
    /// The most that this node pays a relay for each MiB.
    pub relay_price_max: Amount,
    /// Blocks after which a claim is on the ledger at the latest: what is set aside for a shorter time counts as nothing.
    pub claim_blocks: u64,
}

impl Config {
    /// The defaults: delivers for nothing, pays at most a hundredth of a coin for each MiB.
    pub fn new(key: SecretKey, chain: &str, listen: SocketAddr, payee: Address) -> Config {
        Config {
            key,
            chain: chain.to_owned(),
            listen,
            congestion: Congestion::default(),
            price: Amount::ZERO,
            price_max: Amount::from_units(ledger::COIN / 100),
            budget: Budget::default(),
            payee,
            credit: CreditTerms::default(),
            timeout: Duration::from_secs(30),
            silence: Duration::from_secs(5),
            sessions_max: 256,
            sessions_per_peer: 64,
            rate_max: 0,
            month_max: 0,
            idle: Duration::from_secs(60),
            relay: None,
            relay_price_max: Amount::from_units(ledger::COIN / 1000),
            claim_blocks: 10,
        }
    }
}

/// How fast a node sends on a path: its congestion control.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Congestion {
    /// Cubic within this machine and private networks, BBR to all others.
    #[default]
    Auto,
    /// Until packets are lost, then less (RFC 9438).
    Cubic,
    /// As much as arrives (BBR version 3, draft-ietf-ccwg-bbr).
    Bbr3,
}

/// The most that deliveries cost in a day (UTC); zero: any amount. What was asked for when it was reached is still paid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// All of them.
    pub all: Amount,
    /// Those of one payee.
    pub payee: Amount,
    /// Those of what is read under one name.
    pub name: Amount,
}

/// A node that may have content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// Its node key.
    pub node: PublicKey,
    /// Where it delivers, UDP.
    pub addresses: Vec<SocketAddr>,
    /// The relay that passes packets on to it, TCP, if there is one.
    pub relay: Option<SocketAddr>,
    /// The round trip to it in microseconds, if that is known.
    pub rtt_us: Option<u32>,
}

/// A node that passes packets on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayNode {
    /// The node, and where it delivers: there its service is paid.
    pub provider: Provider,
    /// Where its clients connect, TCP.
    pub address: SocketAddr,
}

/// Knows who has what.
#[async_trait]
pub trait Finder: Send + Sync + 'static {
    /// Who may have `root`, best first, within a second.
    async fn providers(&self, root: &Cid) -> Vec<Provider>;

    /// How it went with a provider.
    fn outcome(&self, node: &PublicKey, outcome: Outcome);

    /// Something below `root` was fetched and is here now: others may be told.
    fn fetched(&self, root: &Cid);
}

/// How one session with a provider went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The measured round trip, in microseconds.
    pub rtt_us: Option<u32>,
    /// Payload that arrived and was verified.
    pub bytes: u64,
    /// From the first want to the last block.
    pub took: Duration,
    /// Why it ended, if not in order.
    pub failure: Option<String>,
    /// Whether it sent what no honest provider sends.
    pub lied: bool,
    /// Whether it refused for having too much to do.
    pub turned_away: bool,
}

/// Pays for this node.
#[async_trait]
pub trait Payer: Send + Sync + 'static {
    /// The escrow from which to pay `payee`; opens one if there is none.
    ///
    /// # Errors
    /// One line: why there is none.
    async fn escrow(&self, payee: &Address, price: Amount) -> Result<Hash, String>;

    /// Whether the ledger splits what deliveries of `root` earn.
    ///
    /// # Errors
    /// One line: why the ledger cannot be read.
    async fn is_split(&self, root: &Cid) -> Result<bool, String>;

    /// Signs with the escrow's voucher key.
    fn sign(&self, voucher: Voucher) -> Signed<Voucher>;

    /// Sees that the ledger will pay the account `payee` at least `amount` more from `escrow` than it would now, and returns when it
    /// is on the ledger.
    ///
    /// # Errors
    /// One line: why not.
    async fn allot(&self, escrow: &Hash, payee: &Address, amount: Amount) -> Result<(), String>;

    /// Brings the proof that a node has lied to the ledger. Returns at once; a node is convicted once.
    fn convict(&self, proof: FraudProof);
}

/// The ledger, as far as a payee looks at it.
pub trait Funds: Send + Sync + 'static {
    /// The height of the newest block. Does not wait for a disk.
    fn height(&self) -> u64;

    /// Whether the ledger splits what deliveries of `root` earn. May block on disk.
    ///
    /// # Errors
    /// One line: why the ledger cannot be read.
    fn is_split(&self, root: &Cid) -> Result<bool, String>;

    /// An escrow, and what is set aside there for the account `payee`. May block on disk.
    ///
    /// # Errors
    /// One line: why the ledger cannot be read.
    fn escrow(&self, id: &Hash, payee: &Address) -> Result<(Option<Escrow>, Option<Line>), String>;
}
