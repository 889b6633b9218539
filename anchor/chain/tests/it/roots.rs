//! The state root of every header, computed anew by other means: blocks run on a state in memory, and a tree that is
//! built by hand from the definition of the Jellyfish Merkle tree.

use ledger::{Action, Hash, MemoryState, Transition};

use crate::world::*;

const EMPTY: [u8; 32] = *b"SPARSE_MERKLE_PLACEHOLDER_HASH__";

#[tokio::test(flavor = "multi_thread")]
async fn every_header_has_the_root_of_its_state() {
    let dir = tempfile::tempdir().unwrap();
    let (alice, bob) = (secret(20), secret(21));
    let genesis = genesis("roots", &[&alice]);
    let chain = start(&genesis, dir.path()).await;
    for coins in 1..=3 {
        include(&chain, next(&chain, &alice, transfer(&bob.address(), coins))).await;
    }
    include(&chain, next(&chain, &bob, Action::Commit { hash: Hash([7; 32]) })).await;
    reach(&chain, chain.tip().height + 2).await;

    let mut state = MemoryState(genesis.initial_state().unwrap().into_iter().collect());
    for height in 1..=chain.tip().height {
        let (block, _) = chain.block(height).unwrap().unwrap();
        let mut run = Transition::new(&genesis, &state, height, block.header.proposer);
        run.open(block.header.reveal.as_ref(), block.body.last_certificate.as_ref())
            .unwrap();
        block.body.txs.iter().for_each(|tx| run.apply(tx).unwrap());
        let changes = run.finish().unwrap();
        state.write(changes);
        assert_eq!(block.header.state_root, root(&state), "height {height}");
    }
    chain.shutdown().await;
}

fn root(state: &MemoryState) -> Hash {
    let mut leaves: Vec<_> = state
        .0
        .iter()
        .map(|(key, value)| (Hash::of(key).0, Hash::of(value).0))
        .collect();
    leaves.sort();
    Hash(subtree(&leaves, 0))
}

/// The hash of the leaves that share their first `depth` bits.
fn subtree(leaves: &[([u8; 32], [u8; 32])], depth: usize) -> [u8; 32] {
    match leaves {
        [] => EMPTY,
        [(key, value)] => join(b"JMT::LeafNode", key, value),
        _ => {
            let right = leaves.partition_point(|(key, _)| key[depth / 8] >> (7 - depth % 8) & 1 == 0);
            let (left, right) = leaves.split_at(right);
            join(
                b"JMT::IntrnalNode",
                &subtree(left, depth + 1),
                &subtree(right, depth + 1),
            )
        }
    }
}

fn join(tag: &[u8], left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    Hash::of(&[tag, left, right].concat()).0
}
