//! A publish, from the upload to the job that makes it final.
//!
//! What can be refused is refused before a byte is stored: a name that cannot be had, coins that are not there. The
//! upload goes straight into the block store. Then the job file takes over ([`claims`](super::claims)), and the client
//! may leave.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ledger::{AssetMeta, Link};
use storage::{Import, Imported, Progress};
use tokio::sync::mpsc;

use super::Node;
use super::claims::job::{Content, Naming, Wish};
use super::claims::step::Failure;
use super::claims::{Outcome, Told};
use super::error::chained;
use super::preflight::{self, Plan};
use super::secrets;
use super::upload::{self, Upload};
use crate::api::types::{ErrorText, PublishEvent, PublishProgress, PublishQuery, PublishStage, Published};

/// How often progress is told.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// Publishes what `upload` brings, and tells `events` about it; the last event is `done` or `error`. An upload that is
/// refused is not read.
pub async fn publish(
    node: &Arc<Node>,
    query: PublishQuery,
    upload: &mut Upload,
    events: &mpsc::Sender<PublishEvent>,
) {
    let last = match perform(node, query, upload, events).await {
        Ok(published) => PublishEvent::Done(published),
        Err(failure) => PublishEvent::Error(ErrorText::from(&failure)),
    };
    // The client may have left.
    let _ = events.send(last).await;
}

async fn perform(
    node: &Arc<Node>,
    query: PublishQuery,
    upload: &mut Upload,
    events: &mpsc::Sender<PublishEvent>,
) -> Result<Published, Failure> {
    let wait = query.wait.unwrap_or(true);
    let _place = Arc::clone(&node.places)
        .try_acquire_owned()
        .map_err(|_| too_many(node))?;
    let plan = blocking({
        let node = Arc::clone(node);
        move || preflight::plan(&node, &query)
    })
    .await?;
    let (id, plan) = blocking({
        let node = Arc::clone(node);
        move || {
            let name = plan
                .name
                .as_ref()
                .map(|path| path.display(&node.chain.genesis().tld));
            node.claims
                .begin(&plan.wallet, &plan.key, name.as_deref())
                .map(|id| (id, plan))
                .map_err(|error| failed(&error))
        }
    })
    .await?;
    let imported = import(node, plan.import, upload, events).await;
    let imported = match imported {
        Ok(imported) => imported,
        Err(failure) => {
            let node = Arc::clone(node);
            blocking(move || {
                node.claims.abandon(&id);
                Ok(())
            })
            .await?;
            return Err(failure);
        }
    };
    let (told, published) = blocking({
        let (node, id) = (Arc::clone(node), id.clone());
        move || claim(&node, &id, plan, &imported)
    })
    .await?;
    match wait {
        true => finish(node, told, published, events).await,
        false => Ok(Published {
            job: Some(id),
            ..published
        }),
    }
}

fn too_many(node: &Node) -> Failure {
    let most = node.config.settings.node.publishes_max.get();
    Failure::new(
        "busy",
        format!("{most} publishes are under way, which is the limit: try again when one has ended"),
    )
}

/// Stores what the upload brings.
async fn import(
    node: &Arc<Node>,
    how: Import,
    upload: &mut Upload,
    events: &mpsc::Sender<PublishEvent>,
) -> Result<Imported, Failure> {
    let patience = node.config.settings.admin.upload_timeout_s.seconds();
    let (pieces, pump) = upload::reader(upload, node.stop.clone(), patience);
    let store = node.store.clone();
    let events = events.clone();
    let import = tokio::task::spawn_blocking(move || {
        let mut told = Instant::now();
        store.import_tar(pieces, how, &mut |progress| {
            if told.elapsed() >= PROGRESS_EVERY {
                told = Instant::now();
                // Whoever is slow to read misses some.
                let _ = events.try_send(PublishEvent::Progress(stored(progress)));
            }
        })
    });
    let ((), imported) = tokio::join!(pump, import);
    let imported =
        imported.map_err(|error| Failure::new("internal", format!("the import broke down: {error}")))?;
    imported
        .inspect_err(|error| node.note(error))
        .map_err(|error| storage_failed(&error))
}

