//! Which chain a node keeps: the one of its data folder, one of its own, or one whose genesis is given.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use ledger::{Genesis, Preset, PublicKey};

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

/// The genesis that the node starts from. It is in the data folder afterwards.
///
/// # Errors
/// [`Error::NoChain`] without any, [`Error::OtherChain`] if the folder's is another one.
pub fn settle(folder: &Folder, origin: &Origin, delegate: &PublicKey) -> Result<Genesis, Error> {
    let held = read(&folder.genesis())?;
    match (held, origin) {
        (None, Origin::Folder) => Err(Error::NoChain {
            dir: folder.dir().to_owned(),
        }),
        (None, Origin::Dev) => keep(folder, own_chain(*delegate)?),
        (None, Origin::Genesis(path)) => keep(folder, with_seat(given(path)?, delegate)?),
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

/// A one-seat chain of its own. Its id ends with random digits, so that two of them are never taken for one another.
fn own_chain(delegate: PublicKey) -> Result<Genesis, Error> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let time_ms = u64::try_from(now.as_millis()).unwrap_or_default();
    let suffix = hex::encode(&secrets::random()?[..4]);
    Ok(Genesis::dev(format!("dev-{suffix}"), time_ms, delegate))
}

/// A chain that this node can keep; refused before the folder belongs to it.
fn with_seat(genesis: Genesis, delegate: &PublicKey) -> Result<Genesis, Error> {
    if genesis.delegates.iter().any(|seat| seat.key == *delegate) {
        return Ok(genesis);
    }
    let address = delegate.address().display(&genesis.prefix);
    Err(Error::Chain(chain::Error::NotDelegate {
        address,
        chain: genesis.chain_id,
    }))
}

fn given(path: &Path) -> Result<Genesis, Error> {
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

fn keep(folder: &Folder, genesis: Genesis) -> Result<Genesis, Error> {
    folder::write(&folder.genesis(), &genesis.to_json())?;
    Ok(genesis)
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

    fn key(seed: u8) -> PublicKey {
        ledger::SecretKey::from_seed([seed; 32]).public()
    }

    #[test]
    fn a_dev_chain_is_made_once_and_known_afterwards() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = Folder::take(home.path()).expect("free");
        let error = settle(&folder, &Origin::Folder, &key(1))
            .expect_err("none")
            .to_string();
        assert!(
            error.ends_with("holds no chain yet: start one with --dev, or join one with --genesis FILE"),
            "{error}"
        );
        let genesis = settle(&folder, &Origin::Dev, &key(1)).expect("made");
        assert!(genesis.chain_id.starts_with("dev-"), "{}", genesis.chain_id);
        for origin in [Origin::Folder, Origin::Dev, Origin::Genesis(folder.genesis())] {
            assert_eq!(
                settle(&folder, &origin, &key(2)).expect("known").cid(),
                genesis.cid()
            );
        }
    }

    #[test]
    fn a_chain_without_a_seat_for_this_node_does_not_take_the_folder() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = Folder::take(&home.path().join("data")).expect("free");
        let path = home.path().join("other.json");
        std::fs::write(&path, Genesis::dev("dev-one", 1, key(1)).to_json()).expect("written");
        let error = settle(&folder, &Origin::Genesis(path), &key(2))
            .expect_err("no seat")
            .to_string();
        assert!(
            error.contains("is not a delegate of the chain \"dev-one\""),
            "{error}"
        );
        assert!(!folder.genesis().exists());
    }

    #[test]
    fn another_chain_is_refused_with_both_names() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = Folder::take(&home.path().join("data")).expect("free");
        let path = home.path().join("other.json");
        let write = |genesis: &Genesis| std::fs::write(&path, genesis.to_json()).expect("written");
        write(&Genesis::dev("dev-one", 1, key(1)));
        settle(&folder, &Origin::Genesis(path.clone()), &key(1)).expect("kept");
        let refused = || {
            settle(&folder, &Origin::Genesis(path.clone()), &key(1))
                .expect_err("another")
                .to_string()
        };
        write(&Genesis::dev("dev-two", 1, key(1)));
        assert!(
            refused().contains("holds the chain dev-one, but dev-two was asked for"),
            "{}",
            refused()
        );
        write(&Genesis::dev("dev-one", 2, key(1)));
        assert!(
            refused().contains("dev-one with the other genesis"),
            "{}",
            refused()
        );
    }
}
