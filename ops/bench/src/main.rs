//! Measures the gateway, the DNS server and deliveries beside others, in the same minutes on the same machine.
//!
//! Absolute figures depend on the machine and on the hour. So each round measures all servers one after the other, in a
//! new order each time, and what is claimed is the median of the rounds' ratios, with its bootstrap interval. One of the
//! servers is the floor: a loop that does nothing but write bytes from memory to sockets.
//!
//! `bench run` does it all and writes the page; the other commands are its own server and its own clients, which it
//! starts as processes, so that each has a core to itself.

mod case;
mod cases;
mod content;
mod delivery;
mod floor;
mod idle;
mod ledger;
mod light;
mod load;
mod machine;
mod names;
mod page;
mod quic;
mod round;
mod server;
mod statistics;
mod stream;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

/// As in the program that is measured: its deliveries are processes of this one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure, and write the page.
    Run(Run),
    /// Measure the ledger: row F.
    Ledger(ledger::Wanted),
    /// The floor: serves the files of a folder from memory.
    Floor {
        /// The folder.
        folder: PathBuf,
        /// A file of header lines that every answer carries.
        #[arg(long)]
        head: Option<PathBuf>,
    },
    /// Asks by HTTP/3 as fast as it is answered, and prints the outcome.
    Quic(quic::Wanted),
    /// Asks by plain HTTP/1.1 as fast as it is answered and looks at little, and prints the outcome.
    Light(light::Wanted),
    /// Reads one file again and again over one connection, and prints the outcome.
    Stream(stream::Wanted),
    /// The floor for names: sends every question back with an address.
    DnsFloor,
    /// Our DNS server alone, over names that are computed.
    DnsAnswers(names::answers::Wanted),
    /// Asks so many questions a second, and prints the outcome.
    DnsPaced(names::paced::Wanted),
    /// Resolves a name and gets its page again and again, and prints the outcome.
    DnsVisit(names::visit::Wanted),
    /// Serves files to other nodes, and the floor beside it; says where, and ends with its input.
    DeliveryServe(delivery::serve::Wanted),
    /// Fetches files from another node into a fresh store, and prints the outcome.
    DeliveryGet(delivery::get::Wanted),
    /// Connects to another node as so many peers, asks once as each, and holds them until its input ends.
    DeliveryHold(delivery::hold::Wanted),
    /// Opens connections, asks once on each, and holds them until its input ends.
    Idle(idle::Wanted),
}

/// What to measure, and for how long.
#[derive(Args, Clone)]
struct Run {
    /// Rows, or beginnings of their names: `B1,B4`, `B,H`.
    #[arg(long, default_value = "B,H", value_delimiter = ',')]
    rows: Vec<String>,
    /// Rounds of each case.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// MiB of the large file.
    #[arg(long, default_value_t = 1024)]
    large_mib: u64,
    /// Seconds in all that rounds wait for a quiet machine before they are measured all the same, and counted as disturbed.
    #[arg(long, default_value_t = 180.0)]
    patience: f64,
    /// Measure the DNS server without a node, over names that are computed, with few names too. Row E needs a node.
    #[arg(long)]
    dns_alone: bool,
    /// The folder for results: one file a case, which a later run replaces.
    #[arg(long)]
    results: PathBuf,
    /// The page that is written from all results.
    #[arg(long)]
    page: PathBuf,
    /// The profile that the programs were compiled with, for the page.
    #[arg(long)]
    profile: String,
}

impl Run {
    fn time(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    fn wants(&self, row: &str) -> bool {
        self.rows.iter().any(|wanted| row.starts_with(wanted.trim()))
    }
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Run(run) => round::run(&run),
        Command::Ledger(wanted) => ledger::run(&wanted),
        Command::Floor { folder, head } => floor::serve(&folder, head.as_deref()),
        Command::Quic(wanted) => quic::load(&wanted),
        Command::Light(wanted) => light::load(&wanted),
        Command::Stream(wanted) => stream::load(&wanted),
        Command::DnsFloor => names::floor::serve(),
        Command::DnsAnswers(wanted) => names::answers::serve(&wanted),
        Command::DnsPaced(wanted) => names::paced::load(&wanted),
        Command::DnsVisit(wanted) => names::visit::load(&wanted),
        Command::DeliveryServe(wanted) => delivery::serve::serve(&wanted),
        Command::DeliveryGet(wanted) => delivery::get::get(&wanted),
        Command::DeliveryHold(wanted) => delivery::hold::hold(&wanted),
        Command::Idle(wanted) => idle::hold(&wanted),
    }
}

/// `HOST:PORT` for the command line.
fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("{text:?} is no IP:PORT"))
}
