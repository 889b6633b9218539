//! Who has what, and where it is reached.

use std::time::{Duration, Instant};

use cid::Cid;
use ledger::{SecretKey, Signed};
use named::mesh::Endpoint;

use super::stranger::Stranger;
use super::world::*;

const SECOND: Duration = Duration::from_secs(1);

fn root(text: &str) -> Cid {
    ledger::cid_of(text.as_bytes())
}

fn endpoint(key: &SecretKey, port: u16, time_ms: u64) -> Endpoint {
    Endpoint {
        node: key.public(),
        addresses: vec![([127, 0, 0, 1], port).into()],
        home_relay: None,
        time_ms,
        until_ms: time_ms + 3_600_000,
    }
}

fn signed(key: &SecretKey, port: u16, time_ms: u64) -> Signed<Endpoint> {
    Signed::sign(endpoint(key, port, time_ms), CHAIN, key)
}

#[tokio::test]
async fn a_provider_is_found_by_nodes_that_did_not_join_it() {
    let first = setup().start().await;
    first.mesh.provide(&root("site"));
    let mut nodes = vec![first];
    for _ in 0..4 {
        let next = joined(nodes.last().unwrap()).await;
        until("it joined", || next.peer(nodes.last().unwrap()).is_some()).await;
        nodes.push(next);
    }
    let (first, last) = (&nodes[0], &nodes[4]);
    until_async("the last finds the first", || async {
        last.mesh.providers(&root("site"), SECOND).await == [first.id()]
    })
    .await;
    last.mesh.provide(&root("site"));
    until_async("both are found", || async {
        let mut found = nodes[2].mesh.providers(&root("site"), SECOND).await;
        found.sort();
        let mut both = vec![first.id(), last.id()];
        both.sort();
        found == both
    })
    .await;
    assert!(last.mesh.providers(&root("other"), SECOND).await.is_empty());
    until("others keep the records", || {
        nodes[1..4]
            .iter()
            .any(|node| node.metric("mesh_provider_records ") > 0)
    })
    .await;
    until("its own are counted", || first.metric("mesh_provided ") == 1).await;
}

#[tokio::test]
async fn nobody_finds_itself_and_alone_is_answered_at_once() {
    let a = setup().start().await;
    a.mesh.provide(&root("site"));
    until("it is announced", || a.metric("mesh_provided ") == 1).await;
    let start = Instant::now();
    assert!(a.mesh.providers(&root("site"), SECOND * 20).await.is_empty());
    assert!(a.mesh.endpoint(&a.id(), SECOND * 20).await.is_none());
    assert!(start.elapsed() < SECOND * 10);
}

#[tokio::test]
async fn what_is_withdrawn_is_announced_no_more() {
    let a = setup().start().await;
    for text in ["kept", "withdrawn"] {
        a.mesh.provide(&root(text));
    }
    a.mesh.withdraw(&root("withdrawn"));
    let b = joined(&a).await;
    until_async("the other is found", || async {
        b.mesh.providers(&root("kept"), SECOND).await == [a.id()]
    })
    .await;
    assert!(b.mesh.providers(&root("withdrawn"), SECOND).await.is_empty());
    a.mesh.withdraw(&root("kept"));
    a.mesh.provide(&root("kept"));
    until("it is one", || a.metric("mesh_provided ") == 1).await;
}

#[tokio::test]
async fn as_many_roots_as_allowed_are_announced() {
    let a = setup().limits(|limits| limits.provided_max = 50).start().await;
    let b = joined(&a).await;
    until("they are connected", || {
        a.peer(&b).is_some() && b.peer(&a).is_some()
    })
    .await;
    for n in 0..60 {
        a.mesh.provide(&root(&format!("site {n}")));
    }
    until("b keeps them", || b.metric("mesh_provider_records ") == 50).await;
    assert_eq!(a.metric("mesh_provided "), 50);
}

#[tokio::test]
async fn an_endpoint_is_found_and_the_newest_counts() {
    let nodes = crowd::<4>().await;
    let (a, c) = (&nodes[0], &nodes[2]);
    let now = now_ms();
    a.mesh.set_endpoint(signed(&a.key, 1, now - 1_000));
    until_async("it is found", || async {
        c.mesh.endpoint(&a.id(), SECOND).await == Some(endpoint(&a.key, 1, now - 1_000))
    })
    .await;
    a.mesh.set_endpoint(signed(&a.key, 2, now));
    until_async("the newer one is found", || async {
        c.mesh.endpoint(&a.id(), SECOND).await == Some(endpoint(&a.key, 2, now))
    })
    .await;
    assert_eq!(a.mesh.endpoint(&c.id(), SECOND).await, None);
}

#[tokio::test]
async fn one_that_was_set_alone_is_found_by_who_comes_later() {
    let a = setup().start().await;
    let now = now_ms();
    a.mesh.set_endpoint(signed(&a.key, 1, now));
    let b = joined(&a).await;
    until_async("b finds it", || async {
        b.mesh.endpoint(&a.id(), SECOND).await == Some(endpoint(&a.key, 1, now))
    })
    .await;
}

#[tokio::test]
async fn a_forged_endpoint_is_refused_and_its_sender_loses_points() {
    let [a, b] = crowd::<2>().await;
    let mut stranger = Stranger::start(&a).await;
    until("a knows the stranger", || stranger.seen_by(&a).is_some()).await;
    let now = now_ms();
    let victim = SecretKey::from_seed([9; 32]);
    let forged = Signed::sign(endpoint(&victim, 1, now), CHAIN, &stranger.key);
    let relabelled = Signed {
        key: victim.public(),
        ..forged.clone()
    };
    let others = signed(&stranger.key, 1, now);
    for (n, bytes) in [
        forged.encode(),
        relabelled.encode(),
        others.encode(),
        vec![0; 5_000],
    ]
    .into_iter()
    .enumerate()
    {
        stranger.put_endpoint(&victim.public(), bytes);
        let points = -10 * (n as i64 + 1);
        until("a refused it", || {
            stranger.seen_by(&a).is_some_and(|peer| peer.score == points)
        })
        .await;
    }
    assert_eq!(a.mesh.endpoint(&victim.public(), SECOND).await, None);
    assert_eq!(b.mesh.endpoint(&victim.public(), SECOND).await, None);
    stranger.put_endpoint(&stranger.key.public(), signed(&stranger.key, 3, now).encode());
    let theirs = stranger.key.public();
    until_async("its own is taken", || async {
        b.mesh.endpoint(&theirs, SECOND).await == Some(endpoint(&stranger.key, 3, now))
    })
    .await;
    assert_eq!(a.metric("mesh_records_refused_total "), 4);
}
