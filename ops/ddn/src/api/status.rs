//! The node as a whole: status, settings, and what monitoring reads.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use super::extract::blocking;
use super::failure::Failed;
use super::types::{ConfigReport, ErrorBody, NodeFile, NodeRole, NodeStatus, ZoneAnchor};
use super::{Answer, Shared, paths};
use crate::node::{Node, Role, wallets};

/// How the node is, where it listens, and what its default wallet has.
#[utoipa::path(get, path = paths::STATUS, responses((status = 200, body = NodeStatus), (status = "default", body = ErrorBody)))]
pub async fn status(State(node): Shared) -> Answer<NodeStatus> {
    blocking(move || status_of(&node)).await.map(Json)
}

fn status_of(node: &Node) -> Result<NodeStatus, Failed> {
    let genesis = node.chain.genesis();
    let starting = || Failed::new("busy", "the node is starting: ask again when it is ready");
    let card: NodeFile = node.card.get().cloned().ok_or_else(starting)?;
    let key = node.wallets.key(wallets::DEFAULT)?;
    let address = key.map(|key| key.address());
    let view = node.chain.state();
    let account = address
        .map(|address| view.account(&address))
        .transpose()?
        .unwrap_or_default();
    let problem = node.problem();
    Ok(NodeStatus {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        data: node.folder.dir().display().to_string(),
        uptime_s: node.uptime().as_secs(),
        ready: problem.is_none(),
        problem,
        node: card,
        role: match node.role {
            Role::Delegate => NodeRole::Delegate,
            Role::Follower => NodeRole::Follower,
        },
        tld: genesis.tld.clone(),
        zones: node.zones.iter().map(anchor).collect(),
        height: view.tip().height,
        best: node.chain.sync_status().best.max(view.tip().height),
        peers: node.mesh.peers().len() as u64,
        time_ms: view.tip().time_ms,
        jobs: node.claims.count() as u64,
        wallet: address
            .map(|address| address.display(&genesis.prefix))
            .unwrap_or_default(),
        balance: account.balance,
    })
}

fn anchor(zone: &named::dns::Anchor) -> ZoneAnchor {
    ZoneAnchor {
        zone: zone.zone.clone(),
        ds: zone.ds.clone(),
        dnskey: zone.dnskey.clone(),
    }
}

/// Every setting with its value, its default, its origin and its help.
#[utoipa::path(get, path = paths::CONFIG, responses((status = 200, body = ConfigReport), (status = "default", body = ErrorBody)))]
pub async fn config(State(node): Shared) -> Json<ConfigReport> {
    Json(node.config.report())
}

/// The media type of the OpenMetrics text format.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// `/metrics`.
pub async fn metrics(State(node): Shared) -> Result<Response, Failed> {
    let mut text = String::new();
    let encoded = prometheus_client::encoding::text::encode(&mut text, &node.registry);
    encoded.map_err(|error| Failed::new("internal", format!("the metrics cannot be written: {error}")))?;
    Ok(([(CONTENT_TYPE, OPEN_METRICS)], text).into_response())
}

/// `/healthz`: the process lives and its chain has not failed; if not, a supervisor should restart it.
pub async fn healthz(State(node): Shared) -> (StatusCode, String) {
    match node.chain.health().failure {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(failure) => (StatusCode::SERVICE_UNAVAILABLE, format!("{failure}\n")),
    }
}

/// `/readyz`: the node does its work.
pub async fn readyz(State(node): Shared) -> (StatusCode, String) {
    match node.problem() {
        None => (StatusCode::OK, "ready\n".to_owned()),
        Some(problem) => (StatusCode::SERVICE_UNAVAILABLE, format!("{problem}\n")),
    }
}
