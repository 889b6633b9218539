//! Who pays for what readers are given.

use std::sync::Arc;

use ledger::Address;

/// The books in which a gateway counts what it serves of origins.
pub trait Meters: Send + Sync {
    /// The meter of the owner of a name. May block on a disk.
    ///
    /// # Errors
    /// Nothing is left to pay with, or never was; the text says what, for the owner to read.
    fn open(&self, owner: &Address) -> Result<Arc<dyn Meter>, String>;
}

/// What is counted for one owner.
pub trait Meter: Send + Sync {
    /// Whether so many bytes more are paid for.
    fn covers(&self, bytes: u64) -> bool;

    /// Counts bytes that are about to be given to a reader. False if they are not paid for: then they are not counted, and
    /// must not be given.
    fn count(&self, bytes: u64) -> bool;
}

/// Counts nothing: for a gateway that serves for nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Free;

impl Meters for Free {
    fn open(&self, _owner: &Address) -> Result<Arc<dyn Meter>, String> {
        Ok(Arc::new(Self))
    }
}

impl Meter for Free {
    fn covers(&self, _bytes: u64) -> bool {
        true
    }

    fn count(&self, _bytes: u64) -> bool {
        true
    }
}
