//! Connections to origins. The address that was checked is the address that is connected to: nothing is looked up twice.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use ledger::Origin;
use rustls::ClientConfig;
use rustls_pki_types::{CertificateDer, ServerName};
use rustls_platform_verifier::Verifier;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::address::may_connect;
use super::fault::Fault;

/// Addresses of one name that are tried, one after the other.
const ADDRESSES_MAX: usize = 4;

/// How host names become addresses.
pub trait Lookup: Send + Sync {
    /// The addresses of a host name, with the port.
    fn lookup<'a>(&'a self, host: &'a str, port: u16) -> Looked<'a>;
}

/// What a [`Lookup`] gives, later.
pub type Looked<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>>;

/// The resolver of the system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup<'a>(&'a self, host: &'a str, port: u16) -> Looked<'a> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }
}

/// Bytes to and from an origin, encrypted or not.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// Opens connections.
pub(super) struct Connector {
    lookup: Arc<dyn Lookup>,
    allow: Vec<SocketAddr>,
    /// `None` if there is nothing to verify certificates by.
    tls: Option<TlsConnector>,
}

impl Connector {
    /// `allow` are addresses beyond the public ones; `roots` are trusted besides those of the system.
    pub(super) fn new(
        lookup: Arc<dyn Lookup>,
        allow: Vec<SocketAddr>,
        roots: Vec<CertificateDer<'static>>,
    ) -> Self {
        let tls = verifying(roots)
            .map(TlsConnector::from)
            .inspect_err(|error| tracing::warn!(%error, "origins with https cannot be served: install the certificates of the usual authorities"))
            .ok();
        Self { lookup, allow, tls }
    }

    /// A connection to an origin, over TLS if its scheme says so.
    pub(super) async fn connect(&self, origin: &Origin) -> Result<Box<dyn Wire>, Fault> {
        let mut last = Fault::Refused;
        for address in self.addresses(origin).await? {
            match TcpStream::connect(address).await {
                Ok(stream) => return self.secure(origin, stream).await,
                Err(error) => last = Fault::Unreachable(said("no connection", &error)),
            }
        }
        Err(last)
    }

    /// The addresses that may be connected to.
    async fn addresses(&self, origin: &Origin) -> Result<Vec<SocketAddr>, Fault> {
        let (host, port) = (bare(origin.host()), origin.port());
        let all = match host.parse() {
            Ok(ip) => vec![SocketAddr::new(ip, port)],
            Err(_) => {
                let looked = self.lookup.lookup(host, port).await;
                looked.map_err(|_| Fault::Unreachable("its name does not resolve".into()))?
            }
        };
        let mut good = all;
        good.retain(|address| may_connect(*address, &self.allow));
        good.truncate(ADDRESSES_MAX);
        if good.is_empty() {
            return Err(Fault::Refused);
        }
        Ok(good)
    }

    async fn secure(&self, origin: &Origin, stream: TcpStream) -> Result<Box<dyn Wire>, Fault> {
        // Requests are small, and wait for nothing.
        let _ = stream.set_nodelay(true);
        if !origin.is_secure() {
            return Ok(Box::new(stream));
        }
        let name = ServerName::try_from(bare(origin.host()).to_owned())
            .map_err(|_| Fault::Unreachable("its host is no name for a certificate".into()))?;
        let tls = self.tls.as_ref();
        let tls =
            tls.ok_or_else(|| Fault::Unreachable("this node has no certificates to verify it by".into()))?;
        let secured = tls.connect(name, stream).await;
        let secured = secured.map_err(|error| Fault::Unreachable(said("no TLS", &error)))?;
        Ok(Box::new(secured))
    }
}

/// A client that verifies servers by the certificates of the system's authorities, and by `roots` too.
///
/// # Errors
/// There are none of those.
pub fn verifying(roots: Vec<CertificateDer<'static>>) -> Result<Arc<ClientConfig>, rustls::Error> {
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Verifier::new_with_extra_roots(roots, Arc::clone(&ring))?;
    let config = ClientConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// A host as resolvers take it.
fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

fn said(what: &str, error: &io::Error) -> String {
    format!("{what} ({error})")
}
