//! The engine's log is lost: the signer's journal holds alone.

use std::collections::BTreeMap;
use std::path::Path;

use crate::world::*;

#[tokio::test(flavor = "multi_thread")]
async fn without_the_engines_log_nothing_is_signed_twice() {
    let dir = tempfile::tempdir().unwrap();
    let genesis = genesis("no-log", &[]);
    let mut signed = BTreeMap::new();
    let mut headers = Vec::new();
    for _ in 0..4 {
        let chain = start(&genesis, dir.path()).await;
        for (height, header) in (1..).zip(&headers) {
            assert_eq!(chain.block(height).unwrap().unwrap().0.header.id(), *header);
        }
        reach(&chain, chain.tip().height + 2).await;
        chain.shutdown().await;
        assert_eq!(chain.health().failure, None);
        headers = (1..=chain.tip().height)
            .map(|height| header(&chain, height))
            .collect();
        note(&mut signed, dir.path());
        drop(chain);
        std::fs::remove_file(dir.path().join("engine/wal")).unwrap();
    }
    assert!(signed.len() > 8, "{signed:?}");
}

/// A store that was put back from a backup is behind its journal: what was signed since is not signed again.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_behind_the_journal_stops_the_delegate() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let genesis = genesis("backup", &[]);
    let chain = start(&genesis, dir.path()).await;
    reach(&chain, 3).await;
    chain.shutdown().await;
    drop(chain);
    let engine = other.path().join("engine");
    std::fs::create_dir_all(&engine).unwrap();
    std::fs::copy(
        dir.path().join("engine/signer.journal"),
        engine.join("signer.journal"),
    )
    .unwrap();

    let chain = start(&genesis, other.path()).await;
    let failure = tokio::time::timeout(DEADLINE, chain.failed())
        .await
        .unwrap()
        .to_string();
    let expected = "the delegate stopped rather than sign twice: signer.journal has signed up to height";
    assert!(failure.starts_with(expected), "{failure}");
    assert_eq!(chain.tip().height, 0);
    chain.shutdown().await;
}

fn header(chain: &chain::Chain, height: u64) -> ledger::Hash {
    chain.block(height).unwrap().unwrap().0.header.id()
}

/// Adds what the journal says to what it said before: no place may have another hash now.
pub fn note(signed: &mut BTreeMap<String, String>, dir: &Path) {
    let text = std::fs::read_to_string(dir.join("engine/signer.journal")).unwrap();
    for line in text.lines().skip(1) {
        let words: Vec<_> = line.split(' ').collect();
        let (place, hash) = (words[..3].join(" "), words[3].to_owned());
        let known = signed.entry(place).or_insert_with(|| hash.clone());
        assert_eq!(*known, hash, "{line}");
    }
}
