//! Assets: who owns content, since when, and where content is found in what is owned.

use std::collections::HashSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use cid::{Cid, Version};
use ledger::{Action, Asset, AssetMeta, Link, Tag, key};

use super::extract::{self, Body, Params, Segments, blocking};
use super::failure::Failed;
use super::types::{
    AssetFound, AssetLicense, AssetList, AssetQuery, AssetTerms, AssetVerified, AssetVerify, AssetView,
    ByWallet, ErrorBody, Sent, TransferTo,
};
use super::wallet::{Owners, send_action};
use super::{Answer, Shared, paths, view};
use crate::node::Node;
use crate::node::preflight::name_path;

/// More CIDs than a file has under all profiles.
const VERIFY_CIDS_MAX: usize = 16;

/// Assets by owner, tag, name and hash; those of this node's wallets if nothing is given.
#[utoipa::path(get, path = paths::ASSETS, params(AssetQuery), responses((status = 200, body = AssetList), (status = "default", body = ErrorBody)))]
pub async fn list(State(node): Shared, Params(query): Params<AssetQuery>) -> Answer<AssetList> {
    blocking(move || {
        let (height, mut assets) = (node.chain.tip().height, Vec::new());
        let Some(wanted) = Wanted::of(&node, &query)? else {
            return Ok(AssetList { assets });
        };
        wanted.each(&node, &mut |cid, asset| {
            if wanted.is(&cid, &asset) {
                assets.push(view::asset(&node, &cid, asset, height)?);
            }
            Ok(())
        })?;
        Ok(AssetList { assets })
    })
    .await
    .map(Json)
}

/// What a list shows: what is all of this.
struct Wanted {
    owners: Owners,
    tag: Option<Tag>,
    /// What a name points to, as version 1.
    named: Option<Cid>,
    hash: Option<Hashed>,
}

/// A hash that an asset is looked for by.
enum Hashed {
    /// The CID, as version 1.
    Cid(Cid),
    /// The sha2-256 of the root block, whatever the CID says that it is.
    Digest([u8; 32]),
}

impl Wanted {
    /// Nothing if it is what a name points to that points to nothing.
    fn of(node: &Node, query: &AssetQuery) -> Result<Option<Self>, Failed> {
        let AssetQuery {
            owner,
            tag,
            name,
            hash,
        } = query;
        let is_search = tag.is_some() || name.is_some() || hash.is_some();
        let owners = match (owner, is_search) {
            (None, true) => Owners::All,
            (owner, _) => Owners::of(node, owner.as_deref())?,
        };
        let tag = tag.as_deref().map(str::parse).transpose();
        let tag = tag.map_err(|error: ledger::Error| Failed::bad_request(error.to_string()))?;
        let hash = hash.as_deref().map(Hashed::parse).transpose()?;
        let named = name.as_deref().map(|name| content_of(node, name)).transpose()?;
        Ok((named != Some(None)).then_some(Self {
            owners,
            tag,
            named: named.flatten(),
            hash,
        }))
    }

    /// Every asset that may be wanted, by the shortest way to all of them.
    fn each(&self, node: &Node, seen: &mut Seen<'_>) -> Result<(), Failed> {
        match (&self.named, &self.hash, &self.tag) {
            (Some(cid), ..) | (_, Some(Hashed::Cid(cid)), _) => one_asset(node, *cid, seen),
            (.., Some(tag)) => each_tagged(node, tag, seen),
            _ => each_asset(node, seen),
        }
    }

    fn is(&self, cid: &Cid, asset: &Asset) -> bool {
        let by_tag = self.tag.as_ref();
        let by_hash = self.hash.as_ref();
        self.owners.include(&asset.owner)
            && by_tag.is_none_or(|tag| asset.indexed_tags().contains(tag))
            && self.named.is_none_or(|named| named == *cid)
            && by_hash.is_none_or(|hash| hash.fits(cid))
    }
}

