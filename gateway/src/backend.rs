//! The parts of a node that a gateway serves from.

use std::sync::Arc;

use named::dap::Names;
use named::dns::Responder;
use named::ipns;
use storage::BlockSource;

use crate::absent::Upstream;
use crate::domains::Domains;
use crate::door::Node;
use crate::origin::OriginBackend;

/// What a gateway serves from.
#[derive(Clone)]
pub struct Backend {
    /// The content.
    pub blocks: Arc<dyn BlockSource>,
    /// The names.
    pub names: Arc<dyn Names>,
    /// The records of keys.
    pub ipns: Arc<ipns::Records>,
    /// The domains of the public DNS; None if it is not to be asked.
    pub domains: Option<Arc<dyn Domains>>,
    /// What the doors ask of the node itself.
    pub node: Arc<dyn Node>,
    /// The answers of the DNS server.
    pub dns: Arc<Responder>,
    /// Whether there is anybody who could be asked for content.
    pub upstream: Arc<dyn Upstream>,
    /// What it takes to serve the sites of origins; `None` if that is off.
    pub origins: Option<OriginBackend>,
}
