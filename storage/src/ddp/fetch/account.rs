//! What one session brought, and which statements about it are true. Pure.

use ledger::{Amount, FraudProof, Hash, Link, PublicKey, Quote, SessionTerms, Signed, Statement, contradict};

use super::failure::Failure;

/// Whether an offer may be taken. One that `is_known` was verified before.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check_quote(
    quote: &Signed<Quote>,
    is_known: bool,
    node: &PublicKey,
    chain: &str,
    price_max: Amount,
    now_ms: u64,
) -> Result<(), Failure> {
    let Quote {
        node: named,
        price,
        until_ms,
        ..
    } = &quote.body;
    if quote.key != *node || named != node {
        return Err(Failure::lied(format!("sent a quote of another node, {named}")));
    }
    if !is_known && !quote.verify(chain) {
        return Err(Failure::lied("sent a quote whose signature is wrong"));
    }
    if *price > price_max {
        return Err(Failure::poor(format!(
            "asks {price} coins a MiB, more than the {price_max} that this node pays"
        )));
    }
    if *until_ms <= now_ms {
        return Err(Failure::poor("sent a quote that has expired"));
    }
    Ok(())
}

/// The account of one session.
#[derive(Debug)]
pub(super) struct Account {
    session: Hash,
    quote: Hash,
    root: Link,
    escrow: Option<Hash>,
    /// Verified payload.
    bytes: u64,
    blocks: u64,
    last: Option<Signed<Statement>>,
}

impl Account {
    /// The account of the session with these terms.
    pub fn new(terms: &SessionTerms, root: Link, escrow: Option<Hash>) -> Account {
        Account {
            session: terms.id(),
            quote: terms.quote,
            root,
            escrow,
            bytes: 0,
            blocks: 0,
            last: None,
        }
    }

    /// A block was verified and kept.
    pub fn received(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        self.blocks += 1;
    }

    /// A relay may state up to so many bytes.
    pub fn relayed(&mut self, bytes: u64) {
        self.bytes = bytes;
    }

    /// Bytes that are accounted for.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What proves to the ledger that the server lied, if the statement and the one before cannot both be honest.
    pub fn contradiction(&self, statement: &Signed<Statement>, chain: &str) -> Option<FraudProof> {
        let last = self
            .last
            .as_ref()
            .filter(|last| contradict(last, statement, chain))?;
        Some(FraudProof::Equivocation {
            statements: [last.clone(), statement.clone()],
        })
    }

    /// Checks a statement of the server against what was verified, and remembers it. Returns its hash.
    ///
    /// # Errors
    /// What is wrong with it. A server that follows the protocol never sends such a statement.
    pub fn check(
        &mut self,
        statement: Signed<Statement>,
        node: &PublicKey,
        chain: &str,
    ) -> Result<Hash, Failure> {
        if statement.key != *node || !statement.verify(chain) {
            return Err(Failure::lied("sent a statement that it did not sign"));
        }
        if let Some(last) = &self.last
            && contradict(last, &statement, chain)
        {
            let seq = last.body.seq;
            return Err(Failure::lied(format!(
                "signed two different statements of number {seq}"
            )));
        }
        let next = self
            .last
            .as_ref()
            .map_or(1, |last| last.body.seq.saturating_add(1));
        let Statement {
            session,
            seq,
            quote,
            root,
            bytes,
            blocks,
            escrow,
            ..
        } = &statement.body;
        if (session, quote, root, escrow) != (&self.session, &self.quote, &self.root, &self.escrow) {
            return Err(Failure::lied("sent a statement of another session"));
        }
        if *seq != next {
            return Err(Failure::lied(format!(
                "sent statement {seq} in the place of {next}"
            )));
        }
        if (*bytes, *blocks) != (self.bytes, self.blocks) {
            return Err(Failure::lied(format!(
                "states {blocks} blocks of {bytes} bytes, sent {} of {}",
                self.blocks, self.bytes
            )));
        }
        let hash = statement.hash();
        self.last = Some(statement);
        Ok(hash)
    }
}
