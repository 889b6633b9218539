//! The one place that makes, reads and writes secrets: keys as the hex of their 32-byte seed, and the admin token. All
//! are files for their owner only.

use std::path::Path;

use ledger::{Hash, SecretKey};
use named::dns::{KeyError, SigningKey};

use super::error::Error;
use super::folder;

/// Hex digits of a seed, and white space at the end.
const KEY_FILE_BYTES_MAX: u64 = 128;

/// A key in PEM takes some 250 bytes; other tools put comments around it.
const PEM_FILE_BYTES_MAX: u64 = 16 << 10;

/// 32 random bytes of the system.
///
/// # Errors
/// If the system has none.
pub fn random() -> Result<[u8; 32], Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| Error::Random {
        reason: error.to_string(),
    })?;
    Ok(bytes)
}

/// A secret for a claim.
///
/// # Errors
/// As [`random`].
pub fn claim_secret() -> Result<Hash, Error> {
    random().map(Hash)
}

/// The key in a file, `None` if there is no file.
///
/// # Errors
/// If it cannot be read, or is no key.
pub fn read_key(path: &Path) -> Result<Option<SecretKey>, Error> {
    let Some(content) = folder::read(path, KEY_FILE_BYTES_MAX)? else {
        return Ok(None);
    };
    let key = std::str::from_utf8(&content)
        .ok()
        .and_then(|text| parse_seed(text.trim()));
    let key =
        key.ok_or_else(|| Error::content(path, "does not hold a key, which is 64 hex digits: restore it"))?;
    Ok(Some(key))
}

/// The key in a file; a new one is made and stored there if there is no file.
///
/// # Errors
/// If it cannot be read or written, or is no key.
pub fn read_or_make_key(path: &Path) -> Result<SecretKey, Error> {
    if let Some(key) = read_key(path)? {
        return Ok(key);
    }
    let key = SecretKey::from_seed(random()?);
    match store_key(path, &key)? {
        true => Ok(key),
        // Somebody else was faster; theirs counts.
        false => read_or_make_key(path),
    }
}

/// Stores a key in a new file; false if there is one already.
///
/// # Errors
/// If it cannot be written.
pub fn store_key(path: &Path, key: &SecretKey) -> Result<bool, Error> {
    folder::write_new(path, format!("{}\n", seed_hex(key)).as_bytes())
}

/// The key in a PEM file that a zone is signed with; a new one is made and stored there if there is no file.
///
/// # Errors
/// If it cannot be read or written, or is no such key.
pub fn read_or_make_zone_key(path: &Path) -> Result<SigningKey, Error> {
    let unfit = |error: KeyError| Error::content(path, format!("(dns.key_folder): {error}"));
    let made = match folder::read(path, PEM_FILE_BYTES_MAX)? {
        Some(content) => return SigningKey::parse(&content).map_err(unfit),
        None => SigningKey::generate().map_err(unfit)?,
    };
    match folder::write_new(path, made.as_bytes())? {
        true => SigningKey::parse(made.as_bytes()).map_err(unfit),
        // Somebody else was faster; theirs counts.
        false => read_or_make_zone_key(path),
    }
}

/// The key of a seed in hex.
pub fn parse_seed(text: &str) -> Option<SecretKey> {
    let mut seed = [0; 32];
    hex::decode_to_slice(text, &mut seed).ok()?;
    Some(SecretKey::from_seed(seed))
}

/// The seed of a key in hex: whoever has it, has the key.
pub fn seed_hex(key: &SecretKey) -> String {
    hex::encode(key.seed())
}

/// The admin API's token; made at the first start.
///
/// # Errors
/// If it cannot be read or written.
pub fn admin_token(path: &Path) -> Result<String, Error> {
    if let Some(content) = folder::read(path, KEY_FILE_BYTES_MAX)? {
        let token = String::from_utf8(content).unwrap_or_default().trim().to_owned();
        let good = token.len() >= 32 && token.bytes().all(|byte| byte.is_ascii_alphanumeric());
        return match good {
            true => Ok(token),
            false => Err(Error::content(
                path,
                "does not hold a token: remove it, the next start makes a new one",
            )),
        };
    }
    let token = hex::encode(random()?);
    folder::write(path, format!("{token}\n").as_bytes())?;
    Ok(token)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("keys/node.key");
        let key = read_or_make_key(&path).expect("made");
        assert_eq!(read_or_make_key(&path).expect("read").seed(), key.seed());
        assert!(!store_key(&path, &SecretKey::from_seed([1; 32])).expect("seen"));
        assert_eq!(fs::read_to_string(&path).expect("read").len(), 65);
    }

    #[test]
    fn what_is_no_key_is_not_replaced() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("node.key");
        fs::write(&path, "half a ke").expect("written");
        let error = read_or_make_key(&path).expect_err("no key").to_string();
        assert_eq!(
            error,
            format!(
                "{}: does not hold a key, which is 64 hex digits: restore it",
                path.display()
            )
        );
        assert_eq!(fs::read_to_string(&path).expect("read"), "half a ke");
    }

    #[test]
    fn the_key_of_a_zone_is_made_once_and_for_its_owner_only() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("keys/dns/ddn.pem");
        let key = read_or_make_zone_key(&path).expect("made");
        assert_eq!(read_or_make_zone_key(&path).expect("read"), key);
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(&path, "-----BEGIN CERTIFICATE-----\n").expect("written");
        let error = read_or_make_zone_key(&path).expect_err("no key").to_string();
        let words = format!(
            "{}: (dns.key_folder): this is no PEM file of a private key",
            path.display()
        );
        assert!(error.starts_with(&words), "{error}");
    }

    #[test]
    fn the_token_stays() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("admin.token");
        let token = admin_token(&path).expect("made");
        assert_eq!((token.len(), admin_token(&path).expect("read")), (64, token));
        fs::write(&path, "").expect("written");
        assert!(admin_token(&path).is_err());
    }
}
