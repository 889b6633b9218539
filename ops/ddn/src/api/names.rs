//! Names: resolve, list, show, history, and every change.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use cid::Cid;
use ledger::{Action, Label, NamePath, Records};
use named::dap::{self, NameError, Resolution, Source};
use nearest::{Choice, Edge, Policy, Why};

use super::extract::{Body, Params, Segments, blocking};
use super::failure::Failed;
use super::types::{
    ByWallet, ErrorBody, NameChange, NameHistory, NameList, NameRecords, NameRenew, NameView, OwnerQuery,
    RecordSet, Resolved, ResolvedEdge, ResolvedStatus, Sent, TransferTo,
};
use super::wallet::{Owners, send_action};
use super::{Answer, Shared, paths, view};
use crate::node::Node;
use crate::node::claims::Told;
use crate::node::claims::job::{Naming, Wish};
use crate::node::claims::step::Failure;
use crate::node::edges::{Known, View};
use crate::node::preflight::{
    Cost, Premium, check_cost, check_reserved, holder, name_path, premium, wallet_key,
};
use crate::node::secrets;

/// How long a node that is behind may take to ask for the newest block, before it says that something is absent.
const REFRESH_WITHIN: Duration = Duration::from_secs(1);

/// What the named router says about a name, and why. Absence is an answer, not an error.
#[utoipa::path(
    get, path = paths::RESOLVE, params(("name" = String, Path, description = "As a person writes it")),
    responses((status = 200, body = Resolved), (status = "default", body = ErrorBody))
)]
pub async fn resolve(State(node): Shared, Segments(name): Segments<String>) -> Answer<Resolved> {
    refresh_if_absent(&node, &name).await?;
    blocking(move || resolve_now(&node, &name)).await.map(Json)
}

/// Before a name is said to be absent, the tip is asked for once: it may have been registered a moment ago.
pub async fn refresh_if_absent(node: &Arc<Node>, name: &str) -> Result<(), Failed> {
    let (shared, name) = (Arc::clone(node), name.to_owned());
    let absent = blocking(move || {
        let found = dap::resolve(&*shared.names, &name).map_err(|error| name_failed(&error))?;
        Ok(matches!(found, Resolution::Absent { source: None, .. }))
    })
    .await?;
    if absent {
        node.chain.refresh(REFRESH_WITHIN).await;
    }
    Ok(())
}

fn resolve_now(node: &Node, name: &str) -> Result<Resolved, Failed> {
    let tip = node.chain.tip();
    let view = node.edges.view();
    let found = dap::resolve(&*node.names, name).map_err(|error| name_failed(&error))?;
    let edges = match &found {
        Resolution::Found { records, .. } => records.content.as_ref(),
        _ => None,
    };
    let edges = edges.map(|content| edges_for(node, &view, &content.0));
    let (edges, policy) = edges.transpose()?.unwrap_or_default();
    let explained_name = dap::explain(&*node.names, name, &edges, &policy);
    let explained_name = explained_name.map_err(|error| name_failed(&error))?;
    let edges = explained(node, &view, explained_name.edges.as_ref());
    let edge = edges.first().filter(|edge| edge.chosen);
    let mut why = explained_name.steps;
    if explained_name.edges.is_some() {
        why.extend(out_lines(&view));
    }
    let blank = Resolved {
        name: name.to_owned(),
        status: ResolvedStatus::Foreign,
        chain: None,
        height: tip.height,
        time_ms: tip.time_ms,
        ttl: 0,
        content: None,
        records: None,
        owner: None,
        changed: None,
        expires: None,
        premium: None,
        premium_until: None,
        edge: edge.and_then(|edge| edge.address.clone()),
        edges: edges.clone(),
        ask: Vec::new(),
        why,
    };
    Ok(match explained_name.resolution {
        Resolution::Foreign => blank,
        Resolution::Delegated { name, to } => Resolved {
            name,
            status: ResolvedStatus::Delegated,
            chain: Some(to.chain),
            ask: to.ask,
            ..blank
        },
        Resolution::Absent {
            name,
            source,
            height,
            ttl,
        } => {
            let free = source.is_none().then(|| how_free(node, &name)).transpose()?;
            let (premium, line) = free.unwrap_or_default();
            let mut why = blank.why;
            why.extend(line);
            Resolved {
                name,
                status: ResolvedStatus::Absent,
                height,
                time_ms: source.as_ref().map_or(tip.time_ms, |source| source.time_ms),
                chain: source.map(|source| source.chain),
                ttl,
                premium: premium.map(|premium| premium.now),
                premium_until: premium.map(|premium| premium.ends),
                why,
                ..blank
            }
        }
        Resolution::Found {
            name,
            records,
            owner,
            source,
            height,
            changed,
            expires,
            ..
        } => Resolved {
            name,
            status: ResolvedStatus::Found,
            height,
            time_ms: source.as_ref().map_or(tip.time_ms, |source| source.time_ms),
            ttl: records.ttl.unwrap_or(dap::ABSENT_TTL_SECONDS),
            content: records.content.map(|link| link.to_string()),
            records: Some(RecordSet::from(&records)),
            owner: Some(owner.display(prefix(node, source.as_ref()))),
            chain: source.map(|source| source.chain),
            changed: Some(changed),
            expires: Some(expires),
            ..blank
        },
    })
}

