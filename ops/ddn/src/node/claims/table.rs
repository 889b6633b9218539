//! The jobs of a node, and the hands that do what [`step`](super::step) decides.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use chain::{Chain, Fate, SubmitError, View};
use cid::Cid;
use ledger::{Action, Address, Asset, Hash, Link, NameEntry, Refusal, SecretKey, State as _, Tx};
use storage::Store;
use tokio::sync::mpsc;

use super::job::{Content, FORMAT, Job, Naming, Sent, Track, Work};
use super::step::{self, Facts, Failure, Next};
use super::{Outcome, Told, files};
use crate::api::types::{
    ErrorText, PublishEvent, PublishJob, PublishJobs, PublishOutcome, PublishStage, Published,
};
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

/// A job in hand.
struct Active {
    job: Job,
    stage: PublishStage,
    tell: Option<mpsc::Sender<Told>>,
    problem: Option<String>,
    /// Why it failed, while its content is being removed.
    failure: Option<Failure>,
    /// Whether somebody removes its content already.
    removing: bool,
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
        let secret = secrets::claim_secret()?;
        let Some(active) = self.jobs.get_mut(id) else {
            return Err(Error::Broken {
                part: "the publisher",
                reason: format!("job {id} is gone"),
            });
        };
        let asset = content.as_ref().map(|_| Track::begin(secret));
        let root = content.as_ref().map(|content| content.root);
        let before = std::mem::replace(&mut active.job.work, Work::Claiming { content, asset, name });
        if let Err(error) = files::save(&self.parts.dir, &active.job) {
            active.job.work = before;
            self.forget(id);
            if let Some(root) = root {
                self.parts.remove(&root);
            }
            return Err(error);
        }
        active.stage = PublishStage::Committing;
        active.tell = Some(tell);
        active.say(Told::Stage(PublishStage::Committing));
        Ok(())
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
                tracing::warn!(job = %id, name = active.job.name(), "a publish failed: {}", failure.message)
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

/// Why a job does not go on now.
enum Stop {
    /// It is tried again with the next block.
    Later(String),
    /// It cannot come to its end.
    Never(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Never(failure)
    }
}

impl From<chain::Error> for Stop {
    fn from(error: chain::Error) -> Self {
        Self::Later(error.to_string())
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Later(error.to_string())
    }
}

/// The two tracks of a job.
#[derive(Clone, Copy)]
enum Which {
    Name,
    Asset,
}

impl Active {
    fn new(job: Job) -> Self {
        let stage = match job.work {
            Work::Storing { .. } => PublishStage::Storing,
            _ => PublishStage::Committing,
        };
        Self {
            job,
            stage,
            tell: None,
            problem: None,
            failure: None,
            removing: false,
        }
    }

    fn view(&self) -> PublishJob {
        PublishJob {
            id: self.job.id.clone(),
            stage: self.stage,
            cid: self.job.content().map(|content| content.root.to_string()),
            name: self.job.name().map(str::to_owned),
            started_ms: self.job.started_ms,
            problem: self.problem.clone(),
        }
    }

    /// What is to be removed, once.
    fn take_removal(&mut self) -> Option<Link> {
        let Work::Removing { root, .. } = self.job.work else {
            return None;
        };
        let first = !std::mem::replace(&mut self.removing, true);
        first.then_some(root)
    }

    fn content(&self) -> Option<(Link, &Track)> {
        match &self.job.work {
            Work::Claiming {
                content: Some(content),
                asset: Some(asset),
                ..
            } => Some((content.root, asset)),
            _ => None,
        }
    }

    /// The name first: it is what may fail, and then the content need not be anchored.
    fn advance(&mut self, parts: &Parts) -> Result<(), Stop> {
        if !matches!(self.job.work, Work::Claiming { .. }) {
            return Ok(());
        }
        let key = parts.wallets.key(&self.job.wallet)?;
        let key = key.filter(|key| key.address() == self.job.owner).ok_or_else(|| {
            let text = format!(
                "the key of the wallet {} is gone: restore it, then restart the node",
                self.job.wallet
            );
            Stop::Later(text)
        })?;
        for which in [Which::Name, Which::Asset] {
            while self.step(parts, &key, which)? {}
        }
        self.problem = None;
        self.note_stage();
        Ok(())
    }

