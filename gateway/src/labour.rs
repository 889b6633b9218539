//! Work that takes a processor for milliseconds, such as compression and the pages of large folders.
//!
//! It has threads of its own, of a low priority: where a processor is wanted for something cheap, that goes first, and
//! the work gets what is left over. So it delays those who asked for it, and nobody else. A client has a bounded share
//! of it; how much of each kind is in work at once is bounded by whoever asks for it.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{self, Receiver, SendError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::guard::{Admitted, Guard, Seat, TooMuch};

/// How much the threads give way, as `nice` counts it: to the utmost.
#[cfg(target_os = "linux")]
const NICE: i32 = 19;

/// The threads. They end when the last clone is dropped.
#[derive(Clone)]
pub(crate) struct Labour {
    guard: Arc<Guard>,
    jobs: Sender<Job>,
}

type Job = Box<dyn FnOnce() + Send>;

impl Labour {
    /// Starts `threads` of them. `guard` says what the share of a client is.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn start(threads: usize, guard: Arc<Guard>) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel();
        let queue = Arc::new(Mutex::new(queue));
        for at in 0..threads {
            let queue = Arc::clone(&queue);
            let thread = thread::Builder::new().name(format!("gateway-work-{at}"));
            thread.spawn(move || toil(&queue))?;
        }
        Ok(Self { guard, jobs })
    }

    /// Counts one more piece of work for a client, until what is returned is dropped.
    ///
    /// # Errors
    /// The client has its share in work.
    pub(crate) fn share(&self, seat: Seat) -> Result<Admitted, TooMuch> {
        self.guard.work(seat)
    }

    /// Has `job` done by one of the threads, and waits for it: the calling thread is one that may block.
    pub(crate) fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (give, done) = mpsc::sync_channel(1);
        let job: Job = Box::new(move || {
            // Who waits has not gone.
            let _ = give.send(catch_unwind(AssertUnwindSafe(job)));
        });
        if let Err(SendError(job)) = self.jobs.send(job) {
            job();
        }
        match done.recv() {
            Ok(Ok(done)) => done,
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => unreachable!("a job is done to its end"),
        }
    }
}

/// Does one job after the other, until there will be no more.
fn toil(queue: &Mutex<Receiver<Job>>) {
    give_way();
    loop {
        // Whoever waits for the next job holds the lock; those who wait for the lock wait for a job too.
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match next {
            Ok(job) => job(),
            Err(_) => return,
        }
    }
}

/// Lowers the priority of this thread.
#[cfg(target_os = "linux")]
fn give_way() {
    // On Linux, and only there, it is that of the calling thread.
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::warn!(%error, "work has the same priority as everything else");
    }
}

#[cfg(not(target_os = "linux"))]
fn give_way() {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::Guarding;

    fn labour(threads: usize) -> Labour {
        Labour::start(threads, Arc::new(Guard::new(&Guarding::default()))).expect("threads")
    }

    #[test]
    fn jobs_are_done_by_others_and_give_their_results() {
        let labour = labour(2);
        let here = thread::current().id();
        let jobs: Vec<_> = (0..20)
            .map(|n| {
                let labour = labour.clone();
                thread::spawn(move || labour.run(move || (n, thread::current().id())))
            })
            .collect();
        for (at, job) in jobs.into_iter().enumerate() {
            let (n, there) = job.join().expect("no panic");
            assert!(n == at && there != here);
        }
    }

    #[test]
    fn a_panic_is_the_callers_and_ends_no_thread() {
        let labour = labour(1);
        let panicked = catch_unwind(AssertUnwindSafe(|| labour.run(|| panic!("on purpose"))));
        assert!(panicked.is_err());
        assert_eq!(labour.run(|| 7), 7);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn they_give_way_and_nobody_else_does() {
        let nice = || rustix::process::getpriority_process(None).expect("a priority");
        let own = nice();
        assert_eq!(labour(1).run(nice), NICE.max(own));
        assert_eq!(nice(), own);
    }
}
