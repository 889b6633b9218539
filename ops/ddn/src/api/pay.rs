//! The payer's side: escrows of this node's wallets.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use cid::Cid;
use ledger::{Action, Address, Amount, Escrow, Hash, Line, State as _};
use storage::ddp::{Purpose, PurseRow};

use super::extract::{Body, Segments, blocking};
use super::failure::Failed;
use super::types::{
    ErrorBody, EscrowSent, EscrowStep, EscrowView, PayAllot, PayExit, PayOpen, PayStatus, PayTopUp, PayeeView,
};
use super::{Answer, Shared, paths, view};
use crate::node::preflight::{check_coins, wallet_key};
use crate::node::{Node, wallets};

/// What an escrow of the default wallet is called by those who do not know its id.
const DEFAULT: &str = "default";
/// For how long something is set aside if nobody says so.
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// The escrows of this node's wallets, and what was signed away from each.
#[utoipa::path(get, path = paths::PAY, responses((status = 200, body = PayStatus), (status = "default", body = ErrorBody)))]
pub async fn status(State(node): Shared) -> Answer<PayStatus> {
    blocking(move || status_of(&node)).await.map(Json)
}

fn status_of(node: &Node) -> Result<PayStatus, Failed> {
    Ok(PayStatus {
        escrows: views(node)?,
        price_max: node.config.settings.delivery.price_max.get(),
        spent_today: node.delivery.spent(&Purpose::All)?,
        budget_day: node.config.settings.delivery.budget_day.get(),
        height: node.chain.tip().height,
    })
}

/// The escrows of this node's wallets with all that is known of them; the doctor asks too.
pub fn views(node: &Node) -> Result<Vec<EscrowView>, Failed> {
    let purses = node.delivery.purses()?;
    let escrows = escrows(node)?.into_iter();
    escrows
        .map(|(id, escrow)| escrow_view(node, &id, &escrow, &purses))
        .collect()
}

/// The escrows that this node's wallets opened, oldest first.
fn escrows(node: &Node) -> Result<Vec<(Hash, Escrow)>, Failed> {
    let ours = node.wallets.addresses()?;
    let mut found: Vec<(Hash, Escrow)> = view::entries(node, ledger::key::ESCROWS, hash)?;
    found.retain(|(_, escrow)| ours.contains(&escrow.payer));
    found.sort_by_key(|(id, escrow)| (escrow.opened, *id));
    Ok(found)
}

fn hash(bytes: &[u8]) -> Result<Hash, String> {
    let bytes = bytes
        .try_into()
        .map_err(|_| "an escrow id of another length".to_owned())?;
    Ok(Hash(bytes))
}

fn escrow_view(node: &Node, id: &Hash, escrow: &Escrow, purses: &[PurseRow]) -> Result<EscrowView, Failed> {
    let payees = payees(node, id, purses)?;
    let signed_unclaimed = payees.iter().map(|payee| payee.unclaimed.units()).sum();
    Ok(EscrowView {
        escrow: id.to_string(),
        payer: view::address(node, &escrow.payer),
        voucher_key: escrow.voucher_key.to_string(),
        usable: escrow.voucher_key == node.payer.voucher_key(),
        in_use: node.payer.current() == Some(*id),
        balance: escrow.balance,
        reserved: escrow.reserved,
        signed_unclaimed: Amount::from_units(signed_unclaimed),
        opened: escrow.opened,
        exit: escrow.exit,
        closes_at: closes_at(node, escrow),
        payees,
    })
}

