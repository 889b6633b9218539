//! What is wrong with the node, if anything: each check looks at one thing and says what to do.
//!
//! Here is what the node can see from inside, and what its peers see of it from outside.

mod outside;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::State;
use ledger::{Amount, Label, State as _};
use named::dap::{Elsewhere, Names as _};
use named::mesh::Clock;

use super::earn::{status_of, sum};
use super::extract::blocking;
use super::failure::Failed;
use super::types::{Check, Diagnosis, EarnView, ErrorBody};
use super::{Answer, Shared, paths, pay};
use crate::node::health::{self, DISK_FULL, LAG_MAX};
use crate::node::{Node, Role, presence, wallets};

/// Blocks that a follower may be behind while a new one is on its way.
const LAG_OK: u64 = 2;
/// How far the newest block may be in the future: clocks differ, and proposers round up.
const AHEAD_MAX: Duration = Duration::from_secs(5);
/// Block times after which the newest block is old, if that is more than [`OLD_AT_LEAST`].
const OLD_BLOCKS: u32 = 10;
/// No block of a chain in order is as old.
const OLD_AT_LEAST: Duration = Duration::from_secs(60);
/// Free bytes below which somebody should make room.
const DISK_LOW: u64 = 2 << 30;
/// Unclaimed earnings that are worth a claim, in fees.
const WORTH_FEES: u64 = 20;

/// Looks at the node from inside: peers, chain, clock, disk, money, pins; and asks peers and the public DNS how it is seen.
#[utoipa::path(get, path = paths::DOCTOR, responses((status = 200, body = Diagnosis), (status = "default", body = ErrorBody)))]
pub async fn doctor(State(node): Shared) -> Answer<Diagnosis> {
    let ((), delegations) = tokio::join!(presence::look(&node), outside::delegations(&node));
    let seen: Vec<Check> = outside::checks(&node).into_iter().chain(delegations).collect();
    let checks = blocking(move || {
        let mut checks = vec![
            peers(&node),
            sync(&node),
            clock(&node),
            disk(&node),
            edge(&node)?,
            escrow(&node)?,
            earnings(&node)?,
            pins(&node)?,
            readers(&node),
            outside::standing(&node),
        ];
        checks.extend(others(&node)?);
        Ok(checks)
    });
    let checks: Vec<Check> = checks.await?;
    let checks = checks.into_iter().chain(seen).collect();
    Ok(Json(Diagnosis { checks }))
}

fn peers(node: &Node) -> Check {
    let peers = node.mesh.peers();
    let came = peers.iter().filter(|peer| peer.inbound).count();
    if !peers.is_empty() {
        let text = format!("{} connected, {came} of them came to us", peers.len());
        return Check::ok("peers", text);
    }
    let last = node.mesh.refused().pop();
    let why = last.map(|refused| format!("; {}: {}", refused.who, refused.reason));
    let text = format!("none{}", why.unwrap_or_default());
    match node.role {
        Role::Delegate => Check::warn(
            "peers",
            format!("{text}: others join with --join, see `ddn node peers`"),
        ),
        Role::Follower => Check::fail(
            "peers",
            format!("{text}: start with --join MESH_ADDR of a node that runs"),
        ),
    }
}

fn sync(node: &Node) -> Check {
    let height = node.chain.tip().height;
    if let Some(problem) = node.problem() {
        let advice = match health::clock_off(node) {
            Some(_) => "the clock may be why",
            None => "see the node's log",
        };
        return Check::fail("sync", format!("{problem}: {advice}"));
    }
    if node.role == Role::Delegate {
        return Check::ok("sync", format!("at height {height}, makes blocks"));
    }
    let status = node.chain.sync_status();
    let lag = health::lag(node);
    // A block of the future is taken by nobody, and of one from the past nobody tells.
    let cause = match health::clock_off(node) {
        Some(_) if lag > LAG_OK => "; the clock may be why",
        _ => "",
    };
    let text = format!(
        "at height {height}, the newest that peers told of is {}{cause}",
        status.best.max(height)
    );
    match lag {
        _ if status.peers == 0 => Check::warn(
            "sync",
            format!("{text}: no peer answers, so there may be newer ones"),
        ),
        lag if lag <= LAG_OK => Check::ok("sync", text),
        lag if lag <= LAG_MAX => Check::warn("sync", format!("{text}: it catches up, ask again soon")),
        _ => Check::fail(
            "sync",
            format!("{text}: if that does not get less, look at the node's log"),
        ),
    }
}

