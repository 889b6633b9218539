//! An answer from memory as it is written: in one call of the system, and what that call does not take is sent on.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

use super::clock;
use super::sending::{CLOSE, Sending, advance};
use super::service::Quick;
use crate::body::Held;
use crate::fast::Sent;

/// Parts that one call of the system takes here.
pub(super) const SLICES_MAX: usize = 16;
/// Up to here copying head and body together costs less than handing them over apart.
const COPIED_BYTES_MAX: usize = 16 << 10;

/// An answer of which the beginning is in a buffer of the thread.
pub(super) struct Given {
    /// What follows the buffer.
    parts: Vec<Bytes>,
    total: usize,
    /// Where in the buffer the line of the date begins.
    pub date: usize,
    close: bool,
    held: Option<Held>,
}

impl Given {
    /// Writes the head into `output`, which is emptied first, and a small body too. With `close` the answer says that it
    /// is the last.
    pub(super) fn new(quick: Quick, close: bool, output: &mut Vec<u8>) -> Self {
        let Quick { found, held } = quick;
        output.clear();
        found.write_head(output);
        if close {
            output.extend_from_slice(CLOSE);
        }
        let date = output.len();
        clock::write_date(output);
        output.extend_from_slice(b"\r\n");
        let parts = match found.sent {
            Sent::Bytes(body) if output.len() + body.len() <= COPIED_BYTES_MAX => {
                output.extend_from_slice(&body);
                Vec::new()
            }
            Sent::Bytes(body) => vec![body],
            Sent::Several(parts) => parts,
            Sent::Nothing | Sent::Blocks { .. } => Vec::new(),
        };
        Self {
            total: output.len() + parts.iter().map(Bytes::len).sum::<usize>(),
            parts,
            date,
            close,
            held,
        }
    }

    /// Whether all of it is in the buffer.
    pub(super) fn is_one(&self) -> bool {
        self.parts.is_empty()
    }

    /// Puts what follows the buffer behind the first of `slices`, which is the buffer, and tells how many there are.
    pub(super) fn fill<'a>(&'a self, slices: &mut [IoSlice<'a>; SLICES_MAX]) -> usize {
        let count = self.parts.len().min(SLICES_MAX - 1);
        for (slice, part) in slices[1..].iter_mut().zip(&self.parts) {
            *slice = IoSlice::new(part);
        }
        1 + count
    }

    /// After so many bytes were written: what it held if that was all, else what is left to do.
    pub(super) fn after(mut self, written: usize, output: &[u8]) -> Result<Option<Held>, Box<Sending>> {
        if let Some(note) = self.held.as_mut().and_then(|held| held.note.as_mut()) {
            note.left(self.total - written);
        }
        if written == self.total && !self.close {
            return Ok(self.held);
        }
        let mut pending = VecDeque::with_capacity(1 + self.parts.len());
        pending.push_back(Bytes::copy_from_slice(output));
        pending.extend(self.parts);
        advance(&mut pending, written);
        Err(Box::new(Sending::rest(pending, self.close, self.held)))
    }
}

/// What is left to do of an answer of which so many bytes were written.
pub(super) fn after_all(written: usize, answer: &[u8]) -> Option<Box<Sending>> {
    (written < answer.len()).then(|| {
        let pending = VecDeque::from([Bytes::copy_from_slice(&answer[written..])]);
        Box::new(Sending::rest(pending, false, None))
    })
}
