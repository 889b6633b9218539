//! Names of chains that this node does not follow: gateways of nodes that do are asked for the name with its proof, and
//! believed for the proof alone.
//!
//! What was proven counts for the time of an answer by name, and no longer than until one of those gateways tells that the
//! name has changed: while names of a chain are asked for, one of its gateways is kept being asked what has changed. A
//! gateway that says nothing of that, or too much, costs freshness or questions, never truth. What the names point to comes
//! from the same gateways ([`content`]).

mod content;

use std::collections::HashSet;
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cid::Cid;
use ledger::{Bundle, Genesis, Label, NameEntry};
use named::dap::{ABSENT_TTL_SECONDS, Delegation, Elsewhere, NamesError, Source, Tlds};
use quick_cache::Weighter;
use quick_cache::sync::{Cache, GuardResult};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Response};
use serde::Deserialize;
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::config::{OtherChain, Settings};
use crate::node::{Error, origin};

/// How long one gateway may take to prove a name.
const PROOF_WITHIN: Duration = Duration::from_secs(3);
/// How long all of them together may.
const PROVEN_WITHIN: Duration = Duration::from_secs(5);
/// The largest proof that is read: some set changes with a hundred signatures each.
const PROOF_BYTES_MAX: usize = 2 << 20;
/// How long what was proven counts.
const COUNTS_FOR: Duration = Duration::from_secs(ABSENT_TTL_SECONDS as u64);
/// Who has not answered is not asked again for so long, nor about what may just have changed.
const SILENT_FOR: Duration = Duration::from_secs(1);
/// A proof of an older block is refused: it may have been true once.
const OLD_AFTER: Duration = Duration::from_secs(600);
/// How much the clock of a chain may be ahead of ours.
const AHEAD_MAX: Duration = Duration::from_secs(60);
/// Memory for what was proven, of each chain. Bytes.
const KNOWN_BYTES_MAX: u64 = 32 << 20;
/// Names of a chain, about.
const KNOWN_EXPECTED: usize = 1_024;
/// Changes are asked for as long as somebody has asked for a name of the chain within this time.
const WATCHED_FOR: Duration = Duration::from_secs(60);
/// How long a question for changes may take: a gateway keeps it for 20 s.
const CHANGES_WITHIN: Duration = Duration::from_secs(30);
/// The largest answer to it.
const CHANGES_BYTES_MAX: usize = 1 << 20;
/// The pause before a gateway is asked for changes again that gave none, at first and at most.
const WATCH_PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(15));

/// The chains that are asked.
pub struct OtherChains {
    tlds: Tlds,
    chains: Vec<Arc<Asked>>,
    /// Which of them a name led from to a root.
    roots: Cache<Cid, usize>,
    fetches: Semaphore,
    runtime: Handle,
    _watching: DropGuard,
}

/// One of them.
struct Asked {
    genesis: Genesis,
    gateways: Vec<String>,
    http: Client,
    known: Cache<Label, Arc<Known>, Bytes>,
    /// The gateway that answered last.
    good: AtomicUsize,
    /// How often it was told that names have changed.
    told: AtomicU64,
    /// The highest block that was proven: what came before is not believed any more.
    height: AtomicU64,
    used: Mutex<Option<Instant>>,
    use_begins: Notify,
}

/// What is known of a label.
struct Known {
    what: Result<Proof, String>,
    until: Instant,
}

struct Proof {
    entry: Option<NameEntry>,
    height: u64,
    time_ms: u64,
    bundle: Arc<[u8]>,
}

#[derive(Clone)]
struct Bytes;

impl Weighter<Label, Arc<Known>> for Bytes {
    fn weight(&self, _: &Label, known: &Arc<Known>) -> u64 {
        let bytes = known
            .what
            .as_ref()
            .map_or_else(String::len, |proof| 2 * proof.bundle.len());
        bytes as u64 + 256
    }
}

/// How many may wait for other chains at once; the rest is told that nobody answers.
#[derive(Debug)]
pub struct Lane(Semaphore);

impl Lane {
    /// With so many places.
    pub fn new(places: usize) -> Self {
        Self(Semaphore::new(places))
    }
}

