//! An HTTP client that speaks to one address under any host name, and follows nothing.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::header::{HOST, HeaderMap};
use reqwest::{Client, Method, redirect};
use serde_json::Value;
use tokio::runtime::Runtime;

/// No request of the suites takes this long unless something hangs.
const REPLY_DEADLINE: Duration = Duration::from_secs(30);

/// The client is asynchronous, the suites are not: one small runtime joins them.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime for the HTTP client of the tests")
});

static CLIENT: LazyLock<Client> = LazyLock::new(|| {
    // Built together with the product the client has TLS, which wants a provider although nothing here uses it. It is only
    // refused if there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .timeout(REPLY_DEADLINE)
        .build()
        .expect("an HTTP client for the tests")
});

/// Talks to the server at one address.
#[derive(Clone, Copy, Debug)]
pub struct Http {
    server: SocketAddr,
}

/// A whole reply.
#[derive(Debug)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// The header field `name` as text, or "".
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The body as text; what is not UTF-8 shows as U+FFFD.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// When it is none; the text carries the body.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("not JSON: {}", self.text()))
    }
}

impl Http {
    /// A client of the server at `server`.
    pub fn new(server: SocketAddr) -> Self {
        Self { server }
    }

    /// The address that requests go to.
    pub fn server(&self) -> SocketAddr {
        self.server
    }

    /// GET of `path` (with its query) from the site `host`.
    ///
    /// # Errors
    /// When there is no whole reply in time; any status is a reply.
    pub fn get(&self, host: &str, path: &str) -> Result<Reply> {
        self.send("GET", host, path, &[], Vec::new())
    }

    /// A request with header fields and a body. Errors as [`Http::get`].
    pub fn send(
        &self,
        method: &str,
        host: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<Reply> {
        let what = || format!("{method} {path} from {host} at {}", self.server);
        let url = format!("http://{}{path}", self.server);
        let mut request = CLIENT
            .request(Method::from_bytes(method.as_bytes())?, url)
            .header(HOST, host);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        if !body.is_empty() {
            request = request.body(body);
        }
        RUNTIME.block_on(async {
            let reply = request.send().await.with_context(what)?;
            let (status, headers) = (reply.status().as_u16(), reply.headers().clone());
            let body = reply.bytes().await.with_context(what)?.to_vec();
            Ok(Reply {
                status,
                headers,
                body,
            })
        })
    }

    /// Sends `bytes` as they are, and returns all that comes back until the server closes: for requests that no
    /// well-behaved client would send. Ask for `Connection: close` in them.
    ///
    /// # Errors
    /// When the server neither answers nor closes in time.
    pub fn raw(&self, bytes: &[u8]) -> Result<String> {
        let mut stream = TcpStream::connect_timeout(&self.server, REPLY_DEADLINE)?;
        stream.set_read_timeout(Some(REPLY_DEADLINE))?;
        stream.write_all(bytes)?;
        let mut reply = Vec::new();
        match stream.read_to_end(&mut reply) {
            Err(e) if e.kind() != std::io::ErrorKind::ConnectionReset => {
                Err(e).context("no end of the reply to a raw request")
            }
            _ => Ok(String::from_utf8_lossy(&reply).into_owned()),
        }
    }
}
