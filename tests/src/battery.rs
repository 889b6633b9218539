//! Many checks of one prepared node.

use anyhow::{Result, bail};

/// A check and what it is about.
pub type Check<'a, S> = (&'a str, fn(&S) -> Result<()>);

/// Runs every check, and reports all that failed: a node is dear to start, a second run to see the next failure dearer.
///
/// # Errors
/// When any check failed; the text has each with its whole chain of causes.
pub fn run_all<S>(stage: &S, checks: &[Check<'_, S>]) -> Result<()> {
    let mut failed = Vec::new();
    for (name, check) in checks {
        if let Err(e) = check(stage) {
            failed.push(format!("✗ {name}: {e:#}"));
        }
    }
    if !failed.is_empty() {
        bail!(
            "{} of {} checks failed\n{}",
            failed.len(),
            checks.len(),
            failed.join("\n")
        );
    }
    Ok(())
}