/// Everybody for whom something was set aside, or signed.
fn payees(node: &Node, id: &Hash, purses: &[PurseRow]) -> Result<Vec<PayeeView>, Failed> {
    let prefix = [ledger::key::LINES, id.0.as_slice()].concat();
    let lines: Vec<(Address, Line)> = view::entries(node, &prefix, |rest| {
        let bytes = rest
            .try_into()
            .map_err(|_| "an address of another length".to_owned())?;
        Ok(Address::from_bytes(bytes))
    })?;
    let mut payees: BTreeMap<Address, (Option<Line>, Option<&PurseRow>)> = BTreeMap::new();
    for (payee, line) in lines {
        payees.entry(payee).or_default().0 = Some(line);
    }
    for purse in purses.iter().filter(|purse| purse.escrow == *id) {
        payees.entry(purse.account()).or_default().1 = Some(purse);
    }
    let row = |(payee, (line, purse)): (Address, (Option<Line>, Option<&PurseRow>))| {
        payee_view(node, &payee, line.as_ref(), purse)
    };
    let metered = meters(node, id)?.into_iter().map(|(payee, line)| PayeeView {
        metered: true,
        ..payee_view(node, &payee, Some(&line), None)
    });
    Ok(payees.into_iter().map(row).chain(metered).collect())
}

/// The payees of an escrow that count by themselves.
fn meters(node: &Node, id: &Hash) -> Result<Vec<(Address, Line)>, Failed> {
    let all: Vec<((Address, Hash), Line)> = view::entries(node, ledger::key::METERS, |rest| {
        let (payee, escrow) = rest
            .split_first_chunk()
            .ok_or_else(|| "an address of another length".to_owned())?;
        Ok((Address::from_bytes(*payee), hash(escrow)?))
    })?;
    let ours = all.into_iter().filter(|((_, escrow), _)| escrow == id);
    Ok(ours.map(|((payee, _), line)| (payee, line)).collect())
}

fn payee_view(node: &Node, account: &Address, line: Option<&Line>, purse: Option<&PurseRow>) -> PayeeView {
    let claimed = line.map(|line| line.paid).unwrap_or_default();
    let signed = purse.map(|row| row.purse.signed).unwrap_or_default();
    PayeeView {
        payee: view::address(node, purse.map_or(account, |row| &row.payee)),
        asset: purse.and_then(|row| row.asset).map(|asset| asset.to_string()),
        metered: false,
        reserved: line.map(|line| line.reserved).unwrap_or_default(),
        expires: line.map(|line| line.expires).filter(|height| *height > 0),
        claimed,
        signed,
        unclaimed: signed.checked_sub(claimed).unwrap_or_default(),
        due: purse.map(|row| row.purse.due()).unwrap_or_default(),
    }
}

/// The first height at which the exit of an escrow can be finished, if it was asked for.
pub fn closes_at(node: &Node, escrow: &Escrow) -> Option<u64> {
    escrow.closes(node.chain.genesis().escrow_exit_delay)
}

/// Opens an escrow, from which this node can pay.
#[utoipa::path(post, path = paths::PAY_OPEN, request_body = PayOpen, responses((status = 200, body = EscrowSent), (status = "default", body = ErrorBody)))]
pub async fn open(State(node): Shared, Body(ask): Body<PayOpen>) -> Answer<EscrowSent> {
    let amount = ask.amount;
    let plan = move |node: &Node| {
        let (wallet, key) = wallet_key(node, ask.wallet.as_deref())?;
        let cost = with_fee(node, amount)?;
        check_coins(node, &wallet, &key.address(), cost)?;
        let action = Action::EscrowOpen {
            voucher_key: node.payer.voucher_key(),
            amount,
        };
        Ok(Plan::new(wallet, EscrowStep::Open, None, action))
    };
    send(node, ask.wait, plan).await
}

fn with_fee(node: &Node, amount: Amount) -> Result<Amount, Failed> {
    let cost = node.chain.genesis().fee.checked_add(amount);
    cost.ok_or_else(|| Failed::bad_request(format!("{amount} coins are more than there are")))
}

