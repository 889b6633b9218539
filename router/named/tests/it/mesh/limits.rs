//! Bounds on connections and on requests in hand.

use named::mesh::Topic;

use super::world::*;

#[tokio::test]
async fn connections_over_the_bound_are_refused() {
    let hub = setup().limits(|limits| limits.incoming_max = 2).start().await;
    let (a, b) = (joined(&hub).await, joined(&hub).await);
    until("two are in", || hub.mesh.peers().len() == 2).await;
    let c = joined(&hub).await;
    until("the third is out", || {
        hub.metric("mesh_refused_total{reason=\"limit\"} ") > 0
    })
    .await;
    until("the third says so", || c.refusal(&hub.peer_id()).is_some()).await;
    let reason = c.refusal(&hub.peer_id()).unwrap();
    assert!(
        reason.starts_with("it closed the connection before it said what it is: it may be full"),
        "{reason}"
    );
    assert!(hub.peer(&a).is_some() && hub.peer(&b).is_some() && hub.peer(&c).is_none());
    a.mesh.shutdown().await;
    until("there is room again", || hub.peer(&c).is_some()).await;
}

#[tokio::test]
async fn no_connections_over_the_bound_on_memory() {
    let hub = setup().limits(|limits| limits.memory_bytes_max = 1).start().await;
    let a = joined(&hub).await;
    until("it is refused", || {
        hub.metric("mesh_refused_total{reason=\"limit\"} ") > 0
    })
    .await;
    assert!(hub.mesh.peers().is_empty() && a.mesh.peers().is_empty());
}

#[tokio::test]
async fn requests_over_the_bound_are_refused_at_once() {
    let hub = setup()
        .limits(|limits| limits.requests_in_per_peer_max = 2)
        .start()
        .await;
    let a = setup()
        .join(&hub)
        .limits(|limits| limits.requests_out_max = 3)
        .start()
        .await;
    let b = joined(&hub).await;
    until("they are in", || {
        a.peer(&hub).is_some() && b.peer(&hub).is_some() && hub.mesh.peers().len() == 2
    })
    .await;
    let silent: Vec<_> = (0..2)
        .map(|_| {
            let (mesh, to) = (a.mesh.clone(), hub.id());
            tokio::spawn(async move { mesh.request(&to, b"silence".to_vec()).await })
        })
        .collect();
    until("both are in hand", || hub.ear.silent() == 2).await;
    let busy = format!(
        "ask {}: it refused the request: too large, or it is busy",
        hub.peer_id()
    );
    let error = a.mesh.request(&hub.id(), vec![1, 2]).await.unwrap_err();
    assert_eq!(error.to_string(), busy);
    assert_eq!(
        b.mesh.request(&hub.id(), vec![1, 2]).await.unwrap(),
        [2, 1],
        "others are served"
    );
    let (mesh, to) = (a.mesh.clone(), b.id());
    until("a knows b", || a.peer(&b).is_some()).await;
    let third = tokio::spawn(async move { mesh.request(&to, b"silence".to_vec()).await });
    until("b has it in hand", || b.ear.silent() == 1).await;
    let own = format!(
        "ask {}: 3 requests are under way already; try again later",
        b.peer_id()
    );
    let error = a.mesh.request(&b.id(), vec![1]).await.unwrap_err();
    assert_eq!(error.to_string(), own);
    for task in silent {
        task.abort();
    }
    third.abort();
}

#[tokio::test]
async fn messages_over_the_bound_are_dropped() {
    let a = setup().start().await;
    let b = setup()
        .join(&a)
        .limits(|limits| limits.checks_max = 0)
        .start()
        .await;
    until("they are connected", || {
        a.peer(&b).is_some() && b.peer(&a).is_some()
    })
    .await;
    let mut said = 0;
    until("b was asked too much", || {
        said += 1;
        a.mesh.publish(Topic::Tx, format!("hello {said}").into_bytes());
        b.metric("mesh_gossip_heard_total{topic=\"tx\",verdict=\"overload\"} ") > 0
    })
    .await;
    assert!((1..=said).all(|n| b.ear.count(&format!("hello {n}")) == 0));
    assert_eq!(b.score(&a), 0);
}
