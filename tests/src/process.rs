//! The `ddn` program as a user runs it: arguments in; exit code, stdout and stderr out.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::net::Host;
use crate::wait::poll;

/// Longer than any command of the suites takes on a slow machine.
const COMMAND_DEADLINE: Duration = Duration::from_secs(120);

/// The program under test: `DDN_BIN`, else `ddn` beside the folder of the test binary.
///
/// # Errors
/// When there is none; the text says how to build it.
pub fn ddn_binary() -> Result<PathBuf> {
    match env::var_os("DDN_BIN") {
        Some(path) => Ok(PathBuf::from(path)),
        None => beside("ddn"),
    }
}

/// A peer that cheats (`tests/adversary`).
///
/// # Errors
/// As [`ddn_binary`].
pub fn adversary_binary() -> Result<PathBuf> {
    beside("adversary")
}

/// A program of this workspace, beside the folder of the test binary.
fn beside(name: &str) -> Result<PathBuf> {
    let own = env::current_exe()?;
    let binary = own
        .ancestors()
        .nth(2)
        .context("the test binary is in target/PROFILE/deps")?
        .join(name);
    ensure!(
        binary.is_file(),
        "{} is not built: run `cargo build --workspace` first",
        binary.display()
    );
    Ok(binary)
}

/// Runs `ddn` commands against one data folder.
#[derive(Clone, Debug)]
pub struct Ddn {
    data: PathBuf,
    host: Option<Host>,
}

impl Ddn {
    /// Commands for the data folder `data`.
    pub fn new(data: &Path) -> Self {
        Self {
            data: data.to_owned(),
            host: None,
        }
    }

    /// Commands for the data folder `data`, run on `host`.
    pub fn on(host: &Host, data: &Path) -> Self {
        Self {
            data: data.to_owned(),
            host: Some(host.clone()),
        }
    }

    /// Runs a command to its end.
    ///
    /// # Errors
    /// When it cannot start or does not end in time; a failed command is no error here, see [`Ran::ok`].
    pub fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Result<Ran> {
        self.start(args)?.finish(COMMAND_DEADLINE)
    }

    /// Runs a command that must succeed. Errors also when it fails.
    pub fn ok<S: AsRef<OsStr>>(&self, args: &[S]) -> Result<Ran> {
        let ran = self.run(args)?;
        ran.ok()?;
        Ok(ran)
    }

    /// Runs a command with `--json` that must succeed, and reads what it printed. Errors also when that is no JSON.
    pub fn json<S: AsRef<OsStr>>(&self, args: &[S]) -> Result<Value> {
        let mut with_json: Vec<&OsStr> = args.iter().map(AsRef::as_ref).collect();
        with_json.push("--json".as_ref());
        self.ok(&with_json)?.json()
    }

    /// Starts a command.
    ///
    /// # Errors
    /// When it cannot start.
    pub fn start<S: AsRef<OsStr>>(&self, args: &[S]) -> Result<Running> {
        let program = ddn_binary()?;
        let mut command = match &self.host {
            None => Command::new(program),
            Some(host) => host.command(&program.to_string_lossy()),
        };
        command.args(args).arg("--data").arg(&self.data);
        Running::start(command)
    }
}

/// A command on its way; killed when dropped.
#[derive(Debug)]
pub struct Running {
    what: String,
    child: Child,
    stdout: Option<JoinHandle<Vec<u8>>>,
    stderr: Option<JoinHandle<Vec<u8>>>,
}

