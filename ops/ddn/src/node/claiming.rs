//! Claims what this node earned, without being asked.

use std::sync::Arc;
use std::time::Duration;

use ledger::{ClaimTerms, State as _, Unclaimed, is_claim_due};
use tokio::time::Instant;

use super::Node;
use crate::api::claim::claim_all;
use crate::api::earn::{countable, payable};
use crate::api::failure::Failed;

/// Looks with each block until the node stops.
pub async fn keep(node: Arc<Node>) {
    let every = node.config.settings.delivery.claim_every_s.seconds();
    if every.is_zero() {
        return;
    }
    let mut tips = node.chain.watch();
    let mut last = Instant::now();
    let mut not_before = last;
    loop {
        tokio::select! {
            () = node.stop.cancelled() => return,
            changed = tips.changed() => if changed.is_err() { return },
        }
        let now = Instant::now();
        if now < not_before || !is_due(&node, now >= last + every).await {
            continue;
        }
        (last, not_before) = (now, now + PAUSE);
        // One that is on its way is not broken off by a stop: whoever starts again finds it.
        match claim_all(&node).await {
            Ok(claimed) => {
                tracing::info!(amount = %claimed.amount, height = claimed.height, "what was earned is claimed");
            }
            Err(error) => {
                not_before = now + PAUSE_AFTER_FAILURE;
                let error = error.text().message;
                tracing::warn!(
                    error,
                    "what was earned could not be claimed: see `ddn earn status`"
                );
            }
        }
    }
}

async fn is_due(node: &Arc<Node>, is_time: bool) -> bool {
    let looking = Arc::clone(node);
    let looked = tokio::task::spawn_blocking(move || {
        let terms = ClaimTerms {
            fee: looking.chain.genesis().fee,
            within: looking.delivery.claim_blocks(),
        };
        Ok::<_, Failed>(is_claim_due(&unclaimed(&looking)?, is_time, &terms))
    });
    match looked.await {
        Ok(Ok(is_due)) => is_due,
        Ok(Err(error)) => {
            let error = error.text().message;
            tracing::warn!(error, "it cannot be read what was earned");
            false
        }
        Err(_) => false,
    }
}

/// What the ledger would pay in the next block, by each escrow.
fn unclaimed(node: &Node) -> Result<Vec<Unclaimed>, Failed> {
    let state = node.chain.state();
    let (height, exit_delay) = (state.tip().height, node.chain.genesis().escrow_exit_delay);
    let left = |until: u64| until.saturating_sub(height);
    let mut rows = Vec::new();
    for row in node.delivery.tabs()? {
        let amount = payable(node, &row)?;
        if amount.is_zero() {
            continue;
        }
        let closes = state
            .escrow(&row.escrow)?
            .and_then(|escrow| escrow.closes(exit_delay));
        let line = state.line(&row.escrow, &row.payee)?;
        let expires = line
            .filter(|line| !line.reserve_at(height).is_zero())
            .map(|line| line.expires);
        let sure_for = closes.into_iter().chain(expires).min().map(left);
        rows.push(Unclaimed { amount, sure_for });
    }
    for row in node.delivery.counts()? {
        let amount = countable(node, &row)?;
        if amount.is_zero() {
            continue;
        }
        let line = state.meter(&row.escrow, &row.payee)?;
        let sure_for = line.map(|line| left(line.expires));
        rows.push(Unclaimed { amount, sure_for });
    }
    Ok(rows)
}

/// One claim at a time comes into a block.
const PAUSE: Duration = Duration::from_secs(2);
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(60);
