//! What a command prints: one JSON document, or aligned text with human units.

use std::{
    io::{self, IsTerminal as _, Write},
    time::Duration,
};

use serde::Serialize;

use super::failure::Outcome;
use crate::api::types::Sent;

/// Where answers go. Progress and errors go to stderr, so that stdout can be piped.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    /// Print JSON instead of text.
    pub json: bool,
}

impl Screen {
    /// Prints `value` as the one JSON document, or as the text that `human` writes.
    pub fn show<T: Serialize>(
        self,
        value: &T,
        human: impl FnOnce(&mut dyn Write, &T) -> io::Result<()>,
    ) -> Outcome {
        let mut out = io::stdout().lock();
        if self.json {
            serde_json::to_writer(&mut out, value).map_err(io::Error::from)?;
            writeln!(out)?;
        } else {
            human(&mut out, value)?;
        }
        out.flush()?;
        Ok(())
    }

    /// Prints what became of a transaction; `done` says what it did.
    pub fn sent(self, sent: &Sent, done: &str) -> Outcome {
        self.show(sent, |out, sent| {
            let tx = sent
                .tx
                .as_ref()
                .map(|tx| format!("  transaction {tx}"))
                .unwrap_or_default();
            match sent.height {
                Some(height) => writeln!(out, "{done}  final at height {height}{tx}"),
                None => writeln!(out, "{done}  on its way{tx}"),
            }
        })
    }

    /// True if somebody watches stderr and would like to see progress.
    pub fn shows_progress(self) -> bool {
        !self.json && io::stderr().is_terminal()
    }
}

/// Rows under a head, columns padded to the widest cell; numbers (by head ending in `>`) to the right.
pub struct Table {
    heads: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these column heads. A head that ends in `>` aligns its column to the right.
    pub fn new(heads: &[&'static str]) -> Self {
        Self {
            heads: heads.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row: as many cells as there are heads.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Writes the table, or `nothing` if it has no rows.
    pub fn write(&self, out: &mut dyn Write, nothing: &str) -> io::Result<()> {
        if self.rows.is_empty() {
            return writeln!(out, "{nothing}");
        }
        let heads: Vec<String> = self
            .heads
            .iter()
            .map(|head| head.trim_end_matches('>').to_owned())
            .collect();
        self.line(out, &heads)?;
        self.rows.iter().try_for_each(|row| self.line(out, row))
    }

    fn line(&self, out: &mut dyn Write, cells: &[String]) -> io::Result<()> {
        let mut line = String::new();
        for (index, cell) in cells.iter().enumerate() {
            let pad = " ".repeat(self.width(index).saturating_sub(cell.chars().count()));
            let right = self.heads.get(index).is_some_and(|head| head.ends_with('>'));
            line += &if right {
                format!("{pad}{cell}  ")
            } else {
                format!("{cell}{pad}  ")
            };
        }
        writeln!(out, "{}", line.trim_end())
    }

    fn width(&self, index: usize) -> usize {
        let head = self
            .heads
            .get(index)
            .map_or(0, |head| head.trim_end_matches('>').chars().count());
        let cells = self
            .rows
            .iter()
            .filter_map(|row| row.get(index))
            .map(|cell| cell.chars().count());
        cells.fold(head, usize::max)
    }
}

/// Writes `name   value` lines with aligned values; pairs with an empty value are left out.
pub fn facts(out: &mut dyn Write, pairs: &[(&str, String)]) -> io::Result<()> {
    let width = pairs
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
        writeln!(out, "{name:<width$}  {value}")?;
    }
    Ok(())
}

/// "1.5 MiB"; exact below 1 KiB.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut amount = count as f64 / 1024.0;
    let mut unit = 0;
    while amount >= 1023.95 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    format!("{amount:.1} {}", UNITS[unit])
}

/// "1 file", "2 files".
pub fn count(number: u64, thing: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{ending}")
}

/// The two largest units of a span: "3d 4h", "5m 10s", "12s", "300ms".
pub fn span(time: Duration) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let seconds = time.as_secs();
    let Some(first) = UNITS.iter().position(|(size, _)| seconds >= *size) else {
        return format!("{}ms", time.as_millis());
    };
    let (size, name) = UNITS[first];
    let rest = UNITS
        .get(first + 1)
        .map(|(smaller, unit)| (seconds % size / smaller, unit));
    match rest {
        Some((number, unit)) if number > 0 => format!("{}{name} {number}{unit}", seconds / size),
        _ => format!("{}{name}", seconds / size),
    }
}

