//! Claims: vouchers and counts into coins, and the root of the receipts.
//!
//! What is set aside for a payee pays its claims first. So whatever others claim, a voucher within it is paid in full;
//! what is set aside for nobody goes to whoever claims first.
//!
//! What a payee has counted by itself is signed by nobody else. Its payer has said by a metered allotment that it trusts in
//! that count, and how far: only what is set aside so pays for it.

use super::escrows::Place;
use super::money::impossible;
use super::{Refusal, Transition};
use crate::amount::Amount;
use crate::codec::Link;
use crate::genesis::part_of;
use crate::keys::Address;
use crate::payment::{Voucher, VoucherError};
use crate::signed::Signed;
use crate::state::{ClaimEntry, Escrow, Line, State, key};
use crate::tx::{MAX_CLAIM_VOUCHERS, Metered, Receipts};

/// What a claim takes out of escrows, and what of that is not the payee's.
#[derive(Clone, Copy, Default)]
struct Paid {
    /// All of it.
    amount: Amount,
    /// What others get by the splits of assets.
    shared: Amount,
    /// What all get by the genesis.
    levied: Amount,
}

impl Paid {
    fn with(self, more: Self) -> Result<Self, Refusal> {
        let sum = |a: Amount, b: Amount| a.checked_add(b).ok_or_else(impossible);
        Ok(Self {
            amount: sum(self.amount, more.amount)?,
            shared: sum(self.shared, more.shared)?,
            levied: sum(self.levied, more.levied)?,
        })
    }
}

