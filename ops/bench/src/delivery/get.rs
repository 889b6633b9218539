//! The one who fetches: into a fresh store, in a process of its own.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use cid::Cid;
use clap::Args;
use iroh::endpoint::{Connection, presets};
use iroh::{Endpoint, EndpointAddr, EndpointId, RelayMode};
use ledger::PublicKey;
use serde::{Deserialize, Serialize};
use storage::ddp::{Config, Delivery, Provider};
use storage::{Blocks as _, Store, Walk};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use super::ledger::{CHAIN, Guide, Wallet};
use super::serve::{FLOOR_ALPN, PING, Place, payer};
use crate::machine::cpu_time;

/// What to fetch.
#[derive(Args)]
pub struct Wanted {
    /// The places, as a JSON list.
    places: String,
    /// A folder for the store; it does not exist yet.
    store: PathBuf,
    /// Who pays.
    payer: u8,
    /// Take it from the floor.
    #[arg(long)]
    floor: bool,
    /// Take bytes by TCP instead.
    #[arg(long)]
    tcp: bool,
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1")]
    listen: IpAddr,
    /// Seconds after which it is over, whatever came by then; 0: when all of it is here.
    #[arg(long, default_value_t = 0.0)]
    seconds: f64,
    /// Say when half of the bytes of the first file are here, in a line before the outcome: that many.
    #[arg(long, default_value_t = u64::MAX)]
    half: u64,
    /// Names of files.
    #[arg(required = true)]
    files: Vec<String>,
}

/// What came of it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// Of all blocks.
    pub bytes: u64,
    /// From the question to the last byte being durable.
    pub seconds: f64,
    /// From the question for each file to its first block, in microseconds, the first file left out: it makes the connection.
    pub first_us: Vec<f64>,
    /// Processor time of this process, in seconds.
    pub cpu_s: f64,
}

/// Fetches, and prints an [`Outcome`] as JSON.
pub fn get(wanted: &Wanted) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let places: Vec<Place> = serde_json::from_str(&wanted.places)?;
    let place = places.first().context("nobody to ask")?;
    let store = Store::open(&wanted.store)?;
    let mut roots = Vec::new();
    for file in &wanted.files {
        let at = place.roots.iter().position(|(name, _)| name == file);
        let at = at.with_context(|| format!("{file} is not served"))?;
        roots.push((at as u32, Cid::from_str(&place.roots[at].1)?));
    }
    let before = cpu_time(std::process::id());
    let fetched = match (wanted.tcp, wanted.floor) {
        (true, _) => runtime.block_on(by_tcp(place, wanted.seconds)),
        (_, true) => runtime.block_on(from_floor(place, &store, wanted, &roots)),
        _ => runtime.block_on(from_nodes(&places, &store, wanted, &roots)),
    };
    let mut outcome = fetched?;
    outcome.cpu_s = cpu_time(std::process::id()).saturating_sub(before).as_secs_f64();
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}

async fn from_nodes(
    places: &[Place],
    store: &Store,
    wanted: &Wanted,
    roots: &[(u32, Cid)],
) -> Result<Outcome> {
    let key = payer(wanted.payer);
    let provider = |place: &Place| {
        Ok(Provider {
            node: PublicKey::from_str(&place.node).map_err(|error| anyhow::anyhow!("{error}"))?,
            addresses: vec![place.address],
            relay: None,
            rtt_us: None,
        })
    };
    let providers: Result<Vec<Provider>> = places.iter().map(provider).collect();
    let config = Config::new(
        key.clone(),
        CHAIN,
        SocketAddr::new(wanted.listen, 0),
        key.address(),
    );
    let delivery = Delivery::start(
        config,
        store.clone(),
        Guide::new(providers?),
        Arc::new(Wallet(key.clone())),
        Arc::new(super::ledger::Coins::new(std::iter::empty())),
        &mut Default::default(),
    )
    .await?;
    let mut outcome = Outcome::default();
    let began = Instant::now();
    for (_, root) in roots {
        let (remote, store, root) = (delivery.below(root), store.clone(), *root);
        let (limit, half) = (limit(wanted.seconds), wanted.half);
        let (first_us, bytes) = tokio::task::spawn_blocking(move || {
            let asked = Instant::now();
            remote.block(&root)?.context("the root is nowhere")?;
            let first_us = asked.elapsed().as_secs_f64() * 1e6;
            let blocks = Walk::new(&remote, &[root]);
            let mut bytes = 0;
            let mut is_half = false;
            for block in blocks {
                bytes += match block {
                    Ok((_, block)) => block.len() as u64,
                    // On a path that brings next to nothing, a node gives up before the time is over.
                    Err(error) if limit < Duration::MAX => {
                        eprintln!("{error}");
                        return Ok((first_us, bytes));
                    }
                    Err(error) => return Err(error.into()),
                };
                if asked.elapsed() >= limit {
                    return Ok((first_us, bytes));
                }
                if bytes >= half && !std::mem::replace(&mut is_half, true) {
                    println!("half");
                }
            }
            store.pin(&root, "")?;
            anyhow::Ok((first_us, bytes))
        })
        .await??;
        outcome.first_us.push(first_us);
        outcome.bytes += bytes;
    }
    outcome.seconds = began.elapsed().as_secs_f64();
    outcome.first_us.remove(0);
    // The last payment is part of it, but nobody waits for that.
    delivery.shutdown().await;
    Ok(outcome)
}

