//! A certificate and its key, read from files, with all that can be wrong with them.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::time::ASN1Time;

/// A chain and a key take some KiB.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Where a certificate is: the chain, the host's own certificate first, and its key, both as PEM.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CertificateFiles {
    /// The chain.
    pub chain: PathBuf,
    /// The key; the same file if it holds both.
    pub key: PathBuf,
}

impl CertificateFiles {
    /// Reads `CHAIN:KEY`, or one path of a file that holds both.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let (chain, key) = text.split_once(':').unwrap_or((text, text));
        Self {
            chain: chain.into(),
            key: key.into(),
        }
    }
}

/// Why a certificate cannot be used. One line each: what, which file, what to do.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("gateway.certificates: cannot read {}: {}", path.display(), advice(.error))]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said, which is in the text already.
        error: io::Error,
    },
    /// A file is not what it should be.
    #[error("gateway.certificates: {} {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// Key and certificate are of two pairs.
    #[error(
        "gateway.certificates: the key in {} does not belong to the certificate in {}; name the one that it was made with",
        key.display(),
        chain.display()
    )]
    Mismatch {
        /// The file of the key.
        key: PathBuf,
        /// The file of the certificate.
        chain: PathBuf,
    },
}

fn advice(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => {
            "there is no such file; write CHAIN.pem:KEY.pem, or one file that holds both".into()
        }
        io::ErrorKind::PermissionDenied => "not permitted; let the user that runs the node read it".into(),
        _ => error.to_string(),
    }
}

/// A certificate that can be used.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub key: Arc<CertifiedKey>,
    /// The hosts that it names, in lower case; `*.example.org` names one label in place of the star.
    pub hosts: Vec<String>,
    /// When it begins, in seconds since 1970.
    pub begins: i64,
    /// When it ends, in seconds since 1970.
    pub ends: i64,
}

impl Pair {
    /// Reads a pair that is valid at `now`, in seconds since 1970.
    pub(crate) fn load(files: &CertificateFiles, now: i64) -> Result<Self, CertificateError> {
        let (chain_pem, key_pem) = (read(&files.chain)?, read(&files.key)?);
        let chain = chain(&files.chain, &chain_pem)?;
        let key = key(&files.key, &key_pem)?;
        let first = chain
            .first()
            .cloned()
            .unwrap_or_else(|| CertificateDer::from(Vec::new()));
        let (_, certificate) = x509_parser::parse_x509_certificate(&first).map_err(|_| {
            content(
                &files.chain,
                "begins with a certificate that is malformed; get it anew",
            )
        })?;
        let (begins, ends) = check_time(&files.chain, &certificate, now)?;
        let hosts = hosts(&certificate);
        if hosts.is_empty() {
            return Err(content(
                &files.chain,
                "names no host; get a certificate whose subject alternative names have the hosts of this gateway",
            ));
        }
        let key = CertifiedKey::from_der(chain, key, &super::provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => CertificateError::Mismatch {
                key: files.key.clone(),
                chain: files.chain.clone(),
            },
            error => content(&files.key, format!("holds a key that cannot be used: {error}")),
        })?;
        Ok(Self {
            key: Arc::new(key),
            hosts,
            begins,
            ends,
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    let failed = |error| CertificateError::Read {
        path: path.to_owned(),
        error,
    };
    let (mut bytes, file) = (Vec::new(), File::open(path).map_err(failed)?);
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(content(path, "is larger than a certificate and a key ever are"));
    }
    Ok(bytes)
}

fn chain(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|error| content(path, format!("is not PEM: {error}")))?;
    match chain.is_empty() {
        true => Err(content(
            path,
            "holds no certificate; it should have one in PEM form, with its chain",
        )),
        false => Ok(chain),
    }
}

fn key(path: &Path, pem: &[u8]) -> Result<PrivateKeyDer<'static>, CertificateError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| {
        let text = String::from_utf8_lossy(pem);
        match text.contains("ENCRYPTED") {
            true => content(
                path,
                "holds a key that is locked with a pass phrase; give it without one",
            ),
            false => content(path, "holds no private key; it should have one in PEM form"),
        }
    })
}

/// When the certificate begins and ends, if it is valid.
fn check_time(
    path: &Path,
    certificate: &X509Certificate<'_>,
    now: i64,
) -> Result<(i64, i64), CertificateError> {
    let validity = certificate.validity();
    let (begins, ends) = (validity.not_before.timestamp(), validity.not_after.timestamp());
    if ends <= now {
        let reason = format!(
            "holds a certificate that ended on {}; renew it",
            date(validity.not_after)
        );
        return Err(content(path, reason));
    }
    if begins > now {
        let reason = format!(
            "holds a certificate that begins on {}; wait, or set this machine's clock",
            date(validity.not_before)
        );
        return Err(content(path, reason));
    }
    Ok((begins, ends))
}

fn date(time: ASN1Time) -> String {
    time.to_datetime().date().to_string()
}

fn hosts(certificate: &X509Certificate<'_>) -> Vec<String> {
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.iter().flat_map(|names| &names.value.general_names);
    let hosts = names.filter_map(|name| match name {
        GeneralName::DNSName(host) => Some(host.to_ascii_lowercase()),
        _ => None,
    });
    hosts.collect()
}

fn content(path: &Path, reason: impl Into<String>) -> CertificateError {
    CertificateError::Content {
        path: path.to_owned(),
        reason: reason.into(),
    }
}
