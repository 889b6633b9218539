//! Logs go to stderr, and are quiet unless somebody asks: with `-v`, or by module with `DDN_LOG`.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::{EnvFilter, fmt};

use super::failure::{Failure, Outcome};

const VARIABLE: &str = "DDN_LOG";
/// What is logged if nobody asks: what needs somebody to act. When the engine fails it says so in words of its own and
/// hangs; the node sees that from outside, ends, and says why in one line, which is enough. The hash table of the mesh warns
/// when it knows nobody, which is how every first node begins. An endpoint that is dropped may find its own relay closed, and
/// calls that an error.
const QUIET: &str =
    "warn,arc_malachitebft_engine::util::failure=off,libp2p_kad=error,iroh::socket::transports::relay=off";

/// Starts logging for the rest of the process.
pub fn start(verbose: u8, json: bool) -> Outcome {
    let filter = filter(verbose, std::env::var(VARIABLE).ok().as_deref())?;
    let lines = fmt().with_env_filter(filter).with_writer(io::stderr);
    let started = match json {
        true => lines.json().try_init(),
        false => lines.with_ansi(io::stderr().is_terminal()).try_init(),
    };
    started.map_err(|error| Failure::new("system", format!("cannot write logs: {error}")))
}

/// What is logged: as `DDN_LOG` says, else by the number of `-v`.
fn filter(verbose: u8, variable: Option<&str>) -> Outcome<EnvFilter> {
    let directives = match (variable, verbose) {
        (Some(given), _) if !given.is_empty() => given,
        (_, 0) => QUIET,
        (_, 1) => "info",
        (_, 2) => "debug",
        _ => "trace",
    };
    EnvFilter::try_new(directives).map_err(|error| {
        let text = format!(
            "{VARIABLE}={directives}: {error}: give a level, or modules and levels as in `info,chain=debug`"
        );
        Failure::new("bad_argument", text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_wins_over_the_flag() {
        for (verbose, variable, expected) in [
            (0, None, QUIET),
            (1, Some(""), "info"),
            (3, Some("chain=debug"), "chain=debug"),
        ] {
            let sorted = |text: &str| {
                let mut directives: Vec<String> = text.split(',').map(str::to_owned).collect();
                directives.sort();
                directives
            };
            let found = filter(verbose, variable).expect("a filter").to_string();
            assert_eq!(sorted(&found), sorted(expected));
        }
        assert!(filter(0, Some("chain=loud")).is_err());
    }
}
