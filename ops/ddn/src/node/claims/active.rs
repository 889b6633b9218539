//! One job in hand: what [`step`] decides is done here, on the chain and in the job file.

use chain::{Fate, SubmitError, View};
use ledger::{Action, Address, Asset, Hash, Link, NameEntry, Refusal, SecretKey, State as _, Tx};
use tokio::sync::mpsc;

use super::job::{Job, Sent, Track, Work};
use super::step::{self, Facts, Failure, Next};
use super::table::Parts;
use super::{Outcome, Told, files};
use crate::api::types::{PublishJob, PublishStage};
use crate::node::error::Error;

/// A job in hand.
pub struct Active {
    /// What is written down.
    pub job: Job,
    /// How far it is.
    pub stage: PublishStage,
    /// Who asked for it, if they are still there.
    pub tell: Option<mpsc::Sender<Told>>,
    /// Why it waits, if it does.
    pub problem: Option<String>,
    /// Why it failed, while its content is being removed.
    pub failure: Option<Failure>,
    /// Whether somebody removes its content already.
    removing: bool,
}

impl Active {
    /// A job as it was written down.
    pub fn new(job: Job) -> Self {
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

    /// As users see it.
    pub fn view(&self) -> PublishJob {
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
    pub fn take_removal(&mut self) -> Option<Link> {
        let Work::Removing { root, .. } = self.job.work else {
            return None;
        };
        let first = !std::mem::replace(&mut self.removing, true);
        first.then_some(root)
    }

    /// The content and its track, if there is content.
    pub fn content(&self) -> Option<(Link, &Track)> {
        match &self.job.work {
            Work::Claiming {
                content: Some(content),
                asset: Some(asset),
                ..
            } => Some((content.root, asset)),
            _ => None,
        }
    }

    /// As far as it goes without another block. The name first: it is what may fail, and then the content need not be
    /// anchored.
    ///
    /// # Errors
    /// Why it does not go on: for now, or for ever.
    pub fn advance(&mut self, parts: &Parts) -> Result<(), Stop> {
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
                    split: content.split.clone(),
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
                tx: Some(Box::new(tx.clone())),
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
            SubmitError::Full { .. } | SubmitError::Outbid { .. } | SubmitError::Chain(_) => {
                return Err(Stop::Later(refused.to_string()));
            }
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

    /// It cannot go on now; it is tried again.
    pub fn hold(&mut self, problem: String) {
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

    /// Tells whoever asked for it.
    pub fn say(&self, told: Told) {
        if let Some(tell) = &self.tell {
            // Whoever asked may have left.
            let _ = tell.try_send(told);
        }
    }

    /// What came of it.
    pub fn outcome(&self) -> Outcome {
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

/// Why a job does not go on now.
pub enum Stop {
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

fn claim_action(track: &Track, action: impl FnOnce(Hash) -> Action) -> Option<Action> {
    match track {
        Track::Commit { secret, .. } | Track::Claim { secret, .. } => Some(action(*secret)),
        Track::Set { .. } | Track::Done { .. } => None,
    }
}
