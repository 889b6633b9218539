//! A node: one `ddn up` in a folder of its own.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::net::Host;
use crate::process::{tail, terminate};
use crate::wait::poll;
use crate::{Ddn, Dns, Http, ddn_binary};

/// A dev node is ready in about a second; a minute covers a machine that is busy with something else.
const READY_DEADLINE: Duration = Duration::from_secs(60);

/// A node that was asked to stop drains its connections and closes two databases.
const STOP_DEADLINE: Duration = Duration::from_secs(30);

/// How much of a log goes into an error.
const LOG_TAIL_LINES: usize = 40;

/// The listeners of a node; each gets a free port of 127.0.0.1, so that any number of nodes run side by side. On a host of
/// its own, all but the admin API have the host's address.
const LISTENERS: [&str; 6] = ["gateway", "dns", "admin", "engine", "mesh", "delivery"];

/// How `ddn up` is started; the default is a dev chain on free ports in a new temporary folder.
#[derive(Clone, Debug, Default)]
pub struct Launch {
    /// The data folder; none is a new temporary one that goes with the node.
    pub data: Option<PathBuf>,
    /// Arguments of `ddn up` beside the listeners; none means `--dev`.
    pub args: Vec<String>,
    /// A program that becomes `ddn` in the end, with its arguments (for example `nsenter --mount=…`); the command line of
    /// `ddn` is appended to it.
    pub wrapper: Vec<String>,
    /// The data folder as seen from outside of the wrapper, if the node has a view of its own.
    pub outside: Option<PathBuf>,
    /// The host that it runs on; none is this machine.
    pub host: Option<Host>,
}

/// A running (or stopped) node with its folder.
#[derive(Debug)]
pub struct Node {
    launch: Launch,
    data: PathBuf,
    log: PathBuf,
    child: Option<Child>,
    card: Value,
    // Last: the folder goes after the process.
    _home: TempDir,
}

impl Node {
    /// Starts a node of a dev chain of its own and waits until it is ready.
    ///
    /// # Errors
    /// When it ends or is not ready in time; the text carries the end of its log.
    pub fn dev() -> Result<Self> {
        Self::launch(Launch::default())
    }

    /// Starts a node as `launch` says. Errors as [`Node::dev`].
    pub fn launch(launch: Launch) -> Result<Self> {
        let home = tempfile::Builder::new().prefix("ddn-test-").tempdir()?;
        let data = launch.data.clone().unwrap_or_else(|| home.path().join("data"));
        let log = home.path().join("node.log");
        let mut node = Self {
            launch,
            data,
            log,
            child: None,
            card: Value::Null,
            _home: home,
        };
        node.start()?;
        Ok(node)
    }

    /// Starts a node that knows nothing but the genesis of `first` and its address, and waits until it is ready: at the tip
    /// of the chain. Errors as [`Node::dev`].
    pub fn joining(first: &Self) -> Result<Self> {
        Self::launch(Launch {
            args: first.invitation()?,
            ..Launch::default()
        })
    }

    /// The arguments of `ddn up` with which another node joins this one's chain.
    ///
    /// # Errors
    /// When `node.json` names no address of the mesh.
    pub fn invitation(&self) -> Result<Vec<String>> {
        let genesis = self.data().join("genesis.json").to_string_lossy().into_owned();
        Ok(vec![
            "--genesis".to_owned(),
            genesis,
            "--join".to_owned(),
            self.mesh()?,
        ])
    }

    /// Where its mesh is reached: a multiaddr.
    ///
    /// # Errors
    /// When `node.json` names none.
    pub fn mesh(&self) -> Result<String> {
        let address = self.card["mesh"][0].as_str();
        let address = address.with_context(|| format!("node.json names no mesh address: {}", self.card))?;
        Ok(address.to_owned())
    }

    /// Starts it again after [`Node::stop`] or [`Node::kill9`], and waits until it is ready. Errors as [`Node::dev`].
    pub fn start(&mut self) -> Result<()> {
        ensure!(self.child.is_none(), "the node runs already");
        self.child = Some(self.spawn()?);
        let ready = poll("the node is ready", READY_DEADLINE, || self.ready());
        self.card =
            ready.map_err(|e| e.context(format!("the node's log ends with:\n{}", self.log_tail())))?;
        Ok(())
    }

    /// [`Node::stop`], then [`Node::start`].
    pub fn restart(&mut self) -> Result<()> {
        self.stop()?;
        self.start()
    }

    /// SIGTERM, and waits for the end.
    ///
    /// # Errors
    /// When it does not end in time, or not with exit code 0.
    pub fn stop(&mut self) -> Result<()> {
        let mut child = self.child.take().context("the node does not run")?;
        terminate(&child)?;
        let status = poll("the node stops", STOP_DEADLINE, || Ok(child.try_wait()?));
        if status.is_err() {
            child.kill()?;
            child.wait()?;
        }
        let status = status.map_err(|e| e.context(self.log_tail()))?;
        ensure!(
            status.success(),
            "the node stopped with {status}:\n{}",
            self.log_tail()
        );
        Ok(())
    }

