//! Asking an edge whether it is there: the same steps that a reader takes, at each of its doors.

use std::io::{Error, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use futures::future::join_all;
use rustls::ClientConfig;

use super::track::{Errand, Sighting};
use crate::probe::{self, Card};

/// Goes there. An edge without a gateway is asked where it delivers. Certificates are judged by `verifier`; without one
/// none is good.
pub async fn visit(errand: &Errand, verifier: Option<Arc<ClientConfig>>) -> Sighting {
    if errand.gateways.is_empty() {
        let start = Instant::now();
        let answered = probe::delivery(errand.delivery).await;
        return Sighting {
            is_wrong: answered.as_ref().is_err_and(is_wrong),
            rtt_us: answered.ok().map(|()| micros(start)),
            ..Sighting::default()
        };
    }
    let node_id = errand.node.to_string();
    let doors = errand.gateways.iter().map(|door| knock(*door, errand, &node_id));
    // Side by side: a sign of life does not wait for a certificate.
    let (cards, proof) = tokio::join!(join_all(doors), prove(errand, &node_id, verifier));
    let mut seen = Sighting {
        proof,
        ..Sighting::default()
    };
    for (door, card) in errand.gateways.iter().zip(cards) {
        let (card, is_open) = match card {
            Ok(known) => known,
            Err(error) => {
                seen.is_wrong |= is_wrong(&error);
                continue;
            }
        };
        seen.rtt_us = Some(seen.rtt_us.map_or(card.rtt_us, |known| known.min(card.rtt_us)));
        seen.ttfb_us = Some(seen.ttfb_us.map_or(card.ttfb_us, |known| known.min(card.ttfb_us)));
        if is_open {
            seen.doors.push(door.ip());
            seen.domains = card.domains;
        }
    }
    seen
}

/// The domain that is to be proven, and whether it was.
async fn prove(
    errand: &Errand,
    node_id: &str,
    verifier: Option<Arc<ClientConfig>>,
) -> Option<(String, bool)> {
    let domain = errand.domain.clone()?;
    let door = SocketAddr::new(errand.gateways.first()?.ip(), errand.tls_port?);
    let is_good = match verifier {
        Some(verifier) => probe::certificate(door, &domain, node_id, verifier).await.is_ok(),
        None => false,
    };
    Some((domain, is_good))
}

/// The card behind a door, and whether the encrypted one beside it is open too, if there should be one.
async fn knock(door: SocketAddr, errand: &Errand, node_id: &str) -> std::io::Result<(Card, bool)> {
    let card = probe::card(door, node_id).await?;
    let is_open = match errand.tls_port {
        None => true,
        Some(port) => probe::tls(SocketAddr::new(door.ip(), port), card.domains.first())
            .await
            .is_ok(),
    };
    Ok((card, is_open))
}

/// Whether it is an answer that was wrong, and not silence or a way that is cut.
fn is_wrong(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::UnexpectedEof
            | ErrorKind::Other
    )
}

fn micros(start: Instant) -> u32 {
    u32::try_from(start.elapsed().as_micros()).unwrap_or(u32::MAX)
}
