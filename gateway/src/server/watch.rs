//! How long a client may do nothing. One timer for each connection, which is set anew when it rings too early rather than
//! with each request.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::{Sleep, sleep_until};

use super::clock;

/// Watches over one connection.
pub(super) struct Watch {
    /// When the client did something last.
    since: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self {
            since: clock::now(),
            timer: None,
        }
    }

    /// The client has done something.
    pub(super) fn restart(&mut self) {
        self.since = clock::now();
    }

    /// Whether the client has done nothing for `limit`. If not, the task is woken when that may be so.
    pub(super) fn is_over(&mut self, cx: &mut Context<'_>, limit: Duration) -> bool {
        let end = self.since + limit;
        if let Some(timer) = &self.timer {
            let rings = timer.deadline().into_std();
            // It rings in time by itself, and was asked for before.
            if rings <= end && clock::now() < rings {
                return false;
            }
        }
        loop {
            let deadline = (self.since + limit).into();
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            match timer.as_mut().poll(cx) {
                Poll::Ready(()) if Instant::now() >= end => return true,
                Poll::Pending if timer.deadline() <= deadline => return false,
                _ => timer.as_mut().reset(deadline),
            }
        }
    }
}
