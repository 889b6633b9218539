//! Where content is looked up and answers are made. Everything here blocks: on a disk, or, once that did not do, on
//! other nodes.
//!
//! A request is tried with what is here. If a block is wanting, it is tried again, from its root, with what others have:
//! the second time finds the first blocks in memory, and costs nothing but the wait.

mod car;
mod file;
mod head;
mod known;
mod listing;
mod object;
mod record;
mod root;
mod site;
mod tar;

use std::borrow::Borrow;
use std::sync::Arc;

use bytes::Bytes;
use cid::Cid;
use http::{Response, StatusCode};
use named::dap::Names;
use named::ipns;
use storage::{BlockSource, FileReader, Kind, Node};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::ask::Ask;
use crate::ask::address::{Address, Face, Root};
use crate::ask::format::{self, Codec, Format};
use crate::body::{Body, Parts, Stream};
use crate::deny::{self, Denylists};
use crate::domains::KnownDomains;
use crate::fast::{Basis, Fast};
use crate::fetches::Fetches;
use crate::fill::Fills;
use crate::flights::{Lead, Wanted};
use crate::labour::Labour;
use crate::origin::Site;
use crate::pack::Packer;
use crate::problem::{Lack, Problem};
use crate::reply;
use crate::trail::{self, Trail};
use head::{Head, tag};
use root::{Goal, Start};
pub(crate) use site::Rules;

/// What answers are made from.
pub(crate) struct Desk {
    /// What is not served.
    pub denylists: Arc<Denylists>,
    /// What does work that takes long.
    pub labour: Labour,
    /// What compresses answers.
    pub packer: Packer,
    /// Large files that readers take parts of.
    pub fills: Arc<Fills>,
    /// The content.
    pub source: Arc<dyn BlockSource>,
    /// What is kept of it, and of the answers.
    pub fast: Fast,
    /// The names.
    pub names: Arc<dyn Names>,
    /// The records of keys.
    pub ipns: Arc<ipns::Records>,
    /// The domains of the public DNS.
    pub domains: KnownDomains,
    /// Rows of a listing, at most.
    pub listing_entries_max: usize,
    /// Places for listings and pages of objects, which are work.
    pub listings: Semaphore,
    /// Places for CAR streams, each of which remembers what it has sent.
    pub cars: Arc<Semaphore>,
    /// Places for reads that wait for others.
    pub fetches: Fetches,
    /// What sites say about themselves.
    pub rules: Rules,
}

/// What is at a path: an answer, or that there is nothing.
type Found = Result<Response<Body>, Problem>;

/// What came of a request that was tried with what is here.
pub(crate) enum Tried {
    /// It is answered.
    Answered(Box<Response<Body>>),
    /// A block is not here; others may have it.
    Elsewhere(Arc<Ask>, Arc<Trail>, Wanted),
    /// It is a site of another origin.
    Origin(Box<Site>),
}

/// What the records on the way say of a request.
enum Settled {
    /// The request, with that, and where its content begins.
    Content(Arc<Ask>, Start),
    /// It is for a site of another origin.
    Origin(Box<Site>),
}

impl Desk {
    /// Answers with what is here, if that is enough. When `gone` is cancelled, nobody waits for the answer any more.
    pub(crate) fn here(&self, ask: &Arc<Ask>, gone: CancellationToken) -> Tried {
        if ask.format == Format::IpnsRecord {
            return Tried::Answered(Box::new(self.told(ask, self.ipns_record(ask))));
        }
        let height = self.names.height();
        let (ask, start) = match self.settled(ask) {
            Ok(Settled::Content(ask, start)) => (ask, start),
            Ok(Settled::Origin(site)) => {
                return match self.allow_site(ask, &site) {
                    Ok(()) => Tried::Origin(site),
                    Err(problem) => Tried::Answered(Box::new(self.told(ask, Err(problem)))),
                };
            }
            Err(problem) => return Tried::Answered(Box::new(self.told(ask, Err(problem)))),
        };
        let basis = self.basis(&ask, &start, height);
        // What is allowed is asked after the basis: when the lists change, it counts no more.
        if let Err(problem) = self.allow_all(&ask.address, &start) {
            return Tried::Answered(Box::new(self.told(&ask, Err(problem))));
        }
        let trail = self.trail(start.cid, !ask.only_if_cached, gone);
        let answer = match self.serve(&ask, &trail) {
            Err(problem) => match (problem.missing(), trail.may_fetch()) {
                (None, _) => Err(problem),
                (Some(_), false) => self.known(&ask, &trail).ok_or(problem),
                (Some(block), true) => match self.known(&ask, &trail) {
                    Some(answer) => Ok(answer),
                    None => {
                        let root = start.cid;
                        if let Some(name) = ask.address.root.name() {
                            self.source.named(&root, &name);
                        }
                        return Tried::Elsewhere(ask, trail, Wanted { root, block });
                    }
                },
            },
            answer => answer,
        };
        let mut answer = self.told(&ask, answer);
        if let Some(basis) = basis {
            answer.extensions_mut().insert(basis);
        }
        Tried::Answered(Box::new(answer))
    }

