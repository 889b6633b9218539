//! Tells other nodes that this one is there: what it has, where it delivers, for how much.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ledger::{Message, Signed, State};
use named::mesh::{Advert, Endpoint, Relay};

use super::joins::Webs;
use super::look::Door;
use super::{Node, digests, edges, health, home, verdicts};
use crate::config::Settings;

/// How often the advert is renewed: load changes within seconds.
const ADVERT_EVERY: Duration = Duration::from_secs(10);
/// How long an advert holds: one may be lost.
const ADVERT_FOR: Duration = Duration::from_secs(30);
/// Adverts are at least so far apart, in milliseconds; others take no more.
const ADVERT_PAUSE_MS: u64 = 500;
/// Peers are asked how they see this node with each so many adverts.
const LOOK_EVERY: u64 = 30;
/// The endpoint record is renewed with each so many adverts: addresses seldom change.
const ENDPOINT_EVERY: u64 = 6;
/// How long an endpoint record holds: some may be lost, and nodes come and go that keep it for others.
const ENDPOINT_FOR: Duration = Duration::from_secs(300);
/// The addresses that a record may name.
const ADDRESSES_MAX: usize = 8;

/// Announces what is pinned here, and then, until the node stops, that it is there.
pub async fn keep_up(node: Arc<Node>) {
    let announcing = Arc::clone(&node);
    let announced = tokio::task::spawn_blocking(move || announce_pins(&announcing));
    let following = follow_registration(&node);
    let looking = keep_looking(&node);
    let mut home = node.delivery.home_relay();
    let told = async {
        let mut beat = tokio::time::interval(ADVERT_EVERY);
        let mut was_alone = true;
        for count in 0u64.. {
            let has_moved = tokio::select! {
                _ = beat.tick() => false,
                moved = home.changed() => moved.is_ok(),
            };
            // A record that was set while nobody was there to keep it reached nobody.
            let is_alone = node.mesh.peers().is_empty();
            if has_moved || count % ENDPOINT_EVERY == 0 || was_alone && !is_alone {
                tell_endpoint(&node);
            }
            was_alone = is_alone;
            tell_advert(&node);
        }
    };
    tokio::select! {
        () = node.stop.cancelled() => {}
        () = told => {}
        () = following => {}
        () = looking => {}
        () = home::keep_up(&node) => {}
        () = digests::keep_up(&node) => {}
        () = verdicts::keep_up(&node) => {}
    }
    // Its thread looks at the token too.
    let _ = announced.await;
}

/// Asks peers now and then how they see this node: at once when the first has come.
async fn keep_looking(node: &Node) {
    let mut beat = tokio::time::interval(ADVERT_EVERY);
    for count in 0u64.. {
        tokio::select! {
            _ = beat.tick() => {}
            // Somebody sends no readers here: perhaps nobody reaches it any more.
            () = node.notices.news() => {
                look(node).await;
                continue;
            }
        }
        let was_seen = node.outlook.sights().iter().any(|sight| sight.tried > 0);
        if count % LOOK_EVERY == 0 || !was_seen {
            look(node).await;
        }
    }
}

/// Asks peers how they see this node.
pub async fn look(node: &Node) {
    if !node.mesh.peers().is_empty() {
        node.outlook.look(&node.mesh, doors(node)).await;
    }
}

/// The ports at which others should reach this node, as it tells them.
fn doors(node: &Node) -> Vec<Door> {
    let settings = &node.config.settings;
    let mesh = node.mesh.addresses();
    let mesh = mesh
        .first()
        .and_then(|address| address.split('/').nth(4)?.parse().ok());
    let private = !settings.mesh.psk_file.is_empty();
    let delivery = addresses(node).first().map(SocketAddr::port);
    let port_of = |address: &String| address.parse().ok().map(|address: SocketAddr| address.port());
    let card = node.card.get();
    let host = settings
        .gateway
        .hosts
        .first()
        .cloned()
        .unwrap_or_else(|| "localhost".to_owned());
    let gateway = card.and_then(|card| port_of(&card.gateway));
    let (dns, zone) = (
        card.and_then(|card| port_of(&card.dns)),
        node.chain.genesis().tld.clone(),
    );
    let doors = [
        mesh.map(|port| Door::Mesh { port, private }),
        delivery.map(|port| Door::Delivery { port }),
        gateway.map(|port| Door::Gateway { port, host }),
        dns.map(|port| Door::Dns { port, zone }),
    ];
    doors.into_iter().flatten().collect()
}

