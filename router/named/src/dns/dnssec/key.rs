//! The key of a zone, and what others are told of it.

use std::fmt;
use std::sync::Arc;

use data_encoding::BASE64;
use hickory_proto::rr::{Name, RData, RecordType};
use ring::digest::{SHA256, digest};
use ring::error::{KeyRejected, Unspecified};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::{self, PemObject as _};

use super::{canonical, opaque};

/// ECDSA P-256 with SHA-256 (RFC 6605).
const ALGORITHM: u8 = 13;
/// A zone key, and the entry point for a validator (RFC 4034, section 2.1.1).
const FLAGS: u16 = 257;
/// The one value that is allowed (RFC 4034, section 2.1.2).
const PROTOCOL: u8 = 3;
/// SHA-256 (RFC 4509).
const DIGEST_TYPE: u8 = 2;
/// Characters in a line of a PEM file (RFC 7468, section 2).
const PEM_LINE: usize = 64;

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The text is not what a private key looks like.
    #[error("this is no PEM file of a private key, `-----BEGIN PRIVATE KEY-----`: {0}")]
    Pem(pem::Error),
    /// It is not an ECDSA key on P-256 with its public part.
    #[error(
        "this is no ECDSA P-256 key in PKCS#8 ({0}); one is made by `openssl genpkey -algorithm EC -pkeyopt \
         ec_paramgen_curve:P-256`"
    )]
    Kind(KeyRejected),
    /// The system has no random numbers, or the computation failed.
    #[error("no key can be made: the system gives no random numbers")]
    Random(#[from] Unspecified),
}

/// A private key. A clone shares it; printing it shows nothing.
#[derive(Clone)]
pub struct SigningKey(Arc<EcdsaKeyPair>);

/// The key of one zone in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneKey {
    /// The zone's apex.
    pub zone: String,
    /// What it is signed with.
    pub key: SigningKey,
}

/// What a validator needs to believe a zone, as lines of a zone file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// The apex, with the final dot.
    pub zone: String,
    /// The DS record: for the parent zone, or for a resolver that starts here.
    pub ds: String,
    /// The DNSKEY record.
    pub dnskey: String,
}

/// What everybody may know of a zone's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicPart {
    /// The DNSKEY data.
    dnskey: Vec<u8>,
    /// The DS data, which depend on the zone's name.
    ds: Vec<u8>,
    /// The key tag (RFC 4034, appendix B).
    pub tag: u16,
}

impl SigningKey {
    /// A new key as a PEM file.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn generate() -> Result<String, KeyError> {
        let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())?;
        let text = BASE64.encode(der.as_ref());
        let mut file = String::from("-----BEGIN PRIVATE KEY-----\n");
        for (at, letter) in text.chars().enumerate() {
            file.extend((at > 0 && at % PEM_LINE == 0).then_some('\n'));
            file.push(letter);
        }
        file.push_str("\n-----END PRIVATE KEY-----\n");
        Ok(file)
    }

    /// Reads a PEM file with a PKCS#8 key.
    ///
    /// # Errors
    /// It is none, or a key of another kind.
    pub fn parse(text: &[u8]) -> Result<Self, KeyError> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(text).map_err(KeyError::Pem)?;
        let pair = EcdsaKeyPair::from_pkcs8(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            der.secret_pkcs8_der(),
            &SystemRandom::new(),
        );
        pair.map(|pair| Self(Arc::new(pair))).map_err(KeyError::Kind)
    }

    /// What others are told, for the zone at `apex`.
    pub fn public(&self, apex: &Name) -> PublicPart {
        let [high, low] = FLAGS.to_be_bytes();
        // The first byte says that the point is not compressed; RFC 6605, section 4, leaves it out.
        let point = &self.point()[1..];
        let dnskey = [&[high, low, PROTOCOL, ALGORITHM], point].concat();
        let tag = tag(&dnskey);
        let digest = digest(&SHA256, &[canonical::name(apex), dnskey.clone()].concat());
        let [high, low] = tag.to_be_bytes();
        let ds = [&[high, low, ALGORITHM, DIGEST_TYPE], digest.as_ref()].concat();
        PublicPart { dnskey, ds, tag }
    }

    /// The signature of `bytes` as RRSIG has it: two numbers of 32 bytes.
    pub fn sign(&self, random: &SystemRandom, bytes: &[u8]) -> Result<[u8; 64], Unspecified> {
        let signature = self.0.sign(random, bytes)?;
        signature.as_ref().try_into().map_err(|_| Unspecified)
    }

    fn point(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }
}

impl PublicPart {
    /// The algorithm's number.
    pub const ALGORITHM: u8 = ALGORITHM;

    /// At the apex: the key, and its copies for the parent (RFC 7344), which may take up what they say.
    pub fn at_apex(&self) -> [RData; 3] {
        [
            opaque(RecordType::DNSKEY, self.dnskey.clone()),
            opaque(RecordType::CDNSKEY, self.dnskey.clone()),
            opaque(RecordType::CDS, self.ds.clone()),
        ]
    }

    /// In the parent zone.
    pub fn ds(&self) -> RData {
        opaque(RecordType::DS, self.ds.clone())
    }

    /// As lines for people.
    pub fn anchor(&self, apex: &Name) -> Anchor {
        let base64 = BASE64.encode(&self.dnskey[4..]);
        let digest: String = self.ds[4..].iter().map(|byte| format!("{byte:02X}")).collect();
        Anchor {
            zone: apex.to_string(),
            ds: format!("{apex} IN DS {} {ALGORITHM} {DIGEST_TYPE} {digest}", self.tag),
            dnskey: format!("{apex} IN DNSKEY {FLAGS} {PROTOCOL} {ALGORITHM} {base64}"),
        }
    }
}

/// RFC 4034, appendix B.
fn tag(dnskey: &[u8]) -> u16 {
    let words = dnskey
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let sum: u32 = words.sum();
    ((sum + (sum >> 16)) & 0xffff) as u16
}

impl PartialEq for SigningKey {
    fn eq(&self, other: &Self) -> bool {
        self.point() == other.point()
    }
}

impl Eq for SigningKey {}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey")
    }
}
