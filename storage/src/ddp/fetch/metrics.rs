//! What the fetching half counts.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

/// Counters since the start.
#[derive(Clone, Debug, Default)]
pub(super) struct Metrics {
    pub sessions: Counter,
    pub blocks: Counter,
    pub bytes: Counter,
    pub vouchers: Counter,
    pub failures: Counter,
    pub lies: Counter,
    pub lanes: Counter,
    pub streams: Counter,
    pub hedges: Counter,
}

impl Metrics {
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("fetch");
        for (name, help, counter) in [
            ("sessions", "Times that a root was fetched from", &self.sessions),
            ("blocks", "Blocks that came from other nodes", &self.blocks),
            ("bytes", "Bytes of blocks that came from other nodes", &self.bytes),
            ("vouchers", "Vouchers sent", &self.vouchers),
            (
                "failures",
                "Times that a provider was left before all was here",
                &self.failures,
            ),
            (
                "lies",
                "Of them, those in which it broke the protocol",
                &self.lies,
            ),
            (
                "lanes",
                "Providers that were asked beside another one",
                &self.lanes,
            ),
            (
                "streams",
                "Streams that were opened beside the first one with a provider, to fill the path",
                &self.streams,
            ),
            (
                "hedges",
                "Blocks that were asked for twice, since the first answer took too long",
                &self.hedges,
            ),
        ] {
            registry.register(name, help, counter.clone());
        }
    }
}
