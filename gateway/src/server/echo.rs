//! Requests that came lately, byte for byte, with their answers as they were written.
//!
//! Browsers of one make ask for what many want with the same bytes; proxies and programs do nothing else. What is the
//! same request as before on the same kind of connection gets the same answer, if that still counts: it need not be taken
//! apart, looked up and put together again, only its date is new. A worker has one such table, small enough to stay in
//! its cache.

use std::hash::BuildHasher;

use quick_cache::DefaultHashBuilder;

use super::clock::{self, DATE_LINE_BYTES};
use crate::fast::{Again, Way};

/// Answers that are remembered.
const SLOTS: usize = 64;
/// The longest request and the longest answer of those. Both together bound what a worker holds here to some MiB.
const REQUEST_BYTES_MAX: usize = 1 << 10;
const ANSWER_BYTES_MAX: usize = 16 << 10;

/// The table of a worker.
pub(super) struct Echo {
    keys: DefaultHashBuilder,
    slots: Vec<Slot>,
}

#[derive(Default)]
struct Slot {
    /// The hash of the request that came last and is not the one that is remembered: only what comes twice is worth it.
    seen: u64,
    said: Option<Box<Said>>,
}

/// A request with its answer.
pub(super) struct Said {
    way: Way,
    request: Vec<u8>,
    answer: Vec<u8>,
    /// Where in it the line of the date begins.
    date: usize,
    /// What it counts by.
    pub again: Again,
}

/// The place of a request in the table.
#[derive(Clone, Copy)]
pub(super) struct Spot {
    at: usize,
    hash: u64,
}

impl Default for Echo {
    fn default() -> Self {
        Self {
            keys: DefaultHashBuilder::default(),
            slots: std::iter::repeat_with(Slot::default).take(SLOTS).collect(),
        }
    }
}

impl Echo {
    /// Where the request is, or would be. `None` if it is too long for that.
    pub(super) fn spot(&self, request: &[u8]) -> Option<Spot> {
        (request.len() <= REQUEST_BYTES_MAX).then(|| {
            let hash = self.keys.hash_one(request);
            let at = usize::try_from(hash % SLOTS as u64).unwrap_or(0);
            Spot { at, hash }
        })
    }

    /// What was answered last to exactly this.
    pub(super) fn find(&mut self, spot: Spot, way: Way, request: &[u8]) -> Option<&mut Said> {
        let said = self.slots.get_mut(spot.at)?.said.as_deref_mut()?;
        (said.way == way && said.request == request).then_some(said)
    }

    /// Notes that a request was answered; true if it was seen before, so that its answer is worth to be kept.
    pub(super) fn is_wanted(&mut self, spot: Spot) -> bool {
        let slot = &mut self.slots[spot.at];
        std::mem::replace(&mut slot.seen, spot.hash) == spot.hash
    }

    /// Keeps an answer, of which the date's line begins at `date`.
    pub(super) fn keep(
        &mut self,
        spot: Spot,
        way: Way,
        request: &[u8],
        answer: &[u8],
        date: usize,
        again: Again,
    ) {
        if answer.len() > ANSWER_BYTES_MAX {
            return;
        }
        self.slots[spot.at].said = Some(Box::new(Said {
            way,
            request: request.to_vec(),
            answer: answer.to_vec(),
            date,
            again,
        }));
    }
}

impl Said {
    /// The answer as of now.
    pub(super) fn answer(&mut self) -> &[u8] {
        if let Some(line) = self.answer.get_mut(self.date..self.date + DATE_LINE_BYTES) {
            clock::with_date(|date| line.copy_from_slice(date));
        }
        &self.answer
    }
}

#[cfg(test)]
mod tests {
    use cid::Cid;
    use http::StatusCode;

    use super::*;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    fn again() -> Again {
        Again::of(Cid::default(), StatusCode::OK, 1)
    }

    #[test]
    fn what_came_twice_is_kept_for_its_own_kind_of_connection() {
        let (mut echo, way) = (Echo::default(), Way::default());
        let spot = echo.spot(REQUEST).expect("a short request");
        assert!(!echo.is_wanted(spot) && echo.is_wanted(spot));
        assert!(echo.find(spot, way, REQUEST).is_none());
        let answer = [&b"HTTP/1.1 200 OK\r\n"[..], &[b'?'; DATE_LINE_BYTES], b"\r\nx"].concat();
        echo.keep(spot, way, REQUEST, &answer, 17, again());
        let said = echo.find(spot, way, REQUEST).expect("an answer");
        let text = String::from_utf8(said.answer().to_vec()).expect("text");
        assert!(
            text.starts_with("HTTP/1.1 200 OK\r\ndate: ") && text.ends_with(" GMT\r\n\r\nx"),
            "{text}"
        );
        let secure = Way::of(
            http::Version::HTTP_11,
            crate::ask::came::Came {
                secure: true,
                trusted: false,
            },
        );
        assert!(echo.find(spot, secure, REQUEST).is_none());
        assert!(echo.find(spot, way, &REQUEST[1..]).is_none());
    }

    #[test]
    fn what_is_long_is_not_kept() {
        let (mut echo, way) = (Echo::default(), Way::default());
        assert!(echo.spot(&[b'x'; 1025]).is_none());
        let spot = echo.spot(REQUEST).expect("a short request");
        echo.keep(spot, way, REQUEST, &vec![b'x'; (16 << 10) + 1], 0, again());
        assert!(echo.find(spot, way, REQUEST).is_none());
    }
}
