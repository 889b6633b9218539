//! Honest readers, alone and beside an attack.
//!
//! The attackers run on threads of the lowest priority, since real ones have machines of their own: here they get what
//! the gateway and its honest readers leave over, so what the readers wait for is the gateway.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use gateway::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::client::{DEADLINE, request, until};
use crate::site::{BIG, Site};
use crate::wire::{Http2, Http3, Identity, get, quic_from};

/// The last number of the attackers' address.
pub const ATTACKER: u8 = 66;
/// Honest readers, each with an address of its own.
const READERS: u8 = 4;
/// The last number of the address of the first of them.
const FIRST_READER: u8 = 70;
/// What each of them asks for, one after the other.
const ROUNDS: usize = 400;
/// What the process may grow by: several times what the places in each test allow, since the test has buffers of its own.
const GROWTH_MIB_MAX: u64 = 192;
/// The priority of the attackers: the lowest that there is.
const NICE: i32 = 19;

/// One at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// Runs one test, while no other of this program runs.
pub fn run(test: impl Future<Output = ()>) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let runtime = Runtime::new().expect("a runtime");
    runtime.block_on(test);
}

/// A gateway that counts the clients of this machine too.
pub async fn site(configure: impl FnOnce(&mut Config)) -> Site {
    Site::with(|config| {
        config.guarding.uncounted = Vec::new();
        configure(config);
    })
    .await
}

/// How the honest readers come.
#[derive(Clone)]
pub enum Way {
    /// HTTP/1.1, by a connection for each request.
    Lines,
    /// HTTP/2, by one connection each.
    Http2,
    /// HTTP/3, by one connection each.
    Http3(Arc<Identity>),
}

/// An honest reader.
enum Reader {
    Lines(SocketAddr, u8),
    Http2(Http2),
    Http3(Http3),
}

impl Reader {
    async fn new(way: &Way, site: &Site, number: u8) -> Self {
        match way {
            Way::Lines => Self::Lines(site.address(), number),
            Way::Http2 => Self::Http2(Http2::new(connect(site.address(), number).await).await),
            Way::Http3(identity) => {
                let address = site.gateway.tls_addr().expect("an encrypted listener");
                let own = SocketAddr::from((Ipv4Addr::new(127, 0, 0, number), 0));
                Self::Http3(Http3::over(quic_from(own, address, "localhost", identity).await).await)
            }
        }
    }

    /// The status, and how many bytes came after it at least.
    async fn get(&self, path: &str) -> (u16, usize) {
        let answer = match self {
            Self::Lines(address, number) => {
                let text = request("GET", "127.0.0.1", path, &[]);
                let answer = ask(*address, *number, &text).await;
                return (status(&answer), answer.len());
            }
            Self::Http2(client) => client.ask(get("127.0.0.1", path)).await.expect("an answer"),
            Self::Http3(client) => client.ask(get("127.0.0.1", path)).await.expect("an answer"),
        };
        (answer.status, answer.body.len())
    }
}

/// How long the answers took.
#[derive(Default)]
struct Took {
    /// A small file, which memory has, and what is not there, which has to be looked up.
    small: Vec<Duration>,
    /// A file of several blocks.
    large: Vec<Duration>,
}

/// Readers who get what they ask for, whole. Each time they are others, so that nobody asks more than one client may.
async fn honest(site: &Site, way: &Way, time: u8) -> Took {
    let mut readers = JoinSet::new();
    for number in (0..READERS).map(|number| FIRST_READER + time * READERS + number) {
        let (reader, root) = (Reader::new(way, site, number).await, site.root);
        readers.spawn(async move {
            let mut took = Took::default();
            for round in 0..ROUNDS {
                let (name, expected, bytes, times) = match round % 20 {
                    9 => ("big.bin".into(), 200, BIG, &mut took.large),
                    4 | 14 => (format!("no-{number}-{round}"), 404, 0, &mut took.small),
                    _ => ("ascii.txt".into(), 200, 31, &mut took.small),
                };
                let since = Instant::now();
                let (status, came) = reader.get(&format!("/ipfs/{root}/{name}")).await;
                times.push(since.elapsed());
                assert_eq!(status, expected, "{name}");
                assert!(came >= bytes, "{name}: {came} bytes");
            }
            took
        });
    }
    let mut all = Took::default();
    for took in readers.join_all().await {
        all.small.extend(took.small);
        all.large.extend(took.large);
    }
    all.small.sort();
    all.large.sort();
    all
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[sorted.len() * percent / 100]
}

/// What readers waited beside an attack over what they waited just before it.
#[derive(Default)]
struct Ratios {
    small: Vec<f64>,
    large: Vec<f64>,
}

impl Ratios {
    fn note(&mut self, alone: &Took, beside: &Took) {
        let ratio = |alone: &[Duration], beside: &[Duration]| {
            percentile(beside, 99).as_secs_f64() / percentile(alone, 99).as_secs_f64()
        };
        self.small.push(ratio(&alone.small, &beside.small));
        self.large.push(ratio(&alone.large, &beside.large));
    }

    /// `what, small: p99 beside over alone: median x, from lowest to highest, in n turns`
    fn tell(mut self, what: &str) {
        for (kind, ratios) in [("small", &mut self.small), ("large", &mut self.large)] {
            ratios.sort_by(f64::total_cmp);
            let (median, count) = (ratios[ratios.len() / 2], ratios.len());
            let (lowest, highest) = (ratios[0], ratios[count - 1]);
            println!(
                "{what}, {kind}: p99 beside over alone: {median:.2} x, from {lowest:.2} to {highest:.2}, in {count} turns"
            );
        }
    }
}

