//! Names held in memory, and a server over them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, RwLock};
use std::time::{Duration, Instant};

use cid::Cid;
use ledger::{Address, Label, Link, NameEntry, Records};
use named::dap::{Delegation, Elsewhere, Names, NamesError, Source, Tlds};
use named::dns::{Config, DnsServer};
use prometheus_client::registry::Registry;

/// Content of the tests.
pub const SITE: &str = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi";

/// The height at which a name of [`Book::hold`] expires.
pub const EXPIRES: u64 = 1_000;

/// A ledger's names: what the state says, at a height that the test sets.
#[derive(Default)]
pub struct Book {
    entries: RwLock<BTreeMap<Label, NameEntry>>,
    /// What each height has changed, if that is told.
    changes: RwLock<Option<Vec<(u64, Label)>>>,
    height: AtomicU64,
    read: AtomicBool,
    broken: AtomicBool,
    /// The height of the other chain and what it says, if its nodes answer.
    elsewhere: RwLock<Option<(u64, BTreeMap<Label, NameEntry>)>>,
    /// How often they were asked.
    elsewhere_asked: AtomicU64,
}

/// What is said of the other chain while its nodes do not answer.
pub fn silence() -> Delegation {
    Delegation {
        chain: "mmt-1".into(),
        ask: vec!["http://192.0.2.1".into()],
        why: "nobody answers".into(),
    }
}

impl Names for Book {
    fn tlds(&self) -> &Tlds {
        static TLDS: LazyLock<Tlds> = LazyLock::new(|| Tlds::new("ddn", vec!["mmt".into()]));
        &TLDS
    }

    fn elsewhere(&self, tld: &str, label: &Label) -> Result<Elsewhere, NamesError> {
        assert_eq!(tld, "mmt");
        self.elsewhere_asked.fetch_add(1, Ordering::SeqCst);
        let Some((height, entries)) = &*self.elsewhere.read().expect("no panic holds it") else {
            return Ok(Elsewhere::Silent(silence()));
        };
        Ok(Elsewhere::Proven {
            entry: entries.get(label).cloned(),
            source: Source {
                chain: "mmt-1".into(),
                time_ms: 9,
            },
            height: *height,
            until: Instant::now() + Duration::from_secs(20),
            bundle: Arc::from(*b"a proof"),
        })
    }

    fn height(&self) -> u64 {
        self.height.load(Ordering::SeqCst)
    }

    fn entry(&self, label: &Label) -> Result<Option<NameEntry>, NamesError> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(NamesError::new("the disk is gone"));
        }
        self.read.store(true, Ordering::SeqCst);
        Ok(self
            .entries
            .read()
            .expect("no panic holds it")
            .get(label)
            .cloned())
    }

    fn changed_since(&self, since: u64) -> Option<Vec<Label>> {
        let changes = self.changes.read().expect("no panic holds it");
        let newer = changes.as_ref()?.iter().filter(|(height, _)| *height > since);
        Some(newer.map(|(_, label)| label.clone()).collect())
    }
}

impl Book {
    /// An empty book at height 7.
    pub fn new() -> Arc<Self> {
        let book = Self::default();
        book.at(7);
        Arc::new(book)
    }

    pub fn at(&self, height: u64) {
        self.height.store(height, Ordering::SeqCst);
    }

    /// From now on it says what each block changes, as the ledger does.
    pub fn tell_changes(&self) {
        *self.changes.write().expect("no panic holds it") = Some(Vec::new());
    }

    pub fn break_disk(&self) {
        self.broken.store(true, Ordering::SeqCst);
    }

    /// From now on the other chain is at this height and holds what this one does.
    pub fn follow_elsewhere(&self, height: u64) {
        let entries = self.entries.read().expect("no panic holds it").clone();
        *self.elsewhere.write().expect("no panic holds it") = Some((height, entries));
    }

    pub fn elsewhere_asked(&self) -> u64 {
        self.elsewhere_asked.load(Ordering::SeqCst)
    }

    /// Sets the whole record set of a label: pairs of undername and records. Once names have been read, that is a block.
    pub fn hold<const N: usize>(&self, label: &str, records: [(&str, Records); N]) {
        let entry = NameEntry {
            owner: Address::from_bytes([9; 20]),
            registered: 3,
            committed: 2,
            expires: EXPIRES,
            seq: 1,
            changed: 5,
            premium: ledger::Amount::ZERO,
            records: records
                .into_iter()
                .map(|(under, records)| (under.into(), records))
                .collect(),
        };
        let label = Label::parse(label).expect("a label of the test");
        let height = self.height() + u64::from(self.read.load(Ordering::SeqCst));
        if let Some(changes) = &mut *self.changes.write().expect("no panic holds it") {
            changes.push((height, label.clone()));
        }
        self.entries
            .write()
            .expect("no panic holds it")
            .insert(label, entry);
        self.at(height);
    }
}

/// Records that point to [`SITE`].
pub fn site() -> Records {
    Records::to_content(Link(SITE.parse::<Cid>().expect("a CID")))
}

/// A configuration on a free port of loopback.
pub fn config() -> Config {
    Config {
        listen: "127.0.0.1:0".parse().expect("an address"),
        ..Config::default()
    }
}

/// A server over `book`.
pub async fn serve(config: Config, book: &Arc<Book>) -> DnsServer {
    DnsServer::bind(config, book.clone(), &mut Registry::default())
        .await
        .expect("a free port")
}
