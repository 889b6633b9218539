//! The DNS servers, each with one worker on one core, all of them with the same zone.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::{Ddn, Launch, Node, wait_until};

use super::{FEW, paced, zone};
use crate::case::Peer;
use crate::machine::pss_kib;
use crate::server::{Process, SERVER_CORE, folder, pinned, spawn, system_program};

/// Reading a million names takes some seconds.
const START_WITHIN: Duration = Duration::from_secs(120);
/// Registrations at once: each waits for two blocks of a second.
const WRITERS: usize = 100;
/// A million answers, in MiB.
const MEMORY_MIB: &str = "768";

/// All of them, running.
pub struct Servers {
    servers: Vec<(Peer, Server)>,
    pages: Vec<(Peer, Page)>,
    /// Held while they are measured.
    _processes: Vec<Process>,
    _node: Option<Node>,
}

/// Where one is.
#[derive(Clone, Debug)]
pub struct Server {
    pub pid: u32,
    pub address: SocketAddr,
    /// Its memory with no names.
    pub empty_kib: u64,
}

/// A page of 1 KiB.
#[derive(Clone, Debug)]
pub struct Page {
    pub pid: u32,
    pub address: SocketAddr,
    pub host: String,
    pub path: String,
}

impl Servers {
    /// Starts them with so many names, ours without a node if it is to be alone, and web servers if pages are visited.
    pub fn start(work: &Path, names: usize, is_alone: bool, visits: bool) -> Result<Self> {
        let mut all = Self {
            servers: Vec::new(),
            pages: Vec::new(),
            _processes: Vec::new(),
            _node: None,
        };
        all.own("floor", Peer::Floor, &["dns-floor"], 0)?;
        let many = names > FEW;
        if is_alone {
            let empty = all.own(
                "ddn without names",
                Peer::Node,
                &["dns-answers", "0", MEMORY_MIB],
                0,
            )?;
            all.servers.retain(|(peer, _)| *peer != Peer::Node);
            all.own(
                "ddn",
                Peer::Node,
                &["dns-answers", &names.to_string(), MEMORY_MIB],
                empty,
            )?;
            all.own(
                "ddn with few names",
                Peer::FewNames,
                &["dns-answers", &FEW.to_string(), MEMORY_MIB],
                empty,
            )?;
        } else {
            all.node(names, visits, work)?;
        }
        for (peer, start) in [(Peer::Nsd, nsd as Start), (Peer::Knot, knot)] {
            if let Err(error) = all.other(peer, start, work, names, many) {
                eprintln!("left out: {error:#}");
            }
        }
        if visits && let Err(error) = all.nginx(work) {
            eprintln!("left out: {error:#}");
        }
        Ok(all)
    }

    pub fn target(&self, peer: Peer) -> Option<Server> {
        // The one who resolves for nginx is NSD.
        let peer = if peer == Peer::Nginx { Peer::Nsd } else { peer };
        let found = self.servers.iter().find(|(of, _)| *of == peer);
        found.map(|(_, server)| server.clone())
    }

    pub fn page(&self, peer: Peer) -> Result<&Page> {
        let found = self.pages.iter().find(|(of, _)| *of == peer);
        found
            .map(|(_, page)| page)
            .with_context(|| format!("{} has no page", peer.name()))
    }

