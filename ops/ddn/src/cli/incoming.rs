//! Blocks as they come in from the node: a reader of trees can start with the first one, and nothing is kept on disk.
//!
//! The node sends each block once, parents first, in the order in which a tree is read. So the block that is asked
//! for is nearly always the next one, or one of the last. Nodes of the tree are kept, of the leaves the newest. What
//! is asked for after that (equal content in two places) is fetched again by its CID.
//!
//! A stream that breaks off may have a block of JSON as its last one, in which the node says why.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    io::{self, Read},
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use cid::Cid;
use storage::{Blocks, Error, car, codec};

use crate::api::types::{ErrorBody, ErrorText};

/// The multicodec of JSON.
const JSON: u64 = 0x0200;

/// Bytes of nodes and of leaves that are kept at most. The nodes of a tree of 1 TiB take about 50 MB; a leaf is at
/// most 2 MiB and may be looked at more than once before the next one.
const KEPT_BYTES_MAX: Bounds = Bounds {
    nodes: 128 << 20,
    leaves: 16 << 20,
};

/// Hears how much came in, and says whether to go on.
pub type Progress = Box<dyn Fn(Amount) -> bool + Send + Sync>;

/// Fetches one block again.
pub type Again = Box<dyn Fn(&Cid) -> Result<Option<Bytes>, Error> + Send + Sync>;

/// The blocks of a CAR stream, each verified, and those that it takes to be fetched again.
pub struct Incoming<R> {
    state: Mutex<State<R>>,
    again: Again,
    progress: Progress,
}

/// How much came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Blocks.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
}

struct State<R> {
    stream: car::Reader<R>,
    seen: HashSet<Cid>,
    kept: Kept,
    amount: Amount,
    /// The newest block, if it is what a node would say before it breaks off.
    last_words: Option<ErrorText>,
}

#[derive(Clone, Copy, Debug)]
struct Bounds {
    nodes: usize,
    leaves: usize,
}

struct Kept {
    bytes_max: Bounds,
    bytes: Bounds,
    blocks: HashMap<Cid, Bytes>,
    /// The leaves among them, oldest first.
    leaves: VecDeque<Cid>,
}

impl<R: Read> Incoming<R> {
    /// Reads the head of the stream.
    pub fn new(
        stream: R,
        again: Again,
        progress: impl Fn(Amount) -> bool + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let stream = car::Reader::new(stream)?;
        let (seen, kept) = (HashSet::new(), Kept::within(KEPT_BYTES_MAX));
        let state = State {
            stream,
            seen,
            kept,
            amount: Amount::default(),
            last_words: None,
        };
        Ok(Self {
            state: Mutex::new(state),
            again,
            progress: Box::new(progress),
        })
    }

    /// How much came in so far.
    pub fn amount(&self) -> Amount {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).amount
    }
}

impl<R: Read> Blocks for Incoming<R> {
    fn block(&self, wanted: &Cid) -> Result<Option<Bytes>, Error> {
        // A panic of another reader leaves nothing half-done here that a later one could trip over.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(block) = state.kept.blocks.get(wanted) {
            return Ok(Some(block.clone()));
        }
        while !state.seen.contains(wanted) {
            let Some(next) = state.stream.next() else { break };
            let (cid, block) = next.map_err(|broken| state.why(broken, wanted))?;
            state.take_in(cid, &block);
            if !(self.progress)(state.amount) {
                return Err(given_up());
            }
            if cid == *wanted {
                return Ok(Some(block));
            }
        }
        let block = (self.again)(wanted)?;
        if let Some(block) = &block {
            state.kept.add(*wanted, block);
        }
        Ok(block)
    }
}

fn last_words(cid: &Cid, block: &[u8]) -> Option<ErrorText> {
    let body = (cid.codec() == JSON).then(|| serde_json::from_slice::<ErrorBody>(block));
    body?.ok().map(|body| body.error)
}

fn given_up() -> Error {
    Error::Stream {
        operation: "read",
        source: io::ErrorKind::Interrupted.into(),
    }
}

impl<R> State<R> {
    /// Why the stream broke off before a block that is wanted: in the node's words, if it left any.
    fn why(&mut self, broken: Error, wanted: &Cid) -> Error {
        let Some(words) = self.last_words.take() else {
            return broken;
        };
        match words.code.as_str() {
            "missing_block" => Error::Missing(*wanted),
            "unavailable" => Error::Unavailable {
                cid: *wanted,
                tried: words.details.into_iter().map(storage::Attempt::theirs).collect(),
            },
            _ => Error::Stream {
                operation: "read",
                source: io::Error::other(words.message),
            },
        }
    }

    fn take_in(&mut self, cid: Cid, block: &Bytes) {
        self.last_words = last_words(&cid, block);
        self.amount.blocks += 1;
        self.amount.bytes += block.len() as u64;
        if self.seen.insert(cid) {
            self.kept.add(cid, block);
        }
    }
}

impl Kept {
    fn within(bytes_max: Bounds) -> Self {
        let bytes = Bounds { nodes: 0, leaves: 0 };
        Self {
            bytes_max,
            bytes,
            blocks: HashMap::new(),
            leaves: VecDeque::new(),
        }
    }

