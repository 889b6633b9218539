//! What the two sides of a delivery sign.

use serde::{Deserialize, Serialize};

use crate::amount::Amount;
use crate::codec::{Link, encode};
use crate::hash::Hash;
use crate::keys::{Address, PublicKey};
use crate::signed::{Message, Signed};

use super::split::split_account;

const SESSION_DOMAIN: &[u8] = b"ddn/session/1";

/// What a node asks for delivery, until a time. Signed by the node key that it names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quote {
    /// The node that delivers.
    pub node: PublicKey,
    /// The account that vouchers are to be made out to.
    pub payee: Address,
    /// For each MiB of payload; 0 if it delivers for nothing.
    pub price: Amount,
    /// Milliseconds since 1970 at which the offer ends. A session that was opened before goes on at its price.
    pub until_ms: u64,
}

impl Message for Quote {
    const DOMAIN: &'static str = "ddn/quote/1";
}

/// What a session is about. Both sides give a nonce, so neither can make two sessions have one id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionTerms {
    /// The node that asks.
    pub client: PublicKey,
    /// The node that delivers.
    pub server: PublicKey,
    /// [`Signed::hash`] of the quote.
    pub quote: Hash,
    /// 32 random bytes of the client.
    pub client_nonce: Hash,
    /// 32 random bytes of the server.
    pub server_nonce: Hash,
}

impl SessionTerms {
    /// The session's id.
    pub fn id(&self) -> Hash {
        Hash::of(&[SESSION_DOMAIN, encode(self).as_slice()].concat())
    }
}

/// What a node says that it has delivered in a session so far. Signed by the node key of the session's server.
///
/// Two of them with one session and one `seq`, but different words, are a proof of fraud: [`super::contradict`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// [`SessionTerms::id`].
    pub session: Hash,
    /// 1, 2, 3, … within the session.
    pub seq: u64,
    /// [`Signed::hash`] of the quote.
    pub quote: Hash,
    /// The root that the session is about.
    pub root: Link,
    /// Bytes of payload since the session began: blocks without their framing.
    pub bytes: u64,
    /// Blocks since the session began.
    pub blocks: u64,
    /// The height of the server's ledger.
    pub height: u64,
    /// The escrow that is to pay; absent if the price is 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escrow: Option<Hash>,
}

impl Message for Statement {
    const DOMAIN: &'static str = "ddn/statement/1";
}

/// A promise of coins from an escrow to a payee. Signed by the escrow's voucher key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Voucher {
    /// The escrow that pays.
    pub escrow: Hash,
    /// Who may claim it.
    pub payee: Address,
    /// The asset whose [`super::Split`] divides what it is paid: the root of what was delivered. Absent if that has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asset: Option<Link>,
    /// All that this payee was ever promised from this escrow, for this asset. The highest voucher stands for all the
    /// others.
    pub cumulative: Amount,
    /// [`Signed::hash`] of the [`Statement`] that it acknowledges; absent if it pays ahead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<Hash>,
}

impl Voucher {
    /// Under which address the escrow keeps what it pays.
    pub fn account(&self) -> Address {
        match &self.asset {
            Some(asset) => split_account(&self.payee, &asset.0),
            None => self.payee,
        }
    }
}

impl Message for Voucher {
    const DOMAIN: &'static str = "ddn/voucher/1";
}

/// Why a voucher is not honoured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VoucherError {
    /// The signature is not the key's over this voucher on this chain.
    #[error("its signature does not hold")]
    Signature,
    /// It is not for this payee or asset, not on this escrow, or not by the escrow's key.
    #[error("its {what} is {found}, expected {expected}")]
    Foreign {
        /// `payee`, `asset`, `escrow` or `key`.
        what: &'static str,
        /// What it says.
        found: String,
        /// What it must say.
        expected: String,
    },
    /// It was honoured before.
    #[error("it promises {cumulative} coins, as one that was honoured before: sign for what was added since")]
    Replayed {
        /// What it promises in all.
        cumulative: Amount,
    },
    /// It promises less than one that was honoured before.
    #[error("it promises {cumulative} coins, one that was honoured before promises {highest}")]
    Shrunk {
        /// What it promises in all.
        cumulative: Amount,
        /// The highest that was honoured.
        highest: Amount,
    },
    /// It promises more than the ledger would pay.
    #[error(
        "it promises {cumulative} coins, but the escrow pays this payee at most {collectible}: allot more to it first"
    )]
    Overdrawn {
        /// What it promises in all.
        cumulative: Amount,
        /// See [`super::collectible`].
        collectible: Amount,
    },
}

impl Signed<Voucher> {
    /// Checks that it is on this escrow, for this payee and asset, by the escrow's voucher key.
    ///
    /// # Errors
    /// [`VoucherError::Foreign`] or [`VoucherError::Signature`].
    pub fn check(
        &self,
        chain: &str,
        escrow: &Hash,
        payee: &Address,
        asset: Option<&Link>,
        voucher_key: &PublicKey,
    ) -> Result<(), VoucherError> {
        let hex = |address: &Address| hex::encode(address.as_bytes());
        same("escrow", &self.body.escrow, escrow, Hash::to_string)?;
        same("payee", &self.body.payee, payee, hex)?;
        let show = |asset: &Option<&Link>| asset.map_or_else(|| "none".to_owned(), Link::to_string);
        same("asset", &self.body.asset.as_ref(), &asset, show)?;
        same("key", &self.key, voucher_key, PublicKey::to_string)?;
        if !self.verify(chain) {
            return Err(VoucherError::Signature);
        }
        Ok(())
    }
}

/// Checks one part of a voucher.
pub(crate) fn same<T: PartialEq>(
    what: &'static str,
    found: &T,
    expected: &T,
    show: impl Fn(&T) -> String,
) -> Result<(), VoucherError> {
    if found == expected {
        return Ok(());
    }
    let (found, expected) = (show(found), show(expected));
    Err(VoucherError::Foreign {
        what,
        found,
        expected,
    })
}
