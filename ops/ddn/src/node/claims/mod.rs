//! Claims on their way to the ledger: the jobs of publishes and registrations, driven to their end.
//!
//! [`job`] is what is written down, [`step`] decides what is next, [`active`] does it for one job, [`table`] for all. One task drives all jobs: with each
//! block, and whenever a job is added. A job outlives the client that asked for it, and the process.

mod active;
pub mod files;
pub mod job;
pub mod step;
mod table;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ledger::{Link, SecretKey};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::error::Error;
use crate::api::types::{PublishJobs, PublishStage};
use job::{Content, Naming};
use step::Failure;
pub use table::Parts;
use table::Table;

/// What a job tells whoever asked for it.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// It came to another stage.
    Stage(PublishStage),
    /// It ended; nothing follows.
    Ended(Result<Outcome, Failure>),
}

/// What came of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The commit of the name's claim.
    pub name_commit: Option<String>,
    /// The transaction that did what the name was to become.
    pub name_tx: Option<String>,
    /// The transaction that anchored the content.
    pub asset_tx: Option<String>,
    /// Height of the last of them; of the tip if there was none.
    pub height: u64,
    /// Something to know.
    pub note: Option<String>,
}

/// Told by a job: more than it ever says, so it never waits for its listener.
const TOLD_MAX: usize = 16;

/// All jobs of a node. Clones share them.
#[derive(Clone)]
pub struct Claims {
    table: Arc<Mutex<Table>>,
    news: Arc<Notify>,
    parts: Arc<Parts>,
}

impl Claims {
    /// Loads the jobs that an earlier process left, and drops those whose content never arrived. Blocks on disks.
    ///
    /// # Errors
    /// If a job file or the block store cannot be read.
    pub fn open(parts: Parts) -> Result<Self, Error> {
        let parts = Arc::new(parts);
        let table = Table::load(Arc::clone(&parts))?;
        Ok(Self {
            table: Arc::new(Mutex::new(table)),
            news: Arc::new(Notify::new()),
            parts,
        })
    }

    /// Drives the jobs until `stop`. Blocking work runs on the runtime's blocking threads.
    ///
    /// # Errors
    /// If that work breaks down.
    pub async fn drive(&self, stop: CancellationToken) -> Result<(), Error> {
        let mut tips = self.parts.chain.watch();
        loop {
            let claims = self.clone();
            let pass = tokio::task::spawn_blocking(move || claims.pass()).await;
            pass.map_err(|error| Error::Broken {
                part: "the publisher",
                reason: error.to_string(),
            })?;
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = self.news.notified() => {}
                changed = tips.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// A job whose content is arriving. Blocks on a disk.
    ///
    /// # Errors
    /// If it cannot be written down.
    pub fn begin(&self, wallet: &str, key: &SecretKey, name: Option<&str>) -> Result<String, Error> {
        self.table().begin(wallet, key, name)
    }

    /// The content of a job did not arrive. Blocks on a disk.
    pub fn abandon(&self, id: &str) {
        self.table().abandon(id);
    }

    /// The content of a job arrived: from now on it goes by itself, and other nodes can find the content. Blocks on a disk.
    ///
    /// # Errors
    /// If it cannot be written down; then the content is removed.
    pub fn claim(
        &self,
        id: &str,
        content: Option<Content>,
        name: Option<Naming>,
    ) -> Result<mpsc::Receiver<Told>, Error> {
        let (tell, told) = mpsc::channel(TOLD_MAX);
        let root = content.as_ref().map(|content| content.root);
        let claimed = self.table().claim(id, content, name, tell);
        match (&claimed, root) {
            (Ok(()), Some(root)) => self.parts.mesh.provide(&root.0),
            (Err(_), Some(root)) => self.remove(&root),
            (_, None) => {}
        }
        self.news.notify_one();
        claimed.map(|()| told)
    }

    /// The jobs under way, and how the last ones ended.
    pub fn list(&self) -> PublishJobs {
        self.table().list()
    }

    /// How many are under way.
    pub fn count(&self) -> usize {
        self.table().count()
    }

    /// Does what can be done now. The content of jobs that failed is removed on other threads: that may take long.
    fn pass(&self) {
        for (id, root) in self.table().pass() {
            let claims = self.clone();
            tokio::task::spawn_blocking(move || {
                claims.remove(&root);
                claims.table().removed(&id);
            });
        }
    }

    /// Removes content that failed. What it takes of the lock is short, the collection of garbage is not.
    fn remove(&self, root: &Link) {
        let released = self.table().release(root);
        let removed = released.and_then(|garbage| match garbage {
            true => {
                self.parts.mesh.withdraw(&root.0);
                self.parts.store.gc(&mut |_| {}).map(drop).map_err(Error::from)
            }
            false => Ok(()),
        });
        if let Err(error) = removed {
            tracing::error!(%root, %error, "the content of a failed publish could not be removed");
        }
    }

    /// A panic while it was held left a job between two steps; each step is written down or can be repeated.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