    fn add(&mut self, cid: Cid, block: &Bytes) {
        if cid.codec() == codec::RAW {
            self.bytes.leaves += block.len();
            self.leaves.push_back(cid);
            self.blocks.insert(cid, block.clone());
            self.drop_old_leaves();
        } else if self.bytes.nodes + block.len() <= self.bytes_max.nodes {
            self.bytes.nodes += block.len();
            self.blocks.insert(cid, block.clone());
        }
    }

    fn drop_old_leaves(&mut self) {
        while self.bytes.leaves > self.bytes_max.leaves {
            let Some(oldest) = self.leaves.pop_front() else {
                return;
            };
            self.bytes.leaves -= self.blocks.remove(&oldest).map_or(0, |block| block.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    /// A folder with equal files, an empty one and a large one, as blocks and as a CAR.
    fn tree() -> (tempfile::TempDir, storage::Store, Cid, Vec<u8>) {
        let home = tempfile::tempdir().expect("a folder");
        let site = home.path().join("site");
        for folder in ["a", "b", "c"] {
            std::fs::create_dir_all(site.join(folder)).expect("a folder");
            std::fs::write(site.join(folder).join("same"), "equal content").expect("written");
        }
        std::fs::write(site.join("b/large"), vec![7; 3_000_000]).expect("written");
        std::fs::write(site.join("empty"), "").expect("written");
        let store = storage::Store::open(&home.path().join("blocks")).expect("a store");
        let imported = store
            .import_path(&site, storage::Profile::V1_2025, &mut |_| {})
            .expect("imported");
        let mut stream = Vec::new();
        car::write(&store, &[imported.root], &mut stream, &mut |_| {}).expect("written");
        (home, store, imported.root, stream)
    }

    fn refetched(bytes_max: Bounds) -> usize {
        let (home, store, root, stream) = tree();
        let fetched = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&fetched);
        let again: Again = Box::new(move |cid| {
            counter.fetch_add(1, Ordering::Relaxed);
            store.get(cid)
        });
        let incoming = Incoming::new(&stream[..], again, |_| true).expect("a CAR");
        incoming.state.lock().expect("nobody panicked").kept.bytes_max = bytes_max;
        let out = home.path().join("copy");
        storage::export(&incoming, &root, &out, &mut |_| {}).expect("exported");
        for file in ["a/same", "b/same", "c/same", "b/large", "empty"] {
            let read = |base: &str| std::fs::read(home.path().join(base).join(file)).expect("read");
            assert_eq!(read("copy"), read("site"), "{file}");
        }
        fetched.load(Ordering::Relaxed)
    }

    #[test]
    fn a_tree_is_read_from_the_stream_alone() {
        assert_eq!(refetched(KEPT_BYTES_MAX), 0);
    }

    #[test]
    fn what_is_not_kept_any_more_is_fetched_again() {
        // The equal chunk and file, after other leaves have come between.
        let few = refetched(Bounds {
            leaves: 100,
            ..KEPT_BYTES_MAX
        });
        assert!((1..20).contains(&few), "{few}");
        assert!(refetched(Bounds { nodes: 0, leaves: 0 }) > few);
    }

    #[test]
    fn a_reader_that_is_told_to_stop_leaves_nothing() {
        let (home, _store, root, stream) = tree();
        let few = |now: Amount| now.blocks < 4;
        let incoming = Incoming::new(&stream[..], Box::new(|_| Ok(None)), few).expect("a CAR");
        let place = home.path().join("place");
        std::fs::create_dir(&place).expect("a folder");
        assert!(storage::export(&incoming, &root, &place.join("copy"), &mut |_| {}).is_err());
        assert_eq!(std::fs::read_dir(&place).expect("a folder").count(), 0);
    }

    #[test]
    fn a_stream_that_breaks_off_says_why() {
        let (home, _store, root, stream) = tree();
        let words = ErrorBody {
            error: ErrorText {
                code: "unavailable".to_owned(),
                message: "nobody gave it".to_owned(),
                details: vec!["node 12: silent".to_owned()],
            },
        };
        let json = serde_json::to_vec(&words).expect("JSON");
        let cid = Cid::new_v1(JSON, *ledger::cid_of(&json).hash());
        // The root, then the words, then half a block.
        let mut blocks = car::Reader::new(&stream[..]).expect("a CAR");
        let (first, block) = blocks.next().expect("a block").expect("good");
        let mut broken = Vec::new();
        let mut writer = car::Writer::new(&mut broken, &[root]).expect("a CAR");
        writer.block(&first, &block).expect("written");
        writer.block(&cid, &json).expect("written");
        writer.finish().expect("written");
        broken.push(1);
        let incoming = Incoming::new(&broken[..], Box::new(|_| Ok(None)), |_| true).expect("a CAR");
        let error = storage::export(&incoming, &root, &home.path().join("copy"), &mut |_| {});
        let error = error.expect_err("it broke off").to_string();
        assert!(
            error.ends_with("could not be fetched: node 12: silent"),
            "{error}"
        );
    }

    #[test]
    fn a_stream_cut_short_is_an_error_and_not_an_end() {
        let (home, _store, root, stream) = tree();
        let incoming =
            Incoming::new(&stream[..stream.len() - 10], Box::new(|_| Ok(None)), |_| true).expect("a CAR");
        let out = home.path().join("copy");
        assert!(storage::export(&incoming, &root, &out, &mut |_| {}).is_err());
        assert!(!out.exists());
    }
}
