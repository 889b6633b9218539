//! Delegates: who sits and who stands, votes, and this node as one of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use ledger::{Action, Address, Amount, Delegate, REVEALS, Reveals, SecretKey, Standing, State as _};

use super::earn::sum;
use super::extract::{Body, Segments, blocking};
use super::failure::Failed;
use super::types::{
    ByWallet, DelegateList, DelegateRegister, DelegateUpdate, DelegateView, ErrorBody, Sent, VoteOrder,
};
use super::wallet::send_action;
use super::{Answer, Shared, paths, view};
use crate::node::preflight::{check_coins, wallet_key};
use crate::node::{Node, secrets};

/// How this node is called in paths, by those who do not know its address.
const HERE: &str = "here";

/// Those who sit, and those who can be elected.
#[utoipa::path(get, path = paths::DELEGATES, responses((status = 200, body = DelegateList), (status = "default", body = ErrorBody)))]
pub async fn list(State(node): Shared) -> Answer<DelegateList> {
    blocking(move || list_now(&node)).await.map(Json)
}

fn list_now(node: &Node) -> Result<DelegateList, Failed> {
    let (state, genesis) = (node.chain.state(), node.chain.genesis());
    let (round, set) = (state.round()?, ledger::State::validators(&state)?);
    let seats: BTreeSet<Address> = set.validators().iter().map(|seat| seat.address()).collect();
    let known: BTreeSet<Address> = seats.iter().copied().chain(state.candidates()?).collect();
    let mut delegates = Vec::new();
    for address in known {
        if let Some(delegate) = state.delegate(&address)? {
            delegates.push(delegate_view(
                node,
                &address,
                &delegate,
                seats.contains(&address),
            )?);
        }
    }
    delegates.sort_by(|a, b| b.seat.cmp(&a.seat).then(b.weight.cmp(&a.weight)));
    Ok(DelegateList {
        round: round.number,
        first: round.first,
        last: round.first + genesis.election.round - 1,
        seats: genesis.seats,
        delegates,
        height: state.tip().height,
    })
}

fn delegate_view(
    node: &Node,
    address: &Address,
    delegate: &Delegate,
    seat: bool,
) -> Result<DelegateView, Failed> {
    let state = node.chain.state();
    let (mut voted, mut earned) = (Amount::ZERO, Amount::ZERO);
    for voter in node.wallets.addresses()? {
        if let Some(ballot) = state.ballot(&voter, address)? {
            voted = sum(voted, ballot.amount);
            earned = sum(earned, delegate.index.since(ballot.index, ballot.amount));
        }
    }
    let (standing, until_round) = match delegate.standing {
        Standing::Candidate => ("candidate", None),
        Standing::Resigned => ("resigned", None),
        Standing::Jailed { until_round } => ("jailed", Some(until_round)),
        Standing::Tombstoned => ("tombstoned", None),
    };
    Ok(DelegateView {
        address: view::address(node, address),
        key: delegate.key.to_string(),
        engine: delegate.engine.clone(),
        seat,
        here: own_key(node)?.is_some_and(|key| key.public() == delegate.key),
        standing: standing.to_owned(),
        until_round,
        own: delegate.own,
        votes: delegate.votes,
        weight: delegate.weight(node.chain.genesis().election.votes_per_own),
        voted,
        earned,
        registered: delegate.registered,
    })
}

/// The delegate key of this node, if it has one.
fn own_key(node: &Node) -> Result<Option<SecretKey>, Failed> {
    Ok(secrets::read_key(&node.folder.delegate_key())?)
}

/// Makes this node a candidate. Its delegate key is made if there is none; the wallet sends what it needs to the account
/// of that key. It takes its place in the consensus when it is started again.
#[utoipa::path(post, path = paths::DELEGATE_REGISTER, request_body = DelegateRegister, responses((status = 200, body = Sent), (status = "default", body = ErrorBody)))]
pub async fn register(State(node): Shared, Body(ask): Body<DelegateRegister>) -> Answer<Sent> {
    let shared = Arc::clone(&node);
    let (key, action, funded) = blocking(move || prepare(&shared, &ask)).await?;
    if let Some(tx) = funded {
        node.sender.finality(&tx).await?;
    }
    let shared = Arc::clone(&node);
    let tx = blocking(move || {
        shared.chain.prepare_seat(&key.public())?;
        Ok(shared.sender.send(&key, action, |_| Ok(()))??)
    })
    .await?;
    let height = node.sender.finality(&tx).await?;
    Ok(Json(Sent {
        tx: Some(tx.to_string()),
        height: Some(height),
        commit_tx: None,
    }))
}

