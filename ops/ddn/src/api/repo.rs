//! The block store: statistics, check, garbage, pins, CAR in and out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::Body as RawBody;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use cid::Cid;
use storage::{BlockSource as _, Checked, Walk, car};
use tokio::sync::mpsc;

use super::content::CAR;
use super::extract::{self, Params, Segments, blocking};
use super::failure::Failed;
use super::types::{
    CarImported, Empty, ErrorBody, ImportQuery, PinList, PinQuery, PinView, RepoAmount, RepoBad, RepoEvent,
    RepoMissing, RepoReport, RepoStat,
};
use super::{Answer, Shared, download, ndjson, paths};
use crate::node::Node;
use crate::node::upload;

/// How often progress is told.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);
/// What pins of publishes are called: an import pins without a label.
const PUBLISHED: &str = "published";
/// What pins are called whose maker did not say why.
const BY_USER: &str = "user";
/// What pins of CAR imports are called.
const IMPORTED: &str = "imported";
/// Fetches of one root for its pin, if collections of garbage come between.
const FETCHES_MAX: usize = 3;

/// How much is in the store.
#[utoipa::path(get, path = paths::REPO_STAT, responses((status = 200, body = RepoStat), (status = "default", body = ErrorBody)))]
pub async fn stat(State(node): Shared) -> Answer<RepoStat> {
    blocking(move || {
        let stat = node.store.stat()?;
        Ok(RepoStat {
            blocks: stat.blocks,
            bytes: stat.bytes,
            disk_bytes: stat.disk_bytes,
            pins: stat.pins,
        })
    })
    .await
    .map(Json)
}

/// Reads every block and everything below pins, and says what is damaged or missing.
#[utoipa::path(post, path = paths::REPO_VERIFY, responses((status = 200, body = RepoEvent, content_type = "application/x-ndjson"), (status = "default", body = ErrorBody)))]
pub async fn verify(State(node): Shared) -> Response {
    report(node, |node, seen| {
        let report = node.store.verify(seen)?;
        let bad = |bad: &storage::Bad| RepoBad {
            cid: bad.cid.to_string(),
            reason: bad.reason.clone(),
        };
        let missing = |bad: &storage::Bad| RepoMissing {
            root: None,
            cid: bad.cid.to_string(),
        };
        Ok(RepoEvent::Verified(RepoReport {
            blocks: report.blocks,
            bytes: report.bytes,
            bad: report.bad.iter().map(bad).collect(),
            missing: report.missing.iter().map(missing).collect(),
        }))
    })
}

/// Removes what no pin keeps.
#[utoipa::path(post, path = paths::REPO_GC, responses((status = 200, body = RepoEvent, content_type = "application/x-ndjson"), (status = "default", body = ErrorBody)))]
pub async fn gc(State(node): Shared) -> Response {
    report(node, |node, seen| {
        let freed = node.store.gc(seen)?;
        Ok(RepoEvent::Freed(RepoAmount {
            blocks: freed.blocks,
            bytes: freed.bytes,
        }))
    })
}

/// A line for progress now and then, and one for the end.
fn report(
    node: Arc<Node>,
    work: impl FnOnce(&Node, &mut dyn FnMut(Checked)) -> Result<RepoEvent, storage::Error> + Send + 'static,
) -> Response {
    let (tell, events) = mpsc::channel(ndjson::LINES_AHEAD);
    tokio::task::spawn_blocking(move || {
        let mut told = Instant::now();
        let mut seen = |checked: Checked| {
            if told.elapsed() >= PROGRESS_EVERY {
                told = Instant::now();
                // Whoever is slow to read misses some.
                let _ = tell.try_send(RepoEvent::Progress(amount(checked)));
            }
        };
        let last = work(&node, &mut seen).inspect_err(|error| node.note(error));
        let last = last.unwrap_or_else(|error| RepoEvent::Error(Failed::from(&error).text()));
        // The client may have left.
        let _ = tell.blocking_send(last);
    });
    ndjson::answer(events)
}

fn amount(checked: Checked) -> RepoAmount {
    RepoAmount {
        blocks: checked.blocks,
        bytes: checked.bytes,
    }
}

/// The roots that stay.
#[utoipa::path(get, path = paths::REPO_PINS, responses((status = 200, body = PinList), (status = "default", body = ErrorBody)))]
pub async fn pins(State(node): Shared) -> Answer<PinList> {
    blocking(move || {
        let view = |pin: storage::Pin| PinView {
            cid: pin.cid.to_string(),
            label: if pin.label.is_empty() {
                PUBLISHED.to_owned()
            } else {
                pin.label
            },
        };
        Ok(PinList {
            pins: node.store.pins()?.into_iter().map(view).collect(),
        })
    })
    .await
    .map(Json)
}

