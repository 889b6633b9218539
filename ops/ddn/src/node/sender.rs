//! The one place from which this node's own transactions leave.
//!
//! Accounts count their transactions, so those of one account must leave in the order of their nonces, each with the
//! next one. All senders of the node share this lock; it is held for one signature, one write and one submission.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chain::{Chain, Fate, SubmitError};
use cid::Cid;
use ledger::{Action, SecretKey, Tx, TxBody};

use super::error::Error;

/// How long a transaction that was taken may wait for its block before the wait is given up.
const FINAL_WITHIN: Duration = Duration::from_secs(120);
/// How often its fate is looked up while no block comes: a delegate may refuse what a follower has taken.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Signs and submits.
pub struct Sender {
    chain: Chain,
    turn: Mutex<()>,
}

/// Why a transaction is not known to be final.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// It was refused after it had been taken: what came before it changed the state.
    #[error("transaction {tx} was refused: {reason}")]
    Refused {
        /// Which.
        tx: Cid,
        /// The ledger's reason.
        reason: String,
    },
    /// It is still waiting.
    #[error(
        "transaction {tx} is in no block after {seconds} s: it may still come into one, see `ddn chain tx {tx}`"
    )]
    Late {
        /// Which.
        tx: Cid,
        /// How long.
        seconds: u64,
    },
    /// The chain cannot be read.
    #[error(transparent)]
    Chain(#[from] chain::Error),
}

impl Sender {
    /// For a chain.
    pub fn new(chain: Chain) -> Self {
        Self {
            chain,
            turn: Mutex::new(()),
        }
    }

    /// Signs an action with the next nonce of the key's account and submits it. `write_down` is called in between, and
    /// may still prevent it. Blocks on a disk.
    ///
    /// # Errors
    /// The outer error if nothing was submitted, the inner one if the chain did not take it.
    pub fn send(
        &self,
        key: &SecretKey,
        action: Action,
        write_down: impl FnOnce(&Tx) -> Result<(), Error>,
    ) -> Result<Result<Cid, SubmitError>, Error> {
        // A panic of another sender leaves nothing behind here.
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let genesis = self.chain.genesis();
        let nonce = self.chain.next_nonce(&key.address())?;
        let body = TxBody {
            chain: genesis.chain_id.clone(),
            nonce,
            fee: genesis.fee_of(action.kind()),
            action,
        };
        let tx = Tx::sign(body, key);
        write_down(&tx)?;
        Ok(self.chain.submit(tx))
    }

    /// Waits until a transaction is in a block, and returns its height.
    ///
    /// # Errors
    /// If it is refused, or in no block in time.
    pub async fn finality(&self, tx: &Cid) -> Result<u64, WaitError> {
        let mut tips = self.chain.watch();
        let wait = async {
            loop {
                tips.mark_unchanged();
                match self.chain.fate(tx)? {
                    Fate::Included { height } => return Ok(height),
                    Fate::Refused { reason } => return Err(WaitError::Refused { tx: *tx, reason }),
                    Fate::Pending { .. } | Fate::Unknown => {}
                }
                if let Ok(Err(_)) = tokio::time::timeout(LOOK_EVERY, tips.changed()).await {
                    // The chain stops: no more tips will come.
                    std::future::pending::<()>().await;
                }
            }
        };
        let late = |_| WaitError::Late {
            tx: *tx,
            seconds: FINAL_WITHIN.as_secs(),
        };
        tokio::time::timeout(FINAL_WITHIN, wait).await.map_err(late)?
    }
}