impl Hashed {
    fn parse(text: &str) -> Result<Self, Failed> {
        let mut digest = [0; 32];
        if hex::decode_to_slice(text, &mut digest).is_ok() {
            return Ok(Self::Digest(digest));
        }
        let bad = |_| {
            Failed::bad_request(format!(
                "`{text}` is neither a CID nor the 64 hex digits of a sha2-256"
            ))
        };
        extract::cid(text).map(|cid| Self::Cid(v1(&cid))).map_err(bad)
    }

    fn fits(&self, cid: &Cid) -> bool {
        match self {
            Self::Cid(wanted) => wanted == cid,
            Self::Digest(wanted) => cid.hash().digest() == wanted,
        }
    }
}

fn v1(cid: &Cid) -> Cid {
    Cid::new_v1(cid.codec(), *cid.hash())
}

/// What a name of this chain points to, as version 1.
fn content_of(node: &Node, name: &str) -> Result<Option<Cid>, Failed> {
    let path = name_path(node, name)?;
    let state = node.chain.state();
    let entry = state.name(&path.label)?;
    let entry = entry.filter(|entry| entry.is_active(state.tip().height));
    let content = entry.and_then(|entry| entry.records.get(&path.under)?.content);
    Ok(content.map(|link| v1(&link.0)))
}

/// What is done with each asset.
type Seen<'a> = dyn FnMut(Cid, Asset) -> Result<(), Failed> + 'a;

fn one_asset(node: &Node, cid: Cid, seen: &mut Seen<'_>) -> Result<(), Failed> {
    match node.chain.state().asset(&cid)? {
        Some(asset) => seen(cid, asset),
        None => Ok(()),
    }
}

/// Every asset with a tag, by the index of the state.
fn each_tagged(node: &Node, tag: &Tag, seen: &mut Seen<'_>) -> Result<(), Failed> {
    let (state, prefix) = (node.chain.state(), key::tagged(tag));
    for row in state.scan(&prefix)? {
        let (key, _) = row?;
        let cid = cid_in(&key, &prefix)?;
        if let Some(asset) = state.asset(&cid)? {
            seen(cid, asset)?;
        }
    }
    Ok(())
}

/// Every asset of the chain, by CID.
fn each_asset(node: &Node, seen: &mut Seen<'_>) -> Result<(), Failed> {
    let state = node.chain.state();
    for row in state.scan(key::ASSETS)? {
        let (key, value) = row?;
        let cid = cid_in(&key, key::ASSETS)?;
        seen(
            cid,
            ledger::decode(&value).map_err(|error| unreadable(&error.to_string()))?,
        )?;
    }
    Ok(())
}

/// The CID behind a prefix.
fn cid_in(key: &[u8], prefix: &[u8]) -> Result<Cid, Failed> {
    Cid::try_from(&key[prefix.len()..]).map_err(|error| unreadable(&error.to_string()))
}

fn unreadable(reason: &str) -> Failed {
    Failed::new(
        "internal",
        format!("the state of the chain cannot be read: {reason}"),
    )
}

/// Who owns content, since when, and who did before.
#[utoipa::path(get, path = paths::ASSET, params(("cid" = String, Path)), responses((status = 200, body = AssetView), (status = "default", body = ErrorBody)))]
pub async fn show(State(node): Shared, Segments(cid): Segments<String>) -> Answer<AssetView> {
    blocking(move || {
        let cid = extract::cid(&cid)?;
        let state = node.chain.state();
        match state.asset(&cid)? {
            Some(asset) => Ok(AssetView {
                licences: view::licences(&node, &state, &cid)?,
                ..view::asset(&node, &cid, asset, state.tip().height)?
            }),
            None => Err(not_anchored(&cid)),
        }
    })
    .await
    .map(Json)
}

