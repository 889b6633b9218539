//! Amounts of coins: whole base units, never a float.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::Error;

/// Base units in one coin.
pub const COIN: u64 = 100_000_000;
const DECIMALS: usize = 8;

/// An amount in base units (1 coin = 10^8). An integer in binary, a decimal string of base units in JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(u64);

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// From base units.
    pub const fn from_units(units: u64) -> Self {
        Self(units)
    }

    /// From whole coins; `None` beyond 184,467,440,737 coins.
    pub const fn from_coins(coins: u64) -> Option<Self> {
        match coins.checked_mul(COIN) {
            Some(units) => Some(Self(units)),
            None => None,
        }
    }

    /// In base units.
    pub const fn units(self) -> u64 {
        self.0
    }

    /// Whether it is nothing.
    pub const fn is_zero(&self) -> bool {
        self.0 == 0
    }

    /// The sum, or `None` if it does not fit.
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(units) => Some(Self(units)),
            None => None,
        }
    }

    /// The sum, or the most there can be if it does not fit: for texts, never for balances.
    pub(crate) const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference, or `None` if it would be below zero.
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(units) => Some(Self(units)),
            None => None,
        }
    }

    /// The product, or `None` if it does not fit.
    pub const fn checked_mul(self, times: u64) -> Option<Self> {
        match self.0.checked_mul(times) {
            Some(units) => Some(Self(units)),
            None => None,
        }
    }

    /// Reads coins: digits, and after a point at most 8 more. No sign, no exponent, no spaces.
    pub fn parse_coins(text: &str) -> Result<Self, Error> {
        let bad = |reason: &str| Error::Amount {
            input: text.into(),
            reason: reason.into(),
        };
        let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        if !digits(whole) || !digits(part) {
            return Err(bad("write coins as digits with a point, for example 1.5"));
        }
        if part.len() > DECIMALS {
            return Err(bad("a coin has 8 decimals"));
        }
        let part: u64 = format!("{part:0<DECIMALS$}")
            .parse()
            .map_err(|_| bad("not a number"))?;
        let whole: u64 = whole.parse().map_err(|_| bad("too large"))?;
        let units = whole.checked_mul(COIN).and_then(|units| units.checked_add(part));
        units.map(Self).ok_or_else(|| bad("too large"))
    }

    /// As coins, without needless zeros: `1.5`.
    pub fn coins(self) -> String {
        let (whole, part) = (self.0 / COIN, self.0 % COIN);
        if part == 0 {
            return whole.to_string();
        }
        let part = format!("{part:0DECIMALS$}");
        format!("{whole}.{}", part.trim_end_matches('0'))
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.coins())
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(&self.0)
        } else {
            serializer.serialize_u64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return u64::deserialize(deserializer).map(Self);
        }
        let text = String::deserialize(deserializer)?;
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(serde::de::Error::custom(format!(
                "'{text}' is not a decimal number of base units"
            )));
        }
        text.parse()
            .map(Self)
            .map_err(|_| serde::de::Error::custom(format!("'{text}' is too large")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coins_are_read_and_written() {
        let check = |text: &str, units: u64, back: &str| {
            let amount = Amount::parse_coins(text).unwrap();
            assert_eq!((amount.units(), amount.coins().as_str()), (units, back), "{text}");
        };
        check("1.5", 150_000_000, "1.5");
        check("0", 0, "0");
        check("0.00000001", 1, "0.00000001");
        check("007.10", 710_000_000, "7.1");
        check("184467440737.09551615", u64::MAX, "184467440737.09551615");
    }

    #[test]
    fn what_is_not_coins_is_refused() {
        for text in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "+1",
            "1e3",
            " 1",
            "1 ",
            "1.123456789",
            "0x1",
            "1,5",
            "١",
        ] {
            assert!(Amount::parse_coins(text).is_err(), "{text}");
        }
        assert!(Amount::parse_coins("184467440737.09551616").is_err());
        assert!(Amount::parse_coins("99999999999999999999999").is_err());
    }

    #[test]
    fn json_has_base_units_as_text() {
        assert_eq!(serde_json::to_string(&Amount::from_units(5)).unwrap(), "\"5\"");
        assert_eq!(
            serde_json::from_str::<Amount>("\"5\"").unwrap(),
            Amount::from_units(5)
        );
        assert!(serde_json::from_str::<Amount>("5").is_err());
        assert!(serde_json::from_str::<Amount>("\"+5\"").is_err());
        assert!(serde_json::from_str::<Amount>("\"18446744073709551616\"").is_err());
    }
}
