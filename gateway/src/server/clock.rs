//! The time, as a worker sees it: read once for all that is ready at once, instead of several times for each request.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant, SystemTime};

use http::HeaderValue;

/// How old the date of an answer may be.
const DATE_EVERY: Duration = Duration::from_millis(100);
const NAME: &str = "date: ";
const END: &str = "\r\n";
/// `date: Sat, 21 Nov 2026 03:00:00 GMT` and the end of the line.
const DATE_LINE_BYTES: usize = 37;

thread_local! {
    /// `None` on threads that do not tick.
    static NOW: Cell<Option<Instant>> = const { Cell::new(None) };
    static DATE: RefCell<(Option<Instant>, Vec<u8>)> = const { RefCell::new((None, Vec::new())) };
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
    let mut line = Vec::with_capacity(DATE_LINE_BYTES);
    write_date(&mut line);
    let value = &line[NAME.len()..line.len() - END.len()];
    HeaderValue::from_bytes(value).unwrap_or(HeaderValue::from_static(""))
}

/// Appends the `Date` line (RFC 9110, 5.6.7).
pub(super) fn write_date(out: &mut Vec<u8>) {
    DATE.with_borrow_mut(|(at, line)| {
        let now = now();
        if at.is_none_or(|at| now.saturating_duration_since(at) >= DATE_EVERY) {
            *at = Some(now);
            *line = format!("{NAME}{}{END}", httpdate::fmt_http_date(SystemTime::now())).into_bytes();
        }
        out.extend_from_slice(line);
    });
}
