//! What is asked, and by whom.

use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::servers::Server;
use super::{Asked, paced, zone};
use crate::case::Measured;
use crate::load::{output, pinned};
use crate::machine::{cpu_time, pss_kib};

/// The files of questions.
pub struct Questions {
    folder: PathBuf,
}

impl Questions {
    /// Asks for every name once, in an order that looks random and is the same each time.
    pub fn write(folder: &Path, names: usize) -> Result<Self> {
        fs::create_dir_all(folder)?;
        // Every number once: the step shares no factor with the count.
        let step = (7_368_787 % names) | 1;
        let numbers: Vec<usize> = (0..names).map(|at| (at * step + names / 3) % names).collect();
        let questions = Self {
            folder: folder.to_owned(),
        };
        for asked in [Asked::A, Asked::Text, Asked::Missing] {
            let mut text = String::new();
            for number in &numbers {
                let name = zone::name(*number);
                let _ = match asked {
                    Asked::A => writeln!(text, "{name} A"),
                    Asked::Text => writeln!(text, "{name} TXT"),
                    Asked::Missing => writeln!(text, "x{name} A"),
                };
            }
            fs::write(questions.file(asked), text)?;
        }
        Ok(questions)
    }

    pub fn file(&self, asked: Asked) -> PathBuf {
        self.folder.join(match asked {
            Asked::A => "a.txt",
            Asked::Text => "txt.txt",
            Asked::Missing => "missing.txt",
        })
    }
}

/// Sees that some answers are right.
pub fn check(server: SocketAddr, asked: Asked, names: usize) -> Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    for number in [0, names / 2, names - 1] {
        let name = zone::name(number);
        let (line, code, expected) = match asked {
            Asked::A => (format!("{name} A"), 0, &[192, 0, 2, 1][..]),
            Asked::Text => (format!("{name} TXT"), 0, zone::TEXT.as_bytes()),
            Asked::Missing => (format!("x{name} A"), 3, &b"hostmaster"[..]),
        };
        socket.send(&paced::packet(&line).context("no question")?)?;
        let mut reply = [0; 4096];
        let read = socket
            .recv(&mut reply)
            .with_context(|| format!("asking {server} for {line}"))?;
        let found = reply[..read]
            .windows(expected.len())
            .any(|window| window == expected);
        ensure!(
            reply[3] & 0x0f == code && found,
            "{server} gives a wrong answer to {line}"
        );
    }
    Ok(())
}

/// Asks for everything once. Nothing may be lost: what comes after it is about memory.
pub fn once(server: SocketAddr, file: &Path) -> Result<()> {
    let (.., lost) = dnsperf(server, file, &["-n", "1", "-q", "50"])?;
    ensure!(lost == 0, "{lost} questions were lost by {server}");
    Ok(())
}

/// Asks as fast as it is answered.
pub fn most(server: &Server, file: &Path, time: Duration) -> Result<Measured> {
    let before = cpu_time(server.pid);
    let seconds = time.as_secs_f64().ceil().to_string();
    let (done, rate, lost) = dnsperf(server.address, file, &["-q", "100", "-l", &seconds])?;
    let cpu = cpu_time(server.pid).saturating_sub(before);
    Ok(Measured {
        rate,
        cpu_us: cpu.as_secs_f64() * 1e6 / done,
        pss_kib: pss_kib(server.pid),
        lost,
        ..Measured::default()
    })
}

/// Questions that were answered, how many in a second, and how many were not.
fn dnsperf(server: SocketAddr, file: &Path, how: &[&str]) -> Result<(f64, f64, u64)> {
    let mut command = pinned(Path::new("dnsperf"));
    command.args([
        "-s",
        &server.ip().to_string(),
        "-p",
        &server.port().to_string(),
        "-c4",
        "-T1",
        "-d",
    ]);
    command.arg(file).args(how).args(["-t", "5"]);
    let text = output(command)?;
    let number = |mark: &str| -> Option<f64> {
        let line = text.lines().find(|line| line.trim_start().starts_with(mark))?;
        line.split(':').nth(1)?.split_whitespace().next()?.parse().ok()
    };
    let said = || format!("dnsperf said: {text}");
    Ok((
        number("Queries completed").with_context(said)?,
        number("Queries per second").with_context(said)?,
        number("Queries lost").with_context(said)? as u64,
    ))
}

/// Asks so often.
pub fn paced(server: &Server, file: &Path, rate: f64, time: Duration) -> Result<Measured> {
    let before = cpu_time(server.pid);
    let mut command = pinned(&std::env::current_exe()?);
    command.args(["dns-paced", &server.address.to_string()]).arg(file);
    command.args([rate.to_string(), time.as_secs_f64().to_string()]);
    let done: paced::Outcome = serde_json::from_str(&output(command)?)?;
    let cpu = cpu_time(server.pid).saturating_sub(before);
    Ok(Measured {
        rate: done.asked as f64 / time.as_secs_f64(),
        cpu_us: cpu.as_secs_f64() * 1e6 / done.asked as f64,
        p50_us: Some(done.p50_us),
        p99_us: Some(done.p99_us),
        pss_kib: pss_kib(server.pid),
        lost: done.lost,
        client: None,
    })
}
