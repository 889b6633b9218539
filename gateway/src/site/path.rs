//! The paths that rules are for: segments as they are, `:name` for any one segment, `*` for whatever is left.

use crate::escape;

/// A path with variable parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    segments: Vec<Segment>,
    splat: Option<Splat>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Any(String),
}

/// The segment with the `*`, and all that follows: the text before the `*`, and the text after it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Splat {
    start: String,
    end: String,
}

/// The name under which a `*` is known.
const SPLAT: &str = "splat";

impl Pattern {
    /// Reads a pattern. A trailing slash says nothing, as in the paths that are asked.
    ///
    /// # Errors
    /// Why it is none, to be shown after the pattern.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let below = text.strip_prefix('/').ok_or("does not start with a slash")?;
        let (before, after) = match below.split_once('*') {
            None => (below, None),
            Some((_, after)) if after.contains('*') => return Err("has more than one asterisk"),
            Some((before, after)) => (before, Some(after)),
        };
        let (before, splat) = match after {
            None => (before, None),
            Some(after) => {
                let (whole, start) = before.rsplit_once('/').unwrap_or(("", before));
                let splat = Splat {
                    start: decoded(start)?,
                    end: decoded(after)?,
                };
                (whole, Some(splat))
            }
        };
        let segments: Result<Vec<Segment>, _> =
            before.split('/').filter(|s| !s.is_empty()).map(segment).collect();
        let pattern = Self {
            segments: segments?,
            splat,
        };
        match pattern.repeats() {
            true => Err("names two parts alike"),
            false => Ok(pattern),
        }
    }

    /// Whether an `*` stands elsewhere than at the end.
    pub(super) fn goes_on_after_splat(&self) -> bool {
        self.splat.as_ref().is_some_and(|splat| !splat.end.is_empty())
    }

    /// What the variable parts are if this is the pattern of `path`, which has decoded segments.
    pub(super) fn find<'a>(&'a self, path: &'a [String]) -> Option<Found<'a>> {
        let (whole, rest) = path.split_at_checked(self.segments.len())?;
        let mut parts = self.segments.iter().zip(whole);
        let alike = parts.all(|(segment, text)| match segment {
            Segment::Literal(literal) => literal == text,
            Segment::Any(_) => true,
        });
        let fits = alike
            && match &self.splat {
                None => rest.is_empty(),
                Some(splat) => splat.fits(rest),
            };
        fits.then_some(Found { pattern: self, path })
    }

    fn names(&self) -> impl Iterator<Item = (usize, &str)> {
        self.segments
            .iter()
            .enumerate()
            .filter_map(|(at, segment)| match segment {
                Segment::Any(name) => Some((at, name.as_str())),
                Segment::Literal(_) => None,
            })
    }

    fn repeats(&self) -> bool {
        let splat = self.splat.iter().map(|_| SPLAT);
        let mut names: Vec<&str> = self.names().map(|(_, name)| name).chain(splat).collect();
        names.sort_unstable();
        names.windows(2).any(|pair| pair[0] == pair[1])
    }
}

fn segment(text: &str) -> Result<Segment, &'static str> {
    match text.strip_prefix(':') {
        Some("") => Err("has a colon without a name"),
        Some(name) => Ok(Segment::Any(name.to_owned())),
        None => decoded(text).map(Segment::Literal),
    }
}

fn decoded(text: &str) -> Result<String, &'static str> {
    escape::unescape(text).ok_or("has escapes that are no UTF-8")
}

impl Splat {
    /// Whether the segments, joined, begin and end as they should. They are not joined to find out: there may be many
    /// patterns, and a long path.
    fn fits(&self, rest: &[String]) -> bool {
        let (Some(first), Some(last)) = (rest.first(), rest.last()) else {
            return self.start.is_empty() && self.end.is_empty();
        };
        match self.end.contains('/') {
            false => {
                let room = if rest.len() == 1 { self.start.len() } else { 0 };
                first.starts_with(&self.start)
                    && last.ends_with(&self.end)
                    && last.len() >= room + self.end.len()
            }
            true => {
                begins(rest, &self.start)
                    && ends(rest, &self.end)
                    && has(rest, self.start.len() + self.end.len())
            }
        }
    }
}

/// Whether the segments, joined, begin with `start`.
fn begins(segments: &[String], start: &str) -> bool {
    let mut left = start;
    for (at, text) in segments.iter().enumerate() {
        let after = if at == 0 {
            Some(left)
        } else {
            left.strip_prefix('/')
        };
        match after {
            Some(after) if after.len() <= text.len() => return text.starts_with(after),
            Some(after) => match after.strip_prefix(text.as_str()) {
                Some(after) => left = after,
                None => return false,
            },
            None => return left.is_empty(),
        }
    }
    left.is_empty()
}

/// Whether the segments, joined, end with `end`.
fn ends(segments: &[String], end: &str) -> bool {
    let mut left = end;
    for (at, text) in segments.iter().rev().enumerate() {
        let before = if at == 0 {
            Some(left)
        } else {
            left.strip_suffix('/')
        };
        match before {
            Some(before) if before.len() <= text.len() => return text.ends_with(before),
            Some(before) => match before.strip_suffix(text.as_str()) {
                Some(before) => left = before,
                None => return false,
            },
            None => return left.is_empty(),
        }
    }
    left.is_empty()
}