fn not_anchored(cid: &Cid) -> Failed {
    Failed::not_found(format!(
        "nobody has anchored {cid} on this chain: `ddn publish` anchors what it publishes"
    ))
}

/// Finds the assets that are or contain a file or folder, given its CIDs under the import profiles.
#[utoipa::path(post, path = paths::ASSETS_VERIFY, request_body = AssetVerify, responses((status = 200, body = AssetVerified), (status = "default", body = ErrorBody)))]
pub async fn verify(State(node): Shared, Body(ask): Body<AssetVerify>) -> Answer<AssetVerified> {
    blocking(move || {
        if ask.cids.is_empty() || ask.cids.len() > VERIFY_CIDS_MAX {
            return Err(Failed::bad_request(format!("give 1 to {VERIFY_CIDS_MAX} CIDs")));
        }
        let cids = ask
            .cids
            .iter()
            .map(|text| extract::cid(text))
            .collect::<Result<Vec<_>, _>>()?;
        Search::new(&node, &cids).run()
    })
    .await
    .map(Json)
}

/// A search through all assets.
struct Search<'a> {
    node: &'a Node,
    wanted: HashSet<Cid>,
    height: u64,
    exact: Vec<AssetFound>,
    inside: Vec<AssetFound>,
    searched: u64,
    not_held: u64,
}

impl<'a> Search<'a> {
    /// Links may be of either version of a CID, so both are looked for.
    fn new(node: &'a Node, cids: &[Cid]) -> Self {
        let wanted = cids.iter().flat_map(both_versions).collect();
        let height = node.chain.tip().height;
        Self {
            node,
            wanted,
            height,
            exact: Vec::new(),
            inside: Vec::new(),
            searched: 0,
            not_held: 0,
        }
    }

    fn run(mut self) -> Result<AssetVerified, Failed> {
        let node = self.node;
        each_asset(node, &mut |root, asset| self.look_into(root, asset))?;
        let found = self.exact.into_iter().chain(self.inside).collect();
        Ok(AssetVerified {
            found,
            searched: self.searched,
            not_held: self.not_held,
        })
    }

    fn look_into(&mut self, root: Cid, asset: Asset) -> Result<(), Failed> {
        if self.node.stop.is_cancelled() {
            return Err(Failed::new("stopping", "the node is stopping"));
        }
        if self.wanted.contains(&root) {
            let asset = view::asset(self.node, &root, asset, self.height)?;
            self.exact.push(AssetFound {
                cid: root.to_string(),
                path: String::new(),
                asset,
            });
            return Ok(());
        }
        match self.inside_of(&root) {
            Ok(found) => {
                self.searched += 1;
                if let Some(path) = found {
                    let cid = self.cid_at(&root, &path)?;
                    let asset = view::asset(self.node, &root, asset, self.height)?;
                    self.inside.push(AssetFound { cid, path, asset });
                }
            }
            Err(storage::Error::Missing(_)) => self.not_held += 1,
            Err(error) => tracing::warn!(%root, %error, "an asset could not be searched"),
        }
        Ok(())
    }

    fn inside_of(&self, root: &Cid) -> Result<Option<String>, storage::Error> {
        match self.node.store.has(root)? {
            true => storage::contains(&self.node.store, root, &self.wanted),
            false => Err(storage::Error::Missing(*root)),
        }
    }

    fn cid_at(&self, root: &Cid, path: &str) -> Result<String, Failed> {
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        Ok(storage::resolve(&self.node.store, root, &segments)?
            .cid
            .to_string())
    }
}

/// The forms of a CID that name the same object.
fn both_versions(cid: &Cid) -> Vec<Cid> {
    let v0 = Cid::new_v0(*cid.hash())
        .ok()
        .filter(|_| cid.codec() == storage::codec::DAG_PB);
    let mut both = vec![v1(cid)];
    both.extend(v0.filter(|v0| v0.version() == Version::V0));
    both
}

