//! The root of a request's path: what ledger names, keys and domains say now, through each other. A name with content is
//! served from that, also if it has an origin.

use std::time::SystemTime;

use cid::Cid;
use ledger::Records;
use named::dap::{self, NameError, Resolution};
use named::ipns;

use super::Desk;
use crate::ask::address::Root;
use crate::ask::content_path::{self, target};
use crate::domains::Domains as _;
use crate::fresh::Fresh;
use crate::origin::{self, Site};
use crate::problem::Problem;

/// Names that stand for each other, at most: more is a loop (DNSLink gateway specification).
pub(crate) const LINKS_MAX: usize = 32;

/// Where the path of a request starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    /// The root of the content.
    pub cid: Cid,
    /// The path below it at which the site begins.
    pub lead: Vec<String>,
    /// For how long that holds.
    pub fresh: Fresh,
    /// Whether the ledger alone says so.
    pub by_ledger: bool,
}

/// What a root leads to.
pub(crate) enum Goal {
    /// Content.
    Content(Start),
    /// A site of another origin.
    Origin(Box<Site>),
}

/// What a ledger name points to.
enum Held {
    /// Content, or another name.
    Step(Step),
    /// An origin.
    Origin(Box<Site>),
}

/// What one name points to.
struct Step {
    root: Root,
    below: Vec<String>,
    fresh: Fresh,
    /// Whether the ledger that this node has says so.
    by_ledger: bool,
}

impl Desk {
    /// Follows a root to its content or its origin.
    pub(crate) fn find(&self, root: &Root) -> Result<Goal, Problem> {
        let mut at = root.clone();
        let (mut lead, mut fresh, mut by_ledger) = (Vec::new(), Fresh::Forever, true);
        for _ in 0..=LINKS_MAX {
            self.allow(&at, &lead)?;
            let step = match &at {
                Root::Cid(cid) => {
                    return Ok(Goal::Content(Start {
                        cid: *cid,
                        lead,
                        fresh,
                        by_ledger,
                    }));
                }
                Root::Name(name) => match self.by_name(name)? {
                    Held::Step(step) => step,
                    // A path into it is no site: its pages link to each other from its root.
                    Held::Origin(_) if !lead.is_empty() => return Err(Problem::name_empty(name)),
                    Held::Origin(site) => return Ok(Goal::Origin(site)),
                },
                Root::Ipns(name) => self.by_key(name)?,
                Root::Domain(domain) => self.by_domain(domain)?,
            };
            by_ledger &= step.by_ledger;
            lead = [step.below, lead].concat();
            fresh = fresh.min(step.fresh);
            at = step.root;
        }
        Err(Problem::endless(&text(root), LINKS_MAX))
    }

    /// Follows a root to its content, for those who need that.
    pub(crate) fn start(&self, root: &Root) -> Result<Start, Problem> {
        match self.find(root)? {
            Goal::Content(start) => Ok(start),
            Goal::Origin(site) => Err(Problem::name_empty(&site.name)),
        }
    }

    /// The record of a key, with what it says.
    pub(super) fn record(&self, name: &ipns::Name, now: SystemTime) -> Result<ipns::Record, Problem> {
        match self.ipns.get(name, now) {
            Ok(Some(record)) => Ok(record),
            Ok(None) => Err(Problem::no_record(&name.to_string(), "no record of it was found")),
            Err(ipns::Error::Refused { fault, .. }) => Err(Problem::no_record(
                &name.to_string(),
                &format!("its record is refused: {fault}"),
            )),
            Err(error) => {
                tracing::error!(%error, %name, "a record could not be read");
                Err(Problem::internal())
            }
        }
    }

    fn by_key(&self, name: &ipns::Name) -> Result<Step, Problem> {
        let now = SystemTime::now();
        let record = self.record(name, now)?;
        let value = std::str::from_utf8(record.value()).unwrap_or_default();
        self.step(value, Fresh::For(record.ttl(now)))
            .ok_or_else(|| Problem::no_record(&name.to_string(), "its record points to no content path"))
    }

    fn by_domain(&self, domain: &str) -> Result<Step, Problem> {
        match self.domains.dnslink(domain) {
            Ok(Some(link)) => self
                .step(&link.path, Fresh::For(link.ttl))
                .ok_or_else(|| Problem::no_record(domain, "its DNSLink is no content path")),
            Ok(None) => Err(Problem::domain_unknown(domain)),
            Err(error) => Err(Problem::no_record(domain, &error.to_string())),
        }
    }

    fn step(&self, path: &str, fresh: Fresh) -> Option<Step> {
        let (root, below) = target(path, self.names.tlds())?;
        Some(Step {
            root,
            below,
            fresh,
            by_ledger: false,
        })
    }

    fn by_name(&self, name: &str) -> Result<Held, Problem> {
        let (whole, records, owner, source) = match dap::resolve(&*self.names, name) {
            Ok(Resolution::Found {
                name,
                records,
                owner,
                source,
                ..
            }) => (name, records, owner, source),
            Ok(Resolution::Absent { name, .. }) => return Err(Problem::name_unknown(&name)),
            Ok(Resolution::Delegated { name, to }) => return Err(Problem::name_delegated(&name, &to)),
            Ok(Resolution::Foreign) => return Err(Problem::name_foreign(name, self.names.tlds())),
            Err(NameError::State(error)) => {
                tracing::error!(%error, name, "a name could not be read");
                return Err(Problem::internal());
            }
            Err(error) => return Err(Problem::bad_name(name, &error.to_string())),
        };
        let Records {
            content,
            cname,
            origin,
            txt,
            ..
        } = records;
        let root = match (content, cname, origin) {
            (Some(link), ..) => Root::Cid(link.0),
            (None, Some(other), _) => content_path::name(&other, self.names.tlds()),
            // What an origin sends is paid on the chain of its name.
            (None, None, Some(_)) if source.is_some() => return Err(Problem::name_empty(name)),
            (None, None, Some(origin)) => {
                return Ok(Held::Origin(Box::new(Site {
                    token: origin::token(&txt),
                    name: whole,
                    origin,
                    owner,
                })));
            }
            (None, None, None) => return Err(Problem::name_empty(name)),
        };
        Ok(Held::Step(Step {
            root,
            below: Vec::new(),
            fresh: Fresh::Never,
            by_ledger: source.is_none(),
        }))
    }
}

fn text(root: &Root) -> String {
    match root {
        Root::Cid(cid) => cid.to_string(),
        Root::Ipns(name) => name.to_string(),
        Root::Name(text) | Root::Domain(text) => text.clone(),
    }
}
