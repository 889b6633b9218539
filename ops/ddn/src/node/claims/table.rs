//! The jobs of a node: loaded, begun, taken as far as they go, ended.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use chain::Chain;
use cid::Cid;
use ledger::{Link, SecretKey};
use named::mesh::Mesh;
use storage::Store;
use tokio::sync::mpsc;

use super::active::{Active, Stop};
use super::job::{Content, FORMAT, Job, Naming, Track, Work};
use super::step::Failure;
use super::{Outcome, Told, files};
use crate::api::types::{ErrorText, PublishEvent, PublishJobs, PublishOutcome, PublishStage, Published};
use crate::node::error::Error;
use crate::node::secrets;
use crate::node::sender::Sender;
use crate::node::wallets::Wallets;

/// Ended jobs that are remembered until the node stops.
const RECENT_MAX: usize = 64;

/// What jobs work with.
pub struct Parts {
    /// The chain.
    pub chain: Chain,
    /// The block store.
    pub store: Store,
    /// Who tells others of the content.
    pub mesh: Mesh,
    /// Who signs.
    pub wallets: Wallets,
    /// Who submits.
    pub sender: Arc<Sender>,
    /// Where the job files are.
    pub dir: PathBuf,
}

/// The jobs of a node.
pub struct Table {
    parts: Arc<Parts>,
    jobs: BTreeMap<String, Active>,
    recent: VecDeque<PublishOutcome>,
    last_id: u64,
}

impl Table {
    pub fn load(parts: Arc<Parts>) -> Result<Self, Error> {
        let mut table = Self {
            parts,
            jobs: BTreeMap::new(),
            recent: VecDeque::new(),
            last_id: 0,
        };
        let loaded = files::load(&table.parts.dir)?;
        let (storing, rest): (Vec<Job>, Vec<Job>) = loaded
            .into_iter()
            .partition(|job| matches!(job.work, Work::Storing { .. }));
        for job in rest {
            tracing::info!(job = %job.id, name = job.name(), "a publish goes on after a restart");
            table.jobs.insert(job.id.clone(), Active::new(job));
        }
        if !storing.is_empty() {
            table.drop_strays()?;
        }
        for job in storing {
            tracing::info!(job = %job.id, name = job.name(), "an interrupted upload was dropped");
            files::forget(&table.parts.dir, &job.id)?;
        }
        Ok(table)
    }

    pub fn begin(&mut self, wallet: &str, key: &SecretKey, name: Option<&str>) -> Result<String, Error> {
        let started_ms = now_ms();
        self.last_id = started_ms.max(self.last_id + 1);
        let id = format!("{:013}-{}", self.last_id, hex::encode(&secrets::random()?[..4]));
        let work = Work::Storing {
            name: name.map(str::to_owned),
        };
        let wallet = wallet.to_owned();
        let job = Job {
            format: FORMAT,
            id: id.clone(),
            started_ms,
            wallet,
            owner: key.address(),
            work,
        };
        files::save(&self.parts.dir, &job)?;
        self.jobs.insert(id.clone(), Active::new(job));
        Ok(id)
    }

    pub fn abandon(&mut self, id: &str) {
        self.forget(id);
    }

    pub fn claim(
        &mut self,
        id: &str,
        content: Option<Content>,
        name: Option<Naming>,
        tell: mpsc::Sender<Told>,
    ) -> Result<(), Error> {
        if let Err(error) = self.write_claim(id, content, name) {
            self.forget(id);
            return Err(error);
        }
        if let Some(active) = self.jobs.get_mut(id) {
            active.stage = PublishStage::Committing;
            active.tell = Some(tell);
            active.say(Told::Stage(PublishStage::Committing));
        }
        Ok(())
    }

    /// The secrets are on the disk before anything is sent.
    fn write_claim(&mut self, id: &str, content: Option<Content>, name: Option<Naming>) -> Result<(), Error> {
        let gone = || Error::Broken {
            part: "the publisher",
            reason: format!("job {id} is gone"),
        };
        let active = self.jobs.get_mut(id).ok_or_else(gone)?;
        let mut asset = None;
        if let Some(content) = &content {
            asset = Some(Track::begin(secrets::claim_secret()?));
            // A failed job with the same content may have taken the pin away since the import.
            if !self.parts.store.is_pinned(&content.root.0)? {
                self.parts.store.pin(&content.root.0, "")?;
            }
        }
        let (content, name) = (content.map(Box::new), name.map(Box::new));
        active.job.work = Work::Claiming { content, asset, name };
        files::save(&self.parts.dir, &active.job)
    }

    pub fn list(&self) -> PublishJobs {
        PublishJobs {
            jobs: self.jobs.values().map(Active::view).collect(),
            recent: self.recent.iter().rev().cloned().collect(),
        }
    }

    pub fn count(&self) -> usize {
        self.jobs.len()
    }

    /// Takes every job as far as it goes without another block. Returns what is to be removed.
    pub fn pass(&mut self) -> Vec<(String, Link)> {
        let ids: Vec<String> = self.jobs.keys().cloned().collect();
        for id in &ids {
            let Some(active) = self.jobs.get_mut(id) else {
                continue;
            };
            match active.advance(&self.parts) {
                Ok(()) if active.job.is_done() => self.succeed(id),
                Ok(()) => {}
                Err(Stop::Later(problem)) => active.hold(problem),
                Err(Stop::Never(failure)) => self.fail(id, failure),
            }
        }
        self.jobs
            .iter_mut()
            .filter_map(|(id, active)| Some((id.clone(), active.take_removal()?)))
            .collect()
    }

