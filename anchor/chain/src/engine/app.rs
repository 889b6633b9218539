//! The answers to the engine: what to propose, whether a proposal is good, what to keep, what to do next.
//!
//! It runs on a thread of its own, since most of it waits for the disk. Three rules carry the safety of a delegate:
//! a block is durable before the engine hears of it, every message is answered, and after a failed write nothing is
//! answered any more.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_malachitebft_app_channel::app::engine::host::{Next, SyncedValueOutcome};
use arc_malachitebft_app_channel::app::engine::network::{NetworkMsg, NetworkRef, PersistentPeersOp};
use arc_malachitebft_app_channel::app::net::Multiaddr;
use arc_malachitebft_app_channel::app::streaming::StreamContent;
use arc_malachitebft_app_channel::app::types::core::{
    CommitCertificate, ExtendedCommitCertificate, HeightParams, Round, Validity,
};
use arc_malachitebft_app_channel::app::types::streaming::{StreamId, StreamMessage};
use arc_malachitebft_app_channel::app::types::sync::RawDecidedValue;
use arc_malachitebft_app_channel::app::types::{LocallyProposedValue, MisbehaviorEvidence, ProposedValue};
use arc_malachitebft_app_channel::{AppMsg, NetworkRequest};
use bytes::Bytes;
use consensus::{Address, Chain, Checker, Height, Part, Value, round_number};
use ledger::{Block, Certificate, Genesis, Hash, PublicKey, ValidatorSet};
use tokio::sync::{mpsc, oneshot};

use super::accuse::Accuser;
use super::peers;
use super::reveals::OwnReveals;
use super::settings;
use super::sign::Delegate;
use super::wire;
use crate::clock::now_ms;
use crate::committer::Committer;
use crate::execute::{Executor, NotRun};
use crate::mempool::Mempool;
use crate::metrics::Metrics;
use crate::monitor::Monitor;
use crate::store::{Executed, Store, Undecided};
use crate::{Error, Failure};

/// A proposal from the future by more than this waits: either clock may be wrong, so it is no verdict.
const CLOCK_TOLERANCE_MS: u64 = 5_000;
/// Different blocks that one proposer can make us run and keep in one round: two show that it cheats.
const BLOCKS_PER_ROUND_MAX: usize = 2;
/// Rounds ahead of ours from which a proposal is looked at.
const ROUNDS_AHEAD_MAX: u32 = 16;
/// Parts of the next height that wait until we are there.
const PARKED_MAX: usize = 8;
/// Bytes of blocks in one answer to a peer that catches up; the engine sends at most 10 MiB.
const SYNC_BYTES_MAX: usize = 6 << 20;

type Params = HeightParams<Chain>;

/// What the engine thread works with.
pub(crate) struct App {
    pub(crate) genesis: Arc<Genesis>,
    pub(crate) me: PublicKey,
    pub(crate) delegate: Delegate,
    pub(crate) reveals: OwnReveals,
    pub(crate) accuser: Accuser,
    pub(crate) network_requests: mpsc::Sender<NetworkRequest>,
    /// With whom the engine's network keeps connections, and since which round.
    pub(crate) peers: Vec<Multiaddr>,
    pub(crate) round_of_peers: u64,
    pub(crate) checker: Checker,
    pub(crate) store: Arc<Store>,
    pub(crate) executor: Executor,
    pub(crate) mempool: Arc<Mempool>,
    pub(crate) monitor: Arc<Monitor>,
    pub(crate) metrics: Metrics,
    pub(crate) committer: Committer,
    pub(crate) network: NetworkRef<Chain>,
    pub(crate) ready: Option<oneshot::Sender<()>>,
    /// Signs two things in each round, past the journal.
    #[cfg(test)]
    pub(crate) two_faced: Option<ledger::SecretKey>,
    pub(crate) rounds: Rounds,
    pub(crate) pace: Pace,
}

/// What is remembered of the height that is being decided. Nothing in it is lost by a restart but time.
#[derive(Default)]
pub(crate) struct Rounds {
    round: u32,
    parked: Vec<Part>,
    executed: HashMap<Hash, Executed>,
    /// Blocks found invalid, by round: running them costs time, so they count against the proposer.
    invalid: HashMap<u32, usize>,
    synced: bool,
}

