//! One edge as this node sees it: its newest advert, what was measured of it, and where it stands.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ledger::{EdgeEntry, PublicKey};
use named::mesh::Advert as Said;
use nearest::candidates::Candidate;
use nearest::ladder::{Event, Standing};
use nearest::liveness::PHI_ROUTE_AWAY;
use nearest::load::Credit;
use nearest::measure::{Outcome, Peer};
use nearest::quorum::{Operator, Tally};

use super::book::ASKED_EVERY_US;
use super::proofs::Proofs;
use super::view::Known;
use crate::node::hearsay;
use crate::node::notices::{TELL_EVERY, Why};

/// The port of plain HTTP, if an edge is known by the name of its encrypted side only.
const HTTP_PORT: u16 = 80;

/// One edge.
pub struct Track {
    pub said: Arc<Said>,
    pub entry: Option<EdgeEntry>,
    pub peer: Peer,
    pub standing: Standing,
    pub credit: Credit,
    seen: Sighting,
    proofs: Proofs,
    pub heard_us: u64,
    /// How it did in this epoch.
    tally: Tally,
    /// When it was told last that it is in quarantine.
    told_us: Option<u64>,
    pub is_watched: bool,
    is_asked: bool,
    was_asked: bool,
}

/// An edge that is to be asked whether it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errand {
    /// Who.
    pub node: PublicKey,
    /// Where its gateway should be; nowhere if readers do not reach it.
    pub gateways: Vec<SocketAddr>,
    /// The port of its encrypted gateway, if it has one.
    pub tls_port: Option<u16>,
    /// The domain that it is to show a certificate for.
    pub domain: Option<String>,
    /// Where it delivers.
    pub delivery: SocketAddr,
}

/// What was seen of an edge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sighting {
    /// The round-trip time, in microseconds; none if it did not answer, or not as it should.
    pub rtt_us: Option<u32>,
    /// Somebody answered for it, and not as it should. Silence is another thing: packets are lost, and links.
    pub is_wrong: bool,
    /// Until the first byte of its answer, in microseconds.
    pub ttfb_us: Option<u32>,
    /// Where all ports of its gateway were reached.
    pub doors: Vec<IpAddr>,
    /// The domains that it says it serves beside its chain's.
    pub domains: Vec<String>,
    /// A domain for which it was to show a certificate, and whether it did.
    pub proof: Option<(String, bool)>,
}

impl Track {
    pub fn new(said: Said) -> Self {
        Self {
            said: Arc::new(said),
            entry: None,
            peer: Peer::new(ASKED_EVERY_US),
            standing: Standing::default(),
            credit: Credit::default(),
            seen: Sighting::default(),
            proofs: Proofs::default(),
            heard_us: 0,
            tally: Tally::default(),
            told_us: None,
            is_watched: false,
            is_asked: false,
            was_asked: false,
        }
    }

    pub fn rtt_us(&self) -> Option<u32> {
        self.peer.rtt_us()
    }

    /// Who was not asked, or is asked seldom, is not missed.
    pub fn is_looked_at(&self) -> bool {
        self.is_watched && self.was_asked
    }

    /// Whether this node itself sees it serve, each second.
    pub fn is_seen_serving(&self) -> bool {
        self.is_looked_at() && self.standing.serves() && self.rtt_us().is_some()
    }

    /// Who was not asked each second so far is not missed before it was asked once.
    pub fn watch(&mut self, is_watched: bool) {
        if is_watched && !self.is_watched {
            self.was_asked = false;
        }
        self.is_watched = is_watched;
    }

    /// None while it has not answered the last time.
    pub fn ask(&mut self) -> Option<Errand> {
        if std::mem::replace(&mut self.is_asked, true) {
            return None;
        }
        let tls_port = tls_port(&self.said);
        Some(Errand {
            node: self.said.node,
            gateways: gateways(&self.said),
            tls_port,
            domain: self
                .proofs
                .wanted(&self.seen.domains)
                .filter(|_| tls_port.is_some())
                .cloned(),
            delivery: *self.said.addresses.first()?,
        })
    }

    pub fn see(&mut self, mut seen: Sighting, now_us: u64) {
        (self.is_asked, self.was_asked) = (false, true);
        let failed = seen.rtt_us.is_none();
        if failed && !seen.is_wrong {
            // Of silence the beats tell that do not come: counted as errors too, it would outlast the return.
            self.peer.missed();
        } else {
            let outcome = Outcome {
                rtt_us: seen.rtt_us,
                ttfb_us: seen.ttfb_us,
                failed,
                ..Outcome::default()
            };
            self.peer.note(&outcome, now_us);
        }
        self.stand(
            match failed {
                true => Event::Failed,
                false => Event::Answered,
            },
            now_us,
        );
        // A port that was not reached once is tried again within the second; who is gone is told by φ.
        let passed = !seen.doors.is_empty() || gateways(&self.said).is_empty() && !failed;
        self.stand(Event::Tested { passed }, now_us);
        if failed {
            // Of one that says nothing, what it said last holds, and nothing was disproved.
            seen.domains.clone_from(&self.seen.domains);
            seen.proof = None;
        }
        self.proofs.visited(&seen.domains, seen.proof.take());
        self.seen = seen;
    }

