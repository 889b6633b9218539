//! The node that runs on a data folder, as the commands see it: its admin API over loopback.
//!
//! `DIR/node.json` says where it listens and `DIR/admin.token` opens the door. A node that crashed leaves its
//! `node.json` behind; that is noticed when nobody answers there, and said.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use reqwest::{Method, Response, Url};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    data,
    failure::{self, Failure, Outcome},
};
use crate::api::types;

/// How long loopback may take to connect: a node that runs accepts at once.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a call that is no stream may take. The longest ones wait for two blocks of the chain.
const CALL_TIMEOUT: Duration = Duration::from_secs(300);
/// The longest line of an event stream, in bytes.
const LINE_BYTES_MAX: usize = 1 << 20;
/// The longest error text taken from an answer, in bytes.
const ERROR_BYTES_MAX: usize = 64 << 10;

/// A running node.
pub struct Node {
    http: reqwest::Client,
    base: Url,
    token: String,
    pid: u32,
    dir: PathBuf,
    /// What `node.json` says.
    pub file: types::NodeFile,
}

/// A call: a path of [`paths`](crate::api::paths) with its parameters, and a query. Values are percent-encoded, so
/// they may hold anything.
pub struct Call<'a> {
    method: Method,
    segments: Vec<&'a str>,
    query: Vec<(&'a str, String)>,
}

impl<'a> Call<'a> {
    /// A GET of `path`, with `values` for its parameters in their order; the last parameter takes all that is left if
    /// it is a `{*…}`.
    pub fn get(path: &'a str, values: &[&'a str]) -> Self {
        let mut values = values.iter().copied();
        let mut segments = Vec::new();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            match (part.starts_with("{*"), part.starts_with('{')) {
                (true, _) => segments.extend(values.by_ref()),
                (_, true) => segments.extend(values.next()),
                _ => segments.push(part),
            }
        }
        Self {
            method: Method::GET,
            segments,
            query: Vec::new(),
        }
    }

    /// A POST, as [`Self::get`].
    pub fn post(path: &'a str, values: &[&'a str]) -> Self {
        Self {
            method: Method::POST,
            ..Self::get(path, values)
        }
    }

    /// A DELETE, as [`Self::get`].
    pub fn delete(path: &'a str, values: &[&'a str]) -> Self {
        Self {
            method: Method::DELETE,
            ..Self::get(path, values)
        }
    }

    /// Adds a query parameter, if there is a value.
    pub fn query(mut self, name: &'a str, value: Option<impl ToString>) -> Self {
        self.query.extend(value.map(|value| (name, value.to_string())));
        self
    }

    fn url(&self, base: &Url) -> Url {
        let mut url = base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(&self.segments);
        }
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        url
    }
}

impl Node {
    /// The node that runs on `dir`, or a line that says how to start one.
    pub async fn on(dir: &Path) -> Outcome<Self> {
        match Self::read(dir)? {
            Some(node) => Ok(node),
            None => Err(no_node(dir)),
        }
    }

    /// The node that runs on `dir`, if one does: for commands that can do without. If nobody is behind its address,
    /// none does; whatever is opened instead has a lock of its own.
    pub async fn if_running(dir: &Path) -> Outcome<Option<Self>> {
        let Some(node) = Self::read(dir)? else {
            return Ok(None);
        };
        let address = node.base.socket_addrs(|| None).unwrap_or_default();
        let answer =
            tokio::time::timeout(CONNECT_TIMEOUT, tokio::net::TcpStream::connect(&address[..])).await;
        match answer {
            Ok(Ok(_)) => Ok(Some(node)),
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(None),
            _ => Err(node.silent()),
        }
    }

    /// Calls, and parses the answer as JSON.
    pub async fn call<T: DeserializeOwned>(&self, call: Call<'_>) -> Outcome<T> {
        let request = self.request(&call).timeout(CALL_TIMEOUT);
        self.parse(self.send(request).await?).await
    }

