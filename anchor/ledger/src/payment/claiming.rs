//! When a payee takes what it earned to the ledger. Pure.

use crate::Amount;

/// What the ledger would pay in the next block from one escrow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unclaimed {
    /// How much.
    pub amount: Amount,
    /// Blocks after which that is not sure any more: what is set aside expires, or the payer leaves. `None` if nothing
    /// says when.
    pub sure_for: Option<u64>,
}

/// By what a payee goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimTerms {
    /// What a transaction costs.
    pub fee: Amount,
    /// Blocks within which a claim is on the ledger.
    pub within: u64,
}

/// Whether a claim is to be sent now. `is_time`: the last one was long ago.
///
/// * In time, if all that is there is worth [`FEES_WORTH`] fees: so claims cost a twentieth at most.
/// * At once, if some of it could be lost otherwise, and that is worth more than the fee.
pub fn is_claim_due(unclaimed: &[Unclaimed], is_time: bool, terms: &ClaimTerms) -> bool {
    let sum = |rows: &mut dyn Iterator<Item = &Unclaimed>| {
        rows.fold(Amount::ZERO, |sum, row| sum.saturating_add(row.amount))
    };
    let all = sum(&mut unclaimed.iter());
    let ends_soon = |row: &&Unclaimed| row.sure_for.is_some_and(|blocks| blocks <= MARGIN * terms.within);
    let ending = sum(&mut unclaimed.iter().filter(ends_soon));
    let worth = terms.fee.units().saturating_mul(FEES_WORTH);
    (is_time && !all.is_zero() && all.units() >= worth) || ending > terms.fee
}

/// A claim that nothing presses is worth so many fees.
pub const FEES_WORTH: u64 = 20;
/// A first claim that does not come through leaves time for a second one.
const MARGIN: u64 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_sent_when_it_is_worth_its_fee_or_what_was_earned_may_be_lost() {
        let check = |rows: &[(u64, Option<u64>)], is_time: bool, expected: bool| {
            let rows: Vec<Unclaimed> = rows
                .iter()
                .map(|(units, sure_for)| Unclaimed {
                    amount: Amount::from_units(*units),
                    sure_for: *sure_for,
                })
                .collect();
            let terms = ClaimTerms {
                fee: Amount::from_units(100),
                within: 10,
            };
            assert_eq!(is_claim_due(&rows, is_time, &terms), expected, "{rows:?}");
        };
        check(&[], true, false);
        check(&[(1_999, None)], true, false);
        check(&[(2_000, None)], true, true);
        check(&[(1_000, Some(1_000)), (1_000, None)], true, true);
        check(&[(1_000_000, Some(1_000))], false, false);
        check(&[(101, Some(20)), (1_000_000, None)], false, true);
        check(&[(101, Some(21))], false, false);
        check(&[(100, Some(0))], true, false);
        let free = ClaimTerms {
            fee: Amount::ZERO,
            within: 10,
        };
        assert!(!is_claim_due(&[], true, &free), "there is nothing to claim");
    }
}
