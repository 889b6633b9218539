//! Clients of encrypted connections, of HTTP/2 and of HTTP/3; certificates for them to believe.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use gateway::{CertificateFiles, Certificates, Config, Tls};
use http::{Method, Request};
use quinn::crypto::rustls::QuicClientConfig;
use rcgen::{CertificateParams, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme, SupportedProtocolVersion};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::client::{Answer, DEADLINE};

/// A certificate that names these hosts, in files of its own.
pub struct Identity {
    folder: TempDir,
    der: CertificateDer<'static>,
}

impl Identity {
    pub fn new(hosts: &[&str]) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let der = write_pair(folder.path(), hosts);
        Self { folder, der }
    }

    /// Replaces the files by a new certificate.
    pub fn renew(&mut self, hosts: &[&str]) {
        self.der = write_pair(self.folder.path(), hosts);
    }

    pub fn files(&self) -> CertificateFiles {
        CertificateFiles {
            chain: self.folder.path().join("chain.pem"),
            key: self.folder.path().join("key.pem"),
        }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

fn write_pair(folder: &Path, hosts: &[&str]) -> CertificateDer<'static> {
    let key = KeyPair::generate().expect("a key");
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let params = CertificateParams::new(hosts).expect("host names");
    let certificate = params.self_signed(&key).expect("a certificate");
    std::fs::write(folder.join("key.pem"), key.serialize_pem()).expect("a file");
    std::fs::write(folder.join("chain.pem"), certificate.pem()).expect("a file");
    certificate.der().clone()
}

/// For `Site::with`: encrypted connections with these certificates.
pub fn secured(config: &mut Config, identities: &[&Identity]) {
    let files = identities.iter().map(|identity| identity.files()).collect();
    let certificates = Certificates::open(files).expect("certificates");
    config.tls = Some(Tls::new("127.0.0.1:0".parse().expect("an address"), certificates));
}

/// What a client believes and speaks.
pub fn trust(
    identity: &Identity,
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&str],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(identity.der.clone()).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

/// A client that believes everything, to look at what it is shown.
pub fn credulous() -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Credulous(provider)))
        .with_no_client_auth()
}