/// Whether this node is ahead of the others: when it began its height, and how long after that the block of the height's
/// first proposer came. See [`consensus::height_params`].
#[derive(Default)]
pub(crate) struct Pace {
    height: u64,
    began: Option<Instant>,
    late: Option<Duration>,
}

impl App {
    /// Answers until the engine closes the channel or something fails.
    pub(crate) fn run(mut self, mut messages: mpsc::Receiver<AppMsg<Chain>>) {
        while let Some(message) = messages.blocking_recv() {
            if let Err(error) = self.answer(message) {
                self.monitor.fail(Failure::Store {
                    reason: error.with_sources(),
                });
                return;
            }
        }
        self.monitor.fail(Failure::Stopped {
            height: self.store.tip().height + 1,
        });
    }

    fn answer(&mut self, message: AppMsg<Chain>) -> Result<(), Error> {
        match message {
            AppMsg::ConsensusReady { reply } => self.consensus_ready(reply),
            AppMsg::StartedRound {
                height,
                round,
                reply_value,
                ..
            } => self.started_round(height.0, round_number(round), reply_value),
            AppMsg::GetValue {
                height, round, reply, ..
            } => self.get_value(height.0, round, reply),
            AppMsg::ReceivedProposalPart { part, reply, .. } => self.received_part(part, reply),
            AppMsg::RestreamProposal {
                height,
                round,
                address,
                value_id,
                ..
            } => self.restream(height.0, round_number(round), address, value_id.0),
            AppMsg::Decided {
                certificate, reply, ..
            } => self.decided(&certificate, reply),
            AppMsg::Finalized {
                certificate,
                evidence,
                reply,
                ..
            } => self.finalized(&certificate, &evidence, reply),
            AppMsg::GetHistoryMinHeight { reply } => {
                let _ = reply.send(Height(self.store.first_height()?));
                Ok(())
            }
            AppMsg::GetDecidedValues { range, reply } => {
                let _ = reply.send(self.decided_values(range.start().0, range.end().0)?);
                Ok(())
            }
            AppMsg::ProcessSyncedValue {
                height,
                round,
                proposer,
                value_bytes,
                reply,
            } => {
                let _ = reply.send(self.synced_value(height, round, proposer, value_bytes)?);
                Ok(())
            }
            AppMsg::ExtendVote { reply, .. } => {
                let _ = reply.send(None);
                Ok(())
            }
            AppMsg::VerifyVoteExtensions {
                extensions, reply, ..
            } => {
                let _ = reply.send(
                    extensions
                        .into_iter()
                        .map(|(address, ())| (address, Ok(())))
                        .collect(),
                );
                Ok(())
            }
        }
    }

    fn consensus_ready(&mut self, reply: oneshot::Sender<(Height, Params)>) -> Result<(), Error> {
        let next = self.store.tip().height + 1;
        let _ = reply.send((Height(next), self.params(next)?));
        if let Some(ready) = self.ready.take() {
            let _ = ready.send(());
        }
        Ok(())
    }

    fn params(&self, height: u64) -> Result<Params, Error> {
        let set = self.executor.validators(height)?;
        let set = consensus::ValidatorSet::new(set, self.executor.order(height)?);
        let late = self.pace.late.unwrap_or_default();
        Ok(consensus::height_params(&self.genesis, set, late))
    }

    /// Hands over what is known of the round: parts that came too early, and what was kept before a crash.
    fn started_round(
        &mut self,
        height: u64,
        round: u32,
        reply: oneshot::Sender<Vec<ProposedValue<Chain>>>,
    ) -> Result<(), Error> {
        self.rounds.round = round;
        #[cfg(test)]
        self.equivocate(height, round);
        if round == 0 {
            self.pace = Pace {
                height,
                began: Some(Instant::now()),
                late: None,
            };
        }
        if round > 0 {
            self.metrics.late_rounds.inc();
            tracing::warn!(height, round, "the round before ended without a block");
        }
        let mut values = Vec::new();
        for part in std::mem::take(&mut self.rounds.parked) {
            match part.height.cmp(&height) {
                Ordering::Less => {}
                Ordering::Equal => values.extend(self.accept(&part)?),
                Ordering::Greater => self.park(part),
            }
        }
        for kept in self.store.undecided(height)? {
            if (round == 0 || kept.round == round) && !values.iter().any(|v| v.value.0.0 == kept.header) {
                values.extend(self.redeliver(height, &kept)?);
            }
        }
        let _ = reply.send(values);
        Ok(())
    }

