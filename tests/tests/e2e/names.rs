//! What `dig` gets from the DNS server, over both transports, and what malformed packets get.

use std::env;
use std::fs;
use std::net::Ipv4Addr;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{RData, RecordType};
use testkit::{Dns, Node, Running, Transport, run_all, tree, wait_until};

use crate::{publish, text};

const BOTH: [Transport; 2] = [Transport::Udp, Transport::Tcp];

/// Absence comes from the node's own copy of the ledger, so it is said at once.
const AT_ONCE: Duration = Duration::from_secs(2);

/// A question that got lost in a flood is asked again, each time for up to five seconds.
const FLOOD_DEADLINE: Duration = Duration::from_secs(12);

/// `delv` asks a server of this machine a few questions.
const COMMAND_DEADLINE: Duration = Duration::from_secs(30);

/// How long an answer may be kept, in seconds: a change of a name is seen within it.
const TTL_MAX: u32 = 20;

/// A node with a site published as `alice.ddn`.
struct Stage {
    node: Node,
    dns: Dns,
    cid: String,
}

#[test]
fn the_dns_server_answers_for_names() -> Result<()> {
    let node = Node::dev()?;
    let folder = tempfile::tempdir()?;
    tree::site(folder.path())?;
    let published = publish(&node, folder.path(), "alice.ddn")?;
    let stage = Stage {
        dns: node.dns()?,
        node,
        cid: text(&published, "/cid")?,
    };
    run_all(
        &stage,
        &[
            ("addresses", addresses),
            ("dnslink", dnslink),
            ("authority of the zone", zone),
            ("names that do not exist", nxdomain),
            ("names without such records", nodata),
            ("foreign names", foreign),
            ("letters of any case", any_case),
            ("what the node prints for dig", printed_setup),
            ("a validator with the anchor that the node prints", validated),
            ("malformed packets", malformed),
            ("a flood of garbage", garbage),
        ],
    )
}

fn answers(message: &Message) -> Vec<&RData> {
    message.answers.iter().map(|record| &record.data).collect()
}

/// The answer has the status and, in its authority section, the SOA of `ddn.` that says how long absence lasts.
fn absent(answer: &Message, status: ResponseCode) -> Result<()> {
    ensure!(answer.response_code == status, "{answer}");
    ensure!(answer.answers.is_empty() && answer.authoritative, "{answer}");
    let soa = answer
        .authorities
        .iter()
        .find(|record| record.record_type() == RecordType::SOA);
    let soa = soa.with_context(|| format!("no SOA: {answer}"))?;
    ensure!(soa.name.to_ascii() == "ddn.", "the SOA of {}", soa.name);
    ensure!(soa.ttl <= TTL_MAX, "absence for {} s", soa.ttl);
    Ok(())
}

fn addresses(stage: &Stage) -> Result<()> {
    for transport in BOTH {
        let answer = stage.dns.ask(transport, "alice.ddn", RecordType::A)?;
        ensure!(
            answer.response_code == ResponseCode::NoError && answer.authoritative,
            "{answer}"
        );
        let found: Vec<Ipv4Addr> = answer
            .answers
            .iter()
            .filter_map(|record| record.data.ip_addr()?.to_string().parse().ok())
            .collect();
        ensure!(
            found == [Ipv4Addr::LOCALHOST],
            "on a dev chain the edge is this machine: {answer}"
        );
        ensure!(
            answer.answers.iter().all(|record| record.ttl <= TTL_MAX),
            "{answer}"
        );
    }
    Ok(())
}

fn dnslink(stage: &Stage) -> Result<()> {
    let expected = format!("dnslink=/ipfs/{}", stage.cid);
    for (transport, name) in BOTH
        .into_iter()
        .flat_map(|t| [(t, "alice.ddn"), (t, "_dnslink.alice.ddn")])
    {
        let answer = stage.dns.ask(transport, name, RecordType::TXT)?;
        let texts: Vec<String> = answers(&answer).into_iter().map(ToString::to_string).collect();
        ensure!(
            texts.iter().any(|found| found.trim_matches('"') == expected),
            "{name} over {transport:?}: {answer}"
        );
    }
    Ok(())
}

