//! A private network of whole nodes: whoever has its key reads what is published in it, nobody else gets in, and both sides
//! are told why.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use testkit::{Launch, Node, tree, wait_until};

use crate::publish;
use crate::second::refused_to_join;
use crate::story::comes_back;

/// A refusal is at once; this machine may be busy.
const SEEN_DEADLINE: Duration = Duration::from_secs(30);

/// The setting for a key of a private network, written into `folder`.
fn key(folder: &Path, digits: &str) -> Result<[String; 2]> {
    let file = folder.join(digits);
    fs::write(
        &file,
        format!("/key/swarm/psk/1.0.0/\n/base16/\n{}\n", digits.repeat(32)),
    )?;
    Ok(["--set".to_owned(), format!("mesh.psk_file={}", file.display())])
}

fn launch(mut args: Vec<String>, key: [String; 2]) -> Result<Node> {
    args.extend(key);
    Node::launch(Launch {
        args,
        ..Launch::default()
    })
}

/// Who is connected to a node.
fn peers(node: &Node) -> Result<usize> {
    let list = node.ddn().json(&["node", "peers"])?;
    Ok(list["peers"].as_array().context("peers")?.len())
}

/// What the doctor says of the peers of a node.
fn diagnosis(node: &Node) -> Result<String> {
    let said = node.ddn().run(&["node", "doctor", "--json"])?.json()?;
    let checks = said["checks"].as_array().context("checks")?;
    let check = checks.iter().find(|check| check["name"] == "peers");
    let text = check.and_then(|check| check["text"].as_str());
    Ok(text.context("the doctor looks at the peers")?.to_owned())
}

/// A node of a private network with a site, and the folder of keys and site.
fn private() -> Result<(Node, TempDir)> {
    let folder = tempfile::tempdir()?;
    let node = launch(vec!["--dev".to_owned()], key(folder.path(), "1f")?)?;
    tree::site(&folder.path().join("site"))?;
    publish(&node, &folder.path().join("site"), "alice.ddn")?;
    Ok((node, folder))
}

#[test]
fn who_has_the_key_of_a_private_network_reads_what_is_in_it() -> Result<()> {
    let (first, folder) = private()?;
    let second = launch(first.invitation()?, key(folder.path(), "1f")?)?;
    comes_back(&second, "alice.ddn", &folder.path().join("site"))?;
    let page = second.gateway()?.get("alice.ddn", "/")?;
    ensure!(
        page.status == 200 && page.text().contains(tree::HEADING),
        "{} {}",
        page.status,
        page.text()
    );
    ensure!(peers(&first)? == 1 && peers(&second)? == 1, "they are connected");
    Ok(())
}

#[test]
fn who_lacks_the_key_of_a_private_network_does_not_get_in() -> Result<()> {
    let (first, folder) = private()?;
    let invitation = first.invitation()?;
    let other = [&invitation[..], &key(folder.path(), "2a")?].concat();
    let tries = [
        ("none", &invitation, "set mesh.psk_file to that one's key"),
        (
            "another",
            &other,
            "its key of the private network is not the one in mesh.psk_file",
        ),
    ];
    // Side by side: each gives up when it has waited for the chain for half a minute.
    thread::scope(|scope| {
        let tries = tries.map(|(data, args, reason)| {
            let data = folder.path().join(data);
            scope.spawn(move || refused_to_join(&data, args, reason))
        });
        tries.into_iter().try_for_each(|tried| {
            let tried = tried.join();
            tried.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    })?;
    ensure!(peers(&first)? == 0, "nobody got in");
    let mut last = String::new();
    let said = wait_until("the doctor says who came", SEEN_DEADLINE, || {
        last = diagnosis(&first)?;
        Ok(last.contains("did not speak with the key of this private network"))
    });
    said.with_context(|| last)
}
