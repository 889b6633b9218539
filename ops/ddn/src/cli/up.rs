//! `ddn up`: runs a node until a signal, and says where it is when it is ready.

use std::{
    io::{self, IsTerminal as _, Write},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{
    Context,
    config::Given,
    data,
    failure::{self, Failure, Outcome},
    genesis, links, screen,
};
use crate::{
    api::types::NodeFile,
    node::{self, Ended, Origin},
};

const HELP: &str = "\
Examples:
  ddn up --dev                             a chain of its own, with a faucet, for trying things
  ddn up                                   again, with the chain of the data folder
  ddn up --genesis genesis.json --join /ip4/192.0.2.1/tcp/4101/p2p/12D3…
                                           follow that chain, and deliver with its other nodes
  ddn up --dev --set gateway.listen=127.0.0.1:0

It runs in the foreground until Ctrl-C or SIGTERM. `ddn config show --long` lists all settings.";

/// Arguments of `ddn up`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// A one-seat chain of its own; the one of the data folder if it has one
    #[arg(long, conflicts_with = "genesis")]
    dev: bool,
    /// The chain with this genesis
    #[arg(long, value_name = "FILE")]
    genesis: Option<PathBuf>,
    /// A node of the chain to connect to: a mesh address, as its `ddn node status` shows; may be repeated
    #[arg(long, value_name = "MESH_ADDR", value_parser = mesh_address)]
    join: Vec<String>,
    #[command(flatten)]
    given: Given,
}

/// Runs the node.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let origin = match (args.dev, args.genesis) {
        (true, _) => Origin::Dev,
        (_, Some(path)) => Origin::Genesis(path),
        _ => Origin::Folder,
    };
    if origin == Origin::Folder && !context.data.join("genesis.json").exists() {
        return Err(unknown_folder(context));
    }
    let mut config = args.given.load(context)?;
    config.settings.mesh.join.extend(args.join);
    let json = context.screen.json;
    let dir = context.data.clone();
    let ready = move |file: &NodeFile| {
        // Nobody may read it, for example when the output is closed; the node runs all the same.
        let _ = announce(file, &dir, json);
    };
    let ended = node::run(&context.data, &origin, config, ready, stop()?)
        .await
        .map_err(|error| Failure::new("node", failure::chain(&error)))?;
    match ended {
        Ended::Told => Ok(()),
        Ended::Again => Err(again()),
    }
}

/// The same program with the same arguments in this process' place; returns only if that fails.
fn again() -> Failure {
    let program = std::env::current_exe().unwrap_or_else(|_| "ddn".into());
    let error = std::process::Command::new(&program)
        .args(std::env::args_os().skip(1))
        .exec();
    Failure::new(
        "system",
        format!("cannot start {} again: {error}", program.display()),
    )
}

/// Only the form that every address has; what is in it is the mesh's to judge.
fn mesh_address(text: &str) -> Result<String, String> {
    match text.starts_with('/') && text.contains("/p2p/") {
        true => Ok(text.to_owned()),
        false => Err(
            "give an address such as /ip4/192.0.2.1/tcp/4101/p2p/12D3…, which `ddn node status` of \
                      that node shows"
                .to_owned(),
        ),
    }
}

fn unknown_folder(context: &Context) -> Failure {
    let (dir, option) = (context.data.display(), data::option(&context.data));
    let text = format!(
        "{dir} holds no chain yet: start one of its own with `ddn up --dev{option}`, or join one with `ddn up --genesis \
         FILE --join MESH_ADDR{option}`"
    );
    Failure::new("no_chain", text)
}

/// Resolves at Ctrl-C or SIGTERM; a second one ends the process at once.
fn stop() -> Outcome<impl Future<Output = ()>> {
    let listen = |kind| {
        signal(kind).map_err(|error| Failure::new("system", format!("cannot wait for signals: {error}")))
    };
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    Ok(async move {
        next(&mut interrupt, &mut terminate).await;
        tokio::spawn(async move {
            next(&mut interrupt, &mut terminate).await;
            // The databases stand a kill at any time; what was acknowledged is on disk.
            let _ = writeln!(
                io::stderr(),
                "ddn: stopped at once, without waiting for what was in hand"
            );
            std::process::exit(1);
        });
    })
}

async fn next(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// One JSON line, or what a person needs to go on.
fn announce(file: &NodeFile, dir: &Path, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer(&mut out, file)?;
        writeln!(out)?;
    } else {
        banner(&mut out, file, dir)?;
    }
    out.flush()
}

fn banner(out: &mut dyn Write, file: &NodeFile, dir: &Path) -> io::Result<()> {
    let option = data::option(dir);
    // The node has written it by now; without it the example below still reads.
    let tld = genesis::of_data(dir).map_or("ddn".to_owned(), |genesis| genesis.tld);
    let stop = if io::stdin().is_terminal() {
        "Ctrl-C".to_owned()
    } else {
        format!("kill {}", file.pid)
    };
    let genesis = dir.join("genesis.json");
    let join = file
        .mesh
        .first()
        .map(|address| format!("ddn up --genesis {} --join {address}", genesis.display()));
    let join = join.unwrap_or_default();
    writeln!(out, "The node is ready.")?;
    screen::facts(
        out,
        &[
            ("gateway", links::of_gateway(&file.gateway)),
            ("DNS", file.dns.clone()),
            ("chain", file.chain_id.clone()),
            ("data", dir.display().to_string()),
            (
                "publish",
                format!("ddn publish ./site --name alice.{tld}{option}"),
            ),
            ("join", join),
            ("stop", stop),
        ],
    )
}
