//! Pins: the roots that stay, with everything below them.

use cid::Cid;
use serde::{Deserialize, Serialize};

use super::database::{Batch, Column, Database};
use super::session::Session;
use super::{Store, lock};
use crate::Error;

/// A root that is kept with everything below it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The root, as it was pinned.
    pub cid: Cid,
    /// What it is for, in the words of whoever pinned it; at most 1024 bytes are kept.
    pub label: String,
}

impl Store {
    /// Pins `root` and everything below it, all of which must be here: [`Error::Missing`] names what is not. Pinning
    /// again changes the label and looks at nothing else.
    pub fn pin(&self, root: &Cid, label: &str) -> Result<(), Error> {
        if self.relabel(root, label)? {
            return Ok(());
        }
        let session = Session::begin(self)?;
        session.keep_below(&[*root])?;
        session.pin(&[(*root, Some(label))]).map(drop)
    }

    /// Takes a pin away; the next gc removes what nothing else keeps.
    pub fn unpin(&self, root: &Cid) -> Result<(), Error> {
        let _pinning = lock(&self.0.pinning);
        if !self.is_pinned(root)? {
            return Err(Error::NotPinned(*root));
        }
        let mut batch = self.0.database.batch();
        batch.delete(Column::Pins, &key(root));
        batch.write_durably()
    }

    /// Changes the label of a pin; false when there is none.
    fn relabel(&self, root: &Cid, label: &str) -> Result<bool, Error> {
        let _pinning = lock(&self.0.pinning);
        if !self.is_pinned(root)? {
            return Ok(false);
        }
        let mut batch = self.0.database.batch();
        put(&self.0.database, &mut batch, root, Some(label))?;
        batch.write_durably().map(|()| true)
    }

    /// Whether `root` itself is pinned; CIDv0 and CIDv1 are the same root.
    pub fn is_pinned(&self, root: &Cid) -> Result<bool, Error> {
        Ok(self.0.database.get(Column::Pins, &key(root))?.is_some())
    }

    /// All pins, in the order of their CIDs.
    pub fn pins(&self) -> Result<Vec<Pin>, Error> {
        let mut pins = Vec::new();
        self.0.database.each(Column::Pins, b"", &mut |key, value| {
            pins.push(decode(key, value)?);
            Ok(())
        })?;
        Ok(pins)
    }
}

/// Adds a pin to `batch`. Without a label, the one that is there stays.
pub(super) fn put(
    database: &Database,
    batch: &mut Batch<'_>,
    root: &Cid,
    label: Option<&str>,
) -> Result<(), Error> {
    let key = key(root);
    let label = match (label, database.get(Column::Pins, &key)?) {
        (Some(label), _) => &label[..label.floor_char_boundary(LABEL_BYTES_MAX)],
        (None, Some(_)) => return Ok(()),
        (None, None) => "",
    };
    let pin = Pin {
        cid: *root,
        label: label.to_owned(),
    };
    let value =
        serde_ipld_dagcbor::to_vec(&pin).map_err(|error| Error::malformed(root, error.to_string()))?;
    batch.put(Column::Pins, &key, &value);
    Ok(())
}

fn decode(key: &[u8], value: &[u8]) -> Result<Pin, Error> {
    serde_ipld_dagcbor::from_slice(value).map_err(|error| {
        let cid = Cid::try_from(key).unwrap_or_default();
        Error::Corrupt {
            cid,
            reason: format!("its pin is malformed: {error}"),
        }
    })
}

/// The CIDv1 of a root, so that both versions are one pin.
fn key(root: &Cid) -> Vec<u8> {
    Cid::new_v1(root.codec(), *root.hash()).to_bytes()
}

const LABEL_BYTES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_have_this_form() {
        let cid: Cid = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
            .parse()
            .unwrap();
        let stored = "a263636964d82a5825000155122\
                      0b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9656c6162656c6473697465";
        let pin = Pin {
            cid,
            label: "site".to_owned(),
        };
        assert_eq!(hex::encode(serde_ipld_dagcbor::to_vec(&pin).unwrap()), stored);
        assert_eq!(decode(&key(&cid), &hex::decode(stored).unwrap()).unwrap(), pin);
        assert!(matches!(decode(&key(&cid), b"?"), Err(Error::Corrupt { .. })));
    }

    #[test]
    fn both_versions_of_a_cid_have_one_key() {
        let v0: Cid = "Qmf412jQZiuVUtdgnB36FXFX7xg5V6KEbSJ4dpQuhkLyfD".parse().unwrap();
        assert_eq!(key(&v0), v0.into_v1().unwrap().to_bytes());
        assert_eq!(key(&v0), key(&v0.into_v1().unwrap()));
    }
}
