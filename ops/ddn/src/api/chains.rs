//! Other chains, as this ledger knows them: registered, and anchored by headers.

use axum::Json;
use axum::extract::State;
use ledger::{Action, ChainEntry, Checkpoint, Label, LightBlock, key};

use super::extract::{Body, Params, Raw, blocking};
use super::failure::Failed;
use super::types::{AnchorQuery, ChainList, ChainRegisterOrder, ErrorBody, OtherChain, Sent};
use super::wallet::send_action;
use super::{Answer, Shared, paths, view};
use crate::node::Node;

/// The chains that this ledger follows.
#[utoipa::path(get, path = paths::CHAINS, responses((status = 200, body = ChainList), (status = "default", body = ErrorBody)))]
pub async fn list(State(node): Shared) -> Answer<ChainList> {
    blocking(move || {
        let state = node.chain.state();
        let mut chains = Vec::new();
        for entry in state.scan(key::CHAINS)? {
            let (_, value) = entry?;
            let entry = ledger::decode(&value).map_err(|error| Failed::new("internal", error.to_string()))?;
            chains.push(other_chain(&node, &entry));
        }
        Ok(ChainList { chains })
    })
    .await
    .map(Json)
}

fn other_chain(node: &Node, entry: &ChainEntry) -> OtherChain {
    OtherChain {
        chain_id: entry.checkpoint.chain.clone(),
        genesis: entry.checkpoint.genesis.to_string(),
        tld: entry.tld.to_string(),
        prefix: entry.prefix.clone(),
        owner: view::address(node, &entry.owner),
        registered: entry.registered,
        height: entry.checkpoint.height,
        time_ms: entry.checkpoint.time_ms,
        anchors: entry.anchors.clone(),
        forked: entry.forked,
    }
}

/// Makes this ledger follow another chain, from a checkpoint on.
#[utoipa::path(
    post, path = paths::CHAINS, request_body = ChainRegisterOrder,
    responses((status = 200, body = Sent), (status = "default", body = ErrorBody))
)]
pub async fn register(State(node): Shared, Body(order): Body<ChainRegisterOrder>) -> Answer<Sent> {
    let bad = |what: &str, reason: String| Failed::bad_request(format!("{what}: {reason}"));
    let action = move || {
        let json = order.checkpoint.to_string();
        let checkpoint =
            Checkpoint::parse(json.as_bytes()).map_err(|error| bad("checkpoint", error.to_string()))?;
        Ok(Action::ChainRegister {
            tld: Label::parse(&order.tld).map_err(|error| bad("tld", error.to_string()))?,
            prefix: order.prefix,
            checkpoint: Box::new(checkpoint),
        })
    };
    send_action(node, order.wallet, order.wait, action)
        .await
        .map(Json)
}

/// Brings a newer header of another chain: a light block in DAG-CBOR.
#[utoipa::path(
    post, path = paths::CHAIN_ANCHOR, params(AnchorQuery),
    request_body(content = Vec<u8>, content_type = "application/vnd.ipld.dag-cbor"),
    responses((status = 200, body = Sent), (status = "default", body = ErrorBody))
)]
pub async fn anchor(State(node): Shared, Params(query): Params<AnchorQuery>, Raw(body): Raw) -> Answer<Sent> {
    let action = move || {
        let block: LightBlock = ledger::decode(&body)
            .map_err(|error| Failed::bad_request(format!("not a light block: {error}")))?;
        Ok(Action::ChainAnchor {
            block: Box::new(block),
        })
    };
    send_action(node, query.wallet, query.wait, action)
        .await
        .map(Json)
}
