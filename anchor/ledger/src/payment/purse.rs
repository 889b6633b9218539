//! The payer's side of a pair of escrow and payee (and asset, if its deliveries are split): what it has got, and what it has signed for that.

use serde::{Deserialize, Serialize};

use super::messages::Voucher;
use super::owed::Owed;
use crate::amount::Amount;
use crate::codec::Link;
use crate::hash::Hash;
use crate::keys::Address;

/// What a payer has verified and signed, over all sessions with one payee. It must be stored before the voucher is sent,
/// and with the blocks that it counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Purse {
    /// What is owed for the payload that was verified.
    pub verified: Owed,
    /// The highest voucher that was signed.
    pub signed: Amount,
}

impl Purse {
    /// Notes payload that arrived and was verified, at the session's price.
    pub fn receive(&mut self, bytes: u64, price: Amount) {
        self.verified = self.verified.add(bytes, price);
    }

    /// What is verified and not signed for.
    pub fn due(&self) -> Amount {
        let owed = self.verified.amount();
        owed.checked_sub(self.signed).unwrap_or_default()
    }

    /// The next voucher, for what was verified and `ahead` more; `None` if that was signed for already.
    ///
    /// `ahead` is what the payer can lose: give at most one window's price, however much is asked for. It does not add
    /// up, since what was paid ahead and has not arrived is part of the next voucher.
    pub fn voucher(
        &mut self,
        escrow: Hash,
        payee: Address,
        asset: Option<Link>,
        statement: Option<Hash>,
        ahead: Amount,
    ) -> Option<Voucher> {
        let cumulative = self.verified.amount().saturating_add(ahead);
        if cumulative <= self.signed {
            return None;
        }
        self.signed = cumulative;
        Some(Voucher {
            escrow,
            payee,
            asset,
            cumulative,
            statement,
        })
    }

    /// Learns of an own voucher that these books do not know, since they are older than it: what it promises is spent.
    /// Only for a voucher whose signature was verified.
    pub fn recall(&mut self, cumulative: Amount) {
        if cumulative > self.signed {
            self.signed = cumulative;
            self.verified = self.verified.max(Owed::paid_by(cumulative));
        }
    }
}
