//! This node as a delegate: it asks to come back from jail, and notices when it is to take a seat or to leave it.
//!
//! Who decides blocks and who follows them are put together differently, and the engine is started with its process. So a
//! node that is elected, or is no more, begins anew.

use std::sync::Arc;

use ledger::{Action, SecretKey, Standing, State as _};

use super::error::Error;
use super::start::blocking;
use super::{Node, Role};

/// What the chain wants of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// That it goes on.
    Nothing,
    /// That it says that it is there again.
    Return,
    /// That it begins anew, with another role.
    Begin,
}

/// Looks after the node's seat until it stops; returns when the node should begin anew.
pub async fn keep(node: &Arc<Node>, key: &SecretKey) {
    let mut tips = node.chain.watch();
    loop {
        tips.mark_unchanged();
        let (looking, own) = (Arc::clone(node), key.clone());
        match blocking("the seat", move || wanted(&looking, &own)).await {
            Ok(Wanted::Begin) => return,
            Ok(Wanted::Return) => come_back(node, key).await,
            Ok(Wanted::Nothing) => {}
            Err(error) => tracing::warn!(%error, "the seat of this node is not known"),
        }
        if tips.changed().await.is_err() {
            // The chain ended, which is seen elsewhere.
            std::future::pending::<()>().await;
        }
    }
}

fn wanted(node: &Node, key: &SecretKey) -> Result<Wanted, Error> {
    let (state, me) = (node.chain.state(), key.address());
    let (Some(delegate), round) = (
        state.delegate(&me).map_err(state_error)?,
        state.round().map_err(state_error)?,
    ) else {
        return Ok(Wanted::Nothing);
    };
    if let Standing::Jailed { until_round } = delegate.standing
        && round.number >= until_round
    {
        return Ok(Wanted::Return);
    }
    let is_delegate = node.role == Role::Delegate;
    match node.chain.may_sit(&me)? == is_delegate {
        true => Ok(Wanted::Nothing),
        false => Ok(Wanted::Begin),
    }
}

fn state_error(error: ledger::StateError) -> Error {
    Error::Broken {
        part: "the seat",
        reason: error.to_string(),
    }
}

/// Asks to be a candidate again. It costs nothing, and is in a block or refused before the next look.
async fn come_back(node: &Arc<Node>, key: &SecretKey) {
    let (sending, key) = (Arc::clone(node), key.clone());
    let sent = blocking("the seat", move || {
        sending.sender.send(&key, Action::DelegateReturn {}, |_| Ok(()))
    })
    .await;
    match sent {
        Ok(Ok(tx)) => tracing::info!(%tx, "this delegate comes back from jail"),
        Ok(Err(refused)) => tracing::debug!(%refused, "this delegate does not come back from jail yet"),
        Err(error) => tracing::warn!(%error, "this delegate cannot come back from jail"),
    }
}
