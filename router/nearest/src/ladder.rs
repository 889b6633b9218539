//! The steps by which an edge loses its readers, and gets them back.
//!
//! *Serving* → *away* (seconds: what this node measured) → *quarantine* (minutes: it is told, and must pass its self-test)
//! → *out* for an epoch (hours: a quorum of signed failures of distinct operators) → never money. Each step up needs more
//! than the one before, and only the first two are one node's opinion. A node that is ill itself takes no step but the
//! first and accuses nobody ([`crate::liveness::is_ill`]).

use crate::liveness::{PHI_ACCUSE, PHI_ROUTE_AWAY};
use crate::measure::FAILS_PERMILLE;

/// Signs of life in a row that bring an edge back from being away: one could be the last.
pub const RETURNS_AFTER: u8 = 3;
/// How long an edge is away before it is in quarantine, in microseconds.
pub const AWAY_US_MAX: u64 = 60_000_000;
/// The shortest quarantine, in microseconds: who comes and goes is no help to readers.
pub const QUARANTINE_US_MIN: u64 = 120_000_000;
/// Self-tests in a row that end a quarantine.
pub const TESTS_PASSED_MIN: u8 = 3;

/// Where an edge stands with this node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// It gets readers.
    #[default]
    Serving,
    /// It gets none, and is watched.
    Away {
        /// Since when, in microseconds.
        since_us: u64,
        /// Signs of life in a row.
        returns: u8,
    },
    /// It gets none, was told so, and has to pass its self-test.
    Quarantined {
        /// Since when, in microseconds.
        since_us: u64,
        /// Self-tests in a row that it passed.
        passed: u8,
    },
    /// It gets none until the end of an epoch.
    Out {
        /// The first epoch in which it may be tried again; then it starts in quarantine.
        until_epoch: u64,
    },
}

/// What happened. Times come beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A look at the measurements: suspicion in thousandths of φ, errors in thousandths, and whether this node is ill.
    Looked {
        /// Suspicion, in thousandths of φ.
        phi_milli: u32,
        /// Error rate, in thousandths.
        errors_permille: u32,
        /// Whether this node finds itself ill.
        ill: bool,
    },
    /// It answered a probe.
    Answered,
    /// It did not answer a probe, or wrongly.
    Failed,
    /// Its self-test, which is a dial-back for its ports and a fetch of a known block, was passed or not.
    Tested {
        /// Whether it was passed.
        passed: bool,
    },
    /// A quorum found that it failed ([`crate::quorum`]).
    Convicted {
        /// The epoch of the verdict.
        epoch: u64,
    },
    /// An epoch began.
    Epoch {
        /// Which.
        epoch: u64,
    },
}

impl Standing {
    /// Whether it gets readers.
    #[must_use]
    pub fn serves(&self) -> bool {
        matches!(self, Self::Serving)
    }

    /// Where it stands after `event`.
    #[must_use]
    pub fn after(self, event: Event, now_us: u64) -> Self {
        match (self, event) {
            (_, Event::Convicted { epoch }) => Self::Out {
                until_epoch: epoch.saturating_add(1),
            },
            (Self::Out { until_epoch }, Event::Epoch { epoch }) if epoch >= until_epoch => {
                Self::quarantine(now_us)
            }
            (Self::Out { .. }, _) | (_, Event::Epoch { .. }) => self,
            (Self::Serving, Event::Looked { .. }) if is_bad(&event) => Self::Away {
                since_us: now_us,
                returns: 0,
            },
            (Self::Serving, _) => self,
            (Self::Away { since_us, returns }, event) => away(since_us, returns, event, now_us),
            (Self::Quarantined { since_us, passed }, event) => quarantined(since_us, passed, event, now_us),
        }
    }

    fn quarantine(now_us: u64) -> Self {
        Self::Quarantined {
            since_us: now_us,
            passed: 0,
        }
    }

    /// Whether this node, which is not ill, may sign that the edge fails: it is in quarantine, and silent or wrong now.
    #[must_use]
    pub fn may_accuse(&self, phi_milli: u32, errors_permille: u32, ill: bool) -> bool {
        let failing = phi_milli >= PHI_ACCUSE || errors_permille >= FAILS_PERMILLE;
        matches!(self, Self::Quarantined { .. } | Self::Out { .. }) && failing && !ill
    }
}

fn is_bad(event: &Event) -> bool {
    matches!(event, Event::Looked { phi_milli, errors_permille, .. }
        if *phi_milli >= PHI_ROUTE_AWAY || *errors_permille >= FAILS_PERMILLE)
}

fn away(since_us: u64, returns: u8, event: Event, now_us: u64) -> Standing {
    let stays = |returns| Standing::Away { since_us, returns };
    match event {
        Event::Answered if returns + 1 >= RETURNS_AFTER => Standing::Serving,
        Event::Answered => stays(returns + 1),
        Event::Failed => stays(0),
        // Who is ill finds all away: they are not put into quarantine for that.
        Event::Looked { ill: false, .. } if now_us.saturating_sub(since_us) >= AWAY_US_MAX => {
            Standing::quarantine(now_us)
        }
        _ if is_bad(&event) => stays(0),
        _ => stays(returns),
    }
}

fn quarantined(since_us: u64, passed: u8, event: Event, now_us: u64) -> Standing {
    let stays = |passed| Standing::Quarantined { since_us, passed };
    match event {
        Event::Tested { passed: true } => {
            let passed = passed.saturating_add(1);
            let is_over = now_us.saturating_sub(since_us) >= QUARANTINE_US_MIN;
            match is_over && passed >= TESTS_PASSED_MIN {
                true => Standing::Serving,
                false => stays(passed),
            }
        }
        Event::Tested { passed: false } | Event::Failed => stays(0),
        _ => stays(passed),
    }
}
