//! The chain as others begin with it, and as other chains know it: checkpoints, snapshots, backups, anchors.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use testkit::{Ddn, Launch, Node, Ran, tree};

use crate::others::chain;
use crate::{number, publish, text};

fn path(home: impl AsRef<Path>, name: &str) -> String {
    home.as_ref().join(name).to_string_lossy().into_owned()
}

fn height(node: &Node) -> Result<u64> {
    number(&node.ddn().json(&["chain", "status"])?, "/height")
}

/// A program without a node or a data folder.
fn elsewhere(home: &Path) -> Ddn {
    Ddn::new(&home.join("nowhere"))
}

#[test]
fn a_name_of_a_chain_that_the_verifier_does_not_follow_is_proved_through_one_that_it_does() -> Result<()> {
    let home = tempfile::tempdir()?;
    let other = tempfile::tempdir()?;
    let (main, side) = (cheap(other.path())?, chain(home.path(), "mmt")?);
    let site = tempfile::tempdir()?;
    tree::site(site.path())?;
    let cid = text(&publish(&side, site.path(), "alice.mmt")?, "/cid")?;
    let (of, main_dir) = (
        side.data().to_string_lossy().into_owned(),
        main.data().to_string_lossy().into_owned(),
    );

    // Unknown, then registered, and only once.
    let unknown = main.ddn().run(&["chain", "anchor", "--of", &of])?;
    unknown.failed(1, &["does not follow the chain mmt-1", "ddn chain register"])?;
    main.ddn().json(&["chain", "register", "--of", &of])?;
    let again = main.ddn().run(&["chain", "register", "--of", &of])?;
    again.failed(1, &["mmt-1"])?;
    let third = tempfile::tempdir()?;
    let pretender = chain_of(third.path(), "other-1", "mmt")?;
    let second = main
        .ddn()
        .run(&["chain", "register", "--of", &pretender.data().to_string_lossy()])?;
    second.failed(1, &["the TLD 'mmt'", "mmt-1"])?;

    let early = side.ddn().run(&[
        "chain",
        "proof",
        "alice.mmt",
        "-o",
        &path(home.path(), "p"),
        "--through",
        &main_dir,
    ])?;
    early.failed(1, &["no header of mmt-1 is anchored"])?;
    main.ddn().json(&["chain", "anchor", "--of", &of])?;
    let list = main.ddn().json(&["chain", "list"])?;
    let known = &list["chains"][0];
    ensure!(
        known["chain_id"] == "mmt-1" && known["tld"] == "mmt" && known["forked"].is_null(),
        "{list}"
    );

    // Proved to who has the genesis of the main chain alone.
    let file = path(home.path(), "alice.proof");
    let genesis = path(main.data(), "genesis.json");
    side.ddn()
        .json(&["chain", "proof", "alice.mmt", "-o", &file, "--through", &main_dir])?;
    let proven = elsewhere(home.path()).json(&["chain", "verify", &file, "--genesis", &genesis])?;
    ensure!(
        proven["chain_id"] == "mmt-1" && proven["through"]["tld"] == "mmt" && proven["exists"] == true,
        "{proven}"
    );
    // Under the name that it has on its own chain, and no other.
    ensure!(proven["content"] == json!({ "alice.mmt": cid }), "{proven}");
    let absent = path(home.path(), "nobody.proof");
    side.ddn().json(&[
        "chain",
        "proof",
        "nobody.mmt",
        "-o",
        &absent,
        "--through",
        &main_dir,
    ])?;
    let proven = elsewhere(home.path()).json(&["chain", "verify", &absent, "--genesis", &genesis])?;
    ensure!(proven["exists"] == false, "{proven}");
    // Not by the other chain's own genesis: it does not know the main chain.
    let wrong = elsewhere(home.path()).run(&[
        "chain",
        "verify",
        &file,
        "--genesis",
        &path(side.data(), "genesis.json"),
    ])?;
    wrong.failed(1, &["chain"])?;
    Ok(())
}

/// A node of a chain where a TLD costs little.
fn cheap(home: &Path) -> Result<Node> {
    let (data, genesis) = (path(home, "main"), path(home, "main.json"));
    elsewhere(home).ok(&[
        "chain",
        "init",
        "main-1",
        "--preset",
        "dev",
        "--delegate",
        &data,
        "-o",
        &genesis,
    ])?;
    let mut rules: Value = serde_json::from_slice(&fs::read(&genesis)?)?;
    rules["rent"]["max_periods"] = 1.into();
    fs::write(&genesis, serde_json::to_vec(&rules)?)?;
    Node::launch(Launch {
        args: vec!["--genesis".into(), genesis],
        data: Some(data.into()),
        ..Launch::default()
    })
}

