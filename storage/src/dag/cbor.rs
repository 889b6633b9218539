//! DAG-CBOR, as far as a path or a walk crosses it.

use bytes::Bytes;
use cid::Cid;
use ipld_core::ipld::Ipld;

use crate::Error;

/// Every link of the object, in its order.
pub(crate) fn links(cid: &Cid, block: &Bytes) -> Result<Vec<Cid>, Error> {
    let mut found = Vec::new();
    decode(cid, block)?.references(&mut found);
    Ok(found)
}

/// Decodes an object; nesting is bounded by the decoder.
pub(crate) fn decode(cid: &Cid, block: &Bytes) -> Result<Ipld, Error> {
    serde_ipld_dagcbor::from_slice(block).map_err(|error| Error::malformed(cid, format!("dag-cbor: {error}")))
}

/// The value under one path segment: a key of a map or an index of a list.
pub(crate) fn step(value: Ipld, segment: &str) -> Option<Ipld> {
    match value {
        Ipld::Map(mut map) => map.remove(segment),
        Ipld::List(mut list) => {
            let at: usize = segment.parse().ok()?;
            (at < list.len()).then(|| list.swap_remove(at))
        }
        _ => None,
    }
}
