//! Records that say where a service is: mail, other services, HTTPS, and who may issue certificates.
//!
//! Each has one text for each meaning, which is how it is stored, sent and shown: that of a zone file, in lower case, with
//! names in ASCII without a final dot and numbers without leading zeros.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::Error;
use crate::name::{MAX_NAME, under_fault};

/// The name itself, as a target.
const SELF: &str = ".";
/// The most bytes of a CAA value: it is one character-string in most tools, and no issuer needs more (RFC 8659).
const MAX_CAA_VALUE: usize = 255;
/// The most protocols of an HTTPS record, and the most bytes of one.
const MAX_PROTOCOLS: usize = 8;
const MAX_PROTOCOL_BYTES: usize = 32;

/// A mail server: `10 mail.example.org` (RFC 1035); `0 .` takes no mail (RFC 7505).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mx {
    /// The lowest is tried first.
    pub preference: u16,
    /// Its name, `.` for none.
    pub host: String,
}

/// A server of some service: `10 5 5060 sip.example.org` (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Srv {
    /// The lowest is tried first.
    pub priority: u16,
    /// The share among those of one priority.
    pub weight: u16,
    /// Its port.
    pub port: u16,
    /// Its name, `.` if there is decidedly no such service.
    pub target: String,
}

/// Who may issue certificates: `0 issue letsencrypt.org` (RFC 8659).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Caa {
    /// Whether an issuer that does not know the tag has to refuse: 128 in the text.
    pub critical: bool,
    /// What it is about: `issue`, `issuewild`, `iodef`, …
    pub tag: String,
    /// Printable ASCII; may be empty.
    pub value: String,
}

/// How a site is reached by HTTPS: `1 . alpn=h3,h2 port=8443`, or `0 example.org` for another name (RFC 9460).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Https {
    /// 0: the target stands for this name, and has no parameters. Else the lowest is tried first.
    pub priority: u16,
    /// The name of the server, `.` for the name itself.
    pub target: String,
    /// The protocols that are spoken there, such as `h3` and `h2`, at most 8.
    pub alpn: Vec<String>,
    /// The port, if it is not 443.
    pub port: Option<u16>,
}

impl Mx {
    fn read(text: &str) -> Result<Self, &'static str> {
        let words: Vec<&str> = text.split(' ').collect();
        let [preference, host] = words[..] else {
            return Err("give a preference and a name, as in `10 mail.example.org`");
        };
        Ok(Self {
            preference: number(preference)?,
            host: target(host)?,
        })
    }
}

impl Srv {
    fn read(text: &str) -> Result<Self, &'static str> {
        let words: Vec<&str> = text.split(' ').collect();
        let [priority, weight, port, host] = words[..] else {
            return Err("give priority, weight, port and a name, as in `10 5 5060 sip.example.org`");
        };
        Ok(Self {
            priority: number(priority)?,
            weight: number(weight)?,
            port: number(port)?,
            target: target(host)?,
        })
    }
}

impl Caa {
    fn read(text: &str) -> Result<Self, &'static str> {
        let mut words = text.splitn(3, ' ');
        let (Some(flags), Some(tag)) = (words.next(), words.next()) else {
            return Err("give flags, a tag and a value, as in `0 issue letsencrypt.org`");
        };
        let value = words.next().unwrap_or_default();
        let critical = match flags {
            "0" => false,
            "128" => true,
            _ => return Err("its flags are 0, or 128 for one that must be understood"),
        };
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        if tag.is_empty() || tag.len() > 15 || !tag.bytes().all(plain) {
            return Err("a tag has 1 to 15 of a-z and 0-9");
        }
        if value.len() > MAX_CAA_VALUE || !value.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
            return Err("a value has at most 255 printable ASCII characters");
        }
        Ok(Self {
            critical,
            tag: tag.into(),
            value: value.into(),
        })
    }
}

impl Https {
    fn read(text: &str) -> Result<Self, &'static str> {
        let mut words = text.split(' ');
        let (Some(priority), Some(host)) = (words.next(), words.next()) else {
            return Err("give a priority and a name, as in `1 . alpn=h3,h2`");
        };
        let mut https = Self {
            priority: number(priority)?,
            target: target(host)?,
            alpn: Vec::new(),
            port: None,
        };
        for word in words {
            match word.split_once('=') {
                Some(("alpn", list)) if https.alpn.is_empty() && https.port.is_none() => {
                    https.alpn = protocols(list)?;
                }
                Some(("port", port)) if https.port.is_none() => https.port = Some(number(port)?),
                _ => return Err("its parameters are alpn=… and port=…, in this order, each once"),
            }
        }
        let is_plain = https.alpn.is_empty() && https.port.is_none();
        match https.priority == 0 && (!is_plain || https.target == SELF) {
            true => Err("with priority 0 it names another host, and nothing else"),
            false => Ok(https),
        }
    }
}

/// Without leading zeros or a sign.
fn number(text: &str) -> Result<u16, &'static str> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    let number = text.parse().ok().filter(|_| plain);
    number.ok_or("a number is from 0 to 65535, without zeros before it")
}

fn target(text: &str) -> Result<String, &'static str> {
    if text == SELF {
        return Ok(text.into());
    }
    if text.len() > MAX_NAME {
        return Err("a name has at most 253 characters");
    }
    under_fault(text).map_or_else(|| Ok(text.into()), Err)
}

