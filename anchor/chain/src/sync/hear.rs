//! Verdicts on what comes by gossip. What is accepted is passed on to others under this node's name, so nothing is
//! accepted that was not verified; and nobody is blamed for what may be true and cannot be judged here.

use std::sync::atomic::Ordering;

use ledger::{MAX_TX_BYTES, Refusal, Tx};

use super::judge::Found;
use super::wire::{ANNOUNCEMENT_BYTES_MAX, Announcement, decode};
use super::{Exchange, Gossip, Verdict};
use crate::mempool::By;
use crate::metrics::GossipLabels;
use crate::{Error, SubmitError};

impl Exchange {
    /// Judges something that was heard.
    pub(crate) fn heard(&self, what: Gossip, from: &str, bytes: &[u8]) -> Verdict {
        let verdict = match what {
            Gossip::Header => self.heard_header(from, bytes),
            Gossip::Tx => self.heard_tx(bytes),
        };
        let verdict = verdict.unwrap_or_else(|error| {
            tracing::warn!("gossip is not judged: {}", error.with_sources());
            Verdict::Ignore
        });
        let labels = GossipLabels {
            what: match what {
                Gossip::Header => "header",
                Gossip::Tx => "tx",
            },
            verdict: match verdict {
                Verdict::Accept => "accept",
                Verdict::Ignore => "ignore",
                Verdict::Reject(_) => "reject",
            },
        };
        self.metrics.gossip.get_or_create(&labels).inc();
        verdict
    }

    fn heard_header(&self, from: &str, bytes: &[u8]) -> Result<Verdict, Error> {
        let found: Announcement = match decode("the announcement", bytes, ANNOUNCEMENT_BYTES_MAX) {
            Ok(found) => found,
            Err(reason) => return Ok(Verdict::Reject(reason)),
        };
        let judged = self.judge(&found)?;
        if !matches!(judged, Found::False(_)) {
            self.heard_of.fetch_max(found.header.height, Ordering::Relaxed);
        }
        Ok(match judged {
            Found::False(reason) => Verdict::Reject(reason),
            // If it is true, the next look at the peers finds the blocks that lead to it.
            Found::Old | Found::Unknown => Verdict::Ignore,
            Found::New if self.known().announce(found.header.height, from) => {
                self.woken.notify_one();
                Verdict::Accept
            }
            Found::New => Verdict::Ignore,
        })
    }

    /// The greatest height that peers have told of. Somebody may have made it up.
    pub(crate) fn heard_of(&self) -> u64 {
        self.heard_of.load(Ordering::Relaxed)
    }

    fn heard_tx(&self, bytes: &[u8]) -> Result<Verdict, Error> {
        let tx: Tx = match decode("the transaction", bytes, MAX_TX_BYTES) {
            Ok(tx) => tx,
            Err(reason) => return Ok(Verdict::Reject(reason)),
        };
        let cid = tx.cid();
        if self.store.height_of(&cid)?.is_some() {
            return Ok(Verdict::Ignore);
        }
        Ok(match self.mempool.submit(cid, tx, By::Peer) {
            Ok(true) => Verdict::Accept,
            Ok(false) | Err(SubmitError::Full { .. } | SubmitError::Outbid { .. }) => Verdict::Ignore,
            Err(SubmitError::Refused(refusal)) => blame(&refusal),
            Err(error @ SubmitError::TooLarge { .. }) => Verdict::Reject(error.to_string()),
            Err(SubmitError::Chain(error)) => return Err(error),
        })
    }
}

/// What breaks a rule of the chain itself breaks it everywhere. The rest depends on the state, and the peer's may be
/// another one than ours.
fn blame(refusal: &Refusal) -> Verdict {
    match refusal {
        Refusal::Chain { .. }
        | Refusal::TooLarge { .. }
        | Refusal::NotAllowed { .. }
        | Refusal::Fee { .. }
        | Refusal::Signature => Verdict::Reject(refusal.to_string()),
        _ => Verdict::Ignore,
    }
}
