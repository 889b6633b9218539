//! Adverts of edges: the newest counts, for as long as it holds.

use ledger::{SecretKey, Signed};
use named::mesh::{Advert, Topic};

use super::world::*;

const SECOND: u64 = 1_000;

fn signed(key: &SecretKey, time_ms: u64, load: u32) -> Signed<Advert> {
    Signed::sign(advert(key, time_ms, load), CHAIN, key)
}

fn loads(node: &Node) -> Vec<u32> {
    node.mesh.adverts().iter().map(|advert| advert.load).collect()
}

#[tokio::test]
async fn the_newest_wins() {
    let [a, b, c] = crowd::<3>().await;
    let now = now_ms();
    a.mesh.advertise(signed(&a.key, now - 3 * SECOND, 1));
    until("all know the first", || loads(&b) == [1] && loads(&c) == [1]).await;
    a.mesh.advertise(signed(&a.key, now, 2));
    until("all know the second", || loads(&b) == [2] && loads(&c) == [2]).await;
    a.mesh.advertise(signed(&a.key, now - 2 * SECOND, 3));
    until("b heard the older one", || {
        b.metric("mesh_gossip_heard_total{topic=\"edges\",verdict=\"ignore\"} ") >= 1
    })
    .await;
    assert_eq!((loads(&b), loads(&a).len()), (vec![2], 0), "nobody lists itself");
    assert_eq!(b.score(&a), 0, "being late is no offence");
    b.mesh.advertise(signed(&b.key, now, 9));
    until("c knows two edges", || c.mesh.adverts().len() == 2).await;
    assert!(c.mesh.adverts().contains(&advert(&a.key, now, 2)));
}

#[tokio::test]
async fn one_that_nobody_heard_is_said_to_the_first_who_comes() {
    let a = setup().start().await;
    a.mesh.advertise(signed(&a.key, now_ms(), 5));
    until("nobody is there", || {
        a.metric("mesh_gossip_published_total{topic=\"edges\",verdict=\"alone\"} ") == 1
    })
    .await;
    let b = joined(&a).await;
    until("b knows it", || loads(&b) == [5]).await;
}

#[tokio::test]
async fn the_expired_vanish() {
    let [a, b] = crowd::<2>().await;
    let now = now_ms();
    let short = Advert {
        until_ms: now + 3 * SECOND,
        ..advert(&a.key, now, 1)
    };
    a.mesh.advertise(Signed::sign(short, CHAIN, &a.key));
    until("b knows it", || loads(&b) == [1]).await;
    until("b forgot it", || loads(&b).is_empty()).await;
    assert!(now_ms() >= now + 3 * SECOND);
    until("it takes no room", || b.metric("mesh_adverts ") == 0).await;
}

#[tokio::test]
async fn a_forged_one_is_refused_and_its_sender_loses_points() {
    let [a, b] = crowd::<2>().await;
    a.mesh.advertise(signed(&a.key, now_ms(), 1));
    until("b listens", || loads(&b) == [1]).await;
    let victim = SecretKey::from_seed([9; 32]);
    let forged = Signed::sign(advert(&victim, now_ms(), 7), CHAIN, &a.key);
    let relabelled = Signed {
        key: victim.public(),
        ..forged.clone()
    };
    let other_chain = Signed::sign(advert(&a.key, now_ms() + SECOND, 8), "test-2", &a.key);
    for bytes in [
        forged.encode(),
        relabelled.encode(),
        other_chain.encode(),
        b"noise".to_vec(),
    ] {
        a.mesh.publish(Topic::Edges, bytes);
    }
    until("b refused all four", || b.score(&a) == -40).await;
    assert_eq!(loads(&b), [1]);
    assert_eq!(
        b.metric("mesh_gossip_heard_total{topic=\"edges\",verdict=\"reject\"} "),
        4
    );
}

#[tokio::test]
async fn our_own_is_checked_before_it_is_sent() {
    let [a, b] = crowd::<2>().await;
    let endless = Advert {
        until_ms: u64::MAX,
        ..advert(&a.key, now_ms(), 1)
    };
    a.mesh.advertise(Signed::sign(endless, CHAIN, &a.key));
    a.mesh.advertise(signed(&a.key, now_ms(), 2));
    until("b knows the good one", || loads(&b) == [2]).await;
    assert_eq!(b.score(&a), 0);
}

#[tokio::test]
async fn the_list_is_bounded_the_first_to_end_makes_room() {
    let b = setup().limits(|limits| limits.adverts_max = 2).start().await;
    let a = joined(&b).await;
    let now = now_ms();
    a.mesh.advertise(signed(&a.key, now, 1));
    until("b listens", || loads(&b) == [1]).await;
    for (seed, life) in [(1, 40), (2, 50), (3, 30)] {
        let key = SecretKey::from_seed([seed; 32]);
        let body = Advert {
            until_ms: now + life * SECOND,
            ..advert(&key, now, seed.into())
        };
        a.mesh
            .publish(Topic::Edges, Signed::sign(body, CHAIN, &key).encode());
        let heard = usize::from(seed) + 1;
        until("b heard it", || {
            let count = |verdict: &str| {
                b.metric(&format!(
                    "mesh_gossip_heard_total{{topic=\"edges\",verdict=\"{verdict}\"}} "
                ))
            };
            (count("accept") + count("ignore")) as usize >= heard
        })
        .await;
    }
    let mut lives: Vec<_> = b
        .mesh
        .adverts()
        .iter()
        .map(|advert| (advert.until_ms - now) / SECOND)
        .collect();
    lives.sort_unstable();
    assert_eq!(lives, [50, 60]);
}
