//! The ledger: status, blocks, transactions, proofs.

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use chain::Fate;
use ledger::{Certificate, Hash, NamePath, State as _, Tx, key};

use super::extract::{self, Params, Raw, Segments, blocking};
use super::failure::Failed;
use super::types::{
    BlockView, ChainStatus, ChainStatusQuery, ErrorBody, ProofQuery, TxStatus, TxSubmitted, TxView,
};
use super::{Answer, Shared, paths, view};
use crate::node::Node;

/// The media type of a proof bundle.
const CBOR: &str = "application/cbor";

/// The chain and its newest block; all coins are counted unless told otherwise.
#[utoipa::path(get, path = paths::CHAIN_STATUS, params(ChainStatusQuery), responses((status = 200, body = ChainStatus), (status = "default", body = ErrorBody)))]
pub async fn status(State(node): Shared, Params(query): Params<ChainStatusQuery>) -> Answer<ChainStatus> {
    blocking(move || status_of(&node, query.audit.unwrap_or(true)))
        .await
        .map(Json)
}

fn status_of(node: &Node, audit: bool) -> Result<ChainStatus, Failed> {
    let genesis = node.chain.genesis();
    let state = node.chain.state();
    let tip = state.tip();
    let voters = state
        .validators()
        .map_err(|error| Failed::new("internal", error.to_string()))?;
    let audit = audit.then(|| node.chain.audit()).transpose()?;
    let health = node.chain.health();
    Ok(ChainStatus {
        chain_id: genesis.chain_id.clone(),
        genesis: genesis.cid().to_string(),
        preset: format!("{:?}", genesis.preset).to_lowercase(),
        tld: genesis.tld.clone(),
        prefix: genesis.prefix.clone(),
        height: tip.height,
        time_ms: tip.time_ms,
        cid: tip.cid.to_string(),
        header: tip.header.to_string(),
        state_root: tip.state_root.to_string(),
        block_time_ms: genesis.block_time_ms,
        seats: genesis.seats,
        delegates: voters
            .validators()
            .iter()
            .map(|voter| view::address(node, &voter.address()))
            .collect(),
        fee: genesis.fee,
        supply: audit.as_ref().map(|audit| audit.supply),
        accounted: audit.as_ref().map(|audit| audit.accounted),
        healthy: health.is_good(),
        problem: health.failure.map(|failure| failure.to_string()),
    })
}

/// A block with its transactions.
#[utoipa::path(
    get, path = paths::CHAIN_BLOCK, params(("height" = String, Path, description = "A height, or `latest`")),
    responses((status = 200, body = BlockView), (status = "default", body = ErrorBody))
)]
pub async fn block(State(node): Shared, Segments(height): Segments<String>) -> Answer<BlockView> {
    blocking(move || {
        let tip = node.chain.tip().height;
        let wanted = match height.as_str() {
            "latest" => tip,
            text => text
                .parse()
                .map_err(|_| Failed::bad_request(format!("`{text}` is neither a height nor `latest`")))?,
        };
        let missing = || Failed::not_found(format!("there is no block {wanted}: the newest is {tip}"));
        let (block, certificate) = node.chain.block(wanted)?.ok_or_else(missing)?;
        Ok(block_view(&node, &block, &certificate))
    })
    .await
    .map(Json)
}

fn block_view(node: &Node, block: &ledger::Block, certificate: &Certificate) -> BlockView {
    let header = &block.header;
    BlockView {
        height: header.height,
        cid: header.cid().to_string(),
        header: header.id().to_string(),
        time_ms: header.time_ms,
        parent: header.parent.to_string(),
        body: header.body.to_string(),
        state_root: header.state_root.to_string(),
        proposer: view::address(node, &header.proposer),
        validators: header.validators.to_string(),
        next_validators: header.next_validators.to_string(),
        round: certificate.round,
        signatures: certificate.signatures.len() as u64,
        txs: block
            .body
            .txs
            .iter()
            .map(|tx| view::tx(node, tx, header.height))
            .collect(),
    }
}

/// A transaction and what became of it.
#[utoipa::path(get, path = paths::CHAIN_TX, params(("cid" = String, Path)), responses((status = 200, body = TxView), (status = "default", body = ErrorBody)))]
pub async fn tx(State(node): Shared, Segments(cid): Segments<String>) -> Answer<TxView> {
    blocking(move || {
        let cid = extract::cid(&cid)?;
        let fate = node.chain.fate(&cid)?;
        if let Some((tx, height)) = node.chain.transaction(&cid)? {
            return Ok(view::tx(&node, &tx, height));
        }
        let (status, reason) = match fate {
            Fate::Refused { reason } => (TxStatus::Refused, Some(reason)),
            Fate::Pending { missing: Some(nonce) } => {
                let reason = format!("its account has to send the transaction of nonce {nonce} first");
                (TxStatus::Pending, Some(reason))
            }
            Fate::Pending { missing: None } | Fate::Included { .. } => (TxStatus::Pending, None),
            Fate::Unknown => {
                let text = format!(
                    "this node knows no transaction {cid}: it was never sent here, or its refusal is long past"
                );
                return Err(Failed::not_found(text));
            }
        };
        let cid = cid.to_string();
        let (height, sender, nonce, fee, kind, action) = (None, None, None, None, None, None);
        Ok(TxView {
            cid,
            status,
            height,
            reason,
            sender,
            nonce,
            fee,
            kind,
            action,
        })
    })
    .await
    .map(Json)
}