/// The premium of a name of this chain that was not found, and a line about what hinders its registration. Nothing is said of
/// undernames, which are not registered.
fn how_free(node: &Node, name: &str) -> Result<(Option<Premium>, Option<String>), Failed> {
    let path = NamePath::parse(name, &node.chain.genesis().tld);
    let Some(path) = path.ok().filter(|path| path.under.is_empty()) else {
        return Ok((None, None));
    };
    if let Err(reserved) = check_reserved(node, &path.label) {
        return Ok((None, Some(reserved.message)));
    }
    let premium = premium(node, &path.label)?;
    let line = premium.map(|premium| format!("whoever registers it pays {premium}"));
    Ok((premium, line))
}

/// How addresses begin on the chain of a name.
fn prefix<'a>(node: &'a Node, source: Option<&Source>) -> &'a str {
    let other = source.and_then(|source| node.others.genesis(&source.chain));
    &other.unwrap_or(node.chain.genesis()).prefix
}

/// The edges that could serve what a name points to, and the rule: those of the ledger, as for readers; without them this
/// node if it holds it, else the nearest that advertises itself, as for fetches.
fn edges_for(node: &Node, view: &View, content: &Cid) -> Result<(Vec<Edge>, Policy), Failed> {
    let held = node.store.has(content)?;
    let any_registered = view.candidates.iter().any(|known| known.is_registered);
    let may = |known: &Known| match any_registered {
        true => known.is_registered,
        false => !known.is_here || held,
    };
    let ranking = node.edges.rank(view, &content.to_bytes(), None, may);
    let near = if any_registered { Policy::DEFAULT.near } else { 1 };
    let edges = ranking.choice.ranked.iter().map(|verdict| verdict.edge);
    Ok((
        edges.collect(),
        Policy {
            near,
            ..Policy::DEFAULT
        },
    ))
}

/// Each edge with the reason for its place, the chosen one first.
fn explained(node: &Node, view: &View, choice: Option<&Choice>) -> Vec<ResolvedEdge> {
    let Some(choice) = choice else {
        return Vec::new();
    };
    let ranked = choice.ranked.iter().filter_map(|verdict| {
        let why = verdict.why.to_string();
        let chosen = matches!(verdict.why, Why::Chosen { .. });
        Some(resolved_edge(node, view.find(&verdict.edge.id)?, chosen, why))
    });
    let out = view
        .passed_over
        .iter()
        .map(|(known, why)| resolved_edge(node, known, false, why.to_string()));
    let mut all: Vec<ResolvedEdge> = ranked.chain(out).collect();
    all.sort_by_key(|edge| !edge.chosen);
    all
}

