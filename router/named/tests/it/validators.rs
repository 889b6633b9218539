//! Validators of others believe what we sign, and nothing else: `delv`, Unbound and BIND.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use hickory_proto::op::Message;
use hickory_proto::rr::RData;
use hickory_proto::rr::rdata::A as Address;
use named::dns::{Anchor, DnsServer};

use crate::book::serve;
use crate::dnssec::{held, signed};
use crate::tools::{Daemon, meddler, output, tool};
use crate::wire::*;

/// The anchor of a zone as BIND's tools take it.
fn bind_anchor(anchor: &Anchor) -> String {
    let words: Vec<&str> = anchor.ds.split(' ').collect();
    let [zone, _, _, tag, algorithm, kind, digest] = words[..] else {
        panic!("{}", anchor.ds)
    };
    format!("trust-anchors {{ \"{zone}\" static-ds {tag} {algorithm} {kind} \"{digest}\"; }};\n")
}

fn anchor(server: &DnsServer, zone: &str) -> Anchor {
    let mut anchors = server.anchors().into_iter();
    anchors.find(|anchor| anchor.zone == zone).expect("a signed zone")
}

#[tokio::test]
async fn delv_validates_every_kind_of_answer() {
    let Some(delv) = tool("delv") else { return };
    let server = serve(signed(), &held()).await;
    let folder = tempfile::tempdir().expect("a folder");
    for (zone, name, kind, words) in [
        ("ddn.", "alice.ddn", "A", "; fully validated"),
        ("ddn.", "alice.ddn", "TXT", "; fully validated"),
        ("ddn.", "ddn", "SOA", "; fully validated"),
        ("ddn.", "ddn", "DNSKEY", "; fully validated"),
        ("ddn.", "www.alice.ddn", "A", "; fully validated"),
        ("ddn.", "alice.ddn", "MX", "; negative response, fully validated"),
        (
            "ddn.",
            "er.alice.ddn",
            "A",
            "; negative response, fully validated",
        ),
        ("ddn.", "nobody.ddn", "A", "; negative response, fully validated"),
        ("ddn.", "gone.alice.ddn", "A", "; fully validated"),
        ("ddn.example.", "alice.ddn.example", "A", "; fully validated"),
        (
            "ddn.example.",
            "bafy.ipfs.gw.ddn.example",
            "A",
            "; fully validated",
        ),
        (
            "ddn.example.",
            "x.y.ipfs.gw.ddn.example",
            "A",
            "; negative response, fully validated",
        ),
        // Through the DS record in the zone above.
        ("ddn.example.", "alice.sub.ddn.example", "A", "; fully validated"),
        (
            "ddn.example.",
            "nobody.sub.ddn.example",
            "A",
            "; negative response, fully validated",
        ),
    ] {
        let file = folder.path().join(zone);
        std::fs::write(&file, bind_anchor(&anchor(&server, zone))).expect("written");
        let said = output(
            &delv,
            &delv_arguments(server.local_addr(), &file, zone, name, kind),
        )
        .await;
        assert!(
            said.contains(words),
            "delv {name} {kind}: no {words:?} in\n{said}"
        );
        assert!(!said.contains("unsigned answer"), "delv {name} {kind}:\n{said}");
    }
    // Another key is not believed.
    let file = folder.path().join("other");
    let wrong = Anchor {
        ds: anchor(&server, "ddn.example.").ds.replace("ddn.example.", "ddn."),
        ..anchor(&server, "ddn.")
    };
    std::fs::write(&file, bind_anchor(&wrong)).expect("written");
    let said = output(
        &delv,
        &delv_arguments(server.local_addr(), &file, "ddn.", "alice.ddn", "A"),
    )
    .await;
    assert!(said.contains("resolution failed"), "{said}");
}

fn delv_arguments(server: SocketAddr, anchor: &Path, root: &str, name: &str, kind: &str) -> Vec<String> {
    [
        &format!("@{}", server.ip()),
        "-p",
        &server.port().to_string(),
        "-a",
        &anchor.display().to_string(),
        &format!("+root={root}"),
        name,
        kind,
    ]
    .map(str::to_owned)
    .into()
}

/// What a resolver says: code, AD, addresses.
async fn resolved(resolver: SocketAddr, name: &str, kind: u16) -> (u8, bool, usize) {
    let reply = ask(name, kind).edns(0, 1232, 0x8000).udp(resolver).await;
    let message = reply.message();
    let wanted = |record: &&hickory_proto::rr::Record| u16::from(record.record_type()) == kind;
    let found = message.answers.iter().filter(wanted).count();
    (reply.code(), message.metadata.authentic_data, found)
}

/// What resolvers in front of us must say of honest answers.
const HONEST: [(&str, u16, usize); 6] = [
    ("alice.ddn", A, 1),
    ("alice.ddn", TXT, 1),
    ("www.alice.ddn", A, 1),
    ("alice.ddn", MX, 0),
    ("nobody.ddn", A, 0),
    ("er.alice.ddn", A, 0),
];

async fn check_honest(resolver: &Daemon) {
    for (name, kind, found) in HONEST {
        assert_eq!(
            resolved(resolver.address, name, kind).await,
            (NOERROR, true, found),
            "{name} {kind}: {}",
            resolver.log()
        );
    }
}

/// Somebody on the way sends readers elsewhere.
fn elsewhere(reply: &mut Vec<u8>) {
    let mut message = Message::from_vec(reply).expect("a reply of ours");
    for record in &mut message.answers {
        if let RData::A(address) = &mut record.data {
            *address = Address::new(198, 51, 100, 66);
        }
    }
    *reply = message.to_vec().expect("a message");
}