/// Whether the nodes of other chains prove names: each is asked for one.
fn others(node: &Node) -> Result<Vec<Check>, Failed> {
    let label = Label::parse("doctor").map_err(|error| Failed::new("internal", error.to_string()))?;
    let look = |tld: &String| {
        let found = node.names.elsewhere(tld, &label);
        Ok(
            match found.map_err(|error| Failed::new("internal", error.to_string()))? {
                Elsewhere::Proven { source, height, .. } => {
                    let text = format!(
                        "names under .{tld} are proven, at height {height} of {}",
                        source.chain
                    );
                    Check::ok("chain", text)
                }
                Elsewhere::Silent(to) => Check::warn(
                    "chain",
                    format!(
                        "nobody proves names under .{tld}, of {}: {}: see `chain.others`",
                        to.chain, to.why
                    ),
                ),
            },
        )
    };
    node.others.tlds().others().iter().map(look).collect()
}

fn clock(node: &Node) -> Check {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let block = Duration::from_millis(node.chain.tip().time_ms);
    let block_time = Duration::from_millis(node.chain.genesis().block_time_ms);
    let seconds = |span: Duration| span.as_secs_f32();
    if let Some(clock) = health::clock_off(node) {
        return match health::is_ours(&clock) {
            true => Check::fail("clock", off(clock)),
            false => Check::warn("clock", off(clock)),
        };
    }
    if let Some(ahead) = block.checked_sub(now).filter(|ahead| *ahead > AHEAD_MAX) {
        let text = format!("the newest block is {:.1} s in the future", seconds(ahead));
        return Check::fail(
            "clock",
            format!("{text}: set this machine's clock, for example by NTP"),
        );
    }
    let age = now.saturating_sub(block);
    let text = format!("the newest block is {:.1} s old", seconds(age));
    match age > (block_time * OLD_BLOCKS).max(OLD_AT_LEAST) {
        true => Check::warn(
            "clock",
            format!("{text}: the chain stands still, or this machine's clock is ahead"),
        ),
        false => Check::ok("clock", format!("{text}{}", beside(node.mesh.clock()))),
    }
}

/// A wrong clock has many consequences, so it is named with them.
fn off(clock: Clock) -> String {
    let seconds = clock.others_ahead_ms.unsigned_abs() as f64 / 1000.0;
    let is = match clock.others_ahead_ms > 0 {
        true => "behind",
        false => "ahead of",
    };
    let text = format!(
        "this machine's clock is {seconds:.1} s {is} those of {} that told their time",
        count_of(clock.peers)
    );
    match health::is_ours(&clock) {
        true => format!(
            "{text}: what it signs and hears is taken for old or for not yet valid, so set it, for example by NTP"
        ),
        false => {
            format!("{text}, and it may be they who are wrong: see that this one is set, for example by NTP")
        }
    }
}

fn count_of(peers: usize) -> String {
    format!("{peers} peer{}", if peers == 1 { "" } else { "s" })
}

fn beside(clock: Option<Clock>) -> String {
    let told = clock.map(|clock| {
        let seconds = clock.others_ahead_ms as f64 / 1000.0;
        format!(
            "; by the clocks of peers ({}) it is {seconds:+.1} s from here",
            clock.peers
        )
    });
    told.unwrap_or_default()
}

fn disk(node: &Node) -> Check {
    let dir = node.folder.dir();
    let free = match health::disk_free(node) {
        Ok(free) => free,
        Err(error) => return Check::warn("disk", format!("{}: {error}", dir.display())),
    };
    let text = format!("{} MiB free in {}", free >> 20, dir.display());
    match free {
        free if free < DISK_FULL => Check::fail(
            "disk",
            format!("{text}: make room, or the databases stop writing"),
        ),
        free if free < DISK_LOW => Check::warn(
            "disk",
            format!("{text}: make room; `ddn repo gc` removes what no pin keeps"),
        ),
        _ => Check::ok("disk", text),
    }
}

/// Whether what the ledger says of this edge is what it asks.
fn edge(node: &Node) -> Result<Check, Failed> {
    let quote = node.delivery.quote();
    let text = format!("delivers for {} coins a MiB", quote.price);
    let Some(entry) = node.chain.state().edge(&node.node_key().public())? else {
        return Ok(Check::ok(
            "edge",
            format!("{text}, not registered: `ddn edge register` does that"),
        ));
    };
    if entry.price == quote.price && entry.payout == quote.payee {
        return Ok(Check::ok(
            "edge",
            format!("{text}, registered since height {}", entry.registered),
        ));
    }
    let advice = "the ledger says another price or payout: `ddn edge set`, or the settings delivery.price and delivery.payout";
    Ok(Check::warn("edge", format!("{text}, but {advice}")))
}