fn protocols(list: &str) -> Result<Vec<String>, &'static str> {
    let names: Vec<&str> = list.split(',').collect();
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.' | b'/');
    let is_good =
        |name: &&str| !name.is_empty() && name.len() <= MAX_PROTOCOL_BYTES && name.bytes().all(plain);
    let twice = names
        .iter()
        .enumerate()
        .any(|(at, name)| names[..at].contains(name));
    match names.len() <= MAX_PROTOCOLS && names.iter().all(is_good) && !twice {
        true => Ok(names.into_iter().map(str::to_owned).collect()),
        false => Err("alpn has 1 to 8 different protocols, such as h3,h2"),
    }
}

impl fmt::Display for Mx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.preference, self.host)
    }
}

impl fmt::Display for Srv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            priority,
            weight,
            port,
            target,
        } = self;
        write!(f, "{priority} {weight} {port} {target}")
    }
}

impl fmt::Display for Caa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = if self.critical { 128 } else { 0 };
        write!(f, "{flags} {} {}", self.tag, self.value)
    }
}

impl fmt::Display for Https {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.priority, self.target)?;
        if !self.alpn.is_empty() {
            write!(f, " alpn={}", self.alpn.join(","))?;
        }
        self.port.map_or(Ok(()), |port| write!(f, " port={port}"))
    }
}

/// The one text of a record: read strictly, written by `Display`.
macro_rules! text_form {
    ($($record:ident $kind:literal)*) => {$(
        impl FromStr for $record {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                let bad = |reason: &str| Error::Records {
                    reason: format!("{} '{}': {reason}", $kind, text.escape_debug()),
                };
                let record = Self::read(text).map_err(bad)?;
                match record.to_string() == text {
                    true => Ok(record),
                    false => Err(bad("it is not in its one form")),
                }
            }
        }

        impl Serialize for $record {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $record {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

text_form!(Mx "mx" Srv "srv" Caa "caa" Https "https");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check<T: FromStr<Err = Error> + ToString>(good: &[&str], bad: &[(&str, &str)]) {
        for text in good {
            match text.parse::<T>() {
                Ok(record) => assert_eq!(record.to_string(), *text),
                Err(error) => panic!("{text}: {error}"),
            }
        }
        for (text, words) in bad {
            let Err(error) = text.parse::<T>() else {
                panic!("{text} was taken")
            };
            assert!(error.to_string().contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn mail() {
        let form = "give a preference and a name";
        check::<Mx>(
            &["10 mail.example.org", "0 .", "65535 a"],
            &[
                ("", form),
                ("10", form),
                ("10  mail", form),
                ("10 mail x", form),
                ("010 mail", "a number is from 0 to 65535"),
                ("+1 mail", "a number is from 0 to 65535"),
                ("65536 mail", "a number is from 0 to 65535"),
                ("10 Mail", "a label consists of"),
                ("10 mail.", "a label is empty"),
                ("10 \u{fc}", "a label consists of"),
            ],
        );
    }

    #[test]
    fn services() {
        check::<Srv>(
            &["10 5 5060 sip.example.org", "0 0 0 ."],
            &[
                ("10 5 sip", "give priority, weight, port"),
                ("1 2 3 -a", "does not start"),
            ],
        );
    }

    #[test]
    fn issuers() {
        check::<Caa>(
            &[
                "0 issue letsencrypt.org",
                "128 issue ca.example; policy=ev",
                "0 issue ;",
                "0 iodef mailto:a@b.example",
                "0 issue ",
            ],
            &[
                ("0", "give flags, a tag and a value"),
                ("1 issue x", "its flags are 0, or 128"),
                ("0 Issue x", "a tag has"),
                ("0 issue \u{7}", "printable"),
                ("0 issue", "one form"),
            ],
        );
    }

    #[test]
    fn https() {
        let parameters = "its parameters are alpn";
        check::<Https>(
            &[
                "1 .",
                "1 . alpn=h3,h2",
                "2 b.example alpn=h2 port=8443",
                "0 example.org",
                "1 . port=1",
            ],
            &[
                ("1", "give a priority and a name"),
                ("1 . ", parameters),
                ("1 . alpn=h3 alpn=h2", parameters),
                ("1 . port=1 alpn=h2", parameters),
                ("1 . ipv4hint=192.0.2.1", parameters),
                ("1 . alpn=", "alpn has 1 to 8"),
                ("1 . alpn=h2,h2", "alpn has 1 to 8"),
                ("1 . alpn=H2", "alpn has 1 to 8"),
                ("0 .", "with priority 0"),
                ("0 a alpn=h2", "with priority 0"),
            ],
        );
    }

    proptest! {
        /// What is taken is written as it was read.
        #[test]
        fn one_text_for_each(text in "[0-9]{1,5} [a-z._0-9-]{1,9}( [a-z0-9=,. -]{0,20})?") {
            if let Ok(record) = text.parse::<Mx>() { prop_assert_eq!(record.to_string(), &*text); }
            if let Ok(record) = text.parse::<Srv>() { prop_assert_eq!(record.to_string(), &*text); }
            if let Ok(record) = text.parse::<Caa>() { prop_assert_eq!(record.to_string(), &*text); }
            if let Ok(record) = text.parse::<Https>() { prop_assert_eq!(record.to_string(), &*text); }
        }
    }
}