    /// What came of a delivery to this node.
    pub fn delivered(&mut self, outcome: &Outcome, now_us: u64) {
        self.peer.note(outcome, now_us);
        if !outcome.failed {
            self.credit.served();
        }
    }

    /// Counts how it does now, for the quorum.
    pub fn count(&mut self, now_us: u64, ill: bool) {
        let (phi_milli, errors) = (self.peer.phi_milli(now_us), self.peer.errors_permille(now_us));
        self.tally.note(self.standing.may_accuse(phi_milli, errors, ill));
    }

    /// An epoch is over. Returns whether it failed in that.
    pub fn turn(&mut self, epoch: u64, now_us: u64) -> bool {
        self.stand(Event::Epoch { epoch }, now_us);
        std::mem::take(&mut self.tally).failed() == Some(true)
    }

    /// What it is to be told, if it is in quarantine and was not told of late.
    pub fn notice(&mut self, now_us: u64) -> Option<Why> {
        let is_quarantined = matches!(self.standing, Standing::Quarantined { .. });
        let is_recent = |at: u64| u128::from(now_us.saturating_sub(at)) < TELL_EVERY.as_micros();
        if !is_quarantined || self.told_us.is_some_and(is_recent) {
            return None;
        }
        self.told_us = Some(now_us);
        Some(match self.peer.phi_milli(now_us) >= PHI_ROUTE_AWAY {
            true => Why::Silent,
            false => Why::Failing,
        })
    }

    pub fn stand(&mut self, event: Event, now_us: u64) {
        let after = self.standing.after(event, now_us);
        if after.serves() != self.standing.serves() {
            tracing::info!(node = %self.said.node, standing = ?after, "an edge {}", if after.serves() {
                "has its readers again"
            } else {
                "loses its readers"
            });
        }
        self.standing = after;
    }

    /// The domains that it serves without doubt.
    fn domains(&self, own: Option<&Operator>) -> Vec<String> {
        let operator = self.entry.as_ref().map(operator);
        let is_own = own.is_some() && operator.as_ref() == own;
        let is_sure = |domain: &&String| match tls_port(&self.said) {
            Some(_) => self.proofs.is_proven(domain),
            None => is_own,
        };
        self.seen.domains.iter().filter(is_sure).cloned().collect()
    }

    /// As others see it at this moment who belong to `own`, if to anybody. Who turned this node away is taken for full for a
    /// while, and is believed less.
    pub fn known(&self, candidate: &Candidate<'_>, own: Option<&Operator>, now_us: u64) -> Known {
        let Candidate { advert, distance, .. } = candidate;
        let inflight = match self.credit.is_resting(now_us) {
            true => advert.capacity,
            false => advert.load,
        };
        Known {
            node: self.said.node,
            is_here: false,
            is_registered: self.entry.is_some(),
            distance: *distance,
            edge: nearest::Edge {
                id: advert.edge,
                rtt_us: distance.decides_us(),
                capacity: self.credit.of(advert.capacity),
                inflight,
                alive: self.standing.serves() && !self.peer.is_doubted(),
            },
            gateway: self.said.gateway.clone(),
            provider: self.said.provider.iter().cloned().collect(),
            addresses: self.said.addresses.clone(),
            doors: self.seen.doors.clone(),
            port: plain_port(&self.said),
            tls_port: tls_port(&self.said),
            domains: self.domains(own),
        }
    }
}

/// Where its gateway should be: at the address that it says, else at its first of each family.
fn gateways(said: &Said) -> Vec<SocketAddr> {
    let Some(web) = &said.gateway else {
        return Vec::new();
    };
    let ips = match web.ip() {
        Some(ip) => vec![ip],
        None => {
            let ips = || said.addresses.iter().map(SocketAddr::ip);
            ips()
                .find(IpAddr::is_ipv4)
                .into_iter()
                .chain(ips().find(IpAddr::is_ipv6))
                .collect()
        }
    };
    let port = plain_port(said);
    ips.into_iter().map(|ip| SocketAddr::new(ip, port)).collect()
}

fn plain_port(said: &Said) -> u16 {
    match &said.gateway {
        Some(web) if !web.is_secure() => web.port(),
        _ => HTTP_PORT,
    }
}

fn tls_port(said: &Said) -> Option<u16> {
    let told = said.tls_port.map(std::num::NonZeroU16::get);
    let secure = said.gateway.as_ref().filter(|web| web.is_secure());
    told.or(secure.map(named::mesh::Web::port))
}

/// The account that registered it.
pub fn operator(entry: &EdgeEntry) -> Operator {
    hearsay::operator(&entry.owner)
}
