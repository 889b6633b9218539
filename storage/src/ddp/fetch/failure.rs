//! Why a provider is left.

use std::fmt::Display;
use std::time::Duration;

use ledger::Amount;

use crate::Error;
use crate::ddp::wire::{Code, Refuse, WireError};

/// What a provider did, or what went wrong with it.
#[derive(Debug)]
pub(super) struct Failure {
    /// One line that goes on after the provider's name.
    pub what: String,
    pub fault: Fault,
}

/// Whose fault it is.
#[derive(Debug)]
pub(super) enum Fault {
    /// It broke its word: nothing more is had from it in this session.
    Lied,
    /// It asks too much, or cannot be reached.
    Poor,
    /// It does not have a block.
    Lacks,
    /// It does nothing.
    Silent,
    /// The connection broke.
    Lost,
    /// It refuses.
    Refused(Refuse),
    /// This node cannot pay or cannot keep what comes.
    Own,
}

impl Failure {
    pub fn lied(what: impl Into<String>) -> Failure {
        let what = what.into();
        let fault = Fault::Lied;
        Failure { what, fault }
    }

    pub fn poor(what: impl Into<String>) -> Failure {
        let what = what.into();
        let fault = Fault::Poor;
        Failure { what, fault }
    }

    pub fn lacks(what: impl Into<String>) -> Failure {
        let what = what.into();
        let fault = Fault::Lacks;
        Failure { what, fault }
    }

    /// It did nothing for so long.
    pub fn silent(what: &str, silence: Duration) -> Failure {
        Failure {
            what: format!("{what} within {:.1} s", silence.as_secs_f32()),
            fault: Fault::Silent,
        }
    }

    pub fn lost(error: &dyn Display) -> Failure {
        Failure {
            what: format!("was lost: {error}"),
            fault: Fault::Lost,
        }
    }

    pub fn refused(refuse: Refuse) -> Failure {
        let reason: String = refuse
            .reason
            .chars()
            .filter(|c| !c.is_control())
            .take(REASON_MAX)
            .collect();
        Failure {
            what: format!("refused: {reason}"),
            fault: Fault::Refused(refuse),
        }
    }

    /// Whether it refuses since it does not know the escrow.
    pub fn is_no_escrow(&self) -> bool {
        matches!(&self.fault, Fault::Refused(refuse) if refuse.code == Code::NoEscrow)
    }

    /// How much must be set aside for it, if it refuses for that.
    pub fn missing(&self) -> Option<Amount> {
        match &self.fault {
            Fault::Refused(refuse) if refuse.code == Code::NoAllotment => Some(refuse.missing),
            _ => None,
        }
    }

    pub fn own(what: impl Into<String>) -> Failure {
        let what = what.into();
        let fault = Fault::Own;
        Failure { what, fault }
    }
}

impl From<WireError> for Failure {
    fn from(error: WireError) -> Failure {
        match error {
            WireError::Ended | WireError::Io(_) => Failure::lost(&error),
            WireError::TooLarge { .. } | WireError::Malformed(_) => Failure::lied(format!("sent {error}")),
        }
    }
}

impl From<Error> for Failure {
    /// An error of this node's own disk.
    fn from(error: Error) -> Failure {
        Failure::own(format!("was left, since this node cannot keep blocks: {error}"))
    }
}

/// Characters of a stranger's reason that are passed on.
const REASON_MAX: usize = 200;
