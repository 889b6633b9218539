//! What one session has sent, stated, and seen acknowledged. Pure.

use std::collections::VecDeque;

use ledger::{Hash, Link, Signed, Statement};

/// The account of one session, from the side that sends.
pub(super) struct Told {
    session: Hash,
    quote: Hash,
    root: Link,
    escrow: Option<Hash>,
    seq: u64,
    bytes: u64,
    blocks: u64,
    stated: u64,
    acknowledged: u64,
    /// Statements that no voucher has acknowledged, the oldest first.
    open: VecDeque<(Hash, Signed<Statement>)>,
}

impl Told {
    pub fn new(session: Hash, quote: Hash, root: Link, escrow: Option<Hash>) -> Told {
        Told {
            session,
            quote,
            root,
            escrow,
            seq: 0,
            bytes: 0,
            blocks: 0,
            stated: 0,
            acknowledged: 0,
            open: VecDeque::new(),
        }
    }

    /// Blocks were sent.
    pub fn sent(&mut self, bytes: u64, blocks: u64) {
        self.bytes += bytes;
        self.blocks += blocks;
    }

    /// Bytes sent since the last statement.
    pub fn unstated(&self) -> u64 {
        self.bytes - self.stated
    }

    /// Bytes sent that no voucher of this session acknowledges.
    pub fn unacknowledged(&self) -> u64 {
        self.bytes - self.acknowledged
    }

    /// The next statement, without the height.
    pub fn next(&self) -> Statement {
        Statement {
            session: self.session,
            seq: self.seq + 1,
            quote: self.quote,
            root: self.root,
            bytes: self.bytes,
            blocks: self.blocks,
            height: 0,
            escrow: self.escrow,
        }
    }

    /// The next statement was signed.
    pub fn stated(&mut self, statement: Signed<Statement>) {
        self.seq = statement.body.seq;
        self.stated = statement.body.bytes;
        if self.open.len() == OPEN_MAX {
            self.open.pop_front();
        }
        self.open.push_back((statement.hash(), statement));
    }

    /// A statement that no voucher has acknowledged.
    pub fn open(&self, statement: &Hash) -> Option<&Signed<Statement>> {
        let open = self.open.iter().find(|(hash, _)| hash == statement)?;
        Some(&open.1)
    }

    /// A voucher names this statement: it and those before it are acknowledged. `None` if it is no open one.
    pub fn acknowledge(&mut self, statement: &Hash) -> Option<Signed<Statement>> {
        let at = self.open.iter().position(|(hash, _)| hash == statement)?;
        let (_, statement) = self.open.drain(..=at).next_back()?;
        self.acknowledged = statement.body.bytes;
        Some(statement)
    }

    /// The last statement, if it is not acknowledged.
    pub fn last(&self) -> Option<&Signed<Statement>> {
        self.open.back().map(|(_, statement)| statement)
    }
}

/// Statements that wait for a voucher; a client that falls further behind gets no receipts for the oldest.
const OPEN_MAX: usize = 64;