    /// Starts this program in another part, and returns its memory then.
    fn own(&mut self, name: &'static str, peer: Peer, arguments: &[&str], empty_kib: u64) -> Result<u64> {
        let mut command = pinned(std::env::current_exe()?);
        command.args(arguments).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("starting {name}"))?;
        let address = said_address(&mut child, name)?;
        let pid = child.id();
        self._processes.push(Process { name, child });
        self.servers.push((
            peer,
            Server {
                pid,
                address,
                empty_kib,
            },
        ));
        Ok(pss_kib(pid))
    }

    fn other(&mut self, peer: Peer, start: Start, work: &Path, names: usize, many: bool) -> Result<()> {
        // Its memory without names, to take off.
        let empty_kib = match many {
            true => {
                let (process, _) = listening(start(&folder(work, &format!("{}-empty", peer.name()))?, 0)?)?;
                pss_kib(process.child.id())
            }
            false => 0,
        };
        let (process, address) = listening(start(&folder(work, peer.name())?, names)?)?;
        let pid = process.child.id();
        self._processes.push(process);
        self.servers.push((
            peer,
            Server {
                pid,
                address,
                empty_kib,
            },
        ));
        Ok(())
    }

    /// A whole node, and its names on its chain.
    fn node(&mut self, names: usize, visits: bool, work: &Path) -> Result<()> {
        let settings = [
            "dns.threads=1",
            "dns.responses_per_s=1000000000",
            "dns.uncounted=[]",
            "gateway.workers=1",
            "gateway.dnslink=false",
        ];
        let data = folder(work, "node")?;
        let chain = chain(&data)?;
        let set = settings
            .iter()
            .flat_map(|what| ["--set".to_owned(), (*what).to_owned()]);
        let node = Node::launch(Launch {
            args: chain.into_iter().chain(set).collect(),
            data: Some(data),
            wrapper: vec!["taskset".into(), "-c".into(), SERVER_CORE.into()],
            ..Launch::default()
        })?;
        let (pid, address) = (node.pid().context("no pid")?, node.listener("dns")?);
        eprintln!("registering {names} names");
        register(&node, names)?;
        if visits {
            let site = folder(work, "site")?;
            fs::write(site.join("1k.bin"), [b'x'; 1024])?;
            node.ddn()
                .ok(&["publish", &site.to_string_lossy(), "--name", "site.ddn"])?;
            let page = Page {
                pid,
                address: node.listener("gateway")?,
                host: "site.ddn".into(),
                path: "/1k.bin".into(),
            };
            self.pages.push((Peer::Node, page));
        }
        self.servers.push((
            Peer::Node,
            Server {
                pid,
                address,
                empty_kib: 0,
            },
        ));
        self._node = Some(node);
        Ok(())
    }

    fn nginx(&mut self, work: &Path) -> Result<()> {
        let (home, site) = (folder(work, "nginx")?, folder(work, "site")?);
        let address = free()?;
        let config = home.join("nginx.conf");
        let at = home.display();
        let text = format!(
            "daemon off;\nmaster_process off;\npid {at}/pid;\nevents {{ }}\nhttp {{ access_log off; client_body_temp_path {at}/b; \
             proxy_temp_path {at}/p; fastcgi_temp_path {at}/f; uwsgi_temp_path {at}/u; scgi_temp_path {at}/s; root {}; \
             open_file_cache max=100; server {{ listen {address}; sendfile on; }} }}\n",
            site.display()
        );
        fs::write(&config, text)?;
        let mut command = pinned(system_program("nginx")?);
        command
            .arg("-p")
            .arg(&home)
            .arg("-c")
            .arg(&config)
            .arg("-e")
            .arg(home.join("error.log"));
        let process = spawn("nginx", command, &home.join("stderr"))?;
        wait_until("nginx listens", START_WITHIN, || {
            Ok(std::net::TcpStream::connect(address).is_ok())
        })?;
        let page = Page {
            pid: process.child.id(),
            address,
            host: "n0.ddn".into(),
            path: "/1k.bin".into(),
        };
        self.pages.push((Peer::Nginx, page));
        self._processes.push(process);
        Ok(())
    }
}

/// Starts a server in its folder with so many names.
type Start = fn(&Path, usize) -> Result<(Process, SocketAddr)>;

fn nsd(home: &Path, names: usize) -> Result<(Process, SocketAddr)> {
    let (address, at) = (free()?, home.display());
    fs::write(home.join("zone"), zone::file(names))?;
    let config = home.join("nsd.conf");
    let text = format!(
        "server:\n  ip-address: {}@{}\n  server-count: 1\n  username: \"\"\n  chroot: \"\"\n  zonesdir: \"{at}\"\n  \
         database: \"\"\n  pidfile: \"{at}/pid\"\n  zonelistfile: \"{at}/zones\"\n  xfrdfile: \"{at}/xfrd\"\n  xfrdir: \"{at}\"\n  \
         logfile: \"{at}/log\"\n  hide-version: yes\n  rrl-ratelimit: 0\n  minimal-responses: yes\nremote-control:\n  \
         control-enable: no\nzone:\n  name: ddn\n  zonefile: zone\n",
        address.ip(),
        address.port()
    );
    fs::write(&config, text)?;
    let mut command = pinned(system_program("nsd")?);
    command.arg("-d").arg("-c").arg(&config);
    Ok((spawn("nsd", command, &home.join("stderr"))?, address))
}

