//! The named router against real sockets and hand-made packets.

mod answers;
mod book;
mod dap;
mod dig;
mod dnslink;
mod dnssec;
mod fuzz;
mod listening;
mod memory;
mod mesh;
mod own;
mod protocol;
mod rate;
mod tools;
mod validators;
mod wire;
