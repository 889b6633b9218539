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
    slot_bits: u32,
    /// Hex digits in front of a name.
    width: usize,
}

/// What stands in a slot.
pub(crate) enum Slot {
    Entry { name: Bytes, cid: Cid, tree_bytes: u64 },
    Shard(Cid),
}

impl Shard {
    pub fn new(cid: &Cid, node: PbNode, data: &UnixFs) -> Result<Shard, Error> {
        let fanout = data.fanout.unwrap_or(0);
        if data.kind != Type::HamtShard || data.hash_type != Some(MURMUR3) {
            return Err(Error::malformed(cid, "not a HAMT shard by murmur3"));
        }
        if !fanout.is_power_of_two() || !(8..=1024).contains(&fanout) {
            return Err(Error::malformed(cid, format!("a HAMT of fanout {fanout}")));
        }
        if node.links.len() as u64 > fanout {
            return Err(Error::malformed(cid, "more links than slots"));
        }
        let width = format!("{:X}", fanout - 1).len();
        Ok(Shard {
            cid: *cid,
            links: node.links,
            slot_bits: fanout.trailing_zeros(),
            width,
        })
    }

    /// The slot on the way to `name`, if it is taken by that name or a shard. `depth` is 0 for the root.
    pub fn find(&self, name: &str, depth: u32) -> Result<Option<Slot>, Error> {
        let used = depth * self.slot_bits;
        if used + self.slot_bits > 64 {
            return Err(Error::malformed(&self.cid, "a HAMT deeper than its hash"));
        }
        let slot = murmur3::hash(name.as_bytes()) << used >> (64 - self.slot_bits);
        let prefix = format!("{slot:0width$X}", width = self.width);
        let taken = self
            .links
            .iter()
            .filter(|link| link.name.starts_with(prefix.as_bytes()));
        let mut slots = taken
            .map(|link| self.slot(link))
            .collect::<Result<Vec<_>, _>>()?
            .into_iter();
        Ok(slots.find(|slot| match slot {
            Slot::Shard(_) => true,
            Slot::Entry { name: found, .. } => found == name.as_bytes(),
        }))
    }

    /// All slots in the order of the block.
    pub fn slots(&self) -> impl DoubleEndedIterator<Item = Result<Slot, Error>> + '_ {
        self.links.iter().map(|link| self.slot(link))
    }

    fn slot(&self, link: &PbLink) -> Result<Slot, Error> {
        if link.name.len() < self.width || !link.name[..self.width].iter().all(u8::is_ascii_hexdigit) {
            return Err(Error::malformed(&self.cid, "a link of a HAMT without its slot"));
        }
        let name = link.name.slice(self.width..);
        Ok(match name.is_empty() {
            true => Slot::Shard(link.cid),
            false => Slot::Entry {
                name,
                cid: link.cid,
                tree_bytes: link.tree_bytes,
            },
        })
    }
}

/// Levels that a HAMT can have before its 64-bit hash is used up, at the least fanout that is read.
pub(crate) const DEPTH_MAX: u32 = 64 / 3;

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
