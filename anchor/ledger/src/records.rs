//! What a name says: content, addresses, texts, an origin. Bounded, since everybody keeps it.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::codec::Link;
use crate::error::Error;
use crate::name::{MAX_NAME, under_fault};
use crate::origin::Origin;
use crate::service::{Caa, Https, Mx, Srv};

/// The most addresses of one family under one name: more do not fit into a DNS answer over UDP.
pub(crate) const MAX_ADDRESSES: usize = 16;
/// The most records of each kind that says where a service is.
pub(crate) const MAX_SERVICES: usize = 16;
/// The most texts under one name, and the most bytes of one (a character-string of RFC 1035).
pub(crate) const MAX_TEXTS: usize = 16;
pub(crate) const MAX_TEXT_BYTES: usize = 255;
/// Seconds that a resolver may keep an answer: at most a week.
pub(crate) const MAX_TTL: u32 = 604_800;
const SHA2_256: u64 = 0x12;

/// The records of one name. Empty fields are absent in the encoding.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Records {
    /// The CID that the name points to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Link>,
    /// IPv4 addresses, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "addresses")]
    pub a: Vec<Ipv4Addr>,
    /// IPv6 addresses, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "addresses")]
    pub aaaa: Vec<Ipv6Addr>,
    /// Another name that this one stands for, in lower-case ASCII without a final dot. Not together with other records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cname: Option<String>,
    /// Texts, at most 16 of at most 255 bytes, without control characters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub txt: Vec<String>,
    /// Mail servers, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mx: Vec<Mx>,
    /// Servers of a service, at most 16; the service is said by the undername, as in `_sip._udp`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub srv: Vec<Srv>,
    /// Who may issue certificates, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub caa: Vec<Caa>,
    /// How the name is reached by HTTPS, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub https: Vec<Https>,
    /// The HTTP site that gateways serve under this name, where it has no content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// Seconds that a resolver may keep these records, 1 to 604,800; the server's own value if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u32>,
}

impl Records {
    /// Records that only point to content.
    pub fn to_content(content: Link) -> Self {
        Self {
            content: Some(content),
            ..Self::default()
        }
    }

    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Checks every bound.
    pub fn check(&self) -> Result<(), Error> {
        match self.fault() {
            None => Ok(()),
            Some(reason) => Err(Error::Records { reason }),
        }
    }

    fn fault(&self) -> Option<String> {
        if let Some(fault) = self.content.as_ref().and_then(content_fault) {
            return Some(format!("content: {fault}"));
        }
        for (kind, count, max) in [
            ("a", self.a.len(), MAX_ADDRESSES),
            ("aaaa", self.aaaa.len(), MAX_ADDRESSES),
            ("txt", self.txt.len(), MAX_TEXTS),
            ("mx", self.mx.len(), MAX_SERVICES),
            ("srv", self.srv.len(), MAX_SERVICES),
            ("caa", self.caa.len(), MAX_SERVICES),
            ("https", self.https.len(), MAX_SERVICES),
        ] {
            if count > max {
                return Some(format!("{kind}: {count} records, at most {max} are allowed"));
            }
        }
        if let Some(text) = self.txt.iter().find(|text| text.len() > MAX_TEXT_BYTES) {
            return Some(format!(
                "txt: {} bytes, at most {MAX_TEXT_BYTES} are allowed",
                text.len()
            ));
        }
        if self.txt.iter().any(|text| text.chars().any(char::is_control)) {
            return Some("txt: control characters are not allowed".into());
        }
        if self.ttl.is_some_and(|ttl| ttl == 0 || ttl > MAX_TTL) {
            return Some(format!("ttl: give 1 to {MAX_TTL} seconds"));
        }
        self.cname.as_ref().and_then(|target| self.cname_fault(target))
    }

    fn cname_fault(&self, target: &str) -> Option<String> {
        if target.len() > MAX_NAME {
            return Some(format!(
                "cname: {} characters, at most {MAX_NAME} are allowed",
                target.len()
            ));
        }
        if let Some(fault) = under_fault(target) {
            return Some(format!("cname '{target}': {fault}"));
        }
        let alone = Self {
            cname: self.cname.clone(),
            ttl: self.ttl,
            ..Self::default()
        };
        (*self != alone).then(|| "cname: it stands for all records, so none may be beside it".into())
    }
}

/// What is wrong with a CID that content is to be fetched and verified by.
pub(crate) fn content_fault(link: &Link) -> Option<String> {
    let hash = link.0.hash();
    (hash.code() != SHA2_256 || hash.size() != 32)
        .then(|| format!("CID {link}: only sha2-256 CIDs are anchored, import the content with one"))
}

/// Lists of IP addresses: byte strings in binary, text in JSON.
mod addresses {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use serde_bytes::ByteBuf;

    /// The octets of an address.
    pub(super) trait Octets: Sized + Display + FromStr<Err: Display> {
        fn octets(&self) -> Vec<u8>;
        fn from_octets(octets: &[u8]) -> Option<Self>;
    }

    impl Octets for super::Ipv4Addr {
        fn octets(&self) -> Vec<u8> {
            Self::octets(self).into()
        }
        fn from_octets(octets: &[u8]) -> Option<Self> {
            <[u8; 4]>::try_from(octets).ok().map(Self::from)
        }
    }

    impl Octets for super::Ipv6Addr {
        fn octets(&self) -> Vec<u8> {
            Self::octets(self).into()
        }
        fn from_octets(octets: &[u8]) -> Option<Self> {
            <[u8; 16]>::try_from(octets).ok().map(Self::from)
        }
    }

    pub(super) fn serialize<T: Octets, S: Serializer>(list: &[T], serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            list.iter()
                .map(T::to_string)
                .collect::<Vec<_>>()
                .serialize(serializer)
        } else {
            list.iter()
                .map(|ip| ByteBuf::from(ip.octets()))
                .collect::<Vec<_>>()
                .serialize(serializer)
        }
    }

    pub(super) fn deserialize<'de, T: Octets, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<T>, D::Error> {
        if deserializer.is_human_readable() {
            let texts = Vec::<String>::deserialize(deserializer)?;
            let parse = |text: &String| {
                text.parse()
                    .map_err(|e| D::Error::custom(format!("'{text}' is not an IP address: {e}")))
            };
            texts.iter().map(parse).collect()
        } else {
            let list = Vec::<ByteBuf>::deserialize(deserializer)?;
            let parse = |octets: &ByteBuf| {
                T::from_octets(octets).ok_or_else(|| D::Error::custom("an IP address of the wrong length"))
            };
            list.iter().map(parse).collect()
        }
    }
}