    /// Prevotes for two blocks that nobody has seen.
    #[cfg(test)]
    fn equivocate(&self, height: u64, round: u32) {
        use arc_malachitebft_app_channel::app::types::SignedConsensusMsg;
        use arc_malachitebft_app_channel::app::types::core::{NilOrVal, SignedMessage, VoteType};

        let Some(key) = &self.two_faced else { return };
        for face in [b"one", b"two"] {
            let vote = consensus::Vote {
                kind: VoteType::Prevote,
                height: Height(height),
                round: Round::new(round),
                value: NilOrVal::Val(Value(Hash::of(face))),
                voter: Address(self.me.address()),
            };
            let bytes = consensus::vote_bytes(&self.genesis.chain_id, &vote);
            let signed = SignedMessage::new(vote, consensus::Sig(key.sign_bytes(&bytes)));
            let message = NetworkMsg::PublishConsensusMsg(SignedConsensusMsg::Vote(signed));
            let _ = self.network.cast(message);
        }
    }

    /// What is kept was found valid on the same parent: a height has one.
    fn redeliver(&self, height: u64, kept: &Undecided) -> Result<Option<ProposedValue<Chain>>, Error> {
        let set = self.executor.validators(height)?;
        let proposer = self.proposer(&set, height, kept.round)?;
        Ok(Some(proposed(
            height,
            kept.round,
            &proposer,
            Hash(kept.header),
            Validity::Valid,
        )))
    }

    /// Proposes the block that was already made for this round, if there is one: a delegate says one thing.
    fn get_value(
        &mut self,
        height: u64,
        round: Round,
        reply: oneshot::Sender<LocallyProposedValue<Chain>>,
    ) -> Result<(), Error> {
        if height != self.store.tip().height + 1 {
            return Err(self.out_of_order("asks for the block of", height));
        }
        let part = match self.own_part(height, round_number(round))? {
            Some(part) => part,
            None => self.build(height, round_number(round))?,
        };
        let header = decode(&part.block).map(|block| block.header.id());
        let header = header.map_err(|reason| Error::damaged("proposal", reason))?;
        let _ = reply.send(LocallyProposedValue::new(Height(height), round, Value(header)));
        self.publish(part, &header);
        Ok(())
    }

    fn own_part(&self, height: u64, round: u32) -> Result<Option<Part>, Error> {
        let kept = self
            .store
            .undecided(height)?
            .into_iter()
            .filter(|kept| kept.round == round);
        for kept in kept {
            let part = decode_part(&kept)?;
            let block = decode(&part.block).map_err(|reason| Error::damaged("proposal", reason))?;
            if block.header.proposer == self.me.address() {
                return Ok(Some(part));
            }
        }
        Ok(None)
    }

    fn build(&mut self, height: u64, round: u32) -> Result<Part, Error> {
        self.accuser.submit(&self.store.view(), &self.mempool)?;
        let (me, candidates) = (self.me.address(), self.mempool.candidates());
        let reveal = match self.executor.tip_of(&me)? {
            Some(tip) => Some(self.reveals.before(&tip)?),
            None => None,
        };
        let built = self.executor.build(me, reveal, now_ms(), &candidates)?;
        if !built.refused.is_empty() {
            tracing::debug!(
                height,
                refused = built.refused.len(),
                "transactions that do not fit this block"
            );
        }
        let header = built.block.header.id();
        self.rounds.executed.insert(header, built.executed);
        self.keep(height, round, &header, ledger::encode(&built.block).into())
    }

