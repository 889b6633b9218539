//! What this node has sent in a calendar month (UTC).

use serde::{Deserialize, Serialize};
use time::{Month, OffsetDateTime, Time};

use super::Books;
use crate::Error;
use crate::store::database::Column;

/// A month, and what left in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Traffic {
    /// Months since January of the year 0.
    pub month: u64,
    /// Bytes of blocks.
    pub bytes: u64,
}

impl Traffic {
    /// With so many bytes more now; those of an earlier month count no more. A clock that goes back begins no month.
    pub fn with(self, bytes: u64, now_ms: u64) -> Traffic {
        let month = month_of(at(now_ms));
        match month > self.month {
            true => Traffic { month, bytes },
            false => Traffic {
                month: self.month,
                bytes: self.bytes.saturating_add(bytes),
            },
        }
    }

    /// When the month after the present one begins.
    pub fn next_month_ms(now_ms: u64) -> u64 {
        let now = at(now_ms);
        let (year, month) = match now.month() {
            Month::December => (now.year() + 1, Month::January),
            month => (now.year(), month.next()),
        };
        let first = time::Date::from_calendar_date(year, month, 1)
            .map(|date| date.with_time(Time::MIDNIGHT).assume_utc());
        first.map_or(u64::MAX, |first| {
            u64::try_from(first.unix_timestamp()).unwrap_or_default() * 1000
        })
    }
}

fn at(now_ms: u64) -> OffsetDateTime {
    let seconds = i64::try_from(now_ms / 1000).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn month_of(now: OffsetDateTime) -> u64 {
    let year = u64::try_from(now.year()).unwrap_or_default();
    year * 12 + u64::from(u8::from(now.month())) - 1
}

impl Books {
    /// What left in the last month in which anything did.
    pub fn traffic(&self) -> Result<Traffic, Error> {
        Ok(self.row(Column::Meta, TRAFFIC_KEY)?.unwrap_or_default())
    }

    /// Writes it.
    pub fn keep_traffic(&self, traffic: &Traffic) -> Result<(), Error> {
        self.put(Column::Meta, TRAFFIC_KEY, traffic)
    }
}

const TRAFFIC_KEY: &[u8] = b"traffic";

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-22, 00:00 UTC.
    const NOW: u64 = 1_795_305_600_000;
    const DAY: u64 = 24 * 3600 * 1000;

    #[test]
    fn a_month_is_counted_from_its_first_day() {
        let november = Traffic::default().with(5, NOW).with(2, NOW + 8 * DAY);
        assert_eq!((november.month, november.bytes), (2026 * 12 + 10, 7));
        assert_eq!(november.with(1, NOW + 9 * DAY).bytes, 1, "December");
        assert_eq!(november.with(1, NOW - 60 * DAY).bytes, 8, "the clock went back");
        assert_eq!(Traffic::next_month_ms(NOW), NOW + 9 * DAY);
        assert_eq!(
            Traffic::next_month_ms(NOW + 9 * DAY),
            NOW + 40 * DAY,
            "over the year"
        );
    }
}
