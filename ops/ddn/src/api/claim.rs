//! From vouchers to coins: claims on the ledger, with the root of the receipts.
//!
//! A batch of receipts is staged in the books, durably, before its claim is sent. So a claim that was interrupted is found
//! again: if the ledger has it, the books are brought up to date; if not, it is sent again, with the highest vouchers that
//! there are by then. The ledger takes the same receipts, and the same voucher, only once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use cid::Cid;
use ledger::{
    Action, Address, Amount, Hash, MAX_CLAIM_VOUCHERS, MAX_TX_BYTES, Metered, Receipts, SecretKey, Signed,
    State as _, Voucher,
};
use storage::ddp::Batch;
use tokio::sync::Mutex;

use super::earn::{countable, payable, sum};
use super::extract::{Body, blocking};
use super::failure::Failed;
use super::types::{ClaimView, Claimed, EarnClaim, ErrorBody};
use super::{Answer, Shared, paths, view};
use crate::node::Node;

/// Bytes of a claim's transaction that are no vouchers, with some to spare: the envelope has about 300.
const ENVELOPE_BYTES: usize = 1024;

/// Block times within which a claim of before a crash comes into a block, if it is on its way.
const EARLIER_BLOCKS: u32 = 4;

/// One claim at a time: two would send the same vouchers, and one of them be refused.
static TURN: Mutex<()> = Mutex::const_new(());

/// Claims what was earned, and finishes claims that were interrupted.
#[utoipa::path(post, path = paths::EARN_CLAIM, request_body = EarnClaim, responses((status = 200, body = Claimed), (status = "default", body = ErrorBody)))]
pub async fn claim(State(node): Shared, Body(EarnClaim {}): Body<EarnClaim>) -> Answer<Claimed> {
    let shared = Arc::clone(&node);
    // A task of its own: the client may leave, and whoever asks next must not find a claim half-sent.
    let claimed = node.tasks.spawn(async move { claim_all(&shared).await }).await?;
    claimed.map(Json)
}

/// Claims all that the ledger would pay, one transaction after the other.
pub async fn claim_all(node: &Arc<Node>) -> Result<Claimed, Failed> {
    let _turn = TURN.lock().await;
    let mut claimed = Claimed::default();
    for batch in read(node, |node| Ok(node.delivery.batches()?)).await? {
        claimed.add(with_receipts(node, batch).await?);
    }
    while let Some(batch) = read(node, |node| Ok(node.delivery.stage_claim()?)).await? {
        claimed.add(with_receipts(node, batch).await?);
    }
    while let Some(claim) = read(node, rest).await? {
        claimed.add(vec![send(node, claim).await?]);
    }
    while let Some(claim) = read(node, counted).await? {
        claimed.add(vec![send(node, claim).await?]);
    }
    if claimed.height == 0 {
        claimed.height = node.chain.tip().height;
    }
    Ok(claimed)
}

impl Claimed {
    fn add(&mut self, claims: Vec<ClaimView>) {
        for claim in claims {
            self.amount = sum(self.amount, claim.amount);
            self.shared = sum(self.shared, claim.shared);
            self.transactions += claim.txs.len() as u64;
            self.receipts += claim.receipts;
            self.height = self.height.max(claim.height);
            self.claims.push(claim);
        }
    }
}

/// What one transaction claims.
struct Claim {
    payee: Address,
    key: SecretKey,
    vouchers: Vec<Signed<Voucher>>,
    receipts: Option<Receipts>,
    metered: Vec<Metered>,
}

/// Claims a batch of receipts, where the ledger does not have it already, and settles it.
async fn with_receipts(node: &Arc<Node>, batch: Batch) -> Result<Vec<ClaimView>, Failed> {
    let receipts = Receipts {
        root: batch.root,
        count: batch.leaves.len() as u64,
    };
    let mut views = Vec::new();
    for payee in read(node, move |node| payees(node, &batch)).await? {
        views.push(once(node, payee, receipts).await?);
    }
    read(node, move |node| {
        Ok(node.delivery.settle_claim(&receipts.root)?)
    })
    .await?;
    Ok(views)
}

/// Who is paid by the receipts of a batch: one account, unless the setting was changed in between. Each claims the whole
/// batch, since a receipt is proved against a claim of its own payee.
fn payees(node: &Node, batch: &Batch) -> Result<BTreeSet<Address>, Failed> {
    let mut payees = BTreeSet::new();
    for leaf in &batch.leaves {
        let row = node.delivery.receipt(leaf)?;
        payees.extend(row.map(|row| row.receipt.quote.body.payee));
    }
    Ok(payees)
}

