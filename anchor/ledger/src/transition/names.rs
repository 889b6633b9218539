//! Names: register, set, renew, transfer, release.

use std::collections::BTreeMap;

use super::money::Bill;
use super::{Refusal, Transition};
use crate::amount::Amount;
use crate::codec::encode;
use crate::keys::Address;
use crate::name::{Label, NamePath};
use crate::records::Records;
use crate::state::{NameEntry, State, key};

/// The most names under one label, besides the label itself.
const MAX_UNDERNAMES: usize = 256;
/// The most bytes of a name's encoded records, all together: everybody keeps them.
const MAX_RECORDS_BYTES: usize = 32 * 1024;

impl Transition<'_> {
    pub(super) fn register(
        &mut self,
        sender: &Address,
        label: &Label,
        records: &Records,
        committed: u64,
        bill: Bill,
    ) -> Result<(), Refusal> {
        records.check()?;
        if self.genesis.is_reserved(label) {
            return Err(Refusal::NameReserved {
                name: self.full(label),
            });
        }
        let premium = self.premium(label)?;
        if let Some(entry) = self.overlay.name(label)? {
            self.make_way(sender, label, &entry, committed)?;
        }
        self.pay_rent(sender, bill)?;
        let mut entry = NameEntry {
            owner: *sender,
            registered: self.height,
            committed,
            expires: self.height.saturating_add(self.genesis.rent.period),
            seq: 0,
            changed: self.height,
            premium,
            records: BTreeMap::new(),
        };
        put_records(&mut entry, "", records);
        self.overlay.write(key::name(label), &entry);
        Ok(())
    }

    /// What a label costs beyond the rent if it is registered in this block.
    pub(super) fn premium(&self, label: &Label) -> Result<Amount, Refusal> {
        let entry = self.overlay.name(label)?;
        Ok(self.genesis.rent.premium(label, entry.as_ref(), self.height))
    }

    /// Whether a new claim may replace an entry: its term and grace are over, or its commit is the younger one. In that
    /// case its owner gets back what was paid: the rent of all periods, and the premium.
    fn make_way(
        &mut self,
        sender: &Address,
        label: &Label,
        entry: &NameEntry,
        committed: u64,
    ) -> Result<(), Refusal> {
        let free_at = entry.free_at(self.genesis.rent.grace);
        if self.height >= free_at {
            return Ok(());
        }
        if entry.owner == *sender || committed >= entry.committed {
            let owner = self.show(&entry.owner);
            return Err(Refusal::NameTaken {
                name: self.full(label),
                owner,
                free_at,
            });
        }
        let paid = entry.expires.saturating_sub(entry.registered);
        let periods = paid.checked_div(self.genesis.rent.period).unwrap_or_default();
        let rent = self
            .genesis
            .rent
            .of(label)
            .checked_mul(periods)
            .and_then(|rent| rent.checked_add(entry.premium))
            .ok_or_else(super::money::impossible)?;
        self.return_rent(&entry.owner, rent)
    }

    pub(super) fn set_records(
        &mut self,
        sender: &Address,
        label: &Label,
        under: &str,
        records: &Records,
    ) -> Result<(), Refusal> {
        records.check()?;
        let mut entry = self.active_name(sender, label)?;
        if !under.is_empty() {
            NamePath::parse(&format!("{under}.{}", self.full(label)), &self.genesis.tld)?;
        }
        put_records(&mut entry, under, records);
        let (names, bytes) = (entry.records.len(), encode(&entry.records).len());
        if names > MAX_UNDERNAMES + 1 || bytes > MAX_RECORDS_BYTES {
            let name = self.full(label);
            return Err(Refusal::NameFull {
                name,
                names,
                bytes,
                max_names: MAX_UNDERNAMES + 1,
                max_bytes: MAX_RECORDS_BYTES,
            });
        }
        self.write_name(label, entry);
        Ok(())
    }

    pub(super) fn renew(
        &mut self,
        sender: &Address,
        label: &Label,
        periods: u32,
        bill: Bill,
    ) -> Result<(), Refusal> {
        let rent = &self.genesis.rent;
        let (period, most) = (rent.period, rent.max_periods);
        let mut entry = self.own_name(sender, label)?;
        let expires = u64::from(periods)
            .checked_mul(period)
            .and_then(|term| entry.expires.checked_add(term));
        let latest = self.height.saturating_add(period.saturating_mul(u64::from(most)));
        let Some(expires) = expires.filter(|expires| periods > 0 && *expires <= latest) else {
            return Err(Refusal::Term {
                name: self.full(label),
                periods,
                expires: entry.expires,
                latest,
                period,
            });
        };
        self.pay_rent(sender, bill)?;
        entry.expires = expires;
        self.write_name(label, entry);
        Ok(())
    }

    pub(super) fn transfer_name(
        &mut self,
        sender: &Address,
        label: &Label,
        to: &Address,
    ) -> Result<(), Refusal> {
        let mut entry = self.active_name(sender, label)?;
        if to == sender {
            return Err(Refusal::OwnAlready {
                object: self.full(label),
                owner: self.show(to),
            });
        }
        entry.owner = *to;
        self.write_name(label, entry);
        Ok(())
    }

    pub(super) fn release(&mut self, sender: &Address, label: &Label) -> Result<(), Refusal> {
        self.own_name(sender, label)?;
        self.overlay.remove(key::name(label));
        Ok(())
    }

    /// The sender's name, also while it is in its grace.
    fn own_name(&self, sender: &Address, label: &Label) -> Result<NameEntry, Refusal> {
        let free_at = |entry: &NameEntry| entry.free_at(self.genesis.rent.grace);
        let entry = self
            .overlay
            .name(label)?
            .filter(|entry| self.height < free_at(entry));
        let entry = entry.ok_or_else(|| Refusal::NameUnknown {
            name: self.full(label),
        })?;
        if entry.owner != *sender {
            let (object, owner) = (self.full(label), self.show(&entry.owner));
            return Err(Refusal::NotOwner {
                object,
                owner,
                sender: self.show(sender),
            });
        }
        Ok(entry)
    }

    /// The sender's name, within its term.
    fn active_name(&self, sender: &Address, label: &Label) -> Result<NameEntry, Refusal> {
        let entry = self.own_name(sender, label)?;
        if !entry.is_active(self.height) {
            let free_at = entry.free_at(self.genesis.rent.grace);
            return Err(Refusal::NameExpired {
                name: self.full(label),
                expires: entry.expires,
                free_at,
            });
        }
        Ok(entry)
    }

    fn write_name(&mut self, label: &Label, mut entry: NameEntry) {
        entry.seq += 1;
        entry.changed = self.height;
        self.overlay.write(key::name(label), &entry);
    }

    fn full(&self, label: &Label) -> String {
        format!("{label}.{}", self.genesis.tld)
    }
}

fn put_records(entry: &mut NameEntry, under: &str, records: &Records) {
    if records.is_empty() {
        entry.records.remove(under);
    } else {
        entry.records.insert(under.into(), records.clone());
    }
}
