//! What a site says about itself, acted upon: its `_headers` with every answer, and where a path leads nowhere, its
//! `_redirects`, the page of that name, its `404.html`, in this order. The specification lets rules decide before anything
//! else does about what does not exist; a publisher whose rules end with a `/*` names the pages that should come before.
//!
//! A rule is followed once. What it leads to exists or does not; nothing is asked a second time.

use std::mem;
use std::sync::Arc;

use cid::Cid;
use http::header::{ACCEPT, HeaderMap};
use http::{Response, StatusCode};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use storage::{Error, FileReader, Kind, Node};

use super::{Desk, failed, is_mild};
use crate::ask::Ask;
use crate::ask::address::Face;
use crate::ask::format::Format;
use crate::body::Body;
use crate::problem::Problem;
use crate::reply;
use crate::site::headers::{BadHeaders, Headers};
use crate::site::redirects::{BadRedirects, Outcome, Redirects};
use crate::site::{FILE_BYTES_MAX, HEADERS, INDEX, NOT_FOUND, REDIRECTS, page_of};
use crate::trail::Trail;

/// The files of rules of the sites that were read last, as they were understood. What is below a CID cannot change.
pub(crate) struct Rules {
    headers: Cache<Cid, Arc<Read<Headers, BadHeaders>>, Bytes>,
    redirects: Cache<Cid, Arc<Read<Redirects, BadRedirects>>, Bytes>,
}

struct Read<T, E> {
    rules: Result<T, E>,
    bytes: usize,
}

/// Weighs rules by their text; in memory they take some ten times as much.
#[derive(Clone)]
struct Bytes;

impl<T, E> Weighter<Cid, Arc<Read<T, E>>> for Bytes {
    fn weight(&self, _: &Cid, read: &Arc<Read<T, E>>) -> u64 {
        // The key, and what keeps it.
        128 + read.bytes as u64
    }
}

/// Bytes of rules that are kept, of each kind: those of thousands of sites, or of the sixteen with the longest files.
const KEPT_BYTES: u64 = 1 << 20;

/// Rules up to this length are looked through at once: in less time than it takes to have it done.
const RULES_AT_HAND_BYTES: usize = 2 << 10;

impl Default for Rules {
    fn default() -> Self {
        Self {
            headers: Cache::with_weighter(1024, KEPT_BYTES, Bytes),
            redirects: Cache::with_weighter(1024, KEPT_BYTES, Bytes),
        }
    }
}

/// Whether the rules of the site act on the request: it asks for a page on a host that the site has for itself.
pub(super) fn has_rules(ask: &Ask) -> bool {
    let is_page = match &ask.format {
        Format::Web => true,
        Format::Object(codec) => is_mild(*codec),
        _ => false,
    };
    is_page && !matches!(ask.address.face, Face::Path)
}

impl Desk {
    /// Adds what the site sends beside its content.
    ///
    /// # Errors
    /// The site has a file of headers that cannot be read: without them its content may be unsafe.
    pub(super) fn dress(
        &self,
        ask: &Ask,
        trail: &Arc<Trail>,
        mut answer: Response<Body>,
    ) -> Result<Response<Body>, Problem> {
        let read = kept(&self.rules.headers, ask, trail, HEADERS, Headers::parse)
            .map_err(|error| failed(ask, &error))?;
        if let Err(error) = &read.rules {
            return Err(Problem::bad_rules(HEADERS, error));
        }
        let (segments, mut headers) = (ask.address.segments.clone(), mem::take(answer.headers_mut()));
        *answer.headers_mut() = self.by_rules(read, move |rules| {
            if let Ok(rules) = rules {
                rules.apply(&segments, &mut headers);
            }
            headers
        });
        Ok(answer)
    }

    /// Does what rules say. To look through many of them is work.
    fn by_rules<T, E, R>(
        &self,
        read: Arc<Read<T, E>>,
        job: impl FnOnce(&Result<T, E>) -> R + Send + 'static,
    ) -> R
    where
        T: Send + Sync + 'static,
        E: Send + Sync + 'static,
        R: Send + 'static,
    {
        match read.bytes > RULES_AT_HAND_BYTES {
            true => self.labour.run(move || job(&read.rules)),
            false => job(&read.rules),
        }
    }

    /// What the site answers where there is nothing; `absent` if it says nothing about it.
    pub(super) fn missing(
        &self,
        ask: &Ask,
        trail: &Arc<Trail>,
        absent: Problem,
    ) -> Result<Response<Body>, Problem> {
        let read = kept(&self.rules.redirects, ask, trail, REDIRECTS, Redirects::parse);
        let read = read.map_err(|error| failed(ask, &error))?;
        let (segments, query) = (ask.address.segments.clone(), ask.query.clone());
        let decided = self.by_rules(read, move |rules| {
            let bad = |error: &dyn std::error::Error| Problem::bad_rules(REDIRECTS, error);
            let rules = rules.as_ref().map_err(|error| bad(error))?;
            let decided = rules.decide(&segments, query.as_deref());
            decided.map_err(|error| bad(&error))
        });
        match decided? {
            Some(Outcome::Redirect { status, to }) => {
                Ok(reply::redirect(status, &to, ask.fresh.of_content()))
            }
            Some(Outcome::Serve {
                status: StatusCode::OK,
                segments,
                slash,
            }) => match self.found(&at(ask, segments, slash), trail)? {
                Ok(answer) => Ok(answer),
                Err(_) => self.not_found(ask, trail, absent),
            },
            Some(Outcome::Serve { status, segments, .. }) => {
                let page = self.page(ask, trail, status, segments)?;
                page.ok_or_else(|| Problem::by_rule(status, &ask.address.content_path()))
            }
            None => self.by_page_name(ask, trail, absent),
        }
    }

