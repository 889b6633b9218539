//! What part of what deliveries of an asset earn goes to others than the node that delivers: its owner, an origin.
//!
//! The split is fixed when the asset is anchored. A voucher for a delivery of such an asset names it, so the payer's
//! signature says how much was paid for which; the ledger divides what a claim of it is paid. A node that lacks the asset
//! pays its origin like any other client, so what a miss costs needs no rule, and nobody can lie about it.

use cid::Cid;
use serde::{Deserialize, Serialize};

use crate::amount::Amount;
use crate::error::Error;
use crate::genesis::part_of;
use crate::hash::Hash;
use crate::keys::Address;
use crate::tx::v1_bytes;

const DOMAIN: &[u8] = b"ddn/split/1";

/// A part of what deliveries of an asset earn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// Who gets it; absent: who owns the asset when it is claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Address>,
    /// In basis points (hundredths of a percent), at least 1.
    pub points: u16,
}

/// The shares of an asset; none if the node that delivers keeps all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Split(pub Vec<Share>);

impl Split {
    /// The most shares.
    pub const SHARES_MAX: usize = 4;
    /// The most basis points of all shares together: who delivers has the larger part.
    pub const POINTS_MAX: u16 = 5_000;

    /// Checks every bound.
    ///
    /// # Errors
    /// Too many shares, one of nothing, two for the same account, or more than [`Split::POINTS_MAX`] in all.
    pub fn check(&self) -> Result<(), Error> {
        let shares = &self.0;
        if shares.len() > Self::SHARES_MAX {
            return Err(bad(&format!(
                "{} shares, at most {} are allowed",
                shares.len(),
                Self::SHARES_MAX
            )));
        }
        if shares.iter().any(|share| share.points == 0) {
            return Err(bad("a share of nothing"));
        }
        let is_double = |(at, share): (usize, &Share)| shares[..at].iter().any(|other| other.to == share.to);
        if shares.iter().enumerate().any(is_double) {
            return Err(bad("two shares for the same account"));
        }
        let points: u32 = shares.iter().map(|share| u32::from(share.points)).sum();
        if points > u32::from(Self::POINTS_MAX) {
            return Err(bad(&format!(
                "the shares are {} % together, at most {} % are allowed",
                percent(points),
                percent(Self::POINTS_MAX.into())
            )));
        }
        Ok(())
    }

    /// Whether the node that delivers keeps all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What each share gets when what was paid for deliveries of one node to one payer grows from `before` to `after`. Each
    /// sum is rounded down once, however it was claimed, so nothing is gained by many small claims.
    pub fn of(&self, before: Amount, after: Amount) -> impl Iterator<Item = (&Share, Amount)> {
        self.0.iter().map(move |share| {
            let more = part_of(after, share.points).checked_sub(part_of(before, share.points));
            (share, more.unwrap_or_default())
        })
    }

    /// What of `paid` stays with the node that delivers.
    pub fn kept(&self, paid: Amount) -> Amount {
        let shared = self
            .of(Amount::ZERO, paid)
            .fold(Amount::ZERO, |sum, (_, more)| sum.saturating_add(more));
        paid.checked_sub(shared).unwrap_or_default()
    }
}

fn percent(points: u32) -> String {
    let (whole, rest) = (points / 100, points % 100);
    match rest {
        0 => whole.to_string(),
        _ => format!("{whole}.{rest:02}"),
    }
}

fn bad(reason: &str) -> Error {
    Error::Records {
        reason: format!("asset split: {reason}"),
    }
}

/// Where an escrow keeps what it pays a payee for deliveries of an asset: apart from what it pays for all others. No key
/// has this address.
pub fn split_account(payee: &Address, asset: &Cid) -> Address {
    let hash = Hash::of(&[DOMAIN, payee.as_bytes(), &v1_bytes(asset)].concat());
    let mut account = [0; 20];
    account.copy_from_slice(&hash.0[..20]);
    Address::from_bytes(account)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(points: &[u16]) -> Split {
        let share = |(at, points): (usize, &u16)| Share {
            to: Some(Address::from_bytes([at as u8; 20])),
            points: *points,
        };
        Split(points.iter().enumerate().map(share).collect())
    }

    #[test]
    fn it_is_bounded() {
        let check = |split: Split, words: &str| {
            let said = split.check().map_err(|error| error.to_string());
            assert_eq!(said, Err(format!("records: asset split: {words}")), "{split:?}");
        };
        assert_eq!(split(&[]).check(), Ok(()));
        assert_eq!(split(&[1, 1, 1, 4_997]).check(), Ok(()));
        check(split(&[1; 5]), "5 shares, at most 4 are allowed");
        check(split(&[10, 0]), "a share of nothing");
        check(
            split(&[4_000, 1_050]),
            "the shares are 50.50 % together, at most 50 % are allowed",
        );
        check(
            split(&[u16::MAX; 4]),
            "the shares are 2621.40 % together, at most 50 % are allowed",
        );
        let owner = Share { to: None, points: 1 };
        check(
            Split(vec![owner.clone(), owner]),
            "two shares for the same account",
        );
    }

    proptest! {
        #[test]
        fn however_it_is_claimed_the_shares_are_the_same_and_nothing_is_made(
            points in proptest::collection::vec(1..1_250u16, 0..=4),
            claims in proptest::collection::vec(0..1_000_000u64, 0..20),
        ) {
            let split = split(&points);
            let (mut paid, mut got) = (Amount::ZERO, vec![Amount::ZERO; points.len()]);
            for claim in claims {
                let after = paid.saturating_add(Amount::from_units(claim));
                for (got, (_, more)) in got.iter_mut().zip(split.of(paid, after)) {
                    *got = got.saturating_add(more);
                }
                paid = after;
            }
            let at_once: Vec<Amount> = split.of(Amount::ZERO, paid).map(|(_, more)| more).collect();
            prop_assert_eq!(&got, &at_once);
            let shared: u64 = got.iter().map(|got| got.units()).sum();
            prop_assert_eq!(split.kept(paid).units() + shared, paid.units());
            prop_assert!(shared <= paid.units() / 2);
        }
    }
}
