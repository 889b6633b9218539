//! What time the others have.

use ledger::{SecretKey, Signed};
use named::mesh::{Advert, Topic};

use super::world::*;

/// Half a minute more than adverts are taken at all.
const MINUTE_MS: i64 = 60_000;
/// Far more than a message takes on a busy machine.
const TOLERANCE_MS: i64 = 10_000;

fn advert(key: &SecretKey, ahead_ms: i64) -> Vec<u8> {
    let time_ms = now_ms().saturating_add_signed(ahead_ms);
    let body = Advert {
        until_ms: time_ms + 30_000,
        ..super::world::advert(key, time_ms, 0)
    };
    Signed::sign(body, CHAIN, key).encode()
}

/// Has `node` say the time until `listener` has heard it twice.
async fn tells(node: &Node, listener: &Node, ahead_ms: i64) {
    until("the time of a peer is known", || {
        node.mesh.publish(Topic::Edges, advert(&node.key, ahead_ms));
        let peer = listener.peer(node).unwrap();
        peer.clock_ahead_ms
            .is_some_and(|ahead| (ahead - ahead_ms).abs() < TOLERANCE_MS)
    })
    .await;
}

#[tokio::test]
async fn a_clock_that_is_off_is_seen_by_what_others_have() {
    let [a, b, c, d] = crowd::<4>().await;
    assert_eq!(a.mesh.clock(), None);
    // Adverts of the future are not taken, but the time that they say is.
    for node in [&b, &c] {
        tells(node, &a, MINUTE_MS).await;
    }
    tells(&d, &a, 0).await;
    let clock = a.mesh.clock().unwrap();
    assert_eq!(clock.peers, 3);
    assert!(
        (clock.others_ahead_ms - MINUTE_MS).abs() < TOLERANCE_MS,
        "{clock:?}"
    );
    assert_eq!(a.score(&b), 0, "another clock is no offence");

    // Two of three agree with us, so the third is wrong.
    tells(&c, &a, 0).await;
    let clock = a.mesh.clock().unwrap();
    assert!(clock.others_ahead_ms.abs() < TOLERANCE_MS, "{clock:?}");
}

#[tokio::test]
async fn nobody_says_the_time_for_others() {
    let [a, b] = crowd::<2>().await;
    let absent = SecretKey::from_seed([0x55; 32]);
    let mut said = 0;
    until("a heard many", || {
        said += 1;
        b.mesh.publish(Topic::Edges, advert(&absent, MINUTE_MS + said));
        a.metric("mesh_gossip_heard_total{topic=\"edges\",verdict=\"ignore\"} ") >= 4
    })
    .await;
    assert_eq!(a.mesh.clock(), None);
}
