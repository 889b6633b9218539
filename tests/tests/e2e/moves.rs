//! A reader that goes from one network to another in the middle of a transfer.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::net::{Host, Link, Net};
use testkit::{Launch, Node, wait_until};

use crate::text;

/// Ten seconds at the link's rate.
const FILE_BYTES: u64 = 20 << 20;
const RATE_KBIT: u32 = 16_000;
const DEADLINE: Duration = Duration::from_secs(60);

#[test]
fn a_transfer_goes_on_when_its_reader_has_another_address() -> Result<()> {
    let Some(mut net) = Net::new()? else {
        return Ok(());
    };
    let near = net.host(Link::delay_ms(10))?;
    // As it sends over the Internet.
    let owner = Node::launch(Launch {
        args: ["--dev", "--set", "delivery.congestion=bbr3"]
            .map(str::to_owned)
            .to_vec(),
        ..near.launch()
    })?;
    let site = tempfile::tempdir()?;
    let file: Vec<u8> = (0..FILE_BYTES / 8).flat_map(u64::to_le_bytes).collect();
    let path = site.path().join("file.bin");
    fs::write(&path, &file)?;
    let published = owner.ddn().json(&["publish", &path.to_string_lossy()])?;
    let cid = text(&published, "/cid")?;

    let moving = net.host(Link {
        rate_kbit: Some(RATE_KBIT),
        ..Link::delay_ms(10)
    })?;
    let mut args = owner.invitation()?;
    args.extend(["--set", "delivery.listen=0.0.0.0:0"].map(str::to_owned));
    let reader = Node::launch(Launch {
        args,
        ..moving.launch()
    })?;
    let copy = site.path().join("copy.bin");
    let getting = reader
        .ddn()
        .start(&["get", &cid, "-o", &copy.to_string_lossy()])?;
    let sent = || count((&owner, &near), "ddn_delivery_bytes_served_total");
    wait_until("a quarter is sent", DEADLINE, || Ok(sent()? > FILE_BYTES / 4))?;
    let sessions = count((&owner, &near), "ddn_delivery_sessions_served_total")?;
    ensure!(sent()? < FILE_BYTES * 3 / 4, "it is too fast for this test");

    net.renumber(&moving)?;
    let got = getting.finish(DEADLINE)?;
    got.ok().with_context(|| reader.log_tail())?;
    ensure!(fs::read(&copy)? == file, "other bytes");
    // The very same sessions: nothing was asked for or paid twice.
    let after = count((&owner, &near), "ddn_delivery_sessions_served_total")?;
    ensure!(after == sessions, "{sessions} sessions, then {after}");
    ensure!(sent()? < FILE_BYTES + (2 << 20), "{} bytes were sent", sent()?);
    Ok(())
}

fn count((node, host): (&Node, &Host), name: &str) -> Result<u64> {
    let (page, _) = host.get(node.listener("admin")?, "localhost", "/metrics")?;
    let page = page.text();
    let mut lines = page.lines();
    let line = lines.find_map(|line| line.strip_prefix(name));
    let number = line.with_context(|| format!("no {name}"))?.trim();
    number.parse().with_context(|| format!("{name} is {number}"))
}
