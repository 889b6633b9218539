//! The threads that hash the chunks of large files and hand them over, in order.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::num::NonZero;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::dag::file::{Balanced, write_leaf};
use crate::dag::{Child, Sink};
use crate::{Error, Profile};

/// Runs `work` with hashing threads for `sink`; they end with it.
pub(crate) fn with_hashers<T>(
    sink: &dyn Sink,
    profile: Profile,
    work: impl FnOnce(&Hashers) -> Result<T, Error>,
) -> Result<T, Error> {
    let threads = thread::available_parallelism()
        .map_or(1, NonZero::get)
        .min(THREADS_MAX);
    let (jobs, queue) = sync_channel::<Job>(threads);
    let queue = Arc::new(Mutex::new(queue));
    thread::scope(|scope| {
        for _ in 0..threads {
            let queue = queue.clone();
            scope.spawn(move || hash_all(&queue, sink, profile));
        }
        let hashers = Hashers {
            jobs,
            window: 2 * threads,
        };
        work(&hashers)
    })
}

/// A queue to the hashing threads.
pub(crate) struct Hashers {
    jobs: SyncSender<Job>,
    /// Chunks in flight: one in work and one waiting for each thread.
    window: usize,
}

impl Hashers {
    /// Writes the next `bytes` of `contents` as a file; `read` hears of each chunk's length.
    pub fn write_file(
        &self,
        (sink, profile): (&dyn Sink, Profile),
        contents: &mut dyn Read,
        bytes: u64,
        read: &mut dyn FnMut(u64),
    ) -> Result<Child, FileError> {
        let mut left = bytes;
        if left <= profile.chunk_bytes() as u64 {
            let chunk = next_chunk(contents, profile, &mut left)?;
            read(bytes);
            return Ok(write_leaf(sink, profile, &chunk)?);
        }
        let mut tree = Balanced::new(sink, profile);
        let mut flying = VecDeque::with_capacity(self.window);
        while left > 0 {
            if flying.len() == self.window {
                tree.push(land(&mut flying)?)?;
            }
            let chunk = next_chunk(contents, profile, &mut left)?;
            read(chunk.len() as u64);
            flying.push_back(self.launch(chunk));
        }
        while !flying.is_empty() {
            tree.push(land(&mut flying)?)?;
        }
        Ok(tree.finish()?)
    }

    fn launch(&self, chunk: Vec<u8>) -> Receiver<Result<Child, Error>> {
        let (done, leaf) = sync_channel(1);
        self.jobs
            .send(Job { chunk, done })
            .expect("hashing threads live as long as the import");
        leaf
    }
}

/// Why a file could not be written.
pub(crate) enum FileError {
    /// Its contents broke, or ended early.
    Read(io::Error),
    /// What happened to its blocks.
    Blocks(Error),
}

impl From<Error> for FileError {
    fn from(error: Error) -> FileError {
        FileError::Blocks(error)
    }
}

struct Job {
    chunk: Vec<u8>,
    done: SyncSender<Result<Child, Error>>,
}

fn hash_all(queue: &Mutex<Receiver<Job>>, sink: &dyn Sink, profile: Profile) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        // Nobody listens any more when the import has failed.
        let _ = job.done.send(write_leaf(sink, profile, &job.chunk));
    }
}

fn land(flying: &mut VecDeque<Receiver<Result<Child, Error>>>) -> Result<Child, Error> {
    let leaf = flying.pop_front().expect("a chunk is in flight");
    leaf.recv().expect("a hashing thread answers every job")
}

fn next_chunk(contents: &mut dyn Read, profile: Profile, left: &mut u64) -> Result<Vec<u8>, FileError> {
    let length = (*left).min(profile.chunk_bytes() as u64);
    let mut chunk = vec![0; length as usize];
    contents.read_exact(&mut chunk).map_err(FileError::Read)?;
    *left -= length;
    Ok(chunk)
}

/// Beyond this the disk is the limit.
const THREADS_MAX: usize = 4;
