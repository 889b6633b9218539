//! What this node keeps for the hash table: who provides which root, and endpoint records.
//!
//! The store that comes with libp2p bounds the number of keys, whosoever they are: one flood of foreign announcements, and
//! a node can announce nothing of its own. Here our own keys have a bound of their own, and each peer and root has one too.
//!
//! What others provide is written to a file ([`super::remembered`]) and read at the next start. What this node itself has,
//! it says again; endpoints are told every minute.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::time::Instant;

use ledger::{PublicKey, Signed};
use libp2p::PeerId;
use libp2p::kad::store::{Error, RecordStore, Result};
use libp2p::kad::{ProviderRecord, Record, RecordKey};

use super::config::Limits;
use super::message::{Endpoint, MESSAGE_BYTES_MAX};
use super::remembered::{self, Change, Clocks, Remembered};

/// The longest key: a multihash of 64 bytes with its head, or an endpoint's.
const KEY_BYTES_MAX: usize = 80;
/// New records that wait to be written; beyond that the file is replaced by what is known then.
const UNWRITTEN_MAX: usize = 8192;
/// Old entries that a file may have beside as many as it has records.
const OLD_ENTRIES_MAX: usize = 1024;
const ENDPOINT_PREFIX: &[u8] = b"/ddn/endpoint/";

/// The key of a node's endpoint record.
pub fn endpoint_key(node: &PublicKey) -> RecordKey {
    RecordKey::from([ENDPOINT_PREFIX, node.as_bytes()].concat())
}

/// The node whose endpoint record has this key.
pub fn endpoint_node(key: &RecordKey) -> Option<PublicKey> {
    let bytes = key.as_ref().strip_prefix(ENDPOINT_PREFIX)?;
    PublicKey::from_bytes(bytes.try_into().ok()?).ok()
}

/// The records, in memory.
#[derive(Debug)]
pub struct Records {
    me: PeerId,
    limits: Limits,
    endpoints: HashMap<RecordKey, Held>,
    provided: HashSet<ProviderRecord>,
    providers: HashMap<RecordKey, Vec<ProviderRecord>>,
    by_peer: HashMap<PeerId, usize>,
    foreign: usize,
    file: Written,
}

/// What the file of provider records has.
#[derive(Debug, Default)]
struct Written {
    entries: usize,
    unwritten: Vec<ProviderRecord>,
    /// Whether it must be replaced: there is none, or its end is broken, or more came than was written.
    is_bad: bool,
}

#[derive(Debug)]
struct Held {
    record: Record,
    time_ms: u64,
}

impl Records {
    /// An empty store for the node `me`.
    pub fn new(me: PeerId, limits: Limits) -> Self {
        Self {
            me,
            limits,
            endpoints: HashMap::new(),
            provided: HashSet::new(),
            providers: HashMap::new(),
            by_peer: HashMap::new(),
            foreign: 0,
            file: Written {
                is_bad: true,
                ..Written::default()
            },
        }
    }

    /// Takes in what was known before a restart, within the bounds of today.
    pub fn restore(&mut self, remembered: Remembered) {
        self.file = Written {
            entries: remembered.entries,
            unwritten: Vec::new(),
            is_bad: !remembered.is_whole,
        };
        for record in remembered.records {
            if record.provider != self.me {
                // What has no room any more is left out, as when it came.
                let _ = self.add_foreign(record);
            }
        }
        self.file.unwritten.clear();
    }

    /// What is to be done to the file; none if nothing has changed.
    pub fn unsaved(&mut self, clocks: Clocks) -> Option<Change> {
        let (entries, new) = (self.file.entries, std::mem::take(&mut self.file.unwritten));
        let mut bytes = Vec::new();
        let is_old = entries + new.len() > 2 * self.foreign + OLD_ENTRIES_MAX;
        if is_old || self.file.is_bad && self.foreign > 0 {
            let all = self.providers.values().flatten();
            all.for_each(|record| remembered::push(&mut bytes, record, clocks));
            (self.file.entries, self.file.is_bad) = (self.foreign, false);
            return Some(Change::Replace(bytes));
        }
        new.iter()
            .for_each(|record| remembered::push(&mut bytes, record, clocks));
        self.file.entries += new.len();
        (!bytes.is_empty()).then_some(Change::Append(bytes))
    }

    /// A change of the file failed, so nobody knows what it has.
    pub fn unwritten(&mut self) {
        self.file.is_bad = true;
    }

    /// How many provider records of others there are.
    pub fn provider_records(&self) -> usize {
        self.foreign
    }

    /// How many keys this node provides.
    pub fn own_keys(&self) -> usize {
        self.provided.len()
    }

    /// Whether this node provides `key`.
    pub fn is_own(&self, key: &RecordKey) -> bool {
        self.provided
            .contains(&ProviderRecord::new(key.clone(), self.me, Vec::new()))
    }

