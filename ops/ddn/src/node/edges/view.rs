//! What is known of the edges at one moment: never changed, so that whoever asks waits for nobody.

use std::net::{IpAddr, SocketAddr};

use ledger::PublicKey;
use named::mesh::{Web, is_local};
use nearest::candidates::{Distance, Out};
use nearest::{Choice, Edge, EdgeId, Edges, Policy, Prefix};

/// How far this node is from whoever came to it and of whom nothing else is known, in microseconds.
const HERE_US: u32 = 1;
/// The ports that readers try by themselves.
const USUAL: (u16, u16) = (80, 443);

/// All edges.
#[derive(Debug, Default)]
pub struct View {
    /// Who may serve: this node first, then the nearest.
    pub candidates: Vec<Known>,
    /// Who may not, and why.
    pub passed_over: Vec<(Known, Out)>,
}

/// One edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Who it is.
    pub node: PublicKey,
    /// Whether it is this node.
    pub is_here: bool,
    /// Whether the ledger knows it.
    pub is_registered: bool,
    /// How far it is from this node.
    pub distance: Distance,
    /// The same for the rule of choice, with its capacity and load.
    pub edge: Edge,
    /// Where readers reach its gateway, as it says.
    pub gateway: Option<Web>,
    /// Where IPFS clients get single blocks from it.
    pub provider: Vec<Web>,
    /// Where it delivers.
    pub addresses: Vec<SocketAddr>,
    /// Where all ports of its gateway were reached when they were tried last.
    pub doors: Vec<IpAddr>,
    /// The port of its gateway.
    pub port: u16,
    /// The port of its encrypted gateway, if it has one.
    pub tls_port: Option<u16>,
    /// The domains that it serves beside its chain's.
    pub domains: Vec<String>,
}

/// Edges in the order in which they should serve.
#[derive(Debug)]
pub struct Ranking {
    /// The order, and why.
    pub choice: Choice,
    /// On how many bits of the reader's address it depends.
    pub bits: u8,
}

impl Known {
    /// Whether it serves `host`, which is below `tld` or in a domain of its own; lower case, no dot at its end.
    pub fn serves(&self, host: &str, tld: &str) -> bool {
        let is_in = |domain: &str| {
            let rest = host.strip_suffix(domain);
            rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        is_in(tld) || self.domains.iter().any(|domain| is_in(domain))
    }

    /// Whether readers who know nothing but its address find it: at the usual ports, or at that of this node, from which
    /// they know the others.
    pub fn is_found_by_address(&self, own_port: u16) -> bool {
        self.port == USUAL.0 || self.port == own_port || self.tls_port == Some(USUAL.1)
    }

    /// Its doors that a reader there can reach: nobody is sent into another's private network.
    pub fn doors_for(&self, reader: IpAddr) -> impl Iterator<Item = IpAddr> {
        let may_be_local = is_local(reader);
        self.doors
            .iter()
            .copied()
            .filter(move |door| may_be_local || !is_local(*door))
    }

    fn is_in_place_of(&self, reader: IpAddr) -> bool {
        let place = Prefix::place(reader);
        let mut ips = self
            .addresses
            .iter()
            .map(SocketAddr::ip)
            .chain(self.doors.iter().copied());
        ips.any(|ip| Prefix::place(ip) == place)
    }
}

/// A load in steps: coarse below the ramp on which an edge sends readers on, fine on it, one above.
pub fn load_step(load: u32, capacity: u32) -> u32 {
    let percent = u64::from(load) * 100 / u64::from(capacity.max(1));
    let percent = u32::try_from(percent).unwrap_or(u32::MAX);
    let Policy {
        warm_percent,
        bound_percent,
        ..
    } = Policy::DEFAULT;
    match percent {
        _ if percent < warm_percent => percent * 2 / warm_percent,
        _ if percent < bound_percent => 2 + (percent - warm_percent) / 3,
        _ => u32::MAX,
    }
}

impl View {
    /// Those of the candidates that `may` serve, ranked for `content` and a reader; of a reader of whom nothing is known, as
    /// if it were where this node is. `places` says how far a reader is from an edge, in microseconds, if that is known;
    /// `request` tells the readers of one content apart.
    pub fn rank(
        &self,
        content: &[u8],
        reader: Option<IpAddr>,
        places: impl Fn(IpAddr, &EdgeId) -> Option<u32>,
        request: u64,
        may: impl Fn(&Known) -> bool,
    ) -> Ranking {
        let of_place = |known: &Known| {
            let reader = reader?;
            match known.is_in_place_of(reader) && !known.is_here {
                true => Some(0),
                false => places(reader, &known.edge.id),
            }
        };
        let here = self.candidates.iter().find(|known| known.is_here);
        let to_here = here.and_then(of_place);
        let mut is_own = to_here.is_some();
        let edges = self.candidates.iter().filter(|known| may(known)).map(|known| {
            let of_place = of_place(known);
            is_own |= of_place.is_some();
            let from_here = match known.is_here {
                true => HERE_US,
                false => known.edge.rtt_us,
            };
            // Who is not known from there is reached by way of here, at the worst.
            let rtt_us = of_place.unwrap_or(from_here.saturating_add(to_here.unwrap_or(0)));
            Edge { rtt_us, ..known.edge }
        });
        let edges = Edges::new(edges.collect());
        let choice = Policy::DEFAULT.choose_among(content, &edges, request, usize::MAX);
        let bits = reader.filter(|_| is_own).map_or(0, place_bits);
        Ranking { choice, bits }
    }

    /// The edge of a node.
    pub fn find(&self, id: &EdgeId) -> Option<&Known> {
        let all = self.candidates.iter();
        let mut all = all.chain(self.passed_over.iter().map(|(known, _)| known));
        all.find(|known| known.edge.id == *id)
    }
}

/// How many bits of an address say which place it is in.
pub fn place_bits(address: IpAddr) -> u8 {
    match address.to_canonical() {
        IpAddr::V4(_) => 24,
        IpAddr::V6(_) => 48,
    }
}
