//! Ed25519 keys, signatures and addresses.
//!
//! Signing is RFC 8032. Verification is by the ZIP-215 rules, one by one or in batch with the same verdict; public keys
//! of small order are refused, since a signature by them fits any message. Every signature covers a domain tag and the
//! chain id, so that it means one thing on one chain.

use std::fmt;
use std::str::FromStr;

use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32m, Hrp};
use ed25519_dalek::Signer;
use ed25519_zebra::batch;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::codec::fixed;
use crate::error::Error;

/// The bytes that a signature covers: domain tag, chain id (each with its length in 4 bytes, big-endian), message.
pub fn signed_bytes(domain: &str, chain_id: &str, message: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 + domain.len() + chain_id.len() + message.len());
    for part in [domain, chain_id] {
        bytes.extend_from_slice(&(part.len() as u32).to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    bytes.extend_from_slice(message);
    bytes
}

/// An ed25519 public key: a point of the curve, not of small order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// From its 32 bytes.
    ///
    /// # Errors
    /// If they are not a point of the curve, or one of small order.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, Error> {
        let bad = |reason: &str| Error::Key {
            what: "public key",
            reason: reason.into(),
        };
        let point = ed25519_dalek::VerifyingKey::from_bytes(&bytes)
            .map_err(|_| bad("the bytes are not a point of the curve"))?;
        if point.is_weak() {
            return Err(bad("a point of small order: anybody could sign for it"));
        }
        Ok(Self(bytes))
    }

    /// Its 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The address of the account that this key controls.
    pub fn address(&self) -> Address {
        let digest = Sha256::digest(self.0);
        let mut address = [0; 20];
        address.copy_from_slice(&digest[..20]);
        Address(address)
    }

    /// Whether `signature` is this key's over `message` for this domain and chain, by the rules of ZIP-215.
    pub fn verify(&self, domain: &str, chain_id: &str, message: &[u8], signature: &Signature) -> bool {
        self.verify_bytes(&signed_bytes(domain, chain_id, message), signature)
    }

    /// As [`Self::verify`], for bytes that already carry domain and chain, such as [`crate::vote_bytes`].
    pub fn verify_bytes(&self, bytes: &[u8], signature: &Signature) -> bool {
        let signature = ed25519_zebra::Signature::from_bytes(&signature.0);
        ed25519_zebra::VerificationKey::try_from(self.0)
            .is_ok_and(|key| key.verify(&signature, bytes).is_ok())
    }
}

/// Whether all signatures hold, each of a key over bytes that carry domain and chain: as [`PublicKey::verify_bytes`] of
/// each, at about half the cost if there are many.
///
/// The random numbers of the batch come from what is verified (Fiat–Shamir), so that every node finds the same.
pub fn verify_batch<'a>(signed: impl IntoIterator<Item = (PublicKey, &'a [u8], Signature)>) -> bool {
    let mut verifier = batch::Verifier::new();
    let mut seed = Sha256::new();
    for (key, bytes, signature) in signed {
        seed.update(key.0);
        seed.update(signature.0);
        seed.update(Sha256::digest(bytes));
        let signature = ed25519_zebra::Signature::from_bytes(&signature.0);
        verifier.queue((ed25519_zebra::VerificationKeyBytes::from(key.0), signature, bytes));
    }
    verifier.verify(StdRng::from_seed(seed.finalize().into())).is_ok()
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl FromStr for PublicKey {
    type Err = Error;

    /// From 64 hex digits.
    fn from_str(text: &str) -> Result<Self, Error> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|e| Error::Key {
            what: "public key",
            reason: format!("'{text}' is not 64 hex digits: {e}"),
        })?;
        Self::from_bytes(bytes)
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        fixed::serialize(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_bytes(fixed::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// An ed25519 signature: 64 bytes, meaningful only together with key and message.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signature([u8; 64]);

impl Signature {
    /// From its 64 bytes.
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// Its 64 bytes.
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({})", hex::encode(self.0))
    }
}

impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        fixed::serialize(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        fixed::deserialize(deserializer).map(Self)
    }
}

/// A secret key. It is never printed, and wiped from memory when dropped.
#[derive(Clone)]
pub struct SecretKey(ed25519_dalek::SigningKey);

impl SecretKey {
    /// From the 32 bytes of its seed, which must come from a good source of randomness.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(&seed))
    }

    /// The seed: whoever has it, has the key.
    pub fn seed(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// The address of the account that this key controls.
    pub fn address(&self) -> Address {
        self.public().address()
    }

    /// Signs `message` for one domain on one chain.
    pub fn sign(&self, domain: &str, chain_id: &str, message: &[u8]) -> Signature {
        self.sign_bytes(&signed_bytes(domain, chain_id, message))
    }

    /// Signs bytes that already carry domain and chain, such as [`crate::vote_bytes`].
    pub fn sign_bytes(&self, bytes: &[u8]) -> Signature {
        Signature(self.0.sign(bytes).to_bytes())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {})", self.public())
    }
}

