//! The genesis as a file: JSON, with addresses as users see them.

use serde_json::Value;

use super::*;
use crate::codec::MAX_OBJECT_BYTES;

impl Genesis {
    /// Reads and validates a genesis file.
    pub fn parse(json: &[u8]) -> Result<Self, Error> {
        if json.len() > MAX_OBJECT_BYTES {
            return Err(bad(
                "file",
                format!("{} bytes, at most {MAX_OBJECT_BYTES}", json.len()),
            ));
        }
        let mut file: Value = serde_json::from_slice(json).map_err(|e| bad("file", e.to_string()))?;
        let prefix = file
            .get("prefix")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        each_address(&mut file, |place, text| {
            let address = Address::parse(&prefix, text).map_err(|e| bad(place, e.to_string()))?;
            Ok(hex::encode(address.as_bytes()))
        })?;
        let genesis: Self = serde_json::from_value(file).map_err(|e| bad("file", e.to_string()))?;
        genesis.validate()?;
        Ok(genesis)
    }

    /// The genesis file. [`Genesis::parse`] gives the same genesis back, if it is a valid one.
    pub fn to_json(&self) -> Vec<u8> {
        let mut file = serde_json::to_value(self).expect("a genesis has a JSON form");
        let mut addresses = self
            .balances
            .iter()
            .map(|balance| balance.address.display(&self.prefix));
        let replaced = each_address(&mut file, |_, text| {
            Ok(addresses.next().unwrap_or_else(|| text.into()))
        });
        debug_assert!(replaced.is_ok(), "writing addresses does not fail");
        let mut json = serde_json::to_vec_pretty(&file).expect("a JSON value can be written");
        json.push(b'\n');
        json
    }
}

/// Replaces the text of every address in the file.
fn each_address(
    file: &mut Value,
    mut change: impl FnMut(&str, &str) -> Result<String, Error>,
) -> Result<(), Error> {
    let Some(balances) = file.get_mut("balances").and_then(Value::as_array_mut) else {
        return Ok(());
    };
    for (place, balance) in balances.iter_mut().enumerate() {
        if let Some(Value::String(text)) = balance.get_mut("address") {
            *text = change(&format!("balances[{place}].address"), text)?;
        }
    }
    Ok(())
}

fn bad(field: &str, reason: String) -> Error {
    Error::Genesis {
        field: field.into(),
        reason,
    }
}
