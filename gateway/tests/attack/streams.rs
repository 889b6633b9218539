//! HTTP/2 and HTTP/3: streams that are opened and left, heads that never end, answers that nobody takes.

use std::future::poll_fn;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::beside::{ATTACKER, Way, beside, connect, run, site};
use crate::client::until;
use crate::site::Site;
use crate::wire::{GET, Http2, Identity, flood, frame, get, quic_from, secured};

/// Attackers beside each other.
const LINES: usize = 16;
/// How long heads may take here.
const SHORT: Duration = Duration::from_secs(2);

/// Floods connections of HTTP/2, one after the other, with what `parts` says; how many of them the server ended.
async fn floods<P>(to: SocketAddr, stop: CancellationToken, parts: P) -> u64
where
    P: Fn(u32) -> Vec<u8> + Clone + Send + Sync + 'static,
{
    let mut lines = JoinSet::new();
    for _ in 0..LINES {
        let (stop, parts) = (stop.clone(), parts.clone());
        lines.spawn(async move {
            let mut ended = 0;
            while !stop.is_cancelled() {
                let part = |at| match stop.is_cancelled() {
                    true => Vec::new(),
                    false => parts(at),
                };
                flood(connect(to, ATTACKER).await, part).await;
                ended += 1;
            }
            ended
        });
    }
    lines.join_all().await.into_iter().sum()
}

/// After an attack, nothing of it is left.
async fn over(site: &Site) {
    until("nobody is waited for", || {
        site.metric("gateway_requests_in_flight") == 0.0
    })
    .await;
    until("the attackers have gone", || {
        site.metric("gateway_connections") == 0.0
    })
    .await;
}

/// The HEADERS of a `GET` (RFC 7541, 6.1 and 6.2.2): by the static table, and as literals.
fn head(path: &str) -> Vec<u8> {
    let mut head = vec![0x82, 0x86];
    for (name, value) in [(0x01, "127.0.0.1"), (0x04, path)] {
        head.push(name);
        head.push(u8::try_from(value.len()).expect("a short text"));
        head.extend(value.as_bytes());
    }
    head
}

#[test]
fn http2_streams_that_are_reset() {
    run(async {
        let site = site(|_| {}).await;
        let (address, path) = (site.address(), format!("/ipfs/{}/docs", site.root));
        let head = head(&path);
        beside("HTTP/2 rapid reset", &site, &Way::Http2, |stop| {
            let head = head.clone();
            async move {
                let ended = floods(address, stop, move |at| {
                    let streams = (0..20).map(|n| (at * 20 + n) * 2 + 1);
                    let both = |stream| {
                        [
                            frame(1, 0x5, stream, &head),
                            frame(3, 0, stream, &8_u32.to_be_bytes()),
                        ]
                    };
                    streams.flat_map(both).flatten().collect()
                });
                assert!(ended.await > 0);
            }
        })
        .await;
        over(&site).await;
    });
}

#[test]
fn http2_heads_that_never_end() {
    run(async {
        let site = site(|_| {}).await;
        let address = site.address();
        // A literal of 4 KiB.
        let mut literal = vec![0, 1, b'x', 0x7f, 0x81, 0x1f];
        literal.extend(vec![b'y'; 4096]);
        beside("HTTP/2 CONTINUATION", &site, &Way::Http2, |stop| {
            let literal = literal.clone();
            async move {
                let empty = floods(address, stop.clone(), |at| match at {
                    0 => frame(1, 0x1, 1, GET),
                    _ => frame(9, 0, 1, &[]),
                });
                let long = floods(address, stop.clone(), move |at| match at {
                    0 => frame(1, 0x1, 1, GET),
                    _ => frame(9, 0, 1, &literal),
                });
                // Those that ask for an answer to each: SETTINGS and PING.
                let polite = floods(address, stop, |_| {
                    [frame(4, 0, 0, &[]), frame(6, 0, 0, &[0; 8])].concat().repeat(50)
                });
                let (empty, long, polite) = tokio::join!(empty, long, polite);
                assert!(empty > 0 && long > 0 && polite > 0);
            }
        })
        .await;
        over(&site).await;
    });
}

#[test]
fn http2_streams_that_take_nothing() {
    run(async {
        let site = site(|config| config.guarding.streams_in_flight = 16).await;
        let (address, path) = (site.address(), format!("/ipfs/{}/big.bin", site.root));
        beside("HTTP/2 stalled streams", &site, &Way::Http2, |stop| {
            let path = path.clone();
            async move {
                let mut held = Vec::new();
                for _ in 0..LINES {
                    let client = Http2::new(connect(address, ATTACKER).await).await;
                    for _ in 0..20 {
                        let begun = client.begin(get("127.0.0.1", &path)).await;
                        held.push(begun.expect("a head, of an answer or of a refusal"));
                    }
                }
                stop.cancelled().await;
            }
        })
        .await;
        over(&site).await;
    });
}