/// A node of a one-seat chain with an id and a TLD.
fn chain_of(home: &Path, id: &str, tld: &str) -> Result<Node> {
    let (data, genesis) = (path(home, "node"), path(home, "genesis.json"));
    elsewhere(home).ok(&[
        "chain",
        "init",
        id,
        "--preset",
        "dev",
        "--tld",
        tld,
        "--delegate",
        &data,
        "-o",
        &genesis,
    ])?;
    Node::launch(Launch {
        args: vec!["--genesis".into(), genesis],
        data: Some(data.into()),
        ..Launch::default()
    })
}

#[test]
fn a_checkpoint_is_trusted_instead_of_the_genesis() -> Result<()> {
    let home = tempfile::tempdir()?;
    let node = Node::dev()?;
    let (trusted, later) = (
        path(home.path(), "trusted.json"),
        path(home.path(), "later.proof"),
    );
    node.ddn().json(&["chain", "checkpoint", "-o", &trusted])?;
    let site = tempfile::tempdir()?;
    tree::site(site.path())?;
    publish(&node, site.path(), "alice.ddn")?;
    node.ddn().json(&["chain", "proof", "alice.ddn", "-o", &later])?;
    let genesis = path(node.data(), "genesis.json");
    let nowhere = elsewhere(home.path());
    let verify = |args: &[&str]| -> Result<Ran> {
        let fixed = ["chain", "verify", &later, "--genesis", &genesis];
        nowhere.run(&[&fixed[..], args].concat())
    };
    let told = verify(&["--checkpoint", &trusted])?;
    told.ok()?;
    ensure!(
        told.stdout.contains("proven, from this checkpoint on"),
        "{}",
        told.story()
    );

    // One of a later height proves nothing of an earlier one.
    let newer = path(home.path(), "newer.json");
    node.ddn().json(&["chain", "checkpoint", "-o", &newer])?;
    verify(&["--checkpoint", &newer])?.failed(1, &["later"])?;
    fs::write(&newer, "{}")?;
    verify(&["--checkpoint", &newer])?.failed(1, &["newer.json"])?;
    Ok(())
}

#[test]
fn a_node_begins_with_a_snapshot_or_a_backup() -> Result<()> {
    let home = tempfile::tempdir()?;
    let first = Node::dev()?;
    let site = tempfile::tempdir()?;
    tree::site(site.path())?;
    let cid = text(&publish(&first, site.path(), "alice.ddn")?, "/cid")?;
    let (file, genesis) = (path(home.path(), "state.ddn"), path(first.data(), "genesis.json"));
    first.ddn().json(&["chain", "snapshot", "-o", &file])?;
    let taken = first.ddn().run(&["chain", "snapshot", "-o", &file])?;
    taken.failed(1, &["exists already"])?;

    let begun = home.path().join("begun");
    let restored = Ddn::new(&begun).json(&["chain", "restore", &file, "--genesis", &genesis])?;
    let from = number(&restored, "/height")?;
    Ddn::new(&begun)
        .run(&["chain", "restore", &file, "--genesis", &genesis])?
        .failed(1, &["there is a chain already"])?;
    goes_on(&first, &begun, from, &cid)?;

    // Damage anywhere is no chain.
    let mut bytes = fs::read(&file)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let (bad, empty) = (path(home.path(), "bad.ddn"), home.path().join("empty"));
    fs::write(&bad, bytes)?;
    Ddn::new(&empty)
        .run(&["chain", "restore", &bad, "--genesis", &genesis])?
        .failed(1, &["bad.ddn"])?;
    ensure!(!empty.join("chain").exists());

    let copy = home.path().join("copy");
    let backed = first.ddn().json(&["chain", "backup", &copy.to_string_lossy()])?;
    goes_on(&first, &copy, number(&backed, "/height")?, &cid)
}

/// A follower that begins in `data` knows what was known at `from` before it hears of anybody, and follows.
fn goes_on(first: &Node, data: &Path, from: u64, cid: &str) -> Result<()> {
    let node = Node::launch(Launch {
        data: Some(data.to_owned()),
        args: first.invitation()?,
        ..Launch::default()
    })?;
    ensure!(height(&node)? >= from && from > 0);
    let found: Value = node.ddn().json(&["resolve", "alice.ddn"])?;
    ensure!(found.to_string().contains(cid), "{found}");
    let status = node.ddn().json(&["chain", "status"])?;
    ensure!(status["supply"] == status["accounted"], "{status}");
    Ok(())
}
