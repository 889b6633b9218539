//! Attacks on a gateway, with honest readers beside. What is asserted is what does not depend on the machine: that the
//! readers are served, that an attacker has no more places than a client may have, and that memory stays bounded. How long
//! the readers waited is told, beside what they wait when nobody attacks.
//!
//! Every client has an address of its own, which the loopback network has enough of. One test runs at a time, since they
//! look at the memory of the process.

#[allow(dead_code, reason = "shared with the other tests")]
#[path = "../it/client.rs"]
mod client;
#[allow(dead_code, reason = "shared with the other tests")]
#[path = "../it/node.rs"]
mod node;
#[allow(dead_code, reason = "shared with the other tests")]
#[path = "../it/site.rs"]
mod site;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gateway::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use client::{DEADLINE, request, until};
use site::Site;

/// One at a time.
static ALONE: Mutex<()> = Mutex::new(());

const ATTACKER: u8 = 66;
const READERS: u8 = 4;
/// What the process may grow by: several times what the places in each test allow, since the test has buffers of its own.
const GROWTH_MIB_MAX: u64 = 192;

/// A gateway that counts the clients of this machine too.
async fn site(configure: impl FnOnce(&mut Config)) -> Site {
    Site::with(|config| {
        config.guarding.uncounted = Vec::new();
        configure(config);
    })
    .await
}

/// A connection of the client `127.0.0.number`.
async fn connect(to: SocketAddr, number: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    let own = SocketAddr::from((Ipv4Addr::new(127, 0, 0, number), 0));
    socket.bind(own).expect("an address of the loopback network");
    socket.connect(to).await.expect("a connection")
}

/// Sends `text`, and reads what comes until the end of the connection.
async fn ask(to: SocketAddr, number: u8, text: &str) -> Vec<u8> {
    let mut stream = connect(to, number).await;
    let mut answer = Vec::new();
    // A gateway that has enough of a request need not read it to its end.
    let _ = stream.write_all(text.as_bytes()).await;
    let read = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await;
    drop(read.expect("an end in time"));
    answer
}

fn status(answer: &[u8]) -> &str {
    let line = answer.get(9..12).unwrap_or_default();
    std::str::from_utf8(line).unwrap_or_default()
}

/// Readers who ask for a small file and for one of several blocks, and get both whole; how long each answer took.
async fn honest(site: &Site) -> Vec<Duration> {
    let mut readers = JoinSet::new();
    for reader in 0..READERS {
        let (address, root) = (site.address(), site.root);
        readers.spawn(async move {
            let mut took = Vec::new();
            for round in 0..60 {
                let (path, bytes) = if round % 10 == 9 {
                    ("big.bin", site::BIG)
                } else {
                    ("ascii.txt", 31)
                };
                let text = request("GET", "127.0.0.1", &format!("/ipfs/{root}/{path}"), &[]);
                let since = Instant::now();
                let answer = ask(address, 10 + reader, &text).await;
                took.push(since.elapsed());
                assert_eq!(status(&answer), "200", "{path}");
                assert!(answer.len() > bytes, "{path}: {} bytes", answer.len());
            }
            took
        });
    }
    readers.join_all().await.concat()
}

fn p99(mut took: Vec<Duration>) -> Duration {
    took.sort();
    took[took.len() * 99 / 100]
}

fn resident_mib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("the process");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .expect("its memory");
    line.trim()
        .trim_end_matches(" kB")
        .parse::<u64>()
        .expect("a number")
        >> 10
}

/// Runs honest readers alone and then beside an attack, which goes on until it is told to stop.
async fn beside<A>(what: &str, site: &Site, attack: impl FnOnce(CancellationToken) -> A)
where
    A: Future<Output = ()> + Send + 'static,
{
    // What is read for the first time is read from the disk.
    honest(site).await;
    let quiet = p99(honest(site).await);
    let before = resident_mib();
    let stop = CancellationToken::new();
    let attack = tokio::spawn(attack(stop.clone()));
    let attacked = p99(honest(site).await);
    let grown = resident_mib().saturating_sub(before);
    stop.cancel();
    attack.await.expect("the attack");
    let ratio = attacked.as_secs_f64() / quiet.as_secs_f64();
    println!(
        "{what}: p99 {quiet:.1?} alone, {attacked:.1?} beside ({ratio:.2} x); memory grew by {grown} MiB"
    );
    assert!(grown <= GROWTH_MIB_MAX, "{what}: memory grew by {grown} MiB");
}