    /// Whether there may be more to do at once.
    fn step(&mut self, parts: &Parts, key: &SecretKey, which: Which) -> Result<bool, Stop> {
        let view = parts.chain.state();
        let next = match self.next(parts, &view, which)? {
            Some(next) => next,
            None => return Ok(false),
        };
        match next {
            Next::Wait => Ok(false),
            // Not written down: it follows again from what is, and from the chain.
            Next::Become(track) => {
                if let Some(place) = self.track_mut(which) {
                    *place = track;
                }
                Ok(true)
            }
            Next::Send(action) => self.send(parts, key, which, action),
            Next::Repeat => self.repeat(parts, which),
            Next::Fail(failure) => Err(failure.into()),
        }
    }

    fn next(&self, parts: &Parts, view: &View, which: Which) -> Result<Option<Next>, Stop> {
        let Work::Claiming { content, asset, name } = &self.job.work else {
            return Ok(None);
        };
        match (which, content, asset, name) {
            (Which::Name, _, _, Some(naming)) => {
                let entry: Option<NameEntry> = view.name(&naming.label)?;
                let claim = claim_action(&naming.track, |secret| Action::NameRegister {
                    label: naming.label.clone(),
                    secret,
                    records: ledger::Records::default(),
                });
                let facts = self.facts(parts, view, &naming.track, claim)?;
                Ok(Some(step::name(&naming.track, naming, entry.as_ref(), &facts)))
            }
            (Which::Asset, Some(content), Some(track), _) => {
                let entry: Option<Asset> = view.asset(&content.root.0)?;
                let claim = claim_action(track, |secret| Action::AssetAnchor {
                    cid: content.root,
                    secret,
                    meta: content.meta.clone(),
                });
                let facts = self.facts(parts, view, track, claim)?;
                Ok(Some(step::asset(track, content, entry.as_ref(), &facts)))
            }
            _ => Ok(None),
        }
    }

