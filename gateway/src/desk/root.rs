//! The root of a request's path: of a name, what the ledger says now.

use cid::Cid;
use ledger::Records;
use named::dap::{self, NameError, Resolution};

use super::Desk;
use crate::ask::Ask;
use crate::ask::address::Root;
use crate::problem::Problem;

/// Names that stand for each other, at most: more is a loop.
const ALIASES_MAX: usize = 8;

impl Desk {
    /// Where the path of the request starts.
    pub(super) fn root(&self, ask: &Ask) -> Result<Cid, Problem> {
        match &ask.address.root {
            Root::Cid(cid) => Ok(*cid),
            Root::Name => self.content_of(&ask.address.root_text),
        }
    }

    /// What a name points to, through the names that it stands for.
    fn content_of(&self, asked: &str) -> Result<Cid, Problem> {
        let mut name = asked.to_owned();
        for _ in 0..=ALIASES_MAX {
            let records = self.records(&name)?;
            match (records.content, records.cname) {
                (Some(link), _) => return Ok(link.0),
                (None, Some(other)) => name = other,
                (None, None) => break,
            }
        }
        Err(Problem::name_empty(&name))
    }

    fn records(&self, name: &str) -> Result<Records, Problem> {
        match dap::resolve(&*self.names, name) {
            Ok(Resolution::Found { records, .. }) => Ok(records),
            Ok(Resolution::Absent { name, .. }) => Err(Problem::name_unknown(&name)),
            Ok(Resolution::Foreign) => Err(Problem::name_foreign(name, self.names.tld())),
            Err(NameError::State(error)) => {
                tracing::error!(%error, name, "a name could not be read");
                Err(Problem::internal())
            }
            Err(error) => Err(Problem::bad_name(name, &error.to_string())),
        }
    }
}
