//! The document describes what is served, and what is served is what the list of paths promises.

mod assets;
mod money;
mod two_nodes;

use std::collections::BTreeSet;

use super::paths::*;
use super::*;
use crate::config::{Config, Sources};

/// Every path that needs the token.
const GUARDED: [&str; 66] = [
    STATUS,
    CONFIG,
    PUBLISH,
    RESOLVE,
    NAMES,
    NAME,
    NAME_HISTORY,
    NAME_REGISTER,
    NAME_SET,
    NAME_RENEW,
    NAME_TRANSFER,
    NAME_RELEASE,
    ASSETS,
    ASSETS_VERIFY,
    ASSET,
    ASSET_SET,
    ASSET_LICENSE,
    ASSET_TRANSFER,
    ASSET_TOMBSTONE,
    WALLET,
    WALLET_NEW,
    WALLET_IMPORT,
    WALLET_EXPORT,
    WALLET_SEND,
    ACCOUNT,
    EDGES,
    EDGE_REGISTER,
    EDGE_SET,
    EDGE_LEAVE,
    DELEGATES,
    DELEGATE_REGISTER,
    DELEGATE_UPDATE,
    DELEGATE_RESIGN,
    DELEGATE_VOTE,
    DELEGATE_UNVOTE,
    DELEGATE_COLLECT,
    PAY,
    PAY_OPEN,
    PAY_ALLOT,
    PAY_TOP_UP,
    PAY_EXIT,
    EARN,
    EARN_CLAIM,
    EARN_RECEIPTS,
    EARN_PROOF,
    PEERS,
    DOCTOR,
    CHAIN_STATUS,
    CHAIN_BLOCK,
    CHAIN_TX,
    CHAIN_TXS,
    CHAIN_PROOF,
    CHAIN_CHECKPOINT,
    CHAIN_SNAPSHOT,
    CHAIN_BACKUP,
    CHAINS,
    CHAIN_ANCHOR,
    REPO_STAT,
    REPO_VERIFY,
    REPO_GC,
    REPO_PINS,
    REPO_PIN,
    REPO_IMPORT,
    REPO_EXPORT,
    CONTENT,
    CONTENT_ROOT,
];

#[test]
fn the_document_has_every_path_and_no_other() {
    let (_, document) = guarded().split_for_parts();
    let described: BTreeSet<&str> = document.paths.paths.keys().map(String::as_str).collect();
    assert_eq!(described, GUARDED.into_iter().collect());
}

#[test]
fn the_document_is_openapi_3_1_and_asks_for_the_token() {
    let (_, collected) = guarded().split_for_parts();
    let document = document::complete(&collected);
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(
        document["components"]["securitySchemes"]["token"]["scheme"],
        "bearer"
    );
    assert_eq!(document["security"][0]["token"], serde_json::json!([]));
    let text = document.to_string();
    for name in [
        "NodeStatus",
        "PublishEvent",
        "AssetVerified",
        "BlockView",
        "ErrorBody",
    ] {
        assert!(
            document["components"]["schemas"][name].is_object(),
            "{name} is described"
        );
        assert!(
            text.contains(&format!("#/components/schemas/{name}")),
            "{name} is used"
        );
    }
}

#[test]
fn every_operation_has_its_own_id_and_describes_its_answers() {
    let (_, collected) = guarded().split_for_parts();
    let document = document::complete(&collected);
    let mut ids = BTreeSet::new();
    for item in document["paths"].as_object().expect("paths").values() {
        for operation in item.as_object().expect("operations").values() {
            let id = operation["operationId"].as_str().expect("an id").to_owned();
            assert!(ids.insert(id.clone()), "{id} is there twice");
            assert!(
                operation["summary"]
                    .as_str()
                    .is_some_and(|text| text.ends_with('.')),
                "{id} has a summary"
            );
            for response in operation["responses"].as_object().expect("responses").values() {
                assert!(response["description"].is_string(), "{id} describes its answers");
            }
        }
    }
    assert!(
        ids.contains("get_names_name_history") && ids.contains("post_publish"),
        "{ids:?}"
    );
}

