//! A headless Chromium, told what to do over its own protocol (DevTools, by pipes): what a reader's browser does with a
//! page, and what it says of it.

use std::collections::BTreeMap;
use std::env;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::fs::{CWD, Mode, mkfifoat};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Chromium starts, loads and draws a page in a few seconds on one busy core.
const ANSWER_DEADLINE: Duration = Duration::from_secs(60);

/// As root in CI, hence without its sandbox; everything else only keeps it from talking to anybody but us.
const ARGUMENTS: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--disable-extensions",
    "--no-proxy-server",
    "--autoplay-policy=no-user-gesture-required",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE *.localhost",
    "--remote-debugging-pipe",
];

/// A browser with a profile of its own; killed when dropped.
#[derive(Debug)]
pub struct Chromium {
    child: Child,
    orders: File,
    messages: Receiver<Value>,
    orders_given: u64,
    // Last: the folder goes after the process.
    _home: TempDir,
}

impl Chromium {
    /// Starts the browser of this machine; none if there is none, which is said.
    ///
    /// # Errors
    /// When it does not start, or when `DDN_REQUIRE_BROWSER` is 1 and there is none.
    pub fn start() -> Result<Option<Self>> {
        Self::start_with(&[])
    }

    /// Starts it with more arguments, which win over the usual ones. Errors as [`Chromium::start`].
    pub fn start_with(arguments: &[&str]) -> Result<Option<Self>> {
        let Some(program) = find()? else {
            println!("skipped: chromium is not installed");
            return Ok(None);
        };
        let home = tempfile::Builder::new().prefix("ddn-browser-").tempdir()?;
        let (inward, outward) = (home.path().join("in"), home.path().join("out"));
        for pipe in [&inward, &outward] {
            mkfifoat(CWD, pipe, Mode::RUSR | Mode::WUSR)?;
        }
        let mut command = Command::new("sh");
        // The browser reads its orders from descriptor 3 and answers to 4.
        command.args([
            "-c",
            "in=$1 out=$2; shift 2; exec \"$@\" 3<\"$in\" 4>\"$out\"",
            "sh",
        ]);
        command.args([&inward, &outward]).arg(program).args(ARGUMENTS);
        command.arg(format!(
            "--user-data-dir={}",
            home.path().join("profile").display()
        ));
        command.args(arguments);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command.spawn().context("starting chromium")?;
        let orders = File::options().write(true).open(&inward)?;
        Ok(Some(Self {
            child,
            orders,
            messages: listen(&outward)?,
            orders_given: 0,
            _home: home,
        }))
    }

    /// Opens a tab at `url`, and waits until the page and what it names is loaded.
    ///
    /// # Errors
    /// When that does not happen in time.
    pub fn open(&mut self, url: &str) -> Result<Page<'_>> {
        let target = self.order(
            "Target.createTarget",
            &json!({"url": "about:blank"}),
            None,
            &mut Vec::new(),
        )?;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = self.order("Target.attachToTarget", &attach, None, &mut Vec::new())?;
        let session = session["sessionId"].as_str().context("a tab has a session")?;
        let mut page = Page {
            session: session.to_owned(),
            browser: self,
            events: Vec::new(),
        };
        for domain in ["Page", "Network", "Log", "Runtime"] {
            page.order(&format!("{domain}.enable"), &json!({}))?;
        }
        page.order("Page.setLifecycleEventsEnabled", &json!({"enabled": true}))?;
        page.go(url)?;
        Ok(page)
    }

    /// Gives an order and waits for its answer; what happens meanwhile is added to `events`.
    fn order(
        &mut self,
        method: &str,
        params: &Value,
        session: Option<&str>,
        events: &mut Vec<Value>,
    ) -> Result<Value> {
        self.orders_given += 1;
        let id = self.orders_given;
        let mut order = json!({"id": id, "method": method, "params": params});
        if let Some(session) = session {
            order["sessionId"] = session.into();
        }
        self.orders.write_all(format!("{order}\0").as_bytes())?;
        let until = Instant::now() + ANSWER_DEADLINE;
        loop {
            let message = self.hear(method, until)?;
            if message["id"] == id {
                ensure!(message["error"].is_null(), "{method}: {}", message["error"]);
                return Ok(message["result"].clone());
            }
            events.push(message);
        }
    }

    fn hear(&self, what: &str, until: Instant) -> Result<Value> {
        let left = until.saturating_duration_since(Instant::now());
        match self.messages.recv_timeout(left) {
            Ok(message) => Ok(message),
            Err(RecvTimeoutError::Timeout) => bail!("chromium: {what} not in time"),
            Err(RecvTimeoutError::Disconnected) => bail!("chromium ended before {what}"),
        }
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // Its own processes end with it. Of a browser that has ended, both do nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A tab.
#[derive(Debug)]
pub struct Page<'a> {
    browser: &'a mut Chromium,
    session: String,
    events: Vec<Value>,
}