fn zone(stage: &Stage) -> Result<()> {
    for transport in BOTH {
        for kind in [RecordType::SOA, RecordType::NS] {
            let answer = stage.dns.ask(transport, "ddn", kind)?;
            let found = answer.answers.iter().any(|record| record.record_type() == kind);
            ensure!(answer.response_code == ResponseCode::NoError && found, "{answer}");
            ensure!(answer.authoritative && !answer.recursion_available, "{answer}");
        }
    }
    Ok(())
}

fn nxdomain(stage: &Stage) -> Result<()> {
    for (transport, name) in BOTH
        .into_iter()
        .flat_map(|t| [(t, "nobody.ddn"), (t, "nobody.alice.ddn"), (t, "a.b.nobody.ddn")])
    {
        let start = Instant::now();
        let answer = stage.dns.ask(transport, name, RecordType::A)?;
        absent(&answer, ResponseCode::NXDomain).with_context(|| name.to_owned())?;
        ensure!(
            start.elapsed() < AT_ONCE,
            "{name}: absent after {:?}",
            start.elapsed()
        );
    }
    Ok(())
}

fn nodata(stage: &Stage) -> Result<()> {
    for (transport, kind) in BOTH
        .into_iter()
        .flat_map(|t| [(t, RecordType::MX), (t, RecordType::SRV)])
    {
        absent(
            &stage.dns.ask(transport, "alice.ddn", kind)?,
            ResponseCode::NoError,
        )?;
    }
    absent(
        &stage.dns.ask(Transport::Udp, "ddn", RecordType::A)?,
        ResponseCode::NoError,
    )
}

fn foreign(stage: &Stage) -> Result<()> {
    for (transport, name) in BOTH
        .into_iter()
        .flat_map(|t| [(t, "example.com"), (t, "alice.ddn.example.com"), (t, "ddnx")])
    {
        let answer = stage.dns.ask(transport, name, RecordType::A)?;
        ensure!(
            answer.response_code == ResponseCode::Refused && answer.answers.is_empty(),
            "{name}: {answer}"
        );
    }
    Ok(())
}

fn any_case(stage: &Stage) -> Result<()> {
    let answer = stage.dns.ask(Transport::Udp, "AlIcE.dDn", RecordType::A)?;
    ensure!(answer.answers.len() == 1, "{answer}");
    ensure!(
        answer.queries[0].name().to_string() == "AlIcE.dDn.",
        "the question comes back as it was: {answer}"
    );
    Ok(())
}

fn printed_setup(stage: &Stage) -> Result<()> {
    let ran = stage.node.ddn().ok(&["node", "dns-setup"])?;
    let port = stage.node.listener("dns")?.port().to_string();
    ensure!(
        ran.stdout.contains("# The zone ddn. is signed.")
            && ran.stdout.contains("ddn. IN DS ")
            && ran.stdout.contains(&port),
        "{}",
        ran.story()
    );
    Ok(())
}

/// What the node prints for BIND makes BIND's `delv` believe what is there, and what is not.
fn validated(stage: &Stage) -> Result<()> {
    if !has_delv()? {
        return Ok(());
    }
    let printed = stage
        .node
        .ddn()
        .json(&["node", "dns-setup", "--resolver", "bind"])?;
    let printed = text(&printed, "/setups/0/files/0/text")?;
    // The other lines are for a resolver.
    let anchors = printed.lines().find(|line| line.starts_with("trust-anchors "));
    let file = tempfile::NamedTempFile::new()?;
    fs::write(&file, anchors.with_context(|| printed.clone())?)?;
    let (server, anchors) = (stage.node.listener("dns")?, file.path().display().to_string());
    let (at, port) = (format!("@{}", server.ip()), server.port().to_string());
    for (name, kind, expected) in [
        ("alice.ddn", "A", "; fully validated"),
        ("alice.ddn", "TXT", "; fully validated"),
        ("alice.ddn", "MX", "; negative response, fully validated"),
        ("nobody.ddn", "A", "; negative response, fully validated"),
    ] {
        let mut delv = Command::new("delv");
        delv.args([&at, "-p", &port, "-a", &anchors, "+root=ddn", name, kind]);
        let ran = Running::start(delv)?.finish(COMMAND_DEADLINE)?;
        ensure!(
            ran.stdout.lines().any(|line| line == expected) && !ran.stdout.contains("unsigned"),
            "{}",
            ran.story()
        );
    }
    Ok(())
}

