//! What is owed, exactly.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::amount::Amount;
use crate::codec::fixed;

/// Prices are for 2^20 bytes.
const MIB_BITS: u32 = 20;

/// A sum of bytes × price, in base units × bytes: no rounding until [`Owed::amount`], so both sides of a delivery come to
/// the same amount however the bytes were cut. 16 bytes in binary, a decimal string in JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owed(u128);

impl Owed {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// With `bytes` more at a price per MiB. Stays at the largest sum there can be (more than all coins) if it is beyond.
    pub fn add(self, bytes: u64, price: Amount) -> Self {
        let more = u128::from(bytes) * u128::from(price.units());
        Self(self.0.saturating_add(more))
    }

    /// In base units, rounded up once.
    pub fn amount(self) -> Amount {
        let units = self.0.div_ceil(1 << MIB_BITS);
        Amount::from_units(u64::try_from(units).unwrap_or(u64::MAX))
    }

    /// What an amount pays for in full.
    pub(super) fn paid_by(amount: Amount) -> Self {
        Self(u128::from(amount.units()) << MIB_BITS)
    }

    /// How much more this is than `other`; nothing if it is less.
    pub(super) fn beyond(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// How many whole bytes at a price above zero this is.
    pub(super) fn bytes_at(self, price: Amount) -> u64 {
        let bytes = self.0 / u128::from(price.units().max(1));
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    /// How many bytes at a price above zero this is, also if the last one is paid in part.
    pub(super) fn bytes_begun_at(self, price: Amount) -> u64 {
        let bytes = self.0.div_ceil(u128::from(price.units().max(1)));
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    /// In base units × bytes, big-endian.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// From what [`Owed::to_bytes`] gave.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }
}

impl Serialize for Owed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(&self.0)
        } else {
            fixed::serialize(&self.to_bytes(), serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Owed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return fixed::deserialize(deserializer).map(Self::from_bytes);
        }
        let text = String::deserialize(deserializer)?;
        let number = text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse());
        match number {
            Some(Ok(sum)) => Ok(Self(sum)),
            _ => Err(serde::de::Error::custom(format!(
                "'{text}' is not a decimal number below 2^128"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn it_rounds_up_once() {
        let check = |parts: &[u64], price: u64, units: u64| {
            let price = Amount::from_units(price);
            let owed = parts
                .iter()
                .fold(Owed::ZERO, |owed, bytes| owed.add(*bytes, price));
            assert_eq!(owed.amount().units(), units, "{parts:?} at {price}");
        };
        check(&[], 5, 0);
        check(&[0], 5, 0);
        check(&[1], 5, 1);
        check(&[1], 0, 0);
        check(&[MIB], 5, 5);
        check(&[MIB + 1], 5, 6);
        check(&[1; 1000], 5, 1);
        check(&[MIB / 2, MIB / 2], 5, 5);
        check(&[u64::MAX, u64::MAX], u64::MAX, u64::MAX);
    }

    #[test]
    fn it_survives_its_encodings() {
        let owed = Owed::ZERO.add(u64::MAX, Amount::from_units(u64::MAX));
        assert_eq!(Owed::from_bytes(owed.to_bytes()), owed);
        let json = serde_json::to_string(&owed).unwrap();
        assert_eq!(json, "\"340282366920938463426481119284349108225\"");
        assert_eq!(serde_json::from_str::<Owed>(&json).unwrap(), owed);
        assert_eq!(crate::decode::<Owed>(&crate::encode(&owed)).unwrap(), owed);
        for text in [
            "\"\"",
            "\"+1\"",
            "\"340282366920938463463374607431768211456\"",
            "1",
        ] {
            assert!(serde_json::from_str::<Owed>(text).is_err(), "{text}");
        }
    }
}
