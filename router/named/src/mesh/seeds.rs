//! Nodes to meet, from the public DNS: TXT records `dnsaddr=/ip4/…/tcp/…/p2p/…` at `_dnsaddr.` of a domain, which may lead
//! to other domains (libp2p, Addressing, "dnsaddr").
//!
//! Whoever answers for a seed can name peers, no more: who they are is proved by their keys, and which network they are of
//! by what they say. So a lie costs a few dials.

use std::collections::{HashSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};

use super::book;
use super::error::Error;
use super::identity;
use crate::dnslink::resolver;

/// Questions of one round, over all seeds.
const QUESTIONS_MAX: usize = 16;
/// How far a seed may lead.
const DEPTH_MAX: usize = 3;
/// Addresses that one round may bring.
const ADDRESSES_MAX: usize = 64;
/// How long the name servers have for an answer.
const TIMEOUT: Duration = Duration::from_secs(5);
const PREFIX: &str = "dnsaddr=";

/// The seeds, and whom to ask.
#[derive(Clone)]
pub struct Seeds {
    resolver: TokioResolver,
    domains: Vec<String>,
}

/// What one round brought.
#[derive(Debug, Default)]
pub struct Sown {
    /// Peers with their addresses.
    pub peers: Vec<(PeerId, Multiaddr)>,
    /// Seeds that brought none, and why.
    pub barren: Vec<(String, String)>,
}

/// A question to come.
struct Step {
    domain: String,
    /// The peer that is looked for, if the address that led here names one.
    peer: Option<PeerId>,
    depth: usize,
}

impl Seeds {
    /// None if the settings name none.
    pub fn open(domains: &[String], servers: &[SocketAddr]) -> Result<Option<Self>, Error> {
        if domains.is_empty() {
            return Ok(None);
        }
        if let Some(wrong) = domains.iter().find(|domain| !is_domain(domain)) {
            return Err(Error::Setting {
                setting: "seeds",
                value: wrong.clone(),
                reason: "is no domain, such as seeds.ddn.example".into(),
            });
        }
        let resolver = resolver::open(servers, TIMEOUT).map_err(|error| Error::Start {
            part: "the DNS client for mesh.seeds",
            reason: error.to_string(),
        })?;
        let domains = domains.to_vec();
        Ok(Some(Self { resolver, domains }))
    }

    /// Asks all seeds, one after the other.
    pub async fn ask(self) -> Sown {
        let mut sown = Sown::default();
        for domain in &self.domains {
            let before = sown.peers.len();
            let failure = self.follow(domain, &mut sown.peers).await;
            if sown.peers.len() == before {
                let why =
                    failure.unwrap_or_else(|| "it has no dnsaddr record with a TCP address of a node".into());
                sown.barren.push((domain.clone(), why));
            }
        }
        sown
    }

    /// Collects the addresses of one seed, and says what failed last.
    async fn follow(&self, seed: &str, peers: &mut Vec<(PeerId, Multiaddr)>) -> Option<String> {
        let mut steps = VecDeque::from([Step {
            domain: seed.to_owned(),
            peer: None,
            depth: 0,
        }]);
        let (mut asked, mut failure) = (HashSet::new(), None);
        while let Some(step) = steps.pop_front() {
            if asked.len() >= QUESTIONS_MAX || !asked.insert(step.domain.clone()) {
                continue;
            }
            match resolver::texts(&self.resolver, &format!("_dnsaddr.{}", step.domain)).await {
                Ok(texts) => sort(&texts, &step, peers, &mut steps),
                Err(error) => failure = Some(format!("looking up _dnsaddr.{}: {error}", step.domain)),
            }
        }
        failure
    }
}

/// Peers to `peers`, domains to `steps`; what is neither is for other programs.
fn sort(texts: &[String], step: &Step, peers: &mut Vec<(PeerId, Multiaddr)>, steps: &mut VecDeque<Step>) {
    for text in texts {
        let Some(address) = text.strip_prefix(PREFIX).and_then(|text| text.parse().ok()) else {
            continue;
        };
        if let Some((domain, peer)) = leads(&address) {
            let peer = peer.or(step.peer);
            if step.depth < DEPTH_MAX && is_domain(&domain) {
                steps.push_back(Step {
                    domain,
                    peer,
                    depth: step.depth + 1,
                });
            }
            continue;
        }
        let Some((peer, address)) = book::split(address) else {
            continue;
        };
        let is_wanted = step.peer.is_none_or(|wanted| wanted == peer) && identity::node_of(&peer).is_some();
        if is_wanted && peers.len() < ADDRESSES_MAX {
            peers.push((peer, address));
        }
    }
}

/// The domain of `/dnsaddr/DOMAIN`, and the peer of `/dnsaddr/DOMAIN/p2p/PEER`.
fn leads(address: &Multiaddr) -> Option<(String, Option<PeerId>)> {
    let mut parts = address.iter();
    let Some(Protocol::Dnsaddr(domain)) = parts.next() else {
        return None;
    };
    match (parts.next(), parts.next()) {
        (None, _) => Some((domain.into_owned(), None)),
        (Some(Protocol::P2p(peer)), None) => Some((domain.into_owned(), Some(peer))),
        _ => None,
    }
}

/// Labels of letters, digits, hyphens and underscores; room is left for `_dnsaddr.`.
fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    text.len() <= 240 && text.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(byte: u8) -> PeerId {
        identity::keypair([byte; 32]).public().to_peer_id()
    }

    #[test]
    fn records_are_sorted() {
        let (one, two) = (peer(1), peer(2));
        let texts = [
            format!("dnsaddr=/ip4/192.0.2.1/tcp/4101/p2p/{one}"),
            format!("dnsaddr=/dns4/a.example/tcp/4101/p2p/{two}"),
            format!("dnsaddr=/ip4/192.0.2.1/udp/4101/quic-v1/p2p/{one}"),
            "dnsaddr=/ip4/192.0.2.1/tcp/4101".into(),
            format!("/ip4/192.0.2.3/tcp/4101/p2p/{one}"),
            "dnsaddr=/dnsaddr/more.example".into(),
            format!("dnsaddr=/dnsaddr/one.example/p2p/{one}"),
            format!("dnsaddr=/dnsaddr/one.example/tcp/1/p2p/{one}"),
            "v=spf1 -all".into(),
        ];
        let step = |peer, depth| Step {
            domain: "seed.example".into(),
            peer,
            depth,
        };
        let (mut peers, mut steps) = (Vec::new(), VecDeque::new());
        sort(&texts, &step(None, 0), &mut peers, &mut steps);
        assert_eq!(
            peers.iter().map(|(peer, _)| *peer).collect::<Vec<_>>(),
            [one, two]
        );
        let led: Vec<_> = steps
            .iter()
            .map(|step| (step.domain.as_str(), step.peer))
            .collect();
        assert_eq!(led, [("more.example", None), ("one.example", Some(one))]);

        // Who was looked for by name is not replaced by another; and no chain of domains is endless.
        let (mut peers, mut steps) = (Vec::new(), VecDeque::new());
        sort(&texts, &step(Some(two), DEPTH_MAX), &mut peers, &mut steps);
        assert_eq!((peers.len(), peers[0].0, steps.len()), (1, two, 0));
    }

    #[test]
    fn a_seed_is_a_domain() {
        for (text, good) in [
            ("seeds.ddn.example", true),
            ("localhost", true),
            ("", false),
            ("a..example", false),
            ("http://a.example", false),
            ("a b.example", false),
        ] {
            assert_eq!(is_domain(text), good, "{text}");
        }
    }
}
