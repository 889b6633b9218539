//! `ddn node peers`: who this node is connected to, and who it refused.

use std::{
    io::{self, Write},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{
    Context,
    client::{Call, Node},
    failure::Outcome,
    screen::{self, Table},
};
use crate::api::{paths, types::PeerList};

/// Runs it.
pub async fn run(context: &Context, node: &Node) -> Outcome {
    let list: PeerList = node.call(Call::get(paths::PEERS, &[])).await?;
    context.screen.show(&list, tell)
}

fn tell(out: &mut dyn Write, list: &PeerList) -> io::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut table = Table::new(&["peer", "away>", "score>", "way", "for>", "address", "program"]);
    for peer in &list.peers {
        let connected = now.saturating_sub(Duration::from_millis(peer.since_ms));
        table.row([
            peer.node.clone(),
            peer.rtt_us.map_or("-".to_owned(), screen::micros),
            peer.score.to_string(),
            if peer.inbound { "in" } else { "out" }.to_owned(),
            screen::span(Duration::from_secs(connected.as_secs().max(1))),
            peer.address.clone(),
            peer.agent.clone(),
        ]);
    }
    table.write(out, "no peers")?;
    for refused in &list.refused {
        writeln!(out, "refused  {}  {}", refused.who, refused.reason)?;
    }
    for address in &list.addresses {
        writeln!(out, "others join with --join {address}")?;
    }
    Ok(())
}
