//! Places for reads that wait for other nodes.
//!
//! Such a read occupies one of the runtime's blocking threads until its block has come or nobody has it, which may take
//! seconds; a read from the disk takes one for less than a millisecond. So the first are counted, and the second always
//! find a thread.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::metrics::{Fetching, Metrics};

/// The places; a clone shares them.
#[derive(Clone, Debug)]
pub(crate) struct Fetches {
    places: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

/// One place. It is held by the thread that waits, not by the request: a client that leaves frees its thread only when
/// the block that it wanted has come or is given up.
#[derive(Debug)]
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
    _counted: Fetching,
}

impl Fetches {
    pub(crate) fn new(places: usize, metrics: Arc<Metrics>) -> Self {
        Self {
            places: Arc::new(Semaphore::new(places)),
            metrics,
        }
    }

    /// A place, if one is free.
    pub(crate) fn try_place(&self) -> Option<Place> {
        let permit = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some(self.counted(permit))
    }

    /// The next free place, in the order of asking.
    pub(crate) async fn place(&self) -> Option<Place> {
        let permit = Arc::clone(&self.places).acquire_owned().await.ok()?;
        Some(self.counted(permit))
    }

    fn counted(&self, permit: OwnedSemaphorePermit) -> Place {
        Place {
            _permit: permit,
            _counted: self.metrics.fetching(),
        }
    }
}
