//! The access log: a line for each request when its answer has ended. Off unless the operator names a file.
//!
//! Nobody waits for it. A line is written into a buffer in memory, behind a lock that each thread has nearly for itself
//! and that is held for as long as a line takes to copy; a thread of the log's own brings the buffers to the file a few
//! times a second. When the disk cannot keep up, the buffers are full and lines are lost, and counted. A file that was
//! moved away, as rotation does it, is made anew.

mod line;

use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;

pub(crate) use line::Line;
pub use line::Style;

/// Where the access log goes, and how it looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLog {
    /// The file; lines are appended.
    pub path: PathBuf,
    /// How a line looks.
    pub style: Style,
}

/// The open access log. Dropping it writes what is left.
#[derive(Debug)]
pub(crate) struct Journal {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    style: Style,
    buffers: [Mutex<Vec<u8>>; BUFFERS],
    stop: Mutex<bool>,
    wake: Condvar,
    lost: Counter,
}

impl Journal {
    /// Opens the file. `lost` counts lines that the disk was too slow for.
    ///
    /// # Errors
    /// The file cannot be opened or made.
    pub(crate) fn open(log: &AccessLog, lost: Counter) -> io::Result<Journal> {
        let mut out = Out::open(&log.path)?;
        let shared = Arc::new(Shared {
            style: log.style,
            buffers: std::array::from_fn(|_| Mutex::default()),
            stop: Mutex::new(false),
            wake: Condvar::new(),
            lost,
        });
        let of_writer = Arc::clone(&shared);
        let writer = std::thread::Builder::new()
            .name("access-log".into())
            .spawn(move || of_writer.run(&mut out))?;
        Ok(Journal {
            shared,
            writer: Some(writer),
        })
    }

    /// Notes a request. It takes well under a microsecond, and no memory once the buffers have grown.
    pub(crate) fn note(&self, line: &Line<'_>) {
        let shared = &*self.shared;
        let mut buffer = lock(&shared.buffers[own_buffer()]);
        let before = buffer.len();
        line.write(shared.style, &mut buffer);
        if buffer.len() > BUFFER_BYTES_MAX {
            buffer.truncate(before);
            drop(buffer);
            shared.lost.inc();
        } else if before < BUFFER_BYTES_MAX / 2 && buffer.len() >= BUFFER_BYTES_MAX / 2 {
            drop(buffer);
            shared.wake.notify_one();
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        *lock(&self.shared.stop) = true;
        self.shared.wake.notify_one();
        if self.writer.take().is_some_and(|writer| writer.join().is_err()) {
            tracing::error!("the thread of the access log panicked");
        }
    }
}

impl Shared {
    fn run(&self, out: &mut Out) {
        let mut taken = Vec::new();
        loop {
            let stop = lock(&self.stop);
            let woken = self
                .wake
                .wait_timeout_while(stop, EVERY, |stop| !*stop && !self.is_half_full());
            let is_over = *woken.unwrap_or_else(PoisonError::into_inner).0;
            for buffer in &self.buffers {
                std::mem::swap(&mut *lock(buffer), &mut taken);
                out.write(&taken);
                taken.clear();
            }
            if is_over {
                return;
            }
        }
    }

    fn is_half_full(&self) -> bool {
        self.buffers
            .iter()
            .any(|buffer| lock(buffer).len() >= BUFFER_BYTES_MAX / 2)
    }
}

/// The file, as long as it is the one with that name.
#[derive(Debug)]
struct Out {
    path: PathBuf,
    file: File,
    has_failed: bool,
}

impl Out {
    fn open(path: &Path) -> io::Result<Out> {
        Ok(Out {
            path: path.to_owned(),
            file: append(path)?,
            has_failed: false,
        })
    }

    fn write(&mut self, lines: &[u8]) {
        if lines.is_empty() {
            return;
        }
        match self.renew().and_then(|()| self.file.write_all(lines)) {
            Ok(()) => self.has_failed = false,
            Err(error) if !self.has_failed => {
                self.has_failed = true;
                tracing::warn!(path = %self.path.display(), %error, "the access log cannot be written; its lines are lost");
            }
            Err(_) => {}
        }
    }

    /// Opens the file anew if it was moved away.
    fn renew(&mut self) -> io::Result<()> {
        let own = self.file.metadata()?;
        let is_same = std::fs::metadata(&self.path)
            .is_ok_and(|there| (there.dev(), there.ino()) == (own.dev(), own.ino()));
        if !is_same {
            self.file = append(&self.path)?;
        }
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// The buffer of this thread. More threads than buffers share them.
fn own_buffer() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: Cell<usize> = Cell::new(THREADS.fetch_add(1, Ordering::Relaxed) % BUFFERS);
    }
    OWN.get()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const BUFFERS: usize = 16;
/// 16 MiB in all, which are some 80,000 lines: half a second of the fastest traffic.
const BUFFER_BYTES_MAX: usize = 1 << 20;
/// How often lines go to the file.
const EVERY: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::time::Instant;

    fn log(path: &Path) -> AccessLog {
        AccessLog {
            path: path.to_owned(),
            style: Style::Combined,
        }
    }

    fn line(target: &str) -> Line<'_> {
        Line {
            target: target.as_bytes(),
            ..Line::default()
        }
    }

    /// The file's lines, once there are so many.
    fn lines(path: &Path, count: usize) -> Vec<String> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let text = fs::read_to_string(path).unwrap_or_default();
            if text.lines().count() >= count || Instant::now() > deadline {
                return text.lines().map(str::to_owned).collect();
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn lines_come_by_themselves_and_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let journal = Journal::open(&log(&path), Counter::default()).unwrap();
        journal.note(&line("/one"));
        assert!(lines(&path, 1)[0].contains("/one"));
        journal.note(&line("/two"));
        drop(journal);
        assert_eq!(lines(&path, 2).len(), 2);
    }

    #[test]
    fn no_line_is_torn() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let journal = Journal::open(&log(&path), Counter::default()).unwrap();
        let long = format!("/{}", "x".repeat(150));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..500).for_each(|_| journal.note(&line(&long))));
            }
        });
        drop(journal);
        let lines = lines(&path, 2000);
        assert_eq!(lines.len(), 2000);
        assert!(
            lines
                .iter()
                .all(|line| line.contains(&format!("{long} HTTP/1.1\"")))
        );
    }

    #[test]
    fn a_file_that_was_moved_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (path, old) = (folder.path().join("access.log"), folder.path().join("old"));
        let journal = Journal::open(&log(&path), Counter::default()).unwrap();
        journal.note(&line("/one"));
        assert_eq!(lines(&path, 1).len(), 1);
        fs::rename(&path, &old).unwrap();
        journal.note(&line("/two"));
        drop(journal);
        assert!(lines(&path, 1)[0].contains("/two") && lines(&old, 1)[0].contains("/one"));
    }

    #[test]
    fn too_much_is_lost_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let lost = Counter::default();
        let journal = Journal::open(&log(&path), lost.clone()).unwrap();
        let huge = "x".repeat(BUFFER_BYTES_MAX + 1);
        journal.note(&line(&huge));
        journal.note(&line("/small"));
        drop(journal);
        assert_eq!((lost.get(), lines(&path, 1).len()), (1, 1));
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Journal::open(&log(&folder.path().join("a/b")), Counter::default()).is_err());
    }
}
