//! Folders without an index page.

use std::sync::Arc;

use cid::Cid;
use http::header;
use http::{HeaderValue, Response, StatusCode};
use storage::{Entry, Error, Kind as Found, Node};

use super::{Desk, Head, failed};
use crate::ask::Ask;
use crate::ask::address::Address;
use crate::ask::query::Query;
use crate::body::Body;
use crate::escape;
use crate::page::kind::Kind;
use crate::page::{self, listing};
use crate::problem::Problem;
use crate::reply;
use crate::trail::Trail;

/// Entries of a page whose blocks are read to tell a file from a folder, at most; they are read only if they are here.
const LOOKS_MAX: usize = 256;

impl Desk {
    pub(super) fn listing(
        &self,
        ask: &Ask,
        node: &Node,
        trail: &Arc<Trail>,
    ) -> Result<Response<Body>, Problem> {
        let head = head(ask, &node.roots, &node.cid);
        if let Some(answer) = head.condition(ask)? {
            return Ok(answer);
        }
        let query = Query::parse(ask.query.as_deref().unwrap_or_default());
        if let Some(name) = query.get("entry") {
            let to = format!("{}/{}", ask.address.url(), escape::segment(name));
            return Ok(reply::redirect(StatusCode::FOUND, &to, reply::REVALIDATE));
        }
        if ask.head {
            return Ok(head.respond(StatusCode::OK, Body::empty()));
        }
        let html = self.made(ask, &node.cid, query.get("after"), trail)?;
        let length = HeaderValue::from(html.len());
        let mut response = head.respond(StatusCode::OK, Body::whole(html));
        response.headers_mut().insert(header::CONTENT_LENGTH, length);
        Ok(response)
    }

    /// The page that begins behind the entry `after`.
    fn made(
        &self,
        ask: &Ask,
        folder: &Cid,
        after: Option<&str>,
        trail: &Arc<Trail>,
    ) -> Result<String, Problem> {
        let page = Page {
            address: ask.address.clone(),
            folder: *folder,
            after: after.map(str::to_owned),
            entries_max: self.listing_entries_max,
            trail: Arc::clone(trail),
        };
        let html = self.work(ask, trail, move || page.render())?;
        html.map_err(|error| failed(ask, &error))
    }
}

/// A page of a listing that is to be made.
struct Page {
    address: Address,
    folder: Cid,
    after: Option<String>,
    entries_max: usize,
    trail: Arc<Trail>,
}

impl Page {
    /// A flat folder is in the order of its names, and so are its pages; a sharded one is in the order of their hashes,
    /// and only within a page by name: sorting all of it would read all of it.
    fn render(&self) -> Result<String, Error> {
        let mut rest = match &self.after {
            Some(name) => storage::list_after(&self.trail, &self.folder, name),
            None => storage::list(&self.trail, &self.folder),
        };
        let page = rest.by_ref().take(self.entries_max);
        let mut entries = page.collect::<Result<Vec<Entry>, _>>()?;
        let last = entries.last().map(|entry| entry.name.clone());
        // What cannot be read now is there too.
        let next = rest.next().and(last);
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(listing::render(&listing::Folder {
            address: &self.address,
            cid: &self.folder,
            rows: &rows(&entries, &self.trail),
            begun: self.after.is_some(),
            next: next.as_deref(),
        }))
    }
}

/// The head of the listing of the folder `cid`.
pub(super) fn head(ask: &Ask, roots: &[Cid], cid: &Cid) -> Head {
    let etag = format!("\"DirIndex-{}_CID-{cid}\"", listing::MARKUP);
    let mut head = Head::new(ask, roots, etag, "text/html; charset=utf-8");
    head.set(header::CACHE_CONTROL, ask.fresh.of_page());
    head.set(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(page::POLICY),
    );
    head.remove(header::ACCEPT_RANGES);
    head
}

fn rows(entries: &[Entry], trail: &Trail) -> Vec<listing::Row> {
    let mut looks = 0..LOOKS_MAX;
    let row = |entry: &Entry| listing::Row {
        name: entry.name.clone(),
        cid: entry.cid,
        bytes: entry.tree_bytes,
        kind: Kind::of(&entry.name, entry.cid.codec())
            .or_else(|| looks.next().and_then(|_| look(&entry.cid, trail)))
            .unwrap_or(Kind::Folder),
    };
    entries.iter().map(row).collect()
}

/// What the block of an entry says that it is.
fn look(cid: &Cid, trail: &Trail) -> Option<Kind> {
    let node = storage::resolve(&trail.nearby(), cid, &[]).ok()?;
    Some(match node.kind {
        Found::Directory => Kind::Folder,
        Found::Symlink { .. } => Kind::Link,
        Found::File { .. } | Found::Raw { .. } => Kind::File,
        Found::DagCbor | Found::DagJson | Found::Other { .. } => Kind::Object,
    })
}