impl OtherChains {
    /// Those of the settings, beside the chain with this genesis. To be made on the runtime.
    ///
    /// # Errors
    /// A genesis cannot be read, a top-level domain has a chain already, or the certificates cannot be used.
    pub fn open(settings: &Settings, folder: &Path, own: &Genesis) -> Result<Self, Error> {
        let http = client(settings, folder)?;
        let stop = CancellationToken::new();
        let mut chains: Vec<Arc<Asked>> = Vec::new();
        for other in &settings.chain.others {
            let genesis = origin::given(&folder.join(&other.genesis))?;
            let taken = chains.iter().map(|chain| &chain.genesis).chain([own]);
            refuse_taken(other, &genesis, taken)?;
            let chain = Arc::new(Asked::new(genesis, other.gateways.clone(), http.clone()));
            tokio::spawn(Arc::clone(&chain).watch(stop.clone()));
            chains.push(chain);
        }
        let tlds = chains.iter().map(|chain| chain.genesis.tld.clone());
        Ok(Self {
            tlds: Tlds::new(&own.tld, tlds.collect()),
            chains,
            roots: Cache::new(content::ROOTS_MAX),
            fetches: Semaphore::new(content::FETCHES_MAX),
            runtime: Handle::current(),
            _watching: stop.drop_guard(),
        })
    }

    /// The genesis of a chain.
    pub fn genesis(&self, chain: &str) -> Option<&Genesis> {
        let mut all = self.chains.iter().map(|other| &other.genesis);
        all.find(|genesis| genesis.chain_id == chain)
    }

    /// The top-level domains of all chains, the own first.
    pub fn tlds(&self) -> &Tlds {
        &self.tlds
    }

    /// What is known of a label. Waits for the chain's gateways if nothing is; never to be asked on a thread of the runtime.
    ///
    /// # Errors
    /// There is no such chain.
    pub fn entry(&self, tld: &str, label: &Label, lane: &Lane) -> Result<Elsewhere, NamesError> {
        let chain = self.chains.iter().find(|chain| chain.genesis.tld == tld);
        let chain = chain.ok_or_else(|| NamesError::new(format!("no chain of .{tld} is asked")))?;
        chain.is_used();
        let known = match chain.known.get(label).filter(|known| known.counts()) {
            Some(known) => known,
            None => match lane.0.try_acquire() {
                Ok(_place) => chain.learn(label, &self.runtime),
                Err(_) => return Ok(chain.silent("too many wait for it already".into())),
            },
        };
        Ok(match &known.what {
            Ok(proof) => Elsewhere::Proven {
                entry: proof.entry.clone(),
                source: Source {
                    chain: chain.genesis.chain_id.clone(),
                    time_ms: proof.time_ms,
                },
                height: proof.height,
                until: known.until,
                bundle: Arc::clone(&proof.bundle),
            },
            Err(why) => chain.silent(why.clone()),
        })
    }
}

impl Known {
    fn counts(&self) -> bool {
        Instant::now() < self.until
    }
}

impl Asked {
    fn new(genesis: Genesis, gateways: Vec<String>, http: Client) -> Self {
        Self {
            genesis,
            gateways,
            http,
            known: Cache::with_weighter(KNOWN_EXPECTED, KNOWN_BYTES_MAX, Bytes),
            good: AtomicUsize::new(0),
            told: AtomicU64::new(0),
            height: AtomicU64::new(0),
            used: Mutex::default(),
            use_begins: Notify::new(),
        }
    }

    fn silent(&self, why: String) -> Elsewhere {
        Elsewhere::Silent(Delegation {
            chain: self.genesis.chain_id.clone(),
            ask: self.gateways.clone(),
            why,
        })
    }

    /// Asks for a label. Who comes while somebody asks for the same waits for the same answer.
    fn learn(&self, label: &Label, runtime: &Handle) -> Arc<Known> {
        self.known.remove_if(label, |known| !known.counts());
        match self.known.get_value_or_guard(label, Some(PROVEN_WITHIN)) {
            GuardResult::Value(known) => known,
            GuardResult::Guard(place) => {
                let told = self.told.load(Ordering::Acquire);
                let mut known = runtime.block_on(self.ask(label));
                if self.told.load(Ordering::Acquire) != told {
                    // The change may be of this name, and the answer from before it.
                    known.until = known.until.min(Instant::now() + SILENT_FOR);
                }
                let known = Arc::new(known);
                let _ = place.insert(Arc::clone(&known));
                known
            }
            GuardResult::Timeout => Arc::new(Known {
                what: Err("its nodes take too long".to_owned()),
                until: Instant::now(),
            }),
        }
    }

