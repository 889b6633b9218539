//! A provider is lost in the middle of a film: its link takes everything and gives nothing back. Whoever watches by way of
//! a node that has none of the film waits a moment, and sees the rest from somebody else.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::net::{Host, Link, Net};
use testkit::{Launch, Node, tree, wait_until};

use crate::publish;

/// One way: to who made the film, to who has seen it.
const FAR_MS: [u64; 2] = [5, 25];
const FILM_BYTES: usize = 32 << 20;
const PIECE_BYTES: usize = 1 << 20;
/// After so many pieces the first provider is lost.
const LOST_AT: usize = 6;
/// What a piece may take. A provider that falls silent for other reasons is left after five seconds.
const PIECE_WITHIN: Duration = Duration::from_secs(3);
const DEADLINE: Duration = Duration::from_secs(60);

/// One piece of the film, and how long it took.
fn piece(reader: &Host, node: &Node, at: usize) -> Result<Duration> {
    let gateway = node.listener("gateway")?;
    let range = format!("{}-{}", at * PIECE_BYTES, (at + 1) * PIECE_BYTES - 1);
    let mut command = reader.command("curl");
    command.args(["-sS", "--noproxy", "*", "--max-time", "30", "-r", &range]);
    command.args([
        "-o",
        "/dev/null",
        "-w",
        "%{http_code} %{size_download} %{time_total}",
    ]);
    command.args(["-H", "Host: alice.ddn", &format!("http://{gateway}/film.bin")]);
    let ran = command.output().context("starting curl")?;
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    let mut words = said.split(' ');
    let got = (words.next(), words.next());
    ensure!(
        ran.status.success() && got == (Some("206"), Some(PIECE_BYTES.to_string().as_str())),
        "piece {at}: {said} {}",
        String::from_utf8_lossy(&ran.stderr)
    );
    let seconds = words.next().and_then(|word| word.parse().ok());
    Ok(Duration::from_secs_f64(seconds.context("a time")?))
}

/// The payload that a node has delivered.
fn delivered(node: &Node, host: &Host) -> Result<f64> {
    let (page, _) = host.get(node.listener("admin")?, "localhost", "/metrics")?;
    let page = page.text();
    let is_it = |line: &&str| line.contains("delivery_bytes_served_total ");
    let value = page.lines().find(is_it).and_then(|line| line.rsplit(' ').next());
    Ok(value.with_context(|| page.clone())?.parse()?)
}

#[test]
fn a_film_goes_on_when_its_provider_is_lost() -> Result<()> {
    let Some(mut net) = Net::new()? else {
        return Ok(());
    };
    let reader = net.host(Link::delay_ms(0))?;
    let beside = net.host(Link::delay_ms(0))?;
    let hosts = [
        net.host(Link::delay_ms(FAR_MS[0]))?,
        net.host(Link::delay_ms(FAR_MS[1]))?,
    ];
    let maker = Node::launch(hosts[0].launch())?;
    let follow = |host: &Host| -> Result<Node> {
        let args = maker.invitation()?;
        Node::launch(Launch {
            args,
            ..host.launch()
        })
    };
    let (other, empty) = (follow(&hosts[1])?, follow(&beside)?);
    let site = tempfile::tempdir()?;
    tree::site(site.path())?;
    let film: Vec<u8> = (0..FILM_BYTES / 8)
        .flat_map(|at| (at as u64).to_le_bytes())
        .collect();
    tree::write(site.path(), "film.bin", &film)?;
    publish(&maker, site.path(), "alice.ddn")?;
    wait_until("the other one has seen the film", DEADLINE, || {
        let (reply, _) = reader.get(other.listener("gateway")?, "alice.ddn", "/film.bin")?;
        Ok(reply.status == 200 && reply.body.len() == FILM_BYTES)
    })?;
    wait_until("the first piece is there", DEADLINE, || {
        Ok(piece(&reader, &empty, 0).is_ok())
    })?;

    for at in 1..LOST_AT {
        piece(&reader, &empty, at)?;
    }
    let before = [delivered(&maker, &hosts[0])?, delivered(&other, &hosts[1])?];
    net.cut(&beside, &hosts[0])?;
    for at in LOST_AT..FILM_BYTES / PIECE_BYTES {
        let took = piece(&reader, &empty, at)?;
        ensure!(
            took <= PIECE_WITHIN,
            "piece {at} took {took:?}\n{}",
            empty.log_tail()
        );
    }
    let after = [delivered(&maker, &hosts[0])?, delivered(&other, &hosts[1])?];
    ensure!(
        before[0] > (FILM_BYTES + LOST_AT / 2 * PIECE_BYTES) as f64 && after[1] > before[1],
        "delivered before {before:?}, and after {after:?}: the one that was lost was not the provider"
    );
    Ok(())
}
