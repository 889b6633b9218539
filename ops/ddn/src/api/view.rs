//! The ledger's objects as the API shows them, and back.

use std::str::FromStr;

use cid::Cid;
use ledger::{Address, Asset, Label, Link, NameEntry, Origin, Records, State as _, Tx};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::failure::Failed;
use super::types::{
    AssetLicenceHeld, AssetOwner, AssetShare, AssetView, NameView, RecordSet, TxStatus, TxView,
};
use crate::node::Node;
use crate::node::preflight::premium_of;

/// No wallet has a longer name, and no address is as short.
const WALLET_NAME_BYTES_MAX: usize = 32;

/// An address as users of the node's chain see it.
pub fn address(node: &Node, address: &Address) -> String {
    address.display(&node.chain.genesis().prefix)
}

/// An address of the node's chain, or that of one of its wallets.
pub fn parse_address(node: &Node, text: &str) -> Result<Address, Failed> {
    if let Some(key) = node.wallets.key(text)? {
        return Ok(key.address());
    }
    Address::parse(&node.chain.genesis().prefix, text).map_err(|error| {
        // What is too long for a wallet was meant as an address: then it is said what is wrong with it.
        let text = match text.len() > WALLET_NAME_BYTES_MAX {
            true => error.to_string(),
            false => {
                format!("`{text}` is neither a wallet of this node (see `ddn wallet list`) nor an address")
            }
        };
        Failed::bad_request(text)
    })
}

/// All entries of the state below a prefix, with the rest of each key read by `parse`.
pub fn entries<K, V: Serialize + DeserializeOwned>(
    node: &Node,
    prefix: &[u8],
    parse: impl Fn(&[u8]) -> Result<K, String>,
) -> Result<Vec<(K, V)>, Failed> {
    let bad = |reason: String| {
        Failed::new(
            "internal",
            format!("the state of the chain cannot be read: {reason}"),
        )
    };
    let mut found = Vec::new();
    for row in node.chain.state().scan(prefix)? {
        let (key, value) = row?;
        let key = parse(&key[prefix.len()..]).map_err(bad)?;
        found.push((
            key,
            ledger::decode(&value).map_err(|error| bad(error.to_string()))?,
        ));
    }
    Ok(found)
}

/// The time of a block; 0 for the genesis' own height.
pub fn time_of(node: &Node, height: u64) -> Result<u64, Failed> {
    let block = node.chain.block(height)?;
    Ok(block.map_or(node.chain.genesis().time_ms, |(block, _)| block.header.time_ms))
}

/// A registered name.
pub fn name(node: &Node, label: &Label, entry: &NameEntry, height: u64) -> NameView {
    let rent = &node.chain.genesis().rent;
    let premium = premium_of(rent, label, entry, height + 1);
    NameView {
        name: format!("{label}.{}", node.chain.genesis().tld),
        owner: address(node, &entry.owner),
        registered: entry.registered,
        expires: entry.expires,
        expired: !entry.is_active(height),
        free_at: entry.free_at(rent.grace),
        premium: premium.map(|premium| premium.now).unwrap_or_default(),
        premium_until: rent.fall_end(entry),
        changed: entry.changed,
        seq: entry.seq,
        records: entry
            .records
            .iter()
            .map(|(under, records)| (under.clone(), records.into()))
            .collect(),
        height,
    }
}

/// The ownership of content.
pub fn asset(node: &Node, cid: &Cid, asset: Asset, height: u64) -> Result<AssetView, Failed> {
    let owner = |held: &ledger::Ownership| {
        let owner = address(node, &held.owner);
        Ok(AssetOwner {
            height: held.height,
            time_ms: time_of(node, held.height)?,
            owner,
        })
    };
    let share = |share: &ledger::Share| AssetShare {
        to: share.to.map(|to| address(node, &to)),
        points: share.points,
    };
    Ok(AssetView {
        // Both versions of a CID name one asset, and it is always told as the newer one.
        cid: Cid::new_v1(cid.codec(), *cid.hash()).to_string(),
        owner: address(node, &asset.owner),
        anchored: asset.anchored,
        anchored_ms: time_of(node, asset.anchored)?,
        history: asset.history.iter().map(owner).collect::<Result<_, Failed>>()?,
        split: asset.split.0.iter().map(share).collect(),
        tags: asset.meta.tags.iter().map(ToString::to_string).collect(),
        licence: asset.meta.licence,
        price: asset.meta.price,
        licences: Vec::new(),
        title: asset.meta.title,
        profile: asset.meta.profile,
        bytes: asset.meta.bytes,
        files: asset.meta.files,
        tombstone: asset.tombstone,
        held: node.store.has(cid)?,
        height,
    })
}

/// The licences of an asset that wallets of the node hold.
pub fn licences(node: &Node, state: &chain::View, cid: &Cid) -> Result<Vec<AssetLicenceHeld>, Failed> {
    let mut held = Vec::new();
    for (wallet, key) in node.wallets.all()? {
        let holder = key.address();
        if let Some(licence) = state.licence(cid, &holder)? {
            held.push(AssetLicenceHeld {
                wallet,
                address: address(node, &holder),
                height: licence.height,
                price: licence.price,
                licence: licence.licence,
            });
        }
    }
    Ok(held)
}

/// A transaction in a block.
pub fn tx(node: &Node, tx: &Tx, height: u64) -> TxView {
    TxView {
        cid: tx.cid().to_string(),
        status: TxStatus::Included,
        height: Some(height),
        reason: None,
        sender: Some(address(node, &tx.sender())),
        nonce: Some(tx.body.nonce),
        fee: Some(tx.body.fee),
        kind: Some(tx.body.action.kind().to_string()),
        action: serde_json::to_value(&tx.body.action).ok(),
    }
}

impl From<&Records> for RecordSet {
    fn from(records: &Records) -> Self {
        Self {
            content: records.content.map(|link| link.to_string()),
            a: records.a.clone(),
            aaaa: records.aaaa.clone(),
            cname: records.cname.clone(),
            txt: records.txt.clone(),
            mx: texts(&records.mx),
            srv: texts(&records.srv),
            caa: texts(&records.caa),
            https: texts(&records.https),
            origin: records.origin.as_ref().map(ToString::to_string),
            ttl: records.ttl,
        }
    }
}

fn texts<T: ToString>(records: &[T]) -> Vec<String> {
    records.iter().map(T::to_string).collect()
}

fn parsed<T: FromStr<Err = ledger::Error>>(texts: &[String]) -> Result<Vec<T>, Failed> {
    let bad = |error: ledger::Error| Failed::bad_request(error.to_string());
    texts.iter().map(|text| text.parse().map_err(bad)).collect()
}

impl TryFrom<RecordSet> for Records {
    type Error = Failed;

    fn try_from(set: RecordSet) -> Result<Self, Failed> {
        let content = set
            .content
            .as_deref()
            .map(super::extract::cid)
            .transpose()?
            .map(Link);
        let bad = |error: ledger::Error| Failed::bad_request(error.to_string());
        let origin = set.origin.as_deref().map(Origin::parse);
        let origin = origin.transpose().map_err(bad)?;
        let (mx, srv) = (parsed(&set.mx)?, parsed(&set.srv)?);
        let (caa, https) = (parsed(&set.caa)?, parsed(&set.https)?);
        let RecordSet {
            a,
            aaaa,
            cname,
            txt,
            ttl,
            ..
        } = set;
        let records = Self {
            content,
            a,
            aaaa,
            cname,
            txt,
            mx,
            srv,
            caa,
            https,
            origin,
            ttl,
        };
        records.check().map_err(bad)?;
        Ok(records)
    }
}
