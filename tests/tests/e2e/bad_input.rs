//! Bad input, full disks and taken ports: one clear line, the right code, and everything as it was.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ledger::{Action, Address, Amount, SecretKey, Tx, TxBody};
use serde_json::Value;
use tempfile::TempDir;
use testkit::{Ddn, Disk, Node, Ran, Running, ddn_binary, run_all, tree, wait_until};

use crate::{number, publish, text};

/// Absence is known without asking anybody, so it is said at once; the start of the program is in it.
const AT_ONCE: Duration = Duration::from_secs(3);

/// A node that cannot start says so within this time.
const REFUSAL_DEADLINE: Duration = Duration::from_secs(30);

/// A CID that nobody has.
const NOWHERE: &str = "bafkreiemqpndzewx4bioklzfvhtiegsfny5fxuc3nkjk2vmcpjxiammsti";

/// A node with `alice.ddn`, and a second wallet, `bob`, without coins.
struct Stage {
    node: Node,
    site: TempDir,
    cid: String,
}

impl Stage {
    fn run(&self, args: &[&str]) -> Result<Ran> {
        self.node.ddn().run(args)
    }

    /// What a refused publish must not change.
    fn traces(&self) -> Result<(Value, Value)> {
        let stat = self.node.ddn().json(&["repo", "stat"])?;
        let wallet = self.node.ddn().json(&["wallet", "balance"])?;
        Ok((stat["pins"].clone(), wallet["balance"].clone()))
    }

    /// The command fails with 1 and a line with each of `words`; nothing is paid, pinned or left as garbage.
    fn refused_without_trace(&self, args: &[&str], words: &[&str]) -> Result<()> {
        let before = self.traces()?;
        self.run(args)?.refused(1, words)?;
        ensure!(self.traces()? == before, "`{args:?}` failed and left traces");
        let freed = self.node.ddn().json(&["repo", "gc"])?;
        ensure!(
            number(&freed, "/blocks")? == 0,
            "`{args:?}` left garbage: {freed}"
        );
        Ok(())
    }
}

#[test]
fn bad_input_gets_a_clear_line() -> Result<()> {
    let node = Node::dev()?;
    let site = tempfile::tempdir()?;
    tree::site(site.path())?;
    let cid = text(&publish(&node, site.path(), "alice.ddn")?, "/cid")?;
    node.ddn().ok(&["wallet", "new", "bob"])?;
    run_all(
        &Stage { node, site, cid },
        &[
            ("files that cannot be published", strange_files),
            ("files that vanish or shrink", moving_files),
            ("names that are no names", malformed_names),
            ("names of others", names_of_others),
            ("not enough coins", poverty),
            ("unknown names and CIDs", unknown),
            ("malformed CIDs, amounts, heights", malformed_arguments),
            ("files in the way of get", get_overwrites_nothing),
            ("transactions", transactions),
            ("requests to the admin API", admin_requests),
            ("keys of the configuration", config_keys),
            ("a data folder in use", folder_in_use),
            ("a data folder of another chain", folder_of_another_chain),
            ("ports in use", ports_in_use),
            ("a node that does not run", no_node),
        ],
    )
}

