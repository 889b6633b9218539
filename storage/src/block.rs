//! A block: bytes and the CID that they hash to.

use std::sync::Arc;

use bytes::Bytes;
use cid::Cid;
use multihash_codetable::{Code, MultihashDigest};

use crate::Error;

/// The largest block that is accepted or written, in bytes: what every IPFS implementation transfers.
pub const BLOCK_BYTES_MAX: usize = 2 << 20;

/// Multicodec codes of the objects that this crate understands.
pub mod codec {
    /// Plain bytes.
    pub const RAW: u64 = 0x55;
    /// MerkleDAG protobuf: UnixFS files, folders, symlinks.
    pub const DAG_PB: u64 = 0x70;
    /// Deterministic CBOR with links.
    pub const DAG_CBOR: u64 = 0x71;
    /// JSON with links.
    pub const DAG_JSON: u64 = 0x0129;
}

/// Anything that can answer for a CID. All reading goes through it.
pub trait Blocks {
    /// The bytes of a block, already verified; `None` when it is not here.
    fn block(&self, cid: &Cid) -> Result<Option<Bytes>, Error>;

    /// A hint: these blocks will be read next, in this order. Who gets blocks from elsewhere begins to do so; it may
    /// take as few of them as it likes. What wraps other blocks passes it on.
    fn soon(&self, _cids: &mut dyn Iterator<Item = &Cid>) {}

    /// A hint: the blocks from `root` to the end of the path below it will be read next. What wraps other blocks
    /// passes it on.
    fn path(&self, _root: &Cid, _segments: &[&str]) {}
}

/// Blocks that many threads share, as a server of content holds them.
pub type SharedBlocks = Arc<dyn Blocks + Send + Sync>;

/// Where a server of content has its blocks from.
pub trait BlockSource: Send + Sync {
    /// Everything below `root`, from wherever it can be got. Reading may wait for the network.
    fn below(&self, root: &Cid) -> SharedBlocks;

    /// A hint: what is below `root` is read under this name. What wraps another source passes it on.
    fn named(&self, _root: &Cid, _name: &str) {}

    /// Only what is on this machine.
    fn here(&self) -> SharedBlocks;

    /// How many blocks have been removed from this machine so far. Whoever remembers blocks lets go of them when it has
    /// changed.
    fn removed(&self) -> u64 {
        0
    }
}

impl<B: Blocks + ?Sized> Blocks for &B {
    fn block(&self, cid: &Cid) -> Result<Option<Bytes>, Error> {
        (**self).block(cid)
    }

    fn soon(&self, cids: &mut dyn Iterator<Item = &Cid>) {
        (**self).soon(cids);
    }

    fn path(&self, root: &Cid, segments: &[&str]) {
        (**self).path(root, segments);
    }
}

impl<B: Blocks + ?Sized> Blocks for Arc<B> {
    fn block(&self, cid: &Cid) -> Result<Option<Bytes>, Error> {
        (**self).block(cid)
    }

    fn soon(&self, cids: &mut dyn Iterator<Item = &Cid>) {
        (**self).soon(cids);
    }

    fn path(&self, root: &Cid, segments: &[&str]) {
        (**self).path(root, segments);
    }
}

/// Checks that `bytes` are the block that `cid` names: hash and length.
pub fn verify(cid: &Cid, bytes: &[u8]) -> Result<(), Error> {
    if bytes.len() > BLOCK_BYTES_MAX {
        return Err(Error::TooLarge {
            cid: *cid,
            bytes: bytes.len(),
        });
    }
    let code = cid.hash().code();
    let matches = match code {
        IDENTITY => cid.hash().digest() == bytes,
        SHA2_256 => Code::Sha2_256.digest(bytes) == *cid.hash(),
        SHA2_512 => Code::Sha2_512.digest(bytes) == *cid.hash(),
        _ => return Err(Error::UnsupportedHash { cid: *cid, code }),
    };
    if matches {
        Ok(())
    } else {
        Err(Error::Mismatch(*cid))
    }
}

/// The block of `cid`, inline ones included; absence is an error here.
pub(crate) fn require(blocks: &dyn Blocks, cid: &Cid) -> Result<Bytes, Error> {
    if let Some(bytes) = inline(cid) {
        return Ok(bytes);
    }
    blocks.block(cid)?.ok_or(Error::Missing(*cid))
}

/// The bytes of a CID that carries its block within itself.
pub(crate) fn inline(cid: &Cid) -> Option<Bytes> {
    (cid.hash().code() == IDENTITY).then(|| Bytes::copy_from_slice(cid.hash().digest()))
}

const IDENTITY: u64 = 0x00;
const SHA2_256: u64 = 0x12;
const SHA2_512: u64 = 0x13;

#[cfg(test)]
mod tests {
    use multihash::Multihash;

    use super::*;

    #[test]
    fn verifies_by_the_hash_of_the_cid() {
        for hash in [
            Code::Sha2_256.digest(b"x"),
            Code::Sha2_512.digest(b"x"),
            identity(b"x"),
        ] {
            let cid = Cid::new_v1(codec::RAW, hash);
            verify(&cid, b"x").unwrap();
            assert!(matches!(verify(&cid, b"y"), Err(Error::Mismatch(_))));
        }
    }

    #[test]
    fn refuses_hashes_it_cannot_compute_and_blocks_too_large() {
        let md5 = Cid::new_v1(codec::RAW, Multihash::wrap(0xd5, &[0; 16]).unwrap());
        assert!(matches!(
            verify(&md5, b"x"),
            Err(Error::UnsupportedHash { code: 0xd5, .. })
        ));
        let large = vec![0; BLOCK_BYTES_MAX + 1];
        let cid = Cid::new_v1(codec::RAW, Code::Sha2_256.digest(&large));
        assert!(matches!(verify(&cid, &large), Err(Error::TooLarge { .. })));
    }

    fn identity(bytes: &[u8]) -> Multihash<64> {
        Multihash::wrap(IDENTITY, bytes).unwrap()
    }
}