    /// Signs a block as the proposer of the round and makes it durable.
    fn keep(&self, height: u64, round: u32, header: &Hash, block: Bytes) -> Result<Part, Error> {
        let signature = self.delegate.sign_part(height, round, header);
        let part = Part {
            height,
            round,
            signature,
            block,
        };
        self.put(&part, header)?;
        Ok(part)
    }

    fn put(&self, part: &Part, header: &Hash) -> Result<(), Error> {
        let kept = Undecided {
            round: part.round,
            header: header.0,
            part: wire::encode(part),
        };
        self.store.put_undecided(part.height, &kept)
    }

    fn publish(&self, part: Part, header: &Hash) {
        let mut id = part.height.to_be_bytes().to_vec();
        id.extend(part.round.to_be_bytes());
        id.extend(&header.0[..8]);
        let message = StreamMessage::new(StreamId::new(id.into()), 0, StreamContent::Data(part));
        if self
            .network
            .cast(NetworkMsg::PublishProposalPart(message))
            .is_err()
        {
            tracing::debug!("the engine's network has stopped");
        }
    }

    fn received_part(
        &mut self,
        message: StreamMessage<Part>,
        reply: oneshot::Sender<Option<ProposedValue<Chain>>>,
    ) -> Result<(), Error> {
        let next = self.store.tip().height + 1;
        if let StreamContent::Data(part) = &message.content {
            self.note_late(part)?;
        }
        let value = match message.content {
            StreamContent::Data(part) if part.height == next => self.accept(&part)?,
            StreamContent::Data(part) if part.height == next + 1 => {
                self.park(part);
                None
            }
            StreamContent::Data(_) | StreamContent::Fin => None,
        };
        let _ = reply.send(value);
        Ok(())
    }

    /// The block of the height's first proposer has come, maybe after the height was decided without it.
    fn note_late(&mut self, part: &Part) -> Result<(), Error> {
        let is_first = part.height == self.pace.height && part.round == 0;
        if !is_first || self.pace.late.is_some() {
            return Ok(());
        }
        let set = self.executor.validators(part.height)?;
        let proposer = self.proposer(&set, part.height, 0)?;
        if self.authentic(part, &proposer).is_some() {
            self.pace.late = self.pace.began.map(|began| began.elapsed());
        }
        Ok(())
    }

    /// Keeps a part for the next height, once; the oldest makes room.
    fn park(&mut self, part: Part) {
        if self.rounds.parked.contains(&part) {
            return;
        }
        if self.rounds.parked.len() == PARKED_MAX {
            self.rounds.parked.remove(0);
        }
        self.rounds.parked.push(part);
    }

    /// Judges a part of the height after the tip. None: nothing to say about it.
    fn accept(&mut self, part: &Part) -> Result<Option<ProposedValue<Chain>>, Error> {
        let (height, round) = (part.height, part.round);
        if height != self.store.tip().height + 1 || round > self.rounds.round.saturating_add(ROUNDS_AHEAD_MAX)
        {
            return Ok(None);
        }
        let set = self.executor.validators(height)?;
        let proposer = self.proposer(&set, height, round)?;
        let Some((block, header)) = self.authentic(part, &proposer) else {
            return Ok(None);
        };
        let same_round = self.store.undecided(height)?;
        let same_round = same_round.iter().filter(|kept| kept.round == round);
        if same_round.clone().any(|kept| kept.header == header.0) {
            return Ok(Some(proposed(height, round, &proposer, header, Validity::Valid)));
        }
        let judged = same_round.count() + self.rounds.invalid.get(&round).unwrap_or(&0);
        if judged >= BLOCKS_PER_ROUND_MAX || !self.is_due(&block) {
            return Ok(None);
        }
        let validity = self.judge(part, &block, header)?;
        if validity == Validity::Invalid {
            *self.rounds.invalid.entry(round).or_default() += 1;
        }
        Ok(Some(proposed(height, round, &proposer, header, validity)))
    }