/// Replaces what the owner says about an asset.
#[utoipa::path(post, path = paths::ASSET_SET, params(("cid" = String, Path)), request_body = AssetTerms, responses((status = 200, body = Sent), (status = "default", body = ErrorBody)))]
pub async fn set(
    State(node): Shared,
    Segments(cid): Segments<String>,
    Body(ask): Body<AssetTerms>,
) -> Answer<Sent> {
    let shared = Arc::clone(&node);
    let (wallet, wait) = (ask.wallet.clone(), ask.wait);
    let action = move || {
        let cid = extract::cid(&cid)?;
        let asset = shared.chain.state().asset(&cid)?;
        let meta = meta_of(ask, asset.ok_or_else(|| not_anchored(&cid))?.meta);
        let meta = meta.map_err(|error| Failed::bad_request(error.to_string()))?;
        let cid = Link(cid);
        Ok(Action::AssetSet { cid, meta })
    };
    send_action(node, wallet, wait, action).await.map(Json)
}

/// What the owner says now; what tells how the content came about stays.
fn meta_of(ask: AssetTerms, before: AssetMeta) -> Result<AssetMeta, ledger::Error> {
    let tags = ask.tags.iter().map(|tag| tag.parse());
    let mut tags: Vec<Tag> = tags.collect::<Result<_, _>>()?;
    tags.sort();
    tags.dedup();
    let meta = AssetMeta {
        title: ask.title,
        tags,
        licence: ask.licence,
        price: ask.price,
        ..before
    };
    meta.check().map(|()| meta)
}

/// Buys a licence of an asset from its owner.
#[utoipa::path(post, path = paths::ASSET_LICENSE, params(("cid" = String, Path)), request_body = AssetLicense, responses((status = 200, body = Sent), (status = "default", body = ErrorBody)))]
pub async fn license(
    State(node): Shared,
    Segments(cid): Segments<String>,
    Body(ask): Body<AssetLicense>,
) -> Answer<Sent> {
    let shared = Arc::clone(&node);
    let action = move || {
        Ok(Action::AssetLicense {
            cid: anchored(&shared, &cid)?,
            price: ask.price,
        })
    };
    send_action(node, ask.wallet, ask.wait, action).await.map(Json)
}

/// Gives an asset to another account.
#[utoipa::path(post, path = paths::ASSET_TRANSFER, params(("cid" = String, Path)), request_body = TransferTo, responses((status = 200, body = Sent), (status = "default", body = ErrorBody)))]
pub async fn transfer(
    State(node): Shared,
    Segments(cid): Segments<String>,
    Body(ask): Body<TransferTo>,
) -> Answer<Sent> {
    let (shared, to) = (Arc::clone(&node), ask.to);
    let action = move || {
        let cid = anchored(&shared, &cid)?;
        Ok(Action::AssetTransfer {
            cid,
            to: view::parse_address(&shared, &to)?,
        })
    };
    send_action(node, ask.wallet, ask.wait, action).await.map(Json)
}

/// Marks an asset as withdrawn, for ever.
#[utoipa::path(post, path = paths::ASSET_TOMBSTONE, params(("cid" = String, Path)), request_body = ByWallet, responses((status = 200, body = Sent), (status = "default", body = ErrorBody)))]
pub async fn tombstone(
    State(node): Shared,
    Segments(cid): Segments<String>,
    Body(ask): Body<ByWallet>,
) -> Answer<Sent> {
    let shared = Arc::clone(&node);
    let action = move || {
        Ok(Action::AssetTombstone {
            cid: anchored(&shared, &cid)?,
        })
    };
    send_action(node, ask.wallet, ask.wait, action).await.map(Json)
}

fn anchored(node: &Node, cid: &str) -> Result<Link, Failed> {
    let cid = extract::cid(cid)?;
    match node.chain.state().asset(&cid)? {
        Some(_) => Ok(Link(cid)),
        None => Err(not_anchored(&cid)),
    }
}