    /// SIGKILL: what a power cut looks like to the process.
    ///
    /// # Errors
    /// When the node does not run.
    pub fn kill9(&mut self) -> Result<ExitStatus> {
        let mut child = self.child.take().context("the node does not run")?;
        child.kill()?;
        Ok(child.wait()?)
    }

    /// The data folder, as this process sees it.
    pub fn data(&self) -> PathBuf {
        self.launch.outside.clone().unwrap_or_else(|| self.data.clone())
    }

    /// The process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Whether the process has not ended by itself.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub fn alive(&mut self) -> Result<bool> {
        let ended = self
            .child
            .as_mut()
            .map(Child::try_wait)
            .transpose()?
            .flatten()
            .is_some();
        if ended {
            self.child = None;
        }
        Ok(self.child.is_some())
    }

    /// What `node.json` said when the node became ready.
    pub fn card(&self) -> &Value {
        &self.card
    }

    /// Commands for this node.
    pub fn ddn(&self) -> Ddn {
        match &self.launch.host {
            None => Ddn::new(&self.data()),
            Some(host) => Ddn::on(host, &self.data()),
        }
    }

    /// Its HTTP gateway.
    ///
    /// # Errors
    /// When `node.json` names none.
    pub fn gateway(&self) -> Result<Http> {
        Ok(Http::new(self.listener("gateway")?))
    }

    /// Its admin API.
    ///
    /// # Errors
    /// When `node.json` names none.
    pub fn admin(&self) -> Result<Http> {
        Ok(Http::new(self.listener("admin")?))
    }

    /// The `Authorization` field that the admin API wants.
    ///
    /// # Errors
    /// When the data folder has no token.
    pub fn bearer(&self) -> Result<String> {
        let file = self.data().join("admin.token");
        let token = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
        Ok(format!("Bearer {}", token.trim()))
    }

    /// Its DNS server.
    ///
    /// # Errors
    /// When `node.json` names none.
    pub fn dns(&self) -> Result<Dns> {
        Ok(Dns::new(self.listener("dns")?))
    }

    /// The address of one of its listeners, from `node.json`.
    ///
    /// # Errors
    /// When the file names none.
    pub fn listener(&self, name: &str) -> Result<SocketAddr> {
        listener(&self.card, name)
    }

    /// The end of its log, for messages.
    pub fn log_tail(&self) -> String {
        tail(&self.log, LOG_TAIL_LINES)
    }

    fn spawn(&self) -> Result<Child> {
        let host = self.launch.host.as_ref();
        let mut words = host.map(Host::wrapper).unwrap_or_default();
        words.extend(self.launch.wrapper.iter().cloned());
        words.push(ddn_binary()?.to_string_lossy().into_owned());
        words.push("up".to_owned());
        for section in LISTENERS {
            let port = if section == "mesh" { self.mesh_port() } else { 0 };
            let host = host.filter(|_| section != "admin");
            let address = host.map_or(Ipv4Addr::LOCALHOST, Host::address);
            words.extend(["--set".to_owned(), format!("{section}.listen={address}:{port}")]);
        }
        // After the free ports, so that a setting of the caller wins.
        match self.launch.args.is_empty() {
            true => words.push("--dev".to_owned()),
            false => words.extend(self.launch.args.iter().cloned()),
        }
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg("--data").arg(&self.data);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        command
            .spawn()
            .with_context(|| format!("starting {}", words.join(" ")))
    }

    /// The port of its mesh before the last stop, so that others find it again, as they find a node with a fixed port; a
    /// free one at the first start.
    fn mesh_port(&self) -> u16 {
        let address = self.mesh().ok();
        let port = address.and_then(|address| address.split('/').nth(4)?.parse().ok());
        port.unwrap_or(0)
    }

    /// `node.json` of this very process, once `/readyz` says yes.
    fn ready(&mut self) -> Result<Option<Value>> {
        let child = self.child.as_mut().context("the node was started")?;
        if let Some(status) = child.try_wait()? {
            self.child = None;
            bail!("the node ended with {status} before it was ready");
        }
        let pid = child.id();
        let Ok(text) = fs::read(self.data().join("node.json")) else {
            return Ok(None);
        };
        // It is written in one step, so what is there is whole.
        let card: Value = serde_json::from_slice(&text).context("node.json")?;
        if card["pid"].as_u64() != Some(u64::from(pid)) {
            return Ok(None);
        }
        let admin = listener(&card, "admin")?;
        let ready = match &self.launch.host {
            None => Http::new(admin).get("localhost", "/readyz")?,
            Some(host) => host.get(admin, "localhost", "/readyz")?.0,
        };
        Ok((ready.status == 200).then_some(card))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Of a child that has ended, both do nothing.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn listener(card: &Value, name: &str) -> Result<SocketAddr> {
    let text = card[name]
        .as_str()
        .with_context(|| format!("node.json names no {name}: {card}"))?;
    text.parse()
        .with_context(|| format!("the {name} address {text:?} of node.json"))
}
