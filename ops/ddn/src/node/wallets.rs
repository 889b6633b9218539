//! The accounts whose keys this node holds: `DIR/wallet/NAME.key`.

use std::path::PathBuf;

use ledger::{Address, SecretKey};

use super::error::Error;
use super::{folder, secrets};

/// The wallet that is used when none is named.
pub const DEFAULT: &str = "default";
/// The most characters of a wallet's name.
const NAME_CHARS_MAX: usize = 32;
/// More wallets than a node has reason to keep; a bound for listing them.
const WALLETS_MAX: usize = 10_000;

/// The wallets of a node. Keys are read from their files when they are needed.
#[derive(Clone, Debug)]
pub struct Wallets {
    dir: PathBuf,
}

/// Why a wallet was not added.
#[derive(Debug, thiserror::Error)]
pub enum AddError {
    /// Not a possible name.
    #[error("`{0}` cannot be the name of a wallet: use 1 to 32 of a-z, 0-9, - and _")]
    Name(String),
    /// There is one of that name.
    #[error("there is a wallet `{0}` already: choose another name")]
    Taken(String),
    /// Too many.
    #[error("there are {WALLETS_MAX} wallets already: move some away")]
    Full,
    /// It could not be written.
    #[error(transparent)]
    File(#[from] Error),
}

impl Wallets {
    /// The wallets in a folder; the default one is made if it is not there.
    ///
    /// # Errors
    /// If its file cannot be read or written.
    pub fn open(dir: PathBuf) -> Result<Self, Error> {
        let wallets = Self { dir };
        secrets::read_or_make_key(&wallets.file(DEFAULT))?;
        Ok(wallets)
    }

    /// The key of a wallet; `None` if there is no such wallet.
    ///
    /// # Errors
    /// If its file cannot be read.
    pub fn key(&self, name: &str) -> Result<Option<SecretKey>, Error> {
        match is_name(name) {
            true => secrets::read_key(&self.file(name)),
            false => Ok(None),
        }
    }

    /// All wallets with their keys, by name.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn all(&self) -> Result<Vec<(String, SecretKey)>, Error> {
        let mut all = Vec::new();
        for path in folder::files(&self.dir, "key")?.into_iter().take(WALLETS_MAX) {
            let name = path
                .file_stem()
                .and_then(|stem| stem.to_str())
                .filter(|name| is_name(name));
            let Some(name) = name else { continue };
            all.extend(secrets::read_key(&path)?.map(|key| (name.to_owned(), key)));
        }
        Ok(all)
    }

    /// The addresses of all wallets.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn addresses(&self) -> Result<Vec<Address>, Error> {
        Ok(self.all()?.into_iter().map(|(_, key)| key.address()).collect())
    }

    /// Adds a wallet with a new key.
    ///
    /// # Errors
    /// If the name cannot be had, or the file cannot be written.
    pub fn make(&self, name: &str) -> Result<SecretKey, AddError> {
        self.add(name, SecretKey::from_seed(secrets::random()?))
    }

    /// Adds a wallet with this key.
    ///
    /// # Errors
    /// If the name cannot be had, or the file cannot be written.
    pub fn add(&self, name: &str, key: SecretKey) -> Result<SecretKey, AddError> {
        if !is_name(name) {
            return Err(AddError::Name(name.to_owned()));
        }
        if folder::files(&self.dir, "key")?.len() >= WALLETS_MAX {
            return Err(AddError::Full);
        }
        match secrets::store_key(&self.file(name), &key)? {
            true => Ok(key),
            false => Err(AddError::Taken(name.to_owned())),
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.key"))
    }
}

fn is_name(name: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    (1..=NAME_CHARS_MAX).contains(&name.len()) && name.bytes().all(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wallets_are_added_and_never_replaced() {
        let home = tempfile::tempdir().expect("a folder");
        let wallets = Wallets::open(home.path().join("wallet")).expect("made");
        let shop = wallets.make("shop").expect("made");
        assert_eq!(
            wallets.key("shop").expect("read").map(|key| key.seed()),
            Some(shop.seed())
        );
        let text = |result: Result<SecretKey, AddError>| result.expect_err("refused").to_string();
        assert_eq!(
            text(wallets.make("shop")),
            "there is a wallet `shop` already: choose another name"
        );
        for bad in ["", "A", "../x", "a/b", &"a".repeat(33)] {
            let expected =
                format!("`{bad}` cannot be the name of a wallet: use 1 to 32 of a-z, 0-9, - and _");
            assert_eq!(text(wallets.make(bad)), expected);
            assert!(wallets.key(bad).expect("no file is read").is_none());
        }
        let names: Vec<String> = wallets
            .all()
            .expect("listed")
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names, ["default", "shop"]);
    }
}
