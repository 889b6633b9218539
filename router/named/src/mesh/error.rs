//! What can go wrong in the mesh.

use std::io;
use std::net::SocketAddr;

/// Why the mesh did not start, or a request got no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting that cannot be used.
    #[error("mesh.{setting}: `{value}` {reason}")]
    Setting {
        /// The setting's name in its section of the configuration.
        setting: &'static str,
        /// What was configured.
        value: String,
        /// What is wrong with it, and what would be right.
        reason: String,
    },
    /// The address cannot be listened on.
    #[error("mesh.listen: cannot listen on {address} over TCP: {}", advice(.source))]
    Listen {
        /// The address of the setting `mesh.listen`.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A part of the network stack cannot be had.
    #[error("mesh: cannot start {part}: {reason}")]
    Start {
        /// Which part.
        part: &'static str,
        /// What it said.
        reason: String,
    },
    /// A request that is larger than any peer would take.
    #[error("ask {peer}: a request of {bytes} bytes, at most {max} are allowed")]
    TooLarge {
        /// The peer, as a peer id.
        peer: String,
        /// How large it is.
        bytes: usize,
        /// The bound, `Limits::request_bytes_max`.
        max: usize,
    },
    /// Nobody with that key is connected.
    #[error("ask {peer}: not connected; see `ddn node peers`")]
    NotConnected {
        /// The peer, as a peer id.
        peer: String,
    },
    /// No answer in time.
    #[error("ask {peer}: no answer within {millis} ms")]
    Timeout {
        /// The peer, as a peer id.
        peer: String,
        /// How long was waited.
        millis: u128,
    },
    /// The request failed, or the answer was refused.
    #[error("ask {peer}: {reason}")]
    Failed {
        /// The peer, as a peer id.
        peer: String,
        /// How.
        reason: String,
    },
    /// More requests at once than `Limits::requests_out_max`.
    #[error("ask {peer}: {max} requests are under way already; try again later")]
    Busy {
        /// The peer, as a peer id.
        peer: String,
        /// The bound.
        max: usize,
    },
    /// The mesh was shut down.
    #[error("the mesh is shut down")]
    Stopped,
}

fn advice(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "the port is in use by another program; stop it, or set mesh.listen to another port (0 takes a free one)"
                .into()
        }
        io::ErrorKind::PermissionDenied => {
            "not permitted; ports below 1024 need the capability CAP_NET_BIND_SERVICE, or set mesh.listen to a higher \
             port"
                .into()
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine does not have that address; set mesh.listen to one of its own".into()
        }
        _ => error.to_string(),
    }
}