/// The delegate key, its registration, and the transaction that brings its account what that costs, if it has less.
fn prepare(node: &Node, ask: &DelegateRegister) -> Result<(SecretKey, Action, Option<cid::Cid>), Failed> {
    let key = secrets::read_or_make_key(&node.folder.delegate_key())?;
    let (genesis, state) = (node.chain.genesis(), node.chain.state());
    let rules = &genesis.election;
    let own = state
        .delegate(&key.address())?
        .map(|held| held.own)
        .unwrap_or_default();
    if sum(own, ask.stake) < rules.own_min {
        return Err(Failed::bad_request(format!(
            "a delegate of this chain locks at least {} coins for itself, not {}",
            rules.own_min, ask.stake
        )));
    }
    let action = Action::DelegateRegister {
        engine: engine_address(&ask.engine, &key)?,
        tip: reveals(node, &key, 0).tip(),
        stake: ask.stake,
    };
    let fee = genesis.fee_of(action.kind());
    let cost = [ask.stake, rules.registration, fee]
        .into_iter()
        .fold(Amount::ZERO, sum);
    let held = state.account(&key.address())?.balance;
    let Some(missing) = cost.checked_sub(held).filter(|missing| !missing.is_zero()) else {
        return Ok((key, action, None));
    };
    let (wallet, payer) = wallet_key(node, ask.wallet.as_deref())?;
    check_coins(node, &wallet, &payer.address(), sum(missing, genesis.fee))?;
    let transfer = Action::Transfer {
        to: key.address(),
        amount: missing,
    };
    let tx = node.sender.send(&payer, transfer, |_| Ok(()))??;
    Ok((key, action, Some(tx)))
}

fn reveals(node: &Node, key: &SecretKey, generation: u32) -> Reveals {
    Reveals::new(key, &node.chain.genesis().chain_id, generation)
}

/// `IP:PORT` or a multiaddr, as a multiaddr that ends with the peer id of the key.
fn engine_address(text: &str, key: &SecretKey) -> Result<String, Failed> {
    let host = match text.parse::<std::net::SocketAddr>() {
        Ok(std::net::SocketAddr::V4(place)) => format!("/ip4/{}/tcp/{}", place.ip(), place.port()),
        Ok(std::net::SocketAddr::V6(place)) => format!("/ip6/{}/tcp/{}", place.ip(), place.port()),
        Err(_) if text.starts_with('/') => text.split("/p2p/").next().unwrap_or_default().to_owned(),
        Err(_) => {
            return Err(Failed::bad_request(format!(
                "`{text}` is no address of an engine: give IP:PORT or a multiaddr"
            )));
        }
    };
    Ok(format!("{host}/p2p/{}", chain::engine_peer_id(&key.public())))
}

/// Changes what this node says as a delegate.
#[utoipa::path(post, path = paths::DELEGATE_UPDATE, request_body = DelegateUpdate, responses((status = 200, body = Sent), (status = "default", body = ErrorBody)))]
pub async fn update(State(node): Shared, Body(ask): Body<DelegateUpdate>) -> Answer<Sent> {
    let wait = ask.wait;
    by_delegate(node, wait, move |node, key| {
        let engine = ask.engine.as_deref();
        Ok(Action::DelegateUpdate {
            engine: engine.map(|engine| engine_address(engine, key)).transpose()?,
            tip: ask.new_reveals.then(|| next_tip(node, key)).transpose()?,
        })
    })
    .await
}

/// The tip of the first chain of reveals that was not used.
fn next_tip(node: &Node, key: &SecretKey) -> Result<ledger::Hash, Failed> {
    let held = node.chain.state().delegate(&key.address())?;
    let Some(tip) = held.and_then(|held| held.next_tip.or(held.tip)) else {
        return Ok(reveals(node, key, 0).tip());
    };
    for generation in 0..chain::REVEAL_GENERATIONS - 1 {
        let used = reveals(node, key, generation);
        if used.tip() == tip || used.before(&tip).is_some() {
            return Ok(reveals(node, key, generation + 1).tip());
        }
    }
    Err(Failed::new(
        "refused",
        format!(
            "all {} chains of {REVEALS} reveals of this key are used up",
            chain::REVEAL_GENERATIONS
        ),
    ))
}