/// Claims receipts with as many vouchers as fit, unless that was done before.
async fn once(node: &Arc<Node>, payee: Address, receipts: Receipts) -> Result<ClaimView, Failed> {
    let found = move |node: &Node| on_ledger(node, &payee, &receipts.root);
    if let Some(view) = read(node, found).await? {
        return Ok(view);
    }
    let claim = read(node, move |node| {
        Ok(Claim {
            payee,
            key: key_of(node, &payee)?,
            vouchers: fitting(fresh(node, &payee)?),
            receipts: Some(receipts),
            metered: Vec::new(),
        })
    });
    match send(node, claim.await?).await {
        Ok(view) => Ok(view),
        Err(refused) => earlier(node, payee, receipts.root).await?.ok_or(refused),
    }
}

/// The claim that came before one that was refused: it was sent before a crash, and may be in one of the next blocks.
async fn earlier(node: &Arc<Node>, payee: Address, root: Hash) -> Result<Option<ClaimView>, Failed> {
    let mut tips = node.chain.watch();
    let wait = Duration::from_millis(node.chain.genesis().block_time_ms) * EARLIER_BLOCKS;
    let found = async {
        loop {
            tips.mark_unchanged();
            if let Some(view) = read(node, move |node| on_ledger(node, &payee, &root)).await? {
                return Ok(Some(view));
            }
            if tips.changed().await.is_err() {
                return Ok(None);
            }
        }
    };
    tokio::time::timeout(wait, found).await.unwrap_or(Ok(None))
}

/// A claim that is on the ledger.
fn on_ledger(node: &Node, payee: &Address, root: &Hash) -> Result<Option<ClaimView>, Failed> {
    let entry = node.chain.state().claim(payee, root)?;
    Ok(entry.map(|entry| ClaimView {
        payee: view::address(node, payee),
        root: Some(root.to_string()),
        receipts: entry.receipts,
        amount: entry.amount.checked_sub(entry.shared).unwrap_or_default(),
        shared: entry.shared,
        txs: Vec::new(),
        height: entry.height,
    }))
}

/// Vouchers that went with no receipts: the next transaction of them, if there are any.
fn rest(node: &Node) -> Result<Option<Claim>, Failed> {
    for row in node.delivery.tabs()? {
        let vouchers = fitting(fresh(node, &row.payee)?);
        if !vouchers.is_empty() {
            return Ok(Some(Claim {
                payee: row.payee,
                key: key_of(node, &row.payee)?,
                vouchers,
                receipts: None,
                metered: Vec::new(),
            }));
        }
    }
    Ok(None)
}

/// What was counted by itself: the next transaction of it, if the ledger would pay for some.
fn counted(node: &Node) -> Result<Option<Claim>, Failed> {
    node.meters.keep()?;
    let mut metered: BTreeMap<Address, Vec<Metered>> = BTreeMap::new();
    for row in node.delivery.counts()? {
        if !countable(node, &row)?.is_zero() {
            metered.entry(row.payee).or_default().push(Metered {
                escrow: row.escrow,
                cumulative: row.count.earned.amount(),
            });
        }
    }
    let Some((payee, mut metered)) = metered.pop_first() else {
        return Ok(None);
    };
    metered.truncate(MAX_CLAIM_VOUCHERS);
    Ok(Some(Claim {
        payee,
        key: key_of(node, &payee)?,
        vouchers: Vec::new(),
        receipts: None,
        metered,
    }))
}

/// The vouchers of a payee for which the ledger would pay something now.
fn fresh(node: &Node, payee: &Address) -> Result<Vec<Signed<Voucher>>, Failed> {
    let mut fresh = Vec::new();
    for row in node.delivery.tabs()? {
        if row.payee != *payee || payable(node, &row)?.is_zero() {
            continue;
        }
        fresh.extend(row.voucher);
    }
    Ok(fresh)
}

/// As many of them as one transaction takes.
fn fitting(mut vouchers: Vec<Signed<Voucher>>) -> Vec<Signed<Voucher>> {
    let mut room = MAX_TX_BYTES - ENVELOPE_BYTES;
    let fits = vouchers.iter().take(MAX_CLAIM_VOUCHERS).take_while(|voucher| {
        let left = room.checked_sub(voucher.encode().len());
        room = left.unwrap_or(room);
        left.is_some()
    });
    let count = fits.count();
    vouchers.truncate(count);
    vouchers
}

fn key_of(node: &Node, payee: &Address) -> Result<SecretKey, Failed> {
    let wallets = node.wallets.all()?;
    let wallet = wallets.into_iter().find(|(_, key)| key.address() == *payee);
    let missing = || {
        let text = format!(
            "deliveries are paid to {}, which is no wallet of this node: `ddn wallet import` adds it",
            view::address(node, payee)
        );
        Failed::new("not_yours", text)
    };
    Ok(wallet.ok_or_else(missing)?.1)
}

