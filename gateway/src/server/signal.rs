//! A word that all connections hear, and that costs them nothing until it is said.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// The word; a clone is the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Word {
    token: CancellationToken,
    /// The token has a lock, which many connections at each of their steps would share.
    said: Arc<AtomicBool>,
}

impl Word {
    pub(super) fn say(&self) {
        self.said.store(true, Ordering::Release);
        self.token.cancel();
    }

    pub(super) fn is_said(&self) -> bool {
        self.said.load(Ordering::Acquire)
    }

    /// The same word, for who waits for it alone.
    pub(super) fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// An ear for it.
    pub(super) fn ear(&self) -> Ear {
        Ear {
            said: Arc::clone(&self.said),
            waiting: Some(Box::pin(self.token.clone().cancelled_owned())),
            asked: false,
        }
    }
}

/// Hears a word in one task.
pub(super) struct Ear {
    said: Arc<AtomicBool>,
    waiting: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    asked: bool,
}

impl Ear {
    /// Whether the word was said. If not, the task is woken when it is; it must be the same task each time.
    pub(super) fn hears(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.asked {
            self.asked = true;
            let heard = self.waiting.as_mut().map(|waiting| waiting.as_mut().poll(cx));
            if heard.is_some_and(|heard| heard.is_ready()) {
                self.waiting = None;
            }
        }
        self.said.load(Ordering::Acquire)
    }
}

/// Does `work` until it ends, or the word is said: then it is dropped.
pub(super) async fn until<F: Future<Output = ()>>(word: &Word, work: F) {
    let mut work = std::pin::pin!(work);
    let mut ear = word.ear();
    std::future::poll_fn(|cx| match ear.hears(cx) {
        true => Poll::Ready(()),
        false => work.as_mut().poll(cx),
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_word_ends_what_waits() {
        let word = Word::default();
        let heard = word.clone();
        let waits = tokio::spawn(async move { until(&heard, std::future::pending()).await });
        tokio::task::yield_now().await;
        word.say();
        waits.await.expect("an end");
        until(&word, std::future::pending()).await;
    }
}
