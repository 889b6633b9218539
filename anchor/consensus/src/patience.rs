//! How long a delegate waits for others.

use std::time::Duration;

use arc_malachitebft_core_types::{HeightParams, LinearTimeouts};
use ledger::Genesis;

use crate::context::{Chain, ValidatorSet};

/// The set, pace and patience of a height.
///
/// The wait for a proposal is the block time within 1 to 3 s, votes get half of it, each further round a quarter more,
/// and no wait is longer than five times the first.
///
/// A height takes a block time from when this node began it, so a node that was ahead of the others would stay ahead: one
/// that got a block from a peer begins the next height at once, gives up waiting for proposals before they are made,
/// and whoever makes them loses its turn. `late` is how long after this node had begun the height before the block of
/// that height's first proposer came, zero if none did. What of it is no usual delay is waited for now, at most a quarter
/// of the block time, so that a proposer that is late on purpose gains no more.
pub fn height_params(genesis: &Genesis, set: ValidatorSet, late: Duration) -> HeightParams<Chain> {
    let block_time = Duration::from_millis(genesis.block_time_ms);
    let propose = block_time.clamp(Duration::from_secs(1), Duration::from_secs(3));
    let timeouts = LinearTimeouts {
        propose,
        propose_delta: propose / 4,
        prevote: propose / 2,
        prevote_delta: propose / 4,
        precommit: propose / 2,
        precommit_delta: propose / 4,
        rebroadcast: propose * 2,
        max_timeout: propose * 5,
    };
    let ahead = late.saturating_sub(propose / 4).min(block_time / 4);
    HeightParams::new(set, timeouts, Some(block_time + ahead))
}

#[cfg(test)]
mod tests {
    use ledger::{Order, SecretKey};

    use super::*;

    #[test]
    fn who_is_ahead_waits_longer_but_not_much() {
        let key = SecretKey::from_seed([1; 32]).public();
        let genesis = Genesis {
            block_time_ms: 10_000,
            ..Genesis::dev("test", 0, key)
        };
        let order = Order {
            seed: genesis.id(),
            first: 1,
        };
        let set = || ValidatorSet::new(genesis.validators().unwrap(), order);
        for (late_ms, expected_ms) in [(0, 10_000), (750, 10_000), (1_750, 11_000), (9_000, 12_500)] {
            let params = height_params(&genesis, set(), Duration::from_millis(late_ms));
            assert_eq!(params.target_time, Some(Duration::from_millis(expected_ms)));
        }
    }
}
