//! What a delivery costs, who gets it, and how it is proved to somebody who has only the genesis.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testkit::{Ddn, Launch, Node, tree, wait_until};

use crate::story::comes_back;
use crate::{number, publish, text};

/// A block of a dev chain takes about a second.
const BLOCK_DEADLINE: Duration = Duration::from_secs(30);

/// Long enough for the last voucher of a session that nobody reads from any more.
const IDLE_DEADLINE: Duration = Duration::from_secs(20);

/// Units per MiB that a node asks unless told otherwise: 0.0001 coins.
const PRICE: u64 = 10_000;

#[test]
fn a_delivery_is_paid_claimed_and_proved() -> Result<()> {
    let first = Node::dev()?;
    let site = tempfile::tempdir()?;
    tree::site(site.path())?;
    publish(&first, site.path(), "alice.ddn")?;
    let second = Node::joining(&first)?;
    comes_back(&second, "alice.ddn", site.path())?;

    let bytes = settled_bytes(&first)?;
    let price = (bytes * PRICE).div_ceil(1 << 20);
    let earned = first.ddn().json(&["earn", "status"])?;
    ensure!(
        units(&earned, "/earned")? == price,
        "{bytes} bytes cost {price}: {earned}"
    );
    ensure!(
        units(&earned, "/unclaimed")? == price && units(&earned, "/claimed")? == 0,
        "{earned}"
    );

    ensure!(number(&earned, "/month_bytes")? >= bytes, "{earned}");

    let (payee, escrow) = (balance(&first)?, escrowed(&second)?);
    let claimed = first.ddn().json(&["earn", "claim"])?;
    let fees = number(&claimed, "/transactions")? * fee(&first)?;
    // The only delegate gets the fees of all transactions on an account of its own, so a balance moves by the claim alone.
    ensure!(
        balance(&first)? == payee + price - fees,
        "{} then {}",
        payee,
        balance(&first)?
    );
    let height = number(&claimed, "/height")?;
    wait_until("the payer sees the claim", BLOCK_DEADLINE, || {
        Ok(number(&second.ddn().json(&["chain", "status"])?, "/height")? >= height)
    })?;
    ensure!(
        escrowed(&second)? == escrow - price,
        "{escrow} then {}",
        escrowed(&second)?
    );
    for node in [&first, &second] {
        let status = node.ddn().json(&["chain", "status"])?;
        ensure!(status["supply"] == status["accounted"], "{status}");
    }
    let earned = first.ddn().json(&["earn", "status"])?;
    ensure!(
        units(&earned, "/unclaimed")? == 0 && units(&earned, "/claimed")? == price,
        "{earned}"
    );

    // A second claim has nothing to say, and nothing was lost by asking.
    let again = first.ddn().json(&["earn", "claim"])?;
    ensure!(number(&again, "/transactions")? == 0, "{again}");
    proved_elsewhere(&first, bytes)
}

