//! Signed lies of nodes that deliver, each a proof by itself.
//!
//! Nothing that only did not happen is one: who is down, slow or silent is punished by nobody. What a proof is made of was
//! signed by the node that it convicts, and a node that keeps to the rules signs no such thing:
//! * It numbers the statements of a session, and signs each number once.
//! * Its statements name the quote that the session was opened with. The session's id is made of that quote, so which one it
//!   was can be shown. A price that is nowhere signed cannot be collected: what a payer owes it computes itself, and without
//!   its voucher the ledger pays nothing.
//! * It delivers nothing that its own ledger has shown as withdrawn for longer than [`crate::Delivery::withdrawn_grace`]. The
//!   height in a statement is that of its own ledger, so one that lags is not convicted by what it cannot know.

use serde::{Deserialize, Serialize};

use super::messages::{Quote, SessionTerms, Statement};
use super::receipt::contradict;
use crate::keys::PublicKey;
use crate::signed::Signed;

/// Why a node does not deliver on a chain any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Offence {
    /// It signed two statements of one number.
    Equivocation,
    /// It billed a session by a dearer quote than it was opened with.
    OverPrice,
    /// It delivered what its owner had withdrawn.
    Withdrawn,
}

/// Proof that a node lied. A verdict also needs the ledger: whether it is new enough, and what was withdrawn when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FraudProof {
    /// [`Offence::Equivocation`]: see [`contradict`].
    Equivocation {
        /// Of one session and number, with different words.
        statements: [Signed<Statement>; 2],
    },
    /// [`Offence::OverPrice`].
    OverPrice {
        /// What the session's id is made of.
        terms: SessionTerms,
        /// The quote in the terms.
        agreed: Signed<Quote>,
        /// The dearer quote that the statement names.
        billed: Signed<Quote>,
        /// A statement of the session.
        statement: Signed<Statement>,
    },
    /// [`Offence::Withdrawn`].
    Withdrawn {
        /// Of a session about an asset's root.
        statement: Signed<Statement>,
    },
}

impl FraudProof {
    /// Of what it convicts.
    pub const fn offence(&self) -> Offence {
        match self {
            Self::Equivocation { .. } => Offence::Equivocation,
            Self::OverPrice { .. } => Offence::OverPrice,
            Self::Withdrawn { .. } => Offence::Withdrawn,
        }
    }

    /// The statement that convicts, the later one of two.
    pub fn statement(&self) -> &Signed<Statement> {
        match self {
            Self::Equivocation { statements: [a, b] } if a.body.height > b.body.height => a,
            Self::Equivocation { statements: [_, b] } => b,
            Self::OverPrice { statement, .. } | Self::Withdrawn { statement } => statement,
        }
    }

    /// Whom it convicts.
    pub fn node(&self) -> &PublicKey {
        &self.statement().key
    }

    /// Whether all that it says is signed by that node for this chain, and is a lie. Whether an asset was withdrawn, only the
    /// ledger knows.
    pub fn holds(&self, chain: &str) -> bool {
        match self {
            Self::Equivocation { statements: [a, b] } => contradict(a, b, chain),
            Self::OverPrice {
                terms,
                agreed,
                billed,
                statement,
            } => {
                is_session(terms, agreed, statement)
                    && statement.body.quote == billed.hash()
                    && billed.body.price > agreed.body.price
                    && is_quote_of(agreed, &statement.key, chain)
                    && is_quote_of(billed, &statement.key, chain)
                    && statement.verify(chain)
            }
            Self::Withdrawn { statement } => statement.verify(chain),
        }
    }
}

fn is_quote_of(quote: &Signed<Quote>, node: &PublicKey, chain: &str) -> bool {
    quote.key == *node && quote.body.node == *node && quote.verify(chain)
}

/// Whether the terms are those of the statement's session, which was opened by the quote.
fn is_session(terms: &SessionTerms, quote: &Signed<Quote>, statement: &Signed<Statement>) -> bool {
    terms.id() == statement.body.session && terms.server == statement.key && terms.quote == quote.hash()
}
