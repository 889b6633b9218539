//! Which block comes next on a path that a provider was asked for.

use std::collections::HashMap;

use bytes::Bytes;
use cid::Cid;

use crate::{Blocks, Error, resolve};

/// A path, and what has arrived of it. The provider chooses nothing: each block tells which one is next.
pub(super) struct Trail {
    root: Cid,
    segments: Vec<String>,
    arrived: Arrived,
}

#[derive(Default)]
struct Arrived(HashMap<Cid, Bytes>);

impl Blocks for Arrived {
    fn block(&self, cid: &Cid) -> Result<Option<Bytes>, Error> {
        Ok(self.0.get(cid).cloned())
    }
}

impl Trail {
    pub fn new(root: Cid, segments: Vec<String>) -> Trail {
        Trail {
            root,
            segments,
            arrived: Arrived::default(),
        }
    }

    /// The next block; `None` at the end of the path, or where it leads nowhere.
    pub fn next(&self) -> Option<Cid> {
        let segments: Vec<&str> = self.segments.iter().map(String::as_str).collect();
        match resolve(&self.arrived, &self.root, &segments) {
            Err(Error::Missing(next)) => Some(next),
            _ => None,
        }
    }

    /// The next block is here.
    pub fn arrived(&mut self, cid: Cid, block: Bytes) {
        self.arrived.0.insert(cid, block);
    }
}

#[cfg(test)]
mod tests {
    use multihash_codetable::{Code, MultihashDigest};

    use super::*;
    use crate::codec;

    #[test]
    fn each_block_tells_which_one_is_next() {
        let folder = |name: &[u8], below: &Cid| {
            let link = [field(1, &below.to_bytes()), field(2, name)].concat();
            put(codec::DAG_PB, [field(2, &link), field(1, &[8, 1])].concat())
        };
        let file = put(codec::RAW, b"file".to_vec());
        let inner = folder(b"file", &file.0);
        let outer = folder(b"inner", &inner.0);
        let segments = ["inner", "file"].map(str::to_owned).to_vec();
        let mut trail = Trail::new(outer.0, segments);
        for (cid, block) in [outer.clone(), inner, file] {
            assert_eq!(trail.next(), Some(cid));
            trail.arrived(cid, block);
        }
        assert_eq!(trail.next(), None);
        let mut astray = Trail::new(outer.0, vec!["elsewhere".to_owned()]);
        astray.arrived(outer.0, outer.1);
        assert_eq!(astray.next(), None);
    }

    fn put(codec: u64, block: Vec<u8>) -> (Cid, Bytes) {
        let cid = Cid::new_v1(codec, Code::Sha2_256.digest(&block));
        (cid, block.into())
    }

    fn field(number: u8, value: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, value.len() as u8], value].concat()
    }
}