    /// The blocks below `root`, for one request.
    pub(crate) fn trail(&self, root: Cid, may_fetch: bool, gone: CancellationToken) -> Arc<Trail> {
        let in_memory = deny::only(&self.denylists, self.fast.in_memory());
        let flights = self.fetches.flights();
        Arc::new(Trail::new(
            &*self.source,
            in_memory,
            root,
            may_fetch,
            flights,
            gone,
        ))
    }

    /// On what the answer is based: all of it follows from the root, and that from the name at this height. Records of
    /// other kinds may change at any time.
    fn basis(&self, ask: &Ask, start: &Start, height: u64) -> Option<Basis> {
        let name = match &ask.address.root {
            Root::Cid(_) => None,
            Root::Name(name) if start.by_ledger => Some((name.as_str(), height)),
            Root::Name(_) | Root::Ipns(_) | Root::Domain(_) => return None,
        };
        Some(self.fast.basis(start.cid, name))
    }

    fn settled(&self, ask: &Arc<Ask>) -> Result<Settled, Problem> {
        let start = match self.find(&ask.address.root)? {
            Goal::Content(start) => start,
            // Its pages may run scripts, so they are not put beside those of others.
            Goal::Origin(site) if ask.address.face == Face::Path => {
                return Err(Problem::origin_by_host(&site.name));
            }
            Goal::Origin(site) => return Ok(Settled::Origin(site)),
        };
        if let Root::Cid(_) = ask.address.root {
            return Ok(Settled::Content(Arc::clone(ask), start));
        }
        let settled = Ask {
            lead: start.lead.clone(),
            fresh: start.fresh,
            ..Ask::clone(ask)
        };
        Ok(Settled::Content(Arc::new(settled), start))
    }

    /// Answers with what others have, and waits for them: the caller has a place for that.
    /// Who waits for the block of `lead` goes on when that was read, or hears why it does not come.
    pub(crate) fn elsewhere(&self, ask: &Ask, trail: &Arc<Trail>, lead: Option<Lead>) -> Response<Body> {
        trail.restart();
        trail.leads(lead);
        let answer = self.serve(ask, trail);
        self.fetches
            .ended(*trail.root(), trail.still_leads(), answer.as_ref().err());
        self.told(ask, answer)
    }

    /// Refuses what a denylist names: what was asked for, or what that leads to.
    pub(crate) fn allow_all(&self, address: &Address, start: &Start) -> Result<(), Problem> {
        self.allow(&address.root, &address.segments)?;
        let path: Vec<&str> = start
            .lead
            .iter()
            .chain(&address.segments)
            .map(String::as_str)
            .collect();
        self.allow(&Root::Cid(start.cid), &path)
    }

    /// As [`Desk::allow_all`], for a site of another origin.
    fn allow_site(&self, ask: &Ask, site: &Site) -> Result<(), Problem> {
        self.allow(&ask.address.root, &ask.address.segments)?;
        self.allow(&Root::Name(site.name.clone()), &ask.address.segments)
    }

    /// Refuses a path that a denylist names.
    fn allow<S: Borrow<str>>(&self, root: &Root, path: &[S]) -> Result<(), Problem> {
        let (rules, path) = (self.denylists.rules(), path.join("/"));
        let denied = match root {
            Root::Cid(cid) => rules.content(cid, &path),
            Root::Ipns(name) => rules.name(&name.to_string(), &path),
            Root::Name(name) | Root::Domain(name) => rules.name(name, &path),
        };
        denied.map_or(Ok(()), |denied| Err(Problem::denied(denied)))
    }

    /// The answer as it goes out.
    pub(crate) fn told(&self, ask: &Ask, answer: Result<Response<Body>, Problem>) -> Response<Body> {
        match answer {
            Ok(response) => self.packer.pack(&ask.wish, ask.seat, response),
            Err(problem) => {
                let problem = problem.on(&ask.address);
                reply::problem(&problem, format::wants_html(&ask.headers), ask.head)
            }
        }
    }

    fn serve(&self, ask: &Ask, trail: &Arc<Trail>) -> Result<Response<Body>, Problem> {
        let answer = match (self.found(ask, trail)?, site::has_rules(ask)) {
            (found, false) => found?,
            (found, true) => {
                let answer = found.or_else(|absent| self.missing(ask, trail, absent))?;
                self.dress(ask, trail, answer)?
            }
        };
        trail.forget();
        Ok(answer)
    }

    /// What is at the path itself.
    fn found(&self, ask: &Ask, trail: &Arc<Trail>) -> Result<Found, Problem> {
        let node = match storage::resolve(trail, trail.root(), &ask.path()) {
            Ok(node) => node,
            Err(error @ storage::Error::NoLink { .. }) => return Ok(Err(failed(ask, &error))),
            Err(error) => return Err(failed(ask, &error)),
        };
        if !node.rest.is_empty() && !matches!(ask.format, Format::Car(_)) {
            let rest = node.rest.join("/");
            return Err(Problem::not_a_link(format!(
                "{rest:?} is a value inside {}, not a link",
                node.cid
            )));
        }
        self.form(ask, &node, trail).map(Ok)
    }

