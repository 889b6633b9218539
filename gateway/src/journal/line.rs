//! How a line of the access log looks.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::Version;

/// The look of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// The combined format of Apache and nginx, which every tool reads.
    #[default]
    Combined,
    /// An object of JSON, which says more: host, duration, trace, whether the answer was taken to its end.
    Json,
}

/// What is noted of a request. Everything from the client is raw: what could break a line is escaped here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'a> {
    pub client: IpAddr,
    /// When the request came.
    pub at: SystemTime,
    pub method: &'a [u8],
    pub host: &'a [u8],
    /// Path and query.
    pub target: &'a [u8],
    pub version: Version,
    pub status: u16,
    /// Bytes of the body that were handed over.
    pub bytes: u64,
    /// From the request to the end of the answer.
    pub took: Duration,
    pub referer: &'a [u8],
    pub agent: &'a [u8],
    /// The id of the trace; 0 if there is none.
    pub trace: u128,
    /// Whether the body came to its end.
    pub is_whole: bool,
}

impl Default for Line<'_> {
    fn default() -> Self {
        Self {
            client: Ipv4Addr::UNSPECIFIED.into(),
            at: UNIX_EPOCH,
            method: b"GET",
            host: b"",
            target: b"/",
            version: Version::HTTP_11,
            status: 200,
            bytes: 0,
            took: Duration::ZERO,
            referer: b"",
            agent: b"",
            trace: 0,
            is_whole: true,
        }
    }
}

impl Line<'_> {
    /// Appends the line and its end.
    pub(super) fn write(&self, style: Style, out: &mut Vec<u8>) {
        // Writing to memory does not fail.
        let _ = match style {
            Style::Combined => self.combined(out),
            Style::Json => self.json(out),
        };
    }

    fn combined(&self, out: &mut Vec<u8>) -> std::io::Result<()> {
        let Clock {
            year,
            month,
            day,
            hour,
            minute,
            second,
            ..
        } = Clock::of(self.at);
        let month = MONTHS[month as usize - 1];
        write!(
            out,
            "{} - - [{day:02}/{month}/{year}:{hour:02}:{minute:02}:{second:02} +0000] \"",
            self.client
        )?;
        quoted(self.method, out);
        out.push(b' ');
        quoted(self.target, out);
        write!(out, " {:?}\" {} {} \"", self.version, self.status, self.bytes)?;
        quoted(or_hyphen(self.referer), out);
        out.extend(b"\" \"");
        quoted(or_hyphen(self.agent), out);
        out.extend(b"\"\n");
        Ok(())
    }

    fn json(&self, out: &mut Vec<u8>) -> std::io::Result<()> {
        let Clock {
            year,
            month,
            day,
            hour,
            minute,
            second,
            millis,
        } = Clock::of(self.at);
        write!(
            out,
            "{{\"time\":\"{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z\",\"client\":\"{}\"",
            self.client
        )?;
        for (key, text) in [
            ("method", self.method),
            ("host", self.host),
            ("target", self.target),
            ("referer", self.referer),
            ("agent", self.agent),
        ] {
            write!(out, ",\"{key}\":\"")?;
            json_text(text, out);
            out.push(b'"');
        }
        write!(
            out,
            ",\"version\":\"{:?}\",\"status\":{},\"bytes\":{},\"ms\":{}.{:03},\"whole\":{}",
            self.version,
            self.status,
            self.bytes,
            self.took.as_millis(),
            self.took.subsec_micros() % 1000,
            self.is_whole
        )?;
        if self.trace != 0 {
            write!(out, ",\"trace\":\"{:032x}\"", self.trace)?;
        }
        out.extend(b"}\n");
        Ok(())
    }
}

fn or_hyphen(text: &[u8]) -> &[u8] {
    if text.is_empty() { b"-" } else { text }
}

/// Text between quotes, as Apache writes it: nothing in it ends the quotes, the line, or is a command to a terminal.
fn quoted(text: &[u8], out: &mut Vec<u8>) {
    for &byte in text {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', byte]),
            b' '..=b'~' => out.push(byte),
            _ => {
                let digit = |half: u8| b"0123456789abcdef"[usize::from(half)];
                out.extend([b'\\', b'x', digit(byte >> 4), digit(byte & 15)]);
            }
        }
    }
}

