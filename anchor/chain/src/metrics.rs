//! What the chain of a node tells Prometheus.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// Counters and gauges of one chain, all below the prefix `chain`.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    pub(crate) height: Gauge,
    pub(crate) blocks: Family<BlockLabels, Counter>,
    pub(crate) late_rounds: Counter,
    pub(crate) txs: Counter,
    pub(crate) commit_seconds: Histogram,
    pub(crate) invalid_proposals: Counter,
    pub(crate) equivocations: Counter,
    pub(crate) missed_signatures: Counter,
    pub(crate) mempool_txs: Gauge,
    pub(crate) mempool_bytes: Gauge,
    pub(crate) submitted: Family<SubmitLabels, Counter>,
    pub(crate) sync_best: Gauge,
    pub(crate) sync_peers: Gauge,
    pub(crate) sync_asks: Family<AskLabels, Counter>,
    pub(crate) sync_answers: Family<AnswerLabels, Counter>,
    pub(crate) gossip: Family<GossipLabels, Counter>,
}

/// What a peer was asked for, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct AskLabels {
    pub(crate) what: &'static str,
    pub(crate) outcome: &'static str,
}

/// How a peer's question was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct AnswerLabels {
    pub(crate) answer: &'static str,
}

/// What was heard by gossip, and the verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct GossipLabels {
    pub(crate) what: &'static str,
    pub(crate) verdict: &'static str,
}

/// How a block came to this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct BlockLabels {
    pub(crate) from: &'static str,
}

/// What became of a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct SubmitLabels {
    pub(crate) outcome: &'static str,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Metrics {
        let metrics = Metrics {
            height: Gauge::default(),
            blocks: Family::default(),
            late_rounds: Counter::default(),
            txs: Counter::default(),
            commit_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 12)),
            invalid_proposals: Counter::default(),
            equivocations: Counter::default(),
            missed_signatures: Counter::default(),
            mempool_txs: Gauge::default(),
            mempool_bytes: Gauge::default(),
            submitted: Family::default(),
            sync_best: Gauge::default(),
            sync_peers: Gauge::default(),
            sync_asks: Family::default(),
            sync_answers: Family::default(),
            gossip: Family::default(),
        };
        metrics.register_blocks(registry.sub_registry_with_prefix("chain"));
        metrics.register_mempool(registry.sub_registry_with_prefix("chain"));
        metrics.register_sync(registry.sub_registry_with_prefix("chain"));
        metrics
    }

    fn register_blocks(&self, chain: &mut Registry) {
        chain.register(
            "height",
            "Height of the newest committed block",
            self.height.clone(),
        );
        chain.register(
            "blocks",
            "Blocks committed, by the way they came",
            self.blocks.clone(),
        );
        chain.register(
            "late_rounds",
            "Rounds that ended without a block",
            self.late_rounds.clone(),
        );
        chain.register("txs", "Transactions in committed blocks", self.txs.clone());
        let commit = self.commit_seconds.clone();
        chain.register_with_unit("commit", "Time to make a block durable", Unit::Seconds, commit);
        let invalid = self.invalid_proposals.clone();
        chain.register("invalid_proposals", "Proposals that broke a rule", invalid);
        chain.register(
            "equivocations",
            "Pairs of conflicting messages seen",
            self.equivocations.clone(),
        );
        let missed = self.missed_signatures.clone();
        chain.register(
            "missed_signatures",
            "Certificates without the signature of this delegate",
            missed,
        );
    }

    fn register_mempool(&self, chain: &mut Registry) {
        chain.register(
            "mempool_txs",
            "Transactions that wait for a block",
            self.mempool_txs.clone(),
        );
        chain.register(
            "mempool_bytes",
            "Bytes of the waiting transactions",
            self.mempool_bytes.clone(),
        );
        chain.register(
            "submitted",
            "Transactions submitted, by outcome",
            self.submitted.clone(),
        );
    }

    fn register_sync(&self, chain: &mut Registry) {
        chain.register(
            "sync_best",
            "Height of the newest block that peers show to this follower",
            self.sync_best.clone(),
        );
        chain.register(
            "sync_peers",
            "Peers that give this follower the chain",
            self.sync_peers.clone(),
        );
        chain.register(
            "sync_asks",
            "Questions to peers, by outcome",
            self.sync_asks.clone(),
        );
        chain.register(
            "sync_answers",
            "Questions of peers, by answer",
            self.sync_answers.clone(),
        );
        chain.register(
            "gossip",
            "Headers and transactions heard, by verdict",
            self.gossip.clone(),
        );
    }
}