impl Page<'_> {
    /// Goes to `url`, and waits until the page and what it names is loaded. Errors as [`Chromium::open`].
    pub fn go(&mut self, url: &str) -> Result<()> {
        self.events.clear();
        let went = self.order("Page.navigate", &json!({"url": url}))?;
        ensure!(went["errorText"].is_null(), "{url}: {}", went["errorText"]);
        let loader = went["loaderId"].clone();
        self.until(|event| event["name"] == "load" && event["loaderId"] == loader)
    }

    /// Runs a script, and waits for its value if that is a promise.
    ///
    /// # Errors
    /// When it throws, or does not end in time.
    pub fn eval(&mut self, script: &str) -> Result<Value> {
        let params =
            json!({"expression": script, "awaitPromise": true, "returnByValue": true, "userGesture": true});
        let answer = self.order("Runtime.evaluate", &params)?;
        let thrown = &answer["exceptionDetails"];
        ensure!(thrown.is_null(), "{script}: {thrown}");
        Ok(answer["result"]["value"].clone())
    }

    /// Runs a script that makes the browser leave the page, and waits until the next one is loaded. Errors as
    /// [`Page::eval`].
    pub fn leave(&mut self, script: &str) -> Result<()> {
        self.events.clear();
        self.eval(script)?;
        self.until(|event| event["name"] == "load")
    }

    /// The page after its scripts ran.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub fn dom(&mut self) -> Result<String> {
        let dom = self.eval("document.documentElement.outerHTML")?;
        Ok(dom.as_str().unwrap_or_default().to_owned())
    }

    /// Makes the window `width` pixels wide, and the reader prefer dark pages or not.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub fn look(&mut self, width: u32, dark: bool) -> Result<()> {
        let size = json!({"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600});
        self.order("Emulation.setDeviceMetricsOverride", &size)?;
        let scheme = if dark { "dark" } else { "light" };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.order("Emulation.setEmulatedMedia", &features)?;
        Ok(())
    }

    /// What was asked since the last [`Page::go`], with the status of the answer, or 0 for none.
    pub fn requests(&self) -> BTreeMap<String, i64> {
        let mut requests = BTreeMap::new();
        for params in self.seen("Network.requestWillBeSent") {
            let url = params["request"]["url"].as_str().unwrap_or_default();
            requests.entry(url.to_owned()).or_insert(0);
        }
        for response in self.responses() {
            let url = response["url"].as_str().unwrap_or_default();
            requests.insert(url.to_owned(), response["status"].as_i64().unwrap_or_default());
        }
        requests
    }

    /// The answers since the last [`Page::go`], as the protocol describes them (`Network.Response`).
    pub fn responses(&self) -> impl Iterator<Item = &Value> {
        let responses = self.seen("Network.responseReceived");
        responses.map(|params| &params["response"])
    }

    /// What the browser complained of since the last [`Page::go`]: policies, failed loads, exceptions.
    pub fn complaints(&self) -> Vec<String> {
        let entries = self
            .seen("Log.entryAdded")
            .filter(|params| params["entry"]["level"] == "error");
        let thrown = self.seen("Runtime.exceptionThrown");
        entries.chain(thrown).map(Value::to_string).collect()
    }

    fn seen(&self, method: &str) -> impl Iterator<Item = &Value> {
        let ours = self
            .events
            .iter()
            .filter(|event| event["sessionId"] == *self.session);
        ours.filter(move |event| event["method"] == *method)
            .map(|event| &event["params"])
    }

    fn order(&mut self, method: &str, params: &Value) -> Result<Value> {
        self.browser
            .order(method, params, Some(&self.session), &mut self.events)
    }

    /// Waits for a step in the life of the page.
    fn until(&mut self, is_it: impl Fn(&Value) -> bool) -> Result<()> {
        let until = Instant::now() + ANSWER_DEADLINE;
        while !self.seen("Page.lifecycleEvent").any(&is_it) {
            let message = self.browser.hear("the page is loaded", until)?;
            self.events.push(message);
        }
        Ok(())
    }
}

/// Chromium, if this machine has it.
fn find() -> Result<Option<PathBuf>> {
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
    Ok(found)
}

/// Reads what the browser says on a thread for it, until it ends.
fn listen(pipe: &Path) -> Result<Receiver<Value>> {
    let pipe = File::open(pipe)?;
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for message in BufReader::new(pipe).split(0).map_while(Result::ok) {
            let message = serde_json::from_slice(&message).unwrap_or_default();
            if sender.send(message).is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}
