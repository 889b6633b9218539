//! The store from outside: what goes in comes out, what is hostile stays out, what dies leaves nothing behind.

mod crash;
mod hostile;
mod oracle;
mod reading;
mod roundtrip;
mod store;
mod support;
mod tar_streams;
