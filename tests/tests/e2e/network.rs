//! The testkit's own networks: what a link says is what packets meet, and nothing is left of it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, fs};

use anyhow::{Context, Result, ensure};
use testkit::net::{Host, Link, Net, Ping, Shaper};
use testkit::wait_until;

/// Starting a small server takes milliseconds; this machine may be busy.
const START_DEADLINE: Duration = Duration::from_secs(30);

/// What a busy machine may add to the shortest of many round trips.
const TOLERANCE: Duration = Duration::from_millis(15);

const EVERY: Duration = Duration::from_millis(5);

/// A web server of one folder, killed when dropped.
pub struct Server(Child);

impl Server {
    /// Starts it on a host, and says where it is.
    ///
    /// # Errors
    /// When it does not answer in time.
    pub fn start(host: &Host, folder: &Path, port: u16) -> Result<(Self, SocketAddr)> {
        let mut command = host.command("python3");
        command
            .args(["-m", "http.server", &port.to_string()])
            .args(["--protocol", "HTTP/1.1", "--directory"])
            .arg(folder);
        let quiet = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let server = Self(quiet.spawn()?);
        let place = host.port(port);
        wait_until("the server answers on its host", START_DEADLINE, || {
            Ok(host.get(place, "x", "/").is_ok())
        })?;
        Ok((server, place))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn all(count: u32) -> Vec<u32> {
    (1..=count).collect()
}

#[test]
fn a_round_trip_takes_what_the_links_say() -> Result<()> {
    let Some(mut net) = Net::new()? else {
        return Ok(());
    };
    let one = net.host(Link::delay_ms(10))?;
    let other = net.host(Link::delay_ms(15))?;
    let near = net.host(Link::delay_ms(0))?;
    let seen = one.ping(&other, 20, EVERY)?;
    ensure!(seen.answers == all(20), "{seen:?}");
    let expected = Duration::from_millis(50);
    ensure!(
        seen.shortest >= expected && seen.shortest < expected + TOLERANCE,
        "{seen:?}"
    );
    let seen = near.ping(&one, 20, EVERY)?.shortest;
    ensure!(
        seen >= expected * 2 / 5 && seen < expected * 2 / 5 + TOLERANCE,
        "{seen:?}"
    );

    // A link may change while packets are on it.
    net.relink(&near, Link::delay_ms(40))?;
    let seen = near.ping(&one, 20, EVERY)?.shortest;
    ensure!(
        seen >= expected * 2 && seen < expected * 2 + TOLERANCE,
        "{seen:?}"
    );

    // Each host has its own ports and sees only its own devices.
    let devices = one.run("ip", &["-br", "link"])?;
    ensure!(
        devices.lines().count() == 2 && devices.contains("eth0"),
        "{devices}"
    );
    Ok(())
}

/// What arrives of 300 pings over a link.
fn arrivals(link: Link) -> Result<Option<Ping>> {
    let Some(mut net) = Net::new()? else {
        return Ok(None);
    };
    let (one, other) = (net.host(link)?, net.host(Link::delay_ms(0))?);
    Ok(Some(one.ping(&other, 300, EVERY)?))
}

#[test]
fn the_same_seed_loses_the_same_packets() -> Result<()> {
    let lossy = |seed| Link {
        loss_ppm: 100_000,
        seed,
        ..Link::delay_ms(1)
    };
    let (Some(first), Some(again), Some(another)) =
        (arrivals(lossy(7))?, arrivals(lossy(7))?, arrivals(lossy(8))?)
    else {
        return Ok(());
    };
    // A tenth each way is lost: 243 of 300 come back.
    ensure!(
        (213..273).contains(&first.answers.len()),
        "{} of 300",
        first.answers.len()
    );
    ensure!(
        first.answers == again.answers,
        "the same seed\n{first:?}\n{again:?}"
    );
    ensure!(first.answers != another.answers, "another seed\n{another:?}");
    Ok(())
}

#[test]
fn packets_are_overtaken_only_if_the_link_says_so() -> Result<()> {
    let steady = Link {
        jitter: Duration::from_millis(12),
        seed: 3,
        ..Link::delay_ms(10)
    };
    let unsteady = Link {
        reorder_ppm: 200_000,
        ..steady
    };
    let (Some(ordered), Some(mixed)) = (arrivals(steady)?, arrivals(unsteady)?) else {
        return Ok(());
    };
    ensure!(ordered.answers == all(300), "{ordered:?}");
    let mut sorted = mixed.answers.clone();
    sorted.sort_unstable();
    ensure!(sorted == all(300) && mixed.answers != sorted, "{mixed:?}");
    Ok(())
}

#[test]
fn a_slow_link_takes_its_time() -> Result<()> {
    let Some(mut net) = Net::new()? else {
        return Ok(());
    };
    let slow = Link {
        rate_kbit: Some(8_000),
        ..Link::delay_ms(5)
    };
    let (server, client) = (net.host(slow)?, net.host(Link::delay_ms(5))?);
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("megabyte"), vec![7; 1_000_000])?;
    let (_server, place) = Server::start(&server, folder.path(), 8080)?;
    let (reply, time) = client.get(place, "x", "/megabyte")?;
    ensure!(
        reply.status == 200 && reply.body.len() == 1_000_000,
        "{}",
        reply.status
    );
    // 8 Mbit take a second, heads of packets a little more; what is not shaped takes 50 ms.
    ensure!(
        time >= Duration::from_secs(1) && time < Duration::from_secs(3),
        "{time:?}"
    );
    Ok(())
}

#[test]
fn what_is_cut_comes_back_and_what_is_hidden_is_not_reached() -> Result<()> {
    let Some(mut net) = Net::new()? else {
        return Ok(());
    };
    let hosts = [
        net.host(Link::delay_ms(1))?,
        net.host(Link::delay_ms(1))?,
        net.host(Link::delay_ms(1))?,
    ];
    let [one, other, third] = &hosts;
    let reaches =
        |from: &Host, to: &Host| -> Result<bool> { Ok(!from.ping(to, 2, EVERY)?.answers.is_empty()) };
    net.cut(one, other)?;
    ensure!(
        !reaches(one, other)? && !reaches(other, one)?,
        "a cut is on both sides"
    );
    ensure!(
        reaches(one, third)? && reaches(third, other)?,
        "a cut is between two"
    );
    net.heal(one, other)?;
    ensure!(reaches(one, other)? && reaches(other, one)?, "healed");

    net.hide(third)?;
    ensure!(reaches(third, one)?, "answers come back through the NAT");
    ensure!(!reaches(one, third)?, "nobody reaches what is behind it");
    let folder = tempfile::tempdir()?;
    let (_server, place) = Server::start(other, folder.path(), 8080)?;
    ensure!(
        third.get(place, "x", "/")?.0.status == 200,
        "a connection from behind the NAT"
    );
    Ok(())
}

/// The files of the namespaces in which processes of this machine live.
fn namespaces() -> Result<Vec<String>> {
    let mut all = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let link = fs::read_link(entry?.path().join("ns/net"));
        all.extend(link.ok().map(|link| link.to_string_lossy().into_owned()));
    }
    Ok(all)
}

