//! Gossip: what is heard is checked by a task of its own, and passed on only after its verdict.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use ledger::{PublicKey, Signed};
use libp2p::gossipsub::{self, MessageAcceptance, MessageId, PublishError, TopicHash};
use libp2p::{PeerId, kad};

use super::actor::Actor;
use super::behaviour::message_id;
use super::identity::{Network, node_of};
use super::message::{self, Advert, Flaw};
use super::shared::now_ms;
use super::standing::REFUSED;
use super::{Topic, Verdict};

/// A verdict after this long comes too late: gossip has forgotten the message.
const VERDICT_TIMEOUT: Duration = Duration::from_secs(4);
/// How long a message is known to have been said: a little longer than gossip itself remembers.
const MEMORY: Duration = Duration::from_secs(65);
const MEMORY_MESSAGES_MAX: usize = 16_384;
/// Two adverts of one edge are at least so far apart, in milliseconds of its own clock: else one edge could flood all.
const ADVERT_PAUSE_MS: u64 = 500;

/// What this node said and heard.
#[derive(Debug)]
pub struct Talk {
    topics: [(Topic, TopicHash); Topic::ALL.len()],
    said: HashMap<MessageId, Instant>,
    /// The newest of each that nobody was there to hear.
    unheard: HashMap<Topic, Vec<u8>>,
}

/// The result of a check.
#[derive(Debug)]
pub enum Checked {
    /// Of a gossip message.
    Message {
        /// Its id, for gossip.
        id: MessageId,
        /// Who passed it on.
        source: PeerId,
        /// What it is about.
        topic: Topic,
        /// What it is worth.
        judged: Judged,
    },
    /// Of an endpoint record.
    Endpoint {
        /// The record.
        record: kad::Record,
        /// Who passed it on.
        source: PeerId,
        /// Until when it holds, in milliseconds since 1970, or why it does not.
        result: Result<u64, Flaw>,
    },
}

/// What a message is worth.
#[derive(Debug)]
pub enum Judged {
    /// As the handler says.
    Verdict(Verdict),
    /// A good advert; whether it is news, only the list knows.
    Advert(Box<Advert>),
    /// An advert that is out of its time: whose, and when it was signed by that node's clock.
    Stale(PublicKey, u64),
    /// The handler took too long.
    Late,
}

impl Talk {
    /// Nothing said yet.
    pub fn new(network: &Network) -> Self {
        Self {
            topics: Topic::ALL.map(|topic| (topic, topic.on(&network.chain).hash())),
            said: HashMap::new(),
            unheard: HashMap::new(),
        }
    }

    /// Forgets what was said long ago.
    pub fn forget(&mut self, now: Instant) {
        self.said.retain(|_, time| now.duration_since(*time) < MEMORY);
    }

    fn remember(&mut self, id: MessageId) {
        if self.said.len() < MEMORY_MESSAGES_MAX {
            self.said.insert(id, Instant::now());
        }
    }

    fn topic(&self, hash: &TopicHash) -> Option<Topic> {
        self.topics
            .iter()
            .find(|(_, known)| known == hash)
            .map(|(topic, _)| *topic)
    }

    fn hash(&self, topic: Topic) -> TopicHash {
        let found = self.topics.iter().find(|(known, _)| *known == topic);
        found
            .map(|(_, hash)| hash.clone())
            .expect("every topic is listed")
    }
}

impl Actor {
    pub(super) fn on_gossip(&mut self, event: gossipsub::Event) {
        match event {
            gossipsub::Event::Message {
                propagation_source,
                message_id,
                message,
            } => {
                self.heard(propagation_source, message_id, message);
            }
            gossipsub::Event::Subscribed { topic, .. } => {
                // What nobody heard is still to be said.
                let topic = self.talk.topic(&topic);
                let unheard = topic.and_then(|topic| Some((topic, self.talk.unheard.remove(&topic)?)));
                if let Some((topic, bytes)) = unheard {
                    self.say(topic, bytes);
                }
            }
            _ => {}
        }
    }

    fn heard(&mut self, source: PeerId, id: MessageId, message: gossipsub::Message) {
        self.talk.remember(id.clone());
        let (Some(topic), Some(from)) = (self.talk.topic(&message.topic), node_of(&source)) else {
            return self.report(&id, &source, MessageAcceptance::Ignore);
        };
        if self.is_refused(&source) {
            return self.report(&id, &source, MessageAcceptance::Ignore);
        }
        if self.checks.len() >= self.limits.checks_max {
            self.metrics.heard(topic.name(), "overload");
            return self.report(&id, &source, MessageAcceptance::Ignore);
        }
        let (handler, chain) = (self.handler.clone(), self.network.chain.clone());
        self.checks.spawn(async move {
            let judged = match topic {
                Topic::Edges => judge_advert(&message.data, &chain),
                Topic::Tx | Topic::Headers | Topic::Places | Topic::Failures => {
                    let verdict = handler.gossip(topic, from, message.data);
                    tokio::time::timeout(VERDICT_TIMEOUT, verdict)
                        .await
                        .map_or(Judged::Late, Judged::Verdict)
                }
            };
            Checked::Message {
                id,
                source,
                topic,
                judged,
            }
        });
    }