    /// Asks one gateway after the other, the one that answered last first.
    async fn ask(&self, label: &Label) -> Known {
        let (since, count) = (Instant::now(), self.gateways.len());
        let first = self.good.load(Ordering::Relaxed);
        let mut failures = Vec::new();
        for at in (first..first + count).map(|at| at % count) {
            let gateway = &self.gateways[at];
            let left = PROVEN_WITHIN.saturating_sub(since.elapsed()).min(PROOF_WITHIN);
            if left.is_zero() {
                break;
            }
            match tokio::time::timeout(left, self.prove(gateway, label)).await {
                Ok(Ok(proof)) => {
                    self.good.store(at, Ordering::Relaxed);
                    return Known {
                        what: Ok(proof),
                        until: Instant::now() + COUNTS_FOR,
                    };
                }
                Ok(Err(reason)) => failures.push(format!("{gateway}: {reason}")),
                Err(_) => failures.push(format!("{gateway}: no answer within {} ms", left.as_millis())),
            }
        }
        let why = failures.join("; ");
        tracing::debug!(chain = self.genesis.chain_id, %label, why, "a name of another chain could not be proven");
        Known {
            what: Err(why),
            until: Instant::now() + SILENT_FOR,
        }
    }

    async fn prove(&self, gateway: &str, label: &Label) -> Result<Proof, String> {
        let url = format!("{gateway}/.well-known/ddn/proof/{label}.{}", self.genesis.tld);
        let asked = self
            .http
            .get(url)
            .header("accept", "application/cbor")
            .send()
            .await;
        let answer = asked.map_err(|error| plain(&error))?;
        let bytes = read(answer, PROOF_BYTES_MAX).await?;
        let proof = check(&bytes, &self.genesis, label, SystemTime::now())?;
        let highest = self.height.fetch_max(proof.height, Ordering::Relaxed);
        // Gateways need not be at the same block, but none should be far behind what another has proven.
        let far = OLD_AFTER.as_millis() as u64 / self.genesis.block_time_ms.max(1);
        match highest.saturating_sub(proof.height) > far {
            true => Err(format!(
                "its proof is of height {}, and height {highest} was proven before",
                proof.height
            )),
            false => Ok(proof),
        }
    }

    /// Somebody asks for names of the chain.
    fn is_used(&self) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let began = used.is_none_or(|at| at.elapsed() > WATCHED_FOR);
        *used = Some(Instant::now());
        if began {
            self.use_begins.notify_one();
        }
    }

    fn was_used(&self) -> bool {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.is_some_and(|at| at.elapsed() <= WATCHED_FOR)
    }

    /// Forgets what changes, as long as names of the chain are asked for.
    async fn watch(self: Arc<Self>, stop: CancellationToken) {
        stop.run_until_cancelled(async {
            loop {
                if !self.was_used() {
                    self.use_begins.notified().await;
                }
                self.follow().await;
            }
        })
        .await;
    }

    /// Follows the changes as one gateway after the other tells them.
    async fn follow(&self) {
        let (mut since, mut pause, mut at) = (None, WATCH_PAUSE.0, self.good.load(Ordering::Relaxed));
        while self.was_used() {
            let gateway = &self.gateways[at % self.gateways.len()];
            match self.changes(gateway, since).await {
                Ok(changes) => {
                    self.forget(&changes);
                    since = Some(changes.height);
                    pause = WATCH_PAUSE.0;
                }
                Err(reason) => {
                    tracing::debug!(gateway, reason, "changes of names could not be followed");
                    // What changes now is not told: what is known counts for its time.
                    (since, at) = (None, at + 1);
                    pause = (2 * pause).min(WATCH_PAUSE.1);
                }
            }
            tokio::time::sleep(pause).await;
        }
    }

    async fn changes(&self, gateway: &str, since: Option<u64>) -> Result<Changes, String> {
        let url = format!("{gateway}/.well-known/ddn/changes");
        let since = since.map(|since| ("since", since));
        let asked = self.http.get(url).query(&since.as_slice()).send();
        let answer = tokio::time::timeout(CHANGES_WITHIN, async {
            let answer = asked.await.map_err(|error| plain(&error))?;
            read(answer, CHANGES_BYTES_MAX).await
        });
        let bytes = answer.await.map_err(|_| "no answer".to_owned())??;
        let changes: Changes = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
        match changes.tld == self.genesis.tld {
            true => Ok(changes),
            false => Err(format!("it follows the chain of .{}", changes.tld)),
        }
    }

    fn forget(&self, changes: &Changes) {
        if changes.names.as_ref().is_some_and(Vec::is_empty) {
            return;
        }
        self.told.fetch_add(1, Ordering::Release);
        match &changes.names {
            Some(names) => {
                let names: HashSet<&str> = names
                    .iter()
                    .filter_map(|name| name.strip_suffix(&self.genesis.tld)?.strip_suffix('.'))
                    .collect();
                self.known.retain(|label, _| !names.contains(label.as_str()));
            }
            // The first answer says from when on changes are told.
            None => self.known.clear(),
        }
    }
}

