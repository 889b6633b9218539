//! What keys sign outside of transactions and votes: quotes, statements, vouchers, endpoints, adverts.

use cid::Cid;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::codec::{DecodeError, decode_within, encode};
use crate::hash::Hash;
use crate::keys::{PublicKey, SecretKey, Signature};

/// Something that a key signs. Two messages with the same encoding mean different things under different domains.
pub trait Message: Serialize + DeserializeOwned + Clone {
    /// The domain tag that the signature covers, such as `ddn/quote/1`.
    const DOMAIN: &'static str;
}

/// A message with the signature under it, which covers the message's domain, the chain's id and the encoding of `body`.
///
/// [`Signed::verify`] says that `key` signed it. Whether that is the right key, only whoever reads the body can say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed<T> {
    /// What is signed.
    pub body: T,
    /// Who signed it.
    pub key: PublicKey,
    /// The signature.
    pub sig: Signature,
}

impl<T: Message> Signed<T> {
    /// Signs `body` for one chain.
    pub fn sign(body: T, chain: &str, key: &SecretKey) -> Self {
        let sig = key.sign(T::DOMAIN, chain, &encode(&body));
        Self {
            key: key.public(),
            sig,
            body,
        }
    }

    /// Whether the signature is the key's over this body on this chain.
    pub fn verify(&self, chain: &str) -> bool {
        self.key.verify(T::DOMAIN, chain, &encode(&self.body), &self.sig)
    }

    /// The sha2-256 of the encoding, signature and all: how other messages refer to it.
    pub fn hash(&self) -> Hash {
        Hash::of(&self.encode())
    }

    /// The CID of the encoding; its digest is [`Signed::hash`].
    pub fn cid(&self) -> Cid {
        self.hash().cid()
    }

    /// The DAG-CBOR encoding.
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// Decodes at most `max` bytes, strictly. The signature is not verified yet.
    pub fn decode(bytes: &[u8], max: usize) -> Result<Self, DecodeError> {
        decode_within(bytes, max)
    }
}