fn stored(progress: Progress) -> PublishProgress {
    PublishProgress {
        stage: PublishStage::Storing,
        files: progress.files,
        bytes: progress.bytes,
    }
}

/// Hands the stored content to a job.
fn claim(
    node: &Node,
    id: &str,
    plan: Plan,
    imported: &Imported,
) -> Result<(mpsc::Receiver<Told>, Published), Failure> {
    let root = Link(imported.root);
    let tld = &node.chain.genesis().tld;
    let secret = secrets::claim_secret().map_err(|error| failed(&error))?;
    let naming = plan
        .name
        .map(|path| Naming::new(path, tld, Wish::Content(root), secret));
    let name = naming.as_ref().map(|naming| naming.name.clone());
    let meta = AssetMeta {
        profile: Some(plan.import.profile.to_string()),
        bytes: Some(imported.bytes),
        files: Some(imported.files),
        ..plan.meta
    };
    let split = plan.split;
    let told = node
        .claims
        .claim(id, Some(Content { root, meta, split }), naming)
        .map_err(|error| failed(&error))?;
    let published = Published {
        cid: root.to_string(),
        name,
        bytes: imported.bytes,
        files: imported.files,
        asset_tx: None,
        name_tx: None,
        height: None,
        note: None,
        job: None,
    };
    Ok((told, published))
}

/// Follows the job to its end.
async fn finish(
    node: &Node,
    mut told: mpsc::Receiver<Told>,
    published: Published,
    events: &mpsc::Sender<PublishEvent>,
) -> Result<Published, Failure> {
    let (files, bytes) = (published.files, published.bytes);
    let stopping = || {
        Failure::new(
            "stopping",
            "the node is stopping: the publish goes on when it is started again",
        )
    };
    loop {
        let told = tokio::select! {
            told = told.recv() => told.ok_or_else(stopping)?,
            () = node.stop.cancelled() => return Err(stopping()),
        };
        match told {
            Told::Stage(stage) => {
                let _ = events.try_send(PublishEvent::Progress(PublishProgress { stage, files, bytes }));
            }
            Told::Ended(ended) => {
                let Outcome {
                    name_tx,
                    asset_tx,
                    height,
                    note,
                    ..
                } = ended?;
                return Ok(Published {
                    asset_tx,
                    name_tx,
                    height: Some(height),
                    note,
                    ..published
                });
            }
        }
    }
}

/// A failure of the node's own files.
pub fn failed(error: &super::Error) -> Failure {
    tracing::error!("{}", chained(error));
    let full =
        matches!(error, super::Error::File { source, .. } if source.kind() == io::ErrorKind::StorageFull);
    Failure::new(if full { "disk_full" } else { "internal" }, chained(error))
}

/// A failure of the block store, or of what was sent to it.
pub fn storage_failed(error: &storage::Error) -> Failure {
    let code = match error {
        storage::Error::DiskFull { .. } => "disk_full",
        storage::Error::Missing(_) => "missing_block",
        storage::Error::Unavailable { .. } => "unavailable",
        storage::Error::NotPinned(_) | storage::Error::NoLink { .. } => "not_found",
        storage::Error::Stream { .. } => "upload_broken",
        storage::Error::Tar { .. }
        | storage::Error::Car(_)
        | storage::Error::Conflict { .. }
        | storage::Error::Source { .. }
        | storage::Error::Mismatch(_)
        | storage::Error::TooLarge { .. }
        | storage::Error::UnsupportedHash { .. }
        | storage::Error::Malformed { .. }
        | storage::Error::NotFile(_)
        | storage::Error::NotDirectory(_) => "bad_request",
        _ => "internal",
    };
    if code == "internal" || code == "disk_full" {
        tracing::error!("{}", chained(error));
    }
    Failure::new(code, chained(error))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let joined = tokio::task::spawn_blocking(work).await;
    joined.map_err(|error| Failure::new("internal", format!("a worker broke down: {error}")))?
}
