//! `ddn resolve`: what the named router says about a name, and which edge should serve it.

use std::{
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

use super::{
    Context, chain,
    client::{Call, Node},
    failure::{Failure, Outcome},
    genesis,
    name::record_lines,
    screen,
};
use crate::api::{
    paths,
    types::{Resolved, ResolvedStatus},
};

/// Arguments of `ddn resolve`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ddn resolve alice.ddn
  ddn resolve alice.ddn --proof alice.proof    and the proof for others: see `ddn chain verify`

That nobody holds a name is an answer, not an error.")]
pub struct Args {
    /// The name, as in alice.ddn or docs.alice.ddn
    name: String,
    /// Write a proof of the answer, or of the name's absence, into this file
    #[arg(long, value_name = "FILE")]
    proof: Option<PathBuf>,
}

/// Resolves.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let node = Node::on(&context.data).await?;
    let found: Resolved = node.call(Call::get(paths::RESOLVE, &[&args.name])).await?;
    if let Some(path) = &args.proof {
        if let Some(chain) = &found.chain {
            return Err(Failure::new(
                "elsewhere",
                format!(
                    "{} is a name of {chain}: the gateway of the node has its proof, at /.well-known/ddn/proof/{}",
                    found.name, found.name
                ),
            ));
        }
        let genesis = genesis::of_data(&context.data)?;
        let (proof, _) = chain::fetch_proof(&node, &found.name, &genesis).await?;
        std::fs::write(path, proof).map_err(|error| Failure::file("write", path, &error))?;
    }
    let block_time_ms = genesis::of_data(&context.data)
        .ok()
        .map(|genesis| genesis.block_time_ms);
    context
        .screen
        .show(&found, |out, found| tell(out, found, block_time_ms))
}

fn tell(out: &mut dyn Write, found: &Resolved, block_time_ms: Option<u64>) -> io::Result<()> {
    let status = match found.status {
        ResolvedStatus::Found => "found",
        ResolvedStatus::Absent => "absent: nobody holds it, or its owner says nothing there",
        ResolvedStatus::Delegated => "delegated: another chain's nodes know it, and have proven nothing",
        ResolvedStatus::Foreign => "foreign: no name of a chain that this node knows",
    };
    let height = |height: u64| format!("height {height}");
    let expires = |height: u64| screen::until(height, found.height, block_time_ms);
    let ttl = Duration::from_secs(found.ttl.into());
    let mut facts = vec![("name", found.name.clone()), ("status", status.to_owned())];
    facts.extend(
        found
            .records
            .iter()
            .flat_map(record_lines)
            .filter(|(kind, _)| *kind != "TTL"),
    );
    facts.push(("owner", found.owner.clone().unwrap_or_default()));
    facts.push(("changed", found.changed.map(height).unwrap_or_default()));
    facts.push(("expires", found.expires.map(expires).unwrap_or_default()));
    if let (Some(premium), Some(until)) = (found.premium, found.premium_until) {
        let until = screen::until(until, found.height, block_time_ms);
        facts.push(("premium", format!("{premium} coins, falling to 0 by {until}")));
    }
    facts.push((
        "valid for",
        if ttl.is_zero() {
            String::new()
        } else {
            screen::span(ttl)
        },
    ));
    facts.push(("chain", found.chain.clone().unwrap_or_default()));
    facts.push((
        "at height",
        format!("{}, {}", found.height, screen::utc(found.time_ms)),
    ));
    facts.extend(found.ask.iter().map(|gateway| ("ask", gateway.clone())));
    facts.push(("edge", found.edge.clone().unwrap_or_default()));
    facts.extend(found.why.iter().map(|line| ("why", line.clone())));
    screen::facts(out, &facts)
}