fn resolved_edge(node: &Node, known: &Known, chosen: bool, why: String) -> ResolvedEdge {
    let rtt_us = known.edge.rtt_us;
    ResolvedEdge {
        node: known.node.to_string(),
        address: address_of(node, known),
        gateway: known.gateway.as_ref().map(ToString::to_string),
        registered: known.is_registered,
        rtt_us: (rtt_us != u32::MAX).then_some(rtt_us),
        load: known.edge.inflight,
        capacity: known.edge.capacity,
        chosen,
        why,
    }
}

/// Where an edge serves: this node over HTTP, others over DDP.
fn address_of(node: &Node, known: &Known) -> Option<String> {
    match known.is_here {
        true => node.card.get().map(|card| card.gateway.clone()),
        false => known.addresses.first().map(ToString::to_string),
    }
}

/// Why those who are not in the choice are not.
fn out_lines(view: &View) -> impl Iterator<Item = String> {
    view.passed_over
        .iter()
        .map(|(known, why)| format!("edge {:.16}, {}: {why}", known.node.to_string(), known.distance))
}

fn name_failed(error: &NameError) -> Failed {
    match error {
        NameError::State(_) => Failed::new("internal", error.to_string()),
        _ => Failed::new("bad_name", error.to_string()),
    }
}

/// Names of this node's wallets, of an address, or all.
#[utoipa::path(get, path = paths::NAMES, params(OwnerQuery), responses((status = 200, body = NameList), (status = "default", body = ErrorBody)))]
pub async fn list(State(node): Shared, Params(query): Params<OwnerQuery>) -> Answer<NameList> {
    blocking(move || list_now(&node, &query)).await.map(Json)
}

fn list_now(node: &Node, query: &OwnerQuery) -> Result<NameList, Failed> {
    let owners = Owners::of(node, query.owner.as_deref())?;
    let state = node.chain.state();
    let height = state.tip().height;
    let mut names = Vec::new();
    for row in state.scan(ledger::key::NAMES)? {
        let (key, value) = row?;
        let entry: ledger::NameEntry =
            ledger::decode(&value).map_err(|error| unreadable(&error.to_string()))?;
        if !owners.include(&entry.owner) {
            continue;
        }
        let label = std::str::from_utf8(&key[ledger::key::NAMES.len()..]).unwrap_or_default();
        let label = Label::parse(label).map_err(|error| unreadable(&error.to_string()))?;
        names.push(view::name(node, &label, &entry, height));
    }
    Ok(NameList { names })
}

fn unreadable(reason: &str) -> Failed {
    Failed::new(
        "internal",
        format!("the state of the chain cannot be read: {reason}"),
    )
}

/// A registered name with all its records.
#[utoipa::path(get, path = paths::NAME, params(("name" = String, Path)), responses((status = 200, body = NameView), (status = "default", body = ErrorBody)))]
pub async fn show(State(node): Shared, Segments(name): Segments<String>) -> Answer<NameView> {
    blocking(move || {
        let path = name_path(&node, &name)?;
        let state = node.chain.state();
        match state.name(&path.label)? {
            Some(entry) => Ok(view::name(&node, &path.label, &entry, state.tip().height)),
            None => Err(nobody_holds(&node, &path.label)),
        }
    })
    .await
    .map(Json)
}

fn nobody_holds(node: &Node, label: &Label) -> Failed {
    if let Err(reserved) = check_reserved(node, label) {
        return reserved.into();
    }
    let tld = &node.chain.genesis().tld;
    Failed::not_found(format!(
        "the name {label}.{tld} is not registered: `ddn name register {label}.{tld}` takes it"
    ))
}