async fn http3_site(identity: &Identity) -> (Site, SocketAddr) {
    let site = site(|config| {
        secured(config, &[identity]);
        config.limits.head_timeout = SHORT;
        config.guarding.streams_in_flight = 16;
    })
    .await;
    let address = site.gateway.tls_addr().expect("an encrypted listener");
    (site, address)
}

/// Connections of attackers, each of which does `act` until the server or the test ends it.
async fn each<A, F>(to: SocketAddr, identity: &Arc<Identity>, stop: &CancellationToken, act: F)
where
    F: Fn(quinn::Connection) -> A + Clone + Send + 'static,
    A: Future<Output = ()> + Send,
{
    let own = SocketAddr::from((Ipv4Addr::new(127, 0, 0, ATTACKER), 0));
    let mut lines = JoinSet::new();
    for _ in 0..LINES {
        let (identity, stop, act) = (Arc::clone(identity), stop.clone(), act.clone());
        lines.spawn(async move {
            while !stop.is_cancelled() {
                let (endpoint, connection) = quic_from(own, to, "localhost", &identity).await;
                tokio::select! {
                    () = act(connection.clone()) => {}
                    () = stop.cancelled() => {}
                }
                connection.close(0_u32.into(), b"");
                // Its buffers are some MiB, which are not to be taken for the gateway's.
                endpoint.wait_idle().await;
            }
        });
    }
    lines.join_all().await;
}

#[test]
fn http3_streams_that_are_reset() {
    run(async {
        let identity = Arc::new(Identity::new(&["localhost"]));
        let (site, address) = http3_site(&identity).await;
        let opened = Arc::new(AtomicU64::new(0));
        let (count, of_attack) = (Arc::clone(&opened), Arc::clone(&identity));
        let way = Way::Http3(identity);
        beside("HTTP/3 reset streams", &site, &way, |stop| {
            let (count, of_attack) = (Arc::clone(&count), Arc::clone(&of_attack));
            async move {
                each(address, &of_attack, &stop, move |connection| {
                    let count = Arc::clone(&count);
                    async move {
                        while let Ok((mut send, mut receive)) = connection.open_bi().await {
                            // HEADERS that go on.
                            if send.write_all(&[0x01, 0x40, 0x80, 0, 0]).await.is_err() {
                                return;
                            }
                            let _ = (send.reset(0x10c_u32.into()), receive.stop(0x10c_u32.into()));
                            count.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                })
                .await;
            }
        })
        .await;
        let opened = opened.load(Ordering::Relaxed);
        println!("  {opened} streams were opened");
        assert!(opened > 0);
        over(&site).await;
    });
}

#[test]
fn http3_streams_that_never_ask() {
    run(async {
        let identity = Arc::new(Identity::new(&["localhost"]));
        let (site, address) = http3_site(&identity).await;
        let (way, of_attack) = (Way::Http3(Arc::clone(&identity)), identity);
        beside("HTTP/3 open streams", &site, &way, |stop| {
            let of_attack = Arc::clone(&of_attack);
            async move {
                each(address, &of_attack, &stop, |connection| async move {
                    let mut held = Vec::new();
                    // Until there are as many as may be.
                    while let Ok((mut send, receive)) = connection.open_bi().await {
                        if send.write_all(&[0x01, 0x40, 0x80, 0, 0]).await.is_err() {
                            return;
                        }
                        held.push((send, receive));
                    }
                })
                .await;
            }
        })
        .await;
        over(&site).await;
    });
}

#[test]
fn http3_streams_that_take_nothing() {
    run(async {
        let identity = Arc::new(Identity::new(&["localhost"]));
        let (site, address) = http3_site(&identity).await;
        let path = format!("/ipfs/{}/big.bin", site.root);
        let (way, of_attack) = (Way::Http3(Arc::clone(&identity)), identity);
        beside("HTTP/3 stalled streams", &site, &way, |stop| {
            let (path, of_attack) = (path.clone(), Arc::clone(&of_attack));
            async move {
                each(address, &of_attack, &stop, move |connection| {
                    let path = path.clone();
                    async move {
                        let quic = h3_quinn::Connection::new(connection);
                        let Ok((mut driver, send)) = h3::client::new::<_, h3_quinn::OpenStreams>(quic).await
                        else {
                            return;
                        };
                        let mut held = Vec::new();
                        for _ in 0..50 {
                            let stream = send.clone().send_request(get("127.0.0.1", &path)).await;
                            let Ok(mut stream) = stream else {
                                return;
                            };
                            let _ = stream.finish().await;
                            held.push(stream);
                        }
                        poll_fn(|cx| driver.poll_close(cx)).await;
                    }
                })
                .await;
            }
        })
        .await;
        over(&site).await;
    });
}
