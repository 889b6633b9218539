//! Where crates that do not know each other meet: each of these implements a trait of one crate with the others.
//!
//! The chain asks its peers over the mesh ([`peers`]), delivery finds providers through mesh and adverts ([`finder`]),
//! pays from an escrow of the ledger ([`payer`]) and looks up what others can pay ([`ChainFunds`]); the gateway counts what
//! it serves of origins against the allotments of the ledger ([`ChainMeters`]); names and blocks are read from chain, store
//! and delivery ([`names`], [`blocks`]), names of other chains from nodes of those ([`others`]), domains from the public DNS ([`domains`]). The doors of the gateway ask all of them
//! ([`doors`]). The DNS server learns of the gateway what is encrypted ([`secure`]).

mod acquaintances;
mod blocks;
mod domains;
mod doors;
mod escrow;
mod finder;
mod funds;
mod meters;
mod names;
mod others;
mod payer;
mod peers;
mod secure;

pub use acquaintances::EdgeRow;
pub use blocks::NodeBlocks;
pub use domains::PublicDns;
pub use doors::{NodeDoors, Webs};
pub use finder::EdgeFinder;
pub use funds::ChainFunds;
pub use meters::ChainMeters;
pub use names::ChainNames;
pub use others::OtherChains;
pub use payer::WalletPayer;
pub use peers::{ChainPeers, Ears, MeshHandler, MeshUpstream};
pub use secure::SecureHosts;
