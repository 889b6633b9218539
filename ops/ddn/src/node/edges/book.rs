//! What this node knows of each other edge: its newest advert, what was measured of it, and where it stands. Pure: time,
//! adverts and measurements come in as arguments. Times are microseconds: those called `wall` since 1970, as adverts have
//! them, the others of a clock that does not jump.
//!
//! Bounds: as many edges as adverts are kept, of which [`WATCHED`] are asked each second and some more in turn, so that
//! a near one that nobody knows is found.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use ledger::{EdgeEntry, PublicKey};
use named::mesh::Advert as Said;
use nearest::advert::{Advert, Adverts, Belongs, Health};
use nearest::candidates::{Candidate, Distance, Limits, WATCHED, select};
use nearest::coordinate::{Anchor, Coordinate, Vivaldi, predict_us};
use nearest::ladder::{Event, Standing};
use nearest::liveness::is_ill;
use nearest::measure::Outcome;
use nearest::quorum::Operator;
use nearest::{EdgeId, Prefix};

use super::track::{Errand, Sighting, Track, operator};
use super::view::{Known, View};
use crate::node::notices::Why;

/// How often a watched edge is asked, in microseconds: a sign of life is expected so often.
pub const ASKED_EVERY_US: u64 = 1_000_000;
/// Edges beyond those watched that are asked in turn.
const EXPLORED: usize = 4;
/// What was measured of an edge is kept for so long after its last advert, in microseconds: who restarts is the same.
const REMEMBERED_US: u64 = 600_000_000;

/// All of them.
#[derive(Default)]
pub struct Book {
    adverts: Adverts,
    tracks: BTreeMap<EdgeId, Track>,
    vivaldi: Vivaldi,
    turn: usize,
    /// Who registered this node.
    own: Option<Operator>,
    /// Whether it is this node that is ill, by the last look.
    is_ill: bool,
}

impl Book {
    /// When the newest advert of an edge was signed that is known, in milliseconds since 1970.
    pub fn newest_ms(&self, node: &PublicKey) -> Option<u64> {
        Some(self.tracks.get(node.as_bytes())?.said.time_ms)
    }

    /// The edges that are known.
    pub fn nodes(&self) -> impl Iterator<Item = PublicKey> {
        self.tracks.values().map(|track| track.said.node)
    }

    /// What the ledger says of this node.
    pub fn belong(&mut self, entry: Option<&EdgeEntry>) {
        self.own = entry.map(operator);
    }

    /// Takes an advert, and what the ledger says of who signed it.
    pub fn hear(&mut self, said: Said, entry: Option<EdgeEntry>, wall_us: u64) {
        let id = *said.node.as_bytes();
        if let Err(refused) = self.adverts.take(&reduced(&said, entry.as_ref()), wall_us) {
            tracing::debug!(node = %said.node, "an advert is not taken: {refused}");
            return;
        }
        let track = self.tracks.entry(id).or_insert_with(|| Track::new(said.clone()));
        (track.said, track.entry, track.heard_us) = (Arc::new(said), entry, wall_us);
    }

    /// What the ledger says of an edge now.
    pub fn register(&mut self, node: &PublicKey, entry: Option<EdgeEntry>, wall_us: u64) {
        let Some(track) = self.tracks.get_mut(node.as_bytes()) else {
            return;
        };
        if track.entry == entry {
            return;
        }
        track.entry = entry;
        self.adverts.remove(node.as_bytes());
        let advert = reduced(&track.said, track.entry.as_ref());
        // There was room for it, or it is over.
        let _ = self.adverts.take(&advert, wall_us);
    }

