//! Receipts: what was offered, what was delivered, what was paid, each in the words of who signed it.

use serde::{Deserialize, Serialize};

use super::messages::{Quote, Statement, Voucher};
use crate::codec::{DecodeError, Link, decode_within, encode};
use crate::error::Error;
use crate::hash::Hash;
use crate::signed::{Message, Signed};
use crate::tx::v1_bytes;

/// The most bytes of an encoded receipt; it has about 900.
pub const MAX_RECEIPT_BYTES: usize = 4096;

/// One delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The price and the payee, by the node.
    pub quote: Signed<Quote>,
    /// What was delivered, by the node.
    pub statement: Signed<Statement>,
    /// The payer's promise, which acknowledges the statement. Absent if there was nothing to pay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voucher: Option<Signed<Voucher>>,
}

impl Receipt {
    /// What the tree of receipts is made of: the sha2-256 of the encoding.
    pub fn id(&self) -> Hash {
        Hash::of(&self.encode())
    }

    /// The DAG-CBOR encoding.
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// Decodes at most [`MAX_RECEIPT_BYTES`]. It is not checked yet.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode_within(bytes, MAX_RECEIPT_BYTES)
    }

    /// Checks that every signature holds, and that the parts speak of one delivery. Whether the voucher's key is that of
    /// the escrow, only the ledger knows.
    ///
    /// # Errors
    /// The first thing that does not fit.
    pub fn check(&self, chain: &str) -> Result<(), Error> {
        let Self {
            quote,
            statement,
            voucher,
        } = self;
        signed(quote, chain, "quote")?;
        fits(
            quote.key == quote.body.node,
            "the quote is not signed by the node that it names",
        )?;
        signed(statement, chain, "statement")?;
        fits(
            statement.key == quote.key,
            "the statement is by another node than the quote",
        )?;
        fits(
            statement.body.quote == quote.hash(),
            "the statement is under another quote",
        )?;
        let Some(voucher) = voucher else {
            return Ok(());
        };
        signed(voucher, chain, "voucher")?;
        fits(
            voucher.body.payee == quote.body.payee,
            "the voucher is for another payee than the quote's",
        )?;
        fits(
            voucher
                .body
                .asset
                .is_none_or(|asset| same_content(&asset, &statement.body.root)),
            "the voucher is for another asset than the statement's root",
        )?;
        fits(
            statement.body.escrow == Some(voucher.body.escrow),
            "the voucher is on another escrow than the statement's",
        )?;
        fits(
            voucher.body.statement == Some(statement.hash()),
            "the voucher acknowledges another statement",
        )
    }
}

fn signed<T: Message>(message: &Signed<T>, chain: &str, what: &str) -> Result<(), Error> {
    fits(
        message.verify(chain),
        &format!("the signature of the {what} does not hold on chain '{chain}'"),
    )
}

/// Both versions of a CID name the same content.
fn same_content(a: &Link, b: &Link) -> bool {
    v1_bytes(&a.0) == v1_bytes(&b.0)
}

fn fits(holds: bool, reason: &str) -> Result<(), Error> {
    if holds {
        return Ok(());
    }
    Err(Error::Receipt {
        reason: reason.into(),
    })
}

/// Whether two statements prove that their node lied: both are signed by the same key, for the same session and number,
/// and say different things.
pub fn contradict(a: &Signed<Statement>, b: &Signed<Statement>, chain: &str) -> bool {
    let same = a.key == b.key && a.body.session == b.body.session && a.body.seq == b.body.seq;
    same && a.body != b.body && a.verify(chain) && b.verify(chain)
}
