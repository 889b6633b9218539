//! Row E: somebody opens a page by its name, and has nothing of it yet.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;

use super::paced::{self, Outcome};
use super::servers::{Page, Server};
use crate::case::Measured;
use crate::load::{output, pinned};
use crate::machine::{cpu_time, pss_kib};

/// What to open.
#[derive(Args)]
pub struct Wanted {
    /// `IP:PORT` of the name server.
    #[arg(value_parser = crate::address)]
    names: SocketAddr,
    /// `IP:PORT` of the web server.
    #[arg(value_parser = crate::address)]
    web: SocketAddr,
    /// The name.
    host: String,
    /// The path.
    path: String,
    /// For so many seconds.
    seconds: f64,
}

/// Runs the client on its core.
pub fn measure(server: &Server, page: &Page, time: Duration) -> Result<Measured> {
    let before = cpu_time(server.pid) + cpu_time(page.pid);
    let mut command = pinned(&std::env::current_exe()?);
    command.args([
        "dns-visit",
        &server.address.to_string(),
        &page.address.to_string(),
    ]);
    command.args([&page.host, &page.path, &time.as_secs_f64().to_string()]);
    let done: Outcome = serde_json::from_str(&output(command)?)?;
    // A node is both servers.
    let pids = if server.pid == page.pid { 2.0 } else { 1.0 };
    let cpu = (cpu_time(server.pid) + cpu_time(page.pid)).saturating_sub(before);
    Ok(Measured {
        rate: done.asked as f64 / time.as_secs_f64(),
        cpu_us: cpu.as_secs_f64() * 1e6 / done.asked as f64 / pids,
        p50_us: Some(done.p50_us),
        p99_us: Some(done.p99_us),
        pss_kib: pss_kib(page.pid),
        lost: 0,
        client: None,
    })
}

/// Opens the page again and again, each time by a new connection, and prints an [`Outcome`] as JSON.
pub fn load(wanted: &Wanted) -> Result<()> {
    let line = format!("{} A", wanted.host);
    let question = paced::packet(&line).context("no name")?;
    let names = UdpSocket::bind("127.0.0.1:0")?;
    names.connect(wanted.names)?;
    names.set_read_timeout(Some(Duration::from_secs(5)))?;
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        wanted.path, wanted.host
    );
    let begun = Instant::now();
    let mut latencies = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    while begun.elapsed().as_secs_f64() < wanted.seconds {
        let started = Instant::now();
        names.send(&question)?;
        let read = names.recv(&mut buffer)?;
        ensure!(read > 12 && buffer[7] > 0, "{} has no address", wanted.host);
        let mut web = TcpStream::connect(wanted.web)?;
        web.set_nodelay(true)?;
        web.write_all(request.as_bytes())?;
        let read = web.read(&mut buffer)?;
        latencies.push(started.elapsed().as_nanos() as f64 / 1e3);
        ensure!(
            buffer[..read].starts_with(b"HTTP/1.1 200"),
            "{}",
            String::from_utf8_lossy(&buffer[..read])
        );
        while web.read(&mut buffer)? > 0 {}
    }
    latencies.sort_by(f64::total_cmp);
    let at = |part: f64| {
        latencies
            .get((latencies.len() as f64 * part) as usize)
            .copied()
            .unwrap_or(0.0)
    };
    let asked = latencies.len() as u64;
    let outcome = Outcome {
        asked,
        lost: 0,
        p50_us: at(0.5),
        p99_us: at(0.99),
    };
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}