/// A string of JSON. Bytes that are no UTF-8 are taken as Latin-1, so that none is lost.
fn json_text(text: &[u8], out: &mut Vec<u8>) {
    let is_text = std::str::from_utf8(text).is_ok();
    for &byte in text {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', byte]),
            b' '..=b'~' => out.push(byte),
            0x80.. if is_text => out.push(byte),
            _ => {
                let digit = |half: u8| b"0123456789abcdef"[usize::from(half)];
                out.extend([b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
            }
        }
    }
}

/// A moment in the calendar, UTC.
struct Clock {
    year: u64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
    millis: u32,
}

impl Clock {
    /// Times before 1970 are 1970.
    fn of(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
        // Years that begin in March have the leap day at their end. Counted from March of the year 0, 400 years are
        // 146,097 days, and 5 months from March on are always 153.
        let days = days + 719_468;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * day_of_year + 2) / 153;
        Self {
            year: era * 400 + year_of_era + u64::from(month >= 10),
            month: (month + 2) % 12 + 1,
            day: day_of_year - (153 * month + 2) / 5 + 1,
            hour: seconds / 3600,
            minute: seconds / 60 % 60,
            second: seconds % 60,
            millis: since.subsec_millis(),
        }
    }
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(seconds * 1000 + 7)
    }

    fn text(style: Style, line: &Line<'_>) -> String {
        let mut out = Vec::new();
        line.write(style, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn sample() -> Line<'static> {
        Line {
            client: "2001:db8::1".parse().unwrap(),
            at: at(1_795_253_032),
            host: b"localhost",
            target: b"/ipfs/x?a=\"b\"\n",
            status: 206,
            bytes: 31,
            took: Duration::from_micros(12_045),
            agent: b"curl/8 \xe4\\",
            trace: 0xabc,
            ..Line::default()
        }
    }

    #[test]
    fn combined() {
        let line = "2001:db8::1 - - [21/Nov/2026:09:23:52 +0000] \"GET /ipfs/x?a=\\\"b\\\"\\x0a HTTP/1.1\" 206 31 \"-\" \
                    \"curl/8 \\xe4\\\\\"\n";
        assert_eq!(text(Style::Combined, &sample()), line);
    }

    #[test]
    fn json() {
        let line = text(Style::Json, &sample());
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        for (key, expected) in [
            ("time", serde_json::json!("2026-11-21T09:23:52.007Z")),
            ("client", "2001:db8::1".into()),
            ("target", "/ipfs/x?a=\"b\"\n".into()),
            ("agent", "curl/8 \u{e4}\\".into()),
            ("version", "HTTP/1.1".into()),
            ("status", 206.into()),
            ("bytes", 31.into()),
            ("ms", 12.045.into()),
            ("whole", true.into()),
            ("trace", "00000000000000000000000000000abc".into()),
        ] {
            assert_eq!(value[key], expected, "{key}");
        }
    }

    #[test]
    fn days() {
        for (seconds, expected) in [
            (0, (1970, 1, 1)),
            (68_169_600, (1972, 2, 29)),
            (951_782_400, (2000, 2, 29)),
            (951_868_800, (2000, 3, 1)),
            (1_798_675_200, (2026, 12, 31)),
            (1_798_761_600, (2027, 1, 1)),
            (4_107_542_400, (2100, 3, 1)),
        ] {
            let Clock { year, month, day, .. } = Clock::of(at(seconds));
            assert_eq!((year, month, day), expected, "{seconds}");
        }
    }

    proptest! {
        #[test]
        fn a_line_is_one_line(target in proptest::collection::vec(any::<u8>(), 0..40), agent in any::<String>()) {
            let line = Line { target: &target, agent: agent.as_bytes(), ..Line::default() };
            let combined = text(Style::Combined, &line);
            prop_assert!(combined.is_ascii() && combined.matches('\n').count() == 1);
            let json = text(Style::Json, &line);
            prop_assert_eq!(json.matches('\n').count(), 1);
            let value: serde_json::Value = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(value["agent"].as_str(), Some(agent.as_str()));
        }
    }
}
