//! Attacks on a gateway, with honest readers beside. What is asserted is what does not depend on the machine: that the
//! readers are served, that an attacker has no more places than a client may have, and that memory stays bounded. How long
//! the readers waited is told, beside what they wait when nobody attacks.
//!
//! Every client has an address of its own, which the loopback network has enough of. One test runs at a time, since they
//! look at the memory of the process.

mod beside;
#[allow(dead_code, reason = "shared with the other tests")]
#[path = "../it/client.rs"]
mod client;
mod lines;
#[allow(dead_code, reason = "shared with the other tests")]
#[path = "../it/node.rs"]
mod node;
mod paths;
#[allow(dead_code, reason = "shared with the other tests")]
#[path = "../it/site.rs"]
mod site;
mod streams;
#[allow(dead_code, reason = "shared with the other tests")]
#[path = "../it/wire.rs"]
mod wire;
mod work;