fn strange_files(stage: &Stage) -> Result<()> {
    let home = tempfile::tempdir()?;
    let folder = |name: &str| -> Result<PathBuf> {
        let folder = home.path().join(name);
        tree::write(&folder, "a.txt", b"fine")?;
        Ok(folder)
    };
    let with_pipe = folder("pipe")?;
    ensure!(
        Command::new("mkfifo")
            .arg(with_pipe.join("in.fifo"))
            .status()?
            .success()
    );
    let with_socket = folder("socket")?;
    let _listener = UnixListener::bind(with_socket.join("in.sock"))?;
    let with_bytes = folder("bytes")?;
    fs::write(with_bytes.join(OsStr::from_bytes(b"caf\xe9.txt")), b"Latin-1")?;
    let absent = home.path().join("absent");
    for (path, words) in [
        (&with_pipe, &["in.fifo"][..]),
        (&with_socket, &["in.sock"]),
        (&with_bytes, &["caf", "utf-8"]),
        (&absent, &["absent"]),
        (&PathBuf::from("/dev/null"), &["/dev/null"]),
    ] {
        stage.refused_without_trace(
            &["publish", &path.to_string_lossy(), "--name", "strange.ddn"],
            words,
        )?;
        stage
            .run(&["publish", &path.to_string_lossy(), "--only-hash"])?
            .refused(1, words)?;
    }
    unreadable_file(stage, &folder("closed")?)?;
    let resolved = stage.node.ddn().json(&["resolve", "strange.ddn"])?;
    ensure!(resolved["status"] == "absent", "{resolved}");
    Ok(())
}

/// A file without permissions; root reads it anyway, so root has nothing to try here.
fn unreadable_file(stage: &Stage, folder: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let file = folder.join("secret.txt");
    fs::write(&file, b"x")?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000))?;
    if File::open(&file).is_ok() {
        println!("skipped: unreadable files, root reads everything");
        return Ok(());
    }
    let path = folder.to_string_lossy();
    stage.refused_without_trace(
        &["publish", &path, "--name", "strange.ddn"],
        &["secret.txt", "permission"],
    )
}

/// While the large first file is read, the file behind it vanishes, or the first itself shrinks.
fn moving_files(stage: &Stage) -> Result<()> {
    let home = tempfile::tempdir()?;
    let (large, late) = (home.path().join("a-large.bin"), home.path().join("z-late.txt"));
    for (name, change) in [
        (
            "z-late.txt",
            &(|| fs::remove_file(&late)) as &dyn Fn() -> std::io::Result<()>,
        ),
        ("a-large.bin", &|| {
            File::options().write(true).open(&large)?.set_len(10)
        }),
    ] {
        // Sparse: a gigabyte that costs no disk, and is never read to its end.
        File::create(&large)?.set_len(1 << 30)?;
        fs::write(&late, b"late")?;
        let before = stage.traces()?;
        let client =
            stage
                .node
                .ddn()
                .start(&["publish", &home.path().to_string_lossy(), "--name", "moving.ddn"])?;
        wait_until("the file is being read", AT_ONCE, || {
            Ok(bytes_read(client.pid())? > 1 << 20)
        })?;
        change()?;
        let ran = client.finish(REFUSAL_DEADLINE)?;
        ran.refused(1, &[name])
            .with_context(|| format!("{name} changed"))?;
        ensure!(stage.traces()? == before, "a broken publish left traces");
        let freed = stage.node.ddn().json(&["repo", "gc"])?;
        ensure!(
            number(&freed, "/blocks")? == 0,
            "a broken publish left garbage: {freed}"
        );
    }
    Ok(())
}

/// Bytes that a process has read from anything, by the kernel's count.
fn bytes_read(pid: u32) -> Result<u64> {
    let counts = fs::read_to_string(format!("/proc/{pid}/io"))?;
    let line = counts
        .lines()
        .find_map(|line| line.strip_prefix("rchar: "))
        .context("the count rchar")?;
    Ok(line.parse()?)
}

fn malformed_names(stage: &Stage) -> Result<()> {
    let path = stage.site.path().to_string_lossy();
    let long = format!("{}.ddn", "a".repeat(64));
    for name in [
        "",
        ".",
        "alice",
        "alice.com",
        "-alice.ddn",
        "a_b.ddn",
        "a b.ddn",
        "ab--c.ddn",
        "a..ddn",
        "ddn",
        &long,
    ] {
        for args in [
            &["publish", &path, "--name", name][..],
            &["name", "register", name],
        ] {
            let ran = stage.run(args)?;
            ran.refused(1, &[name]).or_else(|_| ran.refused(2, &[]))?;
        }
    }
    Ok(())
}

