//! Our DNS server alone, over names that are computed: nothing of what is measured is the memory of the names themselves.

use std::sync::{Arc, LazyLock};

use anyhow::{Context, Result};
use clap::Args;
use ledger::{Address, Label, Link, NameEntry, Records};
use named::dap::{Names, NamesError, Tlds};
use named::dns::{Config, DnsServer, RateLimit};
use prometheus_client::registry::Registry;

use super::zone;

/// What to serve.
#[derive(Args)]
pub struct Wanted {
    /// How many names there are.
    names: usize,
    /// MiB of memory for answers.
    memory_mib: usize,
}

/// `n0` … with the same records each, at a height that does not move.
struct Computed {
    names: usize,
    entry: NameEntry,
}

impl Names for Computed {
    fn tlds(&self) -> &Tlds {
        static TLDS: LazyLock<Tlds> = LazyLock::new(|| Tlds::of("ddn"));
        &TLDS
    }

    fn height(&self) -> u64 {
        1
    }

    fn entry(&self, label: &Label) -> Result<Option<NameEntry>, NamesError> {
        let number = label
            .as_str()
            .strip_prefix('n')
            .and_then(|number| number.parse::<usize>().ok());
        let is_there = number.is_some_and(|number| {
            number < self.names && zone::name(number) == format!("{}.ddn", label.as_str())
        });
        Ok(is_there.then(|| self.entry.clone()))
    }
}

/// Serves, and says where on the first line of its output.
pub fn serve(wanted: &Wanted) -> Result<()> {
    let cid = zone::TEXT.rsplit('/').next().context("no CID")?.parse()?;
    let mut records = Records::to_content(Link(cid));
    records.a = vec![zone::ADDRESS.parse()?];
    let entry = NameEntry {
        owner: Address::from_bytes([9; 20]),
        registered: 0,
        committed: 0,
        expires: u64::MAX,
        seq: 1,
        changed: 1,
        premium: ledger::Amount::ZERO,
        records: [(String::new(), records)].into(),
    };
    let names = Arc::new(Computed {
        names: wanted.names,
        entry,
    });
    let config = Config {
        listen: "127.0.0.1:0".parse()?,
        threads: 1,
        compose_threads: 1,
        compose_waiting: 100_000,
        memory_bytes: wanted.memory_mib << 20,
        // The limit is there, and counts everybody: so its cost is in what is measured.
        rate: RateLimit {
            per_second: 1_000_000_000,
            slip: 2,
            uncounted: Vec::new(),
        },
        ..Config::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let server = DnsServer::bind(config, names, &mut Registry::default()).await?;
        println!("{}", server.local_addr());
        std::future::pending::<()>().await;
        Ok(())
    })
}
