//! Nodes that are ill: the doctor says of what, and others are told.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;
use testkit::net::{Host, Link, Net};
use testkit::{Clock, Launch, Node, tree, wait_until};

use crate::far::Stage;
use crate::network::Server;
use crate::{publish, text};

/// Peers are asked again after a dozen seconds, adverts are renewed every ten.
const SEEN_DEADLINE: Duration = Duration::from_secs(90);
/// An advert that was heard holds for twenty seconds at least: who is out of the answers earlier took back what it said.
const TOLD_WITHIN: Duration = Duration::from_secs(10);
/// Where readers find gateways.
const GATEWAY_PORT: u16 = 8080;
/// By which a gateway says whose it is.
const CARD: &str = "/.well-known/ddn/node";

/// What the doctor says of one thing: the verdict and the text.
fn check(node: &Node, name: &str) -> Result<Option<(String, String)>> {
    let ran = node.ddn().run(&["node", "doctor", "--json"])?;
    let diagnosis = ran.json()?;
    let checks = diagnosis["checks"].as_array().context("checks")?;
    let found = checks.iter().find(|check| check["name"] == name);
    found
        .map(|check| Ok((text(check, "/verdict")?, text(check, "/text")?)))
        .transpose()
}

/// Waits until the doctor says this, and returns the text.
fn doctor_says(node: &Node, name: &str, verdict: &str) -> Result<String> {
    let mut last = None;
    let said = wait_until("the doctor says so", SEEN_DEADLINE, || {
        last = check(node, name)?;
        Ok(last.as_ref().is_some_and(|(said, _)| said == verdict))
    });
    said.with_context(|| format!("{name} should be {verdict}, and is {last:?}\n{}", node.log_tail()))?;
    Ok(last.map(|(_, text)| text).unwrap_or_default())
}

/// What `node` was told by `other` to be wrong with it.
fn told(node: &Node, other: &Node) -> Result<Vec<String>> {
    let list = node.ddn().json(&["edge", "list"])?;
    let edges = list["edges"].as_array().context("edges")?;
    let edge = edges.iter().find(|edge| edge["node"] == other.card()["node_id"]);
    let ill = edge.and_then(|edge| edge.pointer("/offer/ill")?.as_array());
    Ok(ill
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect())
}

#[test]
fn an_edge_that_nobody_reaches_says_so() -> Result<()> {
    let Some(stage) = Stage::new()? else {
        return Ok(());
    };
    let (first, last) = (&stage.nodes[0], &stage.nodes[2]);
    for part in ["mesh", "delivery", "gateway", "dns"] {
        let text = doctor_says(last, &format!("outside-{part}"), "ok")?;
        ensure!(text.contains(&stage.hosts[2].address().to_string()), "{text}");
    }
    ensure!(told(first, last)?.is_empty(), "it is well");

    stage.net.hide(&stage.hosts[2])?;
    let gateway = last.listener("gateway")?;
    let text = doctor_says(last, "outside-gateway", "fail")?;
    let (place, advice) = (
        gateway.to_string(),
        format!("open port {} over TCP", gateway.port()),
    );
    ensure!(text.contains(&place) && text.contains(&advice), "{text}");
    wait_until("the others are told", SEEN_DEADLINE, || {
        Ok(told(first, last)? == ["unreached"])
    })?;
    // What is well stays so.
    ensure!(told(last, first)?.is_empty(), "{:?}", told(last, first)?);
    Ok(())
}

#[test]
fn a_wrong_clock_is_named_as_the_cause() -> Result<()> {
    let Some(mut net) = Net::new()? else {
        return Ok(());
    };
    let first = Node::launch(net.host(Link::delay_ms(5))?.launch())?;
    let args = first.invitation()?;
    let mut others = Vec::new();
    for _ in 0..2 {
        let launch = net.host(Link::delay_ms(5))?.launch();
        others.push(Node::launch(Launch {
            args: args.clone(),
            ..launch
        })?);
    }
    // So little that the node takes the chain for alive, and that adverts are valid still.
    let clock = Clock::ahead(9)?;
    let last = Node::launch(Launch {
        args,
        wrapper: clock.wrapper(),
        ..net.host(Link::delay_ms(5))?.launch()
    })?;
    let text = doctor_says(&last, "clock", "fail")?;
    ensure!(
        text.contains("s ahead of those of 3 peers") && text.contains("NTP"),
        "{text}"
    );
    for node in [&first, &others[0], &others[1]] {
        wait_until("the others are told", SEEN_DEADLINE, || {
            Ok(told(node, &last)? == ["clock"])
        })?;
        ensure!(
            check(node, "clock")?.is_some_and(|(verdict, _)| verdict == "ok"),
            "one of three is wrong"
        );
    }
    Ok(())
}

/// A node on `host`, with one more setting.
fn launch(host: &Host, mut args: Vec<String>, setting: String) -> Result<Node> {
    args.extend(["--set".to_owned(), setting]);
    Node::launch(Launch {
        args,
        ..host.launch()
    })
}

/// A cache in front of an edge: it has the card, and goes on showing it for as long as it runs.
fn cache(host: &Host, edge: &Node) -> Result<(Server, TempDir)> {
    let folder = tempfile::tempdir()?;
    let (card, _) = host.get(edge.listener("gateway")?, "localhost", CARD)?;
    tree::write(folder.path(), CARD.trim_start_matches('/'), &card.body)?;
    let (server, _) = Server::start(host, folder.path(), GATEWAY_PORT)?;
    Ok((server, folder))
}

/// How `node` explains to readers of `alice.ddn` what it makes of `other`.
fn verdict(node: &Node, other: &Node) -> Result<String> {
    let resolved = node.ddn().json(&["resolve", "alice.ddn"])?;
    let edges = resolved["edges"].as_array().context("edges")?;
    let edge = edges.iter().find(|edge| edge["node"] == other.card()["node_id"]);
    text(edge.context("it is known")?, "/why")
}

/// Nobody finds out by asking where its gateway should be: there is a cache that goes on answering.
#[test]
fn an_edge_that_leaves_says_so() -> Result<()> {
    let Some(mut net) = Net::new()? else {
        return Ok(());
    };
    let (beside, there) = (net.host(Link::delay_ms(0))?, net.host(Link::delay_ms(5))?);
    let (own, front) = (beside.port(GATEWAY_PORT), there.port(GATEWAY_PORT));
    let guide = launch(&beside, vec!["--dev".to_owned()], format!("gateway.listen={own}"))?;
    let external = format!("gateway.external=http://{front}");
    let mut edge = launch(&there, guide.invitation()?, external)?;
    let _cache = cache(&there, &edge)?;
    let site = tempfile::tempdir()?;
    tree::site(site.path())?;
    publish(&guide, site.path(), "alice.ddn")?;
    edge.ddn().ok(&["edge", "register"])?;
    let is_named = || -> Result<bool> {
        let told = beside.dig(guide.listener("dns")?, "A", "alice.ddn")?;
        Ok(told.contains(&there.address().to_string()))
    };
    wait_until("the edge is named", SEEN_DEADLINE, is_named).with_context(|| guide.log_tail())?;

    edge.stop()?;
    wait_until("the edge is named no more", TOLD_WITHIN, || Ok(!is_named()?))?;
    let why = verdict(&guide, &edge)?;
    ensure!(why == "not asked: by its own word it is about to stop", "{why}");
    ensure!(told(&guide, &edge)? == ["leaving"], "{:?}", told(&guide, &edge)?);
    let (card, _) = beside.get(front, "localhost", CARD)?;
    ensure!(card.status == 200, "who asks there finds nothing wrong");
    Ok(())
}
