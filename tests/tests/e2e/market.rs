//! What owners say of their content, how others find it, and buy a licence; and names that nobody can have.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testkit::{Node, tree};

use crate::paid::{balance, fee, units};
use crate::{number, text};

/// The CIDs in a list of assets.
fn found(node: &Node, args: &[&str]) -> Result<Vec<String>> {
    let list = node.ddn().json(&[&["asset", "list"], args].concat())?;
    let assets = list["assets"].as_array().context("a list of assets")?;
    assets.iter().map(|asset| text(asset, "/cid")).collect()
}

#[test]
fn content_is_found_by_tag_name_and_hash_and_a_licence_is_bought() -> Result<()> {
    let seller = Node::dev()?;
    let folder = tempfile::tempdir()?;
    let publish = |file: &str, args: &[&str]| -> Result<String> {
        tree::write(folder.path(), file, file.as_bytes())?;
        let path = folder.path().join(file).to_string_lossy().into_owned();
        let published = seller.ddn().json(&[&["publish", &path], args].concat())?;
        text(&published, "/cid")
    };
    let offer = [
        "--name",
        "harbour.ddn",
        "--title",
        "The harbour",
        "--tag",
        "photo,harbour",
        "--licence",
        "CC-BY-4.0",
        "--price",
        "2.5",
    ];
    let photo = publish("photo.jpg", &offer)?;
    let other = publish("other.txt", &["--tag", "photo"])?;
    let buyer = Node::joining(&seller)?;

    let mut both = vec![photo.clone(), other.clone()];
    both.sort();
    let mut tagged = found(&buyer, &["--tag", "photo"])?;
    tagged.sort();
    ensure!(tagged == both, "{tagged:?}");
    for args in [
        ["--tag", "harbour"],
        ["--name", "harbour.ddn"],
        ["--hash", &photo],
    ] {
        let found = found(&buyer, &args)?;
        ensure!(found == [photo.clone()], "{args:?}: {found:?}");
    }
    ensure!(found(&buyer, &["--tag", "nothing"])?.is_empty());

    let refused = buyer.ddn().run(&["asset", "license", &other, "--yes"])?;
    refused.failed(1, &[&other, "no licence"])?;
    let refused = buyer
        .ddn()
        .run(&["asset", "license", &photo, "--max", "2", "--yes"])?;
    refused.failed(1, &["2.5 coins", "--max"])?;
    let (before, fee) = (balance(&seller)?, fee(&seller)?);
    let paid = balance(&buyer)?;
    let bought = buyer.ddn().json(&["asset", "license", &photo, "--yes"])?;
    ensure!(number(&bought, "/height")? > 0, "{bought}");
    ensure!(
        balance(&buyer)? == paid - 250_000_000 - fee,
        "{paid} then {}",
        balance(&buyer)?
    );
    ensure!(
        balance(&seller)? == before + 250_000_000,
        "{before} then {}",
        balance(&seller)?
    );
    let again = buyer.ddn().run(&["asset", "license", &photo, "--yes"])?;
    again.failed(1, &["licence", &photo])?;

    seller
        .ddn()
        .json(&["asset", "set", &photo, "--tag", "sold", "--no-price"])?;
    ensure!(
        found(&seller, &["--tag", "harbour"])?.is_empty(),
        "the index follows"
    );
    let shown = seller.ddn().json(&["asset", "show", &photo])?;
    ensure!(
        shown["tags"] == serde_json::json!(["sold"]) && shown["price"] == Value::Null,
        "{shown}"
    );
    ensure!(
        shown["title"] == "The harbour",
        "what is not given stays: {shown}"
    );
    let status = seller.ddn().json(&["chain", "status"])?;
    ensure!(
        units(&status, "/supply")? == units(&status, "/accounted")?,
        "{status}"
    );
    Ok(())
}

#[test]
fn a_reserved_name_is_refused_before_anything_is_stored() -> Result<()> {
    let node = Node::dev()?;
    let folder = tempfile::tempdir()?;
    tree::write(folder.path(), "index.html", b"<p>hello")?;
    let path = folder.path().to_string_lossy().into_owned();
    for args in [
        vec!["name", "register", "ipfs.ddn"],
        vec!["publish", &path, "--name", "ipfs.ddn"],
    ] {
        let refused = node.ddn().run(&args)?;
        refused.failed(1, &["ipfs.ddn", "reserved"])?;
    }
    let pins = node.ddn().json(&["repo", "pins"])?;
    ensure!(pins["pins"].as_array().is_some_and(Vec::is_empty), "{pins}");
    Ok(())
}
