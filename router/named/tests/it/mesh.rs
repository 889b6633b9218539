//! Several nodes in one process, over real sockets on loopback.

mod adverts;
mod clocks;
mod gossip;
mod joining;
mod limits;
mod lookups;
mod private;
mod refusal;
mod remembered;
mod requests;
mod seeds;
mod stranger;
mod world;