/// A real node in a temporary folder, and how to ask it.
struct Live {
    home: tempfile::TempDir,
    http: reqwest::Client,
    base: String,
    token: String,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    task: JoinHandle<Result<crate::node::Ended, crate::node::Error>>,
}

impl Live {
    /// A node of a dev chain of its own.
    async fn start() -> Self {
        Self::start_as(crate::node::Origin::Dev, &[]).await
    }

    /// A node that follows the chain of another one.
    async fn joining(first: &Self) -> Self {
        let genesis = first.home.path().join("genesis.json");
        let peers: types::PeerList = first.json(first.get("/v1/peers")).await;
        let settings = [
            format!("mesh.join={}", peers.addresses[0]),
            "delivery.silence_s=1".to_owned(),
        ];
        Self::start_as(crate::node::Origin::Genesis(genesis), &settings).await
    }

    async fn start_as(origin: crate::node::Origin, settings: &[String]) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let listeners = ["gateway", "dns", "admin", "engine", "mesh", "delivery"]
            .map(|section| format!("{section}.listen=127.0.0.1:0"));
        let sources = Sources {
            data: home.path().to_owned(),
            file: None,
            set: [&listeners[..], settings].concat(),
        };
        let config = Config::resolve(&sources, &[]).expect("settings");
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (ready, is_ready) = tokio::sync::oneshot::channel();
        let data = home.path().to_owned();
        let task = tokio::spawn(async move {
            let ready = |card: &types::NodeFile| drop(ready.send(card.admin.clone()));
            let stop = async { drop(stopped.await) };
            crate::node::run(&data, &origin, config, ready, stop).await
        });
        let admin = tokio::time::timeout(Duration::from_secs(60), is_ready)
            .await
            .expect("ready in time");
        let token = std::fs::read_to_string(home.path().join("admin.token"))
            .expect("a token")
            .trim()
            .to_owned();
        let base = format!("http://{}", admin.expect("it is ready"));
        let http = crate::http::client().build().expect("a client");
        Self {
            home,
            http,
            base,
            token,
            stop: Some(stop),
            task,
        }
    }

    fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.base))
            .bearer_auth(&self.token)
    }

    fn get(&self, path: &str) -> reqwest::RequestBuilder {
        self.request(reqwest::Method::GET, path)
    }

    fn post(&self, path: &str) -> reqwest::RequestBuilder {
        self.request(reqwest::Method::POST, path)
    }

    async fn json<T: serde::de::DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> T {
        let answer = request.send().await.expect("an answer");
        assert!(
            answer.status().is_success(),
            "{}",
            answer.text().await.unwrap_or_default()
        );
        answer.json().await.expect("the type")
    }

    async fn publish(&self, query: &str, body: impl Into<reqwest::Body>) -> types::PublishEvent {
        let answer = self
            .post(&format!("/v1/publish{query}"))
            .body(body)
            .send()
            .await
            .expect("an answer");
        let text = answer.text().await.expect("lines");
        let last = text.lines().last().expect("a line");
        serde_json::from_str(last).expect("an event")
    }

    async fn stop(mut self) {
        self.stop
            .take()
            .map(|stop| stop.send(()))
            .expect("it runs")
            .expect("it listens");
        self.task.await.expect("no panic").expect("it stops well");
        assert!(!self.home.path().join("node.json").exists());
    }
}

/// The error of a request: status, code, message.
async fn refused(request: reqwest::RequestBuilder) -> (u16, String, String) {
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    let body: types::ErrorBody = answer.json().await.expect("an error");
    (status, body.error.code, body.error.message)
}

fn tar_of(content: &[u8]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    tar.append_data(&mut header, "site/index.html", content)
        .expect("an entry");
    tar.into_inner().expect("a stream")
}

