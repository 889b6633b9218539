//! The rest of large files, fetched while readers take parts of them: a video that is watched from others is here before
//! its reader gets to it, and wholly here when it was watched to half.
//!
//! A file has as much *credit* as readers have taken of it, and what is fetched in advance is paid from that. So whoever
//! asks for single bytes of huge files makes the node fetch, and pay, no more than twice of what it would anyway. A few
//! files are filled at the same time, each with one place among the fetches; a file that nobody reads is filled no more.

mod table;

use std::sync::{Arc, Mutex, PoisonError};

use storage::FileReader;
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::desk::Desk;
use crate::trail::{Reach, Trail};
pub(crate) use table::Taken;
use table::{Job, Table};

/// The files that are being filled.
#[derive(Debug, Default)]
pub(crate) struct Fills {
    table: Mutex<Table>,
    wake: Notify,
}

impl Fills {
    /// A reader took a part of a file.
    pub(crate) fn note(&self, taken: &Taken) {
        if self.table().note(taken) {
            self.wake.notify_one();
        }
    }

    /// Fills one file after the other until `stop`; several of these work beside each other.
    pub(crate) async fn run(self: Arc<Self>, desk: Arc<Desk>, stop: CancellationToken) {
        loop {
            let next = self.table().next();
            let Some(job) = next else {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.wake.notified() => continue,
                }
            };
            let filled = tokio::select! {
                () = stop.cancelled() => return,
                filled = fill(&desk, &job, &stop) => filled,
            };
            self.table().done(&job, filled);
        }
    }

    fn table(&self) -> std::sync::MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the part of a file that the job says, and returns how many of its bytes came from others; None if that failed.
async fn fill(desk: &Desk, job: &Job, stop: &CancellationToken) -> Option<u64> {
    let trail = desk.trail(job.root, true, stop.clone());
    trail.forget();
    let (of_reader, file, range) = (Arc::clone(&trail), job.file, job.range.clone());
    let opened = spawn_blocking(move || FileReader::new(of_reader, &file, range)).await;
    let mut reader = opened.ok()?.ok()?;
    let mut fetched = 0;
    loop {
        trail.reach(Reach::Here);
        let (mut piece, mut same) = next(reader).await?;
        if let Some(Err(storage::Error::Missing(_))) = piece {
            let place = desk.fetches.place().await?;
            trail.reach(Reach::Far);
            (piece, same) = next(same).await?;
            drop(place);
            fetched += piece
                .as_ref()
                .and_then(|piece| piece.as_ref().ok())
                .map_or(0, |piece| piece.len() as u64);
        }
        match piece {
            Some(Ok(_)) => reader = same,
            Some(Err(_)) => return None,
            None => return Some(fetched),
        }
    }
}

type Reader = FileReader<Arc<Trail>>;

/// The next piece, read on a thread for it.
async fn next(mut reader: Reader) -> Option<(Option<<Reader as Iterator>::Item>, Reader)> {
    spawn_blocking(move || (reader.next(), reader)).await.ok()
}
