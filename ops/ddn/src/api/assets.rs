//! Assets: who owns content, since when, and where content is found in what is owned.

use std::collections::HashSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use cid::{Cid, Version};
use ledger::{Action, Asset, Link};

use super::extract::{self, Body, Params, Segments, blocking};
use super::failure::Failed;
use super::types::{
    AssetFound, AssetList, AssetVerified, AssetVerify, AssetView, ByWallet, ErrorBody, OwnerQuery, Sent,
    TransferTo,
};
use super::wallet::{Owners, send_action};
use super::{Answer, Shared, paths, view};
use crate::node::Node;

/// More CIDs than a file has under all profiles.
const VERIFY_CIDS_MAX: usize = 16;

/// Assets of this node's wallets, of an address, or all.
#[utoipa::path(get, path = paths::ASSETS, params(OwnerQuery), responses((status = 200, body = AssetList), (status = "default", body = ErrorBody)))]
pub async fn list(State(node): Shared, Params(query): Params<OwnerQuery>) -> Answer<AssetList> {
    blocking(move || {
        let owners = Owners::of(&node, query.owner.as_deref())?;
        let height = node.chain.tip().height;
        let mut assets = Vec::new();
        each_asset(&node, &mut |cid, asset| {
            if owners.include(&asset.owner) {
                assets.push(view::asset(&node, &cid, asset, height)?);
            }
            Ok(())
        })?;
        Ok(AssetList { assets })
    })
    .await
    .map(Json)
}

/// Every asset of the chain, by CID.
fn each_asset(node: &Node, seen: &mut dyn FnMut(Cid, Asset) -> Result<(), Failed>) -> Result<(), Failed> {
    let state = node.chain.state();
    for row in state.scan(ledger::key::ASSETS)? {
        let (key, value) = row?;
        let bad = |reason: String| {
            Failed::new(
                "internal",
                format!("the state of the chain cannot be read: {reason}"),
            )
        };
        let cid = Cid::try_from(&key[ledger::key::ASSETS.len()..]).map_err(|error| bad(error.to_string()))?;
        seen(
            cid,
            ledger::decode(&value).map_err(|error| bad(error.to_string()))?,
        )?;
    }
    Ok(())
}

/// Who owns content, since when, and who did before.
#[utoipa::path(get, path = paths::ASSET, params(("cid" = String, Path)), responses((status = 200, body = AssetView), (status = "default", body = ErrorBody)))]
pub async fn show(State(node): Shared, Segments(cid): Segments<String>) -> Answer<AssetView> {
    blocking(move || {
        let cid = extract::cid(&cid)?;
        let state = node.chain.state();
        match state.asset(&cid)? {
            Some(asset) => view::asset(&node, &cid, asset, state.tip().height),
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
    let v1 = Cid::new_v1(cid.codec(), *cid.hash());
    let v0 = Cid::new_v0(*cid.hash())
        .ok()
        .filter(|_| cid.codec() == storage::codec::DAG_PB);
    let mut both = vec![v1];
    both.extend(v0.filter(|v0| v0.version() == Version::V0));
    both
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
