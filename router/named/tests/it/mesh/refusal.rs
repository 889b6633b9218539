//! Who is not wanted, and what both sides say about it.

use super::world::*;

#[tokio::test]
async fn another_chain_is_refused_with_the_reason_on_both_sides() {
    let a = setup().start().await;
    let mut b = setup().join(&a);
    b.config.chain_id = "test-2".into();
    let b = b.start().await;
    until("both say so", || {
        a.refusal(&b.peer_id()).is_some() && b.refusal(&a.peer_id()).is_some()
    })
    .await;
    assert_eq!(
        a.refusal(&b.peer_id()).unwrap(),
        "it is on chain `test-2`, this node is on `test-1`"
    );
    assert_eq!(
        b.refusal(&a.peer_id()).unwrap(),
        "it is on chain `test-1`, this node is on `test-2`"
    );
    assert!(a.mesh.peers().is_empty() && b.mesh.peers().is_empty());
    assert!(
        b.mesh
            .refused()
            .iter()
            .all(|refused| refused.kind == "chain" && refused.is_foreign())
    );
    assert_eq!(a.metric("mesh_refused_total{reason=\"chain\"} "), 1);
}

#[tokio::test]
async fn another_genesis_is_refused_with_the_reason_on_both_sides() {
    let a = setup().start().await;
    let mut b = setup().join(&a);
    b.config.genesis = ledger::cid_of(b"another genesis");
    let (ours, theirs) = (ledger::cid_of(b"a genesis"), b.config.genesis);
    let b = b.start().await;
    until("both say so", || {
        a.refusal(&b.peer_id()).is_some() && b.refusal(&a.peer_id()).is_some()
    })
    .await;
    assert_eq!(
        a.refusal(&b.peer_id()).unwrap(),
        format!("its genesis of chain `test-1` is {theirs}, this node's is {ours}")
    );
    assert_eq!(
        b.refusal(&a.peer_id()).unwrap(),
        format!("its genesis of chain `test-1` is {ours}, this node's is {theirs}")
    );
    assert!(a.mesh.peers().is_empty() && b.mesh.peers().is_empty());
}

#[tokio::test]
async fn strangers_do_not_get_into_the_table() {
    let [a, b] = crowd::<2>().await;
    let mut stranger = setup().join(&a);
    stranger.config.chain_id = "test-2".into();
    let stranger = stranger.start().await;
    until("a refused it", || a.refusal(&stranger.peer_id()).is_some()).await;
    let c = joined(&a).await;
    until("c found both", || c.mesh.peers().len() == 2).await;
    assert!(b.refusal(&stranger.peer_id()).is_none() && c.refusal(&stranger.peer_id()).is_none());
}

#[tokio::test]
async fn a_mild_fault_costs_a_point() {
    let [a, b] = crowd::<2>().await;
    a.mesh.fault(&b.id(), false, "slow");
    a.mesh.fault(&b.id(), false, "slow again");
    until("two points are gone", || a.score(&b) == -2).await;
    assert_eq!(b.score(&a), 0);
}

#[tokio::test]
async fn a_severe_fault_bans() {
    let [a, b] = crowd::<2>().await;
    a.mesh.fault(&b.id(), true, "a block with a bad certificate");
    until("b is out", || {
        a.mesh.peers().is_empty() && b.mesh.peers().is_empty()
    })
    .await;
    assert_eq!(
        a.refusal(&b.peer_id()).unwrap(),
        "banned for 10 minutes: a block with a bad certificate"
    );
    let error = a.mesh.request(&b.id(), vec![1]).await.unwrap_err().to_string();
    assert_eq!(
        error,
        format!("ask {}: not connected; see `ddn node peers`", b.peer_id())
    );
    assert!(!a.mesh.refused()[0].is_foreign(), "a ban ends");
    until("b tried again, and was told nothing", || {
        b.refusal(&a.peer_id()).is_some()
    })
    .await;
    assert!(a.metric("mesh_refused_total{reason=\"banned\"} ") >= 2);
    assert!(a.mesh.peers().is_empty());
}

#[tokio::test]
async fn many_mild_faults_ban_too() {
    let [a, b] = crowd::<2>().await;
    for _ in 0..100 {
        a.mesh.fault(&b.id(), false, "nonsense");
    }
    until("b is out", || a.mesh.peers().is_empty()).await;
}