fn knot(home: &Path, names: usize) -> Result<(Process, SocketAddr)> {
    let (address, at) = (free()?, home.display());
    fs::write(home.join("zone"), zone::file(names))?;
    let config = home.join("knot.conf");
    let text = format!(
        "server:\n  rundir: {at}\n  listen: {}@{}\n  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n\
         database:\n  storage: {at}\ntemplate:\n  - id: default\n    storage: {at}\n    zonefile-load: whole\n    \
         zonefile-sync: -1\n    journal-content: none\nzone:\n  - domain: ddn\n    file: zone\n",
        address.ip(),
        address.port()
    );
    fs::write(&config, text)?;
    let mut command = pinned(system_program("knotd")?);
    command.arg("-c").arg(&config);
    Ok((spawn("knot", command, &home.join("stderr"))?, address))
}

/// A server, once it answers for the zone.
fn listening((process, address): (Process, SocketAddr)) -> Result<(Process, SocketAddr)> {
    let question = paced::packet("ddn A").context("no question")?;
    wait_until(&format!("{} answers", process.name), START_WITHIN, || {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(address)?;
        socket.set_read_timeout(Some(Duration::from_millis(200)))?;
        let mut reply = [0; 512];
        let asked = socket.send(&question).and_then(|_| socket.recv(&mut reply));
        Ok(asked.is_ok() && reply[3] & 0x0f == 0)
    })?;
    Ok((process, address))
}

/// A chain whose only delegate has all coins, since names cost more than a faucet gives. Returns how to start it.
fn chain(data: &Path) -> Result<Vec<String>> {
    let ddn = Ddn::new(data);
    ddn.ok(&["chain", "init", "--print-key"])?;
    let (engine, genesis) = (free()?, data.join("names.json"));
    let (folder, genesis) = (data.to_string_lossy(), genesis.to_string_lossy());
    let delegate = format!("{folder}@{engine}");
    let words = [
        "chain",
        "init",
        "names",
        "--preset",
        "dev",
        "--delegate",
        &delegate,
    ];
    ddn.ok(&[&words[..], &["--balance", &folder, "-o", &genesis]].concat())?;
    let listen = format!("engine.listen={engine}");
    Ok(["--genesis", &genesis, "--set", &listen]
        .map(str::to_owned)
        .into())
}

/// Registers the names, many at a time.
fn register(node: &Node, names: usize) -> Result<()> {
    let write = |number: usize| {
        let (name, text) = (zone::name(number), zone::TEXT);
        let ttl = zone::TTL.to_string();
        node.ddn()
            .ok(&[
                "name",
                "register",
                &name,
                "--a",
                zone::ADDRESS,
                "--txt",
                text,
                "--ttl",
                &ttl,
            ])
            .map(drop)
    };
    thread::scope(|scope| {
        let writers = (0..WRITERS)
            .map(|writer| scope.spawn(move || (writer..names).step_by(WRITERS).try_for_each(write)));
        let writers: Vec<_> = writers.collect();
        for writer in writers {
            writer.join().ok().context("a writer failed")??;
        }
        Ok(())
    })
}

fn said_address(child: &mut Child, name: &str) -> Result<SocketAddr> {
    let output = child
        .stdout
        .take()
        .with_context(|| format!("{name} has no output"))?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    ensure!(!line.is_empty(), "{name} did not start");
    line.trim()
        .parse()
        .with_context(|| format!("{name} did not say where it listens"))
}

fn free() -> Result<SocketAddr> {
    Ok(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
