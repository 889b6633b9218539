//! What the mesh counts. Label values come from small fixed sets, never from a peer's bytes.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The counters of one mesh; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Peers of our network that are connected.
    pub peers: Gauge,
    /// Who was refused or lost, by reason: `protocol`, `chain`, `genesis`, `banned`, `silent` (did not say what it is),
    /// `dial` (cannot be dialled), `key` (not of this private network), `limit` (over the bound on connections or memory).
    pub refused: Family<RefusedLabels, Counter>,
    /// Messages from others, by topic and verdict: `accept`, `ignore`, `reject`, `late` (no verdict in time), `overload`.
    pub heard: Family<GossipLabels, Counter>,
    /// Messages of our own, by topic and outcome: `sent`, `alone` (nobody to send to), `repeated`, `failed`.
    pub published: Family<GossipLabels, Counter>,
    /// Our requests, by outcome: `answered`, `timeout`, `failed`, `busy`, `unconnected`.
    pub asked: Family<RequestLabels, Counter>,
    /// Requests of others, by outcome: `answered`, `timeout` (no answer of ours in time), `failed` (they left, or our
    /// answer was too large), `busy` (over the bound).
    pub served: Family<RequestLabels, Counter>,
    /// Provider records kept for others.
    pub provider_records: Gauge,
    /// Provider and endpoint records of others that were refused: no room, or a bad signature.
    pub records_refused: Counter,
    /// Roots that this node announces.
    pub provided: Gauge,
    /// Edges with a live advert.
    pub adverts: Gauge,
}

/// The label of a refusal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RefusedLabels {
    /// Why.
    pub reason: &'static str,
}

/// The labels of a message.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct GossipLabels {
    /// `tx`, `headers`, `edges` or `places`.
    pub topic: &'static str,
    /// What became of it.
    pub verdict: &'static str,
}

/// The label of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// What became of it.
    pub outcome: &'static str,
}

impl Metrics {
    /// Registers the counters under the prefix `mesh`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let mesh = registry.sub_registry_with_prefix("mesh");
        mesh.register("peers", "Connected peers of our network", metrics.peers.clone());
        mesh.register("refused", "Peers refused or lost", metrics.refused.clone());
        mesh.register(
            "gossip_heard",
            "Gossip messages from others",
            metrics.heard.clone(),
        );
        mesh.register(
            "gossip_published",
            "Gossip messages of our own",
            metrics.published.clone(),
        );
        mesh.register("requests_asked", "Requests to others", metrics.asked.clone());
        mesh.register("requests_served", "Requests of others", metrics.served.clone());
        mesh.register(
            "provider_records",
            "Provider records kept for others",
            metrics.provider_records.clone(),
        );
        mesh.register(
            "records_refused",
            "Records of others that were refused",
            metrics.records_refused.clone(),
        );
        mesh.register("provided", "Roots announced", metrics.provided.clone());
        mesh.register("adverts", "Edges with a live advert", metrics.adverts.clone());
        metrics
    }

    /// Counts a refusal.
    pub fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&RefusedLabels { reason }).inc();
    }

    /// Counts a message from others.
    pub fn heard(&self, topic: &'static str, verdict: &'static str) {
        self.heard.get_or_create(&GossipLabels { topic, verdict }).inc();
    }

    /// Counts a message of our own.
    pub fn published(&self, topic: &'static str, verdict: &'static str) {
        self.published
            .get_or_create(&GossipLabels { topic, verdict })
            .inc();
    }

    /// Counts a request of our own.
    pub fn asked(&self, outcome: &'static str) {
        self.asked.get_or_create(&RequestLabels { outcome }).inc();
    }

    /// Counts a request of others.
    pub fn served(&self, outcome: &'static str) {
        self.served.get_or_create(&RequestLabels { outcome }).inc();
    }
}
