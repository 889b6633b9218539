//! The admin API: HTTP and JSON on loopback, for the command line and other tools of this machine.

pub mod paths;
pub mod types;