    /// Drops what has expired.
    pub fn sweep(&mut self, now: Instant) {
        self.endpoints.retain(|_, held| !held.record.is_expired(now));
        let (by_peer, foreign) = (&mut self.by_peer, &mut self.foreign);
        self.providers.retain(|_, records| {
            records.retain(|record| {
                let expired = record.is_expired(now);
                if expired {
                    release(by_peer, &record.provider);
                    *foreign -= 1;
                }
                !expired
            });
            !records.is_empty()
        });
    }

    fn add_own(&mut self, record: ProviderRecord) -> Result<()> {
        if self.provided.len() >= self.limits.provided_max && !self.provided.contains(&record) {
            return Err(Error::MaxProvidedKeys);
        }
        self.provided.replace(record);
        Ok(())
    }

    fn add_foreign(&mut self, record: ProviderRecord) -> Result<()> {
        let of_peer = self.by_peer.get(&record.provider).copied().unwrap_or(0);
        let is_full = self.foreign >= self.limits.provider_records_max
            || of_peer >= self.limits.provider_records_per_peer_max;
        let records = self.providers.get_mut(&record.key);
        if let Some(old) = records.and_then(|list| list.iter_mut().find(|r| r.provider == record.provider)) {
            self.file.note(&record);
            *old = record;
            return Ok(());
        }
        if is_full || record.key.as_ref().len() > KEY_BYTES_MAX {
            return Err(Error::MaxProvidedKeys);
        }
        let records = self.providers.entry(record.key.clone()).or_default();
        // A full list stays as it is, so that nobody can push the others out by announcing often.
        if records.len() < self.limits.provider_records_per_root_max {
            self.file.note(&record);
            *self.by_peer.entry(record.provider).or_default() += 1;
            self.foreign += 1;
            records.push(record);
        }
        Ok(())
    }
}

impl Written {
    fn note(&mut self, record: &ProviderRecord) {
        match self.unwritten.len() < UNWRITTEN_MAX {
            true => self.unwritten.push(record.clone()),
            false => self.is_bad = true,
        }
    }
}

fn release(by_peer: &mut HashMap<PeerId, usize>, peer: &PeerId) {
    if let Some(count) = by_peer.get_mut(peer) {
        *count -= 1;
        if *count == 0 {
            by_peer.remove(peer);
        }
    }
}

impl RecordStore for Records {
    type RecordsIter<'a> = Box<dyn Iterator<Item = Cow<'a, Record>> + 'a>;
    type ProvidedIter<'a> = Box<dyn Iterator<Item = Cow<'a, ProviderRecord>> + 'a>;

    fn get(&self, key: &RecordKey) -> Option<Cow<'_, Record>> {
        self.endpoints.get(key).map(|held| Cow::Borrowed(&held.record))
    }

    /// Takes an endpoint record whose signature was checked before; the newest wins.
    fn put(&mut self, record: Record) -> Result<()> {
        let signed = Signed::<Endpoint>::decode(&record.value, MESSAGE_BYTES_MAX);
        let time_ms = signed.map_err(|_| Error::ValueTooLarge)?.body.time_ms;
        if self
            .endpoints
            .get(&record.key)
            .is_some_and(|held| held.time_ms > time_ms)
        {
            return Ok(());
        }
        if self.endpoints.len() >= self.limits.endpoint_records_max
            && !self.endpoints.contains_key(&record.key)
        {
            return Err(Error::MaxRecords);
        }
        self.endpoints
            .insert(record.key.clone(), Held { record, time_ms });
        Ok(())
    }

    fn remove(&mut self, key: &RecordKey) {
        self.endpoints.remove(key);
    }

    fn records(&self) -> Self::RecordsIter<'_> {
        Box::new(self.endpoints.values().map(|held| Cow::Borrowed(&held.record)))
    }

    fn add_provider(&mut self, record: ProviderRecord) -> Result<()> {
        if record.provider == self.me {
            self.add_own(record)
        } else {
            self.add_foreign(record)
        }
    }

    fn providers(&self, key: &RecordKey) -> Vec<ProviderRecord> {
        let own = self
            .provided
            .get(&ProviderRecord::new(key.clone(), self.me, Vec::new()));
        let foreign = self.providers.get(key).into_iter().flatten();
        own.into_iter().chain(foreign).cloned().collect()
    }

    fn provided(&self) -> Self::ProvidedIter<'_> {
        Box::new(self.provided.iter().map(Cow::Borrowed))
    }

    fn remove_provider(&mut self, key: &RecordKey, provider: &PeerId) {
        if *provider == self.me {
            self.provided
                .remove(&ProviderRecord::new(key.clone(), self.me, Vec::new()));
            return;
        }
        let Some(records) = self.providers.get_mut(key) else {
            return;
        };
        let before = records.len();
        records.retain(|record| record.provider != *provider);
        if records.len() < before {
            release(&mut self.by_peer, provider);
            self.foreign -= 1;
        }
        if records.is_empty() {
            self.providers.remove(key);
        }
    }
}

#[cfg(test)]
mod tests;
