//! What an operator signs of edges that failed for it through an epoch, for the quorum of [`nearest::quorum`].

use std::net::SocketAddr;

use ledger::{Message, PublicKey};
use serde::{Deserialize, Serialize};

use super::message::{self, Dated, Flaw};

/// The most edges in one message: more than half of those that a node watches are not accused, it is then ill itself.
pub const FAILURES_MAX: usize = 64;
/// The longest that failures may say they hold, in milliseconds: ten minutes. They are said again until the next epoch is over.
pub const FAILURES_LIFE_MS_MAX: u64 = 600_000;
/// The largest encoding, signature and all: 64 keys, and the rest.
const FAILURES_BYTES_MAX: usize = 4 << 10;

/// The edges that failed, as one node of an operator saw them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failures {
    /// The edge that says so, which must be the signer.
    pub node: PublicKey,
    /// The height of its ledger.
    pub height: u64,
    /// The epoch in which they failed.
    pub epoch: u64,
    /// Those that failed, rising: 1 to [`FAILURES_MAX`].
    pub edges: Vec<PublicKey>,
    /// When it was signed, in milliseconds since 1970.
    pub time_ms: u64,
    /// Until when it holds, at most [`FAILURES_LIFE_MS_MAX`] later.
    pub until_ms: u64,
}

impl Message for Failures {
    const DOMAIN: &'static str = "ddn/failures/1";
}

impl Dated for Failures {
    const LIFE_MS_MAX: u64 = FAILURES_LIFE_MS_MAX;
    const BYTES_MAX: usize = FAILURES_BYTES_MAX;
    fn node(&self) -> &PublicKey {
        &self.node
    }
    fn addresses(&self) -> Option<&[SocketAddr]> {
        None
    }
    fn times(&self) -> (u64, u64) {
        (self.time_ms, self.until_ms)
    }
    fn flaw(&self) -> Option<&'static str> {
        let is_rising = self.edges.is_sorted_by(|a, b| a.as_bytes() < b.as_bytes());
        match (1..=FAILURES_MAX).contains(&self.edges.len()) {
            false => Some("needs 1 to 64 edges"),
            true => (!is_rising).then_some("edges out of order, or twice"),
        }
    }
}

impl Failures {
    /// Reads what was signed for `chain`, at `now_ms`, milliseconds since 1970. Whether the signer is an edge, or a judge, is
    /// not known here.
    ///
    /// # Errors
    /// [`Flaw`]: it is out of its time, or was never right.
    pub fn read(bytes: &[u8], chain: &str, now_ms: u64) -> Result<Self, Flaw> {
        message::read(bytes, chain, now_ms)
    }
}

#[cfg(test)]
mod tests {
    use ledger::{SecretKey, Signed};

    use super::*;

    fn key(seed: u8) -> SecretKey {
        SecretKey::from_seed([seed; 32])
    }

    fn failures(count: usize) -> Failures {
        let mut edges: Vec<PublicKey> = (0..count).map(|seed| key(100 + seed as u8).public()).collect();
        edges.sort_unstable_by_key(|edge| *edge.as_bytes());
        Failures {
            node: key(1).public(),
            height: 7,
            epoch: 3,
            edges,
            time_ms: 1_000_000,
            until_ms: 1_600_000,
        }
    }

    fn read(failures: Failures, signer: u8, now_ms: u64) -> Result<Failures, Flaw> {
        let bytes = Signed::sign(failures, "test-1", &key(signer)).encode();
        Failures::read(&bytes, "test-1", now_ms)
    }

    /// Sent to other nodes: these bytes must stay.
    const FIXTURE: &str = include_str!("../../tests/it/mesh/fixtures/failures.hex");

    #[test]
    fn fixture() {
        let bytes = Signed::sign(failures(2), "test-1", &key(1)).encode();
        assert_eq!(hex::encode(bytes), FIXTURE.trim());
    }

    #[test]
    fn what_an_edge_signs_in_its_time_is_read() {
        let sound = failures(FAILURES_MAX);
        assert_eq!(read(sound.clone(), 1, 1_000_000), Ok(sound));
    }

    #[test]
    fn what_is_too_much_out_of_order_or_of_another_is_wrong() {
        let mut twice = failures(2);
        twice.edges[1] = twice.edges[0];
        let mut turned = failures(2);
        turned.edges.reverse();
        let mut long = failures(1);
        long.until_ms += 1;
        for wrong in [failures(0), failures(FAILURES_MAX + 1), twice, turned, long] {
            let refused = read(wrong, 1, 1_000_000);
            assert!(matches!(refused, Err(Flaw::Wrong(_))), "{refused:?}");
        }
        assert!(matches!(read(failures(1), 2, 1_000_000), Err(Flaw::Wrong(_))));
        assert!(matches!(read(failures(1), 1, 1_600_000), Err(Flaw::Stale { .. })));
    }
}
