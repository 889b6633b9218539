//! What the state holds about payment: escrows, lines, claims, edges.

use serde::{Deserialize, Serialize};

use crate::amount::Amount;
use crate::hash::Hash;
use crate::keys::{Address, PublicKey, signed_bytes};
use crate::payment::Offence;

const ESCROW_DOMAIN: &str = "ddn/escrow/1";

/// Coins that a payer has put aside to pay with vouchers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Escrow {
    /// Who gets back what is left.
    pub payer: Address,
    /// Whose vouchers it honours.
    pub voucher_key: PublicKey,
    /// All that is in it, with what is set aside for payees.
    pub balance: Amount,
    /// What is set aside for payees: the sum over its lines, metered ones too, also over those that have expired since.
    pub reserved: Amount,
    /// The latest height at which something that was set aside expires; 0 if nothing ever was. It is not closed before.
    pub reserved_until: u64,
    /// The height at which it was opened.
    pub opened: u64,
    /// The height at which the payer asked to leave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<u64>,
}

impl Escrow {
    /// What is set aside for nobody.
    pub fn free(&self) -> Amount {
        self.balance.checked_sub(self.reserved).unwrap_or_default()
    }

    /// What one payee can get besides what is set aside for it: what is free, and what has expired of its own.
    pub fn free_for(&self, line: Option<&Line>, height: u64) -> Amount {
        let expired = line
            .filter(|line| height >= line.expires)
            .map(|line| line.reserved);
        self.free().saturating_add(expired.unwrap_or_default())
    }

    /// The first height at which it can be closed; `None` if the payer has not asked to leave.
    pub fn closes(&self, exit_delay: u64) -> Option<u64> {
        let exit = self.exit?.saturating_add(exit_delay);
        Some(exit.max(self.reserved_until))
    }
}

/// One payee of an escrow: what vouchers pay it, or, in an entry of its own, what it counts by itself, or what it is paid
/// for an asset whose deliveries are split.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// What is set aside for it and not claimed.
    pub reserved: Amount,
    /// The first height at which that is set aside no more.
    pub expires: u64,
    /// What it was paid, ever.
    pub paid: Amount,
}

impl Line {
    /// What is set aside at a height.
    pub fn reserve_at(&self, height: u64) -> Amount {
        if height < self.expires {
            self.reserved
        } else {
            Amount::ZERO
        }
    }
}

/// A claim that carried receipts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimEntry {
    /// The height of the block that has it.
    pub height: u64,
    /// How many receipts are under `root`.
    pub receipts: u64,
    /// [`crate::receipts_root`] of them.
    pub root: Hash,
    /// What the claim was paid.
    pub amount: Amount,
    /// How much of that went to others by the splits of assets.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub shared: Amount,
    /// How much of it went to all, by the genesis: [`crate::Delivery::claim_burnt`] and `claim_seats`.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub levied: Amount,
}

fn is_nothing(amount: &Amount) -> bool {
    amount.is_zero()
}

/// A node that offers delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdgeEntry {
    /// Who may change the entry.
    pub owner: Address,
    /// The account that vouchers are made out to.
    pub payout: Address,
    /// What it means to ask for each MiB; what holds is its signed quote.
    pub price: Amount,
    /// How many requests it serves at once.
    pub capacity: u32,
    /// Bytes that it serves in a month; 0 if there is no cap.
    pub traffic_max: u64,
    /// The height at which it was registered.
    pub registered: u64,
    /// What its owner has put up for its honesty.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub bond: Amount,
}

/// What an edge that has left had put up, while it can still be convicted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bond {
    /// Who gets it back.
    pub owner: Address,
    /// How much it is.
    pub amount: Amount,
    /// The height at which it comes back.
    pub until: u64,
}

/// That a node lied, and was shown to. It never delivers on this chain again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conviction {
    /// The height of the block that has the proof.
    pub height: u64,
    /// What it has done.
    pub offence: Offence,
    /// Who proved it.
    pub by: Address,
    /// What it lost.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub bond: Amount,
}

/// The id of the escrow that a payer's transaction with this nonce opens: known before it is sent.
pub fn escrow_id(chain: &str, payer: &Address, nonce: u64) -> Hash {
    let message = crate::codec::encode(&(payer, nonce));
    Hash::of(&signed_bytes(ESCROW_DOMAIN, chain, &message))
}
