//! This node as a delegate: it asks to come back from jail, and notices when it is to take a seat or to leave it.
//!
//! Who decides blocks and who follows them are put together differently, and the engine is started with its process. So a
//! node that is elected, or is no more, begins anew.

use std::sync::Arc;
use std::time::Duration;

use ledger::{Action, SecretKey, Standing, State as _};

use super::error::Error;
use super::start::blocking;
use super::{Node, Role, secrets};

/// How often it is looked while no block comes.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What the chain wants of this node.
enum Wanted {
    /// That it goes on.
    Nothing,
    /// That it says that it is there again, with this key.
    Return(Box<SecretKey>),
    /// That it begins anew, with another role.
    Begin,
}

/// Looks after the node's seat until it stops; returns when the node should begin anew.
pub async fn keep(node: &Arc<Node>) {
    let mut tips = node.chain.watch();
    loop {
        tips.mark_unchanged();
        let looking = Arc::clone(node);
        match blocking("the seat", move || look(&looking)).await {
            Ok(Wanted::Begin) => match follow_to_the_tip(node).await {
                Ok(()) => {
                    return tracing::info!("the node begins anew: whether it decides blocks has changed");
                }
                Err(error) => tracing::warn!(%error, "this node does not take its seat yet"),
            },
            Ok(Wanted::Return(key)) => come_back(node, *key).await,
            Ok(Wanted::Nothing) => {}
            Err(error) => tracing::warn!(%error, "the seat of this node is not known"),
        }
        tokio::select! {
            changed = tips.changed() => if changed.is_err() {
                // The chain ended, which is seen elsewhere.
                std::future::pending::<()>().await;
            },
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// Whether a node that nobody answers begins anew as a delegate: somebody has to make the first block.
pub async fn begins_alone(node: &Arc<Node>) -> bool {
    let looking = Arc::clone(node);
    let begins = blocking("the seat", move || {
        let begins = node_is_new(&looking) && matches!(look(&looking)?, Wanted::Begin);
        if begins {
            looking.chain.note_level()?;
        }
        Ok(begins)
    });
    begins.await.unwrap_or(false)
}

fn node_is_new(node: &Node) -> bool {
    node.role == Role::Follower && node.chain.height() == 0
}

/// A node has a key of a delegate from its start, or from when it registers.
fn look(node: &Node) -> Result<Wanted, Error> {
    match secrets::read_key(&node.folder.delegate_key())? {
        Some(key) => wanted(node, key),
        None => Ok(Wanted::Nothing),
    }
}

fn wanted(node: &Node, key: SecretKey) -> Result<Wanted, Error> {
    let (state, me) = (node.chain.state(), key.address());
    let (Some(delegate), round) = (
        state.delegate(&me).map_err(|error| state_error(&error))?,
        state.round().map_err(|error| state_error(&error))?,
    ) else {
        return Ok(Wanted::Nothing);
    };
    if let Standing::Jailed { until_round } = delegate.standing
        && round.number >= until_round
    {
        return Ok(Wanted::Return(Box::new(key)));
    }
    let begins = match node.role {
        Role::Delegate => !node.chain.may_sit(&me)? || node.chain.goes_on_elsewhere(),
        Role::Follower => node.chain.may_begin(&key.public())?,
    };
    Ok(if begins { Wanted::Begin } else { Wanted::Nothing })
}

/// Who becomes a delegate starts at the tip of its peers, whenever that was made.
async fn follow_to_the_tip(node: &Arc<Node>) -> Result<(), Error> {
    if node.role == Role::Delegate {
        return Ok(());
    }
    node.chain.synced().await?;
    let noting = Arc::clone(node);
    blocking("the seat", move || Ok(noting.chain.note_level()?)).await
}

fn state_error(error: &ledger::StateError) -> Error {
    Error::Broken {
        part: "the seat",
        reason: error.to_string(),
    }
}

/// Asks to be a candidate again. It costs nothing, and is in a block or refused before the next look.
async fn come_back(node: &Arc<Node>, key: SecretKey) {
    let sending = Arc::clone(node);
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
