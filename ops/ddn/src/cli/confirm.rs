//! A question before what cannot be undone. Programs are not asked: only a terminal can answer.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use super::failure::{Failure, Outcome};

/// Asks on a terminal and goes on at `y` or `yes`; goes on at once if `yes`, or if nobody is there to be asked.
pub fn ask(yes: bool, question: &str) -> Outcome {
    if yes || !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(());
    }
    // Without a question on the screen the answer cannot be yes.
    let asked = write!(io::stderr(), "{question} [y/N] ").and_then(|()| io::stderr().flush());
    let mut answer = String::new();
    let read = asked.and_then(|()| io::stdin().lock().read_line(&mut answer));
    match (read, answer.trim().to_lowercase().as_str()) {
        (Ok(_), "y" | "yes") => Ok(()),
        _ => Err(Failure::new(
            "not_confirmed",
            "nothing was done, since it was not confirmed: answer y, or give --yes",
        )),
    }
}
