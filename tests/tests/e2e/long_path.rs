//! A large file from far away: one stream's window is not enough for the path, so there are several.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::net::{Host, Link, Net};
use testkit::{Launch, Node, tree, wait_until};

use crate::{publish, text};

const FILE_BYTES: usize = 64 << 20;
/// One way.
const FAR_MS: u64 = 40;
const DEADLINE: Duration = Duration::from_secs(60);

/// A count of a node.
fn count(node: &Node, host: &Host, name: &str) -> Result<f64> {
    let (page, _) = host.get(node.listener("admin")?, "localhost", "/metrics")?;
    let page = page.text();
    let value = page
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(value.with_context(|| page.clone())?.parse()?)
}

#[test]
fn a_long_path_is_filled_by_several_streams_and_a_short_one_needs_one() -> Result<()> {
    let Some(mut net) = Net::new()? else {
        return Ok(());
    };
    let far = net.host(Link::delay_ms(FAR_MS))?;
    let near = [net.host(Link::delay_ms(0))?, net.host(Link::delay_ms(0))?];
    let maker = Node::launch(far.launch())?;
    let mut nodes = Vec::new();
    for host in &near {
        let args = maker.invitation()?;
        nodes.push(Node::launch(Launch {
            args,
            ..host.launch()
        })?);
    }
    let folder = tempfile::tempdir()?;
    let file: Vec<u8> = (0..FILE_BYTES / 8)
        .flat_map(|at| (at as u64).to_le_bytes())
        .collect();
    tree::write(folder.path(), "file.bin", &file)?;
    let cid = text(&publish(&maker, folder.path(), "alice.ddn")?, "/cid")?;
    for (at, is_wide) in [(0, true), (1, false)] {
        let (node, host) = (&nodes[at], &near[at]);
        wait_until("the file comes", DEADLINE, || {
            let path = format!("/ipfs/{cid}/file.bin");
            let (reply, took) = host.get(node.listener("gateway")?, "127.0.0.1", &path)?;
            eprintln!("status {} took {took:?}", reply.status);
            Ok(reply.status == 200 && reply.body == file)
        })?;
        let streams = count(node, host, "ddn_fetch_streams_total")?;
        ensure!(
            (streams > 0.0) == is_wide,
            "node {at} opened {streams} more streams\n{}",
            node.log_tail()
        );
        // The next reader has it from its neighbour.
        net.cut(&near[1], &far)?;
    }
    Ok(())
}