/// A reader pays an edge, which had to pay the origin for what it lacked; each of these deliveries has a share for the owner,
/// and one for the origin, exactly.
#[test]
fn what_is_earned_is_shared_with_owner_and_origin() -> Result<()> {
    const ORIGIN_PRICE: u64 = 100_000;
    const EDGE_PRICE: u64 = 30_000;
    let asking = |price: &str| ["--set".to_owned(), format!("delivery.price={price}")];
    let launch = |args: Vec<String>| {
        Node::launch(Launch {
            args,
            ..Launch::default()
        })
    };
    let origin = launch(["--dev".to_owned()].into_iter().chain(asking("0.001")).collect())?;
    let site = tempfile::tempdir()?;
    let file: Vec<u8> = (0..5 << 17).flat_map(|at: u64| at.to_le_bytes()).collect();
    tree::write(site.path(), "file.bin", &file)?;
    for args in [
        ["wallet", "new", "owner"].as_slice(),
        &["wallet", "send", "owner", "50"],
    ] {
        origin.ddn().json(args)?;
    }
    let path = site.path().to_string_lossy();
    let published = [
        "--name",
        "alice.ddn",
        "--wallet",
        "owner",
        "--share",
        "owner=10,default=2.5",
    ];
    let published = origin
        .ddn()
        .json(&[["publish", &path].as_slice(), &published].concat())?;
    let shown = origin.ddn().run(&["asset", "show", &text(&published, "/cid")?])?;
    ensure!(
        shown.stdout.contains("10 % to its owner, 2.50 % to dev1"),
        "{shown:?}"
    );

    let invitation = origin.invitation()?;
    let joining = |more: &[String]| launch([&invitation, more].concat());
    let edge = joining(&asking("0.0003"))?;
    comes_back(&edge, "alice.ddn", site.path())?;
    // Who pays no more than the edge asks has nobody else.
    let reader = joining(&["--set".to_owned(), "delivery.price_max=0.0003".to_owned()])?;
    comes_back(&reader, "alice.ddn", site.path())?;

    let cost = |bytes: u64, price: u64| (bytes * price).div_ceil(1 << 20);
    let missed = cost(settled_bytes(&origin)?, ORIGIN_PRICE);
    let hit = cost(settled_bytes(&edge)?, EDGE_PRICE);
    let [of_owner, of_origin] = [1_000, 250].map(|points| move |paid: u64| paid * points / 10_000);
    let owner = || {
        let owner = origin.ddn().json(&["wallet", "balance", "owner"])?;
        units(&owner, "/balance")
    };
    let before = [owner()?, balance(&origin)?, balance(&edge)?];
    for (node, paid) in [(&origin, missed), (&edge, hit)] {
        let claimed = node.ddn().json(&["earn", "claim"])?;
        let shared = of_owner(paid) + of_origin(paid);
        ensure!(
            units(&claimed, "/amount")? == paid - shared && units(&claimed, "/shared")? == shared,
            "{paid} paid: {claimed}"
        );
        let height = number(&claimed, "/height")?;
        wait_until("the origin sees the claim", BLOCK_DEADLINE, || {
            Ok(number(&origin.ddn().json(&["chain", "status"])?, "/height")? >= height)
        })?;
    }
    let fee = fee(&origin)?;
    let after = [owner()?, balance(&origin)?, balance(&edge)?];
    let expected = [
        before[0] + of_owner(missed) + of_owner(hit),
        before[1] + missed - of_owner(missed) + of_origin(hit) - fee,
        before[2] + hit - of_owner(hit) - of_origin(hit) - fee,
    ];
    ensure!(
        after == expected,
        "{before:?} then {after:?}, expected {expected:?}"
    );
    let status = origin.ddn().json(&["chain", "status"])?;
    ensure!(status["supply"] == status["accounted"], "{status}");
    let paying = reader.ddn().json(&["pay", "status"])?;
    let payee = &paying["escrows"][0]["payees"][0];
    ensure!(payee["asset"] == published["cid"], "{paying}");
    Ok(())
}

/// Nobody asks for it: what is worth twenty fees is claimed after a while.
#[test]
fn what_was_earned_is_claimed_by_itself() -> Result<()> {
    // A MiB is worth ten fees.
    let args = [
        "--dev",
        "--set",
        "delivery.price=0.01",
        "--set",
        "delivery.claim_every_s=1",
    ];
    let first = Node::launch(Launch {
        args: args.map(str::to_owned).to_vec(),
        ..Launch::default()
    })?;
    let site = tempfile::tempdir()?;
    let file: Vec<u8> = (0..4 << 17).flat_map(|at: u64| at.to_le_bytes()).collect();
    tree::write(site.path(), "file.bin", &file)?;
    publish(&first, site.path(), "alice.ddn")?;
    let second = Node::joining(&first)?;
    comes_back(&second, "alice.ddn", site.path())?;
    let worth = 20 * fee(&first)?;
    let mut last = Value::Null;
    let claimed = wait_until("it is claimed", BLOCK_DEADLINE, || {
        last = first.ddn().json(&["earn", "status"])?;
        let (earned, claimed) = (units(&last, "/earned")?, units(&last, "/claimed")?);
        let is_all_here = units(&last, "/owed")? == 0 && earned >= 4_000_000;
        // What is worth less waits for more.
        Ok(is_all_here && claimed >= worth && earned - claimed < worth)
    });
    claimed.with_context(|| format!("{last}\n{}", first.log_tail()))
}

