//! A client that asks so many questions a second, whatever becomes of the answers, and measures each from the moment at which
//! it was due: a server that stalls is not spared the questions of that time.

use std::fs;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::Args;
use rustix::net::sockopt::set_socket_recv_buffer_size;
use serde::{Deserialize, Serialize};

/// What to ask.
#[derive(Args)]
pub struct Wanted {
    /// `IP:PORT` of the server.
    #[arg(value_parser = crate::address)]
    server: SocketAddr,
    /// Questions, one `NAME TYPE` in a line.
    file: PathBuf,
    /// Questions a second.
    rate: f64,
    /// For so many seconds.
    seconds: f64,
}

/// What came of it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    pub asked: u64,
    pub lost: u64,
    pub p50_us: f64,
    pub p99_us: f64,
}

/// Answers that wait while this client is not let run, as the machine stands still for a moment, are not the server's loss.
/// Bytes.
const RECEIVE_BUFFER_BYTES: usize = 4 << 20;
/// An answer that takes longer is lost.
const PATIENCE: Duration = Duration::from_secs(1);

/// Asks, and prints an [`Outcome`] as JSON. It never sleeps, so that waking up is no part of what it measures.
pub fn load(wanted: &Wanted) -> Result<()> {
    let questions: Vec<Vec<u8>> = fs::read_to_string(&wanted.file)?
        .lines()
        .filter_map(packet)
        .collect();
    ensure!(!questions.is_empty(), "there are no questions");
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(wanted.server)?;
    set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER_BYTES)?;
    socket.set_nonblocking(true)?;
    let total = (wanted.rate * wanted.seconds) as u64;
    let every = Duration::from_secs_f64(1.0 / wanted.rate);
    let mut due: Vec<Option<Instant>> = vec![None; 1 << 16];
    let (mut latencies, mut asked, mut lost) = (Vec::with_capacity(total as usize), 0_u64, 0);
    let begun = Instant::now();
    let mut buffer = [0; 4096];
    loop {
        let now = Instant::now();
        let next = begun + every.mul_f64(asked as f64);
        if asked < total && now >= next {
            let mut packet = questions[asked as usize % questions.len()].clone();
            let id = asked as u16;
            packet[..2].copy_from_slice(&id.to_be_bytes());
            // An id that comes round again finds its answer lost.
            lost += u64::from(due[usize::from(id)].replace(next).is_some());
            socket.send(&packet)?;
            asked += 1;
        }
        match socket.recv(&mut buffer) {
            Ok(read) if read >= 12 => {
                let id = u16::from_be_bytes([buffer[0], buffer[1]]);
                if let Some(due) = due[usize::from(id)].take() {
                    latencies.push(due.elapsed().as_nanos() as f64 / 1e3);
                }
            }
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let over = begun + every.mul_f64(total as f64);
                let all = latencies.len() as u64 + lost >= total;
                if asked >= total && (all || now > over + PATIENCE) {
                    break;
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    lost += due.iter().flatten().count() as u64;
    latencies.sort_by(f64::total_cmp);
    let at = |part: f64| {
        latencies
            .get((latencies.len() as f64 * part) as usize)
            .copied()
            .unwrap_or(0.0)
    };
    let outcome = Outcome {
        asked,
        lost,
        p50_us: at(0.5),
        p99_us: at(0.99),
    };
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}

/// The question of a line, as resolvers ask.
pub fn packet(line: &str) -> Option<Vec<u8>> {
    let (name, kind) = line.split_once(' ')?;
    let kind: u16 = match kind {
        "A" => 1,
        "TXT" => 16,
        _ => return None,
    };
    let mut packet = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        packet.push(u8::try_from(label.len()).ok()?);
        packet.extend_from_slice(label.as_bytes());
    }
    packet.push(0);
    packet.extend(kind.to_be_bytes());
    packet.extend([0, 1]);
    Some(packet)
}