impl Running {
    /// Starts `command` with its output captured and its input empty.
    ///
    /// # Errors
    /// When the program cannot start.
    pub fn start(mut command: Command) -> Result<Self> {
        let what = describe(&command);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("starting {what}"))?;
        let stdout = child.stdout.take().map(drain);
        let stderr = child.stderr.take().map(drain);
        Ok(Self {
            what,
            child,
            stdout,
            stderr,
        })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether the command has ended.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub fn ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// When the command has not ended within `deadline`; it is killed then.
    pub fn finish(mut self, deadline: Duration) -> Result<Ran> {
        let ended = poll(&self.what, deadline, || Ok(self.child.try_wait()?));
        if ended.is_err() {
            self.child.kill()?;
        }
        let text = |reader: Option<JoinHandle<Vec<u8>>>| {
            let bytes = reader
                .map(|thread| thread.join().unwrap_or_default())
                .unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let (stdout, stderr) = (text(self.stdout.take()), text(self.stderr.take()));
        match ended {
            Ok(status) => Ok(Ran {
                what: self.what.clone(),
                code: status.code(),
                stdout,
                stderr,
            }),
            Err(e) => Err(e.context(format!("a hang; until then\nstdout: {stdout}\nstderr: {stderr}"))),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Of a child that has ended, both do nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a command left.
#[derive(Debug)]
pub struct Ran {
    /// The command line, for messages.
    pub what: String,
    /// The exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
}

impl Ran {
    /// # Errors
    /// When the command failed.
    pub fn ok(&self) -> Result<()> {
        ensure!(self.code == Some(0), "{}", self.story());
        Ok(())
    }

    /// The output as JSON.
    ///
    /// # Errors
    /// When it is none.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.stdout).with_context(|| format!("no JSON: {}", self.story()))
    }

    /// The command failed as the contract wants, and printed nothing: see [`Ran::failed`]. Returns the line.
    ///
    /// # Errors
    /// When any of that is not so.
    pub fn refused(&self, code: i32, words: &[&str]) -> Result<String> {
        let line = self.failed(code, words)?;
        ensure!(
            self.stdout.is_empty(),
            "stdout of a refusal is empty: {}",
            self.story()
        );
        Ok(line)
    }

    /// Exit code `code`, no panic, something on stderr, for code 1 exactly one line; and the text has each of `words`, in
    /// whatever case. Returns the line. For commands that report before they fail.
    ///
    /// # Errors
    /// When any of that is not so.
    pub fn failed(&self, code: i32, words: &[&str]) -> Result<String> {
        ensure!(self.code == Some(code), "exit {code} was due: {}", self.story());
        ensure!(!self.stderr.contains("panicked"), "a panic: {}", self.story());
        let line = self.stderr.trim_end().to_owned();
        ensure!(!line.is_empty(), "nothing on stderr: {}", self.story());
        ensure!(
            code != 1 || line.lines().count() == 1,
            "one line was due: {}",
            self.story()
        );
        let lower = line.to_lowercase();
        for word in words {
            ensure!(
                lower.contains(&word.to_lowercase()),
                "no {word:?} in the text: {}",
                self.story()
            );
        }
        Ok(line)
    }

    /// The whole run in words, for messages.
    pub fn story(&self) -> String {
        let Self {
            what,
            code,
            stdout,
            stderr,
        } = self;
        format!(
            "`{what}` ended with {code:?}\nstdout: {}\nstderr: {}",
            stdout.trim_end(),
            stderr.trim_end()
        )
    }
}

fn drain(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut all = Vec::new();
        // A broken pipe ends the reading; what came before it is still worth having.
        let _ = pipe.read_to_end(&mut all);
        all
    })
}

fn describe(command: &Command) -> String {
    let mut words: Vec<OsString> = vec![command.get_program().to_owned()];
    words.extend(command.get_args().map(OsStr::to_owned));
    words.join(OsStr::new(" ")).to_string_lossy().into_owned()
}

/// The last `lines` lines of a log, for messages.
pub(crate) fn tail(log: &Path, lines: usize) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_else(|e| format!("no log: {e}"));
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// Sends SIGTERM to a child of ours.
pub(crate) fn terminate(child: &Child) -> Result<()> {
    let Some(pid) = rustix::process::Pid::from_raw(i32::try_from(child.id())?) else {
        bail!("a child has a process id");
    };
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).context("SIGTERM to a node")
}
