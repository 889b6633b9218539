//! Many peers that have asked once and stay: each has a key, a socket and a connection of its own.

use std::io::Read as _;
use std::net::SocketAddr;
use std::str::FromStr as _;
use std::time::Duration;

use anyhow::{Result, bail};
use cid::Cid;
use clap::Args;
use iroh::endpoint::{Connection, QuicTransportConfig, presets};
use iroh::{Endpoint, EndpointAddr, EndpointId, RelayMode};
use ledger::{Hash, Link};
use storage::ddp::wire::{self, ALPN, Open, ToClient, ToServer, VERSION};

use super::ledger::CHAIN;
use super::serve::Place;

/// Whom to ask, and by how many.
#[derive(Args)]
pub struct Wanted {
    /// The place, as JSON.
    place: String,
    /// How many peers.
    peers: u16,
}

/// Says on its output when all have asked, and ends when its input does.
pub fn hold(wanted: &Wanted) -> Result<()> {
    let place: Place = serde_json::from_str(&wanted.place)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut held = Vec::new();
        for _ in 0..wanted.peers {
            held.push(peer(&place).await?);
        }
        println!("open");
        tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
        anyhow::Ok(())
    })
}

/// One that is connected, and was offered something.
async fn peer(place: &Place) -> Result<(Endpoint, Connection)> {
    // It is idle for longer than the usual half minute while the others come.
    let transport = QuicTransportConfig::builder()
        .keep_alive_interval(Duration::from_secs(10))
        .build();
    let endpoint = Endpoint::builder(presets::Minimal)
        .relay_mode(RelayMode::Disabled)
        .transport_config(transport)
        .clear_ip_transports()
        .bind_addr(SocketAddr::from(([127, 0, 0, 1], 0)))?
        .bind()
        .await?;
    let node: ledger::PublicKey = place.node.parse().map_err(|error| anyhow::anyhow!("{error}"))?;
    let address = EndpointAddr::new(EndpointId::from_bytes(node.as_bytes())?).with_ip_addr(place.address);
    let connection = endpoint.connect(address, ALPN).await?;
    let (mut send, mut recv) = connection.open_bi().await?;
    let open = Open {
        version: VERSION,
        chain: CHAIN.to_owned(),
        root: Link(Cid::from_str(&place.roots[0].1)?),
        nonce: Hash([7; 32]),
        escrow: None,
        split: false,
    };
    wire::write(&mut send, &ToServer::Open(open)).await?;
    match wire::read(&mut recv).await? {
        ToClient::Offer(_) => {}
        other => bail!("no offer: {other:?}"),
    }
    wire::write(&mut send, &ToServer::Close {}).await?;
    send.finish()?;
    Ok((endpoint, connection))
}
