//! What is kept, bounded by its bytes: one budget for answers, blocks, tables and names, so that whatever is asked for
//! most has the memory.

use std::cell::RefCell;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use cid::Cid;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, Equivalent, OptionsBuilder, Weighter};
use storage::Leaves;

use super::asked::Asked;
use super::kept::Kept;

/// Everything that is kept.
pub(super) struct Memory {
    cache: Option<Cache<Key, Aged, Bytesize>>,
}

/// A name that led to a root, and when.
#[derive(Debug)]
pub(crate) struct Slot {
    height: AtomicU64,
}

impl Slot {
    /// The newest height at which the name led to its root.
    pub(super) fn height(&self) -> u64 {
        self.height.load(Ordering::Acquire)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Key {
    /// The bytes of a request that decide its answer.
    Answer(Box<[u8]>),
    Block(Cid),
    Leaves(Cid),
    Name(Box<str>, Cid),
}

/// A value, and the age of the memory at which it was true.
#[derive(Clone)]
struct Aged {
    age: u64,
    value: Value,
}

#[derive(Clone)]
enum Value {
    Answer(Arc<Kept>),
    Block(Bytes),
    /// `None` if the file has no table.
    Leaves(Option<Arc<Leaves>>),
    Name(Arc<Slot>),
}

impl Memory {
    pub(super) fn new(bytes: u64) -> Self {
        let cache = (bytes > 0).then(|| {
            let options = OptionsBuilder::new()
                .weight_capacity(bytes)
                .estimated_items_capacity(ITEMS)
                .shards(shards(bytes))
                .build();
            let options = options.expect("both capacities are set");
            Cache::with_options(
                options,
                Bytesize,
                DefaultHashBuilder::default(),
                DefaultLifecycle::default(),
            )
        });
        Self { cache }
    }

    pub(super) fn is_on(&self) -> bool {
        self.cache.is_some()
    }

    pub(super) fn answer(&self, asked: &Asked<'_>, age: u64) -> Option<Arc<Kept>> {
        let cache = self.cache.as_ref()?;
        let kept = WANTED.with_borrow_mut(|text| {
            text.clear();
            asked.write_key(text);
            cache.get(&Wanted(text))
        });
        match kept? {
            Aged {
                age: kept,
                value: Value::Answer(answer),
            } if kept == age => Some(answer),
            _ => None,
        }
    }

    pub(super) fn keep_answer(&self, asked: &Asked<'_>, age: u64, answer: Kept) {
        let mut text = Vec::new();
        asked.write_key(&mut text);
        self.keep(Key::Answer(text.into()), age, Value::Answer(Arc::new(answer)));
    }

    pub(super) fn block(&self, cid: &Cid, age: u64) -> Option<Bytes> {
        match self.get(&Key::Block(*cid), age)? {
            Value::Block(block) => Some(block),
            _ => None,
        }
    }

    pub(super) fn keep_block(&self, cid: &Cid, age: u64, block: Bytes) {
        self.keep(Key::Block(*cid), age, Value::Block(block));
    }

    /// What is known of a file's table: that it has none, too.
    pub(super) fn leaves(&self, cid: &Cid, age: u64) -> Option<Option<Arc<Leaves>>> {
        match self.get(&Key::Leaves(*cid), age)? {
            Value::Leaves(leaves) => Some(leaves),
            _ => None,
        }
    }

    pub(super) fn keep_leaves(&self, cid: &Cid, age: u64, leaves: Option<Arc<Leaves>>) {
        self.keep(Key::Leaves(*cid), age, Value::Leaves(leaves));
    }

    /// Notes that `name` led to `root` at `height`.
    pub(super) fn slot(&self, name: &str, root: Cid, height: u64, age: u64) -> Arc<Slot> {
        let key = Key::Name(name.into(), root);
        if let Some(Value::Name(slot)) = self.get(&key, age) {
            slot.height.fetch_max(height, Ordering::AcqRel);
            return slot;
        }
        let slot = Arc::new(Slot {
            height: AtomicU64::new(height),
        });
        self.keep(key, age, Value::Name(Arc::clone(&slot)));
        slot
    }

    fn get(&self, key: &Key, age: u64) -> Option<Value> {
        let aged = self.cache.as_ref()?.get(key)?;
        (aged.age == age).then_some(aged.value)
    }

    fn keep(&self, key: Key, age: u64, value: Value) {
        if let Some(cache) = &self.cache {
            cache.insert(key, Aged { age, value });
        }
    }
}

thread_local! {
    /// The key that is looked for.
    static WANTED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The key of an answer, before there is one.
struct Wanted<'a>(&'a [u8]);

impl Hash for Wanted<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.0);
    }
}

impl Equivalent<Key> for Wanted<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        matches!(key, Key::Answer(text) if **text == *self.0)
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Answer(text) => state.write(text),
            Self::Block(cid) => (0, cid).hash(state),
            Self::Leaves(cid) => (1, cid).hash(state),
            Self::Name(name, cid) => (name, cid).hash(state),
        }
    }
}

/// What an entry takes.
#[derive(Clone)]
struct Bytesize;

impl Weighter<Key, Aged> for Bytesize {
    fn weight(&self, key: &Key, aged: &Aged) -> u64 {
        let key = match key {
            Key::Answer(text) => text.len(),
            Key::Name(name, _) => name.len(),
            Key::Block(_) | Key::Leaves(_) => 0,
        };
        let value = match &aged.value {
            Value::Answer(kept) => kept.bytes(),
            Value::Block(block) => block.len(),
            Value::Leaves(leaves) => leaves.as_ref().map_or(0, |leaves| leaves.count() * LEAF_BYTES),
            Value::Name(_) => 0,
        };
        (key + value + ENTRY_BYTES) as u64
    }
}

/// What an entry takes beside its value, in the cache's tables.
const ENTRY_BYTES: usize = 2 * (size_of::<Key>() + size_of::<Aged>()) + 64;
const LEAF_BYTES: usize = size_of::<(u64, Cid)>();
/// A guess, which the cache sizes the memory of what it has seen by.
const ITEMS: usize = 16 << 10;
/// Room for many of the largest blocks in each: what is larger than a shard is not kept.
const SHARD_BYTES_MIN: u64 = 64 << 20;

/// Parts of the cache, each with a lock of its own.
fn shards(bytes: u64) -> usize {
    (bytes / SHARD_BYTES_MIN).clamp(1, 16) as usize
}
