//! `ddn node`: the node that runs here, and how this machine is told to ask it for names.

use std::{io, io::Write, net::SocketAddr, path::Path, time::Duration};

use serde::Serialize;

use super::{
    Context,
    client::{Call, Node, reachable},
    doctor,
    failure::{Failure, Outcome},
    links, peers, publish, screen,
    split_dns::{Resolver, Setup},
};
use crate::api::{
    paths,
    types::{NodeRole, NodeStatus, PublishEvent, PublishJob, PublishJobs, PublishOutcome, ZoneAnchor},
};

/// `ddn node …`
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Whether it works, where it listens, what it is doing
    Status,
    /// Who it is connected to, and who it refused and why
    Peers,
    /// Look for what is wrong: reachable, synced, able to pay, earning? Fails if a check does
    Doctor,
    /// Print how this machine is told to ask the node for the chain's names; changes nothing
    #[command(after_help = "\
Browsers find http://NAME.localhost:PORT/ without any of this.")]
    DnsSetup {
        /// For this resolver [default: those found on this machine, else all]
        #[arg(long, value_name = "RESOLVER")]
        resolver: Option<Resolver>,
    },
}

/// Runs it.
pub async fn run(context: &Context, command: Command) -> Outcome {
    let node = Node::on(&context.data).await?;
    match command {
        Command::Peers => peers::run(context, &node).await,
        Command::Doctor => doctor::run(context, &node).await,
        Command::Status => {
            let status: NodeStatus = node.call(Call::get(paths::STATUS, &[])).await?;
            let publishes: PublishJobs = node.call(Call::get(paths::PUBLISH, &[])).await?;
            context.screen.show(&Report { status, publishes }, tell)
        }
        Command::DnsSetup { resolver } => {
            let status: NodeStatus = node.call(Call::get(paths::STATUS, &[])).await?;
            dns_setup(context, &status, resolver)
        }
    }
}

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    status: NodeStatus,
    publishes: PublishJobs,
}

fn tell(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    let Report { status, publishes } = report;
    let node = &status.node;
    let works = status
        .problem
        .clone()
        .unwrap_or_else(|| if status.ready { "ready" } else { "not ready" }.to_owned());
    screen::facts(
        out,
        &[
            ("node", node.node_id.clone()),
            ("state", works),
            ("version", status.version.clone()),
            (
                "running",
                format!(
                    "{} (process {})",
                    screen::span(Duration::from_secs(status.uptime_s)),
                    node.pid
                ),
            ),
            ("data", status.data.clone()),
            ("role", role(status.role).to_owned()),
            (
                "chain",
                format!(
                    "{}, height {} of {}, {}",
                    node.chain_id,
                    status.height,
                    status.best,
                    screen::utc(status.time_ms)
                ),
            ),
            ("peers", status.peers.to_string()),
            ("gateway", links::of_gateway(&node.gateway)),
            ("DNS", node.dns.clone()),
            ("admin API", format!("http://{}/", node.admin)),
            ("engine", node.engine.clone().unwrap_or_default()),
            ("mesh", node.mesh.join(" ")),
            ("delivery", format!("{} (UDP)", node.delivery)),
            (
                "wallet",
                format!("{} with {} coins", status.wallet, status.balance),
            ),
        ],
    )?;
    publishes.jobs.iter().try_for_each(|job| tell_job(out, job))?;
    publishes
        .recent
        .iter()
        .try_for_each(|ended| tell_ended(out, ended))
}

fn role(role: NodeRole) -> &'static str {
    match role {
        NodeRole::Delegate => "delegate: makes blocks",
        NodeRole::Follower => "follower: verifies and keeps the blocks of others",
    }
}

fn tell_job(out: &mut dyn Write, job: &PublishJob) -> io::Result<()> {
    let what = job.name.as_ref().or(job.cid.as_ref()).unwrap_or(&job.id);
    let problem = job
        .problem
        .as_ref()
        .map(|problem| format!(": {problem}"))
        .unwrap_or_default();
    writeln!(out, "under way   {what}  {}{problem}", publish::words(job.stage))
}