/// Sends a claim, and waits for its block.
async fn send(node: &Arc<Node>, claim: Claim) -> Result<ClaimView, Failed> {
    let (payee, receipts) = (claim.payee, claim.receipts);
    let escrows = Escrows {
        vouched: claim
            .vouchers
            .iter()
            .map(|voucher| voucher.body.clone())
            .collect(),
        counted: claim.metered.iter().map(|count| count.escrow).collect(),
    };
    let (tx, before) = read(node, {
        let escrows = escrows.clone();
        move |node| {
            let before = paid(node, &payee, &escrows)?;
            submit(node, claim).map(|tx| (tx, before))
        }
    })
    .await?;
    let height = node.sender.finality(&tx).await?;
    let after = read(node, move |node| paid(node, &payee, &escrows)).await?;
    Ok(ClaimView {
        payee: view::address(node, &payee),
        root: receipts.map(|receipts| receipts.root.to_string()),
        receipts: receipts.map_or(0, |receipts| receipts.count),
        amount: after.kept.checked_sub(before.kept).unwrap_or_default(),
        shared: after.shared.checked_sub(before.shared).unwrap_or_default(),
        txs: vec![tx.to_string()],
        height,
    })
}

fn submit(node: &Node, claim: Claim) -> Result<Cid, Failed> {
    let action = Action::Claim {
        vouchers: claim.vouchers,
        receipts: claim.receipts,
        metered: claim.metered,
    };
    Ok(node.sender.send(&claim.key, action, |_| Ok(()))??)
}

/// The escrows of a claim.
#[derive(Clone)]
struct Escrows {
    vouched: Vec<Voucher>,
    counted: Vec<Hash>,
}

/// What some escrows have paid so far.
#[derive(Default)]
struct Paid {
    /// To the payee.
    kept: Amount,
    /// To others, by the shares of assets.
    shared: Amount,
}

fn paid(node: &Node, payee: &Address, escrows: &Escrows) -> Result<Paid, Failed> {
    let state = node.chain.state();
    let mut all = Paid::default();
    for voucher in &escrows.vouched {
        let line = state.line(&voucher.escrow, &voucher.account())?;
        let paid = line.unwrap_or_default().paid;
        let asset = match &voucher.asset {
            Some(asset) => state.asset(&asset.0)?,
            None => None,
        };
        let kept = asset.map_or(paid, |asset| asset.split.kept(paid));
        all.kept = sum(all.kept, kept);
        all.shared = sum(all.shared, paid.checked_sub(kept).unwrap_or_default());
    }
    for escrow in &escrows.counted {
        let line = state.meter(escrow, payee)?;
        all.kept = sum(all.kept, line.unwrap_or_default().paid);
    }
    Ok(all)
}

/// Work on books and ledger, on a thread for it.
async fn read<T: Send + 'static>(
    node: &Arc<Node>,
    work: impl FnOnce(&Node) -> Result<T, Failed> + Send + 'static,
) -> Result<T, Failed> {
    let node = Arc::clone(node);
    blocking(move || work(&node)).await
}

#[cfg(test)]
mod tests {
    use ledger::{Link, Tx, TxBody};

    use super::*;

    #[test]
    fn a_claim_takes_as_many_vouchers_as_a_transaction_holds() {
        let key = SecretKey::from_seed([1; 32]);
        let voucher = |number: u8| {
            let voucher = Voucher {
                escrow: Hash([number; 32]),
                payee: key.address(),
                asset: Some(Link(Cid::new_v1(0x70, *ledger::cid_of(b"an asset").hash()))),
                cumulative: Amount::from_units(u64::MAX),
                statement: Some(Hash([number; 32])),
            };
            Signed::sign(voucher, "a-chain-with-a-long-id", &key)
        };
        for (given, expected) in [(0, 0), (5, 5), (100, MAX_CLAIM_VOUCHERS)] {
            let vouchers = fitting((0..given).map(voucher).collect());
            assert_eq!(vouchers.len(), expected);
            let receipts = Receipts {
                root: Hash([9; 32]),
                count: u64::MAX,
            };
            let body = TxBody {
                chain: "a-chain-with-a-long-id".to_owned(),
                nonce: u64::MAX,
                fee: Amount::from_units(u64::MAX),
                action: Action::Claim {
                    vouchers,
                    receipts: Some(receipts),
                    metered: Vec::new(),
                },
            };
            assert!(Tx::sign(body, &key).encode().len() <= MAX_TX_BYTES);
        }
    }
}
