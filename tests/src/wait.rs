//! Waiting: for a condition, never for a time.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// The pause between two looks at a condition; the only pause in the kit.
const POLL_INTERVAL: Duration = Duration::from_millis(15);

/// Looks at `condition` until it gives a value.
///
/// # Errors
/// When `deadline` has passed (the text names `what`), or as soon as the condition itself fails.
pub fn poll<T>(
    what: &str,
    deadline: Duration,
    mut condition: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(value) = condition()? {
            return Ok(value);
        }
        if start.elapsed() >= deadline {
            bail!("waited {:.1} s in vain for: {what}", deadline.as_secs_f64());
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Looks at `condition` until it is true. Errors as [`poll`].
pub fn wait_until(what: &str, deadline: Duration, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    poll(what, deadline, || Ok(condition()?.then_some(())))
}
