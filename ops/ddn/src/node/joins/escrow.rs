//! The escrow from which this node pays: what is written down of it, and what is next to have one that can be used.
//!
//! The node opens one by itself, once. Its id follows from payer and nonce, so it is known before the transaction
//! leaves, and is written down with it: whatever happens afterwards, the same transaction is sent again until it is in a
//! block or another one has taken its nonce. So there are never two that could both come into a block.

use std::path::Path;

use chain::Fate;
use ledger::{Escrow, Hash, Tx};
use serde::{Deserialize, Serialize};

use crate::node::error::Error;
use crate::node::folder;

/// The layout of the file.
const FORMAT: u32 = 1;
/// A transaction and a few words around it.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// What is written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    format: u32,
    /// The escrow.
    pub escrow: Hash,
    /// The transaction that opens it; none once it was seen on the ledger.
    pub tx: Option<Box<Tx>>,
}

impl Note {
    /// Of an escrow that is about to be opened.
    pub fn opening(escrow: Hash, tx: Tx) -> Self {
        let tx = Some(Box::new(tx));
        Self {
            format: FORMAT,
            escrow,
            tx,
        }
    }

    /// Of an escrow that is on the ledger.
    pub fn opened(escrow: Hash) -> Self {
        Self {
            format: FORMAT,
            escrow,
            tx: None,
        }
    }

    /// The one in a file; none if there is no file.
    ///
    /// # Errors
    /// If it cannot be read, or does not hold a note.
    pub fn read(path: &Path) -> Result<Option<Self>, Error> {
        let Some(json) = folder::read(path, FILE_BYTES_MAX)? else {
            return Ok(None);
        };
        let bad = |reason: String| {
            let advice = "restore it, or remove it if `ddn pay status` shows no escrow that is being opened";
            Error::content(path, format!("does not hold an escrow ({reason}): {advice}"))
        };
        let note: Self = serde_json::from_slice(&json).map_err(|error| bad(error.to_string()))?;
        match note.format {
            FORMAT => Ok(Some(note)),
            other => Err(bad(format!("format {other}, this program writes {FORMAT}"))),
        }
    }

    /// Writes it durably.
    ///
    /// # Errors
    /// If it cannot be written; then the old one is there.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let mut json =
            serde_json::to_vec_pretty(self).map_err(|error| Error::content(path, error.to_string()))?;
        json.push(b'\n');
        folder::write(path, &json)
    }
}

/// What the ledger says.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The escrow that was written down.
    pub entry: Option<Escrow>,
    /// What became of its transaction; [`Fate::Unknown`] if none was written down.
    pub fate: Fate,
    /// Transactions of the payer that are in blocks.
    pub nonce: u64,
    /// The fullest escrow of the same payer and voucher key that is not being closed, whoever opened it.
    pub other: Option<Hash>,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Pay from this one.
    Use(Hash),
    /// Write this one down and pay from it.
    Adopt(Hash),
    /// Send the transaction that was written down once more, and wait for it.
    Await(Box<Tx>),
    /// Make a transaction that opens one.
    Open,
    /// There is none, and none is opened: its owner has closed it.
    Closed(Hash),
}

/// What is next.
pub fn next(note: Option<&Note>, facts: &Facts) -> Next {
    let adopt_or = |next: Next| facts.other.map_or(next, Next::Adopt);
    let Some(note) = note else {
        return adopt_or(Next::Open);
    };
    match (&facts.entry, &note.tx) {
        (Some(entry), None) if entry.exit.is_none() => Next::Use(note.escrow),
        (Some(entry), Some(_)) if entry.exit.is_none() => Next::Adopt(note.escrow),
        (Some(_), _) | (None, None) => adopt_or(Next::Closed(note.escrow)),
        (None, Some(tx)) => match facts.fate {
            Fate::Included { .. } => adopt_or(Next::Closed(note.escrow)),
            Fate::Pending { .. } => Next::Await(tx.clone()),
            Fate::Unknown | Fate::Refused { .. } if facts.nonce > tx.body.nonce => adopt_or(Next::Open),
            Fate::Unknown | Fate::Refused { .. } => Next::Await(tx.clone()),
        },
    }
}