/// Submits a signed transaction.
#[utoipa::path(
    post, path = paths::CHAIN_TXS, request_body(content = Vec<u8>, content_type = "application/vnd.ipld.dag-cbor"),
    responses((status = 200, body = TxSubmitted), (status = "default", body = ErrorBody))
)]
pub async fn submit(State(node): Shared, Raw(body): Raw) -> Answer<TxSubmitted> {
    blocking(move || {
        let tx =
            Tx::decode(&body).map_err(|error| Failed::bad_request(format!("not a transaction: {error}")))?;
        Ok(TxSubmitted {
            tx: node.chain.submit(tx)?.to_string(),
        })
    })
    .await
    .map(Json)
}

/// What the state says under a key, provable with the genesis alone: a proof bundle.
#[utoipa::path(
    get, path = paths::CHAIN_PROOF, params(ProofQuery),
    responses((status = 200, body = Vec<u8>, content_type = "application/cbor"), (status = "default", body = ErrorBody))
)]
pub async fn proof(State(node): Shared, Params(query): Params<ProofQuery>) -> Result<Response, Failed> {
    let bundle = blocking(move || {
        let key = state_key(&node, &query.key)?;
        let height = query.height.unwrap_or_else(|| node.chain.height());
        match node.chain.prove_at(&key, height) {
            Ok(bundle) => Ok(bundle.encode()),
            Err(error @ chain::Error::NoBlock { .. }) => Err(Failed::new("busy", error.to_string())),
            Err(error @ chain::Error::NotKept { .. }) => Err(Failed::not_found(error.to_string())),
            Err(error) => Err(error.into()),
        }
    })
    .await?;
    Ok(([(CONTENT_TYPE, CBOR)], bundle).into_response())
}

/// See [`ProofQuery::key`].
fn state_key(node: &Node, text: &str) -> Result<Vec<u8>, Failed> {
    let bad = |reason: String| Failed::bad_request(format!("key `{text}`: {reason}"));
    if let Some(digits) = text.strip_prefix("0x") {
        return hex::decode(digits).map_err(|error| bad(error.to_string()));
    }
    let forms = "use name/NAME, asset/CID, tag/TAG/CID, licence/CID/ADDRESS, account/ADDRESS, escrow/ID, \
                 line/ESCROW/ADDRESS, meter/ESCROW/ADDRESS, claim/ADDRESS/ROOT, edge/NODE, or 0x and hex digits";
    let hash = |text: &str| text.parse::<Hash>().map_err(|error| bad(error.to_string()));
    let (kind, rest) = text.split_once('/').ok_or_else(|| bad(forms.to_owned()))?;
    match kind {
        "name" => {
            let tld = &node.chain.genesis().tld;
            let full = if rest.contains('.') {
                rest.to_owned()
            } else {
                format!("{rest}.{tld}")
            };
            let path = NamePath::parse(&full, tld).map_err(|error| bad(error.to_string()))?;
            Ok(key::name(&path.label))
        }
        "asset" => Ok(key::asset(&extract::cid(rest)?)),
        "tag" => {
            let (tag, cid) = rest.split_once('/').ok_or_else(|| bad(forms.to_owned()))?;
            let tag = tag
                .parse()
                .map_err(|error: ledger::Error| bad(error.to_string()))?;
            Ok(key::tag(&tag, &extract::cid(cid)?))
        }
        "licence" => {
            let (cid, holder) = rest.split_once('/').ok_or_else(|| bad(forms.to_owned()))?;
            Ok(key::licence(
                &extract::cid(cid)?,
                &view::parse_address(node, holder)?,
            ))
        }
        "account" => Ok(key::account(&view::parse_address(node, rest)?)),
        "escrow" => Ok(key::escrow(&hash(rest)?)),
        "line" | "meter" => {
            let (escrow, payee) = rest.split_once('/').ok_or_else(|| bad(forms.to_owned()))?;
            let of = if kind == "line" { key::line } else { key::meter };
            Ok(of(&hash(escrow)?, &view::parse_address(node, payee)?))
        }
        "claim" => {
            let (payee, root) = rest.split_once('/').ok_or_else(|| bad(forms.to_owned()))?;
            Ok(key::claim(&view::parse_address(node, payee)?, &hash(root)?))
        }
        "edge" => {
            let edge = rest
                .parse()
                .map_err(|error: ledger::Error| bad(error.to_string()))?;
            Ok(key::edge(&edge))
        }
        _ => Err(bad(forms.to_owned())),
    }
}
