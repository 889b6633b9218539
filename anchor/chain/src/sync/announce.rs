//! A delegate tells everybody about new blocks. Followers pass on what they heard, so they announce nothing.

use std::sync::Arc;

use tokio::sync::watch;

use super::wire::Announcement;
use super::{Exchange, Gossip, Leave, Peers};
use crate::{Error, Tip};

/// Runs until the chain is left.
///
/// # Errors
/// If the store fails.
pub(crate) async fn run(
    exchange: Arc<Exchange>,
    peers: Arc<dyn Peers>,
    mut tips: watch::Receiver<Tip>,
    mut leave: Leave,
) -> Result<(), Error> {
    tips.mark_unchanged();
    loop {
        tokio::select! {
            changed = tips.changed() => if changed.is_err() { return Ok(()) },
            () = leave.left() => return Ok(()),
        }
        let height = tips.borrow_and_update().height;
        // What another delegate announced first is spread already.
        if exchange.known().announced_height() >= height {
            continue;
        }
        if let Some(bytes) = read(&exchange, height).await? {
            peers.publish(Gossip::Header, bytes);
        }
    }
}

async fn read(exchange: &Arc<Exchange>, height: u64) -> Result<Option<Vec<u8>>, Error> {
    let exchange = Arc::clone(exchange);
    let read = tokio::task::spawn_blocking(move || exchange.announcement(height)).await;
    read.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

impl Exchange {
    /// Header and certificate of a block that is kept.
    fn announcement(&self, height: u64) -> Result<Option<Vec<u8>>, Error> {
        let (header, certificate) = (self.store.header(height)?, self.store.certificate(height)?);
        let both = header.zip(certificate);
        Ok(both.map(|(header, certificate)| ledger::encode(&Announcement { header, certificate })))
    }
}
