//! What must hold for any bytes at all that somebody sends: transactions, blocks, proofs. Each function here takes the bytes
//! as a fuzzer makes them, and panics if a rule is broken.
//!
//! `anchor/ledger/fuzz` runs them for as long as one likes; the tests below for a moment, with every test run, on bytes that
//! once were good.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::amount::Amount;
use crate::block::Block;
use crate::bundle::{Bundle, verify_through};
use crate::codec::{decode, encode};
use crate::genesis::{Balance, Genesis};
use crate::keys::SecretKey;
use crate::light::{Checkpoint, LightBlock, Trust};
use crate::payment::{DeliveryProof, FraudProof, Receipt};
use crate::state::MemoryState;
use crate::transition::Transition;
use crate::tx::Tx;

/// A chain of one seat, to judge by. Its id is that of the fixtures, and the keys that signed those have coins.
fn chain() -> Genesis {
    let mut genesis = Genesis::dev("test", 1, SecretKey::from_seed([200; 32]).public());
    let amount = Amount::from_coins(1_000).expect("an amount");
    let somebody = |seed| Balance {
        address: SecretKey::from_seed([seed; 32]).address(),
        amount,
    };
    genesis.balances = (1..=9).map(somebody).collect();
    genesis.balances.sort_by_key(|balance| balance.address);
    genesis
}

/// One meaning has one encoding: what is decoded encodes to the same bytes.
fn one_encoding<T: Serialize + DeserializeOwned>(data: &[u8]) -> Option<T> {
    let value = decode::<T>(data).ok()?;
    assert!(encode(&value) == data, "two encodings of one meaning");
    Some(value)
}

/// A transaction: whatever it says, it is refused and nothing changes, or it holds and no coin is made.
pub fn transaction(data: &[u8]) {
    let Ok(tx) = Tx::decode(data) else { return };
    assert!(tx.encode() == data, "two encodings of one transaction");
    let genesis = chain();
    let entries = genesis.initial_state().expect("a preset begins");
    let mut state = MemoryState(entries.into_iter().collect());
    let before = state.clone();
    let proposer = SecretKey::from_seed([200; 32]).address();
    let mut run = Transition::new(&genesis, &state, 1, proposer);
    // As if its signature held: what is behind that must bear anything too.
    let applied = run.apply_verified(&tx);
    let changes = run.pending().expect("a state in memory is read");
    if applied.is_err() {
        assert!(changes.is_empty(), "a refused transaction changes something");
    }
    state.write(changes);
    let supply = |state: &MemoryState| {
        let entries = state.0.iter().map(|(key, value)| (key.clone(), value.clone()));
        crate::audit(entries, &genesis).expect("a state in memory is counted")
    };
    let (old, new) = (supply(&before), supply(&state));
    // Fees wait for the end of the block.
    assert!(new.accounted <= old.accounted, "coins are made");
}

/// A block: it does not follow the genesis, or it is as its rules say.
pub fn block(data: &[u8]) {
    let Some(block) = one_encoding::<Block>(data) else {
        return;
    };
    let genesis = chain();
    let set = genesis.validators().expect("a preset has validators");
    if block.check(&genesis, None, &set, &set).is_ok() {
        assert!(block.header.height == 1 && block.header.genesis.0 == genesis.cid());
    }
}

/// Proofs of all kinds: none holds under a genesis whose delegate signed nothing.
pub fn proof(data: &[u8]) {
    let genesis = chain();
    if let Ok(bundle) = Bundle::decode(data) {
        assert!(bundle.encode() == data, "two encodings of one bundle");
        assert!(
            verify_through(&bundle, &genesis).is_err(),
            "a proof that nobody signed"
        );
    }
    if let Ok(proof) = DeliveryProof::decode(data) {
        assert!(
            crate::verify_delivery(&proof, &genesis).is_err(),
            "a proof that nobody signed"
        );
    }
    if let Ok(receipt) = Receipt::decode(data) {
        let _ = receipt.check(&genesis.chain_id);
    }
    if let Some(proof) = one_encoding::<FraudProof>(data) {
        let _ = proof.holds(&genesis.chain_id);
    }
    if let Some(step) = one_encoding::<LightBlock>(data) {
        let start = Trust::Genesis(&genesis)
            .checkpoint()
            .expect("a preset has validators");
        assert!(start.follow(&step).is_err(), "a header that nobody signed");
    }
    if let Ok(checkpoint) = Checkpoint::decode(data) {
        assert!(checkpoint.encode() == data, "two encodings of one checkpoint");
    }
}

/// Files that people write: a genesis, a checkpoint. What is read can be written and read again.
pub fn file(data: &[u8]) {
    if let Ok(genesis) = Genesis::parse(data) {
        let again = Genesis::parse(&genesis.to_json()).expect("what was written is read");
        assert!(
            again.cid() == genesis.cid(),
            "a genesis that is another one when it was written"
        );
    }
    if let Ok(checkpoint) = Checkpoint::parse(data) {
        let again = Checkpoint::parse(&checkpoint.to_json()).expect("what was written is read");
        assert!(again == checkpoint);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The fixtures: bytes that are good, under other genesis files and keys.
    fn good() -> Vec<Vec<u8>> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
        let files = std::fs::read_dir(folder)
            .expect("fixtures")
            .map(|file| file.expect("a file").path());
        let mut files: Vec<_> = files.collect();
        files.sort();
        let read = |file: &std::path::PathBuf| std::fs::read(file).expect("a fixture");
        let decoded = |file: std::path::PathBuf| {
            let bytes = read(&file);
            match file.extension().is_some_and(|extension| extension == "hex") {
                true => hex::decode(
                    bytes
                        .iter()
                        .filter(|byte| !byte.is_ascii_whitespace())
                        .copied()
                        .collect::<Vec<_>>(),
                )
                .ok(),
                false => Some(bytes),
            }
        };
        files.into_iter().filter_map(decoded).collect()
    }

    fn all(data: &[u8]) {
        for law in [transaction, block, file] {
            law(data);
        }
    }

    #[test]
    fn fixtures_are_safe_and_some_are_of_each_kind() {
        let good = good();
        good.iter().for_each(|bytes| all(bytes));
        assert!(good.iter().any(|bytes| Tx::decode(bytes).is_ok()));
        assert!(good.iter().any(|bytes| Bundle::decode(bytes).is_ok()));
        assert!(good.iter().any(|bytes| Checkpoint::decode(bytes).is_ok()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_safe(data in any::<Vec<u8>>()) {
            all(&data);
            proof(&data);
        }

        #[test]
        fn what_once_was_good_is_safe(
            which in any::<prop::sample::Index>(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
            cut in any::<prop::sample::Index>(),
            cuts in any::<bool>(),
        ) {
            let good = good();
            let mut data = which.get(&good).clone();
            for (place, byte) in changes {
                if !data.is_empty() {
                    let place = place.index(data.len());
                    data[place] ^= byte.max(1);
                }
            }
            if cuts && !data.is_empty() {
                data.truncate(cut.index(data.len()));
            }
            all(&data);
            proof(&data);
        }
    }
}