/// Microseconds as "512 µs" or "1.3 ms".
pub fn micros(count: u32) -> String {
    match count {
        ..1000 => format!("{count} µs"),
        _ => format!("{:.1} ms", f64::from(count) / 1000.0),
    }
}

/// A height to come, and in about how long at this block time: "height 5000 (in about 3d 4h)".
pub fn until(height: u64, now: u64, block_time_ms: Option<u64>) -> String {
    match block_time_ms {
        Some(ms) if height > now => {
            let wait = Duration::from_millis(height.saturating_sub(now).saturating_mul(ms));
            format!("height {height} (in about {})", span(wait))
        }
        _ => format!("height {height}"),
    }
}

/// Milliseconds since 1970 as "2026-01-31 12:00:00 UTC" (proleptic Gregorian, Howard Hinnant's civil_from_days).
pub fn utc(time_ms: u64) -> String {
    let seconds = time_ms / 1000;
    let (day, rest) = (seconds / 86_400, seconds % 86_400);
    let shifted = day + 719_468;
    let era_day = shifted % 146_097;
    let era_year = (era_day - era_day / 1_460 + era_day / 36_524 - era_day / 146_096) / 365;
    let year_day = era_day - (365 * era_year + era_year / 4 - era_year / 100);
    let month_index = (5 * year_day + 2) / 153;
    let date = year_day - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 {
        month_index + 3
    } else {
        month_index - 9
    };
    let year = era_year + shifted / 146_097 * 400 + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{date:02} {:02}:{:02}:{:02} UTC",
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        write(&mut out).expect("a vector takes all");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn bytes_have_human_units() {
        for (input, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_572_864, "1.5 MiB"),
            (1_048_575, "1.0 MiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(bytes(input), expected);
        }
    }

    #[test]
    fn spans_keep_two_units() {
        for (seconds, expected) in [
            (0, "0ms"),
            (59, "59s"),
            (310, "5m 10s"),
            (3600, "1h"),
            (273_700, "3d 4h"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn round_trips_are_short() {
        for (count, expected) in [
            (7, "7 µs"),
            (999, "999 µs"),
            (1000, "1.0 ms"),
            (23_460, "23.5 ms"),
        ] {
            assert_eq!(micros(count), expected);
        }
    }

    #[test]
    fn heights_to_come_are_times_too() {
        assert_eq!(until(100, 40, Some(1000)), "height 100 (in about 1m)");
        assert_eq!(until(100, 100, Some(1000)), "height 100");
        assert_eq!(until(u64::MAX, 0, None), format!("height {}", u64::MAX));
    }

    #[test]
    fn times_are_civil() {
        for (ms, expected) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_400_000, "2000-02-29 00:00:00 UTC"),
            (1_767_225_599_999, "2025-12-31 23:59:59 UTC"),
        ] {
            assert_eq!(utc(ms), expected);
        }
    }

    #[test]
    fn tables_align() {
        let mut table = Table::new(&["name", "size>"]);
        table.row(["alice.ddn".into(), "5".into()]);
        table.row(["b".into(), "1024".into()]);
        assert_eq!(
            text(|out| table.write(out, "none")),
            "name       size\nalice.ddn     5\nb          1024\n"
        );
    }

    #[test]
    fn an_empty_table_says_so() {
        assert_eq!(
            text(|out| Table::new(&["name"]).write(out, "no names yet")),
            "no names yet\n"
        );
    }

    #[test]
    fn facts_leave_out_what_is_empty() {
        let pairs = [
            ("a", "1".to_owned()),
            ("long", "2".to_owned()),
            ("none", String::new()),
        ];
        assert_eq!(text(|out| facts(out, &pairs)), "a     1\nlong  2\n");
    }
}