    /// The block of a part, if the proposer of its round signed it.
    fn authentic(&self, part: &Part, proposer: &PublicKey) -> Option<(Block, Hash)> {
        let (height, round) = (part.height, part.round);
        let block = match decode(&part.block) {
            Ok(block) => block,
            Err(reason) => {
                tracing::warn!(height, round, "a proposal is no block: {reason}");
                return None;
            }
        };
        let header = block.header.id();
        if !self.checker.part(part, &header, proposer) {
            tracing::warn!(height, round, "a proposal is not signed by the round's proposer");
            return None;
        }
        Some((block, header))
    }

    fn is_due(&self, block: &Block) -> bool {
        let ahead_ms = block.header.time_ms.saturating_sub(now_ms());
        if ahead_ms > CLOCK_TOLERANCE_MS {
            tracing::warn!(
                height = block.header.height,
                ahead_ms,
                "a proposal is from the future: check the clocks"
            );
        }
        ahead_ms <= CLOCK_TOLERANCE_MS
    }

    /// Runs a block; a valid one is durable when this returns.
    fn judge(&mut self, part: &Part, block: &Block, header: Hash) -> Result<Validity, Error> {
        match self.executor.check(block) {
            Ok(executed) => {
                self.rounds.executed.insert(header, executed);
                self.put(part, &header)?;
                Ok(Validity::Valid)
            }
            Err(NotRun::Invalid(reason)) => {
                self.metrics.invalid_proposals.inc();
                let proposer = block.header.proposer.display(&self.genesis.prefix);
                tracing::warn!(
                    height = part.height,
                    round = part.round,
                    proposer,
                    "invalid proposal: {reason}"
                );
                Ok(Validity::Invalid)
            }
            Err(NotRun::Store(error)) => Err(error),
        }
    }

    /// Sends a block again. Ours in this round is signed anew; another's carries its signature already.
    fn restream(&self, height: u64, round: u32, address: Address, header: Hash) -> Result<(), Error> {
        let kept = self.store.undecided(height)?;
        let same = || kept.iter().filter(|kept| kept.header == header.0);
        let Some(kept) = same().find(|kept| kept.round == round).or_else(|| same().next()) else {
            tracing::warn!(
                height,
                round,
                "the engine asks again for a block that is not here"
            );
            return Ok(());
        };
        let mut part = decode_part(kept)?;
        if address.0 == self.me.address() && part.round != round {
            part = self.keep(height, round, &header, part.block)?;
        }
        self.publish(part, &header);
        Ok(())
    }

    /// The block is final. It is durable, and the state with it, before the engine goes on.
    fn decided(
        &mut self,
        certificate: &CommitCertificate<Chain>,
        reply: oneshot::Sender<()>,
    ) -> Result<(), Error> {
        let (height, next) = (certificate.height.0, self.store.tip().height + 1);
        match height.cmp(&next) {
            Ordering::Less => {}
            Ordering::Equal => self.commit(certificate)?,
            Ordering::Greater => return Err(self.out_of_order("decided", height)),
        }
        let _ = reply.send(());
        Ok(())
    }

    /// The engine went past a block that is not here. No answer would be true.
    fn out_of_order(&self, does: &str, height: u64) -> Error {
        let tip = self.store.tip().height;
        Error::Ledger {
            operation: "follow the engine",
            reason: format!("it {does} height {height}, the tip is {tip}"),
        }
    }

    fn commit(&mut self, certificate: &CommitCertificate<Chain>) -> Result<(), Error> {
        let height = certificate.height.0;
        let block = self.decided_block(height, &certificate.value_id.0)?;
        let executed = match self.rounds.executed.remove(&certificate.value_id.0) {
            Some(executed) => executed,
            None => self
                .executor
                .check(&block)
                .map_err(|fault| decided_fault(height, fault))?,
        };
        let certificate = self.certificate(certificate)?;
        self.look_for_us(&block)?;
        let from = if self.rounds.synced { "sync" } else { "consensus" };
        self.committer.commit(&block, &certificate, &executed, from)?;
        self.follow_peers()?;
        let parked = std::mem::take(&mut self.rounds.parked);
        self.rounds = Rounds {
            parked,
            ..Rounds::default()
        };
        Ok(())
    }