/// What a gateway says of its chain.
#[derive(Debug, Deserialize)]
struct Changes {
    tld: String,
    height: u64,
    names: Option<Vec<String>>,
}

/// The client for all of them.
fn client(settings: &Settings, folder: &Path) -> Result<Client, Error> {
    let path = folder.join(&settings.gateway.origin_ca);
    // What a gateway says is at another place is not asked for there.
    let mut client = crate::http::client()
        .connect_timeout(PROOF_WITHIN)
        .redirect(Policy::none());
    if !settings.gateway.origin_ca.is_empty() && !settings.chain.others.is_empty() {
        let bad = |reason: &dyn fmt::Display| Error::content(&path, format!("gateway.origin_ca: {reason}"));
        let pem = std::fs::read(&path).map_err(|error| bad(&error))?;
        let known = Certificate::from_pem_bundle(&pem).map_err(|error| bad(&error))?;
        client = client.tls_certs_merge(known);
    }
    client
        .build()
        .map_err(|error| Error::content(&path, format!("no HTTP client can be made: {error}")))
}

/// A top-level domain is one chain's, and a chain is asked once.
fn refuse_taken<'a>(
    other: &OtherChain,
    genesis: &Genesis,
    mut taken: impl Iterator<Item = &'a Genesis>,
) -> Result<(), Error> {
    let Some(before) = taken.find(|before| before.tld == genesis.tld) else {
        return Ok(());
    };
    Err(Error::content(
        &other.genesis,
        format!(
            "chain.others: its names end with .{}, as those of {} do, and a node asks one chain for them: leave it out",
            genesis.tld, before.chain_id
        ),
    ))
}

/// The entry of a label that a bundle proves.
fn check(bytes: &[u8], genesis: &Genesis, label: &Label, now: SystemTime) -> Result<Proof, String> {
    let bundle = Bundle::decode(bytes).map_err(|error| error.to_string())?;
    let verified = ledger::verify(&bundle, genesis).map_err(|error| error.to_string())?;
    if verified.key != ledger::key::name(label) {
        return Err(format!("it proves another entry: {verified}"));
    }
    let time = UNIX_EPOCH + Duration::from_millis(verified.time_ms);
    if now.duration_since(time).is_ok_and(|age| age > OLD_AFTER) {
        return Err(format!(
            "its newest block, of height {}, is more than {} min old",
            verified.height,
            OLD_AFTER.as_secs() / 60
        ));
    }
    if time.duration_since(now).is_ok_and(|ahead| ahead > AHEAD_MAX) {
        return Err(format!(
            "its newest block, of height {}, is of a time to come: one of the clocks is wrong",
            verified.height
        ));
    }
    let entry = verified.value.map(|value| ledger::decode::<NameEntry>(&value));
    let entry = entry
        .transpose()
        .map_err(|error| format!("no entry of a name: {error}"))?;
    Ok(Proof {
        entry,
        height: verified.height,
        time_ms: verified.time_ms,
        bundle: Arc::from(bytes),
    })
}

/// The body of an answer that went well.
async fn read(mut answer: Response, bytes_max: usize) -> Result<Vec<u8>, String> {
    if !answer.status().is_success() {
        return Err(format!("it answers {}", answer.status()));
    }
    let mut bytes = Vec::new();
    while let Some(part) = answer.chunk().await.map_err(|error| plain(&error))? {
        if bytes.len() + part.len() > bytes_max {
            return Err(format!("its answer has more than {bytes_max} bytes"));
        }
        bytes.extend_from_slice(&part);
    }
    Ok(bytes)
}

/// The innermost reason: the outer ones repeat the URL.
fn plain(error: &reqwest::Error) -> String {
    let mut reason: &dyn std::error::Error = error;
    while let Some(source) = reason.source() {
        reason = source;
    }
    reason.to_string()
}
