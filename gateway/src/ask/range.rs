//! The `Range` header (RFC 9110 section 14), for representations whose length is known.

use std::ops::Range;

/// What to send of a representation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Selected {
    /// All of it: nothing else was asked, or the header is malformed, in another unit, or the file is empty.
    Whole,
    /// These bytes: the first satisfiable range of the list. A client must cope with fewer ranges than it named.
    Part(Range<u64>),
    /// 416: the header is well formed, and no range of it touches the representation.
    Unsatisfiable,
}

/// Picks the bytes that `header` asks for out of a representation of `length` bytes.
pub(crate) fn select(header: &str, length: u64) -> Selected {
    let Some((unit, list)) = header.split_once('=') else {
        return Selected::Whole;
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") || length == 0 {
        return Selected::Whole;
    }
    let specs: Option<Vec<Spec>> = list.split(',').map(|text| Spec::parse(text.trim())).collect();
    match specs {
        None => Selected::Whole,
        Some(specs) => match specs.iter().find_map(|spec| spec.of(length)) {
            Some(range) => Selected::Part(range),
            None => Selected::Unsatisfiable,
        },
    }
}

/// One `range-spec`.
#[derive(Clone, Copy)]
enum Spec {
    From { first: u64, last: u64 },
    Suffix(u64),
}

impl Spec {
    fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-')?;
        match (first, last) {
            ("", "") => None,
            ("", suffix) => Some(Self::Suffix(number(suffix)?)),
            (first, "") => Some(Self::From {
                first: number(first)?,
                last: u64::MAX,
            }),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::From { first, last })
            }
        }
    }

    fn of(self, length: u64) -> Option<Range<u64>> {
        let range = match self {
            Self::From { first, last } => first..last.saturating_add(1).min(length),
            Self::Suffix(count) => length.saturating_sub(count)..length,
        };
        (!range.is_empty()).then_some(range)
    }
}

/// Digits only; what exceeds u64 is as good as its maximum.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn table() {
        use Selected::*;
        for (header, length, expected) in [
            ("bytes=6-16", 31, Part(6..17)),
            ("bytes=0-0", 31, Part(0..1)),
            ("bytes=-3", 31, Part(28..31)),
            ("bytes=-99", 31, Part(0..31)),
            ("bytes=30-", 31, Part(30..31)),
            ("bytes=30-99", 31, Part(30..31)),
            ("bytes=6-16,0-4", 31, Part(6..17)),
            ("bytes=99-, 0-4", 31, Part(0..5)),
            ("BYTES = 0-4", 31, Part(0..5)),
            ("bytes=31-", 31, Unsatisfiable),
            ("bytes=-0", 31, Unsatisfiable),
            ("bytes=99-100,200-", 31, Unsatisfiable),
            ("bytes=99999999999999999999999-", 31, Unsatisfiable),
            ("bytes=0-99999999999999999999999", 31, Part(0..31)),
            ("bytes=0-18446744073709551615", 31, Part(0..31)),
            ("bytes=0-", 0, Whole),
            ("bytes=5-4", 31, Whole),
            ("bytes=", 31, Whole),
            ("bytes=-", 31, Whole),
            ("bytes=a-b", 31, Whole),
            ("bytes=+1-2", 31, Whole),
            ("bytes=1-2;3", 31, Whole),
            ("bytes=1-2,,3-4", 31, Whole),
            ("bytes 1-2", 31, Whole),
            ("items=1-2", 31, Whole),
            ("", 31, Whole),
        ] {
            assert_eq!(select(header, length), expected, "{header:?} of {length}");
        }
    }

    proptest! {
        #[test]
        fn never_outside(header in "(bytes=)?[0-9, -]{0,40}", length in any::<u64>()) {
            if let Selected::Part(range) = select(&header, length) {
                prop_assert!(range.start < range.end && range.end <= length);
            }
        }

        #[test]
        fn any_header_is_safe(header in any::<String>(), length in any::<u64>()) {
            select(&header, length);
        }

        #[test]
        fn a_plain_range_is_itself(first in 0u64..1000, count in 1u64..1000, after in 0u64..1000) {
            let (end, length) = (first + count, first + count + after);
            prop_assert_eq!(select(&format!("bytes={first}-{}", end - 1), length), Selected::Part(first..end));
        }
    }
}
