//! Nodes that are ill: the doctor says of what, and others are told.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testkit::net::{Link, Net};
use testkit::{Clock, Launch, Node, wait_until};

use crate::far::Stage;
use crate::text;

/// Peers are asked again after a dozen seconds, adverts are renewed every ten.
const SEEN_DEADLINE: Duration = Duration::from_secs(90);

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
