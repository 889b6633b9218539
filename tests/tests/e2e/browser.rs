//! A real browser opens a published name: headless Chromium, with what it asked for taken from its own network log.
//!
//! Without Chromium the test says that it was skipped; with `DDN_REQUIRE_BROWSER=1` (CI) its absence is a failure.

use std::collections::BTreeMap;
use std::env;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testkit::{Node, Running, tree};

use crate::{docs, publish, publish_all};

/// Chromium starts, loads and draws a page in a few seconds on one busy core.
const PAGE_DEADLINE: Duration = Duration::from_secs(90);

/// One page load.
struct Visit {
    /// The page after its scripts ran.
    dom: String,
    /// What was asked, with the status of the answer, or the negated network error.
    requests: BTreeMap<String, i64>,
}

impl Visit {
    /// Opens `url` in a fresh profile.
    fn to(chromium: &Path, url: &str) -> Result<Self> {
        let home = tempfile::tempdir()?;
        let log = home.path().join("net.json");
        let mut command = Command::new(chromium);
        // Run as root in CI, hence without its sandbox; everything else only keeps it from talking to anybody but us.
        command.args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
        ]);
        command.args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ]);
        command.args([
            "--disable-default-apps",
            "--disable-extensions",
            "--no-proxy-server",
            "--dump-dom",
        ]);
        command.arg("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE *.localhost");
        command.arg("--timeout=30000").arg("--virtual-time-budget=10000");
        command.arg(format!(
            "--user-data-dir={}",
            home.path().join("profile").display()
        ));
        command.arg(format!("--log-net-log={}", log.display())).arg(url);
        let ran = Running::start(command)?.finish(PAGE_DEADLINE)?;
        ran.ok()?;
        let log = BufReader::new(File::open(&log).context("Chromium writes its network log")?);
        let log = serde_json::from_reader(log).context("Chromium's network log")?;
        Ok(Self {
            dom: ran.stdout,
            requests: requests(&log)?,
        })
    }

    /// No request to the site failed, and there were requests.
    fn went_well(&self, site: &str) -> Result<()> {
        let ours: BTreeMap<_, _> = self
            .requests
            .iter()
            .filter(|(url, _)| url.starts_with(site))
            .collect();
        ensure!(!ours.is_empty(), "no request to {site}: {:?}", self.requests);
        let failed: Vec<_> = ours
            .iter()
            .filter(|(_, status)| !(200..400).contains(**status))
            .collect();
        ensure!(failed.is_empty(), "failed requests: {failed:?}");
        Ok(())
    }
}

/// The outcome of each URL in a network log.
fn requests(log: &Value) -> Result<BTreeMap<String, i64>> {
    let number = |name: &str| {
        let types = &log["constants"]["logEventTypes"];
        types[name]
            .as_i64()
            .with_context(|| format!("Chromium's network log knows {name}"))
    };
    let (started, headers) = (
        number("URL_REQUEST_START_JOB")?,
        number("HTTP_TRANSACTION_READ_RESPONSE_HEADERS")?,
    );
    let mut urls: BTreeMap<i64, String> = BTreeMap::new();
    let mut outcomes = BTreeMap::new();
    for event in log["events"].as_array().context("a network log has events")? {
        let (source, params) = (
            event["source"]["id"].as_i64().unwrap_or_default(),
            &event["params"],
        );
        let kind = event["type"].as_i64().unwrap_or_default();
        if kind == started
            && let Some(url) = params["url"].as_str()
        {
            urls.insert(source, url.to_owned());
            outcomes.entry(url.to_owned()).or_insert(0);
        }
        let Some(url) = urls.get(&source) else { continue };
        if kind == headers
            && let Some(status) = params["headers"][0].as_str()
        {
            let status = status.split(' ').nth(1).and_then(|code| code.parse().ok());
            outcomes.insert(url.clone(), status.unwrap_or_default());
        } else if let Some(error) = params["net_error"].as_i64().filter(|error| *error != 0) {
            outcomes.insert(url.clone(), error);
        }
    }
    Ok(outcomes)
}

/// Chromium, if this machine has it.
///
/// # Errors
/// When `DDN_REQUIRE_BROWSER` is 1 and there is none.
fn chromium() -> Result<Option<PathBuf>> {
    let folders = env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found = env::split_paths(&folders)
        .flat_map(|folder| names.map(|name| folder.join(name)))
        .find(|path| path.is_file());
    let required = env::var("DDN_REQUIRE_BROWSER").is_ok_and(|value| value == "1");
    ensure!(
        found.is_some() || !required,
        "DDN_REQUIRE_BROWSER=1, but chromium is not installed"
    );
    if found.is_none() {
        println!("skipped: chromium is not installed");
    }
    Ok(found)
}

#[test]
fn a_browser_renders_a_published_site() -> Result<()> {
    let Some(chromium) = chromium()? else {
        return Ok(());
    };
    let node = Node::dev()?;
    let folder = tempfile::tempdir()?;
    tree::site(folder.path())?;
    publish(&node, folder.path(), "alice.ddn")?;

    let site = format!("http://alice.ddn.localhost:{}/", node.listener("gateway")?.port());
    let visit = Visit::to(&chromium, &site)?;
    ensure!(visit.dom.contains(tree::HEADING), "the page: {}", visit.dom);
    ensure!(
        visit.dom.contains("the script ran"),
        "the script of the page did not run: {}",
        visit.dom
    );
    visit.went_well(&site)?;
    for part in ["", "style.css", "app.js", "pixel.png"] {
        ensure!(
            visit.requests.contains_key(&format!("{site}{part}")),
            "{part} was not asked: {:?}",
            visit.requests
        );
    }
    Ok(())
}

#[test]
fn a_browser_renders_a_documentation() -> Result<()> {
    let Some(chromium) = chromium()? else {
        return Ok(());
    };
    let node = Node::dev()?;
    let manual = docs::Documentation::find()?;
    publish_all(&node, manual.path(), "pydoc.ddn")?;

    let site = format!("http://pydoc.ddn.localhost:{}/", node.listener("gateway")?.port());
    let visit = Visit::to(&chromium, &site)?;
    ensure!(visit.dom.contains(manual.heading()), "the page: {}", visit.dom);
    visit.went_well(&site)
}

/// The second node has nothing of it when the browser asks: each part is fetched, verified and paid on the way.
#[test]
fn a_browser_renders_a_documentation_from_the_second_node() -> Result<()> {
    let Some(chromium) = chromium()? else {
        return Ok(());
    };
    let first = Node::dev()?;
    let manual = docs::Documentation::find()?;
    publish_all(&first, manual.path(), "pydoc.ddn")?;
    let second = Node::joining(&first)?;

    let site = format!(
        "http://pydoc.ddn.localhost:{}/",
        second.listener("gateway")?.port()
    );
    let visit = Visit::to(&chromium, &site)?;
    ensure!(visit.dom.contains(manual.heading()), "the page: {}", visit.dom);
    visit.went_well(&site)
}
