//! Entries of the ledger's state, as people write and read them: `alice.ddn`, a CID, an address.

use cid::Cid;
use ledger::{
    Account, Address, Amount, Asset, ClaimEntry, EdgeEntry, Escrow, Genesis, Licence, Line, NameEntry,
    NamePath, Tagged, ValidatorSet, key,
};
use serde_json::{Value, json};

use super::failure::{Failure, Outcome};

/// The form that the admin API takes, from any that a user may write: `alice.ddn`, `docs.alice.ddn`, a CID, an
/// address, or already `name/…`, `asset/…`, `account/…`, `0x…`.
pub fn for_api(text: &str, genesis: &Genesis) -> Outcome<String> {
    if text.contains('/') || text.starts_with("0x") {
        return Ok(text.to_owned());
    }
    if Cid::try_from(text).is_ok() {
        return Ok(format!("asset/{text}"));
    }
    if Address::parse(&genesis.prefix, text).is_ok() {
        return Ok(format!("account/{text}"));
    }
    match NamePath::parse(text.trim_end_matches('.'), &genesis.tld) {
        Ok(path) => Ok(format!("name/{}", path.label)),
        Err(_) => {
            let forms = format!(
                "a name (alice.{}), a CID, an address ({}1…) or 0x and a key in hex",
                genesis.tld, genesis.prefix
            );
            Err(Failure::argument(
                text,
                format!("no key of the state: give {forms}"),
            ))
        }
    }
}

/// A key as a user would write it.
pub fn show(bytes: &[u8], genesis: &Genesis) -> String {
    if let Some(label) = bytes
        .strip_prefix(key::NAMES)
        .and_then(|label| std::str::from_utf8(label).ok())
    {
        return format!("name/{label}");
    }
    if let Some(Ok(cid)) = bytes.strip_prefix(key::ASSETS).map(Cid::try_from) {
        return format!("asset/{cid}");
    }
    if let Some(address) = bytes
        .strip_prefix(key::ACCOUNTS)
        .and_then(|bytes| bytes.try_into().ok())
    {
        return format!(
            "account/{}",
            Address::from_bytes(address).display(&genesis.prefix)
        );
    }
    if let Some(text) = of_asset(bytes, genesis).or_else(|| of_payment(bytes, genesis)) {
        return text;
    }
    match bytes.iter().all(u8::is_ascii_graphic) {
        true => String::from_utf8_lossy(bytes).into_owned(),
        false => format!("0x{}", hex::encode(bytes)),
    }
}

/// A key of the index by tag, or of a licence.
fn of_asset(bytes: &[u8], genesis: &Genesis) -> Option<String> {
    if let Some(rest) = bytes.strip_prefix(key::TAGS) {
        let slash = rest.iter().position(|byte| *byte == b'/')?;
        let tag = std::str::from_utf8(&rest[..slash]).ok()?;
        return Some(format!("tag/{tag}/{}", Cid::try_from(&rest[slash + 1..]).ok()?));
    }
    let (cid, holder) = bytes.strip_prefix(key::LICENCES)?.split_last_chunk::<20>()?;
    let holder = Address::from_bytes(*holder).display(&genesis.prefix);
    Some(format!("licence/{}/{holder}", Cid::try_from(cid).ok()?))
}

/// A key of an escrow, a line, a meter, a claim or an edge.
fn of_payment(bytes: &[u8], genesis: &Genesis) -> Option<String> {
    let address = |bytes: &[u8]| {
        let bytes = bytes.try_into().ok()?;
        Some(Address::from_bytes(bytes).display(&genesis.prefix))
    };
    if let Some(id) = bytes.strip_prefix(key::ESCROWS).filter(|id| id.len() == 32) {
        return Some(format!("escrow/{}", hex::encode(id)));
    }
    if let Some(node) = bytes.strip_prefix(key::EDGES).filter(|node| node.len() == 32) {
        return Some(format!("edge/{}", hex::encode(node)));
    }
    if let Some((escrow, payee)) = bytes
        .strip_prefix(key::LINES)
        .and_then(|rest| rest.split_at_checked(32))
    {
        return Some(format!("line/{}/{}", hex::encode(escrow), address(payee)?));
    }
    if let Some((payee, escrow)) = bytes
        .strip_prefix(key::METERS)
        .and_then(|rest| rest.split_at_checked(20))
    {
        return Some(format!("meter/{}/{}", hex::encode(escrow), address(payee)?));
    }
    let (payee, root) = bytes.strip_prefix(key::CLAIMS)?.split_at_checked(20)?;
    Some(format!("claim/{}/{}", address(payee)?, hex::encode(root)))
}