fn names_of_others(stage: &Stage) -> Result<()> {
    stage.node.ddn().ok(&["wallet", "new", "carol"])?;
    stage.node.ddn().ok(&["wallet", "send", "carol", "30"])?;
    let path = stage.site.path().to_string_lossy();
    for args in [
        &["publish", &path, "--name", "alice.ddn", "--wallet", "carol"][..],
        &["name", "register", "alice.ddn", "--wallet", "carol"],
        &["name", "set", "alice.ddn", "--txt", "mine", "--wallet", "carol"],
        &[
            "name",
            "set",
            "docs.alice.ddn",
            "--txt",
            "mine",
            "--wallet",
            "carol",
        ],
        &["name", "transfer", "alice.ddn", "carol", "--wallet", "carol"],
        &["name", "release", "alice.ddn", "--yes", "--wallet", "carol"],
    ] {
        stage.run(args)?.refused(1, &["alice", "belongs"])?;
    }
    stage
        .run(&["name", "register", "alice.ddn"])?
        .refused(1, &["alice"])?;
    stage
        .run(&["name", "set", "nobody.ddn", "--txt", "x"])?
        .refused(1, &["nobody"])?;
    stage
        .run(&["asset", "transfer", &stage.cid, "carol", "--wallet", "carol"])?
        .refused(1, &["belongs"])?;
    let page = stage.node.gateway()?.get("alice.ddn", "/")?;
    ensure!(page.text().contains(tree::HEADING), "the name is what it was");
    Ok(())
}

/// `bob` has nothing: each refusal says what it costs and what there is.
fn poverty(stage: &Stage) -> Result<()> {
    let fresh = tempfile::tempdir()?;
    tree::write(fresh.path(), "a", b"poor")?;
    let path = fresh.path().to_string_lossy().into_owned();
    for args in [
        &["publish", &path, "--name", "bobs-own.ddn", "--wallet", "bob"][..],
        &["publish", &path, "--wallet", "bob"],
        &["name", "register", "bobs-own.ddn", "--wallet", "bob"],
        &["wallet", "send", "default", "1", "--wallet", "bob"],
    ] {
        stage.refused_without_trace(args, &["not enough coins", "costs", " 0"])?;
    }
    stage
        .run(&["wallet", "send", "bob", "1000000"])?
        .refused(1, &["not enough coins", "1000000"])?;
    Ok(())
}

fn unknown(stage: &Stage) -> Result<()> {
    for (args, word) in [
        (&["get", "nobody.ddn"][..], "nobody.ddn"),
        (&["get", NOWHERE], NOWHERE),
        (&["get", "alice.ddn/nothing"], "nothing"),
        (&["name", "show", "nobody.ddn"], "nobody.ddn"),
        (&["asset", "show", NOWHERE], NOWHERE),
        (&["asset", "transfer", NOWHERE, "bob"], NOWHERE),
        (&["chain", "tx", NOWHERE], NOWHERE),
        (&["chain", "block", "99999999"], "99999999"),
        (&["wallet", "balance", "nobody"], "nobody"),
        (&["wallet", "export", "nobody"], "nobody"),
        (&["publish", ".", "--wallet", "nobody"], "nobody"),
        (&["wallet", "send", "nobody", "1"], "nobody"),
        (&["repo", "pin", NOWHERE], NOWHERE),
        (&["repo", "export", NOWHERE], NOWHERE),
        (&["repo", "import", "absent.car"], "absent.car"),
    ] {
        let start = Instant::now();
        stage.run(args)?.refused(1, &[word])?;
        ensure!(start.elapsed() < AT_ONCE, "{args:?} took {:?}", start.elapsed());
    }
    let absent = stage.node.ddn().json(&["resolve", "nobody.ddn"])?;
    ensure!(
        absent["status"] == "absent" && number(&absent, "/ttl")? > 0,
        "{absent}"
    );
    let foreign = stage.node.ddn().json(&["resolve", "example.com"])?;
    ensure!(foreign["status"] == "foreign", "{foreign}");
    Ok(())
}