    /// The object at the end of the path, in the form that was asked.
    fn form(&self, ask: &Ask, node: &Node, trail: &Arc<Trail>) -> Result<Response<Body>, Problem> {
        match (&ask.format, &node.kind) {
            (Format::Raw, _) => object::raw(ask, node, trail),
            (Format::Car(car), _) => self.car(ask, node, trail, car),
            (Format::Tar, _) => self.tar(ask, node, trail),
            (_, Kind::DagCbor | Kind::DagJson | Kind::Other { .. }) => object::object(self, ask, node, trail),
            (Format::Object(codec), _) if !is_mild(*codec) => Err(Problem::not_acceptable(format!(
                "{} is a file, folder or link of UnixFS",
                node.cid
            ))),
            (_, Kind::Directory) => self.folder(ask, node, trail),
            (_, Kind::File { size } | Kind::Raw { size }) => {
                let name = ask.path().last().copied().unwrap_or_default();
                let file = file::File {
                    cid: node.cid,
                    size: *size,
                    name,
                    etag_of: node.cid,
                };
                self.file(ask, node, &file, trail)
            }
            (_, Kind::Symlink { target }) => {
                let mut head = Head::new(ask, &node.roots, tag(&node.cid, ""), "inode/symlink");
                head.send(ask, &Bytes::from(target.clone()))
            }
        }
    }

    fn folder(&self, ask: &Ask, node: &Node, trail: &Arc<Trail>) -> Result<Response<Body>, Problem> {
        if !ask.address.slash {
            if let Some(answer) = self.page_beside(ask, node, trail)? {
                return Ok(answer);
            }
            let query = ask
                .query
                .as_ref()
                .map(|query| format!("?{query}"))
                .unwrap_or_default();
            return Ok(reply::redirect(
                StatusCode::MOVED_PERMANENTLY,
                &format!("{}/{query}", ask.address.url()),
                ask.fresh.of_content(),
            ));
        }
        match storage::resolve(trail, &node.cid, &["index.html"]) {
            Ok(Node {
                cid,
                kind: Kind::File { size } | Kind::Raw { size },
                ..
            }) => {
                let index = file::File {
                    cid,
                    size,
                    name: "index.html",
                    etag_of: node.cid,
                };
                self.file(ask, node, &index, trail)
            }
            Ok(_) | Err(storage::Error::NoLink { .. }) => self.listing(ask, node, trail),
            Err(error) => Err(failed(ask, &error)),
        }
    }

    /// Has a page made that is work, if there is a place for it and the client has not its share.
    fn work<T: Send + 'static>(
        &self,
        ask: &Ask,
        trail: &Trail,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let _share = self.labour.share(ask.seat).map_err(Problem::too_much)?;
        let _place = self.listings.try_acquire().map_err(|_| Problem::busy())?;
        Ok(match trail.is_far() {
            // It may wait for others, for which there are other threads.
            true => job(),
            false => self.labour.run(job),
        })
    }

    /// A body that begins with `first` and goes on with `parts`, which read through `trail`.
    fn stream(&self, first: Bytes, parts: Parts, trail: &Arc<Trail>) -> Body {
        Body::stream(
            first,
            Stream {
                parts,
                trail: Arc::clone(trail),
                fetches: self.fetches.clone(),
                plain: false,
            },
        )
    }

    /// The bytes of a file, after `first`.
    pub(crate) fn pieces(&self, first: Bytes, pieces: FileReader<Arc<Trail>>, trail: &Arc<Trail>) -> Body {
        Body::stream(
            first,
            Stream {
                parts: Box::new(pieces),
                trail: Arc::clone(trail),
                fetches: self.fetches.clone(),
                plain: true,
            },
        )
    }
}

/// Scripts often ask for JSON from wherever it comes; that is no wish for another form of a file.
fn is_mild(codec: Codec) -> bool {
    matches!(codec, Codec::Json | Codec::Cbor)
}

/// What a failed read means to the client. Our own faults are told to the log alone.
fn failed(ask: &Ask, error: &storage::Error) -> Problem {
    if let Some(denied) = deny::denial(error) {
        return Problem::denied(denied);
    }
    if let Some(problem) = Problem::absence(error, ask.only_if_cached) {
        if matches!(problem.lack.as_deref(), Some(Lack::Withheld(_))) {
            tracing::info!(%error, path = ask.address.content_path(), "content could not be fetched");
        }
        return problem;
    }
    match error {
        storage::Error::NoLink { segment, .. } => Problem::path_missing(&ask.address.content_path(), segment),
        storage::Error::Malformed { .. } | storage::Error::UnsupportedHash { .. } => {
            Problem::unreadable(error.to_string())
        }
        // Nobody reads this, and nothing is wrong.
        error if trail::is_abandoned(error) => Problem::internal(),
        error => {
            tracing::error!(%error, path = ask.address.content_path(), "content could not be read");
            Problem::internal()
        }
    }
}