/// Readers of a name that has cost enough for a day are told that it cannot be had, and nothing of coins.
#[test]
fn a_name_costs_no_more_in_a_day_than_it_may() -> Result<()> {
    let maker = Node::launch(Launch {
        args: ["--dev", "--set", "delivery.price=0.01"]
            .map(str::to_owned)
            .to_vec(),
        ..Launch::default()
    })?;
    let mut args = maker.invitation()?;
    args.extend(["--set", "delivery.budget_day_name=0.04"].map(str::to_owned));
    let node = Node::launch(Launch {
        args,
        ..Launch::default()
    })?;
    for (name, mib) in [("alice.ddn", [4, 6]), ("bob.ddn", [1, 2])] {
        let site = tempfile::tempdir()?;
        for (file, mib) in ["a.bin", "b.bin"].into_iter().zip(mib) {
            let seed = u64::from(name.as_bytes()[0]) << 32 | mib << 40;
            let bytes: Vec<u8> = (seed..seed + (mib << 17)).flat_map(u64::to_le_bytes).collect();
            tree::write(site.path(), file, &bytes)?;
        }
        publish(&maker, site.path(), name)?;
    }
    let mut status = 0;
    wait_until("the name is here", BLOCK_DEADLINE, || {
        status = node.gateway()?.get("alice.ddn", "/a.bin")?.status;
        Ok(status == 200)
    })
    .with_context(|| format!("{status}"))?;
    let refused = node.gateway()?.get("alice.ddn", "/b.bin")?;
    ensure!(refused.status >= 500, "{}", refused.status);
    ensure!(!refused.text().contains("coins"), "{}", refused.text());
    let folder = tempfile::tempdir()?;
    let place = folder.path().join("b.bin");
    let said = node
        .ddn()
        .run(&["get", "alice.ddn/b.bin", "-o", &place.to_string_lossy()])?;
    said.failed(1, &["0.04 coins were spent today on what is read as alice.ddn"])?;
    ensure!(
        node.gateway()?.get("bob.ddn", "/b.bin")?.status == 200,
        "another name"
    );
    let spent = node.ddn().json(&["pay", "status"])?;
    ensure!(units(&spent, "/spent_today")? >= 6_000_000, "{spent}");
    ensure!(
        node.gateway()?.get("alice.ddn", "/a.bin")?.status == 200,
        "what is here costs nothing"
    );
    Ok(())
}

/// What comes by HTTP is paid by the same rule, and what is here already costs nothing.
#[test]
fn what_is_here_already_costs_nothing() -> Result<()> {
    let first = Node::dev()?;
    let site = tempfile::tempdir()?;
    tree::site(site.path())?;
    publish(&first, site.path(), "alice.ddn")?;
    let second = Node::joining(&first)?;
    for path in ["/", "/style.css", "/files/film.mp4", "/docs/"] {
        let reply = second.gateway()?.get("alice.ddn", path)?;
        ensure!(reply.status == 200, "{path}: {} {}", reply.status, reply.text());
    }
    let bytes = settled_bytes(&first)?;
    let earned = units(&first.ddn().json(&["earn", "status"])?, "/earned")?;
    ensure!(
        earned == (bytes * PRICE).div_ceil(1 << 20),
        "{bytes} bytes for {earned}"
    );
    comes_back(&second, "alice.ddn", site.path())?;
    let all = settled_bytes(&first)?;
    ensure!(all > bytes, "the rest of the tree came: {bytes} then {all}");
    comes_back(&second, "alice.ddn", site.path())?;
    ensure!(settled_bytes(&first)? == all, "nothing came twice");
    let earned = units(&first.ddn().json(&["earn", "status"])?, "/earned")?;
    ensure!(
        earned == (all * PRICE).div_ceil(1 << 20),
        "{all} bytes for {earned}"
    );
    Ok(())
}

