//! The names of keys.

use std::fmt;
use std::str::FromStr;

use cid::Cid;
use cid::multibase::Base;
use libp2p::PeerId;
use libp2p::identity::PublicKey;

/// The multicodec of CIDs that name keys.
const LIBP2P_KEY: u64 = 0x72;
/// The multicodec that such a CID gets from software that takes the name for the CID of a block.
const DAG_PB: u64 = 0x70;
/// Longer input is refused unread: no form of a name has more than 100 characters.
const INPUT_BYTES_MAX: usize = 128;

/// The name of a key: its multihash. Small keys (Ed25519) stand in it whole, of others (RSA) it is the hash.
///
/// It is shown in the one form that fits a DNS label: a CIDv1 of codec `libp2p-key` in base 36, `k51…` or `k2k…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(PeerId);

impl Name {
    /// The name of a key.
    #[must_use]
    pub fn of(key: &PublicKey) -> Self {
        Self(key.to_peer_id())
    }

    /// The key, if the name holds it whole.
    pub(super) fn inline_key(&self) -> Option<PublicKey> {
        let multihash = self.0.as_ref();
        let inline = multihash.code() == IDENTITY;
        inline.then(|| PublicKey::try_decode_protobuf(multihash.digest()).ok())?
    }

    /// The name as a CID.
    #[must_use]
    pub fn cid(&self) -> Cid {
        Cid::new_v1(LIBP2P_KEY, *self.0.as_ref())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.cid().to_string_of_base(Base::Base36Lower);
        f.write_str(&text.map_err(|_| fmt::Error)?)
    }
}

/// The text is not the name of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a key: it is a CID of codec libp2p-key, or a peer id in base 58")]
pub struct NotAName;

/// Any form in use: a CIDv1 in any base, of codec `libp2p-key` or (by mistake, but widely) `dag-pb`; a peer id in base 58,
/// `12D3…` or `Qm…`.
impl FromStr for Name {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        if text.len() > INPUT_BYTES_MAX {
            return Err(NotAName);
        }
        // No multibase begins with these.
        if text.starts_with('1') || text.starts_with("Qm") {
            return text.parse().map(Self).map_err(|_| NotAName);
        }
        let cid = Cid::try_from(text).map_err(|_| NotAName)?;
        match cid.codec() {
            LIBP2P_KEY | DAG_PB => PeerId::from_multihash(*cid.hash())
                .map(Self)
                .map_err(|_| NotAName),
            _ => Err(NotAName),
        }
    }
}

/// The multihash code of what is not hashed.
const IDENTITY: u64 = 0;