    /// Keeps the engine's network with those who sit or may sit next.
    fn follow_peers(&mut self) -> Result<(), Error> {
        let round = self.executor.round_number()?;
        if std::mem::replace(&mut self.round_of_peers, round) == round {
            return Ok(());
        }
        let wanted = peers::others(&self.genesis, &self.store.view(), &self.me)?;
        for gone in self.peers.iter().filter(|peer| !wanted.contains(peer)) {
            self.update_peers(PersistentPeersOp::Remove(gone.clone()));
        }
        for new in wanted.iter().filter(|peer| !self.peers.contains(peer)) {
            self.update_peers(PersistentPeersOp::Add(new.clone()));
        }
        self.peers = wanted;
        self.monitor
            .sit(peers::seated_others(&self.store.view(), &self.me)?);
        Ok(())
    }

    fn update_peers(&self, op: PersistentPeersOp) {
        let (reply, answer) = oneshot::channel();
        let request = NetworkRequest::UpdatePersistentPeers(op, reply);
        let asked = self.network_requests.blocking_send(request).is_ok();
        match asked.then(|| answer.blocking_recv()) {
            Some(Ok(Ok(()))) => {}
            Some(Ok(Err(refused))) => tracing::warn!("the engine's peers do not change: {refused:?}"),
            Some(Err(_)) | None => tracing::debug!("the engine's network has stopped"),
        }
    }

    fn decided_block(&self, height: u64, header: &Hash) -> Result<Block, Error> {
        let kept = self
            .store
            .undecided(height)?
            .into_iter()
            .find(|kept| kept.header == header.0);
        let kept = kept.ok_or_else(|| {
            Error::damaged("undecided", format!("the block of height {height} is not here"))
        })?;
        decode(&decode_part(&kept)?.block).map_err(|reason| Error::damaged("undecided", reason))
    }

    /// Others tell by the certificate of the parent in their blocks whether they hear us.
    fn look_for_us(&self, block: &Block) -> Result<(), Error> {
        let Some(last) = &block.body.last_certificate else {
            return Ok(());
        };
        if block.header.proposer == self.me.address() {
            return Ok(());
        }
        let set = self.executor.validators(last.height)?;
        let has_ours = set
            .find(&self.me.address())
            .is_some_and(|(place, _)| last.signed_by(place));
        if self.monitor.certificate(last.height, has_ours) {
            self.metrics.missed_signatures.inc();
        }
        Ok(())
    }

    fn certificate(&self, found: &CommitCertificate<Chain>) -> Result<Certificate, Error> {
        let set = self.executor.validators(found.height.0)?;
        consensus::certificate(&set, found).map_err(|e| Error::Ledger {
            operation: "keep a certificate",
            reason: e.to_string(),
        })
    }

    /// The block time is over; the certificate may have gained signatures of slower delegates.
    fn finalized(
        &mut self,
        certificate: &CommitCertificate<Chain>,
        evidence: &MisbehaviorEvidence<Chain>,
        reply: oneshot::Sender<Next<Chain>>,
    ) -> Result<(), Error> {
        self.note_evidence(certificate.height, evidence);
        self.widen_certificate(certificate)?;
        let next = self.store.tip().height + 1;
        let _ = reply.send(Next::Start(Height(next), self.params(next)?));
        Ok(())
    }

    fn widen_certificate(&self, found: &CommitCertificate<Chain>) -> Result<(), Error> {
        let tip = self.store.tip();
        if found.height.0 != tip.height || found.value_id.0 != tip.header {
            return Ok(());
        }
        let kept = self
            .store
            .certificate(tip.height)?
            .map_or(0, |kept| kept.signatures.len());
        if found.commit_signatures.len() > kept {
            self.store.replace_certificate(&self.certificate(found)?)?;
        }
        Ok(())
    }

    fn note_evidence(&mut self, height: Height, evidence: &MisbehaviorEvidence<Chain>) {
        let votes: usize = evidence.votes.iter().map(|(_, pairs)| pairs.len()).sum();
        let proposals: usize = evidence.proposals.iter().map(|(_, pairs)| pairs.len()).sum();
        if votes + proposals > 0 {
            self.metrics.equivocations.inc_by((votes + proposals) as u64);
            tracing::warn!(%height, votes, proposals, "a delegate signed two things: is its key in two nodes?");
            self.accuser.note(evidence, &self.store.view());
        }
    }