/// Whether the segments, joined, have so many bytes.
fn has(segments: &[String], count: usize) -> bool {
    let mut bytes = 0;
    segments.iter().enumerate().any(|(at, text)| {
        bytes += text.len() + usize::from(at > 0);
        bytes >= count
    })
}

/// A path that has the pattern.
pub(super) struct Found<'a> {
    pattern: &'a Pattern,
    path: &'a [String],
}

impl Found<'_> {
    /// The longest name of a variable part that `text` begins with, and what the part is, percent-encoded so that it can
    /// stand in a path.
    pub(super) fn part(&self, text: &str) -> Option<(usize, String)> {
        let named = self.pattern.names().map(|(at, name)| (name, Part::One(at)));
        let splat = self.pattern.splat.iter().map(|splat| (SPLAT, Part::Rest(splat)));
        let (name, part) = named
            .chain(splat)
            .filter(|(name, _)| text.starts_with(name))
            .max_by_key(|(name, _)| name.len())?;
        let value = match part {
            Part::One(at) => escape::segment(&self.path[at]),
            Part::Rest(splat) => self.rest(splat),
        };
        Some((name.len(), value))
    }

    /// Only a `*` at the end is ever asked for.
    fn rest(&self, splat: &Splat) -> String {
        let rest = &self.path[self.pattern.segments.len()..];
        let texts = rest.iter().enumerate().map(|(at, text)| match at {
            0 => escape::segment(text.strip_prefix(splat.start.as_str()).unwrap_or(text)),
            _ => escape::segment(text),
        });
        texts.collect::<Vec<_>>().join("/")
    }
}

enum Part<'a> {
    One(usize),
    Rest(&'a Splat),
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(text: &str) -> Vec<String> {
        let segments = text.split('/').filter(|s| !s.is_empty());
        segments.map(|s| escape::unescape(s).unwrap()).collect()
    }

    #[test]
    fn which_paths_have_a_pattern() {
        for (pattern, has, has_not) in [
            ("/", &["/"][..], &["/a"][..]),
            ("/a/b", &["/a/b", "/a/b/"], &["/a", "/a/b/c", "/A/b"]),
            ("/a/b/", &["/a/b", "/a/b/"], &["/a"]),
            ("/%C4%85", &["/ą", "/%C4%85"], &["/%25C4%2585"]),
            ("/:x/b", &["/a/b", "/b/b"], &["/b", "/a/b/c"]),
            ("/*", &["/", "/a", "/a/b/"], &[]),
            ("/a/*", &["/a", "/a/", "/a/b", "/a/b/c"], &["/", "/ab", "/b/a"]),
            ("/a*", &["/a", "/ab/c", "/a/b"], &["/", "/b"]),
            (
                "/*.css",
                &["/x.css", "/a/b.css", "/.css"],
                &["/x.js", "/css", "/x.css/y"],
            ),
            ("/a/x*x", &["/a/xx", "/a/x/x", "/a/xyx"], &["/a/x", "/xx"]),
            ("/a*/b", &["/a/b", "/ax/y/b"], &["/a", "/ab"]),
        ] {
            let parsed = Pattern::parse(pattern).unwrap();
            for text in has {
                assert!(parsed.find(&path(text)).is_some(), "{pattern} is one of {text}");
            }
            for text in has_not {
                assert!(parsed.find(&path(text)).is_none(), "{pattern} is none of {text}");
            }
        }
    }

    #[test]
    fn what_is_no_pattern() {
        for (text, reason) in [
            ("", "slash"),
            ("a", "slash"),
            ("*", "slash"),
            ("/*/*", "more than one"),
            ("/:a/:a", "alike"),
            ("/:splat/*", "alike"),
            ("/a/:", "without a name"),
            ("/%FF", "UTF-8"),
            ("/%FF*", "UTF-8"),
        ] {
            let error = Pattern::parse(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn what_the_parts_are() {
        let pattern = Pattern::parse("/:y/:year/p*").unwrap();
        let path = path("/1/a%2Fb/pq/%2F/z");
        let found = pattern.find(&path).unwrap();
        for (text, part) in [
            ("year-x", Some((4, "a%2Fb".to_owned()))),
            ("ye", Some((1, "1".to_owned()))),
            ("splat", Some((5, "q/%2F/z".to_owned()))),
            ("8080", None),
            ("", None),
        ] {
            assert_eq!(found.part(text), part, "{text}");
        }
    }

    proptest! {
        #[test]
        fn segments_are_compared_as_if_they_were_joined(
            segments in proptest::collection::vec("[ab/]{0,3}", 1..5),
            text in "[ab/]{0,8}",
        ) {
            let joined = segments.join("/");
            prop_assert_eq!(begins(&segments, &text), joined.starts_with(&text));
            prop_assert_eq!(ends(&segments, &text), joined.ends_with(&text));
            prop_assert_eq!(has(&segments, text.len().max(1)), joined.len() >= text.len().max(1));
        }
    }
}
