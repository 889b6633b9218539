//! The gateway over real sockets, in front of a real store with an imported site. Names are held in memory: the real
//! ledger is joined in the suites of the whole node.

mod car;
mod client;
mod content;
mod limits;
mod names;
mod site;