    /// As [`Self::call`]; what is not there is no failure.
    pub async fn find<T: DeserializeOwned>(&self, call: Call<'_>) -> Outcome<Option<T>> {
        match self.call(call).await {
            Ok(found) => Ok(Some(found)),
            Err(failure) if failure.code() == "not_found" => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Calls with a JSON body, and parses the answer as JSON.
    pub async fn call_with<T: DeserializeOwned>(&self, call: Call<'_>, body: &impl Serialize) -> Outcome<T> {
        let request = self.request(&call).timeout(CALL_TIMEOUT).json(body);
        self.parse(self.send(request).await?).await
    }

    /// Calls with DAG-CBOR.
    pub async fn post_bytes<T: DeserializeOwned>(&self, call: Call<'_>, body: Vec<u8>) -> Outcome<T> {
        let request = self.request(&call).timeout(CALL_TIMEOUT).body(body);
        self.parse(self.send(request).await?).await
    }

    /// Calls for the plain bytes of the answer.
    pub async fn bytes(&self, call: Call<'_>) -> Outcome<bytes::Bytes> {
        let response = self.send(self.request(&call).timeout(CALL_TIMEOUT)).await?;
        response.bytes().await.map_err(|error| self.lost(&error))
    }

    /// Calls with a body of a media type, and leaves the answer to be read as a stream. No time limit.
    pub async fn stream(&self, call: Call<'_>, body: Option<(&str, reqwest::Body)>) -> Outcome<Response> {
        let mut request = self.request(&call);
        if let Some((media_type, body)) = body {
            request = request
                .header(reqwest::header::CONTENT_TYPE, media_type)
                .body(body);
        }
        self.send(request).await
    }

    /// Reads an answer of one JSON value per line. `seen` is called for each; the first failure ends it.
    pub async fn events<T: DeserializeOwned>(
        &self,
        mut response: Response,
        mut seen: impl FnMut(T) -> Outcome,
    ) -> Outcome {
        let mut rest = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|error| self.lost(&error))? {
            rest.extend_from_slice(&piece);
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                if !line.trim_ascii().is_empty() {
                    seen(self.value(&line)?)?;
                }
            }
            if rest.len() > LINE_BYTES_MAX {
                return Err(self.strange("a line without end"));
            }
        }
        if rest.trim_ascii().is_empty() {
            Ok(())
        } else {
            seen(self.value(&rest)?)
        }
    }

    /// The connection broke while an answer was read or a body was sent.
    pub fn lost(&self, error: &reqwest::Error) -> Failure {
        let reason = if error.is_timeout() {
            "it took too long".to_owned()
        } else {
            failure::chain(error)
        };
        let dir = self.dir.display();
        Failure::new(
            "node_lost",
            format!("the node on {dir} did not finish its answer, look at its log: {reason}"),
        )
    }

    fn read(dir: &Path) -> Outcome<Option<Self>> {
        let path = dir.join("node.json");
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::file("read", &path, &error)),
        };
        let file: types::NodeFile = serde_json::from_slice(&text).map_err(|error| {
            let path = path.display();
            Failure::new(
                "node_file",
                format!("{path} is not what a node writes ({error}): restart the node"),
            )
        })?;
        let token_path = dir.join("admin.token");
        let token = std::fs::read_to_string(&token_path);
        let token = token.map_err(|error| Failure::file("read", &token_path, &error))?;
        Self::new(dir, file, token.trim().to_owned()).map(Some)
    }

    fn new(dir: &Path, file: types::NodeFile, token: String) -> Outcome<Self> {
        let http = crate::http::client().connect_timeout(CONNECT_TIMEOUT).build();
        let http = http.map_err(|error| Failure::new("system", failure::chain(&error)))?;
        let base = reachable(&file.admin).and_then(|address| Url::parse(&format!("http://{address}/")).ok());
        let base = base.ok_or_else(|| {
            let dir = dir.display();
            Failure::new(
                "node_file",
                format!("{dir}/node.json has no usable admin address: restart the node"),
            )
        })?;
        Ok(Self {
            http,
            base,
            token,
            pid: file.pid,
            dir: dir.to_owned(),
            file,
        })
    }

    fn request(&self, call: &Call<'_>) -> reqwest::RequestBuilder {
        self.http
            .request(call.method.clone(), call.url(&self.base))
            .bearer_auth(&self.token)
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Outcome<Response> {
        let response = request.send().await.map_err(|error| match error.is_connect() {
            true => self.silent(),
            false => self.lost(&error),
        })?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.refused(response).await)
    }

    async fn refused(&self, mut response: Response) -> Failure {
        let status = response.status();
        let mut text = Vec::new();
        while let Ok(Some(piece)) = response.chunk().await {
            text.extend_from_slice(&piece);
            if text.len() > ERROR_BYTES_MAX {
                break;
            }
        }
        match serde_json::from_slice::<types::ErrorBody>(&text) {
            Ok(body) => Failure::told(body.error),
            Err(_) => self.strange(&format!("status {status}")),
        }
    }

    /// Parses an answer as JSON.
    pub async fn parse<T: DeserializeOwned>(&self, response: Response) -> Outcome<T> {
        let text = response.bytes().await.map_err(|error| self.lost(&error))?;
        self.value(&text)
    }

    fn value<T: DeserializeOwned>(&self, text: &[u8]) -> Outcome<T> {
        serde_json::from_slice(text).map_err(|error| self.strange(&error.to_string()))
    }

    fn strange(&self, what: &str) -> Failure {
        let dir = self.dir.display();
        let text = format!(
            "the node on {dir} answers what this program does not know ({what}): is it another version?"
        );
        Failure::new("node_strange", text)
    }

    fn silent(&self) -> Failure {
        let (dir, pid, option) = (self.dir.display(), self.pid, data::option(&self.dir));
        let text = match process_lives(pid) {
            true => format!(
                "the node on {dir} (process {pid}) does not answer at {}: look at its log",
                self.base
            ),
            false => format!(
                "the node on {dir} (process {pid}) is gone without having stopped: start it again with `ddn up{option}`"
            ),
        };
        Failure::new("node_gone", text)
    }
}

