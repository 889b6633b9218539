//! Single blocks: raw, and the objects of codecs that are no UnixFS, as they are or as a page for people.

use std::sync::Arc;

use bytes::Bytes;
use cid::Cid;
use http::header;
use http::{HeaderValue, Response, StatusCode};
use storage::{Blocks, Node};

use super::{Desk, Head, failed, tag};
use crate::ask::Ask;
use crate::ask::format::{self, Codec, Format};
use crate::body::Body;
use crate::page;
use crate::problem::Problem;
use crate::trail::Trail;

/// The bytes of the last block of the path.
pub(super) fn raw(ask: &Ask, node: &Node, trail: &Arc<Trail>) -> Result<Response<Body>, Problem> {
    raw_head(ask, &node.roots, &node.cid).send(ask, &block(ask, &node.cid, trail)?)
}

/// The head of the block `cid` as bytes.
pub(super) fn raw_head(ask: &Ask, roots: &[Cid], cid: &Cid) -> Head {
    let mut head = Head::new(ask, roots, tag(cid, "raw"), format::RAW);
    head.disposition(ask, true, &format!("{cid}.bin"));
    head
}

/// An object as the bytes of its codec, never converted (IPIP-524).
pub(super) fn object(
    desk: &Desk,
    ask: &Ask,
    node: &Node,
    trail: &Arc<Trail>,
) -> Result<Response<Body>, Problem> {
    if is_shown(ask, &node.cid) {
        return page(desk, ask, node, trail);
    }
    let Some(mut head) = object_head(ask, &node.roots, &node.cid) else {
        let reason = "this gateway converts no codecs: take the block with ?format=raw";
        return Err(Problem::not_acceptable(format!(
            "{} has codec {:#x}; {reason}",
            node.cid,
            node.cid.codec()
        )));
    };
    head.send(ask, &block(ask, &node.cid, trail)?)
}

/// The head of the object `cid`; None if it is not of the codec that was asked, or of none that we give.
pub(super) fn object_head(ask: &Ask, roots: &[Cid], cid: &Cid) -> Option<Head> {
    let wanted = match ask.format {
        Format::Object(codec) => Some(codec),
        _ => None,
    };
    let given = codec_of(cid).filter(|own| wanted.is_none_or(|wanted| fits(*own, wanted)))?;
    let (media, ending) = media(wanted.unwrap_or(given));
    let form = media.rsplit(['/', '.']).next().unwrap_or(ending);
    let mut head = Head::new(ask, roots, tag(cid, form), media);
    head.disposition(ask, ending == "cbor", &format!("{cid}.{ending}"));
    // Browsers get a page instead.
    head.set(header::VARY, HeaderValue::from_static("Accept"));
    Some(head)
}

/// Whether the object is shown as a page. Browsers show plain JSON by themselves.
pub(super) fn is_shown(ask: &Ask, cid: &Cid) -> bool {
    let codec = codec_of(cid).is_some_and(|codec| codec != Codec::Json);
    codec && ask.format == Format::Web && !ask.download && format::wants_html(&ask.headers)
}

/// The head of the page of the object `cid`.
pub(super) fn page_head(ask: &Ask, roots: &[Cid], cid: &Cid) -> Head {
    let etag = format!("\"DagIndex-{}_CID-{cid}\"", page::object::MARKUP);
    let mut head = Head::new(ask, roots, etag, "text/html; charset=utf-8");
    head.set(header::CACHE_CONTROL, ask.fresh.of_page());
    head.set(header::VARY, HeaderValue::from_static("Accept"));
    head.set(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(page::POLICY),
    );
    head.remove(header::ACCEPT_RANGES);
    head
}

fn page(desk: &Desk, ask: &Ask, node: &Node, trail: &Arc<Trail>) -> Result<Response<Body>, Problem> {
    let head = page_head(ask, &node.roots, &node.cid);
    if let Some(answer) = head.condition(ask)? {
        return Ok(answer);
    }
    let block = block(ask, &node.cid, trail)?;
    let (address, cid) = (ask.address.clone(), node.cid);
    let html = desk.work(ask, trail, move || -> Result<String, storage::Error> {
        let value = storage::decode(&cid, &block)?;
        Ok(page::object::render(&address, &cid, block.len(), &value))
    })?;
    let html = html.map_err(|error| failed(ask, &error))?;
    let length = HeaderValue::from(html.len());
    let body = if ask.head {
        Body::empty()
    } else {
        Body::whole(html)
    };
    let mut response = head.respond(StatusCode::OK, body);
    response.headers_mut().insert(header::CONTENT_LENGTH, length);
    Ok(response)
}

fn block(ask: &Ask, cid: &Cid, trail: &Arc<Trail>) -> Result<Bytes, Problem> {
    match trail.block(cid) {
        Ok(Some(block)) => Ok(block),
        Ok(None) if cid.hash().code() == IDENTITY => Ok(Bytes::copy_from_slice(cid.hash().digest())),
        Ok(None) => Err(Problem::not_here(cid, ask.only_if_cached)),
        Err(error) => Err(failed(ask, &error)),
    }
}

fn codec_of(cid: &Cid) -> Option<Codec> {
    match cid.codec() {
        0x71 => Some(Codec::DagCbor),
        0x51 => Some(Codec::Cbor),
        0x0129 => Some(Codec::DagJson),
        0x0200 => Some(Codec::Json),
        _ => None,
    }
}

/// Whether bytes of one codec are bytes of the other too.
fn fits(own: Codec, wanted: Codec) -> bool {
    own == wanted
        || matches!(
            (own, wanted),
            (Codec::DagCbor, Codec::Cbor) | (Codec::DagJson, Codec::Json)
        )
}

/// Media type and file ending.
fn media(codec: Codec) -> (&'static str, &'static str) {
    match codec {
        Codec::DagCbor => ("application/vnd.ipld.dag-cbor", "cbor"),
        Codec::Cbor => ("application/cbor", "cbor"),
        Codec::DagJson => ("application/vnd.ipld.dag-json", "json"),
        Codec::Json => ("application/json", "json"),
    }
}

/// Multihash code of CIDs that carry their block within themselves.
const IDENTITY: u64 = 0;
