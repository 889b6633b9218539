//! What the engine's core asks of its host, answered as `chain` answers it.

use std::rc::Rc;
use std::time::Duration;

use arc_malachitebft_core_consensus::{
    ConsensusMsg, Effect, Error, Input, LivenessMsg, PeerId, Resumable, Resume, SignedConsensusMsg, process,
};
use arc_malachitebft_core_types::{
    CertificateError, ExtendedCommitCertificate, SignedMessage, Timeout, TimeoutKind, ValidatorSet as _,
    ValueResponse, VoteType,
};
use arc_malachitebft_signing::VerifierExt;
use bytes::Bytes;
use consensus::{Chain, Height, Proposal, Sig, Vote, proposal_bytes, round_number, vote_bytes};

use crate::network::Micros;
use crate::node::Todo;
use crate::notary::now;
use crate::world::{Event, Message, World};

type Core = arc_malachitebft_core_consensus::State<Chain>;
type Answer = Result<Resume<Chain>, String>;

/// The core measures how long a height took by the clock of this machine: it must never find that it is late. The timer
/// that it asks for then is set by the time of the simulation.
const NEVER_LATE: Duration = Duration::from_secs(1 << 32);

impl World {
    /// Lets a node do all that it has to do.
    pub fn work(&mut self, node: usize) {
        let Some(mut core) = self.nodes[node].core.take() else {
            self.nodes[node].memory.todo.clear();
            return;
        };
        while let Some(todo) = self.nodes[node].memory.todo.pop_front() {
            let done = match todo {
                Todo::Input(input) => self.feed(node, &mut core, input),
                Todo::Start => self.start_height(node, &mut core),
            };
            if self.nodes[node].memory.dying {
                self.crash(node);
                return;
            }
            if let Err(error) = done {
                self.checks
                    .fail(format!("the core of node {node} failed: {error}"));
            }
        }
        self.nodes[node].core = Some(core);
    }

    fn feed(&mut self, node: usize, core: &mut Core, input: Input<Chain>) -> Result<(), Error<Chain>> {
        let metrics = self.nodes[node].metrics.clone();
        process!(
            input: input,
            state: core,
            metrics: &metrics,
            with: effect => self.answer(node, effect)
        )
    }

    /// Starts the height after the tip, and goes through the log of it, if there is one.
    fn start_height(&mut self, node: usize, core: &mut Core) -> Result<(), Error<Chain>> {
        let (tip, address) = (Rc::clone(&self.nodes[node].disk.tip), *core.address());
        let height = tip.height + 1;
        let has_seat = tip.set.get_by_address(&address).is_some();
        let log = match has_seat {
            true => self.nodes[node].disk.wal.start(height),
            false => {
                self.nodes[node].disk.wal.start(0);
                Vec::new()
            }
        };
        let memory = &mut self.nodes[node].memory;
        (memory.started, memory.round, memory.synced) = (self.now, 0, false);
        memory.height = height;
        memory.invalid.clear();
        let late = memory.late.take().filter(|_| self.plan.paced);
        let late = Duration::from_micros(late.unwrap_or(0));
        let params = consensus::height_params(&self.cast.genesis, tip.set.clone(), late);
        memory.target = params
            .target_time
            .map_or(0, |target| target.as_micros() as Micros);
        let start = Input::StartHeight(
            Height(height),
            params.validator_set,
            false,
            Some(NEVER_LATE),
            params.vote_extension_policy,
        );
        self.feed(node, core, start)?;
        if !log.is_empty() {
            self.checks.report.replays += 1;
            self.nodes[node].memory.recovering = true;
            core.index_wal_entries(log.iter());
            for entry in log {
                self.feed(node, core, entry)?;
            }
            core.reset_entries_index();
            self.nodes[node].memory.recovering = false;
        }
        self.take_offer(node);
        Ok(())
    }

