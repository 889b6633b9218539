//! The clients: each load is a process on a core of its own, and what it did is read from its output.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::case::{Load, Measured, Unit};
use crate::content::LARGE;
use crate::machine::{clients_time, cpu_time, pss_kib};
use crate::server::Target;
use crate::stream;

/// The core of the clients.
const CLIENT_CORE: &str = "1";
/// Bytes of a random range.
const RANGE_BYTES: u64 = 64 << 10;

/// Puts a load on `target` for `time`; `work` is a folder for scripts.
pub fn measure(
    load: &Load,
    target: &Target,
    time: Duration,
    work: &Path,
    large_bytes: u64,
) -> Result<Measured> {
    let before = (cpu_time(target.pid), clients_time());
    let done = run(load, target, time, work, large_bytes)?;
    let cpu = cpu_time(target.pid).saturating_sub(before.0);
    let client = clients_time().saturating_sub(before.1);
    ensure!(
        done.requests > 0 && done.seconds > 0.0,
        "no request was answered: {done:?}"
    );
    let count = match load.unit() {
        Unit::Bytes | Unit::Megabytes => done.bytes as f64,
        _ => done.requests as f64,
    };
    let cpu_each = match load.unit() {
        Unit::Bytes | Unit::Megabytes => count / f64::from(1 << 20),
        _ => count,
    };
    Ok(Measured {
        rate: count / done.seconds,
        cpu_us: cpu.as_secs_f64() * 1e6 / cpu_each,
        p50_us: done.p50_us,
        p99_us: done.p99_us,
        pss_kib: pss_kib(target.pid),
        client: Some((client.as_secs_f64() / done.seconds).min(1.0)),
        ..Measured::default()
    })
}

fn run(load: &Load, target: &Target, time: Duration, work: &Path, large_bytes: u64) -> Result<stream::Load> {
    let address = target.address.to_string();
    let seconds = time.as_secs_f64();
    let own = std::env::current_exe()?;
    match *load {
        Load::Wrk {
            file,
            connections,
            tls,
        } => {
            let scheme = if tls { "https" } else { "http" };
            let script = script(work, "plain.lua", DONE)?;
            let url = format!("{scheme}://{address}{}", target.path(file));
            wrk(&script, connections, seconds, &url)
        }
        Load::Ranges { connections } => {
            let path = target.path(LARGE);
            let last = large_bytes.saturating_sub(RANGE_BYTES);
            let text = format!(
                "math.randomseed(7)\nrequest = function()\n  local at = math.random(0, {last})\n  \
                 return wrk.format('GET', '{path}', {{['Range'] = 'bytes=' .. at .. '-' .. (at + {})}})\nend\n{DONE}",
                RANGE_BYTES - 1
            );
            let script = script(work, "ranges.lua", &text)?;
            wrk(&script, connections, seconds, &format!("http://{address}{path}"))
        }
        Load::H2 {
            file,
            connections,
            streams,
        } => {
            let url = format!("https://{address}{}", target.path(file));
            h2load(connections, streams, seconds, &url)
        }
        Load::H3 {
            file,
            connections,
            streams,
        } => {
            let path = target.path(file);
            let numbers = [connections.to_string(), streams.to_string(), seconds.to_string()];
            let mut command = pinned(&own);
            command.args(["quic", &address, &path]).args(numbers);
            Ok(serde_json::from_str(&output(command)?)?)
        }
        Load::Light { file, connections } => {
            let numbers = [connections.to_string(), seconds.to_string()];
            let mut command = pinned(&own);
            command
                .args(["light", &address, &target.path(file)])
                .args(numbers);
            Ok(serde_json::from_str(&output(command)?)?)
        }
        Load::Stream => {
            let mut command = pinned(&own);
            command.args(["stream", &address, &target.path(LARGE), &seconds.to_string()]);
            Ok(serde_json::from_str(&output(command)?)?)
        }
        Load::Idle { .. } => bail!("idle connections are no load"),
    }
}

