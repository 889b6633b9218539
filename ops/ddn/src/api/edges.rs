//! Edges: who offers to deliver, and this node as one of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use ledger::{Action, Address, Amount, EdgeEntry, PublicKey, SecretKey, State as _};

use super::extract::{Body, Params, Segments, blocking};
use super::failure::Failed;
use super::types::{
    ByWallet, EdgeEntryView, EdgeList, EdgeOfferView, EdgeQuery, EdgeRecord, EdgeTerms, EdgeView, ErrorBody,
    Sent,
};
use super::wallet::{Owners, send_action};
use super::{Answer, Shared, paths, view};
use crate::node::joins::EdgeRow;
use crate::node::preflight::wallet_key;
use crate::node::{Node, health};

/// How this node is called in paths, by those who do not know its key.
const HERE: &str = "here";

/// The edges on the ledger, and those that advertise themselves.
#[utoipa::path(get, path = paths::EDGES, params(EdgeQuery), responses((status = 200, body = EdgeList), (status = "default", body = ErrorBody)))]
pub async fn list(State(node): Shared, Params(query): Params<EdgeQuery>) -> Answer<EdgeList> {
    blocking(move || list_now(&node, &query)).await.map(Json)
}

fn list_now(node: &Node, query: &EdgeQuery) -> Result<EdgeList, Failed> {
    let owners = match query.owner.as_deref() {
        None => Owners::All,
        some => Owners::of(node, some)?,
    };
    let mut heard: BTreeMap<PublicKey, EdgeRow> = node
        .finder
        .table()
        .into_iter()
        .map(|row| (row.node, row))
        .collect();
    let mut edges = Vec::new();
    for (key, entry) in registered(node)? {
        let row = heard.remove(&key);
        if owners.include(&entry.owner) {
            edges.push(edge(node, &key, Some(&entry), row.as_ref()));
        }
    }
    if matches!(owners, Owners::All) {
        let me = node.node_key().public();
        if !edges.iter().any(|edge| edge.here) {
            edges.push(edge(node, &me, None, None));
        }
        edges.extend(heard.iter().map(|(key, row)| edge(node, key, None, Some(row))));
    }
    let height = node.chain.tip().height;
    Ok(EdgeList { edges, height })
}

/// Every edge on the ledger, by node.
fn registered(node: &Node) -> Result<Vec<(PublicKey, EdgeEntry)>, Failed> {
    view::entries(node, ledger::key::EDGES, |rest| {
        let bytes: [u8; 32] = rest
            .try_into()
            .map_err(|_| "a node key of another length".to_owned())?;
        PublicKey::from_bytes(bytes).map_err(|error| error.to_string())
    })
}

fn edge(node: &Node, key: &PublicKey, entry: Option<&EdgeEntry>, row: Option<&EdgeRow>) -> EdgeView {
    let here = *key == node.node_key().public();
    let record = row.and_then(|row| row.record.as_ref());
    EdgeView {
        node: key.to_string(),
        here,
        entry: entry.map(|entry| entry_view(node, entry)),
        offer: match here {
            true => Some(own_offer(node)),
            false => row.map(|row| offer_view(node, row)),
        },
        rtt_us: row.and_then(|row| row.rtt_us),
        record: record.map(|record| EdgeRecord {
            bytes: record.bytes,
            failures: record.failures,
            last_failure: record.last_failure.clone(),
            rests_s: record.rests.map(|rest| rest.as_secs()),
            left_out_s: record.left_out.map(|rest| rest.as_secs()),
        }),
    }
}

fn entry_view(node: &Node, entry: &EdgeEntry) -> EdgeEntryView {
    EdgeEntryView {
        owner: view::address(node, &entry.owner),
        payout: view::address(node, &entry.payout),
        price: entry.price,
        capacity: entry.capacity,
        traffic_max: entry.traffic_max,
        registered: entry.registered,
    }
}

fn offer_view(node: &Node, offer: &EdgeRow) -> EdgeOfferView {
    EdgeOfferView {
        addresses: offer.addresses.iter().map(ToString::to_string).collect(),
        payee: view::address(node, &offer.payee),
        price: offer.price,
        capacity: offer.capacity,
        load: offer.load,
        height: offer.height,
        ill: health::words(offer.health),
    }
}

/// What this node offers itself.
fn own_offer(node: &Node) -> EdgeOfferView {
    let quote = node.delivery.quote();
    EdgeOfferView {
        addresses: vec![node.delivery.local_addr().to_string()],
        payee: view::address(node, &quote.payee),
        price: quote.price,
        capacity: node.capacity(),
        load: node.delivery.load(),
        height: node.chain.tip().height,
        ill: health::words(health::bits(node)),
    }
}