fn malformed_arguments(stage: &Stage) -> Result<()> {
    for args in [
        &["asset", "show", "bafynonsense"][..],
        &["asset", "show", ""],
        &["chain", "tx", "QmNot"],
        &["chain", "block", "-1"],
        &["chain", "block", "first"],
        &["wallet", "send", "bob", "1.123456789"],
        &["wallet", "send", "bob", "-1"],
        &["wallet", "send", "bob", "99999999999999999999"],
        &["publish", ".", "--profile", "unixfs-v9"],
        &["name", "renew", "alice.ddn", "--periods", "0"],
        &["name", "set", "alice.ddn", "--a", "999.1.1.1"],
        &["repo", "pin", "nonsense"],
        &["nonsense"],
        &["publish"],
        &["chain", "status", "--nonsense"],
    ] {
        stage.run(args)?.refused(2, &[])?;
    }
    for args in [
        &["get", "/ipfs/nonsense"][..],
        &["get", "alice.ddn/../x"],
        &["wallet", "new", "Bob Smith"],
        &["wallet", "new", "bob"],
        &["wallet", "send", "dev1nonsense", "1"],
        &["wallet", "send", "bob", "0"],
        &["chain", "proof", "nonsense", "-o", "never"],
        &["name", "register", "free.ddn", "--ttl", "0"],
    ] {
        let ran = stage.run(args)?;
        ran.refused(1, &[]).or_else(|_| ran.refused(2, &[]))?;
    }
    let garbage = tempfile::tempdir()?;
    let (car, seed) = (garbage.path().join("x.car"), garbage.path().join("x.seed"));
    fs::write(&car, tree::noise(10_000, 5))?;
    fs::write(&seed, "abc")?;
    stage
        .run(&["repo", "import", &car.to_string_lossy()])?
        .refused(1, &[])?;
    stage
        .run(&["wallet", "import", "eve", &seed.to_string_lossy()])?
        .refused(1, &["x.seed"])?;
    Ok(())
}

fn get_overwrites_nothing(stage: &Stage) -> Result<()> {
    let home = tempfile::tempdir()?;
    let there = home.path().join("there");
    fs::write(&there, b"precious")?;
    stage
        .run(&["get", "alice.ddn", "-o", &there.to_string_lossy()])?
        .refused(1, &["there", "exists"])?;
    ensure!(fs::read(&there)? == b"precious");
    let below = home.path().join("no/such/folder");
    stage
        .run(&["get", "alice.ddn", "-o", &below.to_string_lossy()])?
        .refused(1, &["no/such"])?;
    let left: Vec<_> = fs::read_dir(home.path())?.collect();
    ensure!(left.len() == 1, "a failed get left {left:?}");
    Ok(())
}