/// Adds coins to an escrow.
#[utoipa::path(
    post, path = paths::PAY_TOP_UP, params(("escrow" = String, Path, description = "Its id in hex, or `default`")),
    request_body = PayTopUp, responses((status = 200, body = EscrowSent), (status = "default", body = ErrorBody))
)]
pub async fn top_up(
    State(node): Shared,
    Segments(escrow): Segments<String>,
    Body(ask): Body<PayTopUp>,
) -> Answer<EscrowSent> {
    let plan = move |node: &Node| {
        let (id, found) = pick(node, &escrow, false)?;
        let wallet = match ask.wallet {
            Some(wallet) => wallet,
            None => wallet_of(node, &found)?,
        };
        let (_, key) = wallet_key(node, Some(&wallet))?;
        check_coins(node, &wallet, &key.address(), with_fee(node, ask.amount)?)?;
        let action = Action::EscrowTopUp {
            escrow: id,
            amount: ask.amount,
        };
        Ok(Plan::new(wallet, EscrowStep::TopUp, Some(id), action))
    };
    send(node, ask.wait, plan).await
}

/// Sets coins of an escrow aside for a payee.
#[utoipa::path(
    post, path = paths::PAY_ALLOT, params(("escrow" = String, Path, description = "Its id in hex, or `default`")),
    request_body = PayAllot, responses((status = 200, body = EscrowSent), (status = "default", body = ErrorBody))
)]
pub async fn allot(
    State(node): Shared,
    Segments(escrow): Segments<String>,
    Body(ask): Body<PayAllot>,
) -> Answer<EscrowSent> {
    let plan = move |node: &Node| {
        let (id, found) = pick(node, &escrow, false)?;
        let genesis = node.chain.genesis();
        let blocks = ask
            .blocks
            .unwrap_or_else(|| DAY_MS.div_ceil(genesis.block_time_ms.max(1)));
        let expires = node.chain.tip().height.saturating_add(blocks);
        let action = Action::EscrowAllot {
            escrow: id,
            payee: payee(node, &ask.payee)?,
            amount: ask.amount,
            expires,
            metered: ask.metered,
        };
        let plan = Plan::new(wallet_of(node, &found)?, EscrowStep::Allot, Some(id), action);
        Ok(Plan {
            expires: Some(expires),
            ..plan
        })
    };
    send(node, ask.wait, plan).await
}

/// An address, a wallet, or a registered edge by its node key.
fn payee(node: &Node, text: &str) -> Result<Address, Failed> {
    if let Ok(key) = text.parse() {
        let entry = node.chain.state().edge(&key)?;
        let unknown = || {
            Failed::not_found(format!(
                "node {key} is not registered as an edge: give its address"
            ))
        };
        return Ok(entry.ok_or_else(unknown)?.payout);
    }
    view::parse_address(node, text)
}

/// Ends an escrow in two steps: the first says from which height the second can be done, which gives back what is left.
#[utoipa::path(
    post, path = paths::PAY_EXIT, params(("escrow" = String, Path, description = "Its id in hex, or `default`")),
    request_body = PayExit, responses((status = 200, body = EscrowSent), (status = "default", body = ErrorBody))
)]
pub async fn exit(
    State(node): Shared,
    Segments(escrow): Segments<String>,
    Body(ask): Body<PayExit>,
) -> Answer<EscrowSent> {
    let plan = move |node: &Node| {
        let (id, found) = pick(node, &escrow, true)?;
        let wallet = wallet_of(node, &found)?;
        let Some(from) = closes_at(node, &found) else {
            return Ok(Plan::new(
                wallet,
                EscrowStep::Exit,
                Some(id),
                Action::EscrowExit { escrow: id },
            ));
        };
        let height = node.chain.tip().height;
        if height + 1 < from {
            return Err(Failed::new(
                "refused",
                format!(
                    "escrow {id} can be closed from height {from} on, now it is {height}: until then its payees may \
                     claim; finish it then with `ddn pay exit`"
                ),
            ));
        }
        let plan = Plan::new(
            wallet,
            EscrowStep::Close,
            Some(id),
            Action::EscrowClose { escrow: id },
        );
        Ok(Plan {
            returned: Some(found.balance),
            ..plan
        })
    };
    send(node, ask.wait, plan).await
}