fn done(event: types::PublishEvent) -> types::Published {
    match event {
        types::PublishEvent::Done(published) => published,
        other => panic!("not done: {other:?}"),
    }
}

fn error(event: types::PublishEvent) -> types::ErrorText {
    match event {
        types::PublishEvent::Error(error) => error,
        other => panic!("no error: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_answers_its_operator_and_nobody_else() {
    let live = Live::start().await;
    strangers(&live).await;
    malformed(&live).await;
    publishes(&live).await;
    interrupted(&live).await;
    live.stop().await;
}

async fn strangers(live: &Live) {
    let status = format!("{}/v1/status", live.base);
    let (code, word, text) = refused(live.http.get(&status)).await;
    assert_eq!((code, word.as_str()), (401, "unauthorized"));
    assert!(
        text.ends_with("admin.token as `Authorization: Bearer TOKEN`"),
        "{text}"
    );
    assert_eq!(refused(live.http.get(&status).bearer_auth("guess")).await.0, 401);
    let (code, word, _) = refused(live.get("/v1/status").header("host", "evil.example")).await;
    assert_eq!((code, word.as_str()), (403, "forbidden_host"));
    for open in [OPENAPI, METRICS, HEALTHZ, READYZ] {
        let answer = live
            .http
            .get(format!("{}{open}", live.base))
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status().as_u16(), 200, "{open}");
    }
    let status: types::NodeStatus = live.json(live.get("/v1/status")).await;
    assert!(
        status.ready && status.height > 0 && !status.balance.is_zero(),
        "{status:?}"
    );
}

async fn malformed(live: &Live) {
    let post = |path: &str, body: &str| {
        live.post(path)
            .header("content-type", "application/json")
            .body(body.to_owned())
    };
    for (request, expected) in [
        (live.get("/v1/nothing"), (404, "not_found")),
        (
            live.request(reqwest::Method::PUT, "/v1/status"),
            (405, "no_such_method"),
        ),
        (live.get("/v1/assets/nonsense"), (400, "bad_request")),
        (live.get("/v1/names?ownr=x"), (400, "bad_request")),
        (live.get("/v1/names/nobody.ddn"), (404, "not_found")),
        (live.get("/v1/names/a_b.ddn"), (400, "bad_name")),
        (live.get("/v1/names/www.ddn"), (409, "name_reserved")),
        (
            post("/v1/names/www.ddn/register", r#"{"records":{}}"#),
            (409, "name_reserved"),
        ),
        (live.get("/v1/assets?tag=A"), (400, "bad_request")),
        (live.get("/v1/assets?hash=00"), (400, "bad_request")),
        (live.get("/v1/chain/proof?key=tag/a"), (400, "bad_request")),
        (live.get("/v1/content/nobody.ddn"), (404, "not_found")),
        (live.get("/v1/chain/blocks/minus"), (400, "bad_request")),
        (live.get("/v1/chain/blocks/99999999"), (404, "not_found")),
        (live.get("/v1/chain/proof?key=name"), (400, "bad_request")),
        (
            live.post("/v1/chain/txs").body("no transaction"),
            (400, "bad_request"),
        ),
        (
            live.post("/v1/chain/txs").body(vec![0; 2 << 20]),
            (413, "too_large"),
        ),
        (post("/v1/wallet/new", "{}"), (400, "bad_request")),
        (
            post("/v1/wallet/new", r#"{"name":"a","x":1}"#),
            (400, "bad_request"),
        ),
        (post("/v1/wallet/new", r#"{"name":"../a"}"#), (400, "bad_request")),
        (
            post(
                "/v1/wallet/send",
                r#"{"to":"default","amount":"999999999999999"}"#,
            ),
            (409, "not_enough_coins"),
        ),
        (post("/v1/names/nobody.ddn/release", "{}"), (404, "not_found")),
        (
            post("/v1/wallet/send", r#"{"to":"nobody","amount":"1"}"#),
            (400, "bad_request"),
        ),
        (post("/v1/edges/here/set", "{}"), (404, "not_found")),
        (post("/v1/edges/nonsense/leave", "{}"), (400, "bad_request")),
        (post("/v1/pay/default/exit", "{}"), (404, "not_found")),
        (post("/v1/pay/nonsense/exit", "{}"), (400, "bad_request")),
        (live.get("/v1/earn/receipts?max=0"), (400, "bad_request")),
        (live.get("/v1/earn/receipts/nonsense/proof"), (400, "bad_request")),
        (live.get("/v1/chain/proof?key=line/00"), (400, "bad_request")),
    ] {
        let (code, word, text) = refused(request).await;
        assert_eq!((code, word.as_str()), expected, "{text}");
        assert!(!text.is_empty() && !text.contains('\n'), "{text}");
    }
}

async fn publishes(live: &Live) {
    let (one, two) = tokio::join!(
        live.publish("?name=one.ddn", tar_of(b"one")),
        live.publish("?name=two.ddn", tar_of(b"two"))
    );
    let (one, two) = (done(one), done(two));
    assert!(
        one.asset_tx.is_some() && one.name_tx.is_some() && two.name_tx.is_some(),
        "{one:?} {two:?}"
    );
    let found: types::Resolved = live.json(live.get("/v1/resolve/one.ddn")).await;
    assert_eq!(
        (found.status, found.content),
        (types::ResolvedStatus::Found, Some(one.cid.clone()))
    );
    let again = done(live.publish("?name=one.ddn", tar_of(b"one")).await);
    assert_eq!((again.cid, again.asset_tx, again.name_tx), (one.cid, None, None));
    let shop: types::WalletView = live
        .json(
            live.post("/v1/wallet/new")
                .json(&types::WalletNew { name: "shop".into() }),
        )
        .await;
    let poor = error(live.publish("?name=shop.ddn&wallet=shop", tar_of(b"shop")).await);
    let expected = format!(
        "not enough coins: it costs 20.004 coins, the wallet `shop` ({}) has 0: send coins to it",
        shop.address
    );
    assert_eq!((poor.code.as_str(), poor.message), ("not_enough_coins", expected));
    let reserved = error(live.publish("?name=docs.www.ddn", tar_of(b"www")).await);
    assert_eq!(
        (reserved.code.as_str(), reserved.message.as_str()),
        (
            "name_reserved",
            "the name www.ddn is reserved: nobody can register it on this chain, choose another one"
        )
    );
    let theirs = error(live.publish("?name=two.ddn&wallet=shop", tar_of(b"shop")).await);
    assert_eq!(theirs.code, "name_taken");
}

async fn interrupted(live: &Live) {
    let before: types::RepoStat = live.json(live.get("/v1/repo/stat")).await;
    let mut whole = tar_of(&vec![7; 3 << 20]);
    whole.truncate(2 << 20);
    let short = error(live.publish("?name=short.ddn", whole.clone()).await);
    assert_eq!(short.code, "bad_request");
    assert!(
        short.message.ends_with("the stream is cut short"),
        "{}",
        short.message
    );
    let broken = futures::stream::iter([Ok(whole), Err(std::io::Error::other("gone"))]);
    let sent = live
        .post("/v1/publish?name=gone.ddn")
        .body(reqwest::Body::wrap_stream(broken))
        .send()
        .await;
    drop(sent);
    let started = std::time::Instant::now();
    loop {
        let jobs: types::PublishJobs = live.json(live.get("/v1/publish")).await;
        if jobs.jobs.is_empty() {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "{jobs:?}");
        tokio::task::yield_now().await;
    }
    let after: types::RepoStat = live.json(live.get("/v1/repo/stat")).await;
    assert_eq!((after.blocks, after.pins), (before.blocks, before.pins));
}
