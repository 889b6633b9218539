//! Amounts, sizes and spans as people write them on a command line.

use std::time::Duration;

use ledger::Amount;

/// Coins, as in 1.5.
pub fn coins(text: &str) -> Result<Amount, String> {
    Amount::parse_coins(text).map_err(|error| error.to_string())
}

/// Bytes, as in 500GiB, 2TB or 1024; `none` is 0.
pub fn size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 9] = [
        ("", 1),
        ("kb", 1000),
        ("mb", 1_000_000),
        ("gb", 1_000_000_000),
        ("tb", 1_000_000_000_000),
        ("kib", 1 << 10),
        ("mib", 1 << 20),
        ("gib", 1 << 30),
        ("tib", 1 << 40),
    ];
    if text == "none" {
        return Ok(0);
    }
    let forms = || "give a whole number with a unit, as in 500GiB or 2TB, or `none`".to_owned();
    scaled(text, &UNITS).ok_or_else(forms)
}

/// A span of time, as in 90s, 12h or 30d.
pub fn span(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, u64); 5] = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400), ("w", 604_800)];
    let forms = || "give a whole number with a unit, as in 90s, 12h or 30d".to_owned();
    let seconds = scaled(text, &UNITS).filter(|seconds| *seconds > 0);
    seconds.map(Duration::from_secs).ok_or_else(forms)
}

fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let end = text
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = unit.trim_start().to_ascii_lowercase();
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, expected) in [
            ("0", Some(0)),
            ("none", Some(0)),
            ("1024", Some(1024)),
            ("2TB", Some(2_000_000_000_000)),
            ("500 GiB", Some(500 << 30)),
            ("1mib", Some(1 << 20)),
            ("", None),
            ("GiB", None),
            ("1.5GiB", None),
            ("-1", None),
            ("20000000TiB", None),
        ] {
            assert_eq!(size(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn spans_have_units() {
        for (text, expected) in [
            ("90s", Some(90)),
            ("12h", Some(43_200)),
            ("30d", Some(2_592_000)),
            ("2w", Some(1_209_600)),
            ("90", None),
            ("0s", None),
            ("d", None),
            ("1y", None),
        ] {
            assert_eq!(span(text).ok().map(|span| span.as_secs()), expected, "{text}");
        }
    }
}
