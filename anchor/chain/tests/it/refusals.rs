//! What a chain refuses to start with, in the words that the operator reads.

use std::net::TcpListener;

use crate::world::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_in_use_is_refused_until_it_is_free() {
    let dir = tempfile::tempdir().unwrap();
    let genesis = genesis("in-use", &[]);
    let chain = start(&genesis, dir.path()).await;
    let error = try_start(&genesis, delegate(), config(dir.path()))
        .await
        .err()
        .unwrap()
        .to_string();
    let folder = dir.path().join("chain");
    let expected = format!(
        "the chain folder {} is in use by another process",
        folder.display()
    );
    assert!(error.starts_with(&expected), "{error}");
    chain.shutdown().await;
    drop(chain);
    start(&genesis, dir.path()).await.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_another_chain_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let first = genesis("first", &[]);
    start(&first, dir.path()).await.shutdown().await;

    let second = genesis("second", &[]);
    let error = try_start(&second, delegate(), config(dir.path()))
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.contains(r#"holds the chain "first", not "second""#),
        "{error}"
    );

    let mut later = first.clone();
    later.time_ms += 1;
    let error = try_start(&later, delegate(), config(dir.path()))
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.contains(&format!("{}, not {}", first.cid(), later.cid())),
        "{error}"
    );

    start(&first, dir.path()).await.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_without_a_seat_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let error = try_start(&genesis("seats", &[]), secret(9), config(dir.path()))
        .await
        .err()
        .unwrap()
        .to_string();
    let expected = format!(
        r#"{} is not a delegate of the chain "seats""#,
        secret(9).address().display("dev")
    );
    assert!(error.starts_with(&expected), "{error}");
    start(&genesis("seats", &[]), dir.path()).await.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_named_and_leaves_the_folder_free() {
    let dir = tempfile::tempdir().unwrap();
    let genesis = genesis("port", &[]);
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut taken = config(dir.path());
    taken.engine_listen = other.local_addr().unwrap();
    let error = try_start(&genesis, delegate(), taken)
        .await
        .err()
        .unwrap()
        .to_string();
    let expected = format!(
        "cannot start the consensus engine on {}: Address",
        other.local_addr().unwrap()
    );
    assert!(error.starts_with(&expected), "{error}");
    start(&genesis, dir.path()).await.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_journal_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let genesis = genesis("damage", &[]);
    let chain = start(&genesis, dir.path()).await;
    reach(&chain, 1).await;
    chain.shutdown().await;
    drop(chain);
    let path = dir.path().join("engine/signer.journal");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("prevote", "precommit", 1)).unwrap();
    let error = try_start(&genesis, delegate(), config(dir.path()))
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.starts_with(&format!(
            "cannot use the signer's journal {}: line ",
            path.display()
        )),
        "{error}"
    );
    assert!(error.ends_with(" is damaged"), "{error}");
}
