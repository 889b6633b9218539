//! How many streams to have with one provider.
//!
//! A stream's window lets so many bytes be on their way: on a long and fast path the sender waits for room on it most of
//! the time. A wider window would lose the connection in a burst of loss, so there are several streams.

use std::time::Duration;

/// How many streams there shall be, if more are needed than the `streams` there are: they brought `bytes` in `took` on a
/// path whose round trip is at least `rtt`.
pub(super) fn wider(streams: usize, bytes: u64, took: Duration, rtt: Duration) -> Option<usize> {
    let on_the_way = u128::from(bytes) * rtt.as_micros() / took.as_micros().max(1);
    let room = streams as u128 * u128::from(STREAM_WINDOW_BYTES);
    let is_narrow = on_the_way >= room * 3 / 4;
    (is_narrow && streams < STREAMS_MAX).then(|| (2 * streams).min(STREAMS_MAX))
}

/// The transport's default, see [`crate::ddp::endpoint`].
const STREAM_WINDOW_BYTES: u64 = 1_250_000;
/// 1 Gbit/s at 120 ms.
pub(super) const STREAMS_MAX: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_more_streams_where_windows_are_full_and_nowhere_else() {
        let check = |streams, mb_a_second: u64, rtt_ms, expected| {
            let (took, rtt) = (Duration::from_millis(250), Duration::from_millis(rtt_ms));
            let bytes = mb_a_second * 1_000_000 / 4;
            assert_eq!(wider(streams, bytes, took, rtt), expected);
        };
        check(1, 1_000, 0, None);
        check(1, 5, 100, None);
        check(1, 12, 100, Some(2));
        check(2, 12, 100, None);
        check(2, 24, 100, Some(4));
        check(8, 100, 100, Some(12));
        check(12, 150, 100, None);
    }
}