#[cfg(test)]
mod tests {
    use ledger::{Action, Amount, Genesis, SecretKey, TxBody};

    use super::*;

    const THIS: Hash = Hash([1; 32]);
    const OTHER: Hash = Hash([2; 32]);

    fn tx(nonce: u64) -> Tx {
        let key = SecretKey::from_seed([1; 32]);
        let genesis = Genesis::dev("dev-test", 1, key.public());
        let action = Action::EscrowOpen {
            voucher_key: key.public(),
            amount: Amount::from_units(5),
        };
        let body = TxBody {
            chain: genesis.chain_id,
            nonce,
            fee: genesis.fee,
            action,
        };
        Tx::sign(body, &key)
    }

    fn entry(exit: Option<u64>) -> Option<Escrow> {
        let key = SecretKey::from_seed([1; 32]);
        Some(Escrow {
            payer: key.address(),
            voucher_key: key.public(),
            balance: Amount::from_units(5),
            reserved: Amount::ZERO,
            reserved_until: 0,
            opened: 3,
            exit,
        })
    }

    fn facts(entry: Option<Escrow>, fate: Fate, nonce: u64, other: Option<Hash>) -> Facts {
        Facts {
            entry,
            fate,
            nonce,
            other,
        }
    }

    #[test]
    fn one_is_opened_once_and_only_if_there_is_none() {
        let (opening, opened) = (Note::opening(THIS, tx(7)), Note::opened(THIS));
        let refused = || Fate::Refused {
            reason: "no".to_owned(),
        };
        let included = || Fate::Included { height: 9 };
        let again = || Next::Await(Box::new(tx(7)));
        for (note, facts, expected) in [
            (None, facts(None, Fate::Unknown, 0, None), Next::Open),
            (
                None,
                facts(None, Fate::Unknown, 0, Some(OTHER)),
                Next::Adopt(OTHER),
            ),
            (
                Some(&opening),
                facts(None, Fate::Pending { missing: None }, 7, None),
                again(),
            ),
            (Some(&opening), facts(None, Fate::Unknown, 7, None), again()),
            (Some(&opening), facts(None, refused(), 7, None), again()),
            (Some(&opening), facts(None, Fate::Unknown, 8, None), Next::Open),
            (
                Some(&opening),
                facts(None, refused(), 8, Some(OTHER)),
                Next::Adopt(OTHER),
            ),
            (
                Some(&opening),
                facts(entry(None), included(), 8, None),
                Next::Adopt(THIS),
            ),
            (
                Some(&opening),
                facts(None, included(), 8, None),
                Next::Closed(THIS),
            ),
            (
                Some(&opened),
                facts(entry(None), Fate::Unknown, 8, Some(OTHER)),
                Next::Use(THIS),
            ),
            (
                Some(&opened),
                facts(entry(Some(9)), Fate::Unknown, 8, None),
                Next::Closed(THIS),
            ),
            (
                Some(&opened),
                facts(entry(Some(9)), Fate::Unknown, 8, Some(OTHER)),
                Next::Adopt(OTHER),
            ),
            (
                Some(&opened),
                facts(None, Fate::Unknown, 8, None),
                Next::Closed(THIS),
            ),
        ] {
            assert_eq!(next(note, &facts), expected, "{note:?} {facts:?}");
        }
    }

    #[test]
    fn what_is_written_is_read_back_and_nonsense_is_not_replaced() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("escrow.json");
        assert_eq!(Note::read(&path).expect("no file"), None);
        for note in [Note::opening(THIS, tx(7)), Note::opened(THIS)] {
            note.write(&path).expect("written");
            assert_eq!(Note::read(&path).expect("read"), Some(note));
        }
        for bad in ["", "{}", r#"{"format":2,"escrow":"00","tx":null}"#] {
            std::fs::write(&path, bad).expect("written");
            let error = Note::read(&path).expect_err("nonsense").to_string();
            assert!(error.contains("does not hold an escrow"), "{error}");
        }
    }
}
