//! A running link: the process that moves packets between a device in one namespace and a device in another.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Stdio};

use anyhow::{Context, Result, ensure};

use super::link::Link;
use super::namespace::Namespace;

/// The program, beside the folder of the test binary.
const PROGRAM: &str = "testkit-link";

/// Two devices with a link between them; they go when it is dropped.
#[derive(Debug)]
pub(super) struct Wire {
    emulator: Child,
}

impl Wire {
    /// Makes the device `near.1` in one namespace and `far.1` in the other. Nothing passes before [`Wire::set`].
    ///
    /// # Errors
    /// When there is no `/dev/net/tun`, or it may not be used.
    pub(super) fn new(near: (&Namespace, &str), far: (&Namespace, &str)) -> Result<Self> {
        let mut command = near.0.command(&program()?.to_string_lossy());
        command.arg("near").arg(near.1).arg(far.0.file()).arg(far.1);
        // Its output is one of the devices from then on, so it speaks on the other channel.
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut emulator = command.spawn().context("starting the link emulator")?;
        let mut said = String::new();
        BufReader::new(emulator.stderr.take().context("the emulator's messages")?).read_line(&mut said)?;
        let wire = Self { emulator };
        ensure!(said.trim() == "ready", "the link emulator says: {}", said.trim());
        Ok(wire)
    }

    /// The link is `link` from now on.
    ///
    /// # Errors
    /// When the emulator has ended.
    pub(super) fn set(&mut self, link: Link) -> Result<()> {
        let orders = self
            .emulator
            .stdin
            .as_mut()
            .context("the emulator takes orders")?;
        writeln!(orders, "{link}").context("the link emulator has ended")
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        drop(self.emulator.stdin.take());
        let _ = self.emulator.wait();
    }
}

fn program() -> Result<PathBuf> {
    let own = env::current_exe()?;
    // A program is in target/PROFILE, a test in target/PROFILE/deps.
    let mut places = own.ancestors().skip(1).take(2).map(|folder| folder.join(PROGRAM));
    places.find(|place| place.is_file()).with_context(|| {
        format!(
            "{PROGRAM} is not built beside {}: run `cargo build -p testkit` first",
            own.display()
        )
    })
}