/// Every change of a name, read from the transactions of the chain.
#[utoipa::path(get, path = paths::NAME_HISTORY, params(("name" = String, Path)), responses((status = 200, body = NameHistory), (status = "default", body = ErrorBody)))]
pub async fn history(State(node): Shared, Segments(name): Segments<String>) -> Answer<NameHistory> {
    blocking(move || {
        let path = name_path(&node, &name)?;
        let mut changes = Vec::new();
        for height in 1..=node.chain.tip().height {
            if node.stop.is_cancelled() {
                return Err(Failed::new("stopping", "the node is stopping"));
            }
            let Some((block, _)) = node.chain.block(height)? else {
                continue;
            };
            changes.extend(
                block
                    .body
                    .txs
                    .iter()
                    .filter_map(|tx| change(&node, &path.label, tx, &block.header)),
            );
        }
        let name = format!("{}.{}", path.label, node.chain.genesis().tld);
        Ok(NameHistory { name, changes })
    })
    .await
    .map(Json)
}

fn change(node: &Node, wanted: &Label, tx: &ledger::Tx, header: &ledger::Header) -> Option<NameChange> {
    let (label, under, records, to, periods) = match &tx.body.action {
        Action::NameRegister { label, records, .. } => (label, None, Some(records), None, None),
        Action::NameSet {
            label,
            under,
            records,
        } => (label, Some(under.clone()), Some(records), None, None),
        Action::NameRenew { label, periods } => (label, None, None, None, Some(*periods)),
        Action::NameTransfer { label, to } => (label, None, None, Some(view::address(node, to)), None),
        Action::NameRelease { label } => (label, None, None, None, None),
        _ => return None,
    };
    (label == wanted).then(|| NameChange {
        height: header.height,
        time_ms: header.time_ms,
        tx: tx.cid().to_string(),
        sender: view::address(node, &tx.sender()),
        kind: tx.body.action.kind().to_string(),
        under,
        records: records.map(RecordSet::from),
        to,
        periods,
    })
}

/// Takes a free name, with its first records: a commit, then the claim.
#[utoipa::path(
    post, path = paths::NAME_REGISTER, params(("name" = String, Path)), request_body = NameRecords,
    responses((status = 200, body = Sent), (status = "default", body = ErrorBody))
)]
pub async fn register(
    State(node): Shared,
    Segments(name): Segments<String>,
    Body(ask): Body<NameRecords>,
) -> Answer<Sent> {
    let wait = ask.wait.unwrap_or(true);
    let stop = node.stop.clone();
    let mut told = blocking(move || begin_register(&node, &name, ask)).await?;
    if !wait {
        return Ok(Json(Sent {
            tx: None,
            height: None,
            commit_tx: None,
        }));
    }
    let stopping = || {
        Failure::new(
            "stopping",
            "the node is stopping: the registration goes on when it is started again",
        )
    };
    loop {
        let told = tokio::select! {
            told = told.recv() => told.ok_or_else(stopping)?,
            () = stop.cancelled() => return Err(stopping().into()),
        };
        if let Told::Ended(ended) = told {
            let outcome = ended?;
            let (tx, commit_tx) = (outcome.name_tx, outcome.name_commit);
            return Ok(Json(Sent {
                tx,
                height: Some(outcome.height),
                commit_tx,
            }));
        }
    }
}

fn begin_register(
    node: &Arc<Node>,
    name: &str,
    ask: NameRecords,
) -> Result<tokio::sync::mpsc::Receiver<Told>, Failed> {
    let path = name_path(node, name)?;
    let genesis = node.chain.genesis();
    let full = path.display(&genesis.tld);
    if !path.under.is_empty() {
        let text = format!(
            "{full} is an undername: names such as {}.{} are registered",
            path.label, genesis.tld
        );
        return Err(Failed::new("bad_name", text));
    }
    check_reserved(node, &path.label)?;
    let records = Records::try_from(ask.records)?;
    let (wallet, key) = wallet_key(node, ask.wallet.as_deref())?;
    if let Some(entry) = holder(node, &path)? {
        let owner = match entry.owner == key.address() {
            true => "you, set its records instead".to_owned(),
            false => format!("{}, choose another one", view::address(node, &entry.owner)),
        };
        return Err(Failed::new(
            "name_taken",
            format!("the name {full} is taken: it belongs to {owner}"),
        ));
    }
    let cost = Cost::of(node, 2, Some(&path.label))?;
    check_cost(node, &wallet, &key.address(), &cost)?;
    let naming = Naming::new(
        path,
        &genesis.tld,
        Wish::New(Box::new(records)),
        secrets::claim_secret()?,
    );
    let id = node.claims.begin(&wallet, &key, Some(&full))?;
    Ok(node.claims.claim(&id, None, Some(naming))?)
}

