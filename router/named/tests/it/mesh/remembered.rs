//! Who has what outlives a restart.

use std::time::Duration;

use super::world::*;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_restarted_node_still_knows_who_has_what() {
    let [a, b] = crowd::<2>().await;
    let root = ledger::cid_of(b"site");
    a.mesh.provide(&root);
    until("b keeps it", || b.metric("mesh_provider_records ") == 1).await;
    let (id, file) = (a.id(), b.folder.path().join("providers"));

    // Who has it is gone for good, and nobody else can be asked.
    let setup = b.restart().await;
    a.mesh.shutdown().await;
    std::fs::remove_file(&setup.config.peers_file).unwrap();
    let b = setup.start().await;
    assert_eq!(b.mesh.providers(&root, SECOND).await, [id]);
    assert!(b.mesh.peers().is_empty());

    // What a crash broke off costs what it was.
    let setup = b.restart().await;
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
    let b = setup.start().await;
    assert!(b.mesh.providers(&root, SECOND).await.is_empty());
    b.mesh.shutdown().await;
}

#[tokio::test]
async fn what_is_heard_is_on_disk_before_a_crash() {
    let [a, b] = crowd::<2>().await;
    a.mesh.provide(&ledger::cid_of(b"site"));
    let file = b.folder.path().join("providers");
    until("b wrote it", || {
        std::fs::metadata(&file).is_ok_and(|file| file.len() > 50)
    })
    .await;
}
