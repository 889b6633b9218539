//! Content for `ddn get`: a CAR that the client verifies block by block. What is not here is fetched on the way.
//!
//! A CAR that breaks off ends with a block of JSON, which nobody asked for: an [`ErrorBody`] that says why; and then with
//! a torn block, so that nobody takes a part for the whole. The body itself ends in order: one that is cut may lose what
//! was written last.

use std::collections::HashSet;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, ETAG, HeaderName};
use axum::response::{IntoResponse, Response};
use cid::Cid;
use named::dap::{self, Resolution};
use storage::{BlockSource as _, Blocks, SharedBlocks, Walk, car};

use super::extract::{Segments, blocking};
use super::failure::Failed;
use super::types::ErrorBody;
use super::{Shared, download, names, paths};
use crate::node::Node;

/// The media type of a CAR.
pub const CAR: &str = "application/vnd.ipld.car; version=1";
/// The length of a block that does not follow.
const TORN: [u8; 1] = [1];
/// The multicodec of JSON.
const JSON: u64 = 0x0200;
/// The CID at the end of the path.
const END: HeaderName = HeaderName::from_static("x-ddn-cid");

/// Everything below a CID or name.
#[utoipa::path(
    get, path = paths::CONTENT_ROOT, params(("root" = String, Path, description = "A CID or a name")),
    responses((status = 200, body = Vec<u8>, content_type = "application/vnd.ipld.car"), (status = "default", body = ErrorBody))
)]
pub async fn root(State(node): Shared, Segments(root): Segments<String>) -> Result<Response, Failed> {
    send(node, root, String::new()).await
}

/// Everything below the end of a path, with the blocks on the way to it.
#[utoipa::path(
    get, path = paths::CONTENT,
    params(("root" = String, Path, description = "A CID or a name"), ("path" = String, Path, description = "Segments")),
    responses((status = 200, body = Vec<u8>, content_type = "application/vnd.ipld.car"), (status = "default", body = ErrorBody))
)]
pub async fn below(
    State(node): Shared,
    Segments((root, path)): Segments<(String, String)>,
) -> Result<Response, Failed> {
    send(node, root, path).await
}

async fn send(node: Arc<Node>, root: String, path: String) -> Result<Response, Failed> {
    if Cid::try_from(root.as_str()).is_err() {
        names::refresh_if_absent(&node, &root).await?;
    }
    let (blocks, root, end, way) = blocking(move || {
        let root = root_of(&node, &root)?;
        let blocks = node.blocks.below(&root);
        let (end, way) = follow(&blocks, root, &path)?;
        Ok((blocks, root, end, way))
    })
    .await?;
    let body = download::body(move |out| {
        let mut writer = car::Writer::new(out, &[root])?;
        let written = write_car(&blocks, &end, way, &mut writer);
        let Err(error) = written else {
            return writer.finish().map(drop);
        };
        tracing::warn!("a download broke off: {error}");
        let (cid, words) = last_words(&error);
        writer.block(&cid, &words)?;
        let torn = writer.finish()?.write_all(&TORN);
        torn.map_err(|source| storage::Error::Stream {
            operation: "write",
            source,
        })
    });
    let headers = [
        (CONTENT_TYPE, CAR.to_owned()),
        (END, end.to_string()),
        (ETAG, format!("\"{end}.car\"")),
    ];
    Ok((headers, body).into_response())
}

/// A CID, or what a name points to.
fn root_of(node: &Node, text: &str) -> Result<Cid, Failed> {
    if let Ok(cid) = Cid::try_from(text) {
        return Ok(cid);
    }
    let resolved =
        dap::resolve(&*node.names, text).map_err(|error| Failed::new("bad_name", error.to_string()))?;
    match resolved {
        Resolution::Found { records, name, .. } => {
            let content = records.content.map(|link| link.0);
            let root =
                content.ok_or_else(|| Failed::not_found(format!("the name {name} points to no content")))?;
            node.blocks.named(&root, &name);
            Ok(root)
        }
        Resolution::Absent { name, .. } => Err(Failed::not_found(format!("the name {name} does not exist"))),
        Resolution::Delegated { name, to } => Err(Failed::new(
            "elsewhere",
            format!(
                "{name} is a name of {}, which this node does not follow: {}",
                to.chain, to.why
            ),
        )),
        Resolution::Foreign => {
            let tld = dap::Names::tld(&*node.names);
            Err(Failed::bad_request(format!(
                "`{text}` is neither a CID nor a name that ends with `.{tld}`"
            )))
        }
    }
}

/// Where a path leads, and the blocks that were read on the way.
fn follow(blocks: &SharedBlocks, root: Cid, path: &str) -> Result<(Cid, Vec<(Cid, Bytes)>), Failed> {
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let recorder = Recorder {
        blocks,
        read: Mutex::default(),
    };
    let node = storage::resolve(&recorder, &root, &segments)?;
    let read = recorder.read.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok((node.cid, read))
}

/// Remembers what was read. A path has as many blocks as segments, and a few more in sharded folders.
struct Recorder<'a> {
    blocks: &'a SharedBlocks,
    read: Mutex<Vec<(Cid, Bytes)>>,
}

impl Blocks for Recorder<'_> {
    fn block(&self, cid: &Cid) -> Result<Option<Bytes>, storage::Error> {
        let block = self.blocks.block(cid)?;
        if let Some(bytes) = &block {
            let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
            read.push((*cid, bytes.clone()));
        }
        Ok(block)
    }

    fn soon(&self, cids: &mut dyn Iterator<Item = &Cid>) {
        self.blocks.soon(cids);
    }

    fn path(&self, root: &Cid, segments: &[&str]) {
        self.blocks.path(root, segments);
    }
}

fn write_car(
    blocks: &SharedBlocks,
    end: &Cid,
    way: Vec<(Cid, Bytes)>,
    writer: &mut car::Writer<&mut dyn Write>,
) -> Result<(), storage::Error> {
    let mut sent = HashSet::new();
    for (cid, bytes) in way {
        if sent.insert(cid) {
            writer.block(&cid, &bytes)?;
        }
    }
    for block in Walk::new(blocks, &[*end]) {
        let (cid, bytes) = block?;
        if !sent.contains(&cid) {
            writer.block(&cid, &bytes)?;
        }
    }
    Ok(())
}

/// Why a CAR breaks off, as a block.
fn last_words(error: &storage::Error) -> (Cid, Vec<u8>) {
    let body = ErrorBody {
        error: Failed::from(error).text(),
    };
    // It is made of text only.
    let json = serde_json::to_vec(&body).unwrap_or_default();
    (Cid::new_v1(JSON, *ledger::cid_of(&json).hash()), json)
}
