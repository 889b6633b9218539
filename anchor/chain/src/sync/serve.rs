//! The answers to peers. Every node serves what it has, followers too.

use ledger::{Refusal, Tx};

use super::Exchange;
use super::wire::{ANSWER_BYTES_MAX, Answer, BLOCKS_MAX, REQUEST_BYTES_MAX, Request, Sealed, decode, reason};
use crate::mempool::By;
use crate::metrics::AnswerLabels;
use crate::{Error, SubmitError};

/// Bytes of an answer that are not blocks: its name, and the length of the list.
const ENVELOPE_BYTES: usize = 64;

impl Exchange {
    /// Answers a peer's question, whatever it is.
    pub(crate) fn answer(&self, request: &[u8]) -> Vec<u8> {
        let answer = match decode("the question", request, REQUEST_BYTES_MAX) {
            Ok(request) => self.answer_to(request),
            Err(problem) => Answer::Failed {
                reason: reason(problem),
            },
        };
        let labels = AnswerLabels {
            answer: answer.kind(),
        };
        self.metrics.sync_answers.get_or_create(&labels).inc();
        ledger::encode(&answer)
    }

    fn answer_to(&self, request: Request) -> Answer {
        let answer = match request {
            Request::Status {} => Ok(self.status()),
            Request::Blocks { from, max } => self.blocks(from, max),
            Request::Submit { tx } => self.submitted(*tx),
        };
        answer.unwrap_or_else(|error| {
            tracing::warn!("a peer is not answered: {}", error.with_sources());
            Answer::Failed {
                reason: "its store cannot be read".into(),
            }
        })
    }

    fn status(&self) -> Answer {
        let tip = self.store.tip();
        Answer::Status {
            chain: self.genesis.chain_id.clone(),
            genesis: self.genesis_cid.into(),
            height: tip.height,
            header: tip.header,
        }
    }

    /// As many blocks as fit an answer: at least one, if there is one.
    fn blocks(&self, from: u64, max: u32) -> Result<Answer, Error> {
        let mut blocks: Vec<Sealed> = Vec::new();
        let mut room = ANSWER_BYTES_MAX - ENVELOPE_BYTES;
        let end = from.saturating_add(max.min(BLOCKS_MAX).into());
        for height in from..end {
            let Some(sealed) = self.sealed(height)? else {
                break;
            };
            let Some(left) = room.checked_sub(sealed.bytes()) else {
                break;
            };
            room = left;
            blocks.push(sealed);
        }
        Ok(Answer::Blocks { blocks })
    }

    fn sealed(&self, height: u64) -> Result<Option<Sealed>, Error> {
        let parts = self.store.encoded(height)?;
        Ok(parts.map(|[header, body, certificate]| Sealed {
            header: header.into(),
            body: body.into(),
            certificate: certificate.into(),
        }))
    }

    /// Takes a peer's transaction, and takes over to bring it to a delegate. "Refused" is said only of what will be
    /// refused by every node that is at this tip, now and later.
    fn submitted(&self, tx: Tx) -> Result<Answer, Error> {
        let cid = tx.cid();
        if self.store.height_of(&cid)?.is_some() {
            return Ok(Answer::Taken {});
        }
        let error = match self.mempool.submit(cid, tx.clone(), By::Peer) {
            // Also one that came by gossip before: where gossip brought it, and in which order, nobody knows.
            Ok(_) => {
                self.pass_on(cid, tx);
                return Ok(Answer::Taken {});
            }
            Err(SubmitError::Chain(error)) => return Err(error),
            Err(error) => error,
        };
        let lasts = match &error {
            SubmitError::Refused(refusal) => self.is_at_tip() && lasts(refusal),
            SubmitError::TooLarge { .. } => true,
            SubmitError::Full { .. } | SubmitError::Outbid { .. } | SubmitError::Chain(_) => false,
        };
        let reason = reason(error);
        Ok(match lasts {
            true => Answer::Refused { reason },
            false => Answer::Failed { reason },
        })
    }
}

/// Whether a refusal does not go away with the next blocks or the sender's earlier transactions.
fn lasts(refusal: &Refusal) -> bool {
    match refusal {
        Refusal::Nonce { expected, found, .. } => found < expected,
        Refusal::RevealEarly { .. } | Refusal::State(_) => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests;