    /// `about` for `about.html`. With a slash at its end the page's own links would lead elsewhere, so that is a redirect.
    fn by_page_name(
        &self,
        ask: &Ask,
        trail: &Arc<Trail>,
        absent: Problem,
    ) -> Result<Response<Body>, Problem> {
        let Some(page) = page_of(&ask.address.segments) else {
            return self.not_found(ask, trail, absent);
        };
        match self.found(&at(ask, page, false), trail)? {
            Ok(_) if ask.address.slash => Ok(reply::redirect(
                StatusCode::MOVED_PERMANENTLY,
                &without_slash(ask),
                ask.fresh.of_content(),
            )),
            Ok(answer) => Ok(answer),
            Err(_) => self.not_found(ask, trail, absent),
        }
    }

    /// The page beside a folder that has no index page: many programs that make sites write `blog.html` and
    /// `blog/first.html`.
    pub(super) fn page_beside(
        &self,
        ask: &Ask,
        folder: &Node,
        trail: &Arc<Trail>,
    ) -> Result<Option<Response<Body>>, Problem> {
        let Some(page) = page_of(&ask.address.segments).filter(|_| has_rules(ask)) else {
            return Ok(None);
        };
        match storage::resolve(trail, &folder.cid, &[INDEX]) {
            Err(Error::NoLink { .. }) => Ok(self.found(&at(ask, page, false), trail)?.ok()),
            Ok(_) => Ok(None),
            Err(error) => Err(failed(ask, &error)),
        }
    }

    fn not_found(&self, ask: &Ask, trail: &Arc<Trail>, absent: Problem) -> Result<Response<Body>, Problem> {
        let page = self.page(ask, trail, StatusCode::NOT_FOUND, vec![NOT_FOUND.to_owned()])?;
        page.ok_or(absent)
    }

    /// A file of the site as the page of an error: as a whole, whatever the request's conditions are. None if it is no file.
    fn page(
        &self,
        ask: &Ask,
        trail: &Arc<Trail>,
        status: StatusCode,
        segments: Vec<String>,
    ) -> Result<Option<Response<Body>>, Problem> {
        let mut ask = at(ask, segments, false);
        let accept = ask
            .headers
            .get_all(ACCEPT)
            .iter()
            .map(|value| (ACCEPT, value.clone()));
        ask.headers = accept.collect::<HeaderMap>();
        match storage::resolve(trail, trail.root(), &ask.path()) {
            Ok(Node {
                kind: Kind::File { .. } | Kind::Raw { .. },
                ..
            }) => {}
            Ok(_) | Err(Error::NoLink { .. }) => return Ok(None),
            Err(error) => return Err(failed(&ask, &error)),
        }
        let mut answer = self.found(&ask, trail)??;
        *answer.status_mut() = status;
        Ok(Some(answer))
    }
}

/// The URL of the request without the slash at the end of its path.
fn without_slash(ask: &Ask) -> String {
    let query = ask.query.as_ref().map(|query| format!("?{query}"));
    ask.address.url() + &query.unwrap_or_default()
}

/// The same request for another object of the same site.
fn at(ask: &Ask, segments: Vec<String>, slash: bool) -> Ask {
    let mut other = ask.clone();
    other.address.segments = segments;
    other.address.slash = slash;
    other
}

/// The rules in the file `name` at the root of the site, read once.
fn kept<T: Default, E>(
    kept: &Cache<Cid, Arc<Read<T, E>>, Bytes>,
    ask: &Ask,
    trail: &Arc<Trail>,
    name: &str,
    parse: fn(&[u8]) -> Result<T, E>,
) -> Result<Arc<Read<T, E>>, Error> {
    let site = match ask.lead.is_empty() {
        true => *trail.root(),
        false => {
            storage::resolve(
                trail,
                trail.root(),
                &ask.lead.iter().map(String::as_str).collect::<Vec<_>>(),
            )?
            .cid
        }
    };
    if let Some(read) = kept.get(&site) {
        return Ok(read);
    }
    let file = file(trail, &site, name)?;
    let read = Arc::new(Read {
        bytes: file.as_ref().map_or(0, Vec::len),
        rules: file.map_or_else(|| Ok(T::default()), |file| parse(&file)),
    });
    kept.insert(site, Arc::clone(&read));
    Ok(read)
}

/// The file at the root of the site, if there is one: one byte more than may be read tells that it is too long.
fn file(trail: &Arc<Trail>, site: &Cid, name: &str) -> Result<Option<Vec<u8>>, Error> {
    let (cid, size) = match storage::resolve(trail, site, &[name]) {
        Ok(Node {
            cid,
            kind: Kind::File { size } | Kind::Raw { size },
            ..
        }) => (cid, size),
        Ok(_) | Err(Error::NoLink { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    for piece in FileReader::new(Arc::clone(trail), &cid, 0..size.min(FILE_BYTES_MAX + 1))? {
        bytes.extend_from_slice(&piece?);
    }
    Ok(Some(bytes))
}
