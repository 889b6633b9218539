//! For how long an answer holds.

use std::time::Duration;

use http::HeaderValue;

use crate::reply;

/// For how long what was found holds, the shortest first: of several steps on the way to it, the least counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fresh {
    /// Until the next request: a ledger name may change with every block.
    Never,
    /// As long as the owner of an IPNS or DNSLink record says.
    For(Duration),
    /// Content by its CID does not change.
    Forever,
}

impl Fresh {
    /// The value of `Cache-Control` for content.
    pub(crate) fn of_content(self) -> HeaderValue {
        match self {
            Self::Never => reply::REVALIDATE,
            Self::For(time) => max_age(time),
            Self::Forever => reply::IMMUTABLE,
        }
    }

    /// The value of `Cache-Control` for a page that this gateway makes of content: it may look otherwise one day.
    pub(crate) fn of_page(self) -> HeaderValue {
        match self {
            Self::Never => reply::REVALIDATE,
            Self::For(time) => max_age(time.min(PAGE_MAX)),
            Self::Forever => reply::LISTING,
        }
    }
}

fn max_age(time: Duration) -> HeaderValue {
    crate::escape::header(&format!("public, max-age={}", time.as_secs()))
}

/// As long as pages of immutable content are kept.
const PAGE_MAX: Duration = Duration::from_secs(7 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_counts() {
        let (minute, hour) = (Duration::from_secs(60), Duration::from_secs(3600));
        let mut steps = [Fresh::Forever, Fresh::For(hour), Fresh::Never, Fresh::For(minute)];
        steps.sort();
        assert_eq!(
            steps,
            [Fresh::Never, Fresh::For(minute), Fresh::For(hour), Fresh::Forever]
        );
        assert_eq!(Fresh::For(hour).of_content(), "public, max-age=3600");
        assert_eq!(Fresh::For(hour * 1000).of_page(), "public, max-age=604800");
    }
}