/// `wrk` by one thread.
fn wrk(script: &Path, connections: usize, seconds: f64, url: &str) -> Result<stream::Load> {
    let mut command = pinned(Path::new("wrk"));
    let duration = format!("-d{}s", seconds.ceil());
    command
        .args(["-t1", &format!("-c{connections}"), &duration, "-s"])
        .arg(script)
        .arg(url);
    let text = output(command)?;
    let line = text.lines().find_map(|line| line.strip_prefix("RESULT "));
    let line = line.with_context(|| format!("wrk said: {text}"))?;
    let numbers: Vec<f64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
    let [requests, micros, bytes, errors, p50, p99] = numbers[..] else {
        bail!("wrk said: {text}");
    };
    ensure!(errors == 0.0, "wrk counted {errors} errors at {url}");
    Ok(stream::Load {
        requests: requests as u64,
        bytes: bytes as u64,
        seconds: micros / 1e6,
        p50_us: Some(p50),
        p99_us: Some(p99),
    })
}

/// `h2load` by one thread.
fn h2load(connections: usize, streams: usize, seconds: f64, url: &str) -> Result<stream::Load> {
    let mut command = pinned(Path::new("h2load"));
    command.args(["-t1", &format!("-c{connections}"), &format!("-m{streams}")]);
    command.args([&format!("-D{}", seconds.ceil()), url]);
    let text = output(command)?;
    let said = || format!("h2load said: {text}");
    let number_before = |line: &str, mark: &str| -> Option<f64> {
        let word = line.split(mark).next()?.split([' ', '(']).next_back()?;
        word.trim_end_matches(')').parse().ok()
    };
    let line = |start: &str| {
        text.lines()
            .find(|line| line.starts_with(start))
            .with_context(said)
    };
    let requests = number_before(line("requests:")?, " succeeded").with_context(said)?;
    let failed = number_before(line("requests:")?, " failed").with_context(said)?;
    ensure!(failed == 0.0, "{}", said());
    let bytes = number_before(line("traffic:")?, ") data").with_context(said)?;
    Ok(stream::Load {
        requests: requests as u64,
        bytes: bytes as u64,
        seconds: seconds.ceil(),
        p50_us: None,
        p99_us: None,
    })
}

/// What `target` takes for each of some connections that wait, beside those that `held` keeps open. They stay open there, so
/// that the next ones do not take the room that these give back.
pub fn idle(target: &Target, connections: usize, tls: bool, held: &mut Vec<Holder>) -> Result<Measured> {
    let before = pss_kib(target.pid);
    held.push(Holder::open(target, connections, tls)?);
    let after = pss_kib(target.pid);
    Ok(Measured {
        rate: after.saturating_sub(before) as f64 / connections as f64,
        pss_kib: after,
        ..Measured::default()
    })
}

/// A client that holds connections; they are closed when it is dropped.
pub struct Holder(Child);

impl Holder {
    fn open(target: &Target, connections: usize, tls: bool) -> Result<Self> {
        let mut command = pinned(&std::env::current_exe()?);
        let address = target.address.to_string();
        command.args(["idle", &address, &target.path("1k.bin"), &connections.to_string()]);
        command.args(tls.then_some("--tls"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let mut line = String::new();
        let output = child.stdout.take().context("no output")?;
        BufReader::new(output).read_line(&mut line)?;
        ensure!(line.trim() == "open", "the connections could not be opened");
        Ok(Self(child))
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // It ends with its input.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

pub fn pinned(program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", CLIENT_CORE]).arg(program);
    command
}

pub fn output(mut command: Command) -> Result<String> {
    let done = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{command:?}"))?;
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let error = String::from_utf8_lossy(&done.stderr).into_owned();
    ensure!(done.status.success(), "{command:?}: {text}{error}");
    Ok(text)
}

fn script(work: &Path, name: &str, text: &str) -> Result<std::path::PathBuf> {
    let path = work.join(name);
    fs::write(&path, text)?;
    Ok(path)
}

/// What `wrk` prints in the end, for the one who reads it here.
const DONE: &str = "done = function(summary, latency)
  local e = summary.errors
  local errors = e.connect + e.read + e.write + e.status + e.timeout
  print(string.format('RESULT %d %d %d %d %d %d', summary.requests, summary.duration, summary.bytes, errors,
    latency:percentile(50), latency:percentile(99)))
end
";
