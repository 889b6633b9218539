//! A gateway with something to serve.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, RwLock};

use bytes::Bytes;
use cid::Cid;
use gateway::{Backend, Config, Gateway, Upstream};
use ledger::{Address, Label, Link, NameEntry};
use named::dap::{Names, NamesError, Tlds};
use named::dns::Responder;
use named::ipns::Records;
use prometheus_client::registry::Registry;
use storage::{BlockSource, Blocks, Error, Profile, SharedBlocks, Store};
use tempfile::TempDir;

use crate::client::{Answer, raw, request};
use crate::node::Behind;

/// Bytes of `big.bin`: several blocks under either profile.
pub const BIG: usize = 5 << 20;

/// A gateway on a free port in front of a store in a temporary folder.
pub struct Site {
    pub gateway: Gateway,
    pub node: Arc<Behind>,
    pub registry: Arc<Registry>,
    pub store: Store,
    /// Blocks read so far.
    pub reads: Arc<AtomicU64>,
    pub book: Arc<Book>,
    /// The records of keys.
    pub ipns: Arc<Records>,
    /// The root of the published folder.
    pub root: Cid,
    folder: TempDir,
}

impl Site {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(configure: impl FnOnce(&mut Config)) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        write_site(&folder.path().join("site"));
        let store = Store::open(&folder.path().join("blocks")).expect("a store");
        let root = import(&store, &folder.path().join("site"));
        let book = Arc::new(Book::default());
        book.point("alice", "", root);
        let mut config = Config {
            listen: "127.0.0.1:0".parse().expect("an address"),
            ..Config::default()
        };
        configure(&mut config);
        let mut registry = Registry::default();
        let reads = Arc::new(AtomicU64::new(0));
        let blocks = Arc::new(Counted {
            store: store.clone(),
            reads: reads.clone(),
        });
        let ipns = Records::open(&folder.path().join("ipns"), 100).expect("a folder of records");
        let ipns = Arc::new(ipns);
        let node = Arc::new(Behind::new(blocks.here()));
        let backend = Backend {
            ipns: ipns.clone(),
            ..backend_of(blocks, book.clone(), node.clone())
        };
        let gateway = Gateway::bind(config, backend, &mut registry)
            .await
            .expect("a free port");
        node.listens_at(gateway.local_addr(), gateway.provider_addr());
        Self {
            node,
            gateway,
            registry: Arc::new(registry),
            store,
            reads,
            book,
            ipns,
            root,
            folder,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.gateway.local_addr()
    }

    /// Writes files into a fresh folder and imports it.
    pub fn publish(&self, files: &[(&str, &[u8])]) -> Cid {
        self.publish_folder(|folder| {
            for (name, bytes) in files {
                write(&folder.join(name), bytes);
            }
        })
    }

    /// Imports a folder that `fill` has filled.
    pub fn publish_folder(&self, fill: impl FnOnce(&Path)) -> Cid {
        let folder = TempDir::new_in(self.folder.path()).expect("a temporary folder");
        let root = folder.path().join("x");
        fs::create_dir(&root).expect("a folder");
        fill(&root);
        import(&self.store, &root)
    }

    pub async fn ask(&self, method: &str, host: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
        raw(self.address(), &request(method, host, target, headers)).await
    }

    /// By path below the published root.
    pub async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.ask("GET", "127.0.0.1", &format!("/ipfs/{}{path}", self.root), headers)
            .await
    }

    /// The CID of what is at a path.
    pub fn cid(&self, path: &[&str]) -> Cid {
        storage::resolve(&self.store, &self.root, path)
            .expect("a path of the site")
            .cid
    }

    /// The value of a metric.
    pub fn metric(&self, name: &str) -> f64 {
        metric(&self.registry, name)
    }

    /// The value of a metric, if there is one.
    pub fn metric_or_none(&self, name: &str) -> Option<f64> {
        metric_or_none(&self.registry, name)
    }
}

/// The value of a metric.
pub fn metric(registry: &Registry, name: &str) -> f64 {
    metric_or_none(registry, name).unwrap_or_else(|| panic!("no {name} in\n{}", metrics(registry)))
}

fn metric_or_none(registry: &Registry, name: &str) -> Option<f64> {
    let text = metrics(registry);
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map(|value| value.parse().expect("a number"))
}

fn metrics(registry: &Registry) -> String {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry).expect("metrics");
    text
}

/// Bytes that differ everywhere.
pub fn big() -> Vec<u8> {
    (0..BIG as u32 / 4)
        .flat_map(|at| at.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect()
}

fn write_site(root: &Path) {
    for (name, bytes) in [
        (
            "index.html",
            &b"<!doctype html><link rel=stylesheet href=style.css><h1>Alice</h1>"[..],
        ),
        ("style.css", b"h1 { color: teal }"),
        ("ascii.txt", b"hello application/vnd.ipld.raw\n"),
        ("LICENSE", b"Permission is hereby granted"),
        ("empty.txt", b""),
        ("picture", b"\x89PNG\r\n\x1a\n"),
        ("latin.html", b"caf\xe9"),
        ("a%2C b+c=d.txt", b"percent"),
        ("docs/index.html", b"docs"),
        ("files/\u{105}/\u{119}/file-\u{17a}\u{142}.txt", b"deep"),
        ("files/sub/x.txt", b"x"),
    ] {
        write(&root.join(name), bytes);
    }
    write(&root.join("big.bin"), &big());
    std::os::unix::fs::symlink("ascii.txt", root.join("link")).expect("a symlink");
}

fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    fs::write(path, bytes).expect("a file");
}