/// With each block: what the ledger says of this edge is what it asks, else what its settings say.
async fn follow_registration(node: &Arc<Node>) {
    let mut tips = node.chain.watch();
    loop {
        let reading = Arc::clone(node);
        let adopted = tokio::task::spawn_blocking(move || adopt_registration(&reading)).await;
        if let Ok(Err(error)) = adopted {
            tracing::error!(%error, "this edge's entry on the ledger cannot be read");
        }
        // An error means that the chain ended, which is seen elsewhere.
        if tips.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

fn adopt_registration(node: &Node) -> Result<(), ledger::StateError> {
    let entry = node.chain.state().edge(&node.node_key().public())?;
    node.delivery
        .set_terms(entry.as_ref().map(|entry| (entry.payout, entry.price)));
    node.set_capacity(entry.map(|entry| entry.capacity));
    Ok(())
}

fn announce_pins(node: &Node) {
    let pins = match node.store.pins() {
        Ok(pins) => pins,
        Err(error) => return tracing::error!(%error, "what is pinned here cannot be announced"),
    };
    for pin in pins {
        if node.stop.is_cancelled() {
            return;
        }
        node.mesh.provide(&pin.cid);
    }
}

fn tell_endpoint(node: &Node) {
    let (time_ms, until_ms) = span(ENDPOINT_FOR);
    let endpoint = Endpoint {
        node: node.node_key().public(),
        addresses: addresses(node),
        home_relay: *node.delivery.home_relay().borrow(),
        time_ms,
        until_ms,
    };
    if !endpoint.addresses.is_empty() {
        node.mesh.set_endpoint(sign(node, endpoint));
    }
}

/// What was told last: when, by the time in the advert, and how loaded this node was.
#[derive(Debug, Default)]
pub struct Told {
    time_ms: AtomicU64,
    step: AtomicU32,
}

impl Told {
    /// The time of the advert that is told now: others take none that is less than half a second after the last.
    fn take_turn(&self, now_ms: u64, step: u32) -> u64 {
        self.step.store(step, Ordering::Relaxed);
        let after = |last: u64| Some(now_ms.max(last.saturating_add(ADVERT_PAUSE_MS)));
        let last = self
            .time_ms
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, after);
        now_ms.max(last.unwrap_or(0).saturating_add(ADVERT_PAUSE_MS))
    }

    /// Whether others should know at once, and may be told.
    fn is_due(&self, now_ms: u64, step: u32) -> bool {
        let last = self.time_ms.load(Ordering::Relaxed);
        step != self.step.load(Ordering::Relaxed) && now_ms >= last.saturating_add(ADVERT_PAUSE_MS)
    }
}

/// Tells others at once when this node got so much fuller or emptier that they should choose another way.
pub fn tell_load(node: &Node) {
    if node.told.is_due(now_ms(), edges::own_step(node)) {
        tell_advert(node);
    }
}

/// Tells others what this edge offers, and what is wrong with it.
pub fn tell_advert(node: &Node) {
    let quote = node.delivery.quote();
    let step = edges::own_step(node);
    let time_ms = node.told.take_turn(now_ms(), step);
    let Webs {
        gateway,
        provider,
        tls_port,
        ..
    } = node.webs.get().cloned().unwrap_or_default();
    let advert = Advert {
        node: node.node_key().public(),
        addresses: addresses(node),
        home_relay: *node.delivery.home_relay().borrow(),
        relay: relay(node),
        payee: quote.payee,
        price: quote.price,
        capacity: node.capacity(),
        load: node.load(),
        height: node.chain.tip().height,
        health: health::bits(node),
        gateway,
        provider: provider.into_iter().next(),
        tls_port,
        position: node.edges.here().map(Into::into),
        time_ms,
        until_ms: time_ms.saturating_add(millis(ADVERT_FOR)),
    };
    if !advert.addresses.is_empty() {
        node.mesh.advertise(sign(node, advert));
    }
}

/// What this node offers as a relay, if it is one.
fn relay(node: &Node) -> Option<Relay> {
    let (settings, local) = (&node.config.settings.relay, node.delivery.relay_addr()?);
    let (quote, free) = node.delivery.relay_offer()?;
    let reached = reached_at(local, &node.mesh.addresses()).into_iter().next();
    let capacity = u32::try_from(settings.nodes_max.get()).unwrap_or(u32::MAX);
    Some(Relay {
        address: settings.external.or(reached)?,
        price: quote.price,
        capacity,
        free: free.min(capacity),
    })
}

fn sign<T: Message>(node: &Node, body: T) -> Signed<T> {
    Signed::sign(body, &node.chain.genesis().chain_id, node.node_key())
}

/// From now, for so long; in milliseconds since 1970.
fn span(length: Duration) -> (u64, u64) {
    let now = now_ms();
    (now, now.saturating_add(millis(length)))
}

fn now_ms() -> u64 {
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Where others reach this node's delivery.
pub fn addresses(node: &Node) -> Vec<SocketAddr> {
    delivery_addresses(
        &node.config.settings,
        node.delivery.local_addr(),
        &node.mesh.addresses(),
    )
}

/// Where others reach this node's delivery: as configured; else where it listens; and if it listens on all addresses of
/// the machine, on those that the mesh has.
fn delivery_addresses(settings: &Settings, local: SocketAddr, mesh: &[String]) -> Vec<SocketAddr> {
    let external = &settings.delivery.external;
    let mut addresses = match external.is_empty() {
        false => external.clone(),
        true => reached_at(local, mesh),
    };
    let mut seen = std::collections::HashSet::new();
    addresses.retain(|address| seen.insert(*address));
    addresses.truncate(ADDRESSES_MAX);
    addresses
}

/// Where others reach a listener: where it listens, and if that is all addresses of the machine, at those that the mesh has.
pub fn reached_at(local: SocketAddr, mesh: &[String]) -> Vec<SocketAddr> {
    if !local.ip().is_unspecified() {
        return vec![local];
    }
    let ips = mesh.iter().filter_map(|address| ip_of(address));
    let mut addresses: Vec<SocketAddr> = ips
        .filter(|ip| ip.is_ipv4() || local.is_ipv6())
        .map(|ip| SocketAddr::new(ip, local.port()))
        .collect();
    addresses.dedup();
    addresses
}

/// The IP address that a multiaddr begins with.
pub fn ip_of(address: &str) -> Option<IpAddr> {
    let mut parts = address.split('/').skip(1);
    match parts.next()? {
        "ip4" | "ip6" => parts.next()?.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_fills_up_says_so_at_once_but_not_too_often() {
        let told = Told::default();
        assert!(!told.is_due(10_000, 0), "nothing is new");
        assert_eq!(told.take_turn(10_000, 0), 10_000);
        assert!(!told.is_due(10_499, 2), "just told");
        assert!(told.is_due(10_500, 2));
        assert_eq!(
            told.take_turn(10_100, 2),
            10_500,
            "in a hurry: others take it still"
        );
        assert!(!told.is_due(20_000, 2));
    }

    fn check(external: &[&str], local: &str, mesh: &[&str], expected: &[&str]) {
        let parse = |texts: &[&str]| -> Vec<SocketAddr> {
            texts
                .iter()
                .map(|text| text.parse().expect("an address"))
                .collect()
        };
        let mut settings = Settings::default();
        settings.delivery.external = parse(external);
        let mesh: Vec<String> = mesh.iter().map(|text| (*text).to_owned()).collect();
        let local = local.parse().expect("an address");
        assert_eq!(delivery_addresses(&settings, local, &mesh), parse(expected));
    }

    #[test]
    fn an_address_that_others_can_use_is_told() {
        let mesh = [
            "/ip4/127.0.0.1/tcp/4101/p2p/x",
            "/ip4/192.0.2.7/tcp/4101/p2p/x",
            "/dns/a.example/tcp/1",
            "/ip6/::1/tcp/1",
        ];
        check(&[], "127.0.0.1:4102", &mesh, &["127.0.0.1:4102"]);
        check(&["198.51.100.1:9"], "0.0.0.0:4102", &mesh, &["198.51.100.1:9"]);
        check(&[], "0.0.0.0:4102", &mesh, &["127.0.0.1:4102", "192.0.2.7:4102"]);
        check(&[], "[::]:4102", &mesh[3..], &["[::1]:4102"]);
        check(
            &[],
            "0.0.0.0:4102",
            &["/ip4/192.0.2.7/tcp/1", "/ip4/192.0.2.7/tcp/2"],
            &["192.0.2.7:4102"],
        );
        check(&[], "0.0.0.0:4102", &[], &[]);
    }
}