fn tell_ended(out: &mut dyn Write, ended: &PublishOutcome) -> io::Result<()> {
    match &ended.outcome {
        // A name that was registered without content is a publish of nothing.
        PublishEvent::Done(done) if done.cid.is_empty() => {
            writeln!(out, "registered  {}", done.name.as_deref().unwrap_or_default())
        }
        PublishEvent::Done(done) => {
            let name = done
                .name
                .as_ref()
                .map(|name| format!("{name}  "))
                .unwrap_or_default();
            writeln!(out, "published   {name}{}", done.cid)
        }
        PublishEvent::Error(error) => writeln!(out, "failed      {}: {}", ended.id, error.message),
        PublishEvent::Progress(_) => Ok(()),
    }
}

#[derive(Serialize)]
struct DnsSetup {
    tld: String,
    dns: SocketAddr,
    /// Whether the resolvers were found on this machine; if not, all that are known are listed.
    detected: bool,
    setups: Vec<Setup>,
    /// What validators are told: of the TLD, and of the alias zones for the zones above them.
    zones: Vec<ZoneAnchor>,
}

fn dns_setup(context: &Context, status: &NodeStatus, resolver: Option<Resolver>) -> Outcome {
    let dns = reachable(&status.node.dns).ok_or_else(|| {
        let text = format!(
            "the node has no usable DNS address ({}): see `ddn node status`",
            status.node.dns
        );
        Failure::new("no_dns", text)
    })?;
    let found = resolver.map_or_else(|| Resolver::detect(Path::exists), |one| vec![one]);
    let detected = !found.is_empty();
    let resolvers = if detected { found } else { Resolver::ALL.to_vec() };
    let of_tld = |zone: &&ZoneAnchor| zone.zone.trim_end_matches('.') == status.tld;
    let anchor = status.zones.iter().find(of_tld).map(|zone| &*zone.ds);
    let setups = resolvers
        .into_iter()
        .map(|resolver| resolver.setup(&status.tld, dns, anchor))
        .collect();
    let report = DnsSetup {
        tld: status.tld.clone(),
        dns,
        detected,
        setups,
        zones: status.zones.clone(),
    };
    context.screen.show(&report, tell_setup)
}

fn tell_setup(out: &mut dyn Write, report: &DnsSetup) -> io::Result<()> {
    let DnsSetup {
        tld,
        dns,
        detected,
        setups,
        zones,
    } = report;
    if !detected {
        writeln!(
            out,
            "# No resolver that can send one zone elsewhere was found; here are all that are known."
        )?;
    }
    for setup in setups {
        writeln!(
            out,
            "# {}, as root: send names under .{tld} to this node, and no others\n",
            setup.title
        )?;
        for file in &setup.files {
            let dir = Path::new(&file.path).parent().unwrap_or(Path::new("/"));
            writeln!(out, "mkdir -p {}", dir.display())?;
            writeln!(out, "cat > {} <<'END'\n{}END", file.path, file.text)?;
        }
        writeln!(
            out,
            "{}{}",
            setup.then,
            if setup.then.is_empty() { "" } else { "\n" }
        )?;
    }
    for zone in zones {
        let whom = match zone.zone.trim_end_matches('.') == tld {
            true => "a validator that is to trust it",
            false => "the zone above it",
        };
        writeln!(out, "# The zone {} is signed. For {whom}:", zone.zone)?;
        writeln!(out, "#   {}\n#   {}\n", zone.ds, zone.dnskey)?;
    }
    writeln!(
        out,
        "# To try it without any of this: dig @{} -p {} NAME.{tld}",
        dns.ip(),
        dns.port()
    )?;
    writeln!(
        out,
        "# To undo it: remove the files, and run the last line again."
    )
}
