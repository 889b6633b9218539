//! Who may ask, and how often: the first thing that happens to a request.
//!
//! A client is an IPv4 address or an IPv6 /56. It may ask so often, and have so many requests in flight; what is beyond
//! is answered 429 with the time to wait. So whoever asks too much takes nothing from others, and a node that many ask
//! at once is bounded by its limits for all (`Limits`). Requests that go in a circle are ended here too.

mod forwarded;
pub(crate) mod hops;
pub(crate) mod trace;

use std::hash::RandomState;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;
use nearest::Prefix;

pub use nearest::Network;
use nearest::{Cells, Crowd, Rate};

/// What one client may do. Each has its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guarding {
    /// Requests a second that a client may make on average; 0 means any number. A page has some hundred parts, and a
    /// client that fetches block by block over a slow line makes about as many a second. Default 500.
    pub requests_per_s: u64,
    /// Requests that a client may make at once before the average counts: some pages, or the people behind one
    /// address. Default 5000.
    pub requests_burst: u64,
    /// Requests of a client in flight. A quarter of what the gateway takes from all (`Limits::requests_max`), so that
    /// no client takes every place. Default 256.
    pub requests_in_flight: u32,
    /// Answers to a client in flight that are longer than a block: a quarter of `Limits::streams_max`. Default 64.
    pub streams_in_flight: u32,
    /// Requests of a client that wait for other nodes: a quarter of `Limits::fetches_max`. Default 64.
    pub fetches_in_flight: u32,
    /// Listings and compressions of a client in work: a quarter of `Limits::listings_max`, and half of
    /// `Limits::compressions_max`. Default 4.
    pub works_in_flight: u32,
    /// Clients that are not counted. Default: this machine.
    pub uncounted: Vec<Network>,
    /// Proxies that may say for whom they ask, and how they were asked themselves (`X-Forwarded-For`, `-Proto`, `-Host`).
    /// Nobody else is believed. Default: those on this machine.
    pub proxies: Vec<Network>,
}

impl Default for Guarding {
    fn default() -> Self {
        Self {
            requests_per_s: 500,
            requests_burst: 5000,
            requests_in_flight: 256,
            streams_in_flight: 64,
            fetches_in_flight: 64,
            works_in_flight: 4,
            uncounted: Network::loopback(),
            proxies: Network::loopback(),
        }
    }
}

/// Connections of a client that may break the protocol, or go beyond a bound, at once and a second: a broken program is
/// started again some times, a flood goes on.
const BREACHES_BURST: u64 = 16;
const BREACHES_PER_S: u64 = 1;

/// Counts what clients do. No call takes a lock or memory.
#[derive(Debug)]
pub(crate) struct Guard {
    keys: RandomState,
    rate: Option<Rate>,
    breaches: Rate,
    requests: Crowd,
    streams: Crowd,
    fetches: Crowd,
    works: Crowd,
    uncounted: Vec<Network>,
    proxies: Vec<Network>,
    since: Instant,
}

/// A client, as it is counted; by default one that is not. It stays the same for all requests of a connection, but for those of a trusted proxy.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seat(Option<Cells>);

/// Too much of one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TooMuch {
    /// Requests follow each other too fast; after this time there may be another.
    Often(Duration),
    /// Too many are in flight.
    AtOnce,
}

impl Guard {
    pub(crate) fn new(terms: &Guarding) -> Self {
        let rate = (terms.requests_per_s > 0).then(|| Rate::new(terms.requests_per_s, terms.requests_burst));
        Self {
            keys: RandomState::new(),
            rate,
            breaches: Rate::new(BREACHES_PER_S, BREACHES_BURST),
            requests: Crowd::new(terms.requests_in_flight),
            streams: Crowd::new(terms.streams_in_flight),
            fetches: Crowd::new(terms.fetches_in_flight),
            works: Crowd::new(terms.works_in_flight),
            uncounted: terms.uncounted.clone(),
            proxies: terms.proxies.clone(),
            since: Instant::now(),
        }
    }

    /// How a client is counted. It takes some fifty nanoseconds: once for a connection is enough.
    pub(crate) fn seat(&self, client: IpAddr) -> Seat {
        let is_counted = !self.uncounted.iter().any(|network| network.contains(client));
        Seat(is_counted.then(|| Cells::of(&Prefix::line(client), &self.keys)))
    }

    /// Whether the other end of a connection asks for others, so that each request has a client of its own.
    pub(crate) fn is_proxy(&self, peer: IpAddr) -> bool {
        self.proxies.iter().any(|network| network.contains(peer))
    }