/// Reads for so long.
async fn by_tcp(place: &Place, seconds: f64) -> Result<Outcome> {
    let began = Instant::now();
    let mut stream = TcpStream::connect(place.tcp).await?;
    let mut bytes = 0;
    let reading = async {
        let mut buffer = vec![0; 256 << 10];
        loop {
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(more) => bytes += more as u64,
            }
        }
    };
    let _ = tokio::time::timeout(limit(seconds), reading).await;
    Ok(Outcome {
        bytes,
        seconds: began.elapsed().as_secs_f64(),
        ..Outcome::default()
    })
}

fn limit(seconds: f64) -> Duration {
    match seconds > 0.0 {
        true => Duration::from_secs_f64(seconds),
        false => Duration::MAX,
    }
}

async fn from_floor(place: &Place, store: &Store, wanted: &Wanted, roots: &[(u32, Cid)]) -> Result<Outcome> {
    let began = Instant::now();
    let endpoint = Endpoint::builder(presets::Minimal)
        .relay_mode(RelayMode::Disabled)
        .clear_ip_transports()
        .bind_addr(SocketAddr::new(wanted.listen, 0))?
        .bind()
        .await?;
    let id = EndpointId::from_str(&place.floor_node)?;
    let connection = endpoint
        .connect(EndpointAddr::new(id).with_ip_addr(place.floor), FLOOR_ALPN)
        .await?;
    let mut outcome = Outcome::default();
    for (number, root) in roots {
        outcome.first_us.push(ping(&connection).await?);
        let (bytes, is_whole) = file(&connection, store, *number, limit(wanted.seconds)).await?;
        outcome.bytes += bytes;
        if !is_whole {
            break;
        }
        let (store, root) = (store.clone(), *root);
        tokio::task::spawn_blocking(move || store.pin(&root, "")).await??;
    }
    outcome.seconds = began.elapsed().as_secs_f64();
    outcome.first_us.remove(0);
    connection.close(0u32.into(), b"done");
    endpoint.close().await;
    Ok(outcome)
}

/// One byte there and back, on a stream that is open.
async fn ping(connection: &Connection) -> Result<f64> {
    let (mut send, mut recv) = connection.open_bi().await?;
    let mut took = 0.0;
    for _ in 0..2 {
        let asked = Instant::now();
        send.write_all(&PING.to_be_bytes()).await?;
        recv.read_exact(&mut [0]).await?;
        took = asked.elapsed().as_secs_f64() * 1e6;
    }
    Ok(took)
}

/// All blocks of a file: received by one task, verified and kept by another. Returns how many bytes, and whether it is all.
async fn file(connection: &Connection, store: &Store, number: u32, limit: Duration) -> Result<(u64, bool)> {
    let began = Instant::now();
    let (mut send, mut recv) = connection.open_bi().await?;
    send.write_all(&number.to_be_bytes()).await?;
    send.finish()?;
    let (come, mut keep) = tokio::sync::mpsc::channel::<(Cid, Bytes)>(BLOCKS_BETWEEN);
    let store = store.clone();
    let keeping = tokio::task::spawn_blocking(move || {
        let mut bytes = 0;
        while let Some((cid, block)) = keep.blocking_recv() {
            store.put(&cid, &block)?;
            bytes += block.len() as u64;
        }
        anyhow::Ok(bytes)
    });
    let mut count = [0; 4];
    recv.read_exact(&mut count).await?;
    let mut is_whole = true;
    for _ in 0..u32::from_be_bytes(count) {
        if began.elapsed() >= limit {
            is_whole = false;
            break;
        }
        let mut head = [0; 5];
        recv.read_exact(&mut head).await?;
        let length = u32::from_be_bytes(head[..4].try_into()?) as usize;
        let mut cid = vec![0; usize::from(head[4])];
        recv.read_exact(&mut cid).await?;
        let mut block = vec![0; length];
        recv.read_exact(&mut block).await?;
        ensure!(
            come.send((Cid::try_from(cid)?, block.into())).await.is_ok(),
            "keeping failed"
        );
    }
    drop(come);
    Ok((keeping.await??, is_whole))
}

/// Blocks that were received and not kept yet.
const BLOCKS_BETWEEN: usize = 8;