    /// Blocks for a peer that catches up: as many as fit one answer, at least one.
    fn decided_values(&self, first: u64, last: u64) -> Result<Vec<RawDecidedValue<Chain>>, Error> {
        let mut values = Vec::new();
        let mut bytes = 0;
        for height in first..=last.min(self.store.tip().height) {
            let Some((block, certificate)) = self.store.block(height)? else {
                break;
            };
            let block = ledger::encode(&block);
            bytes += block.len();
            if !values.is_empty() && (bytes > SYNC_BYTES_MAX || values.len() == settings::SYNC_BLOCKS_MAX) {
                break;
            }
            values.push(RawDecidedValue::new(
                block.into(),
                self.engine_certificate(&certificate)?,
            ));
        }
        Ok(values)
    }

    fn engine_certificate(&self, kept: &Certificate) -> Result<ExtendedCommitCertificate<Chain>, Error> {
        let set = self.executor.validators(kept.height)?;
        Ok(ExtendedCommitCertificate::from_commit_certificate_and_extensions(
            consensus::commit_certificate(&set, kept),
            Default::default(),
        ))
    }

    /// A block that a peer sent because we are behind. Its certificate is good; the bytes are the peer's word.
    fn synced_value(
        &mut self,
        height: Height,
        round: Round,
        proposer: Address,
        bytes: Bytes,
    ) -> Result<SyncedValueOutcome<Chain>, Error> {
        if height.0 != self.store.tip().height + 1 {
            return Ok(SyncedValueOutcome::LocalTransientError);
        }
        let Ok(block) = decode(&bytes) else {
            return Ok(SyncedValueOutcome::PeerFault);
        };
        if block.header.body.0 != block.body.cid() {
            return Ok(SyncedValueOutcome::PeerFault);
        }
        let header = block.header.id();
        let unsigned = ledger::Signature::from_bytes([0; 64]);
        let part = Part {
            height: height.0,
            round: round_number(round),
            signature: unsigned,
            block: bytes,
        };
        // What is kept already is kept with its signature.
        let kept = self.store.undecided(height.0)?;
        let validity = match kept
            .iter()
            .any(|kept| kept.round == part.round && kept.header == header.0)
        {
            true => Validity::Valid,
            false => self.judge(&part, &block, header)?,
        };
        self.rounds.synced = true;
        let value = Value(header);
        Ok(SyncedValueOutcome::Verdict(ProposedValue {
            height,
            round,
            valid_round: Round::Nil,
            proposer,
            value,
            validity,
        }))
    }

    fn proposer(&self, set: &ValidatorSet, height: u64, round: u32) -> Result<PublicKey, Error> {
        Ok(ledger::proposer(set, &self.executor.order(height)?, height, round).key)
    }
}

fn proposed(
    height: u64,
    round: u32,
    proposer: &PublicKey,
    header: Hash,
    validity: Validity,
) -> ProposedValue<Chain> {
    ProposedValue {
        height: Height(height),
        round: Round::new(round),
        valid_round: Round::Nil,
        proposer: Address(proposer.address()),
        value: Value(header),
        validity,
    }
}

fn decode(bytes: &[u8]) -> Result<Block, String> {
    ledger::decode(bytes).map_err(|e| e.to_string())
}

fn decode_part(kept: &Undecided) -> Result<Part, Error> {
    wire::decode(&kept.part).map_err(|e| Error::damaged("undecided", e.to_string()))
}

/// The delegates decided a block that this node cannot run: going on would leave the chain.
fn decided_fault(height: u64, fault: NotRun) -> Error {
    match fault {
        NotRun::Store(error) => error,
        NotRun::Invalid(reason) => Error::Ledger {
            operation: "run a decided block",
            reason: format!(
                "height {height} breaks a rule here: {reason}: is this program of an older version?"
            ),
        },
    }
}
