//! The payee's side: what was earned, and the receipts for it. [`claim`](super::claim) turns it into coins.

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use ledger::{Amount, Hash, State as _};
use storage::ddp::{CountRow, ReceiptRow, TabRow};

use super::extract::{Params, Segments, blocking};
use super::failure::Failed;
use super::types::{EarnStatus, EarnView, Earned, ErrorBody, ReceiptList, ReceiptQuery, ReceiptView};
use super::{Answer, Shared, paths, pay, view};
use crate::node::Node;
use crate::node::receipts::{self, Shown};

/// Receipts in one answer, if nobody says how many.
const RECEIPTS: usize = 100;
/// Receipts in one answer at most: each has about a kilobyte as JSON.
const RECEIPTS_MAX: usize = 1000;
/// The media type of a proof.
const CBOR: &str = "application/cbor";

/// What was earned, in all and by each escrow.
#[utoipa::path(get, path = paths::EARN, responses((status = 200, body = EarnStatus), (status = "default", body = ErrorBody)))]
pub async fn status(State(node): Shared) -> Answer<EarnStatus> {
    blocking(move || status_of(&node)).await.map(Json)
}

/// What was earned; the doctor asks too.
pub fn status_of(node: &Node) -> Result<EarnStatus, Failed> {
    let quote = node.delivery.quote();
    let tabs = node.delivery.tabs()?;
    node.meters.keep()?;
    let counts = node.delivery.counts()?;
    let escrows: Vec<EarnView> = tabs
        .iter()
        .map(|row| earn_view(node, row))
        .chain(counts.iter().map(|row| count_view(node, row)))
        .collect::<Result<_, _>>()?;
    Ok(EarnStatus {
        payee: view::address(node, &quote.payee),
        price: quote.price,
        total: escrows
            .iter()
            .fold(Earned::default(), |sum, one| sum.plus(&one.earned)),
        escrows,
        month_bytes: node.delivery.traffic().bytes,
        month_bytes_max: node.config.settings.delivery.month_gib_max.get() << 30,
        claims_open: node.delivery.batches()?.len() as u64,
        height: node.chain.tip().height,
    })
}

fn earn_view(node: &Node, row: &TabRow) -> Result<EarnView, Failed> {
    let state = node.chain.state();
    let escrow = state.escrow(&row.escrow)?;
    let line = state.line(&row.escrow, &row.account())?;
    let claimed = line.map(|line| line.paid).unwrap_or_default();
    Ok(EarnView {
        escrow: row.escrow.to_string(),
        payer: escrow.as_ref().map(|escrow| view::address(node, &escrow.payer)),
        payee: view::address(node, &row.payee),
        asset: row.asset.map(|asset| asset.to_string()),
        metered: false,
        earned: Earned {
            earned: row.tab.vouched,
            claimed,
            unclaimed: row.tab.vouched.checked_sub(claimed).unwrap_or_default(),
            owed: row.tab.due(),
            bytes: row.tab.paid_bytes,
            lost_bytes: row.tab.forgiven,
        },
        collectible: payable(node, row)?,
        claim_until: escrow
            .and_then(|escrow| pay::closes_at(node, &escrow))
            .map(|closes| closes.saturating_sub(1)),
    })
}

/// What was counted for an escrow, in the words of this node alone.
fn count_view(node: &Node, row: &CountRow) -> Result<EarnView, Failed> {
    let state = node.chain.state();
    let escrow = state.escrow(&row.escrow)?;
    let line = state.meter(&row.escrow, &row.payee)?.unwrap_or_default();
    let earned = row.count.earned.amount();
    let left = line.reserve_at(state.tip().height + 1);
    Ok(EarnView {
        escrow: row.escrow.to_string(),
        payer: escrow.as_ref().map(|escrow| view::address(node, &escrow.payer)),
        payee: view::address(node, &row.payee),
        asset: None,
        metered: true,
        earned: Earned {
            earned,
            claimed: line.paid,
            unclaimed: earned.checked_sub(line.paid).unwrap_or_default(),
            bytes: row.count.bytes,
            ..Earned::default()
        },
        collectible: countable(node, row)?,
        claim_until: (!left.is_zero()).then(|| line.expires.saturating_sub(1)),
    })
}

/// What the ledger would pay in the next block for a count: at most what is set aside for it.
pub fn countable(node: &Node, row: &CountRow) -> Result<Amount, Failed> {
    let state = node.chain.state();
    if state.escrow(&row.escrow)?.is_none() {
        return Ok(Amount::ZERO);
    }
    let line = state.meter(&row.escrow, &row.payee)?.unwrap_or_default();
    let fresh = row.count.earned.amount().checked_sub(line.paid);
    let left = line.reserve_at(state.tip().height + 1);
    Ok(fresh.unwrap_or_default().min(left))
}

