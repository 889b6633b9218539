//! A private network: who has another key, or none, does not get in, and both sides say why.

use named::mesh::NetworkKey;

use super::world::*;

fn key(digits: &str) -> NetworkKey {
    let text = format!("/key/swarm/psk/1.0.0/\n/base16/\n{}\n", digits.repeat(32));
    text.parse().unwrap()
}

fn keyed(key: Option<NetworkKey>) -> Setup {
    let mut setup = setup();
    setup.config.network_key = key;
    setup
}

#[tokio::test]
async fn nodes_with_the_same_key_meet() {
    let first = keyed(Some(key("1f"))).start().await;
    let second = keyed(Some(key("1f"))).join(&first).start().await;
    until("they are connected", || {
        first.peer(&second).is_some() && second.peer(&first).is_some()
    })
    .await;
    assert_eq!(
        second.mesh.request(&first.id(), vec![1, 2]).await.unwrap(),
        [2, 1]
    );
}

async fn refused(first: Option<NetworkKey>, second: Option<NetworkKey>, expected: &str) {
    let first = keyed(first).start().await;
    let second = keyed(second).join(&first).start().await;
    until("the second says why", || {
        second.refusal(&first.peer_id()).is_some()
    })
    .await;
    let reason = second.refusal(&first.peer_id()).unwrap();
    assert!(reason.ends_with(expected), "{reason}");
    assert!(first.mesh.peers().is_empty() && second.mesh.peers().is_empty());
    if let Some(key) = first.network_key() {
        until("the first says so too", || {
            first.refusal("/ip4/127.0.0.1").is_some()
        })
        .await;
        let reason = first.refusal("/ip4/127.0.0.1").unwrap();
        let expected = format!(
            "it came and did not speak with the key of this private network ({key:?}, mesh.psk_file): it has another one, or none"
        );
        assert_eq!(reason, expected);
    }
}

#[tokio::test]
async fn another_key_is_another_network() {
    let own = key("2a");
    let expected = format!(
        "; if a node runs there, its key of the private network is not the one in mesh.psk_file, whose fingerprint is {own:?}"
    );
    refused(Some(key("1f")), Some(own), &expected).await;
}

#[tokio::test]
async fn without_the_key_nobody_gets_in() {
    let expected = "; if a node runs there, it is in a private network: set mesh.psk_file to that one's key";
    refused(Some(key("1f")), None, expected).await;
}

#[tokio::test]
async fn a_private_node_stays_out_of_open_networks() {
    let own = key("2a");
    refused(None, Some(own), &format!("whose fingerprint is {own:?}")).await;
}
