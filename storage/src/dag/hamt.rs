//! Folders too large for one block: a trie of shards over the hash of the names (HAMT).
//!
//! A shard has up to `fanout` links. A link's name starts with its slot in upper-case hex, as wide as the largest
//! slot; what follows is the name of an entry, or nothing for a shard below. Levels take the hash from its most
//! significant bits, and the bitfield of taken slots is big-endian without leading zeros: the UnixFS specification
//! words both differently, but the CIDs that everybody has are made so.

use bytes::Bytes;
use cid::Cid;

use super::pb::{Encoder, PbLink, PbNode};
use super::profile::Profile;
use super::unixfs::{Type, UnixFs, shard_node};
use super::{Child, Sink, murmur3};
use crate::Error;

/// Writes a folder as shards; the entries are in any order, their names differ.
pub(crate) fn write<'a>(
    sink: &dyn Sink,
    profile: Profile,
    entries: impl Iterator<Item = (&'a str, Child)>,
) -> Result<Child, Error> {
    let mut slotted: Vec<Slotted<'a>> = entries
        .map(|(name, child)| Slotted {
            hash: murmur3::hash(name.as_bytes()),
            name,
            child,
        })
        .collect();
    slotted.sort_unstable_by_key(|entry| entry.hash);
    write_shard(sink, profile, &slotted, 0)
}

/// One shard of a folder, as it is read.
pub(crate) struct Shard {
    cid: Cid,
    links: Vec<PbLink>,
    place: Place,
    slot_bits: u32,
    /// Hex digits in front of a name.
    width: usize,
}

/// Where a shard is: the bits of the hash that all names below it share. The default is the root.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    bits: u64,
    used: u32,
}

/// What stands in a slot.
pub(crate) enum Slot {
    Entry { name: Bytes, cid: Cid, tree_bytes: u64 },
    Shard(Cid, Place),
}

impl Shard {
    pub fn new(cid: &Cid, node: PbNode, data: &UnixFs, place: Place) -> Result<Shard, Error> {
        let fault = |reason: &str| Err(Error::malformed(cid, format!("HAMT: {reason}")));
        let fanout = data.fanout.unwrap_or(0);
        if data.kind != Type::HamtShard || data.hash_type != Some(MURMUR3) {
            return fault("not a shard by murmur3");
        }
        if !fanout.is_power_of_two() || !(8..=1024).contains(&fanout) {
            return fault("the fanout is not a power of two from 8 to 1024");
        }
        let slot_bits = fanout.trailing_zeros();
        if place.used + slot_bits > u64::BITS {
            return fault("deeper than its hash");
        }
        if node.links.len() as u64 > fanout || (node.links.is_empty() && place != Place::default()) {
            return fault("an empty shard below the root, or one with more links than slots");
        }
        let width = format!("{:X}", fanout - 1).len();
        Ok(Shard {
            cid: *cid,
            links: node.links,
            place,
            slot_bits,
            width,
        })
    }

    /// What is on the way to `name`: its entry, or the shard below.
    pub fn find(&self, name: &str) -> Result<Option<Slot>, Error> {
        let slot = murmur3::hash(name.as_bytes()) << self.place.used >> (u64::BITS - self.slot_bits);
        let prefix = format!("{slot:0width$X}", width = self.width);
        let taken = self
            .links
            .iter()
            .find(|link| link.name.starts_with(prefix.as_bytes()));
        Ok(match taken.map(|link| self.slot(link)).transpose()? {
            Some(Slot::Entry { name: found, .. }) if found != name.as_bytes() => None,
            slot => slot,
        })
    }

    /// All slots in the order of the block.
    pub fn slots(&self) -> impl DoubleEndedIterator<Item = Result<Slot, Error>> + '_ {
        self.links.iter().map(|link| self.slot(link))
    }

    /// Entries must be where their hash puts them. So a shard cannot be linked to from two places, and a few blocks
    /// cannot pose as a folder without end.
    fn slot(&self, link: &PbLink) -> Result<Slot, Error> {
        let fault = |reason: &str| Err(Error::malformed(&self.cid, format!("HAMT: {reason}")));
        let Some(slot) = link.name.get(..self.width).and_then(parse_slot) else {
            return fault("a link without its slot");
        };
        if slot >> self.slot_bits != 0 {
            return fault("a link beyond the last slot");
        }
        let place = Place {
            bits: self.place.bits << self.slot_bits | slot,
            used: self.place.used + self.slot_bits,
        };
        let name = link.name.slice(self.width..);
        if name.is_empty() {
            return Ok(Slot::Shard(link.cid, place));
        }
        if murmur3::hash(&name) >> (u64::BITS - place.used) != place.bits {
            return fault("an entry in the wrong slot");
        }
        Ok(Slot::Entry {
            name,
            cid: link.cid,
            tree_bytes: link.tree_bytes,
        })
    }
}

impl Slot {
    /// Whether there may be an entry in it whose hash is above that of `name`: the order of the slots is that of the hashes.
    pub fn reaches_beyond(&self, name: &str) -> bool {
        let hash = murmur3::hash(name.as_bytes());
        match self {
            Slot::Entry { name, .. } => murmur3::hash(name) > hash,
            Slot::Shard(_, place) => place.bits >= hash >> (u64::BITS - place.used),
        }
    }
}

fn parse_slot(hex: &[u8]) -> Option<u64> {
    hex.iter().try_fold(0, |slot, &digit| match digit {
        b'0'..=b'9' => Some(slot << 4 | u64::from(digit - b'0')),
        b'A'..=b'F' => Some(slot << 4 | u64::from(digit - b'A' + 10)),
        _ => None,
    })
}

struct Slotted<'a> {
    hash: u64,
    name: &'a str,
    child: Child,
}

fn write_shard(
    sink: &dyn Sink,
    profile: Profile,
    entries: &[Slotted<'_>],
    depth: u32,
) -> Result<Child, Error> {
    if depth == u64::BITS / SLOT_BITS {
        let reason = "the names of two entries have the same hash; a sharded folder cannot hold both";
        return Err(Error::Conflict {
            path: entries[0].name.to_owned(),
            reason,
        });
    }
    let slot_of = |entry: &Slotted<'_>| (entry.hash << (depth * SLOT_BITS) >> (u64::BITS - SLOT_BITS)) as u8;
    let mut node = Encoder::with_capacity(16 << 10);
    let mut bitfield = [0u8; FANOUT / 8];
    let mut below = 0;
    for group in entries.chunk_by(|a, b| slot_of(a) == slot_of(b)) {
        let slot = slot_of(&group[0]);
        let (name, child) = match group {
            [entry] => (format!("{slot:02X}{}", entry.name), entry.child),
            _ => (
                format!("{slot:02X}"),
                write_shard(sink, profile, group, depth + 1)?,
            ),
        };
        node.link(&child.cid, name.as_bytes(), child.tree_bytes);
        bitfield[FANOUT / 8 - 1 - usize::from(slot) / 8] |= 1 << (slot % 8);
        below += child.tree_bytes;
    }
    let leading_zeros = bitfield.iter().take_while(|&&byte| byte == 0).count();
    let block = node.finish(&shard_node(&bitfield[leading_zeros..], MURMUR3, FANOUT as u64));
    let cid = profile.seal_node(sink, &block)?;
    Ok(Child {
        cid,
        tree_bytes: below + block.len() as u64,
        file_bytes: 0,
    })
}

/// Multicodec code of murmur3-x64-64.
const MURMUR3: u64 = 0x22;
const FANOUT: usize = 256;
const SLOT_BITS: u32 = 8;
