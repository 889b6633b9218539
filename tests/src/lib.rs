//! Starts real `ddn` processes in temporary folders and looks at them from outside.
//!
//! What a suite sees is what a user sees: the command line, `node.json`, HTTP and DNS on sockets. Nothing here links
//! the product, so a test cannot pass by sharing a mistake with it. Nothing here sleeps or retries: [`wait_until`] polls
//! a condition until its deadline, and every process, request and query has a deadline of its own. Only processes that
//! the kit started are ever signalled, and all of them are killed when their owner is dropped.

mod battery;
mod chromium;
mod clock;
mod disk;
mod dns;
mod http;
pub mod net;
mod node;
mod process;
pub mod tree;
mod wait;

pub use battery::{Check, run_all};
pub use chromium::{Chromium, Page};
pub use clock::Clock;
pub use disk::Disk;
pub use dns::{Dns, Transport};
pub use http::{Http, Reply};
pub use node::{Launch, Node};
pub use process::{Ddn, Ran, Running, adversary_binary, ddn_binary};
pub use wait::{poll, wait_until};