    pub(super) fn on_checked(&mut self, checked: Checked) {
        match checked {
            Checked::Message {
                id,
                source,
                topic,
                judged,
            } => self.judged(&id, source, topic, judged),
            Checked::Endpoint {
                record,
                source,
                result,
            } => self.endpoint_checked(record, source, result),
        }
    }

    fn judged(&mut self, id: &MessageId, source: PeerId, topic: Topic, judged: Judged) {
        let (label, verdict) = match judged {
            Judged::Verdict(verdict) => (name(&verdict), verdict),
            Judged::Late => ("late", Verdict::Ignore),
            Judged::Stale(node, time_ms) => {
                self.note_time(&source, &node, time_ms);
                ("ignore", Verdict::Ignore)
            }
            Judged::Advert(advert) => {
                self.note_time(&source, &advert.node, advert.time_ms);
                match self.keep_advert(*advert) {
                    true => ("accept", Verdict::Accept),
                    false => ("ignore", Verdict::Ignore),
                }
            }
        };
        self.metrics.heard(topic.name(), label);
        match verdict {
            Verdict::Accept => self.report(id, &source, MessageAcceptance::Accept),
            Verdict::Ignore => self.report(id, &source, MessageAcceptance::Ignore),
            Verdict::Reject(reason) => {
                self.report(id, &source, MessageAcceptance::Reject);
                self.fault(source, REFUSED, &format!("gossip on {}: {reason}", topic.name()));
            }
        }
    }

    /// What a node says of itself over its own connection tells what time it has.
    fn note_time(&mut self, source: &PeerId, node: &PublicKey, time_ms: u64) {
        if node_of(source).as_ref() == Some(node) {
            self.time_told(source, time_ms, now_ms());
        }
    }

    fn report(&mut self, id: &MessageId, source: &PeerId, acceptance: MessageAcceptance) {
        self.swarm
            .behaviour_mut()
            .gossip
            .report_message_validation_result(id, source, acceptance);
    }

    /// Says something to everybody. True if somebody was there.
    pub(super) fn publish(&mut self, topic: Topic, bytes: Vec<u8>) -> bool {
        let hash = self.talk.hash(topic);
        let id = message_id(&hash, &bytes);
        let outcome = if self.talk.said.contains_key(&id) {
            "repeated"
        } else {
            match self.swarm.behaviour_mut().gossip.publish(hash, bytes) {
                Ok(id) => {
                    self.talk.remember(id);
                    "sent"
                }
                Err(PublishError::Duplicate) => "repeated",
                Err(PublishError::NoPeersSubscribedToTopic) => "alone",
                Err(error) => {
                    tracing::warn!(topic = topic.name(), %error, "a message was not published");
                    "failed"
                }
            }
        };
        self.metrics.published(topic.name(), outcome);
        outcome != "alone"
    }

    /// Takes our own advert.
    pub(super) fn advertise(&mut self, advert: Signed<Advert>) {
        let encoded = advert.encode();
        match message::check(advert, &self.network.chain, now_ms()) {
            Ok(_) => self.say(Topic::Edges, encoded),
            Err(flaw) => tracing::error!(?flaw, "our own advert is not good, and not sent"),
        }
    }

    /// As [`Self::publish`]; the newest of its topic that nobody is there to hear is said to the first who comes.
    pub(super) fn say(&mut self, topic: Topic, bytes: Vec<u8>) {
        match self.publish(topic, bytes.clone()) {
            true => self.talk.unheard.remove(&topic),
            false => self.talk.unheard.insert(topic, bytes),
        };
    }

    /// Keeps an advert if it is news. With too many edges, the one whose advert ends first makes room.
    fn keep_advert(&mut self, advert: Advert) -> bool {
        if node_of(self.swarm.local_peer_id()) == Some(advert.node) {
            return false;
        }
        let adverts = &mut self.shared.view().adverts;
        let known = adverts.get(&advert.node).map(|known| known.time_ms);
        if known.is_some_and(|time_ms| advert.time_ms < time_ms.saturating_add(ADVERT_PAUSE_MS)) {
            return false;
        }
        if known.is_none() && adverts.len() >= self.limits.adverts_max {
            let first = adverts
                .values()
                .min_by_key(|known| known.until_ms)
                .map(|known| (known.node, known.until_ms));
            match first {
                Some((node, until_ms)) if until_ms < advert.until_ms => adverts.remove(&node),
                _ => return false,
            };
        }
        adverts.insert(advert.node, advert);
        true
    }

    /// Drops adverts that have expired.
    pub(super) fn forget_adverts(&mut self, now_ms: u64) {
        let adverts = &mut self.shared.view().adverts;
        adverts.retain(|_, advert| advert.until_ms > now_ms);
        self.metrics.adverts.set(adverts.len() as i64);
    }
}

fn judge_advert(bytes: &[u8], chain: &str) -> Judged {
    match message::read::<Advert>(bytes, chain, now_ms()) {
        Ok(advert) => Judged::Advert(Box::new(advert)),
        Err(Flaw::Stale { node, time_ms }) => Judged::Stale(node, time_ms),
        Err(Flaw::Wrong(reason)) => Judged::Verdict(Verdict::Reject(reason)),
    }
}

fn name(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Accept => "accept",
        Verdict::Ignore => "ignore",
        Verdict::Reject(_) => "reject",
    }
}