/// Gives up being a candidate.
#[utoipa::path(post, path = paths::DELEGATE_RESIGN, request_body = ByWallet, responses((status = 200, body = Sent), (status = "default", body = ErrorBody)))]
pub async fn resign(State(node): Shared, Body(ask): Body<ByWallet>) -> Answer<Sent> {
    by_delegate(node, ask.wait, |_, _| Ok(Action::DelegateResign {})).await
}

/// Sends an action of this node's delegate.
async fn by_delegate(
    node: Arc<Node>,
    wait: Option<bool>,
    action: impl FnOnce(&Node, &SecretKey) -> Result<Action, Failed> + Send + 'static,
) -> Answer<Sent> {
    let shared = Arc::clone(&node);
    let tx = blocking(move || {
        let key = own_key(&shared)?.ok_or_else(|| {
            Failed::not_found("this node is no delegate: `ddn delegate register` makes it one")
        })?;
        let action = action(&shared, &key)?;
        Ok(shared.sender.send(&key, action, |_| Ok(()))??)
    })
    .await?;
    let height = match wait.unwrap_or(true) {
        true => Some(node.sender.finality(&tx).await?),
        false => None,
    };
    Ok(Json(Sent {
        tx: Some(tx.to_string()),
        height,
        commit_tx: None,
    }))
}

/// Sends what a wallet wants of a delegate, which is named as in paths.
async fn send_about(
    node: Arc<Node>,
    delegate: String,
    (wallet, wait): (Option<String>, Option<bool>),
    action: impl FnOnce(Address) -> Action + Send + 'static,
) -> Answer<Sent> {
    let shared = Arc::clone(&node);
    let about = move || Ok(action(delegate_of(&shared, &delegate)?));
    send_action(node, wallet, wait, about).await.map(Json)
}

/// Locks coins for a delegate.
#[utoipa::path(
    post, path = paths::DELEGATE_VOTE, params(("delegate" = String, Path, description = "Its address, its key, or `here`")),
    request_body = VoteOrder, responses((status = 200, body = Sent), (status = "default", body = ErrorBody))
)]
pub async fn vote(
    State(node): Shared,
    Segments(delegate): Segments<String>,
    Body(ask): Body<VoteOrder>,
) -> Answer<Sent> {
    let amount = ask.amount;
    let action = move |delegate| Action::Vote { delegate, amount };
    send_about(node, delegate, (ask.wallet, ask.wait), action).await
}

/// Takes votes back.
#[utoipa::path(
    post, path = paths::DELEGATE_UNVOTE, params(("delegate" = String, Path, description = "Its address, its key, or `here`")),
    request_body = VoteOrder, responses((status = 200, body = Sent), (status = "default", body = ErrorBody))
)]
pub async fn unvote(
    State(node): Shared,
    Segments(delegate): Segments<String>,
    Body(ask): Body<VoteOrder>,
) -> Answer<Sent> {
    let amount = ask.amount;
    let action = move |delegate| Action::Unvote { delegate, amount };
    send_about(node, delegate, (ask.wallet, ask.wait), action).await
}

/// Collects what votes have earned.
#[utoipa::path(
    post, path = paths::DELEGATE_COLLECT, params(("delegate" = String, Path, description = "Its address, its key, or `here`")),
    request_body = ByWallet, responses((status = 200, body = Sent), (status = "default", body = ErrorBody))
)]
pub async fn collect(
    State(node): Shared,
    Segments(delegate): Segments<String>,
    Body(ask): Body<ByWallet>,
) -> Answer<Sent> {
    let action = |delegate| Action::VoteCollect { delegate };
    send_about(node, delegate, (ask.wallet, ask.wait), action).await
}

fn delegate_of(node: &Node, text: &str) -> Result<Address, Failed> {
    if text == HERE {
        let key = own_key(node)?;
        return key
            .map(|key| key.address())
            .ok_or_else(|| Failed::not_found("this node is no delegate"));
    }
    match text.parse::<ledger::PublicKey>() {
        Ok(key) => Ok(key.address()),
        Err(_) => view::parse_address(node, text),
    }
}
