//! Coins for a new node on a chain that gives them away.

use std::sync::Arc;
use std::time::Duration;

use cid::Cid;
use ledger::Action;

use super::error::Error;
use super::start::blocking;
use super::{Node, Role, wallets};

/// How long a start waits for the faucet's coins before it goes on without them.
const WITHIN: Duration = Duration::from_secs(30);

/// On a chain with a faucet, an empty default wallet draws once, by a transaction that everybody can see. A follower
/// whose peers are out of reach does so when it gets the next block; nobody waits for that.
pub async fn draw(node: &Arc<Node>) {
    if node.chain.genesis().faucet.is_none() || !node.config.settings.node.faucet {
        return;
    }
    if node.role == Role::Delegate || node.chain.sync_status().peers > 0 {
        return draw_now(node).await;
    }
    let later = Arc::clone(node);
    node.tasks.spawn(async move {
        let mut tips = later.chain.watch();
        tips.mark_unchanged();
        tokio::select! {
            () = later.stop.cancelled() => {}
            Ok(()) = tips.changed() => draw_now(&later).await,
        }
    });
}

async fn draw_now(node: &Arc<Node>) {
    let drawing = Arc::clone(node);
    let drawn = blocking("the faucet", move || send(&drawing)).await;
    let tx = match drawn {
        Ok(None) => return,
        Ok(Some(tx)) => tx,
        Err(error) => return tracing::warn!(%error, "the faucet gave nothing"),
    };
    let coins = tokio::time::timeout(WITHIN, node.sender.finality(&tx));
    tokio::select! {
        () = node.stop.cancelled() => {}
        coins = coins => match coins {
            Ok(Ok(height)) => tracing::info!(%tx, height, "the default wallet drew from the faucet"),
            Ok(Err(error)) => tracing::warn!(%error, "the faucet gave nothing"),
            Err(_) => tracing::warn!(%tx, "the faucet's coins are still on their way"),
        },
    }
}

/// The transaction; none if there are coins.
fn send(node: &Node) -> Result<Option<Cid>, Error> {
    let Some(key) = node.wallets.key(wallets::DEFAULT)? else {
        return Ok(None);
    };
    let account = node.chain.state().account(&key.address())?;
    if !account.balance.is_zero() {
        return Ok(None);
    }
    let sent = node.sender.send(&key, Action::Faucet {}, |_| Ok(()))?;
    match sent {
        Ok(tx) => Ok(Some(tx)),
        Err(refused) => Err(Error::Broken {
            part: "the faucet",
            reason: refused.to_string(),
        }),
    }
}
