//! Escrows: open, top up, set aside, leave.

use super::money::{Bill, impossible};
use super::{Refusal, Transition};
use crate::amount::Amount;
use crate::hash::Hash;
use crate::keys::{Address, PublicKey};
use crate::state::{Escrow, Line, State, escrow_id, key};

/// The longest time for which coins are set aside, in blocks: a year of 10 s. Nobody is to lock coins for ever by a slip.
const MAX_ALLOT_BLOCKS: u64 = 3_153_600;

/// Where something is set aside: for a payee's vouchers, or for what it counts by itself.
pub(super) struct Place<'a> {
    pub(super) escrow: &'a Hash,
    pub(super) payee: &'a Address,
    key: Vec<u8>,
}

impl<'a> Place<'a> {
    pub(super) fn of(escrow: &'a Hash, payee: &'a Address, metered: bool) -> Self {
        let key = if metered { key::meter } else { key::line };
        Self {
            escrow,
            payee,
            key: key(escrow, payee),
        }
    }
}

impl Transition<'_> {
    pub(super) fn open_escrow(
        &mut self,
        payer: &Address,
        nonce: u64,
        voucher_key: &PublicKey,
        bill: Bill,
    ) -> Result<(), Refusal> {
        self.pay_into_escrow(payer, bill)?;
        let escrow = Escrow {
            payer: *payer,
            voucher_key: *voucher_key,
            balance: bill.price,
            reserved: Amount::ZERO,
            reserved_until: 0,
            opened: self.height,
            exit: None,
        };
        let id = escrow_id(&self.genesis.chain_id, payer, nonce);
        self.overlay.write(key::escrow(&id), &escrow);
        Ok(())
    }

    pub(super) fn top_up(&mut self, from: &Address, id: &Hash, bill: Bill) -> Result<(), Refusal> {
        let mut escrow = self.staying_escrow(id)?;
        self.pay_into_escrow(from, bill)?;
        escrow.balance = escrow.balance.checked_add(bill.price).ok_or_else(impossible)?;
        self.overlay.write(key::escrow(id), &escrow);
        Ok(())
    }

    fn pay_into_escrow(&mut self, from: &Address, bill: Bill) -> Result<(), Refusal> {
        if bill.price.is_zero() {
            return Err(Refusal::NothingToEscrow);
        }
        self.pay_price(from, bill)
    }

    pub(super) fn allot(
        &mut self,
        sender: &Address,
        place: &Place<'_>,
        amount: Amount,
        expires: u64,
    ) -> Result<(), Refusal> {
        let id = place.escrow;
        let mut escrow = self.staying_escrow(id)?;
        self.check_payer(sender, id, &escrow)?;
        let mut line = self.line_at(place)?;
        self.check_allotment(place, &escrow, &line, amount, expires)?;
        let others = escrow
            .reserved
            .checked_sub(line.reserved)
            .ok_or_else(impossible)?;
        escrow.reserved = others.checked_add(amount).ok_or_else(impossible)?;
        (line.reserved, line.expires) = (amount, expires);
        if !amount.is_zero() {
            escrow.reserved_until = escrow.reserved_until.max(expires);
        }
        self.write_line(place, &line);
        self.overlay.write(key::escrow(id), &escrow);
        Ok(())
    }

    fn check_allotment(
        &self,
        place: &Place<'_>,
        escrow: &Escrow,
        line: &Line,
        amount: Amount,
        expires: u64,
    ) -> Result<(), Refusal> {
        let (id, payee) = (place.escrow, place.payee);
        let first = self.height.saturating_add(1);
        let last = self.height.saturating_add(MAX_ALLOT_BLOCKS);
        if !(first..=last).contains(&expires) {
            return Err(Refusal::AllotTerm { expires, first, last });
        }
        let reserved = line.reserve_at(self.height);
        if !reserved.is_zero() && (amount < reserved || expires < line.expires) {
            return Err(Refusal::AllotShrunk {
                escrow: id.to_string(),
                payee: self.show(payee),
                reserved,
                expires: line.expires,
            });
        }
        let free = escrow.free().checked_add(line.reserved).ok_or_else(impossible)?;
        if amount > free {
            return Err(Refusal::AllotTooMuch {
                escrow: id.to_string(),
                payee: self.show(payee),
                amount,
                free,
            });
        }
        Ok(())
    }

    pub(super) fn exit_escrow(&mut self, sender: &Address, id: &Hash) -> Result<(), Refusal> {
        let mut escrow = self.staying_escrow(id)?;
        self.check_payer(sender, id, &escrow)?;
        escrow.exit = Some(self.height);
        self.overlay.write(key::escrow(id), &escrow);
        Ok(())
    }

    pub(super) fn close_escrow(&mut self, sender: &Address, id: &Hash) -> Result<(), Refusal> {
        let escrow = self.open_one(id)?;
        self.check_payer(sender, id, &escrow)?;
        let delay = self.genesis.escrow_exit_delay;
        let Some(from) = escrow.closes(delay) else {
            let escrow = id.to_string();
            return Err(Refusal::EscrowInUse { escrow, delay });
        };
        if self.height < from {
            let escrow = id.to_string();
            return Err(Refusal::EscrowLocked { escrow, from });
        }
        self.overlay.remove(key::escrow(id));
        self.credit(sender, escrow.balance)
    }

    /// An escrow that there is, also one whose payer leaves.
    pub(super) fn open_one(&self, id: &Hash) -> Result<Escrow, Refusal> {
        self.overlay.escrow(id)?.ok_or_else(|| Refusal::EscrowUnknown {
            escrow: id.to_string(),
        })
    }

    /// An escrow whose payer has not asked to leave.
    fn staying_escrow(&self, id: &Hash) -> Result<Escrow, Refusal> {
        let escrow = self.open_one(id)?;
        match escrow.exit {
            None => Ok(escrow),
            Some(height) => Err(Refusal::EscrowExiting {
                escrow: id.to_string(),
                height,
            }),
        }
    }

    fn check_payer(&self, sender: &Address, id: &Hash, escrow: &Escrow) -> Result<(), Refusal> {
        if escrow.payer == *sender {
            return Ok(());
        }
        Err(Refusal::NotOwner {
            object: format!("escrow {id}"),
            owner: self.show(&escrow.payer),
            sender: self.show(sender),
        })
    }

    pub(super) fn line_at(&self, place: &Place<'_>) -> Result<Line, Refusal> {
        Ok(self.overlay.read(&place.key)?.unwrap_or_default())
    }

    /// A line that says nothing is not kept.
    pub(super) fn write_line(&mut self, place: &Place<'_>, line: &Line) {
        let key = place.key.clone();
        if line.reserved.is_zero() && line.paid.is_zero() {
            self.overlay.remove(key);
        } else {
            self.overlay.write(key, line);
        }
    }
}
