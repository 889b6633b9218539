//! Times as IPNS records have them: RFC 3339, with up to nine decimals.

use std::time::{Duration, SystemTime};

/// Reads `2126-01-31T15:56:12.714899293Z`, also with an offset such as `+02:00`. None if it is anything else, or before
/// 1970.
pub fn parse(text: &str) -> Option<SystemTime> {
    let (date, rest) = text.split_once('T')?;
    let split = rest.find(['Z', '+', '-'])?;
    let (clock, zone) = rest.split_at(split);
    let seconds = days(date)? * DAY + clock_seconds(clock)? - offset_seconds(zone)?;
    let since = Duration::new(u64::try_from(seconds).ok()?, nanoseconds(clock)?);
    SystemTime::UNIX_EPOCH.checked_add(since)
}

const DAY: i64 = 86_400;

/// Days from 1970-01-01 to a date of the Gregorian calendar.
fn days(date: &str) -> Option<i64> {
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let lengths = [
        31,
        if leap { 29 } else { 28 },
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    let month = usize::try_from(month.checked_sub(1)?).ok()?;
    if day == 0 || day > *lengths.get(month)? {
        return None;
    }
    let before = year - 1;
    let years = before * 365 + before / 4 - before / 100 + before / 400;
    Some(years + lengths[..month].iter().sum::<i64>() + day - 1 - DAYS_TO_1970)
}

/// From the first day of the year 1.
const DAYS_TO_1970: i64 = 719_162;

fn clock_seconds(clock: &str) -> Option<i64> {
    let whole = clock.split_once('.').map_or(clock, |(whole, _)| whole);
    let [hour, minute, second] = numbers(whole, ':', [2, 2, 2])?;
    // A leap second counts as the one before it.
    (hour < 24 && minute < 60 && second <= 60).then(|| hour * 3600 + minute * 60 + second.min(59))
}

fn nanoseconds(clock: &str) -> Option<u32> {
    let Some((_, decimals)) = clock.split_once('.') else {
        return Some(0);
    };
    let fits = (1..=9).contains(&decimals.len()) && decimals.bytes().all(|b| b.is_ascii_digit());
    fits.then(|| format!("{decimals:0<9}").parse().ok())?
}

fn offset_seconds(zone: &str) -> Option<i64> {
    if zone == "Z" {
        return Some(0);
    }
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let [hours, minutes] = numbers(zone.get(1..)?, ':', [2, 2])?;
    (hours < 24 && minutes < 60).then(|| sign * (hours * 3600 + minutes * 60))
}

/// Numbers of exactly these widths.
fn numbers<const N: usize>(text: &str, separator: char, widths: [usize; N]) -> Option<[i64; N]> {
    let mut numbers = [0; N];
    let mut parts = text.split(separator);
    for (number, width) in numbers.iter_mut().zip(widths) {
        let part = parts.next()?;
        let fits = part.len() == width && part.bytes().all(|b| b.is_ascii_digit());
        *number = fits.then(|| part.parse().ok())??;
    }
    parts.next().is_none().then_some(numbers)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn table() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some((0, 0))),
            ("2000-02-29T23:59:60Z", Some((951_868_799, 0))),
            ("2026-11-21T09:30:00.5Z", Some((1_795_253_400, 500_000_000))),
            (
                "2126-01-31T15:56:12.714899293Z",
                Some((4_925_548_572, 714_899_293)),
            ),
            ("2026-11-21T11:30:00+02:00", Some((1_795_253_400, 0))),
            ("2026-11-21T04:00:00-05:30", Some((1_795_253_400, 0))),
            ("1969-12-31T23:59:59Z", None),
            ("2001-02-29T00:00:00Z", None),
            ("2001-13-01T00:00:00Z", None),
            ("2001-00-01T00:00:00Z", None),
            ("2001-01-01T24:00:00Z", None),
            ("2001-01-01T00:00:00", None),
            ("2001-01-01 00:00:00Z", None),
            ("2001-01-01T00:00:00.Z", None),
            ("2001-01-01T00:00:00.1234567890Z", None),
            ("2001-1-1T00:00:00Z", None),
            ("", None),
        ] {
            let expected = expected.map(|(s, n)| SystemTime::UNIX_EPOCH + Duration::new(s, n));
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_safe(text in "[0-9TZ:+.ä-]{0,40}") {
            let _ = parse(&text);
        }
    }
}
