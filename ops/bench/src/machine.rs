//! What the system tells: of the machine, of processes, and of how busy it is.

use std::collections::BTreeMap;
use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// What the results depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    pub processor: String,
    pub cores: usize,
    pub memory_gib: u64,
    pub kernel: String,
}

impl Machine {
    /// This one.
    pub fn here() -> Self {
        let field = |file: &str, name: &str| {
            let text = fs::read_to_string(file).unwrap_or_default();
            let line = text.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_once(':'))
                .map(|(_, value)| value.trim().to_owned())
                .unwrap_or_default()
        };
        let kib = field("/proc/meminfo", "MemTotal")
            .trim_end_matches(" kB")
            .parse()
            .unwrap_or(0);
        Self {
            processor: field("/proc/cpuinfo", "model name"),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gib: ((kib + (1 << 19)) >> 20) as u64,
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
                .unwrap_or_default()
                .trim()
                .to_owned(),
        }
    }
}

/// Waits until the machine is idle, for `patience` at most, of which it takes what it waited. Returns whether it is.
pub fn is_quiet(patience: &mut Duration) -> Result<bool> {
    let begun = Instant::now();
    let quiet = loop {
        if idle_share()? >= IDLE_SHARE_MIN {
            break true;
        }
        if begun.elapsed() >= *patience {
            break false;
        }
    };
    *patience = patience.saturating_sub(begun.elapsed().saturating_sub(LOOK));
    Ok(quiet)
}

/// The part of the processors' time that was idle in a short while.
fn idle_share() -> Result<f64> {
    let before = processor_times()?;
    sleep(LOOK);
    let after = processor_times()?;
    let total = after.1.saturating_sub(before.1).max(1);
    Ok(after.0.saturating_sub(before.0) as f64 / total as f64)
}

/// Idle and total ticks of all processors.
fn processor_times() -> Result<(u64, u64)> {
    let text = fs::read_to_string("/proc/stat")?;
    let line = text.lines().next().context("/proc/stat is empty")?;
    let ticks: Vec<u64> = line
        .split_whitespace()
        .skip(1)
        .filter_map(|word| word.parse().ok())
        .collect();
    let idle = ticks.get(3).copied().unwrap_or(0) + ticks.get(4).copied().unwrap_or(0);
    // Guest time is in user time already.
    Ok((idle, ticks.iter().take(8).sum()))
}

/// Processor time that a process and those below it have taken.
pub fn cpu_time(pid: u32) -> Duration {
    let ticks: u64 = tree(pid).into_iter().filter_map(ticks).sum();
    Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
}

/// Memory of a process and those below it, shared pages by their share, in KiB.
pub fn pss_kib(pid: u32) -> u64 {
    let of = |pid| {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
        line.trim().trim_end_matches(" kB").parse::<u64>().ok()
    };
    tree(pid).into_iter().filter_map(of).sum()
}

/// Processor time of those processes that this one has started and that have ended.
pub fn clients_time() -> Duration {
    let ticks = ticks_at("self", 13).unwrap_or(0);
    Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
}

fn ticks(pid: u32) -> Option<u64> {
    ticks_at(&pid.to_string(), 11)
}

/// User and system time, which stand side by side in `/proc/PID/stat` from this field after the name on.
fn ticks_at(pid: &str, field: usize) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
    Some(fields.get(field)?.parse::<u64>().ok()? + fields.get(field + 1)?.parse::<u64>().ok()?)
}

/// A process and all below it.
fn tree(pid: u32) -> Vec<u32> {
    let mut below: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(child) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let text = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let parent = text
            .rsplit_once(") ")
            .and_then(|(_, rest)| rest.split(' ').nth(1)?.parse().ok());
        below.entry(parent.unwrap_or(0)).or_default().push(child);
    }
    let mut found = vec![pid];
    let mut at = 0;
    while let Some(parent) = found.get(at) {
        found.extend(
            below
                .get(parent)
                .into_iter()
                .flatten()
                .copied()
                .collect::<Vec<_>>(),
        );
        at += 1;
    }
    found
}

/// Of each processor second; the system's `CLK_TCK`, the same on every Linux.
const TICKS_PER_SECOND: u64 = 100;
const IDLE_SHARE_MIN: f64 = 0.88;
const LOOK: Duration = Duration::from_millis(300);