/// What the ledger would pay in the next block for the highest voucher of a row.
pub fn payable(node: &Node, row: &TabRow) -> Result<Amount, Failed> {
    let state = node.chain.state();
    let next = state.tip().height + 1;
    let Some(escrow) = state.escrow(&row.escrow)? else {
        return Ok(Amount::ZERO);
    };
    let line = state.line(&row.escrow, &row.account())?;
    let paid = line.as_ref().map(|line| line.paid).unwrap_or_default();
    let reserve = line
        .as_ref()
        .map(|line| line.reserve_at(next))
        .unwrap_or_default();
    let most = sum(reserve, escrow.free_for(line.as_ref(), next));
    let fresh = row.tab.vouched.checked_sub(paid).unwrap_or_default();
    Ok(fresh.min(most))
}

impl Earned {
    /// Both together.
    fn plus(&self, other: &Self) -> Self {
        Self {
            earned: sum(self.earned, other.earned),
            claimed: sum(self.claimed, other.claimed),
            unclaimed: sum(self.unclaimed, other.unclaimed),
            owed: sum(self.owed, other.owed),
            bytes: self.bytes.saturating_add(other.bytes),
            lost_bytes: self.lost_bytes.saturating_add(other.lost_bytes),
        }
    }
}

/// For what is shown: there are never more coins than fit.
pub fn sum(a: Amount, b: Amount) -> Amount {
    Amount::from_units(a.units().saturating_add(b.units()))
}

/// The receipts of this node's deliveries, oldest first.
#[utoipa::path(get, path = paths::EARN_RECEIPTS, params(ReceiptQuery), responses((status = 200, body = ReceiptList), (status = "default", body = ErrorBody)))]
pub async fn receipts(State(node): Shared, Params(query): Params<ReceiptQuery>) -> Answer<ReceiptList> {
    blocking(move || {
        let max = query.max.unwrap_or(RECEIPTS);
        if !(1..=RECEIPTS_MAX).contains(&max) {
            return Err(Failed::bad_request(format!("max must be 1 to {RECEIPTS_MAX}")));
        }
        let mut rows = node.delivery.receipts(query.from.unwrap_or(0), max + 1)?;
        let next = rows.get(max).map(|row| row.seq);
        rows.truncate(max);
        let receipts = rows.iter().map(|row| receipt_view(&node, row)).collect();
        Ok(ReceiptList { receipts, next })
    })
    .await
    .map(Json)
}

fn receipt_view(node: &Node, row: &ReceiptRow) -> ReceiptView {
    let (quote, statement) = (&row.receipt.quote.body, &row.receipt.statement.body);
    ReceiptView {
        seq: row.seq,
        id: row.id.to_string(),
        time_ms: row.time_ms,
        root: statement.root.to_string(),
        session: statement.session.to_string(),
        bytes: statement.bytes,
        blocks: statement.blocks,
        price: quote.price,
        payee: view::address(node, &quote.payee),
        escrow: statement.escrow.map(|escrow| escrow.to_string()),
        vouched: row
            .receipt
            .voucher
            .as_ref()
            .map(|voucher| voucher.body.cumulative),
        claim: row.claim.map(|root| root.to_string()),
    }
}

/// A proof of one delivery that needs nothing but the genesis: the receipt, its claim, and the way from one to the other.
#[utoipa::path(
    get, path = paths::EARN_PROOF, params(("id" = String, Path, description = "The receipt's id, 64 hex digits")),
    responses((status = 200, body = Vec<u8>, content_type = "application/cbor"), (status = "default", body = ErrorBody))
)]
pub async fn proof(State(node): Shared, Segments(id): Segments<String>) -> Result<Response, Failed> {
    let proof = blocking(move || prove(&node, &id)).await?;
    Ok(([(CONTENT_TYPE, CBOR)], proof).into_response())
}

fn prove(node: &Node, id: &str) -> Result<Vec<u8>, Failed> {
    let id: Hash = id
        .parse()
        .map_err(|_| Failed::bad_request(format!("`{id}` is no receipt: give its id, 64 hex digits")))?;
    match receipts::show(&node.chain, &node.delivery, &id)? {
        Some(Shown::Proof(proof)) => Ok(proof.encode()),
        Some(Shown::Receipt(_)) => {
            let text = format!("receipt {id} is in no claim on the ledger yet: `ddn earn claim` makes one");
            Err(Failed::new("refused", text))
        }
        None => Err(Failed::not_found(format!(
            "there is no receipt {id}: see `ddn earn receipts`"
        ))),
    }
}
