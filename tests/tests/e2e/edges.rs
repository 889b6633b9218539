//! Who should serve: three edges at 10, 50 and 120 ms, and a reader who asks a node beside it, by DNS and at the gateway's
//! door. The nearest serves; it spills when it is loaded; it is left out when it is gone, and has its share again when it
//! comes back.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testkit::net::{Host, Link, Net};
use testkit::{Launch, Node, tree, wait_until};

use crate::{publish, text};

/// The round-trip times between the reader and the edges are twice these.
const ONE_WAY_MS: [u64; 3] = [5, 25, 60];
/// All gateways have one port, which readers know.
const GATEWAY_PORT: u16 = 8080;
/// Requests that an edge serves at once, as it registers.
const CAPACITY: usize = 4;
/// A registration takes a block, a look from outside some seconds; this machine may be busy.
const KNOWN_DEADLINE: Duration = Duration::from_secs(90);
/// Who was away for a minute, as on a machine that stood still, is on probation for two.
const RETURN_DEADLINE: Duration = Duration::from_secs(300);
/// What the rule promises.
const OUT_WITHIN: Duration = Duration::from_secs(5);
/// How long a link is down: longer than anything that is kept for who comes back at once, shorter than what puts on
/// probation.
const LINK_DOWN: Duration = Duration::from_secs(12);
/// Three signs of life, one in a second, after a question that was lost; and four times as much on a busy machine.
const BACK_WITHIN: Duration = Duration::from_secs(20);
/// What a hedge takes at most (`nearest::hedge::DELAY_US`): a reader who was told of an edge that is gone waits no longer.
const HEDGE_WITHIN: Duration = Duration::from_secs(2);
/// Longer than what the system keeps for a reader who takes nothing.
const FILM_BYTES: usize = 24 << 20;

struct Stage {
    /// Beside the reader, and no edge.
    guide: Node,
    edges: Vec<Node>,
    hosts: Vec<Host>,
    reader: Host,
    _site: tempfile::TempDir,
    beside: Host,
    // Last: the network goes after what uses it.
    net: Net,
}

fn launch(host: &Host, mut args: Vec<String>) -> Result<Node> {
    let settings = [
        format!("gateway.listen={}:{GATEWAY_PORT}", host.address()),
        format!("delivery.capacity={CAPACITY}"),
    ];
    for setting in settings {
        args.extend(["--set".to_owned(), setting]);
    }
    Node::launch(Launch {
        args,
        ..host.launch()
    })
}

impl Stage {
    fn new() -> Result<Option<Self>> {
        let Some(mut net) = Net::new()? else {
            return Ok(None);
        };
        let (reader, beside) = (net.host(Link::delay_ms(0))?, net.host(Link::delay_ms(0))?);
        let guide = launch(&beside, vec!["--dev".to_owned()])?;
        let hosts: Vec<Host> = ONE_WAY_MS
            .iter()
            .map(|delay| net.host(Link::delay_ms(*delay)))
            .collect::<Result<_>>()?;
        let mut edges = Vec::new();
        for host in &hosts {
            edges.push(launch(host, guide.invitation()?)?);
        }
        let site = tempfile::tempdir()?;
        tree::site(site.path())?;
        tree::write(site.path(), "film.bin", &vec![7; FILM_BYTES])?;
        publish(&guide, site.path(), "alice.ddn")?;
        for edge in &edges {
            edge.ddn().ok(&["edge", "register"])?;
        }
        Ok(Some(Self {
            guide,
            edges,
            hosts,
            reader,
            _site: site,
            beside,
            net,
        }))
    }

    /// The addresses that the reader is told, in their order.
    fn told(&self) -> Result<Vec<String>> {
        self.reader.dig(self.guide.listener("dns")?, "A", "alice.ddn")
    }

    fn address(&self, edge: usize) -> String {
        self.hosts[edge].address().to_string()
    }

    fn id(&self, edge: usize) -> Result<String> {
        text(self.edges[edge].card(), "/node_id")
    }

    /// Waits until DNS and the door of the gateway send the reader to this edge first.
    fn leads_to(&self, edge: usize, deadline: Duration) -> Result<()> {
        let (address, id) = (self.address(edge), self.id(edge)?);
        let mut last = (Vec::new(), Value::Null);
        let led = wait_until("the reader is led there", deadline, || {
            last = (self.told()?, self.door("")?);
            let chosen = &last.1["edges"][0];
            Ok(last.0.first() == Some(&address)
                && chosen["node_id"] == id.as_str()
                && chosen["chosen"] == true)
        });
        led.with_context(|| {
            format!(
                "edge {edge}, {address}: {last:#?}\n{}\n{}",
                self.guide.log_tail(),
                self.edges[edge].log_tail()
            )
        })
    }

    fn door(&self, more: &str) -> Result<Value> {
        let target = format!("/.well-known/ddn/nearest?url=/ipns/alice.ddn/{more}");
        let reply = self
            .reader
            .get(self.guide.listener("gateway")?, "localhost", &target)?
            .0;
        reply.json().with_context(|| reply.text())
    }

    /// The reader opens the page at the first address that it is told.
    fn reads(&self) -> Result<()> {
        let told = self.told()?;
        let first = told.first().context("an address")?;
        let place = format!("{first}:{GATEWAY_PORT}").parse()?;
        let (reply, _) = self.reader.get(place, "alice.ddn", "/")?;
        ensure!(reply.status == 200, "{first}: {} {}", reply.status, reply.text());
        Ok(())
    }

