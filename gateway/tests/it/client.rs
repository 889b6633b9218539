//! A client that shows everything: one request a connection, the answer as it came.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longer than any answer here takes, on any machine.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    head: Vec<(String, String)>,
    /// The body, chunks joined.
    pub body: Vec<u8>,
    /// Whether the body came to its announced end.
    pub complete: bool,
}

impl Answer {
    /// A header's value; empty if it is not there.
    pub fn header(&self, name: &str) -> &str {
        let found = self.head.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }

    /// Every header, in order.
    pub fn headers(&self) -> &[(String, String)] {
        &self.head
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("text")
    }

    /// The headers in the order of their names, without those that differ from one moment or connection to the next.
    pub fn lasting(&self) -> Vec<(String, String)> {
        let is_of_now = |name: &str| matches!(name, "date" | "connection" | "traceresponse");
        let mut head: Vec<_> = self
            .head
            .iter()
            .filter(|(name, _)| !is_of_now(name))
            .cloned()
            .collect();
        head.sort();
        head
    }

    /// From an answer of any version of HTTP.
    pub fn new(parts: &http::response::Parts, body: Vec<u8>, complete: bool) -> Self {
        let head = parts.headers.iter();
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        Self {
            status: parts.status.as_u16(),
            head: head
                .map(|(name, value)| (name.to_string(), text(value)))
                .collect(),
            body,
            complete,
        }
    }

    fn parse(method: &str, bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8(bytes[..end].to_vec()).expect("a head of text");
        let mut lines = head.split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1))
            .expect("a status line");
        let head = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(k, v)| (k.to_owned(), v.to_owned()));
        let mut answer = Self {
            status: status.parse().expect("a status"),
            head: head.collect(),
            body: bytes[end + 4..].to_vec(),
            complete: true,
        };
        if answer.header("transfer-encoding") == "chunked" {
            let dechunked = dechunk(&answer.body);
            answer.complete = dechunked.is_some();
            answer.body = dechunked.unwrap_or_default();
        } else if method != "HEAD" && answer.status != 304 && !answer.header("content-length").is_empty() {
            answer.complete = answer.header("content-length") == answer.body.len().to_string();
        }
        answer
    }
}

/// The joined chunks; None if the last is missing.
fn dechunk(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = bytes.windows(2).position(|w| w == b"\r\n")?;
        let length = usize::from_str_radix(std::str::from_utf8(&bytes[..line]).ok()?, 16).ok()?;
        bytes = &bytes[line + 2..];
        if length == 0 {
            return Some(body);
        }
        body.extend(bytes.get(..length)?);
        bytes = bytes.get(length + 2..)?;
    }
}

/// A request by its parts.
pub fn request(method: &str, host: &str, target: &str, headers: &[(&str, &str)]) -> String {
    let mut text = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text + "\r\n"
}

/// Opens a connection and sends `text`.
pub async fn open(address: SocketAddr, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(text.as_bytes()).await.expect("a request");
    stream
}

/// Sends `text` and reads to the end of the connection.
pub async fn raw(address: SocketAddr, text: &str) -> Answer {
    raw_on(TcpStream::connect(address).await.expect("a connection"), text).await
}

/// Sends `text` on a connection and reads to its end.
pub async fn raw_on(mut stream: impl AsyncRead + AsyncWrite + Unpin, text: &str) -> Answer {
    stream.write_all(text.as_bytes()).await.expect("a request");
    finish(stream, text.split(' ').next().unwrap_or_default()).await
}

async fn finish(mut stream: impl AsyncRead + Unpin, method: &str) -> Answer {
    let mut bytes = Vec::new();
    // A connection that is cut is an answer too.
    let read = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut bytes))
        .await
        .expect("an end in time");
    drop(read);
    Answer::parse(method, &bytes)
}

/// A request with a body, and the answer.
pub async fn upload(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let length = body.len().to_string();
    let headers = [headers, &[("Content-Length", length.as_str())]].concat();
    let mut stream = open(address, &request(method, "localhost", target, &headers)).await;
    // The server may have answered before it has read all.
    let _ = stream.write_all(body).await;
    finish(stream, method).await
}

/// A connection that stays open.
pub struct Kept(TcpStream);

impl Kept {
    pub async fn open(address: SocketAddr) -> Self {
        Self(open(address, "").await)
    }

    /// Sends `text`, which may be several requests, and reads the answer to the first.
    pub async fn ask(&mut self, text: &str) -> Answer {
        self.0.write_all(text.as_bytes()).await.expect("a request");
        let method = text.split(' ').next().unwrap_or_default();
        self.answer(method).await
    }

    /// Sends a part of a request.
    pub async fn send(&mut self, text: &str) {
        self.0
            .write_all(text.as_bytes())
            .await
            .expect("a part of a request");
        // So that it goes alone.
        tokio::task::yield_now().await;
    }

    /// Sends the rest of a `GET`, and reads its answer.
    pub async fn ask_rest(&mut self, text: &str) -> Answer {
        self.0
            .write_all(text.as_bytes())
            .await
            .expect("the rest of a request");
        self.answer("GET").await
    }

    /// Reads the next answer.
    pub async fn answer(&mut self, method: &str) -> Answer {
        let read = async {
            let mut bytes = Vec::new();
            while !is_whole(method, &bytes) {
                let mut byte = [0; 1];
                self.0.read_exact(&mut byte).await.expect("more of an answer");
                bytes.push(byte[0]);
                if is_head(&bytes) {
                    let rest = Answer::parse(method, &bytes);
                    let length = rest.header("content-length").parse().unwrap_or(0);
                    let bodyless = method == "HEAD" || rest.status == 304;
                    let mut body = vec![0; if bodyless { 0 } else { length }];
                    self.0.read_exact(&mut body).await.expect("a body");
                    bytes.extend(body);
                }
            }
            Answer::parse(method, &bytes)
        };
        tokio::time::timeout(DEADLINE, read)
            .await
            .expect("an answer in time")
    }

    /// Whether the other side has closed it.
    pub async fn is_over(&mut self) -> bool {
        let mut byte = [0; 1];
        let read = tokio::time::timeout(DEADLINE, self.0.read(&mut byte)).await;
        matches!(read.expect("an end in time"), Ok(0) | Err(_))
    }
}

fn is_head(bytes: &[u8]) -> bool {
    bytes.ends_with(b"\r\n\r\n") && bytes.windows(4).filter(|w| w == b"\r\n\r\n").count() == 1
}

/// Of an answer in chunks the last is waited for; any other is read with its head.
fn is_whole(method: &str, bytes: &[u8]) -> bool {
    let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else {
        return false;
    };
    let head = String::from_utf8_lossy(&bytes[..end]);
    let is_chunked = method != "HEAD" && head.contains("transfer-encoding: chunked");
    !is_chunked || bytes[end + 4..].ends_with(b"0\r\n\r\n")
}

/// A request on a connection that stays open.
pub fn keeping(method: &str, host: &str, target: &str, headers: &[(&str, &str)]) -> String {
    request(method, host, target, headers).replace("Connection: close\r\n", "")
}

/// Asks again until `condition` holds.
pub async fn until(what: &str, condition: impl Fn() -> bool) {
    let held = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(DEADLINE, held)
        .await
        .unwrap_or_else(|_| panic!("{what}: not in time"));
}
