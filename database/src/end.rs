//! The end of the process, and who opens or closes a database before it.

use std::sync::{Condvar, Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

/// How long the end waits: a disk that does not answer must not keep a process.
const PATIENCE: Duration = Duration::from_secs(10);

struct Works {
    /// How many are under way.
    count: usize,
    /// Whether the process ends: none begins any more.
    is_end: bool,
}

static WORKS: Mutex<Works> = Mutex::new(Works {
    count: 0,
    is_end: false,
});
static DONE: Condvar = Condvar::new();

/// A database that is being opened or closed, until this is dropped.
pub(crate) struct Work(());

/// Has the end of the process wait for those that are being opened or closed.
pub(crate) fn watch() {
    static WATCHED: Once = Once::new();
    // Handlers run last in, first out: this one before the destructors of RocksDB's statics, which were made as the
    // program was loaded.
    WATCHED.call_once(|| {
        #[expect(
            unsafe_code,
            reason = "the standard library tells nobody of the end of the process"
        )]
        // SAFETY: the handler takes no arguments, and neither unwinds nor calls `exit`.
        let refused = unsafe { libc::atexit(wait_for_all) } != 0;
        if refused {
            tracing::warn!(
                "the end of the process does not wait for databases that are being opened or closed"
            );
        }
    });
}

/// Counts one more; `None` if the process ends.
pub(crate) fn begin() -> Option<Work> {
    let mut works = works();
    if works.is_end {
        return None;
    }
    works.count += 1;
    Some(Work(()))
}

impl Drop for Work {
    fn drop(&mut self) {
        works().count -= 1;
        DONE.notify_all();
    }
}

extern "C" fn wait_for_all() {
    let mut works = works();
    works.is_end = true;
    // What is still not done after this may abort the process, which is at its end anyway.
    drop(DONE.wait_timeout_while(works, PATIENCE, |works| works.count > 0));
}

fn works() -> MutexGuard<'static, Works> {
    WORKS.lock().unwrap_or_else(PoisonError::into_inner)
}
