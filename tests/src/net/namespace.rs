//! A network namespace that goes with its owner, even when the owner is killed.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Lives in the namespace and so keeps it. Its input ends with its owner, however that ends; then it takes down whoever is
/// still in the namespace, which goes with the last of them. Signals of a terminal are for the owner. A device that comes
/// later has no IPv6, which would send packets that no test asked for.
const HOLDER: &str = "trap '' HUP INT QUIT TERM
echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6
echo 1 >/proc/sys/net/ipv4/ip_forward
ip link set lo up && echo ready
cat >/dev/null
own=$(readlink /proc/$$/ns/net)
for process in /proc/[0-9]*; do
  [ \"$(readlink \"$process/ns/net\")\" = \"$own\" ] || continue
  [ \"$process\" = \"/proc/$$\" ] || kill -9 \"${process#/proc/}\"
done 2>/dev/null";

/// A namespace with nothing in it but the loopback device.
#[derive(Debug)]
pub(super) struct Namespace {
    holder: Child,
}

impl Namespace {
    /// # Errors
    /// When this user may not make one.
    pub(super) fn new() -> Result<Self> {
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", HOLDER]);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut holder = command.spawn().context("starting unshare")?;
        let mut said = String::new();
        BufReader::new(holder.stdout.take().context("the holder's output")?).read_line(&mut said)?;
        let namespace = Self { holder };
        ensure!(
            said.trim() == "ready",
            "this user may not make network namespaces"
        );
        Ok(namespace)
    }

    /// The file that stands for it.
    pub(super) fn file(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/ns/net", self.holder.id()))
    }

    /// The beginning of every command line that runs inside.
    pub(super) fn wrapper(&self) -> Vec<String> {
        vec!["nsenter".to_owned(), format!("--net={}", self.file().display())]
    }

    /// `program`, to be run inside.
    pub(super) fn command(&self, program: &str) -> Command {
        let words = self.wrapper();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg(program);
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}
