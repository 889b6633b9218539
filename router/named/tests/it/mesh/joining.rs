//! Finding each other, and finding each other again.

use super::world::*;

#[tokio::test]
async fn ten_nodes_that_know_one_address_find_each_other() {
    let nodes = crowd::<10>().await;
    until("all are measured", || {
        nodes
            .iter()
            .all(|node| node.mesh.peers().iter().all(|peer| peer.rtt_us.is_some()))
    })
    .await;
    let (first, last) = (&nodes[0], &nodes[9]);
    let (seen, back) = (last.peer(first).unwrap(), first.peer(last).unwrap());
    assert_eq!(seen.peer_id, first.peer_id());
    assert!(!seen.inbound && back.inbound);
    assert!(
        seen.address.starts_with("/ip4/127.0.0.1/tcp/"),
        "{}",
        seen.address
    );
    assert!(seen.agent.starts_with("ddn/"), "{}", seen.agent);
    assert_eq!(seen.score, 0);
    assert!(now_ms().abs_diff(seen.since_ms) < 60_000);
    assert!(nodes.iter().all(|node| node.mesh.refused().is_empty()));
    assert_eq!(first.metric("mesh_peers "), 9);
}

#[tokio::test]
async fn peers_are_remembered_without_being_told_again() {
    let [a, b, c] = crowd::<3>().await;
    let b = b.restart().await.start().await;
    until("it is back", || {
        b.mesh.peers().len() == 2 && a.peer(&b).is_some() && c.peer(&b).is_some()
    })
    .await;
}

#[tokio::test]
async fn a_kill_leaves_a_whole_file() {
    let [a, b] = crowd::<2>().await;
    until("b wrote its file", || b.peers_file().exists()).await;
    let text = std::fs::read_to_string(b.peers_file()).unwrap();
    assert!(text.starts_with("# ") && text.contains(&a.address()), "{text}");
}

#[tokio::test]
async fn a_damaged_file_costs_its_damaged_lines_only() {
    let a = setup().start().await;
    let b = setup();
    let text = format!(
        "\u{0}noise\n{}\n/ip4/127.0.0.1/tcp/1/p2p/12D3KooWcut\n",
        a.address()
    );
    std::fs::write(&b.config.peers_file, text).unwrap();
    let b = b.start().await;
    until("b found a", || b.peer(&a).is_some()).await;
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_no_obstacle() {
    let mut b = setup();
    b.config.peers_file = b.config.peers_file.parent().unwrap().to_owned();
    b.start().await.mesh.shutdown().await;
}

#[tokio::test]
async fn a_node_to_join_is_dialled_until_it_is_there() {
    let a = setup().start().await;
    let b = joined(&a).await;
    until("they are connected", || b.peer(&a).is_some()).await;
    let a = a.restart().await;
    until("b lost a", || b.mesh.peers().is_empty()).await;
    let a_id = ledger::SecretKey::from_seed(a.config.seed).public();
    until("b says why", || !b.mesh.refused().is_empty()).await;
    let refused = b.mesh.refused().remove(0);
    assert!(
        refused.reason.contains("cannot be dialled: /ip4/127.0.0.1/tcp/"),
        "{}",
        refused.reason
    );
    assert!(
        refused.reason.contains("Connection refused"),
        "{}",
        refused.reason
    );
    let a = a.start().await;
    assert_eq!(a.id(), a_id);
    until("they are connected again", || b.peer(&a).is_some()).await;
    assert!(b.mesh.refused().is_empty(), "a peer is not listed as refused");
}

#[tokio::test]
async fn another_node_at_the_address_is_said() {
    let (a, b) = (setup().start().await, setup().start().await);
    let mut c = setup();
    let wrong = a.address().replace(&a.peer_id(), &b.peer_id());
    c.config.join.push(wrong);
    let c = c.start().await;
    until("c says so", || c.refusal(&b.peer_id()).is_some()).await;
    let reason = c.refusal(&b.peer_id()).unwrap();
    assert!(
        reason.contains(&format!("another node, {}, answers at", a.peer_id())),
        "{reason}"
    );
}

#[tokio::test]
async fn a_shutdown_frees_the_port_and_ends_everything() {
    let [a, b] = crowd::<2>().await;
    let listen = a.listen();
    let asking = tokio::spawn({
        let (mesh, b) = (a.mesh.clone(), b.id());
        async move { mesh.request(&b, b"silence".to_vec()).await }
    });
    until("the request is under way", || b.ear.silent() == 1).await;
    a.mesh.shutdown().await;
    drop(std::net::TcpListener::bind(listen).unwrap());
    let error = asking.await.unwrap().unwrap_err().to_string();
    assert_eq!(error, "the mesh is shut down");
    assert!(a.mesh.request(&b.id(), vec![1]).await.is_err());
    assert!(
        a.mesh
            .providers(&ledger::cid_of(b"x"), std::time::Duration::from_secs(9))
            .await
            .is_empty()
    );
    a.mesh.shutdown().await;
    until("b saw it leave", || b.mesh.peers().is_empty()).await;
}

#[tokio::test]
async fn the_last_handle_stops_it_too() {
    let [a, b] = crowd::<2>().await;
    drop(a);
    until("b saw it leave", || b.mesh.peers().is_empty()).await;
}

#[tokio::test]
async fn a_node_with_its_own_address_to_join_is_alone() {
    let a = setup().start().await;
    let own = a.address();
    let mut again = a.restart().await;
    again.config.join.push(own);
    let a = again.start().await;
    assert!(a.mesh.peers().is_empty() && a.mesh.refused().is_empty());
}

#[tokio::test]
async fn settings_that_cannot_be_used_are_said_in_one_line() {
    let a = setup().start().await;
    let mut b = setup();
    b.config.listen = a.listen();
    let error = b.try_start().await.err().unwrap().to_string();
    let advice = "the port is in use by another program; stop it, or set mesh.listen to another port (0 takes a free one)";
    assert_eq!(
        error,
        format!("mesh.listen: cannot listen on {} over TCP: {advice}", a.listen())
    );

    let mut b = setup();
    b.config.join.push("127.0.0.1:4101".into());
    let error = b.try_start().await.err().unwrap().to_string();
    assert_eq!(
        error,
        "mesh.join: `127.0.0.1:4101` is not a multiaddr such as /ip4/192.0.2.1/tcp/4101/p2p/12D3KooW…"
    );
}

#[tokio::test]
async fn external_addresses_are_told_first() {
    let mut a = setup();
    a.config.external.push("/dns4/localhost/tcp/4101".into());
    let a = a.start().await;
    let addresses = a.mesh.addresses();
    assert_eq!(
        addresses[0],
        format!(
            "/dns4/localhost/tcp/4101/p2p/{}",
            addresses[0].rsplit('/').next().unwrap()
        )
    );
    assert!(addresses[1].starts_with("/ip4/127.0.0.1/tcp/"), "{addresses:?}");
}
