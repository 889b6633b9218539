//! Progress on a terminal: one line on stderr that is gone when the command ends.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::screen::{self, Screen};

/// A line that moves; silent where nobody watches.
pub struct Line(ProgressBar);

impl Line {
    /// A line that starts with `text`.
    pub fn start(screen: Screen, text: &str) -> Self {
        if !screen.shows_progress() {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::new_spinner().with_message(text.to_owned());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}  {elapsed}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }

    /// Changes the text.
    pub fn say(&self, text: impl Into<String>) {
        self.0.set_message(text.into());
    }

    /// Changes the text to "`what`  12 files  3.4 MiB".
    pub fn moved(&self, what: &str, files: u64, bytes: u64) {
        if !self.0.is_hidden() {
            self.say(format!(
                "{what}  {}  {}",
                screen::count(files, "file"),
                screen::bytes(bytes)
            ));
        }
    }

    /// Changes the text to "`what`  12 blocks  3.4 MiB".
    pub fn counted(&self, what: &str, blocks: u64, bytes: u64) {
        if !self.0.is_hidden() {
            self.say(format!(
                "{what}  {}  {}",
                screen::count(blocks, "block"),
                screen::bytes(bytes)
            ));
        }
    }

    /// A second handle to the same line, for another thread.
    pub fn clone_handle(&self) -> Self {
        Self(self.0.clone())
    }

    /// Removes the line.
    pub fn end(&self) {
        self.0.finish_and_clear();
    }
}