/// Set in the process that is to be killed.
const OWNER: &str = "DDN_TEST_OWNER";

/// A network with a program on a host that would run on for ever; says which namespace it is, and waits for its end.
fn own_a_network() -> Result<()> {
    let mut net = Net::new()?.context("the other process had one")?;
    let host = net.host(Link::delay_ms(1))?;
    let mut program = host.command("sleep").arg("600").spawn()?;
    println!("\n{}", host.run("readlink", &["/proc/self/ns/net"])?.trim());
    program.wait()?;
    Ok(())
}

/// The owner of a network dies without a chance to clean up; what ran in it goes too, and the namespaces with it.
#[test]
fn nothing_outlives_a_killed_owner() -> Result<()> {
    if env::var_os(OWNER).is_some() {
        return own_a_network();
    }
    if Net::new()?.is_none() {
        return Ok(());
    }
    let mut command = Command::new(env::current_exe()?);
    command.args([
        "--exact",
        "network::nothing_outlives_a_killed_owner",
        "--nocapture",
    ]);
    let mut owner = command.env(OWNER, "1").stdout(Stdio::piped()).spawn()?;
    let output = BufReader::new(owner.stdout.take().context("the owner's output")?);
    let mut lines = output.lines().map_while(std::io::Result::ok);
    let file = lines.find(|line| line.starts_with("net:["));
    let file = file.context("the owner has a network")?;
    ensure!(namespaces()?.contains(&file), "{file}");
    owner.kill()?;
    owner.wait()?;
    wait_until("the namespace is gone", START_DEADLINE, || {
        Ok(!namespaces()?.contains(&file))
    })
}

/// What waits before a slow line is bounded, and leaves at the line's rate.
#[test]
fn a_queue_is_bounded() {
    let link = Link {
        rate_kbit: Some(800),
        queue_bytes: 10_000,
        ..Link::delay_ms(20)
    };
    let mut shaper = Shaper::new(link, 0);
    // 1,000 bytes take 10 ms; the first leaves at once, ten wait, the rest is dropped.
    let due: Vec<_> = (0..20).map(|_| shaper.take(Duration::ZERO, 1_000)).collect();
    let expected: Vec<_> = (1..=11)
        .map(|number| Some(Duration::from_millis(20 + number * 10)))
        .collect();
    assert_eq!(due[..11], expected);
    assert!(due[11..].iter().all(Option::is_none));
    let later = Duration::from_secs(1);
    assert_eq!(shaper.take(later, 1_000), Some(later + Duration::from_millis(30)));
}
