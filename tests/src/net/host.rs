//! A host of a network: what runs on it, and what it sees of the others.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::namespace::Namespace;
use crate::process::Running;
use crate::{Launch, Reply};

/// No command of a host takes this long unless something hangs.
const COMMAND_DEADLINE: Duration = Duration::from_secs(60);

/// A host of its own; its network namespace goes with the last clone and the last node on it.
#[derive(Clone, Debug)]
pub struct Host {
    namespace: Arc<Namespace>,
    address: Ipv4Addr,
}

/// What `ping` saw.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ping {
    /// The numbers of the answers in the order in which they came, from 1.
    pub answers: Vec<u32>,
    /// The shortest round trip.
    pub shortest: Duration,
}

impl Host {
    pub(super) fn new(namespace: Namespace, address: Ipv4Addr) -> Self {
        Self {
            namespace: Arc::new(namespace),
            address,
        }
    }

    /// Where others reach it.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// A place on it.
    pub fn port(&self, port: u16) -> SocketAddr {
        (self.address, port).into()
    }

    /// The beginning of every command line that runs on it.
    pub(crate) fn wrapper(&self) -> Vec<String> {
        self.namespace.wrapper()
    }

    /// `program`, to be run on it.
    pub fn command(&self, program: &str) -> Command {
        self.namespace.command(program)
    }

    /// How a node starts on it: every listener but the admin API on the host's address.
    pub fn launch(&self) -> Launch {
        Launch {
            host: Some(self.clone()),
            ..Launch::default()
        }
    }

    /// What a program of one line prints.
    ///
    /// # Errors
    /// When it fails.
    pub fn run(&self, program: &str, args: &[&str]) -> Result<String> {
        let mut command = self.command(program);
        command.args(args);
        let ran = Running::start(command)?.finish(COMMAND_DEADLINE)?;
        ran.ok()?;
        Ok(ran.stdout)
    }

    /// Sends `count` pings, `every` apart, and waits a second for the last answer. None that answers is no error.
    ///
    /// # Errors
    /// When `ping` fails otherwise.
    pub fn ping(&self, other: &Self, count: u32, every: Duration) -> Result<Ping> {
        let mut command = self.command("ping");
        let (count, every) = (count.to_string(), every.as_secs_f64().to_string());
        command.args([
            "-n",
            "-W",
            "1",
            "-c",
            &count,
            "-i",
            &every,
            &other.address.to_string(),
        ]);
        let ran = Running::start(command)?.finish(COMMAND_DEADLINE)?;
        ensure!(matches!(ran.code, Some(0 | 1)), "{}", ran.story());
        let lines = ran.stdout.lines().filter(|line| line.contains(" time="));
        let seen: Vec<(u32, f64)> = lines.map(answer).collect::<Result<_>>()?;
        let shortest_ms = seen
            .iter()
            .map(|(_, time_ms)| *time_ms)
            .min_by(f64::total_cmp)
            .unwrap_or(0.0);
        Ok(Ping {
            answers: seen.iter().map(|(number, _)| *number).collect(),
            shortest: Duration::from_secs_f64(shortest_ms / 1000.0),
        })
    }

    /// GET of `path` from the site `site` at `server`, and how long it took until the last byte.
    ///
    /// # Errors
    /// When there is no whole reply in time; any status is a reply.
    pub fn get(&self, server: SocketAddr, site: &str, path: &str) -> Result<(Reply, Duration)> {
        let (url, site) = (format!("http://{server}{path}"), format!("Host: {site}"));
        let mut command = self.command("curl");
        command.args([
            "-sS",
            "--include",
            "--http1.1",
            "--path-as-is",
            "--max-time",
            "30",
            "--noproxy",
            "*",
        ]);
        command.args(["--write-out", "%{stderr}%{time_total}", "-H", &site, &url]);
        let ran = command.output().context("starting curl")?;
        let said = String::from_utf8_lossy(&ran.stderr);
        ensure!(
            ran.status.success(),
            "GET {url} ({site}) from {}: {}",
            self.address,
            said.trim()
        );
        let seconds = said.trim().parse().with_context(|| format!("curl says {said}"))?;
        Ok((reply(&ran.stdout)?, Duration::from_secs_f64(seconds)))
    }

    /// What `dig +short` prints for a question to `server`, line by line.
    ///
    /// # Errors
    /// When nothing answers.
    pub fn dig(&self, server: SocketAddr, kind: &str, name: &str) -> Result<Vec<String>> {
        let (at, port) = (format!("@{}", server.ip()), server.port().to_string());
        let printed = self.run("dig", &["+short", "+tries=1", &at, "-p", &port, kind, name])?;
        Ok(printed.lines().map(str::to_owned).collect())
    }
}

/// The number and the round trip in milliseconds of `64 bytes from 10.77.1.2: icmp_seq=1 ttl=63 time=50.4 ms`.
fn answer(line: &str) -> Result<(u32, f64)> {
    let field = |name: &str| {
        let rest = line.split_once(name).map(|(_, rest)| rest);
        rest.and_then(|rest| rest.split(' ').next())
            .with_context(|| format!("no {name} in {line}"))
    };
    Ok((field("icmp_seq=")?.parse()?, field("time=")?.parse()?))
}

/// What came over the wire, without heads of status 1xx; curl has taken the chunks apart.
fn reply(mut bytes: &[u8]) -> Result<Reply> {
    loop {
        let end = bytes
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .context("a reply has a head")?;
        let head = std::str::from_utf8(&bytes[..end])?;
        bytes = &bytes[end + 4..];
        let mut lines = head.lines();
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1))
            .context("a reply has a status")?;
        let status: u16 = status.parse()?;
        if status < 200 {
            continue;
        }
        let mut headers = HeaderMap::new();
        for line in lines {
            let Some((name, value)) = line.split_once(':') else {
                bail!("the header field {line:?}");
            };
            headers.append(
                HeaderName::from_bytes(name.as_bytes())?,
                HeaderValue::from_str(value.trim())?,
            );
        }
        return Ok(Reply {
            status,
            headers,
            body: bytes.to_vec(),
        });
    }
}
