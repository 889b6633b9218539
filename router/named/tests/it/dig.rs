//! The same server through `dig`, as operators meet it. Without `dig` on the machine there is nothing to run.

use std::net::SocketAddr;
use std::process::Command;

use ledger::Records;

use crate::book::{Book, SITE, config, serve, site};

/// What `dig` prints, or `None` if there is none here.
async fn dig(server: SocketAddr, arguments: &'static str) -> Option<String> {
    let run = move || {
        Command::new("dig")
            .args([
                format!("@{}", server.ip()),
                "-p".into(),
                server.port().to_string(),
            ])
            .args(["+tries=1", "+time=10"])
            .args(arguments.split(' '))
            .output()
            .ok()
    };
    let output = tokio::task::spawn_blocking(run).await.expect("no panic")?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[tokio::test]
async fn dig_sees_what_we_say() {
    let book = Book::new();
    let long: Vec<String> = (0..10).map(|n| n.to_string().repeat(200)).collect();
    book.hold(
        "alice",
        [
            ("", site()),
            (
                "long",
                Records {
                    txt: long,
                    ..Records::default()
                },
            ),
        ],
    );
    let server = serve(config(), &book).await;
    let link = format!("\"dnslink=/ipfs/{SITE}\"");
    for (arguments, expected) in [
        ("+short alice.ddn A", "127.0.0.1"),
        ("+short alice.ddn TXT", &link),
        ("+short _dnslink.alice.ddn TXT", &link),
        ("+short +tcp _dnslink.alice.ddn TXT", &link),
        ("+short ddn NS", "localhost."),
        (
            "+short ddn SOA",
            "localhost. hostmaster.ddn. 7 3600 600 604800 20",
        ),
        ("nobody.ddn A", "status: NXDOMAIN"),
        ("nobody.ddn A", "IN\tSOA\tlocalhost."),
        ("alice.ddn MX", "status: NOERROR"),
        ("example.org A", "status: REFUSED"),
        ("ddn AXFR", "Transfer failed."),
        ("CH version.bind TXT", "status: REFUSED"),
        ("+opcode=notify alice.ddn SOA", "status: NOTIMP"),
        ("+edns=1 +noednsneg alice.ddn A", "status: BADVERS"),
        ("+header-only alice.ddn A", "status: FORMERR"),
        ("alice.ddn A", "udp: 1232"),
        ("aLiCe.dDn A", "aLiCe.dDn.\t\t20\tIN\tA\t127.0.0.1"),
        // `dig` sees TC and comes again over TCP.
        ("long.alice.ddn TXT", "Truncated, retrying in TCP mode."),
        ("long.alice.ddn TXT", "ANSWER: 10"),
        (
            "+ignore long.alice.ddn TXT",
            "flags: qr aa tc rd; QUERY: 1, ANSWER: 0",
        ),
        (
            "+subnet=203.0.113.0/24 +cookie +nsid +dnssec alice.ddn A",
            "flags: do; udp: 1232",
        ),
    ] {
        let Some(output) = dig(server.local_addr(), arguments).await else {
            eprintln!("no dig on this machine");
            return;
        };
        assert!(
            output.contains(expected),
            "dig {arguments}: no {expected:?} in\n{output}"
        );
    }
}
