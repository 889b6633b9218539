//! Several nodes in one process, over real sockets on loopback.

mod adverts;
mod gossip;
mod joining;
mod limits;
mod lookups;
mod refusal;
mod requests;
mod stranger;
mod world;