/// Transactions that no honest client sends.
fn transactions(stage: &Stage) -> Result<()> {
    let (admin, bearer) = (stage.node.admin()?, stage.node.bearer()?);
    let fields = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/vnd.ipld.dag-cbor"),
    ];
    let chain = text(stage.node.card(), "/chain_id")?;
    let stranger = SecretKey::from_seed([9; 32]);
    let transfer = |chain: &str, nonce: u64, fee: u64| TxBody {
        chain: chain.to_owned(),
        nonce,
        fee: Amount::from_units(fee),
        action: Action::Transfer {
            to: Address::from_bytes([1; 20]),
            amount: Amount::from_units(1),
        },
    };
    let good = Tx::sign(transfer(&chain, 0, 100_000), &stranger);
    let mut forged = good.clone();
    forged.body.nonce = 1;
    let mut not_strict = good.encode();
    not_strict.push(0);
    for (what, bytes, word) in [
        ("nothing", Vec::new(), ""),
        ("garbage", tree::noise(300, 1), ""),
        ("a large body", tree::noise(900_000, 2), ""),
        ("a byte too much", not_strict, ""),
        ("half", good.encode()[..60].to_vec(), ""),
        (
            "another chain",
            Tx::sign(transfer("elsewhere", 0, 100_000), &stranger).encode(),
            "elsewhere",
        ),
        ("a forged body", forged.encode(), "signature"),
        ("no coins", good.encode(), "coins"),
        (
            "a low fee",
            Tx::sign(transfer(&chain, 0, 1), &stranger).encode(),
            "fee",
        ),
        (
            "a far nonce",
            Tx::sign(transfer(&chain, 1 << 40, 100_000), &stranger).encode(),
            "",
        ),
    ] {
        let reply = admin.send("POST", "localhost", "/v1/chain/txs", &fields, bytes)?;
        ensure!(
            (400..500).contains(&reply.status),
            "{what}: {} {}",
            reply.status,
            reply.text()
        );
        let message = text(&reply.json()?, "/error/message").with_context(|| what.to_owned())?;
        ensure!(
            message.contains(word) && !message.contains('\n'),
            "{what}: {message}"
        );
    }
    Ok(())
}

fn admin_requests(stage: &Stage) -> Result<()> {
    let (admin, bearer) = (stage.node.admin()?, stage.node.bearer()?);
    let json = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    let tar = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/x-tar"),
    ];
    for (path, fields, body) in [
        ("/v1/wallet/new", json, &b"{"[..]),
        ("/v1/wallet/new", json, b"{\"name\":\"x\",\"surprise\":1}"),
        ("/v1/wallet/send", json, b"{\"to\":\"bob\",\"amount\":1.5}"),
        ("/v1/names/alice.ddn/set", json, b"[]"),
        ("/v1/assets/nonsense/tombstone", json, b"{}"),
        ("/v1/assets/verify", json, b"{\"cids\":[]}"),
        ("/v1/publish?profile=nonsense", tar, b""),
        ("/v1/publish?surprise=1", tar, b""),
        ("/v1/repo/import", json, b"garbage"),
        ("/v1/repo/pins/nonsense", json, b""),
    ] {
        let reply = admin.send("POST", "localhost", path, &fields, body.to_vec())?;
        ensure!(
            (400..500).contains(&reply.status),
            "{path}: {} {}",
            reply.status,
            reply.text()
        );
        text(&reply.json()?, "/error/message").with_context(|| path.to_owned())?;
    }
    // A publish whose stream is no tar, or is cut, ends with an error and leaves nothing.
    let before = stage.traces()?;
    for body in [tree::noise(5_000, 6), vec![0; 100], b"x".to_vec(), Vec::new()] {
        let reply = admin.send("POST", "localhost", "/v1/publish", &tar, body)?;
        let last = reply.text();
        let last: Value = serde_json::from_str(last.trim_end().lines().last().unwrap_or_default())
            .context("a last line")?;
        text(&last, "/error/message")?;
    }
    ensure!(stage.traces()? == before, "a broken upload left traces");
    Ok(())
}