    /// Takes the next block of those that a peer has offered.
    pub fn take_offer(&mut self, node: usize) {
        let found = &self.nodes[node];
        let height = found.height() + 1;
        let offers = found.memory.offered.as_ref();
        if !offers.is_some_and(|offered| offered.contains(&height)) {
            return;
        }
        let Some((block, certificate)) = self.decided.get(&height) else {
            return;
        };
        let certificate = consensus::commit_certificate(&block.voted, certificate);
        let extended = ExtendedCommitCertificate::from_commit_certificate_and_extensions(
            certificate,
            Default::default(),
        );
        let bytes = Bytes::copy_from_slice(&block.id.0);
        let response = ValueResponse::new(peer(), bytes, extended);
        let memory = &mut self.nodes[node].memory;
        memory
            .todo
            .push_back(Todo::Input(Input::SyncValueResponse(response)));
    }

    fn answer(&mut self, node: usize, effect: Effect<Chain>) -> Answer {
        if self.dies(node) {
            return Err("it is crashing".into());
        }
        let found = &mut self.nodes[node];
        match effect {
            Effect::CancelAllTimeouts(_) => found.memory.timers.clear(),
            Effect::CancelTimeout(timeout, _) => self.cancel(node, &timeout),
            Effect::ScheduleTimeout(timeout, _) => self.schedule(node, timeout),
            Effect::WalAppend(height, input, _) if !found.memory.recovering => {
                found.disk.wal.append(height.0, input);
            }
            Effect::WalAppend(..) => {}
            Effect::StartRound(height, round, _, _, _) => {
                found.disk.wal.sync();
                self.started_round(node, height.0, round_number(round));
            }
            Effect::GetValue(height, round, _, _) => self.get_value(node, height.0, round_number(round)),
            Effect::PublishConsensusMsg(message, _) => {
                found.disk.wal.sync();
                self.publish(node, message);
            }
            Effect::PublishLivenessMsg(message, _) => self.repeat(node, message),
            Effect::RepublishVote(vote, _) => self.repeat(node, LivenessMsg::Vote(vote)),
            Effect::RepublishRoundCertificate(certificate, _) => {
                self.repeat(node, LivenessMsg::SkipRoundCertificate(certificate));
            }
            Effect::RestreamProposal(height, round, _, address, value, _) => {
                self.restream(node, height.0, round_number(round), address, value.0);
            }
            Effect::CertVerifiedSyncValue(value, proposer, _) => self.synced_value(node, &value, proposer),
            Effect::CertRejectedSyncValue(_, height, error, _) => {
                let fault = format!("node {node} rejects the certificate of {height}: {error}");
                self.checks.fail(fault);
            }
            Effect::Decide(certificate, _, _) => {
                found.disk.wal.sync();
                self.commit(node, &certificate);
            }
            Effect::Finalize(certificate, _, evidence, _) => self.finalized(node, &certificate, &evidence),
            other => return self.sign_or_verify(node, other),
        }
        Ok(Resume::Continue)
    }

    fn sign_or_verify(&mut self, node: usize, effect: Effect<Chain>) -> Answer {
        match effect {
            Effect::SignVote(vote, r) => Ok(r.resume_with(self.sign_vote(node, vote))),
            Effect::SignProposal(proposal, r) => Ok(r.resume_with(self.sign_proposal(node, proposal))),
            other => self.verify(other),
        }
    }

    fn verify(&self, effect: Effect<Chain>) -> Answer {
        let notary = &self.notary;
        match effect {
            Effect::VerifySignature(message, key, r) => {
                let valid = match &message.message {
                    ConsensusMsg::Vote(vote) => notary.vote(vote, &message.signature, &key),
                    ConsensusMsg::Proposal(proposal) => notary.proposal(proposal, &message.signature, &key),
                };
                Ok(r.resume_with(valid))
            }
            Effect::VerifyCommitCertificate(found, set, thresholds, r) => {
                let verdict = notary.verify_commit_certificate(&Chain, &found, &set, thresholds);
                Ok(r.resume_with(now(verdict)))
            }
            Effect::VerifyPolkaCertificate(found, set, thresholds, r) => {
                let verdict = notary.verify_polka_certificate(&Chain, &found, &set, thresholds);
                Ok(r.resume_with(now(verdict)))
            }
            Effect::VerifyRoundCertificate(found, set, thresholds, r) => {
                let verdict = notary.verify_round_certificate(&Chain, &found, &set, thresholds);
                Ok(r.resume_with(now(verdict)))
            }
            Effect::VerifyExtendedCommitCertificate(found, set, _, _, r) => {
                let found = found.trim_vote_extensions();
                let verdict = match consensus::certificate(set.ledger(), &found) {
                    Ok(kept) if notary.certificate(&kept, set.ledger()) => Ok(()),
                    _ => Err(CertificateError::NotEnoughVotingPower {
                        signed: 0,
                        total: set.total_voting_power(),
                        expected: set.ledger().quorum(),
                    }),
                };
                Ok(r.resume_with(verdict))
            }
            Effect::ExtendVote(_, _, _, _, r) => Ok(r.resume_with(None)),
            other => Err(format!("nobody answers {other:?}")),
        }
    }