    /// Takes the pin of a failed job's content away, unless something else wants it: another job, an anchored asset, or
    /// somebody who pinned it with a label. Whether there is garbage now.
    pub fn release(&self, root: &Link) -> Result<bool, Error> {
        let pins = self.parts.store.pins()?;
        let ours = pins
            .iter()
            .any(|pin| pin.label.is_empty() && same(&pin.cid, &root.0));
        let wanted = |active: &Active| active.content().is_some_and(|(other, _)| same(&other.0, &root.0));
        let keep = self.jobs.values().any(wanted) || self.parts.chain.state().asset(&root.0)?.is_some();
        if ours && !keep {
            self.parts.store.unpin(&root.0)?;
        }
        Ok(ours && !keep)
    }

    /// The content of a failed job is gone.
    pub fn removed(&mut self, id: &str) {
        let Some(active) = self.jobs.get_mut(id) else {
            return;
        };
        let interrupted = || Failure::new("internal", "it failed before the node was restarted");
        let failure = active.failure.take().unwrap_or_else(interrupted);
        self.end(id, Err(failure));
    }

    fn succeed(&mut self, id: &str) {
        let Some(active) = self.jobs.get(id) else { return };
        let outcome = active.outcome();
        self.end(id, Ok(outcome));
    }

    /// Nothing of a failed job stays, except content whose ownership is on the ledger or may get there.
    fn fail(&mut self, id: &str, mut failure: Failure) {
        let Some(active) = self.jobs.get_mut(id) else {
            return;
        };
        let name = active.job.name().map(str::to_owned);
        let Some((root, asset)) = active.content() else {
            return self.end(id, Err(failure));
        };
        if asset.tx().is_some_and(|_| matches!(asset, Track::Claim { .. })) || asset.is_done() {
            failure.message = format!("{}; the content stays published as {root}", failure.message);
            return self.end(id, Err(failure));
        }
        active.job.work = Work::Removing { name, root };
        active.failure = Some(failure);
        if let Err(error) = files::save(&self.parts.dir, &active.job) {
            tracing::error!(job = %id, %error, "a failed publish could not be written down");
        }
    }

    fn end(&mut self, id: &str, ended: Result<Outcome, Failure>) {
        let Some(active) = self.jobs.get(id) else { return };
        let outcome = match &ended {
            Ok(outcome) => PublishEvent::Done(published(&active.job, outcome)),
            Err(failure) => PublishEvent::Error(failure.into()),
        };
        match &ended {
            Ok(_) => tracing::info!(job = %id, name = active.job.name(), "a publish is final"),
            Err(failure) => {
                tracing::warn!(job = %id, name = active.job.name(), "a publish failed: {}", failure.message);
            }
        }
        let tell = active.tell.clone();
        let was_publish = active.job.content().is_some() || ended.is_err();
        self.forget(id);
        if was_publish {
            self.recent.push_back(PublishOutcome {
                id: id.to_owned(),
                outcome,
            });
        }
        while self.recent.len() > RECENT_MAX {
            self.recent.pop_front();
        }
        if let Some(tell) = tell {
            // Whoever asked may have left.
            let _ = tell.try_send(Told::Ended(ended));
        }
    }

    fn forget(&mut self, id: &str) {
        self.jobs.remove(id);
        if let Err(error) = files::forget(&self.parts.dir, id) {
            tracing::error!(job = %id, %error, "the file of an ended job could not be removed");
        }
    }

    /// Roots that were stored and pinned by a process that died before it could write down what for: of an import
    /// (without a label), in no job, and not anchored.
    fn drop_strays(&self) -> Result<(), Error> {
        let view = self.parts.chain.state();
        let wanted: Vec<Cid> = self
            .jobs
            .values()
            .filter_map(|active| Some(active.content()?.0.0))
            .collect();
        let mut found = false;
        for pin in self.parts.store.pins()? {
            if pin.label.is_empty() && !wanted.contains(&pin.cid) && view.asset(&pin.cid)?.is_none() {
                tracing::info!(root = %pin.cid, "the content of an interrupted publish is removed");
                self.parts.store.unpin(&pin.cid)?;
                found = true;
            }
        }
        if found {
            self.parts.store.gc(&mut |_| {})?;
        }
        Ok(())
    }
}

/// Versions 0 and 1 of a CID are the same root.
fn same(a: &Cid, b: &Cid) -> bool {
    a.codec() == b.codec() && a.hash() == b.hash()
}

/// What a publish says when it is final.
fn published(job: &Job, outcome: &Outcome) -> Published {
    let content = job.content();
    Published {
        cid: content
            .map(|content| content.root.to_string())
            .unwrap_or_default(),
        name: job.name().map(str::to_owned),
        bytes: content.and_then(|content| content.meta.bytes).unwrap_or_default(),
        files: content.and_then(|content| content.meta.files).unwrap_or_default(),
        asset_tx: outcome.asset_tx.clone(),
        name_tx: outcome.name_tx.clone(),
        height: Some(outcome.height),
        note: outcome.note.clone(),
        job: None,
    }
}

impl From<&Failure> for ErrorText {
    fn from(failure: &Failure) -> Self {
        Self {
            code: failure.code.to_owned(),
            message: failure.message.clone(),
            details: Vec::new(),
        }
    }
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
