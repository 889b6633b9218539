//! DAG-CBOR, as far as a path or a walk crosses it.

use bytes::Bytes;
use cid::Cid;
use ipld_core::codec::Links;
use ipld_core::ipld::Ipld;
use serde_ipld_dagcbor::codec::DagCborCodec;

use crate::Error;

/// Every link of the object, in its order.
pub(crate) fn links(cid: &Cid, block: &Bytes) -> Result<Vec<Cid>, Error> {
    DagCborCodec::links(block)
        .map(Iterator::collect)
        .map_err(|error| malformed(cid, &error))
}

/// Decodes an object; nesting is bounded by the decoder.
pub(crate) fn decode(cid: &Cid, block: &Bytes) -> Result<Ipld, Error> {
    serde_ipld_dagcbor::from_slice(block).map_err(|error| malformed(cid, &error))
}

fn malformed(cid: &Cid, error: &dyn std::fmt::Display) -> Error {
    Error::malformed(cid, format!("dag-cbor: {error}"))
}
