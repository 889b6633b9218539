//! The transport, and private networks: with a pre-shared key every byte is enciphered before anything else is said, so
//! whoever lacks the key cannot even ask who is there (libp2p, Private Networks, PSK V1).

use std::fmt;
use std::io;
use std::str::FromStr;

use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::Boxed;
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::swarm::DialError;
use libp2p::{PeerId, Transport, noise, tcp, yamux};
use libp2p_pnet::{PnetConfig, PreSharedKey};

/// The longest key file: three short lines.
pub const NETWORK_KEY_BYTES_MAX: u64 = 1024;

/// The key that all nodes of a private network have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct NetworkKey(PreSharedKey);

/// A text is no key of a private network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "is no key of a private network: write three lines, `/key/swarm/psk/1.0.0/`, `/base16/` and 64 hexadecimal digits"
)]
pub struct NoNetworkKey;

impl FromStr for NetworkKey {
    type Err = NoNetworkKey;

    fn from_str(text: &str) -> Result<Self, NoNetworkKey> {
        let lines: Vec<_> = text.lines().collect();
        // The library cuts the digits out of the text, and takes a sign for one.
        let is_hex = matches!(lines[..], [_, _, digits] if digits.bytes().all(|b| b.is_ascii_hexdigit()));
        let key = text.parse().ok().filter(|_| is_hex);
        key.map(Self).ok_or(NoNetworkKey)
    }
}

/// Never the key itself: its fingerprint, as other programs show it.
impl fmt::Debug for NetworkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.fingerprint())
    }
}

/// TCP, with the cipher of the private network if there is one, then Noise and Yamux.
pub fn transport(
    own: &Keypair,
    key: Option<NetworkKey>,
) -> Result<Boxed<(PeerId, StreamMuxerBox)>, noise::Error> {
    let tcp = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true));
    let (noise, yamux) = (noise::Config::new(own)?, yamux::Config::default());
    Ok(match key {
        None => {
            let secured = tcp.upgrade(Version::V1Lazy).authenticate(noise);
            secured.multiplex(yamux).boxed()
        }
        Some(NetworkKey(key)) => {
            let enciphered = tcp.and_then(move |socket, _| PnetConfig::new(key).handshake(socket));
            let secured = enciphered.upgrade(Version::V1Lazy).authenticate(noise);
            secured.multiplex(yamux).boxed()
        }
    })
}

/// What to think of when a handshake failed although somebody is there: both sides then see noise, and one of them waits
/// for the rest of it.
pub fn suspicion(key: Option<NetworkKey>) -> String {
    match key {
        Some(key) => format!(
            "if a node runs there, its key of the private network is not the one in mesh.psk_file, whose fingerprint is {key:?}"
        ),
        None => {
            "if a node runs there, it is in a private network: set mesh.psk_file to that one's key".to_owned()
        }
    }
}

/// Whether a dial failed after the other machine had taken the connection, as far as can be told.
pub fn is_after_contact(error: &DialError) -> bool {
    let DialError::Transport(attempts) = error else {
        return false;
    };
    attempts.first().is_some_and(|(_, error)| {
        let mut cause: Option<&dyn std::error::Error> = Some(error);
        while let Some(error) = cause {
            let system = error.downcast_ref::<io::Error>();
            if system.is_some_and(|error| error.raw_os_error().is_some() && !is_reset(error)) {
                return false;
            }
            cause = error.source();
        }
        true
    })
}

/// The other side closed although it had been sent something that it did not read.
fn is_reset(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_has_one_form() {
        let text = |digits: &str| format!("/key/swarm/psk/1.0.0/\n/base16/\n{digits}\n");
        let digits = "0f".repeat(32);
        let key: NetworkKey = text(&digits).parse().expect("a key");
        assert!(!format!("{key:?}").contains(&digits), "{key:?}");
        assert_eq!(text(&digits).trim_end().parse(), Ok(key));
        for wrong in [
            String::new(),
            digits.clone(),
            text(&digits[1..]),
            text(&format!("{digits}00")),
            text(&"+f".repeat(32)),
            text(&"é".repeat(32)),
            text(&digits).replace("base16", "base64"),
            text(&digits).replace("swarm", "other"),
            text(&digits) + "more\n",
        ] {
            assert_eq!(wrong.parse::<NetworkKey>(), Err(NoNetworkKey), "{wrong}");
        }
    }
}