fn import(store: &Store, path: &Path) -> Cid {
    store
        .import_path(path, Profile::default(), &mut |_| {})
        .expect("an import")
        .root
}

/// The store, with its reads counted.
#[derive(Clone)]
struct Counted {
    store: Store,
    reads: Arc<AtomicU64>,
}

impl Blocks for Counted {
    fn block(&self, cid: &Cid) -> Result<Option<Bytes>, Error> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.store.block(cid)
    }
}

impl BlockSource for Counted {
    fn below(&self, _root: &Cid) -> SharedBlocks {
        self.here()
    }

    fn here(&self) -> SharedBlocks {
        Arc::new(self.clone())
    }

    fn removed(&self) -> u64 {
        self.store.removed()
    }
}

/// The height before the first change.
const BLOCKS_BEFORE: u64 = 6;

/// A ledger's names: each change is a block.
#[derive(Default)]
pub struct Book {
    entries: RwLock<BTreeMap<Label, NameEntry>>,
    changes: AtomicU64,
    /// What each of them changed, oldest first.
    changed: RwLock<Vec<Label>>,
}

impl Book {
    /// Sets the records of a name or an undername.
    pub fn set(&self, label: &str, under: &str, records: ledger::Records) {
        let label = Label::parse(label).expect("a label of the test");
        let mut entries = self.entries.write().expect("no panic holds it");
        let entry = entries.entry(label.clone()).or_insert_with(|| NameEntry {
            owner: Address::from_bytes([9; 20]),
            registered: 3,
            committed: 2,
            expires: 1000,
            seq: 1,
            changed: 5,
            premium: ledger::Amount::ZERO,
            records: BTreeMap::new(),
        });
        entry.records.insert(under.into(), records);
        self.changed.write().expect("no panic holds it").push(label);
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    pub fn point(&self, label: &str, under: &str, cid: Cid) {
        self.set(label, under, ledger::Records::to_content(Link(cid)));
    }
}

impl Names for Book {
    fn tlds(&self) -> &Tlds {
        static TLDS: LazyLock<Tlds> = LazyLock::new(|| Tlds::of("ddn"));
        &TLDS
    }

    fn height(&self) -> u64 {
        BLOCKS_BEFORE + self.changes.load(Ordering::SeqCst)
    }

    fn changed_since(&self, since: u64) -> Option<Vec<Label>> {
        let known = self.changed.read().expect("no panic holds it");
        let before = since.checked_sub(BLOCKS_BEFORE)?;
        Some(
            known
                .iter()
                .skip(usize::try_from(before).ok()?)
                .cloned()
                .collect(),
        )
    }

    fn entry(&self, label: &Label) -> Result<Option<NameEntry>, NamesError> {
        match label.to_string().as_str() {
            "broken" => Err(NamesError::new("the disk is gone")),
            _ => Ok(self
                .entries
                .read()
                .expect("no panic holds it")
                .get(label)
                .cloned()),
        }
    }
}

/// A gateway in front of a store that holds only these blocks.
pub struct Lone {
    gateway: Gateway,
    _folder: TempDir,
}

impl Lone {
    pub async fn new(blocks: &[&(Cid, Bytes)]) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let store = Store::open(folder.path()).expect("a store");
        for (cid, block) in blocks {
            store.put(cid, block).expect("a block");
        }
        let config = Config {
            listen: "127.0.0.1:0".parse().expect("an address"),
            ..Config::default()
        };
        let gateway = Gateway::bind(
            config,
            backend(Arc::new(store), Arc::default()),
            &mut Registry::default(),
        )
        .await;
        Self {
            gateway: gateway.expect("a free port"),
            _folder: folder,
        }
    }

    pub async fn get(&self, target: &str) -> Answer {
        raw(
            self.gateway.local_addr(),
            &request("GET", "127.0.0.1", target, &[]),
        )
        .await
    }

    pub async fn range(&self, target: &str, range: &str) -> Answer {
        raw(
            self.gateway.local_addr(),
            &request("GET", "127.0.0.1", target, &[("Range", range)]),
        )
        .await
    }
}

/// What a gateway serves from: these blocks and names, and nothing else.
pub fn backend(blocks: Arc<dyn BlockSource>, names: Arc<Book>) -> Backend {
    let node = Arc::new(Behind::new(blocks.here()));
    backend_of(blocks, names, node)
}

fn backend_of(blocks: Arc<dyn BlockSource>, names: Arc<Book>, node: Arc<Behind>) -> Backend {
    let nowhere = TempDir::new().expect("a temporary folder");
    let dns = Responder::new(
        &named::dns::Config::default(),
        names.clone(),
        &mut Registry::default(),
    );
    Backend {
        blocks,
        names,
        node,
        dns: Arc::new(dns.expect("zones")),
        ipns: Arc::new(Records::open(nowhere.path(), 1).expect("a folder of records")),
        domains: None,
        upstream: Arc::new(Somebody),
        origins: None,
    }
}

/// There is somebody to ask.
struct Somebody;

impl Upstream for Somebody {
    fn is_there(&self) -> bool {
        true
    }
}