/// Makes this node an edge: its key consents, a wallet owns the registration.
#[utoipa::path(post, path = paths::EDGE_REGISTER, request_body = EdgeTerms, responses((status = 200, body = Sent), (status = "default", body = ErrorBody)))]
pub async fn register(State(node): Shared, Body(ask): Body<EdgeTerms>) -> Answer<Sent> {
    let shared = Arc::clone(&node);
    let (wallet, wait) = (ask.wallet.clone(), ask.wait);
    let action = move || {
        let key = shared.node_key();
        if let Some(entry) = shared.chain.state().edge(&key.public())? {
            return Err(registered_already(&shared, &entry));
        }
        let (_, owner) = wallet_key(&shared, ask.wallet.as_deref())?;
        registration(&shared, key, &owner.address(), &ask)
    };
    send_action(node, wallet, wait, action).await.map(Json)
}

fn registered_already(node: &Node, entry: &EdgeEntry) -> Failed {
    let owner = view::address(node, &entry.owner);
    Failed::new(
        "refused",
        format!("this node is registered already, by {owner}: `ddn edge set` changes it"),
    )
}

fn registration(node: &Node, key: &SecretKey, owner: &Address, ask: &EdgeTerms) -> Result<Action, Failed> {
    let offer = node.delivery.quote();
    Ok(Action::EdgeRegister {
        node: key.public(),
        payout: payout(node, ask)?.unwrap_or(offer.payee),
        price: ask.price.unwrap_or(offer.price),
        capacity: ask.capacity.unwrap_or(node.capacity()),
        traffic_max: ask.traffic_max.unwrap_or(0),
        consent: ledger::edge_consent(&node.chain.genesis().chain_id, key, owner),
        bond: ask.bond.unwrap_or(Amount::ZERO),
    })
}

fn payout(node: &Node, ask: &EdgeTerms) -> Result<Option<Address>, Failed> {
    ask.payout
        .as_deref()
        .map(|text| view::parse_address(node, text))
        .transpose()
}

/// Changes the terms of an edge; what is left out stays.
#[utoipa::path(
    post, path = paths::EDGE_SET, params(("node" = String, Path, description = "The node key in hex, or `here`")),
    request_body = EdgeTerms, responses((status = 200, body = Sent), (status = "default", body = ErrorBody))
)]
pub async fn set(
    State(node): Shared,
    Segments(edge): Segments<String>,
    Body(ask): Body<EdgeTerms>,
) -> Answer<Sent> {
    let shared = Arc::clone(&node);
    let (wallet, wait) = (ask.wallet.clone(), ask.wait);
    let action = move || {
        let (key, entry) = found(&shared, &edge)?;
        Ok(Action::EdgeSet {
            node: key,
            payout: payout(&shared, &ask)?.unwrap_or(entry.payout),
            price: ask.price.unwrap_or(entry.price),
            capacity: ask.capacity.unwrap_or(entry.capacity),
            traffic_max: ask.traffic_max.unwrap_or(entry.traffic_max),
            bond: ask.bond.unwrap_or(Amount::ZERO),
        })
    };
    send_action(node, wallet, wait, action).await.map(Json)
}

/// Takes the registration of an edge away.
#[utoipa::path(
    post, path = paths::EDGE_LEAVE, params(("node" = String, Path, description = "The node key in hex, or `here`")),
    request_body = ByWallet, responses((status = 200, body = Sent), (status = "default", body = ErrorBody))
)]
pub async fn leave(
    State(node): Shared,
    Segments(edge): Segments<String>,
    Body(ask): Body<ByWallet>,
) -> Answer<Sent> {
    let shared = Arc::clone(&node);
    let action = move || {
        Ok(Action::EdgeLeave {
            node: found(&shared, &edge)?.0,
        })
    };
    send_action(node, ask.wallet, ask.wait, action).await.map(Json)
}

/// A registered edge, by its key or `here`.
fn found(node: &Node, text: &str) -> Result<(PublicKey, EdgeEntry), Failed> {
    let key = match text {
        HERE => node.node_key().public(),
        _ => text
            .parse()
            .map_err(|error: ledger::Error| Failed::bad_request(format!("node `{text}`: {error}")))?,
    };
    let entry = node.chain.state().edge(&key)?;
    let entry = entry.ok_or_else(|| {
        let who = match text {
            HERE => "this node".to_owned(),
            _ => format!("node {key}"),
        };
        Failed::not_found(format!(
            "{who} is not registered as an edge: `ddn edge register` does that"
        ))
    })?;
    Ok((key, entry))
}