/// Somebody on the way says that there is nothing, with the proof for another name.
fn nothing(reply: &mut Vec<u8>) {
    let mut message = Message::from_vec(reply).expect("a reply of ours");
    message.answers.clear();
    *reply = message.to_vec().expect("a message");
}

fn unbound(server: SocketAddr, anchor: &Anchor, more: &str) -> impl FnOnce(SocketAddr, &Path) -> String {
    let mut text = String::from("server:\n");
    for line in [
        "do-daemonize: no",
        "chroot: \"\"",
        "username: \"\"",
        "pidfile: \"\"",
        "use-syslog: no",
        "logfile: \"\"",
        "num-threads: 1",
        "do-ip6: no",
        "do-not-query-localhost: no",
        "module-config: \"validator iterator\"",
        "val-log-level: 2",
        "ede: yes",
        "access-control: 127.0.0.0/8 allow",
        &format!("trust-anchor: \"{}\"", anchor.ds),
        more,
    ] {
        writeln!(text, "  {line}").expect("text");
    }
    let zone = anchor.zone.clone();
    move |address, folder| {
        writeln!(text, "  interface: {}\n  port: {}", address.ip(), address.port()).expect("text");
        writeln!(text, "  directory: \"{}\"", folder.display()).expect("text");
        let (ip, port) = (server.ip(), server.port());
        format!(
            "{text}stub-zone:\n  name: \"{zone}\"\n  stub-addr: {ip}@{port}\nremote-control:\n  control-enable: no\n"
        )
    }
}

#[tokio::test]
async fn unbound_believes_us_and_nobody_between() {
    let Some(program) = tool("unbound") else { return };
    let server = serve(signed(), &held()).await;
    let anchor = anchor(&server, "ddn.");
    let start = async |server, more| Daemon::start(&program, unbound(server, &anchor, more), &["-d"]).await;
    check_honest(&start(server.local_addr(), "").await).await;
    for change in [elsewhere as fn(&mut Vec<u8>), nothing] {
        let resolver = start(meddler(server.local_addr(), change).await, "").await;
        assert_eq!(
            resolved(resolver.address, "alice.ddn", A).await,
            (SERVFAIL, false, 0),
            "{}",
            resolver.log()
        );
    }
}

/// A validator whose clock is far off says so; one that is wrong by less than a day notices nothing.
#[tokio::test]
async fn a_wrong_clock_is_named_by_the_validator() {
    let Some(program) = tool("unbound") else { return };
    let server = serve(signed(), &held()).await;
    let anchor = anchor(&server, "ddn.");
    let start = async |more: &str| {
        Daemon::start(&program, unbound(server.local_addr(), &anchor, more), &["-d"]).await
    };
    for (offset, words) in [
        (-20 * 3_600, None),
        (40 * 3_600, None),
        (-10 * 86_400, Some("signature before inception date")),
        (10 * 86_400, Some("signature expired")),
    ] {
        let resolver = start(&format!("val-override-date: \"{}\"", date(offset))).await;
        let (code, authentic, _) = resolved(resolver.address, "alice.ddn", A).await;
        match words {
            None => assert_eq!((code, authentic), (NOERROR, true), "{offset}: {}", resolver.log()),
            Some(words) => {
                assert_eq!(
                    (code, authentic),
                    (SERVFAIL, false),
                    "{offset}: {}",
                    resolver.log()
                );
                assert!(resolver.log().contains(words), "{offset}: {}", resolver.log());
            }
        }
    }
}

/// The time so many seconds from now, as YYYYMMDDHHMMSS.
fn date(offset: i64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seconds = i64::try_from(now.expect("after 1970").as_secs()).expect("in range") + offset;
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days to date (H. Hinnant, "chrono-compatible low-level date algorithms").
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}")
}

fn bind(server: SocketAddr, anchor: &Anchor) -> impl FnOnce(SocketAddr, &Path) -> String {
    let anchors = bind_anchor(anchor);
    let zone = anchor.zone.clone();
    move |address, folder| {
        let folder = folder.display();
        let (ip, port) = (address.ip(), address.port());
        format!(
            "options {{\n  directory \"{folder}\";\n  pid-file none;\n  listen-on port {port} {{ {ip}; }};\n  \
             listen-on-v6 {{ none; }};\n  recursion yes;\n  dnssec-validation yes;\n  empty-zones-enable no;\n  \
             allow-query {{ 127.0.0.0/8; }};\n  allow-recursion {{ 127.0.0.0/8; }};\n  session-keyfile none;\n}};\ncontrols {{ }};\n{anchors}zone \
             \"{zone}\" {{ type forward; forward only; forwarders {{ {} port {}; }}; }};\n",
            server.ip(),
            server.port()
        )
    }
}

#[tokio::test]
async fn bind_believes_us_and_nobody_between() {
    let Some(program) = tool("named") else { return };
    let server = serve(signed(), &held()).await;
    let anchor = anchor(&server, "ddn.");
    let start = async |server| Daemon::start(&program, bind(server, &anchor), &["-4", "-g", "-n", "1"]).await;
    check_honest(&start(server.local_addr()).await).await;
    for change in [elsewhere as fn(&mut Vec<u8>), nothing] {
        let resolver = start(meddler(server.local_addr(), change).await).await;
        assert_eq!(
            resolved(resolver.address, "alice.ddn", A).await,
            (SERVFAIL, false, 0),
            "{}",
            resolver.log()
        );
    }
}
