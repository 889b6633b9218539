//! The gateway over real sockets, in front of a real store with an imported site. Names are held in memory: the real
//! ledger is joined in the suites of the whole node. Nor is there a network: another store stands for what others have, and
//! gives it at once, late, never, or fails to.

mod access_log;
mod acme;
mod car;
mod client;
mod content;
mod deny;
mod distance;
mod doors;
mod elsewhere;
mod fast;
mod forms;
mod guard;
mod http2;
mod http3;
mod keys;
mod limits;
mod names;
mod network;
mod node;
mod onward;
mod origin;
mod packed;
mod provider;
mod proxy;
mod retrieval;
mod rules;
mod site;
mod slow;
mod timeouts;
mod tls;
mod together;
mod wire;