/// An account: the first 20 bytes of the sha2-256 of its public key. Hex in JSON; users see [`Address::display`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address([u8; 20]);

impl Address {
    /// From its 20 bytes.
    pub const fn from_bytes(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    /// Its 20 bytes.
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }

    /// As bech32m with the chain's prefix; as hex if the prefix is not a possible one (a valid genesis has none such).
    pub fn display(&self, prefix: &str) -> String {
        Hrp::parse(prefix)
            .ok()
            .and_then(|hrp| bech32::encode::<Bech32m>(hrp, &self.0).ok())
            .unwrap_or_else(|| hex::encode(self.0))
    }

    /// Reads bech32m of the chain whose prefix is `prefix`.
    pub fn parse(prefix: &str, text: &str) -> Result<Self, Error> {
        let bad = |reason: String| Error::Address {
            input: text.into(),
            reason,
        };
        let checked = CheckedHrpstring::new::<Bech32m>(text).map_err(|e| bad(e.to_string()))?;
        let found = checked.hrp().to_lowercase();
        if found != prefix {
            return Err(bad(format!(
                "it is for a chain whose addresses start with '{found}', not '{prefix}'"
            )));
        }
        let bytes: Vec<u8> = checked.byte_iter().collect();
        let count = bytes.len();
        bytes
            .try_into()
            .map(Self)
            .map_err(|_| bad(format!("it holds {count} bytes instead of 20")))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({})", hex::encode(self.0))
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        fixed::serialize(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        fixed::deserialize(deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::Scalar;
    use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
    use sha2::Sha512;

    use super::*;

    const MESSAGE: &[u8] = b"message";

    fn signed(count: u8) -> Vec<(PublicKey, Signature)> {
        let sign = |seed| {
            let key = SecretKey::from_seed([seed; 32]);
            (key.public(), key.sign_bytes(MESSAGE))
        };
        (0..count).map(sign).collect()
    }

    /// By a key, and with a nonce, that have parts of small order: rules without the cofactor refuse it.
    fn odd(number: usize) -> (PublicKey, Signature) {
        let (secret, nonce) = (Scalar::from(1_234_567u64), Scalar::from(7_654_321u64));
        let torsion = EIGHT_TORSION[number];
        let key = (ED25519_BASEPOINT_POINT * secret + torsion).compress();
        let r = (ED25519_BASEPOINT_POINT * nonce + torsion).compress();
        let digest = Sha512::new_with_prefix(r.as_bytes())
            .chain_update(key.as_bytes())
            .chain_update(MESSAGE);
        let k = Scalar::from_bytes_mod_order_wide(&digest.finalize().into());
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(r.as_bytes());
        bytes[32..].copy_from_slice((nonce + k * secret).as_bytes());
        (PublicKey::from_bytes(key.to_bytes()).unwrap(), Signature(bytes))
    }

    fn verify_all(bytes: &[u8], batch: &[(PublicKey, Signature)]) -> bool {
        verify_batch(batch.iter().map(|(key, sig)| (*key, bytes, *sig)))
    }

    #[test]
    fn a_batch_has_the_verdict_of_one_by_one() {
        let check = |batch: &[(PublicKey, Signature)]| {
            let each = batch.iter().all(|(key, sig)| key.verify_bytes(MESSAGE, sig));
            assert_eq!(verify_all(MESSAGE, batch), each, "{batch:?}");
        };
        for count in [0, 1, 2, 7] {
            check(&signed(count));
        }
        for number in 0..8 {
            let mut batch = signed(3);
            batch.push(odd(number));
            assert!(verify_all(MESSAGE, &batch), "{number}");
            check(&batch);
        }
        // One wrong bit anywhere in one of them, and two that are exchanged.
        for place in 0..64 {
            let mut batch = signed(3);
            batch[1].1.0[place] ^= 1;
            check(&batch);
            assert!(!verify_all(MESSAGE, &batch));
        }
        let mut batch = signed(3);
        (batch[0].1, batch[1].1) = (batch[1].1, batch[0].1);
        assert!(!verify_all(MESSAGE, &batch));
    }
}