/// A value as JSON, decoded by the kind of its key; hex if it is of no kind that this program knows.
pub fn value(key_bytes: &[u8], value: &[u8], genesis: &Genesis) -> Value {
    let raw = || json!({ "hex": hex::encode(value) });
    let decoded = match key_bytes {
        bytes if bytes.starts_with(key::NAMES) => json_of::<NameEntry>(value),
        bytes if bytes.starts_with(key::ASSETS) => json_of::<Asset>(value),
        bytes if bytes.starts_with(key::TAGS) => json_of::<Tagged>(value),
        bytes if bytes.starts_with(key::LICENCES) => json_of::<Licence>(value),
        bytes if bytes.starts_with(key::ACCOUNTS) => json_of::<Account>(value),
        bytes if bytes.starts_with(key::ESCROWS) => json_of::<Escrow>(value),
        bytes if bytes.starts_with(key::LINES) || bytes.starts_with(key::METERS) => json_of::<Line>(value),
        bytes if bytes.starts_with(key::CLAIMS) => json_of::<ClaimEntry>(value),
        bytes if bytes.starts_with(key::EDGES) => json_of::<EdgeEntry>(value),
        bytes if bytes.starts_with(key::POOLS) || bytes == key::supply() => json_of::<Amount>(value),
        bytes if bytes == key::validators() => json_of::<ValidatorSet>(value),
        _ => None,
    };
    let mut decoded = decoded.unwrap_or_else(raw);
    show_owners(&mut decoded, genesis);
    decoded
}

fn json_of<T: serde::Serialize + serde::de::DeserializeOwned>(value: &[u8]) -> Option<Value> {
    serde_json::to_value(ledger::decode::<T>(value).ok()?).ok()
}

/// The ledger writes addresses as hex; users know them as bech32m.
fn show_owners(value: &mut Value, genesis: &Genesis) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                show_owners(field, genesis);
                if matches!(name.as_str(), "owner" | "payer" | "payout") {
                    show_owner(field, genesis);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| show_owners(item, genesis)),
        _ => {}
    }
}

fn show_owner(field: &mut Value, genesis: &Genesis) {
    let bytes = field.as_str().and_then(|text| hex::decode(text).ok());
    if let Some(bytes) = bytes.and_then(|bytes| bytes.try_into().ok()) {
        *field = Address::from_bytes(bytes).display(&genesis.prefix).into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::{Hash, Label, SecretKey};

    const CID: &str = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";

    fn genesis() -> Genesis {
        Genesis::dev("test", 1, SecretKey::from_seed([1; 32]).public())
    }

    #[test]
    fn forms_of_a_key() {
        let genesis = genesis();
        let address = SecretKey::from_seed([2; 32]).address().display(&genesis.prefix);
        for (input, expected) in [
            ("alice.ddn", "name/alice".to_owned()),
            ("docs.alice.ddn.", "name/alice".to_owned()),
            ("name/alice", "name/alice".to_owned()),
            (CID, format!("asset/{CID}")),
            (&address, format!("account/{address}")),
            ("0x61", "0x61".to_owned()),
        ] {
            assert_eq!(for_api(input, &genesis).expect(input), expected);
        }
        assert!(for_api("alice", &genesis).is_err());
    }

    #[test]
    fn keys_are_shown_as_they_are_written() {
        let genesis = genesis();
        let address = SecretKey::from_seed([2; 32]).address();
        let cid = Cid::try_from(CID).expect("a CID");
        assert_eq!(
            show(&key::name(&Label::parse("alice").expect("a label")), &genesis),
            "name/alice"
        );
        assert_eq!(show(&key::asset(&cid), &genesis), format!("asset/{CID}"));
        assert_eq!(
            show(&key::account(&address), &genesis),
            format!("account/{}", address.display("dev"))
        );
        let tag = "photo".parse().expect("a tag");
        assert_eq!(show(&key::tag(&tag, &cid), &genesis), format!("tag/photo/{CID}"));
        assert_eq!(
            show(&key::licence(&cid, &address), &genesis),
            format!("licence/{CID}/{}", address.display("dev"))
        );
        let (id, payee) = (Hash([7; 32]), address.display("dev"));
        let digits = "07".repeat(32);
        for (bytes, expected) in [
            (key::escrow(&id), format!("escrow/{digits}")),
            (key::line(&id, &address), format!("line/{digits}/{payee}")),
            (key::meter(&id, &address), format!("meter/{digits}/{payee}")),
            (key::claim(&address, &id), format!("claim/{payee}/{digits}")),
        ] {
            assert_eq!(show(&bytes, &genesis), expected);
        }
        assert_eq!(show(&key::supply(), &genesis), "supply");
        assert_eq!(show(&[0, 255], &genesis), "0x00ff");
    }

    #[test]
    fn values_are_decoded_by_their_key() {
        let genesis = genesis();
        let owner = SecretKey::from_seed([2; 32]).address();
        let account = Account {
            balance: Amount::from_units(5),
            nonce: 2,
        };
        let shown = value(&key::account(&owner), &ledger::encode(&account), &genesis);
        assert_eq!(shown, json!({ "balance": "5", "nonce": 2 }));
        let mut owners = json!([{ "owner": hex::encode(owner.as_bytes()) }]);
        show_owners(&mut owners, &genesis);
        assert_eq!(owners, json!([{ "owner": owner.display("dev") }]));
        assert_eq!(value(b"other", &[1], &genesis), json!({ "hex": "01" }));
    }
}
