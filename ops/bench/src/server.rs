//! The servers that are measured, each with one worker, all of them with the same files.

mod config;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use testkit::{Launch, Node, wait_until};

use crate::case::Peer;

/// The core of the servers; the clients have the next.
pub const SERVER_CORE: &str = "0";
/// A server that takes longer to listen is broken.
const START_WITHIN: Duration = Duration::from_secs(30);

/// All servers, running.
pub struct Servers {
    floor: Process,
    floor_same: Process,
    nginx: Option<Process>,
    varnish: Option<Process>,
    caddy: Option<Process>,
    node: Node,
    node_prefix: String,
    ports: Ports,
}

/// Where a server has the files.
#[derive(Clone, Debug)]
pub struct Target {
    pub pid: u32,
    pub address: SocketAddr,
    /// What comes before the name of a file in a path.
    pub prefix: String,
}

impl Target {
    pub fn path(&self, file: &str) -> String {
        format!("{}{file}", self.prefix)
    }
}

/// A server of others, killed when dropped.
pub struct Process {
    pub name: &'static str,
    pub child: Child,
}

impl Drop for Process {
    fn drop(&mut self) {
        // Its children end with their parent's sockets and pipes.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ports that nobody had a moment ago.
struct Ports {
    floor: SocketAddr,
    floor_same: SocketAddr,
    nginx_sendfile: SocketAddr,
    nginx: SocketAddr,
    nginx_tls: SocketAddr,
    varnish: SocketAddr,
    caddy: SocketAddr,
    caddy_tls: SocketAddr,
    node_tls: SocketAddr,
}

impl Servers {
    /// Starts all of them with the files of `files`; `work` is a folder for what they write.
    pub fn start(files: &Path, work: &Path, memory_mib: u64) -> Result<Self> {
        config::certificate(work)?;
        let mut ports = Ports::free()?;
        let (floor, address) = start_floor(files, None)?;
        ports.floor = address;
        let nginx = listening(nginx(files, work, &ports), ports.nginx);
        // It has the files from nginx.
        let varnish = nginx
            .as_ref()
            .and_then(|_| listening(varnish(work, &ports, memory_mib), ports.varnish));
        let caddy = listening(caddy(files, work, &ports), ports.caddy);
        let node = node(work, &ports, memory_mib)?;
        let published = node.ddn().json(&["publish", &files.to_string_lossy()])?;
        let cid = published["cid"].as_str().context("a publish names no CID")?;
        let head = work.join("head");
        fs::write(
            &head,
            headers(node.listener("gateway")?, &format!("/ipfs/{cid}/1k.bin"))?,
        )?;
        let (floor_same, address) = start_floor(files, Some(&head))?;
        ports.floor_same = address;
        Ok(Self {
            floor,
            floor_same,
            nginx,
            varnish,
            caddy,
            node_prefix: format!("/ipfs/{cid}/"),
            node,
            ports,
        })
    }

    /// Where a server is asked; `None` if it does not offer that, or is not here.
    pub fn target(&self, peer: Peer, tls: bool) -> Option<Target> {
        let ports = &self.ports;
        let of = |process: &Option<Process>| process.as_ref().map(|process| process.child.id());
        let (pid, address) = match (peer, tls) {
            (Peer::Floor, false) => (self.floor.child.id(), ports.floor),
            (Peer::FloorSame, false) => (self.floor_same.child.id(), ports.floor_same),
            (Peer::NginxSendfile, false) => (of(&self.nginx)?, ports.nginx_sendfile),
            (Peer::Nginx, false) => (of(&self.nginx)?, ports.nginx),
            (Peer::Nginx, true) => (of(&self.nginx)?, ports.nginx_tls),
            (Peer::Varnish, false) => (of(&self.varnish)?, ports.varnish),
            (Peer::Caddy, false) => (of(&self.caddy)?, ports.caddy),
            (Peer::Caddy, true) => (of(&self.caddy)?, ports.caddy_tls),
            (Peer::Node, false) => (self.node.pid()?, self.node.listener("gateway").ok()?),
            (Peer::Node, true) => (self.node.pid()?, ports.node_tls),
            _ => return None,
        };
        let prefix = match peer {
            Peer::Node => self.node_prefix.clone(),
            _ => "/".into(),
        };
        Some(Target { pid, address, prefix })
    }
}

impl Ports {
    fn free() -> Result<Self> {
        let held: Vec<TcpListener> = (0..9)
            .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
            .collect::<Result<_, _>>()?;
        let at = |index: usize| held[index].local_addr();
        Ok(Self {
            floor: at(0)?,
            nginx_sendfile: at(1)?,
            nginx: at(2)?,
            nginx_tls: at(3)?,
            varnish: at(4)?,
            caddy: at(5)?,
            caddy_tls: at(6)?,
            node_tls: at(7)?,
            floor_same: at(8)?,
        })
    }
}

/// `program` on the core of the servers.
pub fn pinned(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", SERVER_CORE]).arg(program.as_ref());
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

pub fn spawn(name: &'static str, mut command: Command, log: &Path) -> Result<Process> {
    command.stderr(fs::File::create(log)?);
    let child = command
        .spawn()
        .with_context(|| format!("starting {name}; `ops/packages bench` installs it"))?;
    Ok(Process { name, child })
}

/// A peer, once it listens. One that is not here, or does not start, is left out.
fn listening(peer: Result<Process>, address: SocketAddr) -> Option<Process> {
    let listens = peer.and_then(|peer| {
        wait_until(&format!("{} listens", peer.name), START_WITHIN, || {
            Ok(TcpStream::connect(address).is_ok())
        })?;
        Ok(peer)
    });
    listens.inspect_err(|error| eprintln!("left out: {error:#}")).ok()
}

/// A floor, with the header lines of the file `head`.
fn start_floor(files: &Path, head: Option<&Path>) -> Result<(Process, SocketAddr)> {
    let mut command = pinned(std::env::current_exe()?);
    command.arg("floor").arg(files).stdout(Stdio::piped());
    if let Some(head) = head {
        command.arg("--head").arg(head);
    }
    let mut child = command.spawn().context("starting the floor")?;
    let output = child.stdout.take().context("the floor has no output")?;
    let floor = Process { name: "floor", child };
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    let address = line
        .trim()
        .parse()
        .context("the floor did not say where it listens")?;
    Ok((floor, address))
}

/// The header lines of an answer, without the length of its body.
fn headers(address: SocketAddr, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n")?;
    let lines = BufReader::new(stream).lines().skip(1);
    let mut kept = String::new();
    for line in lines {
        let line = line?;
        if line.is_empty() {
            return Ok(kept);
        }
        if !line.to_ascii_lowercase().starts_with("content-length:") {
            kept.push_str(&line);
            kept.push_str("\r\n");
        }
    }
    bail!("the node's answer to {path} has no end of its head")
}

fn nginx(files: &Path, work: &Path, ports: &Ports) -> Result<Process> {
    let home = folder(work, "nginx")?;
    let config = home.join("nginx.conf");
    let text = config::nginx(
        files,
        work,
        &home,
        [ports.nginx_sendfile, ports.nginx, ports.nginx_tls],
    );
    fs::write(&config, text)?;
    let mut command = pinned(system_program("nginx")?);
    command.arg("-p").arg(&home).arg("-c").arg(&config);
    command.arg("-e").arg(home.join("error.log"));
    spawn("nginx", command, &home.join("stderr"))
}

fn varnish(work: &Path, ports: &Ports, memory_mib: u64) -> Result<Process> {
    let home = folder(work, "varnish")?;
    let mut command = pinned(system_program("varnishd")?);
    command.args(["-F", "-j", "none", "-a", &ports.varnish.to_string()]);
    command.args([
        "-b",
        &ports.nginx.to_string(),
        "-s",
        &format!("malloc,{memory_mib}M"),
    ]);
    command.args(["-p", "default_ttl=360000", "-p", "thread_pools=1"]);
    command.args(["-p", "timeout_idle=3600"]).arg("-n").arg(&home);
    spawn("varnish", command, &home.with_extension("stderr"))
}

fn caddy(files: &Path, work: &Path, ports: &Ports) -> Result<Process> {
    let home = folder(work, "caddy")?;
    let config = home.join("Caddyfile");
    fs::write(
        &config,
        config::caddy(files, work, [ports.caddy, ports.caddy_tls]),
    )?;
    let mut command = pinned(system_program("caddy")?);
    command
        .args(["run", "--adapter", "caddyfile", "--config"])
        .arg(&config);
    // One core, as the others have one worker.
    command
        .env("GOMAXPROCS", "1")
        .env("HOME", &home)
        .env("XDG_DATA_HOME", &home);
    spawn("caddy", command, &home.join("stderr"))
}

/// A node of a chain of its own.
fn node(work: &Path, ports: &Ports, memory_mib: u64) -> Result<Node> {
    let settings = config::node(work, ports.node_tls, memory_mib);
    let set = settings.into_iter().flat_map(|what| ["--set".to_owned(), what]);
    Node::launch(Launch {
        args: ["--dev".to_owned()].into_iter().chain(set).collect(),
        wrapper: vec!["taskset".into(), "-c".into(), SERVER_CORE.into()],
        ..Launch::default()
    })
}

pub fn folder(work: &Path, name: &str) -> Result<PathBuf> {
    let folder = work.join(name);
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Debian keeps servers where a user's `PATH` does not look.
pub fn system_program(name: &str) -> Result<PathBuf> {
    let folders = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"];
    let found = folders
        .iter()
        .map(|folder| Path::new(folder).join(name))
        .find(|path| path.is_file());
    ensure!(
        found.is_some(),
        "{name} is not here; `ops/packages bench` installs it"
    );
    found.with_context(|| name.to_owned())
}