fn no_node(dir: &Path) -> Failure {
    let option = data::option(dir);
    let known = dir.join("genesis.json").exists();
    let command = if known {
        format!("ddn up{option}")
    } else {
        format!("ddn up --dev{option}")
    };
    Failure::new(
        "no_node",
        format!("no node runs on {}: start one with `{command}`", dir.display()),
    )
}

/// The address to connect to: a node that listens on all addresses is reached over loopback.
pub fn reachable(admin: &str) -> Option<SocketAddr> {
    let mut address: SocketAddr = admin.parse().ok()?;
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    Some(address)
}

/// Whether a process runs. One that has ended but that nobody has waited for (a zombie) does not.
fn process_lives(pid: u32) -> bool {
    let known = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    let answer = known.map(rustix::process::test_kill_process);
    let exists = matches!(answer, Some(Ok(()) | Err(rustix::io::Errno::PERM)));
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let zombie = state
        .rsplit_once(") ")
        .is_some_and(|(_, rest)| rest.starts_with(['Z', 'X']));
    exists && !zombie
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_encoded() {
        let base = Url::parse("http://127.0.0.1:1/").expect("a URL");
        let call = Call::get("/v1/names/{name}/history", &["a/b c?"])
            .query("owner", Some("x&y"))
            .query("none", None::<u8>);
        assert_eq!(
            call.url(&base).as_str(),
            "http://127.0.0.1:1/v1/names/a%2Fb%20c%3F/history?owner=x%26y"
        );
    }

    #[test]
    fn the_last_parameter_takes_the_rest() {
        let base = Url::parse("http://127.0.0.1:1/").expect("a URL");
        let url = |values| {
            Call::get("/v1/content/{root}/{*path}", values)
                .url(&base)
                .to_string()
        };
        assert_eq!(
            url(&["a", "b%", "ü"]),
            "http://127.0.0.1:1/v1/content/a/b%25/%C3%BC"
        );
        assert_eq!(url(&["a"]), "http://127.0.0.1:1/v1/content/a");
    }

    #[test]
    fn all_addresses_are_reached_over_loopback() {
        for (given, expected) in [
            ("127.0.0.1:4100", Some("127.0.0.1:4100")),
            ("0.0.0.0:1", Some("127.0.0.1:1")),
            ("[::]:1", Some("[::1]:1")),
            ("nowhere", None),
        ] {
            assert_eq!(
                reachable(given).map(|address| address.to_string()).as_deref(),
                expected
            );
        }
    }

    #[test]
    fn a_process_lives_until_it_ends() {
        assert!(process_lives(std::process::id()));
        assert!(!process_lives(0));
        let mut child = std::process::Command::new("true")
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("true");
        let pid = child.id();
        // Its output ends when it does; it stays a zombie until somebody waits for it.
        let mut output = child.stdout.take().expect("a pipe");
        io::copy(&mut output, &mut io::sink()).expect("read to the end");
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while process_lives(pid) {
            assert!(
                std::time::Instant::now() < deadline,
                "the zombie of {pid} counts as alive"
            );
            std::thread::yield_now();
        }
        child.wait().expect("it has ended");
    }
}
