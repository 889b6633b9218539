//! What is counted of digests.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// The counters of one node.
#[derive(Debug, Default)]
pub struct Metrics(Family<Fate, Counter>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Fate {
    fate: &'static str,
}

impl Metrics {
    /// Registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let help = "Digests of readers' distances: told, or of others: taken, wrong, no_edge, late, replayed, unknown";
        registry.register("places_digests", help, metrics.0.clone());
        metrics
    }

    /// One more.
    pub fn count(&self, fate: &'static str) {
        self.0.get_or_create(&Fate { fate }).inc();
    }
}