fn config_keys(stage: &Stage) -> Result<()> {
    let home = tempfile::tempdir()?;
    for (setting, nearest) in [
        ("gatway.listen=127.0.0.1:0", "gateway.listen"),
        ("gateway.listn=127.0.0.1:0", "gateway.listen"),
        ("dns.ttl=5", "dns.ttl_s"),
    ] {
        let ran = up(&home.path().join("a"), &["--dev", "--set", setting])?;
        let key = setting.split('=').next().unwrap_or_default();
        ran.refused(1, &[key, nearest])
            .or_else(|_| ran.refused(2, &[key, nearest]))?;
    }
    for setting in [
        "gateway.listen=nonsense",
        "gateway.listen",
        "admin.listen=8.8.8.8:1",
        "dns.ttl_s=-1",
        "dns.ttl_s=x",
    ] {
        let ran = up(&home.path().join("a"), &["--dev", "--set", setting])?;
        let key = setting.split('=').next().unwrap_or_default();
        ran.refused(1, &[key]).or_else(|_| ran.refused(2, &[key]))?;
    }
    let file = home.path().join("ddn.toml");
    for (toml, word) in [
        ("[gateway]\nlistn = \"127.0.0.1:1\"\n", "gateway.listen"),
        ("[gatewya]\nlisten = \"127.0.0.1:1\"\n", "gateway"),
        ("[gateway]\nlisten = 5\n", "gateway.listen"),
        ("[gateway\n", "ddn.toml"),
    ] {
        fs::write(&file, toml)?;
        let path = file.to_string_lossy();
        stage
            .run(&["config", "check", &path])?
            .refused(1, &[word])
            .with_context(|| toml.to_owned())?;
        up(&home.path().join("a"), &["--dev", "--config", &path])?.refused(1, &[word])?;
    }
    fs::write(&file, "[gateway]\nlisten = \"127.0.0.1:0\"\n")?;
    stage
        .node
        .ddn()
        .ok(&["config", "check", &file.to_string_lossy()])?;
    ensure!(
        !home.path().join("a/chain").exists(),
        "a refused start makes no chain"
    );
    Ok(())
}

/// `ddn up` that is to end by itself.
fn up(data: &Path, args: &[&str]) -> Result<Ran> {
    let mut command = Command::new(ddn_binary()?);
    command.arg("up").args(args).arg("--data").arg(data);
    Running::start(command)?.finish(REFUSAL_DEADLINE)
}

/// `ddn up` on free ports that is to end by itself.
fn up_on_free_ports(data: &Path, args: &[&str]) -> Result<Ran> {
    let ports = ["gateway", "dns", "admin", "engine"].map(|section| format!("{section}.listen=127.0.0.1:0"));
    let mut all: Vec<&str> = ports.iter().flat_map(|port| ["--set", port]).collect();
    all.extend(args);
    up(data, &all)
}

fn folder_in_use(stage: &Stage) -> Result<()> {
    let data = stage.node.data();
    let ran = up_on_free_ports(&data, &["--dev"])?;
    ran.refused(1, &["in use", &data.to_string_lossy()])?;
    ensure!(
        data.join("node.json").exists(),
        "the running node keeps its node.json"
    );
    stage.node.ddn().ok(&["node", "status"])?;
    Ok(())
}

fn folder_of_another_chain(stage: &Stage) -> Result<()> {
    let mut other = Node::dev()?;
    let theirs = text(other.card(), "/chain_id")?;
    other.stop()?;
    let genesis = stage.node.data().join("genesis.json");
    let ours = text(stage.node.card(), "/chain_id")?;
    let ran = up_on_free_ports(&other.data(), &["--genesis", &genesis.to_string_lossy()])?;
    ran.refused(1, &[&ours, &theirs])?;
    // It still is what it was.
    other.start()?;
    ensure!(text(other.card(), "/chain_id")? == theirs, "{}", other.card());
    let home = tempfile::tempdir()?;
    let garbage = home.path().join("genesis.json");
    fs::write(&garbage, "{\"chain_id\": 5}")?;
    let ran = up_on_free_ports(
        &home.path().join("data"),
        &["--genesis", &garbage.to_string_lossy()],
    )?;
    ran.refused(1, &["genesis.json"])?;
    let ran = up_on_free_ports(&home.path().join("data"), &["--genesis", "/absent/genesis.json"])?;
    ran.refused(1, &["/absent/genesis.json"])?;
    let ran = up_on_free_ports(&home.path().join("data"), &[])?;
    ran.refused(1, &["--dev", "--genesis"])
        .or_else(|_| ran.refused(2, &["--dev", "--genesis"]))?;
    Ok(())
}