    /// A reader who was told these addresses before opens the page, as browsers do: at the next one if the first does not answer.
    fn turns_to_another(&self, told: &[String]) -> Result<()> {
        let begun = Instant::now();
        let places = format!("alice.ddn:{GATEWAY_PORT}:{}", told.join(","));
        let mut command = self.reader.command("curl");
        command.args(["-sS", "--fail", "--noproxy", "*", "--resolve", &places]);
        let ran = command
            .args(["-o", "/dev/null", &format!("http://alice.ddn:{GATEWAY_PORT}/")])
            .output()?;
        let took = begun.elapsed();
        ensure!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        ensure!(took <= HEDGE_WITHIN, "the reader waited {took:?}");
        Ok(())
    }

    /// Somebody who watches a film so slowly that it never ends.
    fn viewer(&self, edge: usize) -> Result<Viewer> {
        let mut command = self.reader.command("curl");
        let url = format!("http://{}:{GATEWAY_PORT}/film.bin", self.address(edge));
        command.args([
            "-sS",
            "--noproxy",
            "*",
            "--limit-rate",
            "2k",
            "-H",
            "Host: alice.ddn",
        ]);
        command.args(["-o", "/dev/null", &url]);
        Ok(Viewer(
            command.stdin(Stdio::null()).stderr(Stdio::null()).spawn()?,
        ))
    }
}

struct Viewer(Child);

impl Drop for Viewer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn readers_go_to_the_nearest_edge_that_has_room_and_answers() -> Result<()> {
    let Some(mut stage) = Stage::new()? else {
        return Ok(());
    };
    stage.leads_to(0, KNOWN_DEADLINE)?;
    explained(&stage)?;
    stage.reads()?;

    // Loaded beyond what it can: the next one, and back when it has room.
    let viewers: Vec<Viewer> = (0..CAPACITY).map(|_| stage.viewer(0)).collect::<Result<_>>()?;
    stage.leads_to(1, KNOWN_DEADLINE)?;
    stage.reads()?;
    drop(viewers);
    stage.leads_to(0, KNOWN_DEADLINE)?;

    link_down(&stage)?;

    let told = stage.told()?;
    stage.edges[0].kill9()?;
    let gone = Instant::now();
    let address = stage.address(0);
    ensure!(told.first() == Some(&address) && told.len() > 1, "{told:?}");
    stage.turns_to_another(&told)?;
    wait_until("it is out of the answers", KNOWN_DEADLINE, || {
        Ok(!stage.told()?.contains(&address))
    })?;
    let took = gone.elapsed();
    ensure!(took <= OUT_WITHIN, "it was told for {took:?} after its end");
    stage.leads_to(1, KNOWN_DEADLINE)?;
    for _ in 0..10 {
        ensure!(!stage.told()?.contains(&address), "it came back");
        stage.reads()?;
    }

    stage.edges[0].start()?;
    stage.leads_to(0, RETURN_DEADLINE)?;
    stage.reads()
}

/// The guide does not see the nearest edge for a while: that is over when it sees it again, and no fault is remembered.
fn link_down(stage: &Stage) -> Result<()> {
    let (beside, edge) = (&stage.beside, &stage.hosts[0]);
    stage.net.cut(beside, edge)?;
    let cut = Instant::now();
    stage.leads_to(1, OUT_WITHIN)?;
    let address = stage.address(0);
    wait_until("the link was down for long enough", KNOWN_DEADLINE, || {
        ensure!(
            !stage.told()?.contains(&address),
            "an edge that nobody sees is named"
        );
        Ok(cut.elapsed() >= LINK_DOWN)
    })?;
    stage.net.heal(beside, edge)?;
    stage.leads_to(0, BACK_WITHIN)?;
    stage.reads()
}

/// `ddn resolve` says why, and the door sends readers on who want to go.
fn explained(stage: &Stage) -> Result<()> {
    let said = stage.guide.ddn().json(&["resolve", "alice.ddn"])?;
    let chosen = &said["edges"][0];
    ensure!(
        chosen["node"] == stage.id(0)?.as_str() && chosen["chosen"] == true && chosen["capacity"] == CAPACITY,
        "{said}"
    );
    // No faster than its link; how much slower is up to the machine.
    let rtt_us = chosen["rtt_us"].as_u64().context("a measured time")?;
    ensure!(rtt_us >= 2_000 * ONE_WAY_MS[0], "{rtt_us} µs");
    let shown = stage.guide.ddn().ok(&["resolve", "alice.ddn"])?;
    ensure!(
        shown
            .stdout
            .contains("chosen: first for this content, and has room"),
        "{}",
        shown.stdout
    );

    let target = "/.well-known/ddn/nearest?url=/ipns/alice.ddn/&redirect=true";
    let gateway = stage.guide.listener("gateway")?;
    let (reply, _) = stage.reader.get(gateway, "localhost", target)?;
    let place = format!("http://{}:{GATEWAY_PORT}/ipns/alice.ddn/", stage.address(0));
    ensure!(
        reply.status == 307 && reply.header("location") == place,
        "{} {}",
        reply.status,
        reply.header("location")
    );
    Ok(())
}
