//! The command line without a node: usage, refusals, and all that works by itself.

use std::{
    ffi::OsStr,
    fs,
    net::TcpListener,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

/// CID of the file "hello\n": CIDv1, raw, sha2-256.
const HELLO: &str = "bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am";

struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// A command on the data folder `data` in this home, started in this home.
    fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ddn"));
        command
            .args(args)
            .env_clear()
            .env("DDN_DATA", self.path().join("data"))
            .current_dir(self.path());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Output {
        self.command(args).output().expect("ddn starts")
    }

    /// Runs a command that must succeed; its output.
    fn ok<S: AsRef<OsStr>>(&self, args: &[S]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Runs a command that must fail with 1 and one line, which has all of `words`.
    fn refused<S: AsRef<OsStr>>(&self, args: &[S], words: &[&str]) -> String {
        let output = self.run(args);
        let line = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{line}{}", text(&output.stdout));
        assert_eq!(line.lines().count(), 1, "{line}");
        assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
        words
            .iter()
            .for_each(|word| assert!(line.contains(word), "no {word:?} in {line}"));
        line
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn bad_usage_is_2() {
    let home = Home::new();
    for args in [
        &[][..],
        &["nonsense"],
        &["publish"],
        &["name"],
        &["publish", "x", "--profile", "unixfs-v9"],
        &["publish", "x", "--only-hash", "--name", "a.ddn"],
        &["asset", "show", "bafynonsense"],
        &["up", "--dev", "--genesis", "g.json"],
        &["name", "set", "alice.ddn", "--a", "999.1.1.1"],
        &["name", "renew", "alice.ddn", "--periods", "0"],
        &["wallet", "send", "bob", "1.123456789"],
        &["chain", "block", "first"],
        &["chain", "init"],
        &["get", "/ipfs/alice.ddn"],
        &["get", "alice.ddn/../x"],
        &["node", "nonsense"],
        &["up", "--join", "127.0.0.1:4101"],
        &["edge", "register", "--capacity", "0"],
        &["edge", "set", "--traffic-max", "lots"],
        &["pay", "open"],
        &["pay", "allot", "default", "1", "--for", "1y"],
        &["earn", "receipts", "--proof", "00"],
        &["deal", "list"],
    ] {
        let output = home.run(args);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{args:?}: {}",
            text(&output.stderr)
        );
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn without_a_node_it_says_how_to_start_one() {
    let home = Home::new();
    fs::write(home.path().join("file"), "x").expect("written");
    for args in [
        &["publish", "file"][..],
        &["get", HELLO],
        &["resolve", "alice.ddn"],
        &["name", "list"],
        &["asset", "show", HELLO],
        &["asset", "verify", "file"],
        &["wallet", "list"],
        &["chain", "status"],
        &["node", "status"],
        &["node", "dns-setup"],
        &["node", "peers"],
        &["node", "doctor"],
        &["edge", "list"],
        &["pay", "status"],
        &["earn", "status"],
    ] {
        home.refused(args, &["no node runs on", "ddn up --dev --data "]);
    }
    home.refused(&["repo", "stat"], &["no block store in", "ddn up --dev"]);
}

#[test]
fn errors_are_json_on_demand() {
    let home = Home::new();
    let line = home.refused(&["wallet", "list", "--json"], &[]);
    let error = json_of(&line);
    assert_eq!(error["error"]["code"], "no_node");
    assert!(
        error["error"]["message"]
            .as_str()
            .is_some_and(|text| text.contains("ddn up")),
        "{line}"
    );
}

#[test]
fn up_without_a_chain_says_what_to_do() {
    let home = Home::new();
    home.refused(&["up"], &["holds no chain yet", "--dev", "--genesis", "--join"]);
    assert!(
        !home.path().join("data").exists(),
        "a refused start leaves nothing"
    );
    home.refused(
        &["up", "--dev", "--set", "gateway.listn=127.0.0.1:0"],
        &["gateway.listn", "`gateway.listen`"],
    );
}

#[test]
fn a_node_that_crashed_is_noticed() {
    let home = Home::new();
    let data = home.path().join("data");
    fs::create_dir(&data).expect("a folder");
    // Somebody's port that is free again, and a process that has ended.
    let admin = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a port");
    let mut ended = home.command(&["--version"]).spawn().expect("ddn starts");
    let pid = ended.id();
    ended.wait().expect("it ends");
    let card = json!({
        "pid": pid, "node_id": "", "chain_id": "dev", "gateway": "", "dns": "", "admin": admin.to_string(),
        "delivery": "", "engine": null, "mesh": []
    });
    fs::write(data.join("node.json"), card.to_string()).expect("written");
    fs::write(data.join("genesis.json"), "{}").expect("written");
    home.refused(&["wallet", "list"], &["admin.token"]);
    fs::write(data.join("admin.token"), "token\n").expect("written");
    home.refused(
        &["wallet", "list"],
        &[&pid.to_string(), "without having stopped", "`ddn up --data "],
    );
    home.refused(&["repo", "stat"], &["no block store"]);
    fs::write(data.join("node.json"), "half").expect("written");
    home.refused(&["wallet", "list"], &["node.json", "restart"]);
}

#[test]
fn hashes_without_a_node() {
    let home = Home::new();
    fs::create_dir(home.path().join("site")).expect("a folder");
    fs::write(home.path().join("site/a.txt"), "hello\n").expect("written");
    assert_eq!(
        home.ok(&["publish", "site/a.txt", "--only-hash"]),
        format!("{HELLO}\n")
    );
    let hashed = json_of(&home.ok(&["publish", "site/a.txt", "--only-hash", "--json"]));
    let expected = json!({
        "cid": HELLO, "name": null, "bytes": 6, "files": 1, "asset_tx": null, "name_tx": null, "height": null
    });
    assert_eq!(hashed, expected);
    let v0 = home.ok(&["publish", "site", "--only-hash", "--profile", "unixfs-v0-2015"]);
    assert!(v0.starts_with("Qm"), "{v0}");
    let plan = json_of(&home.ok(&["publish", "site", "--dry-run", "--json"]));
    assert_eq!((&plan["files"], &plan["cost"]), (&json!(1), &Value::Null));
    home.refused(
        &["publish", "absent", "--only-hash"],
        &["cannot read absent", "no such file"],
    );
}

#[test]
fn get_looks_before_it_asks() {
    let home = Home::new();
    fs::write(home.path().join("there"), "precious").expect("written");
    home.refused(&["get", HELLO, "-o", "there"], &["there exists already"]);
    home.refused(
        &["get", HELLO, "-o", "no/such/place"],
        &["no/such is not a folder"],
    );
}

#[test]
fn a_chain_is_laid_out_and_its_proofs_are_judged() {
    let home = Home::new();
    let init = [
        "chain",
        "init",
        "four",
        "--preset",
        "dev",
        "--delegate",
        "d1@127.0.0.1:4103",
    ];
    let made = home.ok(&init);
    assert!(
        made.starts_with("genesis.json  chain four, 1 delegate, genesis bafyrei"),
        "{made}"
    );
    home.refused(&init, &["genesis.json", "exists"]);
    home.refused(
        &["chain", "init", "Four", "--delegate", "d1"],
        &["chain_id", "'Four'"],
    );
    let key = home.ok(&["chain", "init", "--print-key"]);
    assert_eq!(key.trim().len(), 64, "{key}");
    assert_eq!(home.ok(&["chain", "init", "--print-key"]), key);
    fs::write(home.path().join("x.proof"), "nonsense").expect("written");
    home.refused(
        &["chain", "verify", "x.proof", "--genesis", "genesis.json"],
        &["x.proof"],
    );
    home.refused(&["chain", "verify", "-", "--genesis", "genesis.json"], &["-:"]);
    home.refused(
        &["chain", "verify", "x.proof", "--genesis", "x.proof"],
        &["x.proof"],
    );
    home.refused(&["chain", "verify", "x.proof"], &["genesis.json"]);
}

#[test]
fn a_store_without_a_node() {
    let home = Home::new();
    let file = home.path().join("hello");
    fs::write(&file, "hello\n").expect("written");
    {
        let store = storage::Store::open(&home.path().join("data/blocks")).expect("a store");
        store
            .import_path(&file, storage::Profile::V1_2025, &mut |_| {})
            .expect("imported");
        home.refused(&["repo", "stat"], &["in use"]);
    }
    let stat = json_of(&home.ok(&["repo", "stat", "--json"]));
    assert_eq!(
        (&stat["blocks"], &stat["bytes"], &stat["pins"]),
        (&json!(1), &json!(6), &json!(1))
    );
    assert!(home.ok(&["repo", "pins"]).contains(HELLO));
    assert!(home.ok(&["repo", "verify"]).contains("1 block, 6 B, all is well"));
    home.ok(&["repo", "export", HELLO]);
    let car = format!("{HELLO}.car");
    home.refused(&["repo", "export", HELLO], &[&car, "exists"]);
    let written = fs::read(home.path().join(&car)).expect("a CAR");
    assert_eq!(home.run(&["repo", "export", HELLO, "-o", "-"]).stdout, written);
    home.ok(&["repo", "unpin", HELLO]);
    home.refused(&["repo", "unpin", HELLO], &[HELLO, "not pinned"]);
    assert!(home.ok(&["repo", "gc"]).contains("removed 1 block, 6 B"));
    home.refused(&["repo", "pin", HELLO], &[HELLO, "not here"]);
    let imported = json_of(&home.ok(&["repo", "import", &car, "--json"]));
    assert_eq!(imported, json!({ "roots": [HELLO], "blocks": 1, "bytes": 6 }));
    home.refused(&["repo", "import", "absent.car"], &["absent.car"]);
}

#[test]
fn settings_are_shown_and_checked() {
    let home = Home::new();
    let long = home.ok(&["config", "show", "--long"]);
    assert!(
        long.contains("[gateway]\n") && long.contains("listen = \"127.0.0.1:8080\"\n"),
        "{long}"
    );
    fs::write(home.path().join("good.toml"), &long).expect("written");
    assert!(
        home.ok(&["config", "check", "good.toml"])
            .contains("good.toml is good")
    );
    fs::write(home.path().join("bad.toml"), "[gateway]\nlistn = 1\n").expect("written");
    home.refused(
        &["config", "check", "bad.toml"],
        &["bad.toml", "gateway.listn", "gateway.listen"],
    );
    home.refused(&["config", "check", "absent.toml"], &["absent.toml"]);
    let from_variable = home
        .command(&["config", "show"])
        .env("DDN_GATEWAY_LISTEN", "127.0.0.1:1")
        .output();
    let shown = text(&from_variable.expect("ddn starts").stdout);
    assert!(
        shown.contains("listen = \"127.0.0.1:1\"  # environment DDN_GATEWAY_LISTEN"),
        "{shown}"
    );
}

#[test]
fn manual_and_completions_come_from_the_definitions() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(home.ok(&["completions", shell]).contains("dns-setup"), "{shell}");
    }
    assert!(
        home.ok(&["man", "name", "register"])
            .contains(".TH ddn-name-register 1")
    );
    home.refused(&["man", "name", "nonsense"], &["nonsense", "register"]);
    home.ok(&["man", "--dir", "pages"]);
    for page in [
        "ddn.1",
        "ddn-up.1",
        "ddn-chain-verify.1",
        "ddn-node-dns-setup.1",
        "ddn-pay-top-up.1",
    ] {
        assert!(home.path().join("pages").join(page).is_file(), "{page}");
    }
    assert!(!home.path().join("pages/ddn-help.1").exists());
}

#[test]
fn a_closed_pipe_is_quiet() {
    let home = Home::new();
    for args in [
        &["man"][..],
        &["completions", "bash"],
        &["config", "show", "--json"],
        &["--help"],
    ] {
        let mut child = home.command(args).spawn().expect("ddn starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("it ends");
        assert!(output.stderr.is_empty(), "{args:?}: {}", text(&output.stderr));
    }
}

#[test]
fn every_command_has_help() {
    let home = Home::new();
    let commands = [
        "up", "publish", "get", "resolve", "name", "asset", "wallet", "edge", "pay", "earn", "chain", "node",
        "repo", "config",
    ];
    let all = home.ok(&["--help"]);
    for command in commands {
        assert!(all.contains(&format!("\n  {command} ")), "{command}: {all}");
        assert!(home.ok(&[command, "--help"]).contains("Usage: ddn "), "{command}");
    }
}
