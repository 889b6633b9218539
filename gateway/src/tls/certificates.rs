//! The certificates in use: which one a client gets, and how new ones come in while it runs.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::pair::{CertificateError, CertificateFiles, Pair};

/// The certificates of a gateway; a clone shares them.
#[derive(Clone, Debug)]
pub struct Certificates(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// From the settings: all must be there.
    named: Vec<CertificateFiles>,
    book: ArcSwap<Book>,
    /// What is known of the files, and those that came since the start.
    files: Mutex<Files>,
}

#[derive(Debug, Default)]
struct Files {
    /// Got by ACME.
    obtained: Vec<CertificateFiles>,
    /// As they were when they were read last.
    stamps: BTreeMap<PathBuf, Stamp>,
}

/// Tells one version of a file from the next.
type Stamp = Option<(SystemTime, u64)>;

impl Certificates {
    /// Reads the files of the settings.
    ///
    /// # Errors
    /// The first thing that is wrong with them, in one line.
    pub fn open(named: Vec<CertificateFiles>) -> Result<Self, CertificateError> {
        let certificates = Self(Arc::new(Shared {
            named,
            book: ArcSwap::default(),
            files: Mutex::default(),
        }));
        certificates.reload()?;
        Ok(certificates)
    }

    /// Whether a certificate in use names this host.
    #[must_use]
    pub fn cover(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        self.0.book.load().of_host(&host).next().is_some()
    }

    /// Each host that a certificate names, with the end of the one that ends last, in seconds since 1970.
    pub(crate) fn ends(&self) -> BTreeMap<String, i64> {
        self.0.book.load().ends.clone()
    }

    /// Takes a certificate in use that was obtained while the gateway runs.
    ///
    /// # Errors
    /// What is wrong with it; then nothing changes.
    pub(crate) fn add(&self, files: CertificateFiles) -> Result<(), CertificateError> {
        let mut obtained = self.obtained();
        obtained.retain(|known| *known != files);
        obtained.push(files);
        self.read(obtained)
    }

    /// Reads the files anew if one of them has changed since the last time. None: they have not.
    pub(crate) fn look(&self) -> Option<Result<(), CertificateError>> {
        let changed = {
            let files = self.0.files.lock().unwrap_or_else(PoisonError::into_inner);
            files.stamps.iter().any(|(path, known)| stamp(path) != *known)
        };
        changed.then(|| self.reload())
    }

    fn reload(&self) -> Result<(), CertificateError> {
        self.read(self.obtained())
    }

    /// All of them or none: with half of them a client would get the certificate of another host.
    fn read(&self, obtained: Vec<CertificateFiles>) -> Result<(), CertificateError> {
        let all: Vec<_> = self.0.named.iter().chain(&obtained).cloned().collect();
        let paths = all.iter().flat_map(|files| [&files.chain, &files.key]);
        // Before they are read: what changes meanwhile is seen at the next look.
        let stamps = paths.map(|path| (path.clone(), stamp(path))).collect();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let pairs: Result<Vec<_>, _> = all.iter().map(|files| Pair::load(files, now)).collect();
        let mut files = self.0.files.lock().unwrap_or_else(PoisonError::into_inner);
        // Files that cannot be used are not tried again until they change.
        files.stamps = stamps;
        self.0.book.store(Arc::new(Book::new(&pairs?)));
        files.obtained = obtained;
        Ok(())
    }

    fn obtained(&self) -> Vec<CertificateFiles> {
        let files = self.0.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.obtained.clone()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let book = self.0.book.load();
        let host = hello.server_name().unwrap_or_default().to_ascii_lowercase();
        let mut known = book.of_host(&host).chain(&book.first);
        let fits = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(hello.signature_schemes()).is_some();
        known.find(fits).cloned()
    }
}

fn stamp(path: &Path) -> Stamp {
    let meta = fs::metadata(path).ok()?;
    Some((meta.modified().ok()?, meta.len()))
}

/// Certificates by what they name.
#[derive(Debug, Default)]
struct Book {
    exact: HashMap<String, Vec<Arc<CertifiedKey>>>,
    /// By what follows `*.`.
    wildcard: HashMap<String, Vec<Arc<CertifiedKey>>>,
    /// For clients that name no host, or one that no certificate names: they are told by the certificate that they are
    /// wrong here.
    first: Option<Arc<CertifiedKey>>,
    ends: BTreeMap<String, i64>,
}

impl Book {
    fn new(pairs: &[Pair]) -> Self {
        let mut book = Self {
            first: pairs.first().map(|pair| Arc::clone(&pair.key)),
            ..Self::default()
        };
        for pair in pairs {
            for host in &pair.hosts {
                let keys = match host.strip_prefix("*.") {
                    Some(parent) => book.wildcard.entry(parent.to_owned()),
                    None => book.exact.entry(host.clone()),
                };
                keys.or_default().push(Arc::clone(&pair.key));
                let ends = book.ends.entry(host.clone()).or_insert(pair.ends);
                *ends = pair.ends.max(*ends);
            }
        }
        book
    }

    /// The certificates of a host in lower case, those that name it itself first. A star stands for one label (RFC 6125,
    /// section 6.4.3).
    fn of_host(&self, host: &str) -> impl Iterator<Item = &Arc<CertifiedKey>> {
        let parent = host.split_once('.').map(|(_, parent)| parent);
        let wildcard = parent.and_then(|parent| self.wildcard.get(parent));
        self.exact.get(host).into_iter().chain(wildcard).flatten()
    }
}
