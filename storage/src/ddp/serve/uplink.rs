//! What may leave: at a rate, shared fairly between peers, and so much in a month.

use std::sync::Arc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ledger::PublicKey;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::fair::Fair;
use crate::Error;
use crate::ddp::books::{Books, Traffic};

/// The line on which everything leaves. Clones share it.
#[derive(Clone)]
pub(super) struct Uplink(Arc<Shared>);

struct Shared {
    books: Books,
    /// Bytes in a second; 0: as fast as it goes.
    rate: u64,
    /// Bytes in a calendar month; 0: any number.
    month_max: u64,
    queue: Mutex<Queue>,
    traffic: Mutex<Counted>,
}

#[derive(Default)]
struct Queue {
    waiting: Fair<oneshot::Sender<()>>,
    /// Their bytes.
    bytes: u64,
    /// Until then the line is busy with what left.
    free: Option<Instant>,
    /// Whether somebody takes care of those who wait.
    is_driven: bool,
}

struct Counted {
    traffic: Traffic,
    /// Of it, what is not written down.
    fresh: u64,
}

impl Uplink {
    /// # Errors
    /// If it cannot be read what left this month.
    pub fn open(books: Books, rate: u64, month_max: u64) -> Result<Uplink, Error> {
        let traffic = books.traffic()?;
        Ok(Uplink(Arc::new(Shared {
            books,
            rate,
            month_max,
            queue: Mutex::default(),
            traffic: Mutex::new(Counted { traffic, fresh: 0 }),
        })))
    }

    /// Resolves when it is this peer's turn to send so many bytes.
    pub async fn turn(&self, peer: &PublicKey, bytes: u64) {
        if self.0.rate == 0 {
            return;
        }
        let (tell, told) = oneshot::channel();
        let is_driven = {
            let mut queue = lock(&self.0.queue);
            queue.waiting.push(*peer, bytes, tell);
            queue.bytes += bytes;
            std::mem::replace(&mut queue.is_driven, true)
        };
        if !is_driven {
            tokio::spawn(self.clone().drive());
        }
        // It is dropped only with the whole line.
        let _ = told.await;
    }

    /// Whether who comes now would wait for long.
    pub fn is_crowded(&self) -> bool {
        self.0.rate > 0 && lock(&self.0.queue).bytes / self.0.rate >= CROWDED_S
    }

    /// Gives out turns until nobody waits.
    async fn drive(self) {
        loop {
            let free = lock(&self.0.queue).free;
            if let Some(free) = free {
                sleep_until(free).await;
            }
            let mut queue = lock(&self.0.queue);
            let Some((bytes, tell)) = queue.waiting.pop() else {
                queue.is_driven = false;
                return;
            };
            queue.bytes -= bytes;
            // Who has left meanwhile takes no time of the others.
            if tell.send(()).is_ok() {
                let begins = free.unwrap_or_else(Instant::now).max(Instant::now() - BURST);
                let takes = Duration::from_secs_f64(bytes as f64 / self.0.rate as f64);
                queue.free = Some(begins + takes);
            }
        }
    }

    /// Counts what has left.
    ///
    /// # Errors
    /// If it cannot be written down.
    pub fn left(&self, bytes: u64, now_ms: u64) -> Result<(), Error> {
        let mut counted = lock(&self.0.traffic);
        counted.traffic = counted.traffic.with(bytes, now_ms);
        counted.fresh += bytes;
        if counted.fresh < WRITTEN_EVERY_BYTES {
            return Ok(());
        }
        counted.fresh = 0;
        self.0.books.keep_traffic(&counted.traffic)
    }

    /// Writes the rest down.
    ///
    /// # Errors
    /// If it cannot.
    pub fn keep(&self) -> Result<(), Error> {
        let mut counted = lock(&self.0.traffic);
        counted.fresh = 0;
        self.0.books.keep_traffic(&counted.traffic)
    }

    /// What left this month.
    pub fn traffic(&self, now_ms: u64) -> Traffic {
        lock(&self.0.traffic).traffic.with(0, now_ms)
    }

    /// For how many milliseconds nothing more may leave; `None` if something may.
    pub fn spent_for_ms(&self, now_ms: u64) -> Option<u64> {
        let max = self.0.month_max;
        let traffic = self.traffic(now_ms);
        (max > 0 && traffic.bytes >= max)
            .then(|| Traffic::next_month_ms(now_ms).saturating_sub(now_ms).max(1))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a line that was idle may send at once.
const BURST: Duration = Duration::from_millis(50);
/// A reader turns to others when it hears nothing for some seconds.
const CROWDED_S: u64 = 2;
/// A crash forgets less than this.
const WRITTEN_EVERY_BYTES: u64 = 16 << 20;
