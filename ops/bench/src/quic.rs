//! A client of HTTP/3, for want of one that every system has. One thread, as with the other clients.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Buf;
use clap::Args;
use quinn::crypto::rustls::QuicClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::task::JoinSet;

use crate::stream::Load;

/// What to ask for.
#[derive(Args, Clone)]
pub struct Wanted {
    /// `IP:PORT` of the server.
    #[arg(value_parser = crate::address)]
    server: SocketAddr,
    /// The path of a file.
    path: String,
    /// How many connections.
    connections: usize,
    /// Requests at once on each.
    streams: usize,
    /// For how long.
    seconds: f64,
}

/// Asks, and prints a [`Load`] as JSON.
pub fn load(wanted: &Wanted) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let load = runtime.block_on(run(wanted))?;
    println!("{}", serde_json::to_string(&load)?);
    Ok(())
}

async fn run(wanted: &Wanted) -> Result<Load> {
    let mut endpoint = quinn::Endpoint::client(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let crypto = QuicClientConfig::try_from(Arc::new(anybody(b"h3")?))?;
    endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(crypto)));
    let begun = Instant::now();
    let end = begun + Duration::from_secs_f64(wanted.seconds);
    let mut asking = JoinSet::new();
    for _ in 0..wanted.connections {
        let connection = endpoint.connect(wanted.server, "localhost")?.await?;
        let (mut driver, requests) = h3::client::new(h3_quinn::Connection::new(connection)).await?;
        tokio::spawn(async move { std::future::poll_fn(|cx| driver.poll_close(cx)).await });
        for _ in 0..wanted.streams {
            asking.spawn(ask_until(end, requests.clone(), wanted.clone()));
        }
    }
    let mut times = Vec::new();
    let mut bytes = 0;
    while let Some(asked) = asking.join_next().await {
        let (took, come) = asked??;
        times.extend(took);
        bytes += come;
    }
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).copied();
    Ok(Load {
        requests: times.len() as u64,
        bytes,
        seconds: begun.elapsed().as_secs_f64(),
        p50_us: at(0.5),
        p99_us: at(0.99),
    })
}

type Requests = h3::client::SendRequest<h3_quinn::OpenStreams, bytes::Bytes>;

/// How long each request took, in microseconds, and how many bytes came.
async fn ask_until(end: Instant, mut requests: Requests, wanted: Wanted) -> Result<(Vec<f64>, u64)> {
    let uri = format!("https://{}{}", wanted.server, wanted.path);
    let (mut times, mut bytes) = (Vec::new(), 0);
    while Instant::now() < end {
        let begun = Instant::now();
        let request = http::Request::get(&uri).body(()).context("a request")?;
        let mut stream = requests.send_request(request).await?;
        stream.finish().await?;
        let response = stream.recv_response().await?;
        ensure!(
            response.status() == 200,
            "{uri} was answered {}",
            response.status()
        );
        while let Some(part) = stream.recv_data().await? {
            bytes += part.remaining() as u64;
        }
        times.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    Ok((times, bytes))
}

/// A client that trusts every certificate: those of the servers here are made for the hour.
pub fn anybody(protocol: &[u8]) -> Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    Ok(config)
}

#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
