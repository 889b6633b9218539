//! What the store counts.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

/// Counters of one store, since it was opened.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Blocks that were asked for and are here.
    pub blocks_read: Counter,
    /// Their bytes.
    pub bytes_read: Counter,
    /// Blocks that were asked for and are not here.
    pub blocks_missed: Counter,
    /// Blocks written that were not here before.
    pub blocks_written: Counter,
    /// Their bytes.
    pub bytes_written: Counter,
    /// Blocks removed by garbage collection.
    pub blocks_freed: Counter,
}

impl Metrics {
    /// Adds the counters to `registry`, under the prefix `storage`.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("storage");
        for (name, help, counter) in [
            ("blocks_read", "Blocks read from the store", &self.blocks_read),
            (
                "bytes_read",
                "Bytes of blocks read from the store",
                &self.bytes_read,
            ),
            (
                "blocks_missed",
                "Blocks asked for that are not in the store",
                &self.blocks_missed,
            ),
            (
                "blocks_written",
                "Blocks written that were new to the store",
                &self.blocks_written,
            ),
            (
                "bytes_written",
                "Bytes of blocks written that were new to the store",
                &self.bytes_written,
            ),
            (
                "blocks_freed",
                "Blocks removed by garbage collection",
                &self.blocks_freed,
            ),
        ] {
            registry.register(name, help, counter.clone());
        }
    }

    pub(super) fn read(&self, bytes: Option<usize>) {
        match bytes {
            Some(bytes) => {
                self.blocks_read.inc();
                self.bytes_read.inc_by(bytes as u64);
            }
            None => _ = self.blocks_missed.inc(),
        }
    }

    pub(super) fn wrote(&self, bytes: usize) {
        self.blocks_written.inc();
        self.bytes_written.inc_by(bytes as u64);
    }
}
