//! Gossip reaches all, once; what is not accepted goes no further.

use named::mesh::Topic;

use super::world::*;

/// Says things on a topic until all others heard one: then all know who listens.
async fn warm_up(speaker: &Node, others: &[&Node], topic: Topic) {
    let mut said = 0;
    until("all listen", || {
        said += 1;
        speaker.mesh.publish(topic, format!("hello {said}").into_bytes());
        others
            .iter()
            .all(|node| (1..=said).any(|n| node.ear.count(&format!("hello {n}")) > 0))
    })
    .await;
}

/// a and c know b only: neither lets anybody in.
async fn chain_of_three() -> [Node; 3] {
    let b = setup().start().await;
    let a = setup()
        .join(&b)
        .limits(|limits| limits.incoming_max = 0)
        .start()
        .await;
    let c = setup()
        .join(&b)
        .limits(|limits| limits.incoming_max = 0)
        .start()
        .await;
    until("b knows both", || {
        b.mesh.peers().len() == 2 && a.peer(&b).is_some() && c.peer(&b).is_some()
    })
    .await;
    warm_up(&a, &[&b, &c], Topic::Tx).await;
    assert!(a.peer(&c).is_none() && c.peer(&a).is_none());
    [a, b, c]
}

#[tokio::test]
async fn a_message_reaches_all_once() {
    let nodes = crowd::<6>().await;
    let others: Vec<_> = nodes[1..].iter().collect();
    for topic in [Topic::Tx, Topic::Headers] {
        warm_up(&nodes[0], &others, topic).await;
        let text = format!("news on {}", topic.name());
        nodes[0].mesh.publish(topic, text.clone().into_bytes());
        until("all heard it", || {
            others.iter().all(|node| node.ear.count(&text) == 1)
        })
        .await;
        assert!(others.iter().all(|node| node.ear.from(&text).unwrap().0 == topic));
        assert_eq!(nodes[0].ear.count(&text), 0, "not by its author");
        nodes[0].mesh.publish(topic, text.clone().into_bytes());
        let last = format!("last on {}", topic.name());
        nodes[0].mesh.publish(topic, last.clone().into_bytes());
        until("all heard the last", || {
            others.iter().all(|node| node.ear.count(&last) == 1)
        })
        .await;
        assert!(
            others.iter().all(|node| node.ear.count(&text) == 1),
            "said twice, heard once"
        );
    }
    assert_eq!(
        nodes[0].metric("mesh_gossip_published_total{topic=\"tx\",verdict=\"repeated\"} "),
        1
    );
    assert!(nodes[1].metric("mesh_gossip_heard_total{topic=\"tx\",verdict=\"accept\"} ") >= 2);
}

#[tokio::test]
async fn a_message_is_passed_on() {
    let [a, b, c] = chain_of_three().await;
    a.mesh.publish(Topic::Tx, b"good one".to_vec());
    until("c heard it", || c.ear.count("good one") == 1).await;
    assert_eq!(c.ear.from("good one"), Some((Topic::Tx, b.id())));
    assert_eq!(b.ear.from("good one"), Some((Topic::Tx, a.id())));
}

#[tokio::test]
async fn a_rejected_message_goes_no_further_and_its_sender_loses_points() {
    let [a, b, c] = chain_of_three().await;
    for text in ["bad one", "dull one", "good one"] {
        a.mesh.publish(Topic::Tx, text.as_bytes().to_vec());
    }
    until("b heard all", || {
        ["bad one", "dull one", "good one"]
            .iter()
            .all(|text| b.ear.count(text) == 1)
    })
    .await;
    until("c heard the good one", || c.ear.count("good one") == 1).await;
    until("a lost points", || b.score(&a) == -10).await;
    assert_eq!(c.ear.count("bad one") + c.ear.count("dull one"), 0);
    assert_eq!(b.score(&c), 0);
    assert_eq!(
        b.metric("mesh_gossip_heard_total{topic=\"tx\",verdict=\"reject\"} "),
        1
    );
    assert_eq!(
        b.metric("mesh_gossip_heard_total{topic=\"tx\",verdict=\"ignore\"} "),
        1
    );
}

#[tokio::test]
async fn who_sends_nonsense_again_and_again_is_banned() {
    let [a, b] = crowd::<2>().await;
    warm_up(&a, &[&b], Topic::Headers).await;
    for n in 0..10 {
        a.mesh.publish(Topic::Headers, format!("bad {n}").into_bytes());
    }
    until("a is out", || b.mesh.peers().is_empty()).await;
    let reason = b.refusal(&a.peer_id()).unwrap();
    assert_eq!(
        reason,
        "banned for 10 minutes: gossip on headers: it says so itself"
    );
}

/// Who lies to all is out of all, and those between whom the lies could have gone round keep what they have.
#[tokio::test]
async fn honest_nodes_among_liars_lose_nothing() {
    let nodes = crowd::<5>().await;
    let (liar, honest) = (&nodes[0], &nodes[1..]);
    warm_up(liar, &honest.iter().collect::<Vec<_>>(), Topic::Tx).await;
    for n in 0..12 {
        liar.mesh.publish(Topic::Tx, format!("bad {n}").into_bytes());
    }
    until("the liar is out everywhere", || {
        honest.iter().all(|node| {
            node.refusal(&liar.peer_id())
                .is_some_and(|why| why.starts_with("banned"))
        })
    })
    .await;
    honest[0].mesh.publish(Topic::Tx, b"good one".to_vec());
    until("the others hear each other", || {
        honest[1..].iter().all(|node| node.ear.count("good one") == 1)
    })
    .await;
    for node in honest {
        let scores: Vec<_> = node.mesh.peers().iter().map(|peer| peer.score).collect();
        assert_eq!(scores, [0, 0, 0]);
        // Past the ban nothing of it was looked at.
        assert!(node.metric("mesh_gossip_heard_total{topic=\"tx\",verdict=\"reject\"} ") <= 12);
    }
}

#[tokio::test]
async fn what_is_too_large_is_not_said() {
    let [a, b] = crowd::<2>().await;
    warm_up(&a, &[&b], Topic::Tx).await;
    a.mesh.publish(Topic::Tx, vec![b'x'; 200_000]);
    let large = "y".repeat(100_000);
    a.mesh.publish(Topic::Tx, large.clone().into_bytes());
    until("b heard the large one", || b.ear.count(&large) == 1).await;
    assert_eq!(
        a.metric("mesh_gossip_published_total{topic=\"tx\",verdict=\"failed\"} "),
        1
    );
    assert_eq!(b.score(&a), 0);
}

#[tokio::test]
async fn nobody_listening_is_no_fault() {
    let a = setup().start().await;
    a.mesh.publish(Topic::Tx, b"hello".to_vec());
    until("it is counted", || {
        a.metric("mesh_gossip_published_total{topic=\"tx\",verdict=\"alone\"} ") == 1
    })
    .await;
}
