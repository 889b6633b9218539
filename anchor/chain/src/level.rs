//! Whether a delegate that starts is at the tip of its chain.
//!
//! Engines speak only with those who sit or may sit next, by the state of each. One that was away while its seat was
//! given to another would call those who do not listen to it any more, and never learn why. Seats change at the end of a
//! round; so a delegate whose round may be over follows first, and notes the height at which its peers had no more.

use std::path::{Path, PathBuf};

use ledger::Genesis;

use crate::{Error, Tip};

/// The file that holds the height.
pub(crate) fn path(engine_dir: &Path) -> PathBuf {
    engine_dir.join("level")
}

/// Notes that peers have nothing above `height`.
///
/// # Errors
/// If the file cannot be written.
pub(crate) fn note(engine_dir: &Path, height: u64) -> Result<(), Error> {
    let failed = |source| Error::Folder {
        dir: engine_dir.to_owned(),
        source,
    };
    std::fs::create_dir_all(engine_dir).map_err(failed)?;
    std::fs::write(path(engine_dir), height.to_string()).map_err(failed)
}

/// Refuses one of several delegates if the round of its newest block may be over: `next_round` is the first height of the
/// one after it. A note that cannot be read is none.
///
/// # Errors
/// [`Error::Away`].
pub(crate) fn check(
    genesis: &Genesis,
    tip: &Tip,
    next_round: u64,
    engine_dir: &Path,
    now_ms: u64,
) -> Result<(), Error> {
    let age_ms = now_ms.saturating_sub(tip.time_ms);
    let newest = tip.height.saturating_add(age_ms / genesis.block_time_ms.max(1));
    let goes_on = newest < next_round;
    let noted = || {
        let text = std::fs::read_to_string(path(engine_dir)).ok()?;
        text.trim().parse::<u64>().ok()
    };
    if goes_on || noted() == Some(tip.height) {
        return Ok(());
    }
    Err(Error::Away {
        chain: genesis.chain_id.clone(),
        height: tip.height,
        age_s: age_ms / 1_000,
    })
}

#[cfg(test)]
mod tests {
    use ledger::{Hash, SecretKey};

    use super::*;

    #[test]
    fn who_was_away_when_a_round_may_have_ended_follows_first() {
        let dir = tempfile::tempdir().unwrap();
        let genesis = Genesis::dev("test", 1, SecretKey::from_seed([1; 32]).public());
        let tip = |height| Tip {
            height,
            time_ms: 1_000_000,
            header: Hash([0; 32]),
            cid: genesis.cid(),
            state_root: Hash([0; 32]),
        };
        let check = |height, blocks: u64| {
            let now = 1_000_000 + blocks * genesis.block_time_ms;
            check(&genesis, &tip(height), 51, dir.path(), now)
        };
        check(45, 5).unwrap();
        assert!(matches!(check(45, 6), Err(Error::Away { height: 45, .. })));
        note(dir.path(), 44).unwrap();
        assert!(check(45, 6).is_err());
        note(dir.path(), 45).unwrap();
        check(45, 1_000).unwrap();
        // A clock that went back.
        check(46, 0).unwrap();
    }
}
