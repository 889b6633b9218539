//! What is kept of ACME: the account and the certificate with its key, in files for their owner only, each whole at every
//! moment.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use instant_acme::AccountCredentials;
use serde::{Deserialize, Serialize};

use crate::tls::CertificateFiles;

/// The folder.
pub(super) struct Folder(PathBuf);

/// An account is of one authority.
#[derive(Serialize, Deserialize)]
pub(super) struct Account {
    /// The authority's directory.
    pub directory: String,
    /// The key, and what the authority calls it.
    pub credentials: AccountCredentials,
}

impl Folder {
    pub(super) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Where the certificate and its key are: in one file, so that no crash can leave two that do not fit.
    pub(super) fn certificate(&self) -> CertificateFiles {
        let path = self.0.join("certificate.pem");
        CertificateFiles {
            chain: path.clone(),
            key: path,
        }
    }

    pub(super) fn keep_certificate(&self, pem: &str) -> Result<(), String> {
        self.write("certificate.pem", pem.as_bytes())
    }

    /// The account with this authority, if there is one.
    pub(super) fn account(&self, directory: &str) -> Result<Option<AccountCredentials>, String> {
        let path = self.0.join("account.json");
        let json = match fs::read(&path) {
            Ok(json) => json,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("cannot read {}: {error}", path.display())),
        };
        let account: Account = serde_json::from_slice(&json).map_err(|error| {
            let path = path.display();
            format!("{path} does not hold an account ({error}); restore it, or remove it to make another one")
        })?;
        Ok(Some(account.credentials).filter(|_| account.directory == directory))
    }

    pub(super) fn keep_account(&self, account: &Account) -> Result<(), String> {
        let json = serde_json::to_vec(account).map_err(|error| error.to_string())?;
        self.write("account.json", &json)
    }

    fn write(&self, name: &str, content: &[u8]) -> Result<(), String> {
        let (path, new) = (self.0.join(name), self.0.join(format!(".new-{name}")));
        let write = || -> io::Result<()> {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
            // One that a crash left could have other rights.
            match fs::remove_file(&new) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&new)?;
            file.write_all(content)?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            File::open(&self.0)?.sync_all()
        };
        write().map_err(|error| format!("cannot write {}: {error}", path.display()))
    }
}