/// Whether BIND's validator is on this machine, as it has to be where CI runs.
fn has_delv() -> Result<bool> {
    let has = Command::new("delv").arg("-v").output().is_ok();
    let required = env::var("DDN_REQUIRE_DNS_TOOLS").is_ok_and(|value| value == "1");
    ensure!(has || !required, "DDN_REQUIRE_DNS_TOOLS=1, but there is no delv");
    if !has {
        println!("skipped: delv is not installed");
    }
    Ok(has)
}

/// A well-formed question for `alice.ddn A`, to be spoilt.
fn question() -> Vec<u8> {
    let mut bytes = vec![0x12, 0x34, 0x01, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    bytes.extend_from_slice(b"\x05alice\x03ddn\x00\x00\x01\x00\x01");
    bytes
}

fn malformed(stage: &Stage) -> Result<()> {
    let whole = question();
    let mut pointer_loop = whole[..12].to_vec();
    pointer_loop.extend_from_slice(&[0xc0, 0x0c, 0, 1, 0, 1]);
    let mut many = whole.clone();
    many[4..6].copy_from_slice(&[0xff, 0xff]);
    let mut response = whole.clone();
    response[2] |= 0x80;
    let mut update = whole.clone();
    update[2] = 0x28;
    let mut trailing = whole.clone();
    trailing.extend_from_slice(&[0xff; 600]);
    let packets = [
        &[][..],
        &[0],
        &whole[..11],
        &whole[..20],
        &pointer_loop,
        &many,
        &response,
        &update,
        &trailing,
    ];
    for packet in packets {
        stage.dns.shout(packet)?;
        still_answers(stage).with_context(|| format!("after {packet:02x?}"))?;
    }
    // Over TCP a frame that is cut, too short or empty ends that connection and nothing else.
    for packet in [&[0][..], &[0; 11], &whole[..20], &pointer_loop, &many] {
        let answer = stage.dns.exchange(Transport::Tcp, packet);
        if let Ok(answer) = answer {
            let code = answer.get(3).map_or(0, |flags| flags & 0xf);
            ensure!(code != 0, "{packet:02x?} over TCP got {answer:02x?}");
        }
        still_answers(stage).with_context(|| format!("after {packet:02x?} over TCP"))?;
    }
    // An operation that we do not have is said to be so.
    let answer = stage.dns.exchange(Transport::Udp, &update)?;
    ensure!([1, 4, 5].contains(&(answer[3] & 0xf)), "UPDATE got {answer:02x?}");
    Ok(())
}

/// Datagrams of noise, faster than they are read: some are lost, and so may be a good question among them. Afterwards the
/// server is what it was.
fn garbage(stage: &Stage) -> Result<()> {
    for seed in 0..300 {
        let size = usize::try_from(seed * 7 % 600)?;
        stage.dns.shout(&tree::noise(size, seed))?;
    }
    wait_until("an answer after the flood", FLOOD_DEADLINE, || {
        Ok(stage.dns.ask(Transport::Udp, "alice.ddn", RecordType::A).is_ok())
    })?;
    still_answers(stage)
}

fn still_answers(stage: &Stage) -> Result<()> {
    for transport in BOTH {
        let answer = stage.dns.ask(transport, "alice.ddn", RecordType::A)?;
        ensure!(answer.answers.len() == 1, "{answer}");
    }
    Ok(())
}
