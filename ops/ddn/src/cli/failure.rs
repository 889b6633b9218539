//! How a command fails: one line on stderr that says what was wrong, on which object and what to do.

use std::{fmt, io, io::Write as _, process::ExitCode};

use serde::Serialize;

use crate::api::types::ErrorText;

/// Why a command stopped.
#[derive(Debug)]
pub enum Failure {
    /// Something the user should read.
    Said {
        /// A stable word for programs, as in the admin API: `no_node`, `not_found`, …
        code: String,
        /// The one line.
        message: String,
        /// More lines, for programs only.
        details: Vec<String>,
    },
    /// The reader of our output went away; there is nobody left to tell.
    PipeClosed,
}

/// The result of every command.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// A failure with a stable code and a line of text.
    pub fn new(code: impl Into<String>, message: impl fmt::Display) -> Self {
        Self::Said {
            code: code.into(),
            message: one_line(&message.to_string()),
            details: Vec::new(),
        }
    }

    /// As the admin API told it.
    pub fn told(error: ErrorText) -> Self {
        Self::Said {
            code: error.code,
            message: one_line(&error.message),
            details: error.details,
        }
    }

    /// A local file could not be read or written: `what` is the verb, as in "read".
    pub fn file(what: &str, path: &std::path::Path, error: &io::Error) -> Self {
        Self::new(
            "file",
            format!("cannot {what} {}: {}", path.display(), reason(error)),
        )
    }

    /// Something in the argument `given` is not right; only for what clap cannot see.
    pub fn argument(given: &str, message: impl fmt::Display) -> Self {
        Self::new("bad_argument", format!("`{given}`: {message}"))
    }

    /// Prints the line to stderr, as JSON if asked, and gives the exit code.
    pub fn report(&self, json: bool) -> ExitCode {
        let Self::Said {
            code,
            message,
            details,
        } = self
        else {
            return ExitCode::SUCCESS;
        };
        let line = if json {
            document(code, message, details)
        } else {
            format!("ddn: {message}")
        };
        // A closed stderr is no reason to fail in another way.
        let _ = writeln!(io::stderr(), "{line}");
        ExitCode::FAILURE
    }

    /// The same, with the object that it is about before it, unless the node itself is what failed.
    pub fn about(self, object: impl fmt::Display) -> Self {
        match self {
            Self::Said {
                code,
                message,
                details,
            } if !code.starts_with("node") => Self::Said {
                message: format!("{object}: {message}"),
                code,
                details,
            },
            other => other,
        }
    }

    /// The stable code, empty for a closed pipe.
    pub fn code(&self) -> &str {
        match self {
            Self::Said { code, .. } => code,
            Self::PipeClosed => "",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Said { message, .. } => f.write_str(message),
            Self::PipeClosed => f.write_str("the output is closed"),
        }
    }
}

/// Errors of stdout and of output files that we stream into.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::PipeClosed,
            _ => Self::new("output", format!("cannot write the output: {}", reason(&error))),
        }
    }
}

/// An error of local files, folders or blocks.
pub fn storage(error: &storage::Error) -> Failure {
    use storage::Error;
    if matches!(error, Error::Stream { source, .. } if source.kind() == io::ErrorKind::BrokenPipe) {
        return Failure::PipeClosed;
    }
    let code = match error {
        Error::NoLink { .. } | Error::Missing(_) => "not_found",
        Error::Unavailable { .. } => "unavailable",
        Error::InUse { .. } => "in_use",
        Error::Source { .. } | Error::Io { .. } | Error::Export { .. } => "file",
        _ => "storage",
    };
    let details = match error {
        Error::Unavailable { tried, .. } => tried.iter().map(ToString::to_string).collect(),
        _ => Vec::new(),
    };
    Failure::told(ErrorText {
        code: code.to_owned(),
        message: chain(error),
        details,
    })
}

/// The system's words for an error, without "(os error 2)".
pub fn reason(error: &io::Error) -> String {
    lower_first(&one_line(&error.to_string()))
}

/// An error with its causes, outermost first, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !line.ends_with(&text) {
            line = format!("{line}: {text}");
        }
        source = cause.source();
    }
    one_line(&line)
}

#[derive(Serialize)]
struct Document<'a> {
    error: Words<'a>,
}

#[derive(Serialize)]
struct Words<'a> {
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    details: &'a [String],
}

fn document(code: &str, message: &str, details: &[String]) -> String {
    let error = Words {
        code,
        message,
        details,
    };
    serde_json::to_string(&Document { error }).unwrap_or_default()
}

/// Line breaks become spaces, and "(os error 2)" goes: the words before it say the same.
fn one_line(text: &str) -> String {
    let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    while let Some(start) = line.find(" (os error ") {
        let Some(length) = line[start..].find(')') else {
            break;
        };
        line.replace_range(start..=start + length, "");
    }
    line
}

fn lower_first(words: &str) -> String {
    let mut letters = words.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_stays_one_line() {
        let failure = Failure::new("x", "first\nsecond\t third");
        assert!(matches!(failure, Failure::Said { message, .. } if message == "first second third"));
        assert_eq!(
            one_line("cannot open x: No such file (os error 2): y"),
            "cannot open x: No such file: y"
        );
    }

    #[test]
    fn system_errors_read_like_words() {
        let error = io::Error::from_raw_os_error(13);
        assert_eq!(reason(&error), "permission denied");
    }

    #[test]
    fn a_closed_pipe_is_silent() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(matches!(failure, Failure::PipeClosed));
    }

    #[test]
    fn json_carries_code_and_message() {
        assert_eq!(
            document("no_node", "a \"b\"", &[]),
            r#"{"error":{"code":"no_node","message":"a \"b\""}}"#
        );
        assert_eq!(
            document("unavailable", "a", &["b".to_owned()]),
            r#"{"error":{"code":"unavailable","message":"a","details":["b"]}}"#
        );
    }
}