    /// Who is to be asked now: the nearest, those that the ledger knows first, and a few of the others in turn.
    pub fn errands(&mut self, wall_us: u64) -> Vec<Errand> {
        self.tracks
            .retain(|_, track| wall_us.saturating_sub(track.heard_us) < REMEMBERED_US);
        let mut by_distance: Vec<(bool, u8, u32, EdgeId)> = self
            .adverts
            .iter(wall_us)
            .filter_map(|advert| {
                let (certainty, rtt_us) = order(self.distance(&advert.edge));
                let track = self.tracks.get(&advert.edge)?;
                Some((track.entry.is_none(), certainty, rtt_us, advert.edge))
            })
            .collect();
        by_distance.sort_unstable();
        let others = by_distance.split_off(by_distance.len().min(WATCHED.0));
        let explored = (0..EXPLORED.min(others.len())).map(|at| others[(self.turn + at) % others.len()].3);
        let explored: Vec<EdgeId> = explored.collect();
        self.turn = self.turn.wrapping_add(EXPLORED);
        let watched: Vec<EdgeId> = by_distance.into_iter().map(|(.., id)| id).collect();
        let is_watched: BTreeSet<&EdgeId> = watched.iter().collect();
        for (id, track) in &mut self.tracks {
            track.watch(is_watched.contains(id));
        }
        let asked = watched.into_iter().chain(explored);
        asked.filter_map(|id| self.tracks.get_mut(&id)?.ask()).collect()
    }

    /// What came of an errand.
    pub fn seen(&mut self, node: &PublicKey, seen: Sighting, now_us: u64) {
        let id = node.as_bytes();
        let anchors = self.anchors();
        let Some(track) = self.tracks.get_mut(id) else {
            return;
        };
        track.see(seen, now_us);
        let (Some(rtt_us), Some(position)) = (track.rtt_us(), track.said.position) else {
            return;
        };
        let coordinate = position.coordinate();
        let direction = u64::from_le_bytes([id[0], id[1], id[2], id[3], id[4], id[5], id[6], id[7]]);
        let moved = self
            .vivaldi
            .note(&Anchor { coordinate, rtt_us }, &anchors, now_us, direction);
        if let Err(refused) = moved {
            tracing::debug!(%node, "its coordinate is not believed: {refused:?}");
        }
    }

    /// What came of a delivery of an edge to this node.
    pub fn delivered(&mut self, node: &PublicKey, outcome: &Outcome, now_us: u64) {
        if let Some(track) = self.tracks.get_mut(node.as_bytes()) {
            track.delivered(outcome, now_us);
        }
    }

    /// An edge refused a delivery to this node, for having too much to do.
    pub fn turned_away(&mut self, node: &PublicKey, now_us: u64) {
        if let Some(track) = self.tracks.get_mut(node.as_bytes()) {
            track.credit.turned_away(now_us);
        }
    }

    /// Looks at all measurements: who has fallen silent loses its readers.
    pub fn look(&mut self, now_us: u64) {
        let watched = || self.tracks.values().filter(|track| track.is_looked_at());
        let suspect = watched().filter(|track| track.peer.is_suspect(now_us)).count();
        let ill = is_ill(suspect, watched().count());
        self.is_ill = ill;
        for track in self.tracks.values_mut().filter(|track| track.is_looked_at()) {
            let event = Event::Looked {
                phi_milli: track.peer.phi_milli(now_us),
                errors_permille: track.peer.errors_permille(now_us),
                ill,
            };
            track.stand(event, now_us);
            if let (true, Standing::Away { returns, .. }) = (ill, track.standing) {
                // It was this node that saw nobody: their minute begins when it sees again.
                track.standing = Standing::Away {
                    since_us: now_us,
                    returns,
                };
            }
        }
    }

    /// Counts for the quorum how each of the watched does, once a second; and says whom of them is to be told that it is in
    /// quarantine here.
    pub fn count(&mut self, now_us: u64) -> Vec<(PublicKey, Why)> {
        let ill = self.is_ill;
        let watched = self.tracks.values_mut().filter(|track| track.is_looked_at());
        let told = watched.filter_map(|track| {
            track.count(now_us, ill);
            Some((track.said.node, track.notice(now_us)?))
        });
        told.collect()
    }

    /// An epoch began. Returns who failed in the one before.
    pub fn turn(&mut self, epoch: u64, now_us: u64) -> Vec<PublicKey> {
        let failed = self
            .tracks
            .values_mut()
            .filter_map(|track| track.turn(epoch, now_us).then_some(track.said.node));
        failed.collect()
    }

