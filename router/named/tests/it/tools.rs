//! DNS software of others, run for real on loopback.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use tokio::net::UdpSocket;
use tokio::time::{Duration, timeout};

use crate::wire::{Answer, DEADLINE, SOA, ask};

/// Below the ports that systems hand out, so nobody else is given one of them.
const PORTS: std::ops::Range<u32> = 10_000..32_000;

/// A program by its name. Where CI runs it has to be there (`ops/packages ci`), else a test without it has nothing to do.
pub fn tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    let found = folders.map(|folder| folder.join(name)).find(|file| file.exists());
    if found.is_none() {
        let required = std::env::var("DDN_REQUIRE_DNS_TOOLS").is_ok_and(|value| value == "1");
        assert!(!required, "no `{name}` on this machine: run `ops/packages ci`");
        eprintln!("no `{name}` on this machine");
    }
    found
}

/// What a program prints, both streams.
pub async fn output(program: &Path, arguments: &[String]) -> String {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    let ran = tokio::task::spawn_blocking(move || command.output()).await;
    let ran = ran.expect("no panic").expect("it runs");
    let both = [ran.stdout, ran.stderr].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// A port that no other test uses. (BIND listens on 127.0.0.1 alone, so other addresses of loopback are no way out.)
pub fn own_address() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = std::process::id() * 32 + NEXT.fetch_add(1, Ordering::Relaxed);
    let port = PORTS.start + number % (PORTS.end - PORTS.start);
    SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port as u16)
}

/// A server that ends with the test.
pub struct Daemon {
    child: Child,
    pub address: SocketAddr,
    /// Its configuration and what it writes.
    folder: tempfile::TempDir,
}

impl Daemon {
    /// Starts `program` with a configuration file and waits until it answers.
    pub async fn start(
        program: &Path,
        configuration: impl FnOnce(SocketAddr, &Path) -> String,
        arguments: &[&str],
    ) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let address = own_address();
        let file = folder.path().join("conf");
        std::fs::write(&file, configuration(address, folder.path())).expect("written");
        let log = std::fs::File::create(folder.path().join("log")).expect("a file");
        let child = Command::new(program)
            .args(arguments)
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the file"))
            .stderr(log)
            .spawn()
            .expect("it starts");
        let mut daemon = Self {
            child,
            address,
            folder,
        };
        daemon.wait().await;
        daemon
    }

    /// Asks until there is any answer.
    async fn wait(&mut self) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let started = Instant::now();
        let mut buffer = [0; 4096];
        while started.elapsed() < DEADLINE {
            let ended = self.child.try_wait().expect("our child");
            assert!(ended.is_none(), "it ended: {}", self.log());
            // Before it listens this fails, or nothing comes back.
            if socket
                .send_to(&ask("ddn", SOA).bytes(), self.address)
                .await
                .is_ok()
                && let Ok(Ok(_)) = timeout(Duration::from_millis(100), socket.recv_from(&mut buffer)).await
            {
                return;
            }
        }
        panic!("it does not answer: {}", self.log());
    }

    /// What it has written.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Between a resolver and a server: changes the replies.
pub async fn meddler(
    server: SocketAddr,
    change: impl Fn(&mut Vec<u8>) + Send + Sync + 'static,
) -> SocketAddr {
    let front = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let address = front.local_addr().expect("bound");
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok((length, asker)) = front.recv_from(&mut buffer).await {
            let mut reply = Answer(crate::wire::udp(server, &buffer[..length]).await).0;
            change(&mut reply);
            let _ = front.send_to(&reply, asker).await;
        }
    });
    address
}