/// Asks the same over and over, on `lines` connections at a time; how often each status came.
async fn flood(to: SocketAddr, lines: usize, texts: Vec<String>, stop: CancellationToken) -> [u64; 6] {
    let counts: Arc<[AtomicU64; 6]> = Arc::default();
    let mut attackers = JoinSet::new();
    for line in 0..lines {
        let (texts, stop, counts) = (texts.clone(), stop.clone(), Arc::clone(&counts));
        attackers.spawn(async move {
            let mut texts = texts.iter().cycle().skip(line);
            while !stop.is_cancelled() {
                let Some(text) = texts.next() else { return };
                let answer = ask(to, ATTACKER, text).await;
                let class = status(&answer)
                    .bytes()
                    .next()
                    .map_or(0, |digit| usize::from(digit - b'0'));
                counts[class.min(5)].fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    attackers.join_all().await;
    std::array::from_fn(|class| counts[class].load(Ordering::Relaxed))
}

fn alone() -> std::sync::MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run(test: impl Future<Output = ()>) {
    let _alone = alone();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(test);
}

#[test]
fn heads_that_never_end() {
    run(async {
        let site = site(|config| config.limits.head_timeout = Duration::from_secs(2)).await;
        let address = site.address();
        beside("slow-loris", &site, |stop| async move {
            let mut lines = Vec::new();
            for _ in 0..300 {
                let mut line = connect(address, ATTACKER).await;
                let _ = line.write_all(b"GET / HTTP/1.1\r\nHost: ").await;
                lines.push(line);
            }
            let mut trickle = tokio::time::interval(Duration::from_millis(200));
            while !stop.is_cancelled() {
                trickle.tick().await;
                for line in &mut lines {
                    // Those that were cut are cut.
                    let _ = line.write_all(b"x").await;
                }
            }
        })
        .await;
        until("all of them are cut", || {
            site.metric("gateway_connections") == 0.0
        })
        .await;
    });
}

#[test]
fn readers_who_do_not_read() {
    run(async {
        let site = site(|config| config.guarding.streams_in_flight = 16).await;
        let huge: Vec<u8> = (0..12_u32 << 20)
            .flat_map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes())
            .collect();
        let cid = site.publish(&[("x.bin", &huge)]);
        drop(huge);
        let text = request("GET", "127.0.0.1", &format!("/ipfs/{cid}/x.bin"), &[]);
        let address = site.address();
        let (sender, lines) = tokio::sync::oneshot::channel();
        beside("slow readers", &site, |stop| async move {
            let mut lines = Vec::new();
            for _ in 0..100 {
                let mut line = connect(address, ATTACKER).await;
                line.write_all(text.as_bytes()).await.expect("a request");
                lines.push(line);
            }
            stop.cancelled().await;
            let _ = sender.send(lines);
        })
        .await;
        let in_flight = site.metric("gateway_requests_in_flight");
        assert!(in_flight <= 16.0, "{in_flight} answers wait for one client");
        assert!(site.metric("gateway_refused_requests_total{why=\"client\"}") >= 84.0);
        drop(lines.await);
        until("nobody is waited for", || {
            site.metric("gateway_requests_in_flight") == 0.0
        })
        .await;
    });
}

#[test]
fn floods_of_ranges() {
    run(async {
        let site = site(|config| config.guarding.requests_burst = 1000).await;
        let target = format!("/ipfs/{}/big.bin", site.root);
        let many: Vec<String> = (0..2000).map(|at| format!("{}-{}", at * 7, at * 7)).collect();
        let ranges = [
            "bytes=0-0".to_owned(),
            "bytes=1048575-1048577".to_owned(),
            "bytes=-1".to_owned(),
            format!("bytes={}", many.join(",")),
            "bytes=9999999999-".to_owned(),
        ];
        let texts = ranges
            .map(|range| request("GET", "127.0.0.1", &target, &[("Range", &range)]))
            .to_vec();
        let address = site.address();
        beside("ranges", &site, |stop| async move {
            let counts = flood(address, 32, texts, stop).await;
            println!("  answers by class of status: {counts:?}");
            assert!(counts[2] > 0 && counts[5] == 0, "{counts:?}");
        })
        .await;
    });
}

#[test]
fn floods_of_headers() {
    run(async {
        let site = site(|_| {}).await;
        let long = request("GET", "127.0.0.1", "/", &[("X-Long", &"x".repeat(200 << 10))]);
        let many = format!(
            "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n{}\r\n",
            "a: b\r\n".repeat(20_000)
        );
        let target = format!(
            "GET /{} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
            "x".repeat(200 << 10)
        );
        let address = site.address();
        beside("headers", &site, |stop| async move {
            let counts = flood(address, 32, vec![long, many, target], stop).await;
            println!("  answers by class of status: {counts:?}");
            assert!(counts[2] == 0, "{counts:?}");
        })
        .await;
    });
}

#[test]
fn floods_of_listings() {
    run(async {
        let site = site(|config| config.limits.listings_max = 1).await;
        let names: Vec<String> = (0..3000).map(|n| format!("{n:0100}")).collect();
        let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b"x"[..])).collect();
        let cid = site.publish(&files);
        // Each is another page, so that none comes from memory.
        let page = |n: usize| format!("/ipfs/{cid}/?x={n}");
        let texts = (0..5000)
            .map(|n| request("GET", "127.0.0.1", &page(n), &[]))
            .collect();
        let address = site.address();
        beside("listings", &site, |stop| async move {
            let counts = flood(address, 16, texts, stop).await;
            println!("  answers by class of status: {counts:?}");
            assert!(counts[2] > 0, "{counts:?}");
        })
        .await;
    });
}

#[test]
fn floods_of_work() {
    run(async {
        let site = site(|_| {}).await;
        let text: Vec<u8> = (0..40_000)
            .flat_map(|line| format!("line {line} of a long text\n").into_bytes())
            .collect();
        let cid = site.publish(&[("x.txt", &text)]);
        let page = |n: usize| format!("/ipfs/{cid}/x.txt?x={n}");
        let texts = (0..5000)
            .map(|n| request("GET", "127.0.0.1", &page(n), &[("Accept-Encoding", "br")]))
            .collect();
        let address = site.address();
        beside("compression", &site, |stop| async move {
            let counts = flood(address, 16, texts, stop).await;
            println!("  answers by class of status: {counts:?}");
            assert!(counts[2] > 0 && counts[5] == 0, "{counts:?}");
        })
        .await;
    });
}
