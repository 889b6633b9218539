//! Nodes that stand for election, are voted for and decide blocks; and one that falls silent, loses its seat, and comes
//! back.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testkit::{Ddn, Launch, Node, wait_until};

use crate::{number, text};

/// Blocks in a round, of a second each.
const ROUND: u64 = 5;
/// Who registers sits two rounds later at most; its node begins anew meanwhile.
const SEATED_DEADLINE: Duration = Duration::from_secs(90);

/// A chain of two seats, one of which nobody has yet.
fn first(home: &std::path::Path, engines: [SocketAddr; 2]) -> Result<(Launch, String)> {
    let genesis = home.join("genesis.json");
    let path = genesis.to_string_lossy().into_owned();
    let data = home.join("first");
    let delegate = format!("{}@{}", data.display(), engines[0]);
    let init = [
        "chain",
        "init",
        "two",
        "--preset",
        "dev",
        "-o",
        &path,
        "--delegate",
        &delegate,
    ];
    Ddn::new(&home.join("nowhere")).ok(&init)?;
    let mut rules: Value = serde_json::from_slice(&fs::read(&genesis)?)?;
    rules["seats"] = 2.into();
    rules["election"]["round"] = ROUND.into();
    rules["election"]["jail_rounds"] = 1.into();
    fs::write(&genesis, serde_json::to_vec(&rules)?)?;
    let args = [
        "--genesis",
        &path,
        "--set",
        &format!("engine.listen={}", engines[0]),
    ];
    let launch = Launch {
        data: Some(data),
        args: args.map(str::to_owned).to_vec(),
        ..Launch::default()
    };
    Ok((launch, path))
}

fn delegates(node: &Node) -> Result<Vec<Value>> {
    let list = node.ddn().json(&["delegate", "list"])?;
    Ok(list["delegates"]
        .as_array()
        .context("a list of delegates")?
        .clone())
}

#[test]
fn who_is_voted_for_decides_blocks_and_who_is_gone_loses_the_seat() -> Result<()> {
    let home = tempfile::tempdir()?;
    let held: Vec<TcpListener> = (0..2)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .collect::<Result<_, _>>()?;
    let engines = [held[0].local_addr()?, held[1].local_addr()?];
    drop(held);
    let (launch, _genesis) = first(home.path(), engines)?;
    let first = Node::launch(launch)?;
    let mut args = first.invitation()?;
    args.extend(["--set".to_owned(), format!("engine.listen={}", engines[1])]);
    let second = Node::launch(Launch {
        args,
        ..Launch::default()
    })?;

    let engine = engines[1].to_string();
    let poor = second
        .ddn()
        .run(&["delegate", "register", &engine, "--stake", "1"])?;
    poor.failed(1, &["at least 10 coins"])?;
    second
        .ddn()
        .json(&["delegate", "register", &engine, "--stake", "20"])?;
    let standing = delegates(&first)?;
    let mine = standing
        .iter()
        .find(|one| text(one, "/own").is_ok_and(|own| own == "2000000000"));
    let mine = mine.filter(|one| one["here"] == false).context("the other's")?;
    ensure!(mine["standing"] == "candidate", "{mine}");
    let (address, key) = (text(mine, "/address")?, text(mine, "/key")?);
    // From its round on, a block needs both: the second node begins anew, and they go on.
    let voted = first.ddn().json(&["delegate", "vote", &key, "30"]);
    voted.with_context(|| format!("{}\n{}", first.log_tail(), second.log_tail()))?;
    let listed = delegates(&first)?;
    let mine = listed
        .iter()
        .find(|one| one["address"] == address.as_str())
        .context("it")?;
    ensure!(text(mine, "/votes")? == "5000000000", "{mine}");

    // Each makes blocks, with reveals, and both sign them.
    let made = wait_until("it makes a block", SEATED_DEADLINE, || {
        let height = number(&first.ddn().json(&["chain", "status"])?, "/height")?;
        let block = first.ddn().json(&["chain", "block", &height.to_string()])?;
        Ok(block.to_string().contains(&address))
    });
    made.with_context(|| format!("{}\n{}", first.log_tail(), second.log_tail()))?;
    // A bundle proves the change of the set with nothing but the genesis.
    let proof = home.path().join("proof");
    let place = proof.to_string_lossy().into_owned();
    first.ddn().json(&["chain", "proof", &address, "-o", &place])?;
    let genesis = first.data().join("genesis.json").to_string_lossy().into_owned();
    let verified =
        Ddn::new(&home.path().join("nowhere")).run(&["chain", "verify", &place, "--genesis", &genesis])?;
    verified.ok()?;
    Ok(())
}
