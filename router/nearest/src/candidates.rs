//! Who may serve at all: the edges that go into the choice, and why the others do not.
//!
//! From very many edges to at most [`Limits::watched`]: the healthy ones that are not too dear, nearest first, of each
//! operator, place and network only so many. So a flood of identities gets a bounded share of the places however many
//! they are.

use std::collections::BTreeMap;
use std::fmt;

use crate::advert::{Advert, Belongs, Crowd, Health};
use crate::ladder::Standing;

/// How far an edge is from a reader, and how that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distance {
    /// Measured by this node, for itself or for readers that are where it is; in microseconds.
    Measured(u32),
    /// Measured between readers of that place and the edge, by this node or by several others; in microseconds.
    ForPlace(u32),
    /// Predicted by coordinates, in microseconds. Good enough to be measured next, not to win a reader.
    Predicted(u32),
    /// Not known.
    Unknown,
}

impl Distance {
    /// The best that is known, in microseconds each: own measurement, table of places, coordinates.
    #[must_use]
    pub fn best(measured: Option<u32>, for_place: Option<u32>, predicted: Option<u32>) -> Self {
        measured
            .map(Self::Measured)
            .or(for_place.map(Self::ForPlace))
            .or(predicted.map(Self::Predicted))
            .unwrap_or(Self::Unknown)
    }

    /// What may decide where a reader goes, in microseconds: `u32::MAX` unless it was measured.
    #[must_use]
    pub fn decides_us(self) -> u32 {
        match self {
            Self::Measured(rtt_us) | Self::ForPlace(rtt_us) => rtt_us,
            Self::Predicted(_) | Self::Unknown => u32::MAX,
        }
    }

    /// For the order in which edges are taken: what is measured, then what is predicted, then the rest.
    fn order(self) -> (u32, u32) {
        match self {
            Self::Predicted(rtt_us) => (u32::MAX, rtt_us),
            Self::Unknown => (u32::MAX, u32::MAX),
            measured => (measured.decides_us(), 0),
        }
    }
}

impl fmt::Display for Distance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Measured(rtt_us) => write!(f, "{rtt_us} µs away, as this node measured"),
            Self::ForPlace(rtt_us) => write!(f, "{rtt_us} µs away from that place, as was measured"),
            Self::Predicted(rtt_us) => write!(f, "perhaps {rtt_us} µs away, by its coordinate"),
            Self::Unknown => write!(f, "of unknown distance"),
        }
    }
}

/// An edge with what this node makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Its newest advert.
    pub advert: &'a Advert,
    /// How far it is from the reader.
    pub distance: Distance,
    /// Where it stands.
    pub standing: Standing,
}

/// Who is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most for a MiB, in base units.
    pub price_max: u64,
    /// What may not be wrong with an edge.
    pub ills: Health,
    /// The most candidates.
    pub watched: usize,
    /// The most candidates that belong together, in percent of all that may be.
    pub crowd: Crowd<usize>,
}

/// How many edges a node watches: at least, and at most.
pub const WATCHED: (usize, usize) = (48, 768);

/// How many edges to watch next, when those watched have room for `room` more requests and this node has `own` with
/// them: twice as many while the room is less than twice what it has, half as many from sixteen times on. A region with
/// more readers than edges so finds those of its neighbours; a fixed number made readers there wait 1.5 times as long
/// as the oracle's in the simulator.
#[must_use]
pub fn watched_next(watched: usize, room: u64, own: u64) -> usize {
    let next = match own {
        _ if room < own * 2 => watched * 2,
        _ if room >= own * 16 => watched / 2,
        _ => watched,
    };
    next.clamp(WATCHED.0, WATCHED.1)
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            price_max: u64::MAX,
            ills: Health::DISK.and(Health::BEHIND).and(Health::LEAVING),
            watched: WATCHED.0,
            crowd: Crowd {
                operator: 25,
                place: 12,
                network: 50,
            },
        }
    }
}

/// Why an edge is no candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Out {
    /// By its own word.
    Ill(Health),
    /// It asks for more than that, in base units for a MiB.
    Dear(u64),
    /// By where it stands.
    Stands(Standing),
    /// There are nearer ones of its operator, place or network, and enough of them.
    Crowded,
    /// There are nearer ones, and enough of them.
    Far,
}

impl fmt::Display for Out {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ill(health) => write!(f, "not asked: by its own word {health}"),
            Self::Dear(price) => write!(f, "not asked: its price of a MiB is {price}"),
            Self::Stands(Standing::Out { until_epoch }) => {
                write!(
                    f,
                    "not asked: a quorum found that it failed, out until epoch {until_epoch}"
                )
            }
            Self::Stands(Standing::Quarantined { .. }) => {
                write!(f, "not asked: in quarantine until it passes its self-test")
            }
            Self::Stands(_) => write!(f, "not asked: does not answer"),
            Self::Crowded => write!(
                f,
                "not asked: enough nearer ones belong to the same operator or network"
            ),
            Self::Far => write!(f, "not asked: enough others are nearer"),
        }
    }
}

/// The candidates, nearest first; and beside each of the others why it is none, in the same order.
#[must_use]
pub fn select<'a>(
    mut all: Vec<Candidate<'a>>,
    limits: &Limits,
) -> (Vec<Candidate<'a>>, Vec<(Candidate<'a>, Out)>) {
    all.sort_by_key(|candidate| (candidate.distance.order(), candidate.advert.edge));
    let mut counts = Counts::default();
    let share = |percent: usize| (limits.watched * percent / 100).max(1);
    let crowd = Crowd {
        operator: share(limits.crowd.operator),
        place: share(limits.crowd.place),
        network: share(limits.crowd.network),
    };
    let (mut taken, mut out) = (Vec::new(), Vec::new());
    for candidate in all {
        let belongs = &candidate.advert.belongs;
        let reason = limits
            .unfit(&candidate)
            .or_else(|| match taken.len() < limits.watched {
                false => Some(Out::Far),
                true => (!counts.admit(belongs, &crowd)).then_some(Out::Crowded),
            });
        match reason {
            None => taken.push(candidate),
            Some(reason) => out.push((candidate, reason)),
        }
    }
    (taken, out)
}

impl Limits {
    fn unfit(&self, candidate: &Candidate<'_>) -> Option<Out> {
        let advert = candidate.advert;
        match candidate.standing {
            _ if advert.health.has(self.ills) => Some(Out::Ill(advert.health)),
            _ if advert.price > self.price_max => Some(Out::Dear(advert.price)),
            Standing::Serving => None,
            standing => Some(Out::Stands(standing)),
        }
    }
}

#[derive(Default)]
struct Counts(BTreeMap<Group, usize>);

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    Operator(Option<crate::quorum::Operator>),
    Place(crate::prefix::Prefix),
    Network(u32),
}

impl Counts {
    /// Counts an edge, if there is room for it in all that it belongs to.
    fn admit(&mut self, belongs: &Belongs, most: &Crowd<usize>) -> bool {
        let place = (!belongs.place.is_private()).then_some((Group::Place(belongs.place), most.place));
        let network = belongs
            .network
            .map(|network| (Group::Network(network), most.network));
        let groups = [
            Some((Group::Operator(belongs.operator), most.operator)),
            place,
            network,
        ];
        let has_room = |(group, most): &(Group, usize)| self.0.get(group).is_none_or(|count| count < most);
        if !groups.iter().flatten().all(has_room) {
            return false;
        }
        for (group, _) in groups.into_iter().flatten() {
            *self.0.entry(group).or_default() += 1;
        }
        true
    }
}
