//! Requests: each has an answer, or an error that says why not.

use std::time::{Duration, Instant};

use super::world::*;

async fn ask(from: &Node, to: &Node, request: &[u8]) -> Result<Vec<u8>, String> {
    from.mesh
        .request(&to.id(), request.to_vec())
        .await
        .map_err(|error| error.to_string())
}

/// Two nodes with these bounds each.
async fn pair(
    change_a: impl FnOnce(&mut named::mesh::Limits),
    change_b: impl FnOnce(&mut named::mesh::Limits),
) -> (Node, Node) {
    let a = setup().limits(change_a).start().await;
    let b = setup().join(&a).limits(change_b).start().await;
    until("they are connected", || {
        a.peer(&b).is_some() && b.peer(&a).is_some()
    })
    .await;
    (a, b)
}

#[tokio::test]
async fn a_request_is_answered_in_both_directions_at_once() {
    let (a, b) = pair(|_| {}, |_| {}).await;
    let asked = (0..8u8).map(|n| async move { (n, n) });
    let answers = futures::future::join_all(asked.map(|numbers| async {
        let (n, _) = numbers.await;
        let (to_b, to_a) = (vec![n, 1, 2], vec![n, 3, 4]);
        (ask(&a, &b, &to_b).await, ask(&b, &a, &to_a).await)
    }))
    .await;
    for (n, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer, (Ok(vec![2, 1, n as u8]), Ok(vec![4, 3, n as u8])));
    }
    assert_eq!(ask(&a, &b, b"").await, Ok(Vec::new()));
    assert_eq!(a.metric("mesh_requests_asked_total{outcome=\"answered\"} "), 9);
    until("b counted them", || {
        b.metric("mesh_requests_served_total{outcome=\"answered\"} ") == 9
    })
    .await;
}

#[tokio::test]
async fn the_largest_request_and_answer_go_through() {
    let (a, b) = pair(|_| {}, |_| {}).await;
    let request: Vec<u8> = (0..64 << 10).map(|n| n as u8).collect();
    let answer: Vec<u8> = request.iter().rev().copied().collect();
    assert_eq!(ask(&a, &b, &request).await, Ok(answer));
    assert_eq!(
        ask(&a, &b, format!("size {}", 4 << 20).as_bytes())
            .await
            .unwrap()
            .len(),
        4 << 20
    );
}

#[tokio::test]
async fn a_request_that_is_too_large_does_not_leave() {
    let (a, b) = pair(|_| {}, |_| {}).await;
    let error = ask(&a, &b, &[0; 70_000]).await.unwrap_err();
    assert_eq!(
        error,
        format!(
            "ask {}: a request of 70000 bytes, at most 65536 are allowed",
            b.peer_id()
        )
    );
}

#[tokio::test]
async fn a_request_that_is_too_large_for_the_other_is_refused() {
    let (a, b) = pair(|_| {}, |limits| limits.request_bytes_max = 10).await;
    let error = ask(&a, &b, &[0; 11]).await.unwrap_err();
    assert_eq!(
        error,
        format!(
            "ask {}: it refused the request: too large, or it is busy",
            b.peer_id()
        )
    );
    assert_eq!(ask(&a, &b, &[0; 10]).await, Ok(vec![0; 10]));
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_refused_and_costs_a_point() {
    let (a, b) = pair(|limits| limits.answer_bytes_max = 1_000, |_| {}).await;
    let error = ask(&a, &b, b"size 1001").await.unwrap_err();
    assert_eq!(
        error,
        format!(
            "ask {}: an answer of 1001 bytes, at most 1000 are allowed",
            b.peer_id()
        )
    );
    until("b lost a point", || a.score(&b) == -1).await;
    assert_eq!(ask(&a, &b, b"size 1000").await.unwrap().len(), 1_000);
}

#[tokio::test]
async fn an_answer_of_our_own_that_is_too_large_is_not_sent() {
    let (a, b) = pair(|_| {}, |limits| limits.answer_bytes_max = 1_000).await;
    let error = ask(&a, &b, b"size 1001").await.unwrap_err();
    assert_eq!(
        error,
        format!(
            "ask {}: it refused the request: too large, or it is busy",
            b.peer_id()
        )
    );
}

#[tokio::test]
async fn a_peer_that_does_not_answer_times_out() {
    let (a, b) = pair(
        |limits| limits.request_timeout = Duration::from_millis(300),
        |_| {},
    )
    .await;
    let start = Instant::now();
    let error = ask(&a, &b, b"silence").await.unwrap_err();
    assert_eq!(error, format!("ask {}: no answer within 300 ms", b.peer_id()));
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(a.metric("mesh_requests_asked_total{outcome=\"timeout\"} "), 1);
    assert_eq!(ask(&a, &b, b"ab").await, Ok(b"ba".to_vec()));
}

#[tokio::test]
async fn a_handler_that_takes_too_long_is_given_up() {
    let (a, b) = pair(|_| {}, |limits| limits.request_timeout = Duration::from_secs(1)).await;
    let start = Instant::now();
    assert!(ask(&a, &b, b"silence").await.is_err());
    assert!(start.elapsed() < Duration::from_secs(5));
    until("b counted it", || {
        b.metric("mesh_requests_served_total{outcome=\"timeout\"} ") == 1
    })
    .await;
}

#[tokio::test]
async fn a_peer_that_leaves_fails_its_requests() {
    let (a, b) = pair(|_| {}, |_| {}).await;
    let (mesh, to) = (a.mesh.clone(), b.id());
    let asking = tokio::spawn(async move { mesh.request(&to, b"silence".to_vec()).await });
    until("the request is there", || b.ear.silent() == 1).await;
    b.mesh.shutdown().await;
    let error = asking.await.unwrap().unwrap_err().to_string();
    assert!(error.starts_with(&format!("ask {}: ", b.peer_id())), "{error}");
    until("a saw it leave", || a.mesh.peers().is_empty()).await;
    let error = ask(&a, &b, b"ab").await.unwrap_err();
    assert_eq!(
        error,
        format!("ask {}: not connected; see `ddn node peers`", b.peer_id())
    );
}
