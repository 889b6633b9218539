//! A publish, from the upload to the job that makes it final.
//!
//! What can be refused is refused before a byte is stored: a name that cannot be had, coins that are not there. The
//! upload goes straight into the block store. Then the job file takes over ([`claims`](super::claims)), and the client
//! may leave.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ledger::{Address, Amount, AssetMeta, Label, Link, NameEntry, NamePath, SecretKey};
use named::dap::{self, NameError, Resolution};
use storage::{Imported, Profile, Progress};
use tokio::sync::mpsc;

use super::Node;
use super::claims::job::{Content, Naming, Wish};
use super::claims::step::Failure;
use super::claims::{Outcome, Told};
use super::error::chained;
use super::upload::{self, Upload};
use super::{secrets, wallets};
use crate::api::types::{ErrorText, PublishEvent, PublishProgress, PublishQuery, PublishStage, Published};

/// How often progress is told.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// A publish that may begin.
struct Plan {
    wallet: String,
    key: SecretKey,
    profile: Profile,
    title: Option<String>,
    name: Option<NamePath>,
}

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
        move || plan(&node, query)
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
                .map_err(failed)
        }
    })
    .await?;
    let imported = import(node, plan.profile, upload, events).await;
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

/// What can be refused before the upload.
fn plan(node: &Node, query: PublishQuery) -> Result<Plan, Failure> {
    let bad = |text: String| Failure::new("bad_request", text);
    let profile = match &query.profile {
        Some(text) => text.parse::<Profile>().map_err(|error| bad(error.to_string()))?,
        None => Profile::default(),
    };
    let meta = AssetMeta {
        title: query.title.clone(),
        ..AssetMeta::default()
    };
    meta.check().map_err(|error| bad(error.to_string()))?;
    let (wallet, key) = wallet_key(node, query.wallet.as_deref())?;
    let name = query
        .name
        .as_deref()
        .map(|text| name_path(node, text))
        .transpose()?;
    let held = name
        .as_ref()
        .map(|path| holder(node, path))
        .transpose()?
        .flatten();
    if let (Some(path), Some(entry)) = (&name, &held) {
        check_owner(node, path, entry, &key.address())?;
    }
    if let (Some(path), None) = (&name, &held)
        && !path.under.is_empty()
    {
        return Err(unregistered(node, &path.label));
    }
    check_coins(
        node,
        &wallet,
        &key.address(),
        cost(node, name.as_ref(), held.as_ref()),
    )?;
    Ok(Plan {
        wallet,
        key,
        profile,
        title: query.title,
        name,
    })
}

/// The key of a wallet, or of the default one.
pub fn wallet_key(node: &Node, wallet: Option<&str>) -> Result<(String, SecretKey), Failure> {
    let wallet = wallet.unwrap_or(wallets::DEFAULT);
    let key = node.wallets.key(wallet).map_err(failed)?;
    let missing = || {
        Failure::new(
            "not_found",
            format!("there is no wallet `{wallet}`: see `ddn wallet list`"),
        )
    };
    Ok((wallet.to_owned(), key.ok_or_else(missing)?))
}

/// A name of this chain, as a person writes it.
pub fn name_path(node: &Node, text: &str) -> Result<NamePath, Failure> {
    let bad = |text: String| Failure::new("bad_name", text);
    let tld = &node.chain.genesis().tld;
    let name = match dap::resolve(&*node.names, text) {
        Ok(Resolution::Found { under, label, .. }) => return Ok(NamePath { under, label }),
        Ok(Resolution::Absent { name, .. }) => name,
        Ok(Resolution::Foreign) => {
            return Err(bad(format!(
                "`{text}` does not end with `.{tld}`, as names of this chain do"
            )));
        }
        Err(NameError::State(error)) => return Err(Failure::new("internal", error.to_string())),
        Err(error) => return Err(bad(error.to_string())),
    };
    NamePath::parse(&name, tld).map_err(|error| bad(error.to_string()))
}

/// The entry of a name that is not free.
pub fn holder(node: &Node, path: &NamePath) -> Result<Option<NameEntry>, Failure> {
    let view = node.chain.state();
    let entry = view.name(&path.label).map_err(|error| failed(error.into()))?;
    let (next, grace) = (view.tip().height + 1, node.chain.genesis().rent.grace);
    Ok(entry.filter(|entry| next < entry.free_at(grace)))
}

