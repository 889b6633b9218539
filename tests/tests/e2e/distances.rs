//! How far readers are, as their connections tell: over a link of its own, where that is known.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::net::{Host, Link, Net};
use testkit::{Node, wait_until};

/// One way, from the reader to the router.
const DELAY_MS: u64 = 25;
/// What a busy machine may add to a round trip.
const TOLERANCE: Duration = Duration::from_millis(30);
const DEADLINE: Duration = Duration::from_secs(30);

/// How many connections of readers were measured, and the sum of their round-trip times.
fn measured(node: &Node, host: &Host) -> Result<(u64, Duration)> {
    let (page, _) = host.get(node.listener("admin")?, "localhost", "/metrics")?;
    let page = page.text();
    let value = |name: &str| {
        let mut lines = page.lines();
        let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.with_context(|| format!("no {name} in {page}"))
    };
    let count = value("ddn_places_rtt_seconds_count")?.parse()?;
    let sum = value("ddn_places_rtt_seconds_sum")?.parse()?;
    Ok((count, Duration::from_secs_f64(sum)))
}

#[test]
fn readers_are_as_far_as_their_link_is_long() -> Result<()> {
    let Some(mut net) = Net::new()? else {
        return Ok(());
    };
    let host = net.host(Link::delay_ms(0))?;
    let reader = net.host(Link::delay_ms(DELAY_MS))?;
    let node = Node::launch(host.launch())?;
    let gateway = node.listener("gateway")?;
    // Whoever is at an address of the node is no reader.
    host.get(gateway, "localhost", "/.well-known/ddn/node")?;
    let (reply, _) = reader.get(gateway, "localhost", "/.well-known/ddn/node")?;
    ensure!(reply.status == 200, "{}", reply.text());
    let (mut count, mut sum) = (0, Duration::ZERO);
    wait_until("the reader's connection is measured", DEADLINE, || {
        (count, sum) = measured(&node, &host)?;
        Ok(count > 0)
    })?;
    let expected = Duration::from_millis(2 * DELAY_MS);
    ensure!(
        count == 1 && sum >= expected && sum < expected + TOLERANCE,
        "{count} connections, {sum:?}"
    );
    let checks = node.ddn().json(&["node", "doctor"])?;
    let checks = checks["checks"].as_array().context("checks")?;
    let readers = checks.iter().find(|check| check["name"] == "readers");
    let text = readers
        .and_then(|check| check["text"].as_str())
        .context("readers")?;
    ensure!(text.starts_with("of 1 places it is known"), "{text}");
    Ok(())
}