/// What an edge says on the ledger is what it asks.
#[test]
fn a_registered_price_is_what_is_asked() -> Result<()> {
    let first = Node::dev()?;
    let site = tempfile::tempdir()?;
    tree::site(site.path())?;
    publish(&first, site.path(), "alice.ddn")?;
    first.ddn().ok(&["edge", "register", "--price", "0.0005"])?;
    let asked = 5 * PRICE;
    wait_until("the edge asks what it registered", BLOCK_DEADLINE, || {
        Ok(units(&first.ddn().json(&["earn", "status"])?, "/price")? == asked)
    })?;
    let second = Node::joining(&first)?;
    comes_back(&second, "alice.ddn", site.path())?;
    let bytes = settled_bytes(&first)?;
    let earned = units(&first.ddn().json(&["earn", "status"])?, "/earned")?;
    ensure!(
        earned == (bytes * asked).div_ceil(1 << 20),
        "{bytes} bytes for {earned}"
    );
    Ok(())
}

/// A third machine that has only the genesis.
fn proved_elsewhere(payee: &Node, bytes: u64) -> Result<()> {
    let receipts = payee.ddn().json(&["earn", "receipts"])?;
    let receipts = receipts["receipts"].as_array().context("a list of receipts")?;
    let all: u64 = receipts
        .iter()
        .map(|one| number(one, "/bytes"))
        .sum::<Result<u64>>()?;
    ensure!(all == bytes, "receipts over {all} of {bytes} bytes");
    let third = tempfile::tempdir()?;
    let (genesis, proof) = (third.path().join("genesis.json"), third.path().join("delivery"));
    fs::copy(payee.data().join("genesis.json"), &genesis)?;
    let id = text(receipts.first().context("a receipt")?, "/id")?;
    payee
        .ddn()
        .ok(&["earn", "receipts", "--proof", &id, "-o", &proof.to_string_lossy()])?;
    let verify = |file: &Path| {
        Ddn::new(&third.path().join("nothing")).run(&[
            "chain",
            "verify",
            &file.to_string_lossy(),
            "--genesis",
            &genesis.to_string_lossy(),
            "--json",
        ])
    };
    let proven = verify(&proof)?;
    proven.ok()?;
    ensure!(proven.stdout.contains(&id), "{}", proven.stdout);
    let good = fs::read(&proof)?;
    for place in (0..good.len()).step_by(good.len() / 16) {
        let mut bad = good.clone();
        bad[place] ^= 1;
        let file = third.path().join("damaged");
        fs::write(&file, bad)?;
        let ran = verify(&file)?;
        ensure!(
            ran.code == Some(1),
            "byte {place} flipped: {:?} {}",
            ran.code,
            ran.stdout
        );
    }
    Ok(())
}

/// Bytes that the node delivered, once all of them are paid.
fn settled_bytes(payee: &Node) -> Result<u64> {
    wait_until("the last voucher", IDLE_DEADLINE, || {
        let status = payee.ddn().json(&["earn", "status"])?;
        Ok(units(&status, "/owed")? == 0 && units(&status, "/earned")? > 0)
    })?;
    number(&payee.ddn().json(&["earn", "status"])?, "/bytes")
}

pub fn balance(node: &Node) -> Result<u64> {
    units(&node.ddn().json(&["wallet", "balance"])?, "/balance")
}

/// What is in all escrows of the node.
fn escrowed(node: &Node) -> Result<u64> {
    let status = node.ddn().json(&["pay", "status"])?;
    let escrows = status["escrows"].as_array().context("a list of escrows")?;
    ensure!(escrows.len() == 1, "{status}");
    units(&escrows[0], "/balance")
}

pub fn fee(node: &Node) -> Result<u64> {
    let genesis: Value = serde_json::from_slice(&fs::read(node.data().join("genesis.json"))?)?;
    units(&genesis, "/fee")
}

/// Amounts are decimal strings of base units.
pub fn units(document: &Value, pointer: &str) -> Result<u64> {
    text(document, pointer)?
        .parse()
        .with_context(|| format!("{pointer} of {document}"))
}