/// What is to be sent, and what is told about it.
struct Plan {
    wallet: String,
    step: EscrowStep,
    escrow: Option<Hash>,
    action: Action,
    expires: Option<u64>,
    returned: Option<Amount>,
}

impl Plan {
    fn new(wallet: String, step: EscrowStep, escrow: Option<Hash>, action: Action) -> Self {
        Self {
            wallet,
            step,
            escrow,
            action,
            expires: None,
            returned: None,
        }
    }
}

/// Sends what a plan says, and waits for its block unless told otherwise.
async fn send(
    node: Arc<Node>,
    wait: Option<bool>,
    plan: impl FnOnce(&Node) -> Result<Plan, Failed> + Send + 'static,
) -> Answer<EscrowSent> {
    let shared = Arc::clone(&node);
    let (tx, id, mut sent) = blocking(move || submit(&shared, plan(&shared)?)).await?;
    if wait.unwrap_or(true) {
        sent.height = Some(node.sender.finality(&tx).await?);
        if sent.step == EscrowStep::Exit {
            let escrow = node.chain.state().escrow(&id)?;
            sent.closes_at = escrow.and_then(|escrow| closes_at(&node, &escrow));
        }
    }
    Ok(Json(sent))
}

fn submit(node: &Node, plan: Plan) -> Result<(Cid, Hash, EscrowSent), Failed> {
    let (_, key) = wallet_key(node, Some(&plan.wallet))?;
    let (chain, payer) = (&node.chain.genesis().chain_id, key.address());
    let mut id = plan.escrow.unwrap_or_default();
    let tx = node.sender.send(&key, plan.action, |tx| {
        if plan.step == EscrowStep::Open {
            // It is known by the nonce of the transaction that opens it.
            id = ledger::escrow_id(chain, &payer, tx.body.nonce);
        }
        Ok(())
    })??;
    let sent = EscrowSent {
        escrow: id.to_string(),
        step: plan.step,
        tx: tx.to_string(),
        height: None,
        closes_at: None,
        expires: plan.expires,
        returned: plan.returned,
    };
    Ok((tx, id, sent))
}

/// An escrow by its id, or one of the default wallet: to leave, the oldest that is in exit already; else the one that is
/// paid from, or the newest.
fn pick(node: &Node, text: &str, to_leave: bool) -> Result<(Hash, Escrow), Failed> {
    if text != DEFAULT {
        let id: Hash = text
            .parse()
            .map_err(|_| Failed::bad_request(format!("`{text}` is no escrow: give its id, 64 hex digits")))?;
        let missing = || Failed::not_found(format!("there is no escrow {id}: see `ddn pay status`"));
        return Ok((id, node.chain.state().escrow(&id)?.ok_or_else(missing)?));
    }
    let (_, key) = wallet_key(node, Some(wallets::DEFAULT))?;
    let mut ours = escrows(node)?;
    ours.retain(|(_, escrow)| escrow.payer == key.address() && (to_leave || escrow.exit.is_none()));
    let current = node.payer.current();
    let leaving = ours.iter().position(|(_, escrow)| escrow.exit.is_some());
    let in_use = ours.iter().position(|(id, _)| Some(*id) == current);
    let picked = leaving
        .or(in_use)
        .map(|at| ours.swap_remove(at))
        .or_else(|| ours.pop());
    picked.ok_or_else(|| {
        Failed::not_found("the default wallet has no open escrow: `ddn pay open COINS` opens one")
    })
}

/// The wallet that opened an escrow.
fn wallet_of(node: &Node, escrow: &Escrow) -> Result<String, Failed> {
    let all = node.wallets.all()?;
    let wallet = all.into_iter().find(|(_, key)| key.address() == escrow.payer);
    let missing = || {
        let payer = view::address(node, &escrow.payer);
        Failed::new(
            "not_yours",
            format!("the escrow belongs to {payer}, which is no wallet of this node"),
        )
    };
    Ok(wallet.ok_or_else(missing)?.0)
}
