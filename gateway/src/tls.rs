//! Encryption: certificates from files, chosen by the host that a client names, and what connections agree on.
//!
//! One provider of cryptography (ring) is named wherever one is needed, so that no other can slip in. TLS 1.3 and 1.2
//! over TCP, 1.3 over QUIC; sessions are resumed by tickets whose keys live in memory and change every few hours. No early
//! data: it could be replayed.

mod certificates;
mod pair;

use std::sync::Arc;
use std::time::Duration;

pub use certificates::Certificates;
pub(crate) use pair::Pair;
pub use pair::{CertificateError, CertificateFiles};
use rustls::crypto::CryptoProvider;
use rustls::server::ProducesTickets;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};

/// How often the files are looked at. It costs one look at each file's date.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What HTTP over TCP and over QUIC say in their handshakes, from the same certificates.
pub(crate) struct Agreements {
    /// HTTP/2 or HTTP/1.1.
    pub tcp: Arc<ServerConfig>,
    /// HTTP/3.
    pub quic: Arc<ServerConfig>,
}

impl Agreements {
    /// # Errors
    /// The system gives no random bytes.
    pub(crate) fn new(certificates: &Certificates) -> Result<Self, rustls::Error> {
        let tickets = rustls::crypto::ring::Ticketer::new()?;
        let make = |versions: &[&'static SupportedProtocolVersion], protocols: &[&str]| {
            config(certificates, &tickets, versions, protocols)
        };
        Ok(Self {
            tcp: make(&[&TLS13, &TLS12], &["h2", "http/1.1"])?,
            quic: make(&[&TLS13], &["h3"])?,
        })
    }
}

fn config(
    certificates: &Certificates,
    tickets: &Arc<dyn ProducesTickets>,
    versions: &[&'static SupportedProtocolVersion],
    protocols: &[&str],
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(certificates.clone()));
    config.ticketer = Arc::clone(tickets);
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Ok(Arc::new(config))
}

/// The one provider of cryptography.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