    /// Who asks: the other end of the connection, or whom it names, if it is trusted to.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        forwarded::client(peer, headers, &self.proxies)
    }

    /// Counts one request, for answers that are over as soon as they begin.
    pub(crate) fn count(&self, seat: Seat) -> Result<(), TooMuch> {
        let (Some(cells), Some(rate)) = (seat.0, &self.rate) else {
            return Ok(());
        };
        rate.take(cells, self.now()).map_err(TooMuch::Often)
    }

    /// A connection of the client was ended since it broke the protocol, or went beyond a bound.
    pub(crate) fn blame(&self, seat: Seat) {
        if let Some(cells) = seat.0 {
            // Who is barred already is not barred for longer by what was open then.
            let _ = self.breaches.take(cells, self.now());
        }
    }

    /// How long the client may open no connection, if it was blamed too often.
    pub(crate) fn barred(&self, seat: Seat) -> Option<Duration> {
        self.breaches.wait(seat.0?, self.now())
    }

    /// Nanoseconds.
    fn now(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Counts one request, which is in flight until what is returned is dropped.
    pub(crate) fn admit(self: &Arc<Self>, seat: Seat) -> Result<Admitted, TooMuch> {
        let admitted = self.enter(seat, |guard| &guard.requests)?;
        self.count(seat).map(|()| admitted)
    }

    /// Counts an answer that is longer than a block, until what is returned is dropped.
    pub(crate) fn stream(self: &Arc<Self>, seat: Seat) -> Result<Admitted, TooMuch> {
        self.enter(seat, |guard| &guard.streams)
    }

    /// Counts a request that waits for other nodes, until what is returned is dropped.
    pub(crate) fn fetch(self: &Arc<Self>, seat: Seat) -> Result<Admitted, TooMuch> {
        self.enter(seat, |guard| &guard.fetches)
    }

    /// Counts a piece of work for a client, until what is returned is dropped.
    pub(crate) fn work(self: &Arc<Self>, seat: Seat) -> Result<Admitted, TooMuch> {
        self.enter(seat, |guard| &guard.works)
    }

    fn enter(self: &Arc<Self>, seat: Seat, crowd: fn(&Guard) -> &Crowd) -> Result<Admitted, TooMuch> {
        let inside = match seat.0 {
            None => None,
            Some(cells) if crowd(self).enter(cells) => Some(Inside {
                guard: Arc::clone(self),
                cells,
                crowd,
            }),
            Some(_) => return Err(TooMuch::AtOnce),
        };
        Ok(Admitted(inside))
    }
}

/// A request in flight, as far as its client is counted.
#[derive(Debug)]
pub(crate) struct Admitted(Option<Inside>);

#[derive(Debug)]
struct Inside {
    guard: Arc<Guard>,
    cells: Cells,
    crowd: fn(&Guard) -> &Crowd,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        if let Some(inside) = &self.0 {
            (inside.crowd)(&inside.guard).leave(inside.cells);
        }
    }
}

impl TooMuch {
    /// Seconds to wait, for `Retry-After`.
    pub(crate) fn seconds(self) -> u16 {
        match self {
            Self::Often(wait) => u16::try_from(wait.as_secs() + 1).unwrap_or(u16::MAX),
            Self::AtOnce => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(terms: &Guarding) -> Arc<Guard> {
        Arc::new(Guard::new(terms))
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn places_are_given_back() {
        let guard = guard(&Guarding {
            requests_in_flight: 2,
            ..Guarding::default()
        });
        let seat = guard.seat(address("192.0.2.1"));
        let (one, _two) = (guard.admit(seat).unwrap(), guard.admit(seat).unwrap());
        assert_eq!(guard.admit(seat).unwrap_err(), TooMuch::AtOnce);
        assert!(guard.admit(guard.seat(address("192.0.2.2"))).is_ok());
        drop(one);
        assert!(guard.admit(seat).is_ok());
    }

    #[test]
    fn who_is_refused_for_haste_holds_no_place() {
        let guard = guard(&Guarding {
            requests_per_s: 1,
            requests_burst: 1,
            requests_in_flight: 2,
            ..Guarding::default()
        });
        let seat = guard.seat(address("192.0.2.1"));
        assert!(guard.admit(seat).is_ok());
        for _ in 0..10 {
            let refused = guard.admit(seat).unwrap_err();
            assert!(matches!(refused, TooMuch::Often(wait) if wait <= Duration::from_secs(1)));
            assert!((1..=2).contains(&refused.seconds()));
        }
    }

    #[test]
    fn this_machine_is_not_counted() {
        let strict = Guarding {
            requests_per_s: 1,
            requests_burst: 1,
            requests_in_flight: 1,
            ..Guarding::default()
        };
        let guard = guard(&strict);
        let own = guard.seat(address("127.0.0.1"));
        let held: Vec<_> = (0..100).map(|_| guard.admit(own)).collect();
        assert!(held.iter().all(Result::is_ok));
        let guard = Arc::new(Guard::new(&Guarding {
            uncounted: Vec::new(),
            ..strict
        }));
        let own = guard.seat(address("127.0.0.1"));
        let _one = guard.admit(own).unwrap();
        assert!(guard.admit(own).is_err());
    }
}
