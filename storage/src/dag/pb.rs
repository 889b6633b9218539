//! dag-pb: a node is links, then data.
//!
//! Decoding takes what the dag-pb specification lets decoders take: fields of a link in order and at most once, all
//! links in one run, data before or after it, nothing unknown. Encoding writes the canonical order, and always writes
//! name and Tsize of a link, since that is what Kubo does and CIDs depend on it.

use bytes::Bytes;
use cid::Cid;

use super::proto::{Fault, Fields, Value, put_bytes, put_number, put_varint, varint_len};
use crate::Error;

/// A decoded node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PbNode {
    pub links: Vec<PbLink>,
    pub data: Option<Bytes>,
}

/// A decoded link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PbLink {
    pub cid: Cid,
    /// Not necessarily UTF-8: old writers did not care.
    pub name: Bytes,
    /// 0 when absent.
    pub tree_bytes: u64,
}

impl PbNode {
    pub fn decode(cid: &Cid, block: &Bytes) -> Result<PbNode, Error> {
        decode(block).map_err(|fault| Error::malformed(cid, format!("dag-pb: {fault}")))
    }
}

/// Writes one node.
pub(crate) struct Encoder {
    out: Vec<u8>,
}

impl Encoder {
    pub fn with_capacity(bytes: usize) -> Encoder {
        Encoder {
            out: Vec::with_capacity(bytes),
        }
    }

    pub fn link(&mut self, cid: &Cid, name: &[u8], tree_bytes: u64) {
        self.out.push(LINKS << 3 | 2);
        put_varint(
            &mut self.out,
            link_body_len(cid.encoded_len(), name.len(), tree_bytes) as u64,
        );
        put_bytes(&mut self.out, HASH, &cid.to_bytes());
        put_bytes(&mut self.out, NAME, name);
        put_number(&mut self.out, TSIZE, tree_bytes);
    }

    /// The block: all links so far, then `data`.
    pub fn finish(mut self, data: &[u8]) -> Vec<u8> {
        put_bytes(&mut self.out, DATA, data);
        self.out
    }
}

/// Bytes that one link takes in a block.
pub(crate) fn link_len(cid_len: usize, name_len: usize, tree_bytes: u64) -> usize {
    let body = link_body_len(cid_len, name_len, tree_bytes);
    1 + varint_len(body as u64) + body
}

fn link_body_len(cid_len: usize, name_len: usize, tree_bytes: u64) -> usize {
    let field = |len: usize| 1 + varint_len(len as u64) + len;
    field(cid_len) + field(name_len) + 1 + varint_len(tree_bytes)
}

fn decode(block: &Bytes) -> Result<PbNode, Fault> {
    let mut node = PbNode {
        links: Vec::new(),
        data: None,
    };
    let mut links_ended = false;
    let mut fields = Fields::new(block.clone());
    while let Some((number, value)) = fields.next()? {
        match number as u8 {
            LINKS if number < 16 && !links_ended => node.links.push(decode_link(value.bytes()?)?),
            DATA if number < 16 && node.data.is_none() => {
                node.data = Some(value.bytes()?);
                links_ended = !node.links.is_empty();
            }
            _ => return Err("a field is unknown, repeated or out of place"),
        }
    }
    Ok(node)
}

fn decode_link(message: Bytes) -> Result<PbLink, Fault> {
    let mut cid = None;
    let mut link = (Bytes::new(), 0);
    let mut last = 0;
    let mut fields = Fields::new(message);
    while let Some((number, value)) = fields.next()? {
        if number <= last {
            return Err("the fields of a link are repeated or out of order");
        }
        last = number;
        match (number, value) {
            (1, Value::Bytes(bytes)) => cid = Some(decode_cid(&bytes)?),
            (2, Value::Bytes(name)) => link.0 = name,
            (3, Value::Varint(tree_bytes)) => link.1 = tree_bytes,
            _ => return Err("a field of a link is unknown"),
        }
    }
    let cid = cid.ok_or("a link has no CID")?;
    Ok(PbLink {
        cid,
        name: link.0,
        tree_bytes: link.1,
    })
}

fn decode_cid(bytes: &[u8]) -> Result<Cid, Fault> {
    let mut rest = bytes;
    let cid = Cid::read_bytes(&mut rest).map_err(|_| "a link has a malformed CID")?;
    if rest.is_empty() {
        Ok(cid)
    } else {
        Err("a link has bytes after its CID")
    }
}

const DATA: u8 = 1;
const LINKS: u8 = 2;
const HASH: u8 = 1;
const NAME: u8 = 2;
const TSIZE: u8 = 3;

#[cfg(test)]
mod tests {
    use multihash_codetable::{Code, MultihashDigest};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn nodes_come_back(links in prop::collection::vec((any::<[u8; 8]>(), "[a-z]{0,9}", any::<u64>()), 0..9), data: Vec<u8>) {
            let mut encoder = Encoder::with_capacity(0);
            let mut expected = PbNode { links: Vec::new(), data: Some(data.clone().into()) };
            let mut length = 1 + varint_len(data.len() as u64) + data.len();
            for (seed, name, tree_bytes) in links {
                let cid = Cid::new_v1(0x55, Code::Sha2_256.digest(&seed));
                encoder.link(&cid, name.as_bytes(), tree_bytes);
                length += link_len(36, name.len(), tree_bytes);
                expected.links.push(PbLink { cid, name: name.into(), tree_bytes });
            }
            let block = encoder.finish(&data);
            prop_assert_eq!(block.len(), length);
            prop_assert_eq!(decode(&block.into()), Ok(expected));
        }

        #[test]
        fn hostile_bytes_never_panic(bytes: Vec<u8>) {
            let _ = decode(&bytes.into());
        }

        #[test]
        fn bent_nodes_never_panic(at in 0usize..60, to: u8, cut in 0usize..60) {
            let mut encoder = Encoder::with_capacity(0);
            encoder.link(&Cid::new_v1(0x55, Code::Sha2_256.digest(b"")), b"name", 300);
            let mut block = encoder.finish(&[8, 1]);
            let end = block.len() - 1;
            block[at.min(end)] = to;
            block.truncate(cut.max(1));
            let _ = decode(&block.into());
        }
    }

    #[test]
    fn data_may_stand_before_links_but_not_between() {
        let mut encoder = Encoder::with_capacity(0);
        encoder.link(&Cid::new_v1(0x55, Code::Sha2_256.digest(b"")), b"a", 0);
        let links = encoder.out;
        let data = [0x0a, 2, 8, 1];
        assert!(decode(&[&data[..], &links, &links].concat().into()).is_ok());
        assert!(decode(&[&links[..], &links, &data].concat().into()).is_ok());
        assert!(decode(&[&links[..], &data, &links].concat().into()).is_err());
        assert!(decode(&[&data[..], &data].concat().into()).is_err());
    }
}
