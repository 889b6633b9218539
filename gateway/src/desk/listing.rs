//! Folders without an index page.

use std::sync::Arc;

use cid::Cid;
use http::header;
use http::{HeaderValue, Response, StatusCode};
use storage::{Entry, Node, codec};

use super::{Desk, Head, failed};
use crate::ask::Ask;
use crate::body::Body;
use crate::media;
use crate::page::{self, listing};
use crate::problem::Problem;
use crate::trail::Trail;

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
        if ask.head {
            return Ok(head.respond(StatusCode::OK, Body::empty()));
        }
        let html = self.render(ask, &node.cid, trail)?;
        let length = HeaderValue::from(html.len());
        let mut response = head.respond(StatusCode::OK, Body::whole(html));
        response.headers_mut().insert(header::CONTENT_LENGTH, length);
        Ok(response)
    }

    fn render(&self, ask: &Ask, folder: &Cid, trail: &Arc<Trail>) -> Result<String, Problem> {
        let mut entries = Vec::new();
        let mut more = false;
        for entry in storage::list(trail, folder) {
            if entries.len() == self.listing_entries_max {
                more = true;
                break;
            }
            entries.push(entry.map_err(|error| failed(ask, &error))?);
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        let mut html = listing::top(&ask.address, folder);
        for entry in &entries {
            html.push_str(&listing::row(&ask.address, &row(entry)));
        }
        html.push_str(&listing::bottom(entries.len(), more));
        Ok(html)
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

fn row(entry: &Entry) -> listing::Row {
    listing::Row {
        name: entry.name.clone(),
        cid: entry.cid,
        bytes: entry.tree_bytes,
        folder: entry.cid.codec() == codec::DAG_PB && media::by_name(&entry.name).is_none(),
    }
}