impl Transition<'_> {
    pub(super) fn claim(
        &mut self,
        payee: &Address,
        vouchers: &[Signed<Voucher>],
        metered: &[Metered],
        receipts: Option<&Receipts>,
    ) -> Result<(), Refusal> {
        let asked = vouchers.len() + metered.len();
        if asked == 0 && receipts.is_none() {
            return Err(Refusal::ClaimEmpty);
        }
        if asked > MAX_CLAIM_VOUCHERS {
            return Err(Refusal::ClaimTooLong {
                vouchers: asked,
                max: MAX_CLAIM_VOUCHERS,
            });
        }
        let mut sum = Paid::default();
        for voucher in vouchers {
            sum = sum.with(self.pay_voucher(payee, voucher)?)?;
        }
        for count in metered {
            sum = sum.with(self.pay_count(payee, count)?)?;
        }
        if sum.amount.is_zero() && asked > 0 {
            return Err(Refusal::NothingToClaim);
        }
        self.credit(payee, sum.amount)?;
        self.give_up(payee, sum)?;
        receipts.map_or(Ok(()), |receipts| self.note_receipts(payee, receipts, sum))
    }

    /// Takes from a payee what of its claim is others'. That may be some units more than the claim: each part is rounded down
    /// over all claims together, so several may grow by a whole unit at once.
    fn give_up(&mut self, payee: &Address, sum: Paid) -> Result<(), Refusal> {
        let others = sum.shared.checked_add(sum.levied).ok_or_else(impossible)?;
        let mut account = self.overlay.account(payee)?;
        let left = account.balance.checked_sub(others);
        account.balance = left.ok_or(Refusal::NothingToClaim)?;
        self.overlay.write(key::account(payee), &account);
        Ok(())
    }

    /// What of a line goes to all, when what it was paid has grown: burnt, and shared by the seats. Each is rounded down once,
    /// however it was claimed.
    fn levy(&mut self, before: Amount, after: Amount) -> Result<Amount, Refusal> {
        let rules = &self.genesis.delivery;
        let grown = |points: u16| {
            let more = part_of(after, points).checked_sub(part_of(before, points));
            more.ok_or_else(impossible)
        };
        let (burnt, seats) = (grown(rules.claim_burnt)?, grown(rules.claim_seats)?);
        self.burn(burnt)?;
        self.add_to_pool(key::seats_pool(), seats)?;
        burnt.checked_add(seats).ok_or_else(impossible)
    }

    /// Takes what a voucher adds out of its escrow, or less if there is less, and gives others their shares.
    fn pay_voucher(&mut self, payee: &Address, voucher: &Signed<Voucher>) -> Result<Paid, Refusal> {
        let (id, account) = (voucher.body.escrow, voucher.body.account());
        let place = Place::of(&id, &account, false);
        let mut escrow = self.open_one(&id)?;
        let mut line = self.line_at(&place)?;
        let fresh = self
            .check_voucher(payee, voucher, &escrow, &line)
            .map_err(|reason| Refusal::Voucher {
                escrow: id.to_string(),
                reason,
            })?;
        let free = escrow.free_for(Some(&line), self.height);
        let before = line.paid;
        let amount = self.draw_on(&mut escrow, &mut line, fresh, free)?;
        self.write_line(&place, &line);
        self.overlay.write(key::escrow(&id), &escrow);
        let shared = match &voucher.body.asset {
            Some(asset) => self.share(asset, before, line.paid)?,
            None => Amount::ZERO,
        };
        let levied = self.levy(before, line.paid)?;
        Ok(Paid {
            amount,
            shared,
            levied,
        })
    }

    /// Gives each share of an asset its part of what was paid for deliveries of it. Returns their sum.
    fn share(&mut self, asset: &Link, before: Amount, after: Amount) -> Result<Amount, Refusal> {
        let unknown = || Refusal::AssetUnknown {
            cid: asset.to_string(),
        };
        let asset = self.overlay.asset(&asset.0)?.ok_or_else(unknown)?;
        let mut sum = Amount::ZERO;
        for (share, more) in asset.split.of(before, after) {
            self.credit(&share.to.unwrap_or(asset.owner), more)?;
            sum = sum.checked_add(more).ok_or_else(impossible)?;
        }
        Ok(sum)
    }

    /// Takes what a count adds out of what is set aside for it.
    fn pay_count(&mut self, payee: &Address, count: &Metered) -> Result<Paid, Refusal> {
        let id = count.escrow;
        let place = Place::of(&id, payee, true);
        let mut escrow = self.open_one(&id)?;
        let mut line = self.line_at(&place)?;
        let fresh = count
            .cumulative
            .checked_sub(line.paid)
            .filter(|fresh| !fresh.is_zero())
            .ok_or_else(|| Refusal::NothingCounted {
                escrow: id.to_string(),
                counted: count.cumulative,
                paid: line.paid,
            })?;
        let before = line.paid;
        let amount = self.draw_on(&mut escrow, &mut line, fresh, Amount::ZERO)?;
        self.write_line(&place, &line);
        self.overlay.write(key::escrow(&id), &escrow);
        Ok(Paid {
            amount,
            shared: Amount::ZERO,
            levied: self.levy(before, line.paid)?,
        })
    }

    /// What a voucher adds to what its payee was paid.
    fn check_voucher(
        &self,
        payee: &Address,
        voucher: &Signed<Voucher>,
        escrow: &Escrow,
        line: &Line,
    ) -> Result<Amount, VoucherError> {
        let Voucher {
            escrow: id,
            payee: to,
            asset,
            cumulative,
            ..
        } = &voucher.body;
        crate::payment::same("payee", to, payee, |address| self.show(address))?;
        let chain = &self.genesis.chain_id;
        voucher.check(chain, id, payee, asset.as_ref(), &escrow.voucher_key)?;
        let (cumulative, highest) = (*cumulative, line.paid);
        if cumulative == highest {
            return Err(VoucherError::Replayed { cumulative });
        }
        cumulative
            .checked_sub(highest)
            .ok_or(VoucherError::Shrunk { cumulative, highest })
    }

    /// Takes up to `fresh` from what is set aside, then from what is `free` to be taken.
    fn draw_on(
        &self,
        escrow: &mut Escrow,
        line: &mut Line,
        fresh: Amount,
        free: Amount,
    ) -> Result<Amount, Refusal> {
        if self.height >= line.expires {
            let others = escrow.reserved.checked_sub(line.reserved);
            escrow.reserved = others.ok_or_else(impossible)?;
            line.reserved = Amount::ZERO;
        }
        let reserve = line.reserved;
        let most = reserve.checked_add(free).ok_or_else(impossible)?;
        let (paid, from_reserve) = (fresh.min(most), fresh.min(reserve));
        line.reserved = reserve.checked_sub(from_reserve).ok_or_else(impossible)?;
        line.paid = line.paid.checked_add(paid).ok_or_else(impossible)?;
        escrow.reserved = escrow.reserved.checked_sub(from_reserve).ok_or_else(impossible)?;
        escrow.balance = escrow.balance.checked_sub(paid).ok_or_else(impossible)?;
        Ok(paid)
    }

    fn note_receipts(&mut self, payee: &Address, receipts: &Receipts, sum: Paid) -> Result<(), Refusal> {
        let Receipts { root, count } = *receipts;
        if count == 0 {
            return Err(Refusal::ReceiptsEmpty);
        }
        if let Some(ClaimEntry { height, .. }) = self.overlay.claim(payee, &root)? {
            let root = root.to_string();
            return Err(Refusal::ReceiptsClaimed { root, height });
        }
        let entry = ClaimEntry {
            height: self.height,
            receipts: count,
            root,
            amount: sum.amount,
            shared: sum.shared,
            levied: sum.levied,
        };
        self.overlay.write(key::claim(payee, &root), &entry);
        Ok(())
    }
}
