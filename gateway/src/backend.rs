//! The parts of a node that a gateway serves from.

use std::sync::Arc;

use named::dap::Names;
use storage::BlockSource;

/// What a gateway serves from.
#[derive(Clone)]
pub struct Backend {
    /// The content.
    pub blocks: Arc<dyn BlockSource>,
    /// The names.
    pub names: Arc<dyn Names>,
}