fn check_owner(node: &Node, path: &NamePath, entry: &NameEntry, owner: &Address) -> Result<(), Failure> {
    if entry.owner == *owner {
        return Ok(());
    }
    let genesis = node.chain.genesis();
    let (name, holder) = (path.display(&genesis.tld), entry.owner.display(&genesis.prefix));
    Err(Failure::new(
        "name_taken",
        format!("the name {name} is taken: it belongs to {holder}, choose another one"),
    ))
}

/// The failure of an undername whose name nobody holds.
fn unregistered(node: &Node, label: &Label) -> Failure {
    let tld = &node.chain.genesis().tld;
    let text = format!(
        "{label}.{tld} is not registered, so nothing can be under it: register it first with `ddn name register {label}.{tld}`"
    );
    Failure::new("not_found", text)
}

/// Commit and claim for the content; for the name the same and a period of rent, or one transaction if it is ours.
fn cost(node: &Node, name: Option<&NamePath>, held: Option<&NameEntry>) -> Amount {
    let genesis = node.chain.genesis();
    let (txs, rent) = match (name, held) {
        (None, _) => (2, Amount::ZERO),
        (Some(_), Some(_)) => (3, Amount::ZERO),
        (Some(path), None) => (4, genesis.rent.of(&path.label)),
    };
    let fees = genesis.fee.units().saturating_mul(txs);
    Amount::from_units(fees.saturating_add(rent.units()))
}

/// Whether an account has what something costs, or in words what is missing.
pub fn check_coins(node: &Node, wallet: &str, owner: &Address, cost: Amount) -> Result<(), Failure> {
    let balance = node
        .chain
        .state()
        .account(owner)
        .map_err(|error| failed(error.into()))?
        .balance;
    if balance >= cost {
        return Ok(());
    }
    let address = owner.display(&node.chain.genesis().prefix);
    let text = format!(
        "not enough coins: it costs {} coins, the wallet `{wallet}` ({address}) has {}: send coins to it",
        cost.coins(),
        balance.coins()
    );
    Err(Failure::new("not_enough_coins", text))
}

/// Stores what the upload brings.
async fn import(
    node: &Arc<Node>,
    profile: Profile,
    upload: &mut Upload,
    events: &mpsc::Sender<PublishEvent>,
) -> Result<Imported, Failure> {
    let patience = node.config.settings.admin.upload_timeout_s.seconds();
    let (pieces, pump) = upload::reader(upload, node.stop.clone(), patience);
    let store = node.store.clone();
    let events = events.clone();
    let import = tokio::task::spawn_blocking(move || {
        let mut told = Instant::now();
        store.import_tar(pieces, profile, &mut |progress| {
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
    imported.map_err(storage_failed)
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
    let secret = secrets::claim_secret().map_err(failed)?;
    let naming = plan
        .name
        .map(|path| Naming::new(path, tld, Wish::Content(root), secret));
    let name = naming.as_ref().map(|naming| naming.name.clone());
    let meta = AssetMeta {
        profile: Some(plan.profile.to_string()),
        title: plan.title,
        bytes: Some(imported.bytes),
        files: Some(imported.files),
    };
    let told = node
        .claims
        .claim(id, Some(Content { root, meta }), naming)
        .map_err(failed)?;
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
pub fn failed(error: super::Error) -> Failure {
    tracing::error!("{}", chained(&error));
    let full =
        matches!(&error, super::Error::File { source, .. } if source.kind() == io::ErrorKind::StorageFull);
    Failure::new(if full { "disk_full" } else { "internal" }, chained(&error))
}

/// A failure of the block store, or of what was sent to it.
pub fn storage_failed(error: storage::Error) -> Failure {
    let code = match &error {
        storage::Error::DiskFull { .. } => "disk_full",
        storage::Error::Missing(_) => "missing_block",
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
        tracing::error!("{}", chained(&error));
    }
    Failure::new(code, chained(&error))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let joined = tokio::task::spawn_blocking(work).await;
    joined.map_err(|error| Failure::new("internal", format!("a worker broke down: {error}")))?
}
