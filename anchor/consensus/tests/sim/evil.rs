//! Equivocators. All of them play together: each half of the others hears one of two stories, and few hear both.

use std::rc::Rc;

use arc_malachitebft_core_consensus::SignedConsensusMsg;
use arc_malachitebft_core_types::{NilOrVal, SignedMessage};
use consensus::{
    Chain, Part, Proposal, Sig, Value, Vote, proposal_bytes, round_number, sign_part, vote_bytes,
};
use ledger::{Certificate, Hash};

use crate::book::{After, Draft};
use crate::world::{Message, World};

/// How many of a hundred hear both stories.
const HEAR_BOTH: u64 = 5;
/// How many of a hundred messages of an equivocator are honest.
const HONEST: u64 = 10;

impl World {
    /// Whether a node equivocates now.
    pub fn tricks(&self, node: usize) -> bool {
        if !self.nodes[node].evil || self.calm.is_some() {
            return false;
        }
        let set = self.nodes[node].disk.tip.set.ledger();
        let evil = |seat: &&ledger::Validator| self.nodes[self.cast.place(&seat.address())].evil;
        !self.plan.bounded || set.validators().iter().filter(evil).count() * 3 < set.len()
    }

    /// The story that a node hears of a round: the same from all equivocators.
    fn story(&self, to: usize, height: u64, round: u32) -> usize {
        let place = [to as u64, height, u64::from(round), self.plan.seed].map(u64::to_be_bytes);
        usize::from(Hash::of(&place.concat()).0[0] & 1)
    }

    /// Tells each half its story.
    fn tell(&mut self, node: usize, (height, round): (u64, u32), stories: [Message; 2]) {
        let stories = stories.map(Rc::new);
        for to in (0..self.nodes.len()).filter(|to| *to != node) {
            // Among themselves they tell the first.
            let is_evil = self.nodes[to].evil;
            let story = if is_evil { 0 } else { self.story(to, height, round) };
            self.send(node, to, &stories[story]);
            if !is_evil && self.random.percent(HEAR_BOTH) {
                self.send(node, to, &stories[1 - story]);
            }
        }
    }

    pub fn publish_tricks(&mut self, node: usize, message: SignedConsensusMsg<Chain>) {
        match message {
            SignedConsensusMsg::Vote(vote) => {
                if self.random.percent(HONEST) {
                    return self.broadcast(node, Message::Consensus(SignedConsensusMsg::Vote(vote)));
                }
                let place = (vote.message.height.0, round_number(vote.message.round));
                let other = self.other_vote(node, &vote.message);
                let mut stories = [vote, other];
                // With two blocks in the round each half hears of its own.
                if let Some([first, _]) = self.twins.get(&place)
                    && stories[1].message.value == NilOrVal::Val(Value(*first))
                {
                    stories.swap(0, 1);
                }
                let stories = stories.map(|vote| Message::Consensus(SignedConsensusMsg::Vote(vote)));
                self.checks.equivocated.insert(node);
                self.tell(node, place, stories);
            }
            SignedConsensusMsg::Proposal(proposal) => {
                let place = (proposal.message.height.0, round_number(proposal.message.round));
                let twin = self.twin_proposal(node, &proposal.message);
                let stories = [proposal.clone(), twin.unwrap_or(proposal)];
                let stories = stories.map(|p| Message::Consensus(SignedConsensusMsg::Proposal(p)));
                self.tell(node, place, stories);
            }
        }
    }

    /// Another vote in the same place: for the twin of a block, for nothing instead of something, or for any block.
    fn other_vote(&mut self, node: usize, vote: &Vote) -> SignedMessage<Chain, Vote> {
        let place = (vote.height.0, round_number(vote.round));
        let twins = self.twins.get(&place).copied();
        let known = self.nodes[node].disk.undecided.last().map(|(_, header)| *header);
        let value = match (vote.value, twins) {
            (NilOrVal::Val(Value(found)), Some([first, second])) => {
                NilOrVal::Val(Value(if found == first { second } else { first }))
            }
            (NilOrVal::Val(_), None) => NilOrVal::Nil,
            (NilOrVal::Nil, Some([first, _])) => NilOrVal::Val(Value(first)),
            (NilOrVal::Nil, None) => NilOrVal::Val(Value(known.unwrap_or(Hash([7; 32])))),
        };
        let other = Vote { value, ..*vote };
        let bytes = vote_bytes(&self.cast.genesis.chain_id, &other);
        let signature = self.cast.players[node].key.sign_bytes(&bytes);
        SignedMessage::new(other, Sig(signature))
    }

    fn twin_proposal(&self, node: usize, proposal: &Proposal) -> Option<SignedMessage<Chain, Proposal>> {
        let place = (proposal.height.0, round_number(proposal.round));
        let [first, second] = self.twins.get(&place)?;
        let value = Value(if proposal.value.0 == *first {
            *second
        } else {
            *first
        });
        let twin = Proposal { value, ..*proposal };
        let bytes = proposal_bytes(&self.cast.genesis.chain_id, &twin);
        let signature = self.cast.players[node].key.sign_bytes(&bytes);
        Some(SignedMessage::new(twin, Sig(signature)))
    }

    /// A second block of the same round, a millisecond younger.
    pub fn make_twin(&mut self, node: usize, made: &Rc<After>, round: u32) {
        let tip = Rc::clone(&self.nodes[node].disk.tip);
        let draft = Draft {
            proposer: node,
            time_ms: made.time_ms + 1,
            txs: &[],
            last: self.nodes[node].disk.certificate.clone(),
        };
        if let Ok(twin) = self.book.build(&tip, draft) {
            self.twins.insert((made.height, round), [made.id, twin.id]);
        }
    }

    /// Sends a block as its proposer, or one block to each half.
    pub fn send_part(&mut self, node: usize, part: Part, header: Hash) {
        let place = (part.height, part.round);
        let twins = self.twins.get(&place).filter(|_| self.tricks(node));
        let Some([_, twin]) = twins.copied() else {
            return self.broadcast(node, Message::Part(part, header));
        };
        let key = &self.cast.players[node].key;
        let signature = sign_part(key, &self.cast.genesis.chain_id, place.0, place.1, &twin);
        let other = Part {
            signature,
            ..part.clone()
        };
        self.tell(
            node,
            place,
            [Message::Part(part, header), Message::Part(other, twin)],
        );
    }

    /// The certificate that a proposer shows: an equivocator leaves out all honest signatures that it can.
    pub fn shown_certificate(&self, node: usize) -> Option<Certificate> {
        let found = self.nodes[node].disk.certificate.clone()?;
        if !self.tricks(node) {
            return Some(found);
        }
        let set = &self.nodes[node].disk.tip.voted;
        let engine = consensus::commit_certificate(set, &found);
        let mut commits = engine.commit_signatures.clone();
        // Equivocators first: they stay.
        commits.sort_by_key(|commit| !self.nodes[self.cast.place(&commit.address.0)].evil);
        commits.truncate(set.quorum() as usize);
        let engine = arc_malachitebft_core_types::CommitCertificate {
            commit_signatures: commits,
            ..engine
        };
        consensus::certificate(set, &engine).ok()
    }
}