fn ports_in_use(_: &Stage) -> Result<()> {
    let home = tempfile::tempdir()?;
    let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let (held, held_udp) = (tcp.local_addr()?, udp.local_addr()?);
    for (section, address) in [
        ("gateway", held),
        ("admin", held),
        ("dns", held),
        ("dns", held_udp),
    ] {
        let setting = format!("{section}.listen={address}");
        let data = home.path().join(format!("{section}{}", address.port()));
        let ran = up_on_free_ports(&data, &["--dev", "--set", &setting])?;
        ran.refused(1, &[section, &address.to_string(), "in use"])?;
        ensure!(
            !data.join("node.json").exists(),
            "{section}: a node that did not start left its node.json"
        );
    }
    Ok(())
}

fn no_node(_: &Stage) -> Result<()> {
    let home = tempfile::tempdir()?;
    let nowhere = Ddn::new(&home.path().join("empty"));
    for args in [
        &["node", "status"][..],
        &["publish", "."],
        &["get", NOWHERE],
        &["wallet", "list"],
        &["chain", "status"],
    ] {
        nowhere.run(args)?.refused(1, &["ddn up"])?;
    }
    let mut node = Node::dev()?;
    node.kill9()?;
    // node.json is still there, and nobody is behind it.
    node.ddn().run(&["node", "status"])?.refused(1, &["ddn up"])?;
    node.ddn().ok(&["repo", "stat"])?;
    Ok(())
}

/// Room for a node and a large file.
const DISK_MIB: u64 = 400;

/// What is left of it for a publish that needs more; the databases have some more room in files that they allocated.
const LEFT_MIB: u64 = 20;

/// The node meets a full disk, says so, goes on serving, and takes the same publish when there is room again.
#[test]
fn a_full_disk_is_said_and_survived() -> Result<()> {
    let Some(disk) = Disk::new(DISK_MIB)? else {
        return Ok(());
    };
    let mut node = Node::launch(disk.launch())?;
    let small = tempfile::tempdir()?;
    tree::site(small.path())?;
    publish(&node, small.path(), "small.ddn")?;

    let large = tempfile::tempdir()?;
    tree::write(large.path(), "large.bin", &tree::noise(120 << 20, 8))?;
    let path = large.path().to_string_lossy().into_owned();
    disk.fill(LEFT_MIB)?;
    let ran = node.ddn().run(&["publish", &path, "--name", "large.ddn"])?;
    println!("on a full disk: {}", ran.stderr.trim_end());
    ran.refused(1, &["space"])?;

    println!(
        "its state then: {}",
        node.ddn()
            .run(&["node", "status"])?
            .stdout
            .lines()
            .nth(1)
            .unwrap_or_default()
    );
    disk.free()?;
    if node.alive()? {
        let page = node.gateway()?.get("small.ddn", "/")?;
        ensure!(
            page.status == 200 && page.text().contains(tree::HEADING),
            "{}",
            page.status
        );
    }
    // The store stops writing after a failed write, and says that it wants a restart.
    if node.ddn().run(&["publish", &path, "--name", "large.ddn"])?.code != Some(0) {
        println!("room alone was not enough: {}", node.log_tail());
        match node.alive()? {
            true => node.restart()?,
            false => node.start()?,
        }
        publish(&node, large.path(), "large.ddn").context("the same publish after room was made")?;
    }
    node.ddn().ok(&["repo", "verify"])?;
    let freed = node.ddn().json(&["repo", "gc"])?;
    ensure!(
        number(&freed, "/blocks")? == 0,
        "a failed publish left garbage: {freed}"
    );
    let page = node.gateway()?.get("small.ddn", "/")?;
    ensure!(
        page.status == 200 && page.text().contains(tree::HEADING),
        "{}",
        page.status
    );
    let status = node.ddn().json(&["chain", "status"])?;
    ensure!(status["supply"] == status["accounted"], "{status}");
    Ok(())
}
