//! Settings of a node's chain.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Settings of [`crate::Chain::start`]. Rules of the chain itself are in its genesis, not here.
#[derive(Clone, Debug)]
pub struct Config {
    /// The node's data folder. The chain keeps its database in `chain` and the engine's files in `engine` below it.
    pub dir: PathBuf,
    /// Where the consensus engine listens (TCP). Port 0 takes a free one; see [`crate::Chain::engine_addr`].
    pub engine_listen: SocketAddr,
    /// Whether [`crate::Chain::connect`] will bring peers that know how far the chain is: then a delegate that was away asks
    /// them before it takes its seat ([`crate::Error::Away`]).
    pub has_peers: bool,
    /// Transactions that may wait for a block. The default, 4096, is checked anew after each block within a second.
    pub mempool_max_txs: usize,
    /// Encoded bytes of the transactions that may wait. The default, 8 MiB, is four full blocks.
    pub mempool_max_bytes: usize,
    /// Refusals that are remembered for [`crate::Chain::fate`], newest first. Default 4096.
    pub refusals_kept: usize,
    /// The chain counts as silent when no block came for this long, or for ten block times if that is longer.
    pub silent_after: Duration,
    /// The delegate counts as mute when its signature is missing in this many certificates in a row, of heights that
    /// it signed. Default 30.
    pub mute_after: u32,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            dir: PathBuf::from("."),
            engine_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 4103)),
            has_peers: false,
            mempool_max_txs: 4096,
            mempool_max_bytes: 8 << 20,
            refusals_kept: 4096,
            silent_after: Duration::from_secs(60),
            mute_after: 30,
        }
    }
}
