//! Signatures, each made once for its time.

use std::sync::Arc;

use hickory_proto::rr::{Name, Record, RecordType};
use quick_cache::sync::Cache;
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;

use super::canonical::{self, Set};
use super::key::{PublicPart, SigningKey};
use super::opaque;

/// Signatures are made anew so often. Seconds.
const PERIOD: u64 = 6 * 3_600;
/// A signature holds from so long before its period: clocks that are wrong by their time zone still take it. Seconds.
const EARLY: u64 = 24 * 3_600;
/// And until so long after the period began: longer than anybody keeps an answer (a day), and as much for wrong clocks.
/// Not longer, since an old answer can be played back until then. Seconds.
const LATE: u64 = 54 * 3_600;

/// When a signature holds, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// From.
    pub inception: u64,
    /// To.
    pub expiration: u64,
    /// Until then it is the one that is given; then comes the next.
    pub renewal: u64,
}

impl Window {
    /// For signatures that are asked for at `now`.
    #[must_use]
    pub fn at(now: u64) -> Self {
        let start = now - now % PERIOD;
        Self {
            inception: start.saturating_sub(EARLY),
            expiration: start + LATE,
            renewal: start + PERIOD,
        }
    }
}

/// What a zone is signed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    /// The private key.
    pub key: SigningKey,
    /// Its public part.
    pub public: PublicPart,
}

/// Makes signatures and keeps them.
pub struct Signer {
    random: SystemRandom,
    /// By the digest of what is signed, which holds the key's tag and the time too.
    made: Cache<[u8; 32], Arc<[u8]>>,
}

impl Signer {
    /// One that keeps so many signatures, with some 300 bytes each.
    pub fn new(kept_max: usize) -> Self {
        Self {
            random: SystemRandom::new(),
            made: Cache::new(kept_max),
        }
    }

    /// The RRSIG records for a section; `seal` says with what the records of a name and type are signed, and in which
    /// zone. `None` if a signature cannot be made.
    pub fn sign<'a>(
        &self,
        section: &[Record],
        window: Window,
        seal: impl Fn(&Name, RecordType) -> Option<(&'a Name, &'a Seal)>,
    ) -> Option<Vec<Record>> {
        let sets = canonical::sets(section).into_iter();
        let sealed = sets.filter_map(|set| seal(set.owner, set.kind).map(|(apex, seal)| (set, apex, seal)));
        sealed
            .map(|(set, apex, seal)| self.sign_set(&set, apex, seal, window))
            .collect()
    }

    fn sign_set(&self, set: &Set<'_>, apex: &Name, seal: &Seal, window: Window) -> Option<Record> {
        let ttl = set.records.iter().map(|record| record.ttl).min().unwrap_or(0);
        let mut rrsig = head(set, ttl, apex, seal.public.tag, window);
        let covered = [&rrsig[..], &canonical::set(set, ttl)].concat();
        rrsig.extend_from_slice(&self.signature(&seal.key, &covered)?);
        Some(Record::from_rdata(
            set.owner.clone(),
            ttl,
            opaque(RecordType::RRSIG, rrsig),
        ))
    }

    fn signature(&self, key: &SigningKey, covered: &[u8]) -> Option<Arc<[u8]>> {
        let digest = digest(&SHA256, covered);
        let id: [u8; 32] = digest.as_ref().try_into().ok()?;
        if let Some(known) = self.made.get(&id) {
            return Some(known);
        }
        let made: Arc<[u8]> = key.sign(&self.random, covered).ok()?.into();
        self.made.insert(id, Arc::clone(&made));
        Some(made)
    }
}

/// RRSIG data without the signature (RFC 4034, section 3.1).
fn head(set: &Set<'_>, ttl: u32, apex: &Name, tag: u16, window: Window) -> Vec<u8> {
    let mut bytes = u16::from(set.kind).to_be_bytes().to_vec();
    // Labels without the root and without a `*` at the beginning, which `num_labels` leaves out.
    bytes.extend([PublicPart::ALGORITHM, set.owner.num_labels()]);
    bytes.extend(ttl.to_be_bytes());
    bytes.extend(serial(window.expiration).to_be_bytes());
    bytes.extend(serial(window.inception).to_be_bytes());
    bytes.extend(tag.to_be_bytes());
    bytes.extend(canonical::name(apex));
    bytes
}

/// Times are serial numbers: they wrap in 2106 (RFC 4034, section 3.1.5).
fn serial(seconds: u64) -> u32 {
    (seconds & u64::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whenever it is asked for, a signature holds for clocks that are a day wrong, and the answer may be kept a day.
        #[test]
        fn windows_hold_for_wrong_clocks(now in 86_400u64..1 << 40) {
            let window = Window::at(now);
            prop_assert!(window.inception + 86_400 <= now);
            prop_assert!(window.expiration >= now + 48 * 3_600);
            prop_assert!(window.renewal > now && window.renewal <= now + PERIOD);
            prop_assert_eq!(Window::at(window.renewal - 1), window);
        }
    }
}