/// Replaces the records of a name or undername; an empty set removes them.
#[utoipa::path(
    post, path = paths::NAME_SET, params(("name" = String, Path)), request_body = NameRecords,
    responses((status = 200, body = Sent), (status = "default", body = ErrorBody))
)]
pub async fn set(
    State(node): Shared,
    Segments(name): Segments<String>,
    Body(ask): Body<NameRecords>,
) -> Answer<Sent> {
    let records = Records::try_from(ask.records)?;
    let action = |path: NamePath| {
        Ok(Action::NameSet {
            label: path.label,
            under: path.under,
            records,
        })
    };
    change_name(node, name, ask.wallet, ask.wait, action).await
}

/// Pays rent for more periods.
#[utoipa::path(
    post, path = paths::NAME_RENEW, params(("name" = String, Path)), request_body = NameRenew,
    responses((status = 200, body = Sent), (status = "default", body = ErrorBody))
)]
pub async fn renew(
    State(node): Shared,
    Segments(name): Segments<String>,
    Body(ask): Body<NameRenew>,
) -> Answer<Sent> {
    let action = move |path: NamePath| {
        Ok(Action::NameRenew {
            label: path.label,
            periods: ask.periods,
        })
    };
    change_name(node, name, ask.wallet, ask.wait, action).await
}

/// Gives a name to another account, records and all.
#[utoipa::path(
    post, path = paths::NAME_TRANSFER, params(("name" = String, Path)), request_body = TransferTo,
    responses((status = 200, body = Sent), (status = "default", body = ErrorBody))
)]
pub async fn transfer(
    State(node): Shared,
    Segments(name): Segments<String>,
    Body(ask): Body<TransferTo>,
) -> Answer<Sent> {
    let (shared, to) = (Arc::clone(&node), ask.to);
    let action = move |path: NamePath| {
        let to = view::parse_address(&shared, &to)?;
        Ok(Action::NameTransfer {
            label: path.label,
            to,
        })
    };
    change_name(node, name, ask.wallet, ask.wait, action).await
}

/// Gives a name up.
#[utoipa::path(
    post, path = paths::NAME_RELEASE, params(("name" = String, Path)), request_body = ByWallet,
    responses((status = 200, body = Sent), (status = "default", body = ErrorBody))
)]
pub async fn release(
    State(node): Shared,
    Segments(name): Segments<String>,
    Body(ask): Body<ByWallet>,
) -> Answer<Sent> {
    let action = |path: NamePath| Ok(Action::NameRelease { label: path.label });
    change_name(node, name, ask.wallet, ask.wait, action).await
}

/// A change of a registered name. Only a set of records may be of an undername.
async fn change_name(
    node: Arc<Node>,
    name: String,
    wallet: Option<String>,
    wait: Option<bool>,
    action: impl FnOnce(NamePath) -> Result<Action, Failed> + Send + 'static,
) -> Answer<Sent> {
    let shared = Arc::clone(&node);
    let action = move || {
        let path = name_path(&shared, &name)?;
        if shared.chain.state().name(&path.label)?.is_none() {
            return Err(nobody_holds(&shared, &path.label));
        }
        let (whole, under) = (path.label.clone(), path.under.clone());
        let action = action(path)?;
        match (&action, under.is_empty()) {
            (Action::NameSet { .. }, _) | (_, true) => Ok(action),
            _ => Err(Failed::new(
                "bad_name",
                format!("`{name}` is an undername: do this to its name `{whole}` instead"),
            )),
        }
    };
    send_action(node, wallet, wait, action).await.map(Json)
}
