//! The store from outside: what goes in comes out, what is hostile stays out, what dies leaves nothing behind.

mod crash;
mod ddp_fetch;
mod ddp_fetch_budget;
mod ddp_fetch_hostile;
mod ddp_fetch_lanes;
mod ddp_fetch_link;
mod ddp_fetch_world;
mod ddp_relay;
mod ddp_server;
mod ddp_server_hostile;
mod ddp_server_wire;
mod ddp_server_world;
mod hostile;
mod oracle;
mod reading;
mod roundtrip;
mod store;
mod support;
mod tar_streams;
