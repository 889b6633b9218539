//! What the client of an HTTP/2 connection may say, by bytes and by frames.
//!
//! The protocol has no bound for what is no request: PING and SETTINGS, each of which asks for an answer, heads without
//! an end, updates of windows. Here a client has some to begin with, and gets more by what it asks and by what it is
//! sent.

/// Bytes to begin with.
const BYTES: u64 = 256 << 10;
/// Frames to begin with: an honest client says hello with some ten.
const FRAMES: u64 = 256;
/// Frames that come with a request: its head, the body before it is read, a change of mind.
const REQUEST_FRAMES: u64 = 32;
/// The share of what a client gets that it may use to acknowledge it: an update of a window is far less.
const SHARE: u64 = 8;
/// A client has one frame for so many bytes that it gets. The usual ones acknowledge some KiB together.
const FRAME_SHARE: u64 = 512;
/// What a client says first (RFC 9113, 3.4).
const PREFACE_BYTES: u64 = 24;
/// The head of a frame, and the part of it that is the length of the rest (RFC 9113, 4.1).
const HEAD_BYTES: u8 = 9;
const LENGTH_BYTES: u8 = 3;

/// What may still come of one client.
#[derive(Debug)]
pub(super) struct Talk {
    bytes: u64,
    frames: u64,
    /// What is left of the preface, or of the frame that began last.
    rest: u64,
    /// Of the head that is coming: its bytes so far, and the length that they tell.
    seen: u8,
    length: u64,
}

impl Talk {
    pub(super) fn new() -> Self {
        Self {
            bytes: BYTES,
            frames: FRAMES,
            rest: PREFACE_BYTES,
            seen: 0,
            length: 0,
        }
    }

    /// A request has come, which may be so many bytes.
    pub(super) fn asked(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.frames = self.frames.saturating_add(REQUEST_FRAMES);
    }

    /// So many bytes went to the client.
    pub(super) fn sent(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes / SHARE);
        self.frames = self.frames.saturating_add(bytes.div_ceil(FRAME_SHARE));
    }

    /// Counts what has come; false if that is more than may be.
    pub(super) fn hear(&mut self, came: &[u8]) -> bool {
        let frames = self.begun(came);
        let left = (
            self.bytes.checked_sub(came.len() as u64),
            self.frames.checked_sub(frames),
        );
        let (Some(bytes), Some(frames)) = left else {
            return false;
        };
        (self.bytes, self.frames) = (bytes, frames);
        true
    }

    /// How many frames began in `came`.
    fn begun(&mut self, mut came: &[u8]) -> u64 {
        let mut frames = 0;
        while let Some((&byte, after)) = came.split_first() {
            if self.rest > 0 {
                let skipped = came.len().min(usize::try_from(self.rest).unwrap_or(usize::MAX));
                self.rest -= skipped as u64;
                came = &came[skipped..];
                continue;
            }
            if self.seen < LENGTH_BYTES {
                self.length = self.length << 8 | u64::from(byte);
            }
            self.seen += 1;
            if self.seen == HEAD_BYTES {
                (self.rest, self.seen, self.length) = (self.length, 0, 0);
                frames += 1;
            }
            came = after;
        }
        frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A client's bytes: the preface, and frames with so many bytes each.
    fn said(frames: &[usize]) -> Vec<u8> {
        let mut said = vec![b'p'; 24];
        for &bytes in frames {
            let length = u32::try_from(bytes).expect("a frame").to_be_bytes();
            said.extend(&length[1..]);
            said.extend([6; 6]);
            said.extend(vec![0xff; bytes]);
        }
        said
    }

    #[test]
    fn frames_run_out_and_come_back() {
        let mut talk = Talk::new();
        assert!(talk.hear(&said(&[8; 256])));
        let ping = &said(&[8])[24..];
        assert!(!talk.hear(ping));
        talk.asked(0);
        assert!((0..REQUEST_FRAMES).all(|_| talk.hear(ping)));
        assert!(!talk.hear(ping));
        talk.sent(1024);
        assert!(talk.hear(ping) && talk.hear(ping) && !talk.hear(ping));
    }

    #[test]
    fn bytes_run_out_and_come_back() {
        let mut talk = Talk::new();
        assert!(talk.hear(&said(&[16 << 10; 15])));
        let frame = &said(&[16 << 10])[24..];
        assert!(!talk.hear(frame));
        talk.sent(8 * frame.len() as u64);
        assert!(talk.hear(frame));
    }

    proptest! {
        #[test]
        fn pieces_are_counted_as_the_whole(
            frames in proptest::collection::vec(0_usize..700, 0..40),
            cuts in proptest::collection::vec(1_usize..300, 1..200),
        ) {
            let (said, mut talk) = (said(&frames), Talk::new());
            let (mut rest, mut count) = (&said[..], 0);
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, after) = rest.split_at(rest.len().min(*cut));
                count += talk.begun(piece);
                rest = after;
            }
            prop_assert_eq!(count, frames.len() as u64);
        }
    }
}
