//! The time, as a worker sees it: read once for all that is ready at once, instead of several times for each request.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant, SystemTime};

use http::HeaderValue;

/// How old the date of an answer may be.
const DATE_EVERY: Duration = Duration::from_millis(100);
const NAME: &str = "date: ";
const END: &str = "\r\n";
/// `date: Sat, 21 Nov 2026 03:00:00 GMT` and the end of the line.
pub(super) const DATE_LINE_BYTES: usize = 37;

thread_local! {
    /// `None` on threads that do not tick.
    static NOW: Cell<Option<Instant>> = const { Cell::new(None) };
    static DATE: RefCell<(Option<Instant>, [u8; DATE_LINE_BYTES])> = const { RefCell::new((None, [0; DATE_LINE_BYTES])) };
}

/// To be called whenever the thread has waited.
pub(super) fn tick() {
    NOW.set(Some(Instant::now()));
}

/// The time of the last tick; of this moment on a thread that does not tick.
pub(super) fn now() -> Instant {
    NOW.get().unwrap_or_else(Instant::now)
}

/// The value of `Date`.
pub(super) fn date() -> HeaderValue {
    let value = with_date(|line| HeaderValue::from_bytes(&line[NAME.len()..line.len() - END.len()]));
    value.unwrap_or(HeaderValue::from_static(""))
}

/// Appends the `Date` line.
pub(super) fn write_date(out: &mut Vec<u8>) {
    with_date(|line| out.extend_from_slice(line));
}

/// Gives the `Date` line (RFC 9110, 5.6.7) to `take`.
pub(super) fn with_date<T>(take: impl FnOnce(&[u8; DATE_LINE_BYTES]) -> T) -> T {
    DATE.with_borrow_mut(|(at, line)| {
        let now = now();
        if at.is_none_or(|at| now.saturating_duration_since(at) >= DATE_EVERY) {
            *at = Some(now);
            *line = line_of(SystemTime::now());
        }
        take(line)
    })
}

fn line_of(time: SystemTime) -> [u8; DATE_LINE_BYTES] {
    let text = format!("{NAME}{}{END}", httpdate::fmt_http_date(time));
    let mut line = [b' '; DATE_LINE_BYTES];
    // Every date has the same length (RFC 9110, 5.6.7: IMF-fixdate).
    line.iter_mut()
        .zip(text.bytes())
        .for_each(|(to, byte)| *to = byte);
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_230_000);
        assert_eq!(&line_of(time), b"date: Sat, 21 Nov 2026 03:00:00 GMT\r\n");
    }
}
