//! The named router against real sockets and hand-made packets.

mod answers;
mod book;
mod codes;
mod dap;
mod dig;
mod dnslink;
mod dnssec;
mod forward;
mod fuzz;
mod listening;
mod memory;
mod mesh;
mod others;
mod own;
mod protocol;
mod rate;
mod secure;
mod subnet;
mod tools;
mod validators;
mod wire;