    /// Counts down to a crash that was planned for the middle of some work.
    fn dies(&mut self, node: usize) -> bool {
        let memory = &mut self.nodes[node].memory;
        match &mut memory.crash_in {
            Some(0) => memory.dying = true,
            Some(left) => *left -= 1,
            None => {}
        }
        memory.dying
    }

    fn cancel(&mut self, node: usize, timeout: &Timeout) {
        let timers = &mut self.nodes[node].memory.timers;
        timers.retain(|(other, _)| other != timeout);
    }

    fn schedule(&mut self, node: usize, timeout: Timeout) {
        self.cancel(node, &timeout);
        let wait = self.wait(node, timeout);
        self.checks.timers += 1;
        let id = self.checks.timers;
        let found = &mut self.nodes[node];
        found.memory.timers.push((timeout, id));
        let life = found.life;
        self.plan_in(wait, Event::Timer { node, life, id });
    }

    fn wait(&self, node: usize, timeout: Timeout) -> Micros {
        let found = &self.nodes[node];
        let wait = match timeout.kind {
            TimeoutKind::FinalizeHeight(_) => {
                let due = found.memory.started + found.memory.target;
                due.saturating_sub(self.now)
            }
            _ => {
                let params = consensus::height_params(
                    &self.cast.genesis,
                    found.disk.tip.set.clone(),
                    Default::default(),
                );
                params.timeouts.duration_for(timeout).as_micros() as Micros
            }
        };
        wait * found.pace / 1_000
    }

    fn sign_vote(&mut self, node: usize, vote: Vote) -> SignedMessage<Chain, Vote> {
        let bytes = vote_bytes(&self.cast.genesis.chain_id, &vote);
        let kind = match vote.kind {
            VoteType::Prevote => 1,
            VoteType::Precommit => 2,
        };
        let signature = self.sign(node, (vote.height.0, round_number(vote.round), kind), &bytes);
        SignedMessage::new(vote, signature)
    }

    fn sign_proposal(&mut self, node: usize, proposal: Proposal) -> SignedMessage<Chain, Proposal> {
        let bytes = proposal_bytes(&self.cast.genesis.chain_id, &proposal);
        let place = (proposal.height.0, round_number(proposal.round), 0);
        let signature = self.sign(node, place, &bytes);
        SignedMessage::new(proposal, signature)
    }

    /// Signs as the journal allows. In the place of what it does not allow is a signature that nobody takes: this node says
    /// nothing in that step.
    fn sign(&mut self, node: usize, place: (u64, u32, u8), bytes: &[u8]) -> Sig {
        let found = &mut self.nodes[node];
        if !found.disk.may_sign(place, bytes) && !found.evil {
            if found.lost_log != place.0 {
                let fault = format!("honest node {node} is asked to sign two things at {place:?}");
                self.checks.fail(fault);
            }
            self.checks.report.withheld += 1;
            return Sig(ledger::Signature::from_bytes([0; 64]));
        }
        Sig(self.cast.players[node].key.sign_bytes(bytes))
    }

    fn publish(&mut self, node: usize, message: SignedConsensusMsg<Chain>) {
        match self.tricks(node) {
            true => self.publish_tricks(node, message),
            false => self.broadcast(node, Message::Consensus(message)),
        }
    }

    /// An equivocator is silent here: others would hear both of its votes.
    fn repeat(&mut self, node: usize, message: LivenessMsg<Chain>) {
        if !self.tricks(node) {
            self.broadcast(node, Message::Liveness(message));
        }
    }
}

/// Who sent a block makes no difference here.
fn peer() -> PeerId {
    PeerId::from_bytes(&[0, 1, 7]).expect("an identity hash")
}