/// `what, kind: p50 … alone, … beside` for small and large answers.
fn tell(what: &str, alone: &Took, beside: &Took) {
    for (kind, alone, beside) in [
        ("small", &alone.small, &beside.small),
        ("large", &alone.large, &beside.large),
    ] {
        for percent in [50, 99] {
            let (before, after) = (percentile(alone, percent), percentile(beside, percent));
            println!(
                "{what}, {kind}: p{percent} {before:.1?} alone, {after:.1?} beside, of {}",
                beside.len()
            );
        }
    }
}

/// The most that the process has had in memory since [`forget_peak`], in MiB.
fn peak_mib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("the process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let text = line.expect("its memory").trim().trim_end_matches(" kB");
    text.parse::<u64>().expect("a number") >> 10
}

/// From now on the peak is what there is now (proc(5), `clear_refs`).
fn forget_peak() {
    fs::write("/proc/self/clear_refs", "5").expect("the process");
}

/// The threads of the attackers.
fn attackers() -> &'static Runtime {
    static ATTACKERS: OnceLock<Runtime> = OnceLock::new();
    ATTACKERS.get_or_init(|| {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("attacker")
            .enable_all()
            // Of the calling thread alone, on Linux.
            .on_thread_start(|| rustix::process::setpriority_process(None, NICE).expect("a lower priority"))
            .build();
        runtime.expect("a runtime")
    })
}

/// Runs honest readers alone and then beside an attack, which goes on until it is told to stop; `DDN_ATTACK_TURNS` times,
/// once if that is not set. One turn tells that the readers are served, and what becomes of memory; how much longer they
/// wait, only the median of several does.
pub async fn beside<A>(what: &str, site: &Site, way: &Way, attack: impl Fn(CancellationToken) -> A)
where
    A: Future<Output = ()> + Send + 'static,
{
    // What is read for the first time is read from the disk.
    honest(site, way, 0).await;
    let (mut ratios, mut most_grown) = (Ratios::default(), 0);
    for turn in 0..turns() {
        forget_peak();
        let alone = honest(site, way, 2 * turn + 1).await;
        let before = peak_mib();
        let stop = CancellationToken::new();
        let attack = attackers().spawn(attack(stop.clone()));
        let attacked = honest(site, way, 2 * turn + 2).await;
        most_grown = peak_mib().saturating_sub(before).max(most_grown);
        stop.cancel();
        attack.await.expect("the attack");
        tell(what, &alone, &attacked);
        ratios.note(&alone, &attacked);
        until("nothing of the attack is in hand", || {
            site.metric("gateway_requests_in_flight") == 0.0
        })
        .await;
    }
    ratios.tell(what);
    println!("{what}: memory grew by {most_grown} MiB");
    assert!(
        most_grown <= GROWTH_MIB_MAX,
        "{what}: memory grew by {most_grown} MiB"
    );
}

/// As many as there are addresses for.
fn turns() -> u8 {
    let turns =
        std::env::var("DDN_ATTACK_TURNS").map_or(1, |turns| turns.parse().expect("a number of turns"));
    u8::clamp(turns, 1, 20)
}

/// A connection of the client `127.0.0.number`.
pub async fn connect(to: SocketAddr, number: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    let own = SocketAddr::from((Ipv4Addr::new(127, 0, 0, number), 0));
    socket.bind(own).expect("an address of the loopback network");
    socket.connect(to).await.expect("a connection")
}

/// Sends `text`, and reads what comes until the end of the connection.
pub async fn ask(to: SocketAddr, number: u8, text: &str) -> Vec<u8> {
    let mut stream = connect(to, number).await;
    let mut answer = Vec::new();
    // A gateway that has enough of a request need not read it to its end.
    let _ = stream.write_all(text.as_bytes()).await;
    let read = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await;
    drop(read.expect("an end in time"));
    answer
}

/// The status of an answer of HTTP/1.1; 0 if it is none.
pub fn status(answer: &[u8]) -> u16 {
    let digits = answer.get(9..12).unwrap_or_default();
    std::str::from_utf8(digits).map_or(0, |digits| digits.parse().unwrap_or(0))
}

/// Asks the same over and over, on `lines` connections at a time; how often each class of status came.
pub async fn flood(to: SocketAddr, lines: usize, texts: Arc<[String]>, stop: CancellationToken) -> [u64; 6] {
    let mut attackers = JoinSet::new();
    for line in 0..lines {
        let (texts, stop) = (Arc::clone(&texts), stop.clone());
        attackers.spawn(async move {
            let mut counts = [0; 6];
            for text in texts.iter().cycle().skip(line * texts.len() / lines) {
                if stop.is_cancelled() {
                    break;
                }
                let class = usize::from(status(&ask(to, ATTACKER, text).await) / 100);
                counts[class.min(5)] += 1;
            }
            counts
        });
    }
    let mut counts = [0; 6];
    for of_line in attackers.join_all().await {
        for (count, of_line) in counts.iter_mut().zip(of_line) {
            *count += of_line;
        }
    }
    println!("  answers by class of status: {counts:?}");
    counts
}
