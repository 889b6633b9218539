//! Real nodes, real sockets, real files: the story of the product as a user lives it, and what happens when it goes wrong.
//!
//! One binary, a module for each chapter. Every test has a node of its own in a temporary folder, so they run side by side.

mod bad_input;
mod browser;
mod chains;
mod cheats;
mod commands;
mod crash;
mod delegates;
mod distances;
mod docs;
mod domains;
mod doors;
mod edges;
mod elections;
mod far;
mod ill;
mod long_path;
mod lost;
mod market;
mod moves;
mod names;
mod network;
mod origin;
mod others;
mod paid;
mod paid_crash;
mod private;
mod proof;
mod relays;
mod second;
mod secure;
mod sites;
mod story;
mod web;

use std::env;
use std::path::Path;

use anyhow::{Context, Result};
use rand::RngExt;
use serde_json::Value;
use testkit::Node;

/// Publishes a folder under a name, and returns what the command said.
///
/// # Errors
/// When that fails.
fn publish(node: &Node, folder: &Path, name: &str) -> Result<Value> {
    node.ddn()
        .json(&["publish", &folder.to_string_lossy(), "--name", name])
}

/// Publishes everything in a folder under a name, hidden files and what links lead to as well.
fn publish_all(node: &Node, folder: &Path, name: &str) -> Result<Value> {
    let folder = folder.to_string_lossy();
    node.ddn()
        .json(&["publish", &folder, "--name", name, "--hidden", "--follow"])
}

/// The string at `pointer` of a JSON document.
///
/// # Errors
/// When there is none.
fn text(document: &Value, pointer: &str) -> Result<String> {
    let found = document.pointer(pointer).and_then(Value::as_str);
    Ok(found
        .with_context(|| format!("no text {pointer} in {document}"))?
        .to_owned())
}

/// The number at `pointer` of a JSON document.
///
/// # Errors
/// When there is none.
fn number(document: &Value, pointer: &str) -> Result<u64> {
    document
        .pointer(pointer)
        .and_then(Value::as_u64)
        .with_context(|| format!("no number {pointer} in {document}"))
}

/// The number of crashes of a campaign and the seed of its random choices: from `DDN_CRASHES` and `DDN_SEED`, else
/// `rounds` and any seed. Both are printed, so that a run can be repeated.
fn campaign(rounds: u64) -> Result<(u64, u64)> {
    let variable = |name: &str| {
        env::var(name)
            .ok()
            .map(|value| value.parse::<u64>().context(name.to_owned()))
    };
    let rounds = variable("DDN_CRASHES").transpose()?.unwrap_or(rounds);
    let seed = variable("DDN_SEED")
        .transpose()?
        .unwrap_or_else(|| rand::rng().random());
    println!("{rounds} crashes; to repeat them: DDN_CRASHES={rounds} DDN_SEED={seed}");
    Ok((rounds, seed))
}
