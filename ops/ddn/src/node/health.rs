//! What this node knows to be wrong with itself: it says so in its adverts before others find out, and in words to whoever
//! asks the doctor.

use std::time::Duration;

use named::mesh::Clock;

use super::look::{Door, Sight};
use super::{Node, Phase, Role};

/// The bits of [`named::mesh::HEALTH_BITS`].
const CLOCK: u8 = 1;
const DISK: u8 = 2;
const BEHIND: u8 = 4;
const UNREACHED: u8 = 8;
const LEAVING: u8 = 16;

/// How far this machine's clock may be from those of others: they take no messages from half a minute ahead, and what they
/// sign for half a minute is over here.
pub const CLOCK_OFF_MAX: Duration = Duration::from_secs(5);
/// Free bytes below which the databases are in danger.
pub const DISK_FULL: u64 = 256 << 20;
/// Blocks that a follower may be behind while it catches up; further behind it is of no use.
pub const LAG_MAX: u64 = 10;

/// What is wrong, for an advert.
pub fn bits(node: &Node) -> u8 {
    let has = |bit: u8, is_so: bool| if is_so { bit } else { 0 };
    has(CLOCK, clock_off(node).is_some_and(|clock| is_ours(&clock)))
        | has(DISK, disk_free(node).is_ok_and(|free| free < DISK_FULL))
        | has(BEHIND, lag(node) > LAG_MAX)
        | has(UNREACHED, node.outlook.sights().iter().any(readers_miss))
        | has(LEAVING, node.phase() == Phase::Stopping)
}

/// The same in words for programs.
pub fn words(bits: u8) -> Vec<String> {
    let all = [
        (CLOCK, "clock"),
        (DISK, "disk"),
        (BEHIND, "behind"),
        (UNREACHED, "unreached"),
        (LEAVING, "leaving"),
    ];
    let named = all.into_iter().filter(|(bit, _)| bits & bit != 0);
    named.map(|(_, word)| word.to_owned()).collect()
}

fn readers_miss(sight: &Sight) -> bool {
    matches!(sight.door, Door::Gateway { .. }) && sight.is_missed()
}

/// What the clocks of peers say against this machine's, if it is off.
pub fn clock_off(node: &Node) -> Option<Clock> {
    let is_off = |clock: &Clock| Duration::from_millis(clock.others_ahead_ms.unsigned_abs()) > CLOCK_OFF_MAX;
    node.mesh.clock().filter(is_off)
}

/// Whether it is this machine's clock that is wrong: of three others, two would have to be wrong alike.
pub fn is_ours(clock: &Clock) -> bool {
    clock.peers >= 3
}

/// Free bytes where the node keeps everything.
///
/// # Errors
/// What the system says.
pub fn disk_free(node: &Node) -> std::io::Result<u64> {
    let stat = rustix::fs::statvfs(node.folder.dir())?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Blocks that this node lacks, as far as peers told of them. A delegate makes them itself.
pub fn lag(node: &Node) -> u64 {
    match node.role {
        Role::Delegate => 0,
        Role::Follower => {
            let status = node.chain.sync_status();
            status.best.saturating_sub(node.chain.tip().height)
        }
    }
}