/// Whether this node can pay for what it wants.
fn escrow(node: &Node) -> Result<Check, Failed> {
    let escrows = pay::views(node)?;
    let Some(escrow) = escrows
        .iter()
        .rfind(|escrow| escrow.usable && escrow.exit.is_none())
    else {
        return no_escrow(node);
    };
    let left = escrow
        .balance
        .checked_sub(escrow.signed_unclaimed)
        .unwrap_or_default();
    let text = format!(
        "{left} of {} coins are left in {}",
        escrow.balance,
        short(&escrow.escrow)
    );
    let low = Amount::from_units(node.config.settings.delivery.escrow.get().units() / 10);
    Ok(match left <= low {
        true => Check::warn("escrow", format!("{text}: add some with `ddn pay top-up COINS`")),
        false => Check::ok("escrow", text),
    })
}

fn no_escrow(node: &Node) -> Result<Check, Failed> {
    let wanted = node.config.settings.delivery.escrow.get();
    let cost = sum(wanted, node.chain.genesis().fee);
    let key = node.wallets.key(wallets::DEFAULT)?;
    let balance = match key {
        Some(key) => node.chain.state().account(&key.address())?.balance,
        None => Amount::ZERO,
    };
    Ok(if wanted.is_zero() {
        let text = "none, and the setting delivery.escrow is 0: `ddn pay open COINS` opens one to pay from";
        Check::warn("escrow", text)
    } else if balance < cost {
        let text = format!(
            "none, and the default wallet has {balance} of the {cost} coins for one: send coins to it"
        );
        Check::warn("escrow", text)
    } else {
        let text = format!("none yet: the first delivery that costs something opens one of {wanted} coins");
        Check::ok("escrow", text)
    })
}

fn earnings(node: &Node) -> Result<Check, Failed> {
    let earned = status_of(node)?;
    let unclaimed = earned.total.unclaimed;
    let text = format!(
        "{} coins earned, {unclaimed} of them unclaimed",
        earned.total.earned
    );
    let leaving =
        |view: &&EarnView| view.claim_until.is_some() && !view.metered && !view.earned.unclaimed.is_zero();
    if let Some(view) = earned.escrows.iter().find(leaving) {
        let until = view.claim_until.unwrap_or_default();
        let text = format!(
            "the payer of {} leaves: claim its {} coins by height {until}, with `ddn earn claim`",
            short(&view.escrow),
            view.earned.unclaimed
        );
        return Ok(Check::warn("earnings", text));
    }
    let worth = node.chain.genesis().fee.units().saturating_mul(WORTH_FEES);
    Ok(match unclaimed.units() > worth || earned.claims_open > 0 {
        true => Check::warn(
            "earnings",
            format!("{text}: `ddn earn claim` makes coins of them"),
        ),
        false => Check::ok("earnings", text),
    })
}

/// Whether others are told of what this node keeps.
fn pins(node: &Node) -> Result<Check, Failed> {
    let count = node.store.pins()?.len();
    if count == 0 || node.mesh.peers().is_empty() {
        let text = format!(
            "{count} kept{}",
            if count == 0 {
                ""
            } else {
                ", and no peer to tell of them"
            }
        );
        return Ok(Check::ok("pins", text));
    }
    let announced = node.mesh.provided();
    let text = format!("{count} kept, others are told of {announced}");
    Ok(match announced < count {
        true => Check::warn(
            "pins",
            format!("{text}: the rest follows soon; if not, restart the node"),
        ),
        false => Check::ok("pins", text),
    })
}

/// Whether it is known from where readers come, and how far they are.
fn readers(node: &Node) -> Check {
    let places = &node.reader_places;
    let (known, heard) = (places.known(), places.heard_of());
    let own = match known {
        0 => "of none it is known yet how far they are".to_owned(),
        _ => format!("of {known} places it is known how far they are"),
    };
    let others = format!("{heard} distances to other edges were told");
    Check::ok("readers", format!("{own}, {others}"))
}

/// The first digits of an id, enough to tell escrows apart.
fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_clock_is_named() {
        for (others_ahead_ms, peers, begins, ends) in [
            (
                61_500,
                3,
                "this machine's clock is 61.5 s behind those of 3 peers",
                "so set it, for example by NTP",
            ),
            (
                -7_000,
                1,
                "this machine's clock is 7.0 s ahead of those of 1 peer",
                "it may be they who are wrong: see that this one is set, for example by NTP",
            ),
        ] {
            let text = off(Clock {
                others_ahead_ms,
                peers,
            });
            assert!(text.starts_with(begins) && text.ends_with(ends), "{text}");
        }
        let clock = Clock {
            others_ahead_ms: -120,
            peers: 2,
        };
        assert_eq!(
            beside(Some(clock)),
            "; by the clocks of peers (2) it is -0.1 s from here"
        );
        assert_eq!(beside(None), "");
    }
}
