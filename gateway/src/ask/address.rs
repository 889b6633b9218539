//! What a request is about: a root, the path below it, and the face of the gateway that it came through.

use cid::Cid;
use named::ipns;

use crate::escape;

/// Where the path starts. All but the first may be something else at the next request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Root {
    /// Content by its CID: immutable.
    Cid(Cid),
    /// Content by a ledger name.
    Name(String),
    /// Content by the name of a key (IPNS).
    Ipns(ipns::Name),
    /// Content by a domain of the public DNS (DNSLink), lower case.
    Domain(String),
}

impl Root {
    /// The name, if it is one.
    pub(crate) fn name(&self) -> Option<String> {
        match self {
            Root::Cid(_) => None,
            Root::Name(name) | Root::Domain(name) => Some(name.clone()),
            Root::Ipns(name) => Some(name.to_string()),
        }
    }
}

/// How the client reached the root, which decides how links back to us are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Face {
    /// `/ipfs/CID/…` or `/ipns/NAME/…`.
    Path,
    /// `CID.ipfs.GATEWAY/…`.
    Subdomain {
        /// Host and port of the gateway itself.
        gateway: String,
    },
    /// `alice.ddn/…`, `alice.ddn.GATEWAY/…`, `KEY.ipns.GATEWAY/…` or a domain of its own.
    Name {
        /// Host and port as the client wrote them.
        host: String,
        /// Host and port of the gateway itself, if the host is below one.
        gateway: Option<String>,
    },
}

/// Content that a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// Where the path starts.
    pub root: Root,
    /// CID or name, as the client wrote it.
    pub root_text: String,
    /// The path below the root, decoded, without empty segments.
    pub segments: Vec<String>,
    /// Whether the request's path ended with a slash.
    pub slash: bool,
    /// How the client reached it.
    pub face: Face,
}

impl Address {
    /// `ipfs` or `ipns`.
    pub(crate) fn namespace(&self) -> &'static str {
        match self.root {
            Root::Cid(_) => "ipfs",
            Root::Name(_) | Root::Ipns(_) | Root::Domain(_) => "ipns",
        }
    }

    /// The URL below which content has paths (`/ipfs/…`): empty on a host where it has them, `//GATEWAY` on one below it;
    /// none on a host that is not below a gateway.
    pub(crate) fn paths(&self) -> Option<String> {
        match &self.face {
            Face::Path => Some(String::new()),
            Face::Subdomain { gateway }
            | Face::Name {
                gateway: Some(gateway),
                ..
            } => Some(format!("//{gateway}")),
            Face::Name { gateway: None, .. } => None,
        }
    }

    /// The ledger name that the content has, which can be proved.
    pub(crate) fn ledger_name(&self) -> Option<&str> {
        match &self.root {
            Root::Name(name) => Some(name),
            Root::Cid(_) | Root::Ipns(_) | Root::Domain(_) => None,
        }
    }

    /// The URL path of the root on the host that was asked: `/ipfs/CID`, or empty where the host is the root.
    pub(crate) fn base(&self) -> String {
        match self.face {
            Face::Path => format!("/{}/{}", self.namespace(), escape::segment(&self.root_text)),
            Face::Subdomain { .. } | Face::Name { .. } => String::new(),
        }
    }

    /// The URL path, percent-encoded anew, without a slash at its end.
    pub(crate) fn url(&self) -> String {
        format!("{}{}", self.base(), escape::path(&self.segments))
    }

    /// The content path as `X-Ipfs-Path` names it: decoded, with the slash that was asked.
    pub(crate) fn content_path(&self) -> String {
        let mut text = format!("/{}/{}", self.namespace(), self.root_text);
        for segment in &self.segments {
            text.push('/');
            text.push_str(segment);
        }
        if self.slash {
            text.push('/');
        }
        text
    }
}