/// Pins a root; what of it is not here is fetched first.
#[utoipa::path(post, path = paths::REPO_PIN, params(("cid" = String, Path), PinQuery), responses((status = 200, body = PinView), (status = "default", body = ErrorBody)))]
pub async fn pin(
    State(node): Shared,
    Segments(cid): Segments<String>,
    Params(query): Params<PinQuery>,
) -> Answer<PinView> {
    blocking(move || {
        let cid = extract::cid(&cid)?;
        let label = query
            .label
            .filter(|label| !label.is_empty())
            .unwrap_or_else(|| BY_USER.to_owned());
        keep(&node, &cid, &label)?;
        Ok(PinView {
            cid: cid.to_string(),
            label,
        })
    })
    .await
    .map(Json)
}

/// Pins, and fetches what a pin needs. What comes in is not kept until it is pinned, so a collection of garbage in
/// between takes it away again.
fn keep(node: &Node, cid: &Cid, label: &str) -> Result<(), Failed> {
    for _ in 0..FETCHES_MAX {
        match node.store.pin(cid, label) {
            Err(storage::Error::Missing(_)) => fetch(node, cid)?,
            pinned => {
                pinned?;
                node.mesh.provide(cid);
                return Ok(());
            }
        }
    }
    let text = format!("{cid} was collected as garbage while it was fetched: try again");
    Err(Failed::new("busy", text))
}

/// Reads all that is below a root, which brings it here.
fn fetch(node: &Node, root: &Cid) -> Result<(), Failed> {
    for block in Walk::new(node.blocks.below(root), &[*root]) {
        block?;
        if node.stop.is_cancelled() {
            return Err(Failed::new("stopping", "the node is stopping"));
        }
    }
    Ok(())
}

/// Takes a pin away; the next collection removes what nothing else keeps.
#[utoipa::path(delete, path = paths::REPO_PIN, params(("cid" = String, Path)), responses((status = 200, body = Empty), (status = "default", body = ErrorBody)))]
pub async fn unpin(State(node): Shared, Segments(cid): Segments<String>) -> Answer<Empty> {
    blocking(move || {
        let cid = extract::cid(&cid)?;
        node.store.unpin(&cid)?;
        node.mesh.withdraw(&cid);
        Ok(Empty {})
    })
    .await
    .map(Json)
}

/// Takes a CARv1 stream and pins its roots, unless the query says otherwise.
#[utoipa::path(
    post, path = paths::REPO_IMPORT, params(ImportQuery), request_body(content = Vec<u8>, content_type = "application/vnd.ipld.car"),
    responses((status = 200, body = CarImported), (status = "default", body = ErrorBody))
)]
pub async fn import(
    State(node): Shared,
    Params(query): Params<ImportQuery>,
    body: RawBody,
) -> Answer<CarImported> {
    let mut upload = upload::of(body);
    let patience = node.config.settings.admin.upload_timeout_s.seconds();
    let (reader, feed) = upload::reader(&mut upload, node.stop.clone(), patience);
    let import = blocking(move || {
        let mut read = Checked::default();
        let pin = query.pin.unwrap_or(true);
        let mut progress = |checked| read = checked;
        let roots = match pin {
            true => node.store.import_car(reader, &mut progress)?,
            false => node.store.add_car(reader, &mut progress)?,
        };
        for root in roots.iter().filter(|_| pin) {
            node.store.pin(root, IMPORTED)?;
            node.mesh.provide(root);
        }
        let roots = roots.iter().map(ToString::to_string).collect();
        Ok(CarImported {
            roots,
            blocks: read.blocks,
            bytes: read.bytes,
        })
    });
    let ((), imported) = tokio::join!(feed, import);
    imported.map(Json)
}

/// Everything below a CID as a CARv1 stream.
#[utoipa::path(
    get, path = paths::REPO_EXPORT, params(("cid" = String, Path)),
    responses((status = 200, body = Vec<u8>, content_type = "application/vnd.ipld.car"), (status = "default", body = ErrorBody))
)]
pub async fn export(State(node): Shared, Segments(cid): Segments<String>) -> Result<Response, Failed> {
    let blocks = node.blocks.clone();
    let cid = blocking(move || {
        let cid = extract::cid(&cid)?;
        match storage::Blocks::block(&node.blocks, &cid)? {
            Some(_) => Ok(cid),
            None => Err(storage::Error::Missing(cid).into()),
        }
    })
    .await?;
    let body = download::body(move |out| car::write(&blocks, &[cid], out, &mut |_| {}).map(drop));
    Ok(([(CONTENT_TYPE, CAR)], body).into_response())
}