    /// A quorum found that these failed: they are out for this epoch. What this node measures itself goes before what others
    /// say, so that no number of strangers takes an edge from it that serves it well.
    pub fn convict(&mut self, edges: &[EdgeId], epoch: u64, now_us: u64) {
        for edge in edges {
            let track = self.tracks.get_mut(edge);
            if let Some(track) = track.filter(|track| !track.is_seen_serving()) {
                track.stand(Event::Convicted { epoch }, now_us);
            }
        }
    }

    /// Those who registered the edges that are known, this node among them.
    pub fn operators(&self) -> Vec<Operator> {
        let others = self.tracks.values().filter_map(|track| track.entry.as_ref());
        others.map(operator).chain(self.own).collect()
    }

    /// Where this node is, once it has measured somebody.
    pub fn here(&self) -> Option<Coordinate> {
        let here = self.vivaldi.here();
        (here != Coordinate::default()).then_some(here)
    }

    /// What is known now, with this node itself as one of them.
    pub fn view(&self, me: Known, limits: &Limits, (now_us, wall_us): (u64, u64)) -> View {
        let of = |advert: &'_ Advert| {
            let track = self.tracks.get(&advert.edge);
            (self.distance(&advert.edge), track.map(|track| track.standing))
        };
        let all = self.adverts.iter(wall_us).map(|advert| {
            let (distance, standing) = of(advert);
            Candidate {
                advert,
                distance,
                standing: standing.unwrap_or_default(),
            }
        });
        let (taken, out) = select(all.collect(), limits);
        let known = |candidate: &Candidate<'_>| {
            let track = self.tracks.get(&candidate.advert.edge)?;
            Some(track.known(candidate, self.own.as_ref(), now_us))
        };
        let mut candidates: Vec<Known> = taken.iter().filter_map(known).collect();
        candidates.insert(0, me);
        View {
            candidates,
            passed_over: out
                .iter()
                .filter_map(|(candidate, why)| Some((known(candidate)?, *why)))
                .collect(),
        }
    }

    fn anchors(&self) -> Vec<Anchor> {
        let anchor = |track: &Track| {
            let (rtt_us, position) = (track.rtt_us()?, track.said.position?);
            let coordinate = position.coordinate();
            Some(Anchor { coordinate, rtt_us })
        };
        let watched = self.tracks.values().filter(|track| track.is_watched);
        watched.filter_map(anchor).collect()
    }

    fn distance(&self, id: &EdgeId) -> Distance {
        let Some(track) = self.tracks.get(id) else {
            return Distance::Unknown;
        };
        let predicted = || {
            let there = track.said.position?.coordinate();
            Some(predict_us(&self.here()?, &[], &there))
        };
        let measured = track.rtt_us();
        let predicted = if measured.is_none() { predicted() } else { None };
        Distance::best(measured, None, predicted)
    }
}

/// What goes into the choice: an edge is not taken to serve more at once than it registered.
fn reduced(said: &Said, entry: Option<&EdgeEntry>) -> Advert {
    let first = said.addresses.first().map(SocketAddr::ip);
    let registered = entry.map_or(u32::MAX, |entry| entry.capacity);
    Advert {
        edge: *said.node.as_bytes(),
        belongs: Belongs {
            operator: entry.map(operator),
            place: Prefix::place(first.unwrap_or(std::net::Ipv4Addr::UNSPECIFIED.into())),
            network: None,
        },
        capacity: said.capacity.min(registered),
        load: said.load,
        price: said.price.units(),
        coordinate: said
            .position
            .map(|position| position.coordinate())
            .unwrap_or_default(),
        health: Health::new(said.health).unwrap_or_default(),
        issued_us: said.time_ms.saturating_mul(1000),
        expires_us: said.until_ms.saturating_mul(1000),
    }
}

/// For who is asked first: those that were measured, then those of whom something is predicted, then the others.
fn order(distance: Distance) -> (u8, u32) {
    match distance {
        Distance::Measured(rtt_us) | Distance::ForPlace(rtt_us) => (0, rtt_us),
        Distance::Predicted(rtt_us) => (1, rtt_us),
        Distance::Unknown => (2, 0),
    }
}
