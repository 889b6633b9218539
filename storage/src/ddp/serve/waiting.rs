//! A session that waits: for what, and how long.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::line::{End, Line, refuse};
use super::paying::Payer;
use super::session::{Session, stops};
use crate::ddp::wire::Code;

/// Why nothing is sent now.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pause {
    /// Nothing is wanted.
    Idle,
    /// A voucher must come first.
    Unpaid,
}

impl Session {
    /// Whether the payer owes by these books what it does not know of, as after a crash on either side. What is on its way
    /// in other sessions it will pay when it has it.
    pub(super) fn owes_unknowingly(&self) -> bool {
        let is_alone = self.payer.as_ref().is_some_and(Payer::is_alone);
        is_alone && (self.told.unacknowledged() == 0 || self.waits_for() >= self.grace())
    }

    /// How long no voucher has come.
    fn waits_for(&self) -> Duration {
        self.unpaid_since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// How long a voucher for the last statement may take.
    fn grace(&self) -> Duration {
        GRACE_MAX.min(self.server.config.timeout / 2)
    }

    /// Waits until something happens.
    pub(super) async fn wait(&mut self, line: &mut Line, pause: Pause) -> Result<(), End> {
        let stop = self.server.stop.clone();
        let deadline = self.deadline(pause);
        let frame = tokio::select! {
            frame = line.next() => frame?,
            () = changed(&mut self.payer) => {
                // Who pays in another session is not late.
                self.unpaid_since = None;
                return Ok(());
            }
            () = stop.cancelled() => return Err(stops()),
            () = sleep_until(deadline) => return self.late(line, pause).await,
        };
        self.take(frame).await
    }

    /// When something has to be done though nothing happens.
    pub(super) fn deadline(&mut self, pause: Pause) -> Instant {
        let grace = self.grace();
        let (idle, timeout) = (self.server.config.idle, self.server.config.timeout);
        match pause {
            Pause::Idle if self.told.unstated() > 0 => Instant::now() + QUIET,
            Pause::Idle => self.active + idle,
            Pause::Unpaid => {
                let since = *self.unpaid_since.get_or_insert_with(Instant::now);
                if since.elapsed() < grace {
                    since + grace
                } else {
                    since + timeout
                }
            }
        }
    }

    /// The deadline has passed.
    pub(super) async fn late(&mut self, line: &mut Line, pause: Pause) -> Result<(), End> {
        let config = &self.server.config;
        match pause {
            Pause::Idle if self.active.elapsed() >= config.idle => {
                Err(refuse(Code::Idle, "nothing was asked for a long time"))
            }
            Pause::Unpaid if self.waits_for() >= config.timeout => {
                Err(refuse(Code::Unpaid, "no voucher came in time"))
            }
            Pause::Idle => self.state(line).await,
            Pause::Unpaid => Ok(()),
        }
    }
}

/// Resolves when another session of this payer has changed its tab.
pub(super) async fn changed(payer: &mut Option<Payer>) {
    match payer {
        Some(payer) => payer.changed().await,
        None => std::future::pending().await,
    }
}

/// After so long without a further want, what was sent is stated: readers that ask for block after block are faster, and who
/// reads many small files closes the session before.
const QUIET: Duration = Duration::from_millis(50);
/// Several round trips on the longest path.
const GRACE_MAX: Duration = Duration::from_secs(1);
