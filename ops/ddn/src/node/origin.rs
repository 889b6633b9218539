//! Which chain a node keeps, and as what: the one of its data folder, one of its own, or one whose genesis is given.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use ledger::{Genesis, Preset, PublicKey, SecretKey};

use super::error::Error;
use super::folder::{self, Folder};
use super::secrets;

/// A genesis of the largest set of delegates is far smaller.
const GENESIS_BYTES_MAX: u64 = 16 << 20;

/// What `ddn up` was told about the chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// Nothing: the chain of the data folder.
    #[default]
    Folder,
    /// `--dev`: the data folder's dev chain; made if there is none.
    Dev,
    /// `--genesis FILE`: that chain.
    Genesis(PathBuf),
}

/// What a node is on its chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It has a seat, and makes blocks with the others.
    Delegate,
    /// It verifies what the delegates decide.
    Follower,
}

/// A chain and the node's place on it.
#[derive(Debug)]
pub struct Place {
    /// The rules of the chain.
    pub genesis: Genesis,
    /// The delegate key of the node, if it has one.
    pub key: Option<SecretKey>,
}

impl Place {
    fn of(genesis: Genesis, key: Option<SecretKey>) -> Self {
        Self { genesis, key }
    }

    /// What the node is at the first block. Who is elected later, the ledger says.
    pub fn role(&self) -> Role {
        let has_seat = |key: &SecretKey| self.genesis.delegates.iter().any(|seat| seat.key == key.public());
        match self.key.as_ref().is_some_and(has_seat) {
            true => Role::Delegate,
            false => Role::Follower,
        }
    }
}

/// The chain that the node starts with. Its genesis is in the data folder afterwards. `knows_others` says whether there
/// is anybody whom a follower could ask for blocks.
///
/// # Errors
/// [`Error::NoChain`] without any, [`Error::OtherChain`] if the folder's is another one, [`Error::NoPeers`] for a
/// follower that knows nobody; then the folder stays as it was.
pub fn settle(folder: &Folder, origin: &Origin, knows_others: bool) -> Result<Place, Error> {
    let held = read(&folder.genesis())?;
    if let (None, Origin::Dev) = (&held, origin) {
        let key = secrets::read_or_make_key(&folder.delegate_key())?;
        let genesis = own_chain(key.public())?;
        return keep(folder, Place::of(genesis, Some(key)));
    }
    let is_new = held.is_none();
    let genesis = genesis(folder, origin, held)?;
    let place = Place::of(genesis, secrets::read_key(&folder.delegate_key())?);
    check_place(folder, origin, &place, knows_others)?;
    match is_new {
        true => keep(folder, place),
        false => Ok(place),
    }
}

fn genesis(folder: &Folder, origin: &Origin, held: Option<Genesis>) -> Result<Genesis, Error> {
    match (held, origin) {
        (None, Origin::Folder | Origin::Dev) => Err(Error::NoChain {
            dir: folder.dir().to_owned(),
        }),
        (None, Origin::Genesis(path)) => given(path),
        (Some(held), Origin::Folder) => Ok(held),
        (Some(held), Origin::Dev) if held.preset == Preset::Dev => Ok(held),
        (Some(held), Origin::Dev) => Err(other(folder, &held, "a dev chain".to_owned())),
        (Some(held), Origin::Genesis(path)) => {
            let wanted = given(path)?;
            match held.cid() == wanted.cid() {
                true => Ok(held),
                false => Err(other(folder, &held, name(&wanted, &held))),
            }
        }
    }
}

/// A follower needs somebody to follow, and is not what `--dev` asks for.
fn check_place(folder: &Folder, origin: &Origin, place: &Place, knows_others: bool) -> Result<(), Error> {
    let (dir, chain) = (folder.dir().to_owned(), place.genesis.chain_id.clone());
    match (place.role(), origin) {
        (Role::Delegate, _) => Ok(()),
        (Role::Follower, Origin::Dev) => Err(Error::NotOwn { dir, chain }),
        (Role::Follower, _) if knows_others => Ok(()),
        (Role::Follower, _) => Err(Error::NoPeers { dir, chain }),
    }
}

/// A one-seat chain of its own. Its id ends with random digits, so that two of them are never taken for one another.
fn own_chain(delegate: PublicKey) -> Result<Genesis, Error> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let time_ms = u64::try_from(now.as_millis()).unwrap_or_default();
    let suffix = hex::encode(&secrets::random()?[..4]);
    Ok(Genesis::dev(format!("dev-{suffix}"), time_ms, delegate))
}

