//! Why a site of another origin is not served, said so that its owner knows what to do. What names resolve to inside the
//! gateway's own network is told to nobody.

use http::StatusCode;
use ledger::Origin;

use super::Site;
use crate::problem::Problem;

/// Why there is no answer from an origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The name does not say by which token its origin consents.
    NoToken,
    /// The origin does not consent to be served under the name.
    NoConsent(String),
    /// It has no address that may be connected to.
    Refused,
    /// No connection came about.
    Unreachable(String),
    /// It did not answer in time.
    Slow,
    /// What it said is not HTTP, or could mean two things.
    Malformed(String),
    /// Too many requests wait for origins.
    Busy,
    /// Nobody pays for it.
    Unpaid(String),
    /// It is not in the cache, and nothing else was asked for.
    NotCached,
    /// The path is longer than what is passed on.
    TooLong,
}

impl Fault {
    /// Whether an older answer may stand in: the origin is ill, and has not said no.
    pub(super) fn is_illness(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Slow | Self::Malformed(_))
    }

    /// As an answer.
    pub(super) fn problem(&self, site: &Site) -> Problem {
        let Site { name, origin, .. } = site;
        match self {
            Self::NoToken => no_token(name),
            Self::NoConsent(reason) => no_consent(name, origin, reason, site),
            Self::Refused => Problem::new(
                StatusCode::BAD_GATEWAY,
                "The origin of this site is refused",
                format!("{name} is served from {origin}, which has no public address that may be connected to"),
            ),
            Self::Unreachable(reason) => unreachable(name, origin, reason),
            Self::Malformed(reason) => unreachable(name, origin, &format!("its answer is refused: {reason}")),
            Self::Slow => Problem::new(
                StatusCode::GATEWAY_TIMEOUT,
                "The origin of this site is slow",
                format!("{name} is served from {origin}, which did not answer in time"),
            ),
            Self::Busy => Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "The node is busy",
                "too many requests wait for the origins of sites; try again soon",
            ),
            Self::Unpaid(reason) => Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "Nobody pays for this site here",
                format!("{name} is served from {origin}, and this node is paid for that by the name's owner: {reason}"),
            )
            .advise("If it is your name: `ddn pay allot NODE COINS --metered` sets coins aside for this node."),
            Self::NotCached => Problem::new(
                StatusCode::GATEWAY_TIMEOUT,
                "This page is not on this node",
                format!("{name} is served from {origin}, and only what is cached was asked for"),
            ),
            Self::TooLong => Problem::new(
                StatusCode::URI_TOO_LONG,
                "This address is too long",
                "the path and the query are longer than what is passed on",
            ),
        }
    }
}

fn no_token(name: &str) -> Problem {
    let detail =
        format!("{name} has an origin, but no text ddn-origin=TOKEN by which the origin would consent to it");
    Problem::new(StatusCode::FORBIDDEN, "This site is not set up yet", detail)
        .advise("If it is your name: `ddn name set NAME --txt ddn-origin=TOKEN`, with a word of your choice.")
}

fn no_consent(name: &str, origin: &Origin, reason: &str, site: &Site) -> Problem {
    let token = site.token.as_deref().unwrap_or("TOKEN");
    let detail = format!(
        "{origin} does not consent to be served as {name}: {reason}; the line `{name} {token}` is wanted in its file \
         /.well-known/ddn-origin"
    );
    Problem::new(StatusCode::FORBIDDEN, "The origin has not agreed", detail)
}

fn unreachable(name: &str, origin: &Origin, reason: &str) -> Problem {
    Problem::new(
        StatusCode::BAD_GATEWAY,
        "The origin of this site does not answer",
        format!("{name} is served from {origin}: {reason}"),
    )
}