#[derive(Debug)]
struct Credulous(Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// An encrypted connection.
pub async fn tls(
    address: SocketAddr,
    host: &str,
    config: ClientConfig,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    let host = ServerName::try_from(host.to_owned()).expect("a host");
    TlsConnector::from(Arc::new(config)).connect(host, stream).await
}

/// An HTTP/2 client on a connection; the connection ends with it, or when the server ends it.
pub struct Http2 {
    pub send: h2::client::SendRequest<Bytes>,
    /// Resolves at the end of the connection.
    pub end: tokio::task::JoinHandle<Result<(), h2::Error>>,
}

impl Http2 {
    pub async fn new(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        let (send, connection) = h2::client::Builder::new()
            .initial_window_size(1 << 20)
            .initial_connection_window_size(8 << 20)
            .handshake(stream)
            .await
            .expect("a handshake");
        Self {
            send,
            end: tokio::spawn(connection),
        }
    }

    /// Over a plain connection, with prior knowledge.
    pub async fn plain(address: SocketAddr) -> Self {
        Self::new(TcpStream::connect(address).await.expect("a connection")).await
    }

    pub async fn ask(&self, request: Request<()>) -> Result<Answer, h2::Error> {
        let (parts, mut stream) = self.begin(request).await?;
        let (mut body, mut complete) = (Vec::new(), true);
        while let Some(data) = stream.data().await {
            let Ok(data) = data else {
                complete = false;
                break;
            };
            body.extend_from_slice(&data);
            let _ = stream.flow_control().release_capacity(data.len());
        }
        Ok(Answer::new(&parts, body, complete))
    }

    /// The head of an answer, whose body is taken by whoever wants it.
    pub async fn begin(
        &self,
        request: Request<()>,
    ) -> Result<(http::response::Parts, h2::RecvStream), h2::Error> {
        let mut send = self.send.clone().ready().await?;
        let (answer, _) = send.send_request(request, true)?;
        let answer = tokio::time::timeout(DEADLINE, answer)
            .await
            .expect("an answer in time")?;
        Ok(answer.into_parts())
    }
}

/// What begins a connection of HTTP/2, and an empty SETTINGS frame (RFC 9113, section 3.4).
pub const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
/// The HEADERS of a GET, by indices of the static table: method, scheme and path.
pub const GET: &[u8] = &[0x82, 0x86, 0x84];

/// A frame of HTTP/2.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Begins HTTP/2 and writes `parts` until one is empty or the server ends the connection; how many writes it took.
pub async fn flood(mut stream: TcpStream, mut parts: impl FnMut(u32) -> Vec<u8>) -> u32 {
    stream.write_all(HELLO).await.expect("a hello");
    let (mut read, mut write) = stream.split();
    let writing = async {
        for at in 0..100_000 {
            let part = parts(at);
            if part.is_empty() || write.write_all(&part).await.is_err() {
                return at;
            }
        }
        100_000
    };
    let reading = async {
        let mut sink = vec![0; 64 << 10];
        while read.read(&mut sink).await.is_ok_and(|length| length > 0) {}
    };
    let both = async {
        tokio::pin!(writing);
        tokio::select! {
            at = &mut writing => at,
            () = reading => tokio::time::timeout(DEADLINE, writing).await.unwrap_or(0),
        }
    };
    tokio::time::timeout(DEADLINE, both)
        .await
        .expect("an end in time")
}

/// A request by its parts, for versions that carry many.
pub fn get(host: &str, path: &str) -> Request<()> {
    method(Method::GET, host, path)
}

pub fn method(method: Method, host: &str, path: &str) -> Request<()> {
    Request::builder()
        .method(method)
        .uri(format!("https://{host}{path}"))
        .body(())
        .expect("a request")
}

/// An HTTP/3 client.
pub struct Http3 {
    pub connection: quinn::Connection,
    pub send: h3::client::SendRequest<h3_quinn::OpenStreams, Bytes>,
    /// Resolves at the end of the connection.
    pub end: tokio::task::JoinHandle<h3::error::ConnectionError>,
    _endpoint: quinn::Endpoint,
}

impl Http3 {
    pub async fn new(address: SocketAddr, host: &str, identity: &Identity) -> Self {
        Self::over(quic(address, host, identity).await).await
    }

    /// Over this connection of an endpoint.
    pub async fn over((endpoint, connection): (quinn::Endpoint, quinn::Connection)) -> Self {
        let quic = h3_quinn::Connection::new(connection.clone());
        let (mut driver, send) = h3::client::new(quic).await.expect("a handshake");
        let end = tokio::spawn(async move { poll_fn(|cx| driver.poll_close(cx)).await });
        Self {
            connection,
            send,
            end,
            _endpoint: endpoint,
        }
    }

    pub async fn ask(&self, request: Request<()>) -> Result<Answer, h3::error::StreamError> {
        let mut stream = self.send.clone().send_request(request).await?;
        stream.finish().await?;
        let head = tokio::time::timeout(DEADLINE, stream.recv_response()).await;
        let (parts, ()) = head.expect("an answer in time")?.into_parts();
        let (mut body, mut complete) = (BytesMut::new(), true);
        loop {
            match stream.recv_data().await {
                Ok(Some(mut data)) => body.extend_from_slice(&data.copy_to_bytes(data.remaining())),
                Ok(None) => break,
                Err(_) => {
                    complete = false;
                    break;
                }
            }
        }
        Ok(Answer::new(&parts, body.to_vec(), complete))
    }
}

/// A QUIC connection that agreed on HTTP/3.
pub async fn quic(
    address: SocketAddr,
    host: &str,
    identity: &Identity,
) -> (quinn::Endpoint, quinn::Connection) {
    let own = "127.0.0.1:0".parse().expect("an address");
    quic_from(own, address, host, identity).await
}

/// The same, from an address of its own.
pub async fn quic_from(
    own: SocketAddr,
    address: SocketAddr,
    host: &str,
    identity: &Identity,
) -> (quinn::Endpoint, quinn::Connection) {
    let config = trust(identity, &[&rustls::version::TLS13], &["h3"]);
    let config = QuicClientConfig::try_from(config).expect("TLS 1.3");
    let mut endpoint = quinn::Endpoint::client(own).expect("a socket");
    endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(config)));
    let connecting = endpoint.connect(address, host).expect("a host");
    let connection = tokio::time::timeout(DEADLINE, connecting).await.expect("in time");
    (endpoint, connection.expect("a connection"))
}
