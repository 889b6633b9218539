//! The newest advert of each edge, in bounded memory: so many in all, and so many of those that belong together.

use std::collections::BTreeMap;

use super::{Advert, Belongs, CROWD_MAX, EDGES_MAX, GAP_US_MIN, Refused, check};
use crate::EdgeId;
use crate::prefix::Prefix;
use crate::quorum::Operator;

/// The newest advert of each edge.
#[derive(Clone, Debug, Default)]
pub struct Adverts {
    newest: BTreeMap<EdgeId, Advert>,
    by_operator: BTreeMap<Option<Operator>, u32>,
    by_place: BTreeMap<Prefix, u32>,
    by_network: BTreeMap<u32, u32>,
}

impl Adverts {
    /// Takes an advert, of `now_us` in microseconds since 1970.
    ///
    /// # Errors
    /// If it is out of its time or bounds, replaced, or one too many.
    pub fn take(&mut self, advert: &Advert, now_us: u64) -> Result<(), Refused> {
        check(advert, now_us)?;
        match self.newest.get(&advert.edge) {
            Some(known) if known.issued_us >= advert.issued_us => return Err(Refused::Replayed),
            Some(known) if known.issued_us + GAP_US_MIN > advert.issued_us => return Err(Refused::TooOften),
            _ => {}
        }
        let before = self.remove(&advert.edge);
        let taken = self.has_room(&advert.belongs, now_us);
        // Whoever moves to where there is no room keeps what it said before.
        let stays = if taken.is_ok() { Some(*advert) } else { before };
        stays.into_iter().for_each(|advert| self.insert(advert));
        taken
    }

    /// The newest advert of an edge, if it holds.
    #[must_use]
    pub fn get(&self, edge: &EdgeId, now_us: u64) -> Option<&Advert> {
        self.newest.get(edge).filter(|advert| advert.expires_us > now_us)
    }

    /// All that hold, by edge.
    pub fn iter(&self, now_us: u64) -> impl Iterator<Item = &Advert> {
        self.newest
            .values()
            .filter(move |advert| advert.expires_us > now_us)
    }

    /// Forgets an edge.
    pub fn remove(&mut self, edge: &EdgeId) -> Option<Advert> {
        let advert = self.newest.remove(edge)?;
        let Belongs {
            operator,
            place,
            network,
        } = advert.belongs;
        less(&mut self.by_operator, &operator);
        less(&mut self.by_place, &place);
        if let Some(network) = network {
            less(&mut self.by_network, &network);
        }
        Some(advert)
    }

    fn insert(&mut self, advert: Advert) {
        let Belongs {
            operator,
            place,
            network,
        } = advert.belongs;
        *self.by_operator.entry(operator).or_default() += 1;
        *self.by_place.entry(place).or_default() += 1;
        if let Some(network) = network {
            *self.by_network.entry(network).or_default() += 1;
        }
        self.newest.insert(advert.edge, advert);
    }

    fn has_room(&mut self, belongs: &Belongs, now_us: u64) -> Result<(), Refused> {
        if self.crowd(belongs).is_err() || self.newest.len() >= EDGES_MAX {
            self.forget_expired(now_us);
        }
        self.crowd(belongs)?;
        match self.newest.len() < EDGES_MAX {
            true => Ok(()),
            false => Err(Refused::Full),
        }
    }

    fn crowd(&self, belongs: &Belongs) -> Result<(), Refused> {
        let Belongs {
            operator,
            place,
            network,
        } = belongs;
        let of_network = network.and_then(|network| self.by_network.get(&network));
        let is_crowded = self.by_operator.get(operator) >= Some(&CROWD_MAX.operator)
            || (self.by_place.get(place) >= Some(&CROWD_MAX.place) && !place.is_private())
            || of_network >= Some(&CROWD_MAX.network);
        if is_crowded { Err(Refused::Crowded) } else { Ok(()) }
    }

    fn forget_expired(&mut self, now_us: u64) {
        let over = self.newest.values().filter(|advert| advert.expires_us <= now_us);
        let over: Vec<EdgeId> = over.map(|advert| advert.edge).collect();
        for edge in &over {
            self.remove(edge);
        }
    }
}

fn less<K: Ord>(counts: &mut BTreeMap<K, u32>, key: &K) {
    let left = counts.get_mut(key).map(|count| {
        *count -= 1;
        *count
    });
    if left == Some(0) {
        counts.remove(key);
    }
}