/// The genesis in a file.
pub fn given(path: &Path) -> Result<Genesis, Error> {
    let missing = || Error::file("read", path)(std::io::ErrorKind::NotFound.into());
    read(path)?.ok_or_else(missing)
}

fn read(path: &Path) -> Result<Option<Genesis>, Error> {
    let Some(json) = folder::read(path, GENESIS_BYTES_MAX)? else {
        return Ok(None);
    };
    Genesis::parse(&json)
        .map(Some)
        .map_err(|error| Error::content(path, error.to_string()))
}

fn keep(folder: &Folder, place: Place) -> Result<Place, Error> {
    folder::write(&folder.genesis(), &place.genesis.to_json())?;
    Ok(place)
}

fn other(folder: &Folder, held: &Genesis, wanted: String) -> Error {
    Error::OtherChain {
        dir: folder.dir().to_owned(),
        found: held.chain_id.clone(),
        wanted,
    }
}

/// The chain id; if the folder's is the same, the genesis' CID too.
fn name(wanted: &Genesis, held: &Genesis) -> String {
    match wanted.chain_id == held.chain_id {
        true => format!("{} with the other genesis {}", wanted.chain_id, wanted.cid()),
        false => wanted.chain_id.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> SecretKey {
        SecretKey::from_seed([seed; 32])
    }

    fn genesis(time_ms: u64, chain: &str) -> Genesis {
        Genesis::dev(chain, time_ms, key(1).public())
    }

    fn refused(folder: &Folder, origin: &Origin, knows_others: bool) -> String {
        settle(folder, origin, knows_others)
            .expect_err("refused")
            .to_string()
    }

    #[test]
    fn a_dev_chain_is_made_once_and_known_afterwards() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = Folder::take(home.path()).expect("free");
        let error = refused(&folder, &Origin::Folder, true);
        assert!(
            error.ends_with("holds no chain yet: start one with --dev, or join one with --genesis FILE"),
            "{error}"
        );
        let made = settle(&folder, &Origin::Dev, false).expect("made");
        assert!(
            made.genesis.chain_id.starts_with("dev-"),
            "{}",
            made.genesis.chain_id
        );
        for origin in [Origin::Folder, Origin::Dev, Origin::Genesis(folder.genesis())] {
            let place = settle(&folder, &origin, false).expect("known");
            assert_eq!(place.genesis.cid(), made.genesis.cid());
            assert_eq!(place.role(), Role::Delegate);
        }
    }

    #[test]
    fn whoever_has_no_seat_follows_and_gets_no_delegate_key() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = Folder::take(&home.path().join("data")).expect("free");
        let path = home.path().join("given.json");
        std::fs::write(&path, genesis(1, "dev-one").to_json()).expect("written");
        let given = Origin::Genesis(path);
        let error = refused(&folder, &given, false);
        assert!(
            error.ends_with(
                "would follow the chain dev-one, but knows no node of it: name one with --join MESH_ADDR"
            ),
            "{error}"
        );
        assert!(!folder.genesis().exists(), "the folder is still free");
        let place = settle(&folder, &given, true).expect("kept");
        assert_eq!(place.role(), Role::Follower);
        assert!(folder.genesis().exists() && !folder.delegate_key().exists());
        let error = refused(&folder, &Origin::Dev, true);
        assert!(
            error.contains("follows the chain dev-one, which is not its own"),
            "{error}"
        );
        // Another key than the seat's makes no delegate, the seat's does.
        for (seed, role) in [(2, Role::Follower), (1, Role::Delegate)] {
            folder::remove(&folder.delegate_key()).expect("removed");
            assert!(secrets::store_key(&folder.delegate_key(), &key(seed)).expect("stored"));
            assert_eq!(
                settle(&folder, &Origin::Folder, true).expect("known").role(),
                role
            );
        }
    }

    #[test]
    fn another_chain_is_refused_with_both_names() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = Folder::take(&home.path().join("data")).expect("free");
        let path = home.path().join("other.json");
        let write = |genesis: &Genesis| std::fs::write(&path, genesis.to_json()).expect("written");
        let given = Origin::Genesis(path.clone());
        write(&genesis(1, "dev-one"));
        settle(&folder, &given, true).expect("kept");
        write(&genesis(1, "dev-two"));
        let error = refused(&folder, &given, true);
        assert!(
            error.contains("holds the chain dev-one, but dev-two was asked for"),
            "{error}"
        );
        write(&genesis(2, "dev-one"));
        let error = refused(&folder, &given, true);
        assert!(error.contains("dev-one with the other genesis"), "{error}");
    }
}
