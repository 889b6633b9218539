//! The admin API: HTTP and JSON on loopback, for the command line and other tools of this machine.
//!
//! Each file has the handlers of one group of [`paths`], which take and give the [`types`]; the OpenAPI document is made
//! from the same handlers, so it cannot drift. Every request needs the token of the data folder, but for the document and
//! what monitoring reads. The `Host` of a request must be a name of this machine, so that no web page can reach it by
//! pointing a name of its own here.

mod assets;
mod chain;
mod chains;
pub mod claim;
mod content;
mod delegates;
mod doctor;
mod document;
mod door;
mod download;
pub mod earn;
mod edges;
mod extract;
pub mod failure;
mod names;
mod ndjson;
pub mod paths;
mod pay;
mod peers;
mod publish;
mod repo;
mod snapshots;
mod status;
pub mod types;
mod view;
mod wallet;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::node::Node;
use failure::Failed;

/// What handlers work with.
type Shared = axum::extract::State<Arc<Node>>;
/// What handlers answer.
type Answer<T> = Result<axum::Json<T>, Failed>;

/// The running API.
pub struct Server {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Server {
    /// Serves a node on a listener until it is shut down.
    pub fn serve(listener: TcpListener, node: Arc<Node>) -> Self {
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let router = router(node);
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router)
                .with_graceful_shutdown(stopped)
                .await
            {
                tracing::error!(%error, "the admin API ended");
            }
        });
        Self { stop, task }
    }

    /// Takes no more requests; those in hand have this long.
    pub async fn shutdown(mut self, bound: Duration) {
        self.stop.cancel();
        if tokio::time::timeout(bound, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

/// Everything, with its guards.
fn router(node: Arc<Node>) -> Router {
    let (guarded, document) = guarded().split_for_parts();
    let body_bytes_max = node.config.settings.admin.body_bytes_max.size();
    let document = Arc::new(document::complete(&document));
    guarded
        .layer(middleware::from_fn_with_state(
            Arc::clone(&node),
            door::check_token,
        ))
        .merge(open(document))
        .fallback(door::no_such_path)
        .method_not_allowed_fallback(door::no_such_method)
        .layer(DefaultBodyLimit::max(body_bytes_max))
        .layer(middleware::from_fn(door::check_host))
        .with_state(node)
}

/// What needs the token, all of it in the OpenAPI document.
fn guarded() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::default()
        .routes(routes!(status::status))
        .routes(routes!(status::config))
        .routes(routes!(publish::publish, publish::jobs))
        .routes(routes!(names::resolve))
        .routes(routes!(names::list))
        .routes(routes!(names::show))
        .routes(routes!(names::history))
        .routes(routes!(names::register))
        .routes(routes!(names::set))
        .routes(routes!(names::renew))
        .routes(routes!(names::transfer))
        .routes(routes!(names::release))
        .routes(routes!(assets::list))
        .routes(routes!(assets::verify))
        .routes(routes!(assets::show))
        .routes(routes!(assets::set))
        .routes(routes!(assets::transfer))
        .routes(routes!(assets::license))
        .routes(routes!(assets::tombstone))
        .routes(routes!(wallet::list))
        .routes(routes!(wallet::make))
        .routes(routes!(wallet::import))
        .routes(routes!(wallet::export))
        .routes(routes!(wallet::send))
        .routes(routes!(wallet::account))
        .routes(routes!(delegates::list))
        .routes(routes!(delegates::register))
        .routes(routes!(delegates::update))
        .routes(routes!(delegates::resign))
        .routes(routes!(delegates::vote))
        .routes(routes!(delegates::unvote))
        .routes(routes!(delegates::collect))
        .routes(routes!(edges::list))
        .routes(routes!(edges::register))
        .routes(routes!(edges::set))
        .routes(routes!(edges::leave))
        .routes(routes!(pay::status))
        .routes(routes!(pay::open))
        .routes(routes!(pay::allot))
        .routes(routes!(pay::top_up))
        .routes(routes!(pay::exit))
        .routes(routes!(earn::status))
        .routes(routes!(claim::claim))
        .routes(routes!(earn::receipts))
        .routes(routes!(earn::proof))
        .routes(routes!(peers::list))
        .routes(routes!(doctor::doctor))
        .routes(routes!(chain::status))
        .routes(routes!(chain::block))
        .routes(routes!(chain::tx))
        .routes(routes!(chain::submit))
        .routes(routes!(chain::proof))
        .routes(routes!(chains::list, chains::register))
        .routes(routes!(chains::anchor))
        .routes(routes!(snapshots::checkpoint))
        .routes(routes!(snapshots::snapshot))
        .routes(routes!(snapshots::backup))
        .routes(routes!(repo::stat))
        .routes(routes!(repo::verify))
        .routes(routes!(repo::gc))
        .routes(routes!(repo::pins))
        .routes(routes!(repo::pin, repo::unpin))
        .routes(routes!(repo::import))
        .routes(routes!(repo::export))
        .routes(routes!(content::root))
        .routes(routes!(content::below))
}

/// What everybody on this machine may read.
fn open(document: Arc<serde_json::Value>) -> Router<Arc<Node>> {
    use axum::routing::get;
    Router::new()
        .route(
            paths::OPENAPI,
            get(move || async move { axum::Json(serde_json::Value::clone(&document)) }),
        )
        .route(paths::METRICS, get(status::metrics))
        .route(paths::HEALTHZ, get(status::healthz))
        .route(paths::READYZ, get(status::readyz))
}
