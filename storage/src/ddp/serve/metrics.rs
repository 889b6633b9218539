//! What the serving half counts.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

/// Counters since the start.
#[derive(Clone, Debug, Default)]
pub(super) struct Metrics {
    pub sessions: Counter,
    pub refused: Counter,
    pub blocks: Counter,
    pub bytes: Counter,
    pub vouchers: Counter,
    pub faults: Counter,
}

impl Metrics {
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("delivery");
        for (name, help, counter) in [
            (
                "sessions_served",
                "Sessions that were offered a price",
                &self.sessions,
            ),
            (
                "sessions_refused",
                "Sessions that were refused, at once or later",
                &self.refused,
            ),
            ("blocks_served", "Blocks sent", &self.blocks),
            ("bytes_served", "Bytes of blocks sent", &self.bytes),
            (
                "vouchers_honoured",
                "Vouchers that raised what is earned",
                &self.vouchers,
            ),
            ("faults", "Times that unpaid bytes were written off", &self.faults),
        ] {
            registry.register(name, help, counter.clone());
        }
    }
}
