//! A small disk of its own, so that a test can fill it: a tmpfs in a private mount namespace, which goes with its owner.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::Launch;

/// A disk of a few MiB, which only the processes started with [`Disk::launch`] see mounted.
#[derive(Debug)]
pub struct Disk {
    /// Lives in the namespace and keeps it; ends when its input closes, at the latest with this process.
    holder: Child,
    mount: TempDir,
}

impl Disk {
    /// A disk of `size_mib` MiB; none, with the reason printed, where this user may not make mount namespaces.
    ///
    /// # Errors
    /// When there is a namespace, but no disk in it.
    pub fn new(size_mib: u64) -> Result<Option<Self>> {
        let allowed = Command::new("unshare").args(["--mount", "true"]).output();
        if !allowed.is_ok_and(|tried| tried.status.success()) {
            println!("skipped: a disk of one's own needs a mount namespace, which this user may not make");
            return Ok(None);
        }
        let mount = tempfile::tempdir()?;
        let script = format!("mount -t tmpfs -o size={size_mib}m tmpfs \"$0\" && echo mounted && exec cat");
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private", "sh", "-c", &script])
            .arg(mount.path());
        let mut holder = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting unshare")?;
        let mut said = String::new();
        BufReader::new(holder.stdout.take().context("the holder's output")?).read_line(&mut said)?;
        let disk = Self { holder, mount };
        ensure!(said.trim() == "mounted", "no tmpfs of {size_mib} MiB");
        Ok(Some(disk))
    }

    /// A node of a dev chain with its data folder on this disk.
    pub fn launch(&self) -> Launch {
        let wrapper = [
            "nsenter".to_owned(),
            format!("--mount=/proc/{}/ns/mnt", self.holder.id()),
        ];
        let data = self.mount.path().join("data");
        Launch {
            outside: Some(self.outside(&data)),
            data: Some(data),
            wrapper: wrapper.to_vec(),
            ..Launch::default()
        }
    }

    /// Takes room with a file, until only `left_mib` MiB are left.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn fill(&self, left_mib: u64) -> Result<()> {
        let mut filler = fs::File::create(self.filler())?;
        let (chunk, left) = (vec![0xaa; 1 << 18], left_mib << 20);
        loop {
            let now = rustix::fs::fstatvfs(&filler)?;
            if now.f_bavail * now.f_frsize <= left {
                return Ok(());
            }
            filler.write_all(&chunk)?;
        }
    }

    /// Gives the room of [`Disk::fill`] back.
    ///
    /// # Errors
    /// When there is no such file.
    pub fn free(&self) -> Result<()> {
        fs::remove_file(self.filler()).context("removing the filler")
    }

    fn filler(&self) -> PathBuf {
        self.outside(&self.mount.path().join("filler"))
    }

    /// A path on the disk, as processes outside of the namespace reach it.
    fn outside(&self, path: &Path) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{}", self.holder.id(), path.display()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Of a child that has ended, both do nothing.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