    fn facts<'a>(
        &self,
        parts: &'a Parts,
        view: &View,
        track: &Track,
        claim: Option<Action>,
    ) -> Result<Facts<'a>, Stop> {
        let genesis = parts.chain.genesis();
        let owner: Address = self.job.owner;
        let fate = track
            .tx()
            .map_or(Ok(Fate::Unknown), |tx| parts.chain.fate(&tx.cid()))?;
        let commit = match claim.and_then(|claim| claim.commitment(&genesis.chain_id, &owner)) {
            Some(hash) => view
                .commit(&owner, &hash)
                .map_err(|error| Stop::Later(error.to_string()))?,
            None => None,
        };
        let account = view.account(&owner)?;
        Ok(Facts {
            genesis,
            height: view.tip().height,
            owner,
            account,
            fate,
            commit,
        })
    }

    fn send(&mut self, parts: &Parts, key: &SecretKey, which: Which, action: Action) -> Result<bool, Stop> {
        let sent = parts
            .sender
            .send(key, action, |tx| self.write_down(parts, which, tx))?;
        sent.map_or_else(|refused| self.refused(which, refused), |_| Ok(false))
    }

    /// On the disk before it leaves.
    fn write_down(&mut self, parts: &Parts, which: Which, tx: &Tx) -> Result<(), Error> {
        if let Some(sent) = self.track_mut(which).and_then(Track::sent_mut) {
            *sent = Sent {
                tx: Some(tx.clone()),
                times: sent.times + 1,
            };
        }
        files::save(&parts.dir, &self.job)
    }

    fn repeat(&mut self, parts: &Parts, which: Which) -> Result<bool, Stop> {
        let Some(tx) = self.track_mut(which).and_then(|track| track.tx().cloned()) else {
            return Ok(false);
        };
        match parts.chain.submit(tx) {
            Ok(_) => Ok(false),
            Err(refused) => self.refused(which, refused),
        }
    }

    /// What a refusal means: most are for the next look at the state to judge.
    fn refused(&mut self, which: Which, refused: SubmitError) -> Result<bool, Stop> {
        let refusal = match refused {
            SubmitError::Refused(refusal) => refusal,
            SubmitError::TooLarge { .. } => return Err(Failure::new("refused", refused.to_string()).into()),
            SubmitError::Full { .. } | SubmitError::Chain(_) => return Err(Stop::Later(refused.to_string())),
        };
        let text = refusal.to_string();
        match refusal {
            Refusal::Nonce { .. } => {
                if let Some(sent) = self.track_mut(which).and_then(Track::sent_mut) {
                    sent.tx = None;
                }
                Err(Stop::Later(text))
            }
            Refusal::NoCommit { .. }
            | Refusal::RevealEarly { .. }
            | Refusal::RevealLate { .. }
            | Refusal::CommitOpen { .. }
            | Refusal::NameTaken { .. }
            | Refusal::AssetTaken { .. }
            | Refusal::State(_) => Err(Stop::Later(text)),
            Refusal::Balance { .. } => Err(Failure::new("not_enough_coins", text).into()),
            _ => Err(Failure::new("refused", text).into()),
        }
    }

    fn track_mut(&mut self, which: Which) -> Option<&mut Track> {
        let Work::Claiming { asset, name, .. } = &mut self.job.work else {
            return None;
        };
        match which {
            Which::Name => name.as_mut().map(|naming| &mut naming.track),
            Which::Asset => asset.as_mut(),
        }
    }

    fn hold(&mut self, problem: String) {
        if self.problem.as_ref() != Some(&problem) {
            tracing::warn!(job = %self.job.id, name = self.job.name(), "a publish waits: {problem}");
        }
        self.problem = Some(problem);
    }

    fn note_stage(&mut self) {
        let Work::Claiming { asset, name, .. } = &self.job.work else {
            return;
        };
        let name = name.as_ref().map(|naming| &naming.track);
        let commits = asset
            .iter()
            .chain(name)
            .any(|track| matches!(track, Track::Commit { .. }));
        if !commits && self.stage == PublishStage::Committing {
            self.stage = PublishStage::Claiming;
            self.say(Told::Stage(self.stage));
        }
    }

    fn say(&self, told: Told) {
        if let Some(tell) = &self.tell {
            // Whoever asked may have left.
            let _ = tell.try_send(told);
        }
    }

    fn outcome(&self) -> Outcome {
        let mut outcome = Outcome::default();
        let Work::Claiming { asset, name, .. } = &self.job.work else {
            return outcome;
        };
        let text = |link: &Option<Link>| link.map(|link| link.to_string());
        if let Some(Track::Done { tx, height, note, .. }) = asset {
            outcome.asset_tx = text(tx);
            outcome.height = *height;
            outcome.note = note.clone();
        }
        if let Some(Track::Done {
            commit, tx, height, ..
        }) = name.as_ref().map(|naming| &naming.track)
        {
            outcome.name_commit = text(commit);
            outcome.name_tx = text(tx);
            outcome.height = outcome.height.max(*height);
        }
        outcome
    }
}

impl Parts {
    /// Removes content that nothing else wants: another job, an anchored asset or somebody who pinned it with a label.
    pub fn remove(&self, root: &Link) {
        if let Err(error) = self.try_remove(root) {
            tracing::error!(%root, %error, "the content of a failed publish could not be removed");
        }
    }

    fn try_remove(&self, root: &Link) -> Result<(), Error> {
        let pins = self.store.pins()?;
        let ours = pins
            .iter()
            .any(|pin| pin.label.is_empty() && same(&pin.cid, &root.0));
        let others = files::load(&self.dir)?;
        let wanted = others.iter().any(|job| {
            job.content()
                .is_some_and(|content| same(&content.root.0, &root.0))
        });
        if ours && !wanted && self.chain.state().asset(&root.0)?.is_none() {
            self.store.unpin(&root.0)?;
            self.store.gc(&mut |_| {})?;
        }
        Ok(())
    }
}

/// Versions 0 and 1 of a CID are the same root.
fn same(a: &Cid, b: &Cid) -> bool {
    a.codec() == b.codec() && a.hash() == b.hash()
}

fn claim_action(track: &Track, action: impl FnOnce(Hash) -> Action) -> Option<Action> {
    match track {
        Track::Commit { secret, .. } | Track::Claim { secret, .. } => Some(action(*secret)),
        Track::Set { .. } | Track::Done { .. } => None,
    }
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
        }
    }
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
