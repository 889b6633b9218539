//! The same server through `dig`, as operators meet it. Without `dig` on the machine there is nothing to run.

use ledger::Records;
use named::dns::Config;

use crate::book::{Book, SITE, config, serve, site};
use crate::tools::{output, tool};

#[tokio::test]
async fn dig_sees_what_we_say() {
    let Some(dig) = tool("dig") else { return };
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
    let services = Records {
        mx: vec![
            "10 mail.example.org".parse().expect("an MX"),
            "20 backup.ddn".parse().expect("an MX"),
        ],
        caa: vec!["0 issue letsencrypt.org".parse().expect("a CAA")],
        https: vec!["1 . alpn=h3,h2 port=8443".parse().expect("an HTTPS")],
        ..site()
    };
    let sip = Records {
        srv: vec!["10 5 5060 sip.example.org".parse().expect("an SRV")],
        ..Records::default()
    };
    let dmarc = Records {
        txt: vec!["v=DMARC1; p=none".into()],
        ..Records::default()
    };
    book.hold("shop", [("", services), ("_sip._udp", sip), ("_dmarc", dmarc)]);
    let zones = Config {
        alias_zones: vec!["ddn.example".into()],
        gateway_hosts: vec!["ddn.example".into()],
        ..config()
    };
    let server = serve(zones, &book).await;
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
        ("+short shop.ddn MX", "10 mail.example.org.\n20 backup.ddn."),
        // Inside an alias zone a name of ours is given as one of that zone.
        ("+short shop.ddn.example MX", "20 backup.ddn.example."),
        ("+short shop.ddn CAA", "0 issue \"letsencrypt.org\""),
        ("+short shop.ddn TYPE65", "1 . alpn=\"h3,h2\" port=8443"),
        ("+short _sip._udp.shop.ddn SRV", "10 5 5060 sip.example.org."),
        ("_udp.shop.ddn SRV", "status: NOERROR"),
        ("_tcp.shop.ddn SRV", "status: NXDOMAIN"),
        ("+short _DMARC.shop.ddn TXT", "\"v=DMARC1; p=none\""),
        ("+short _dnslink.shop.ddn TXT", &link),
        // Hosts of sites below a gateway's own host.
        ("+short bafy.ipfs.ddn.example A", "127.0.0.1"),
        ("+short alice--ddn.IPNS.ddn.example A", "127.0.0.1"),
        ("ipfs.ddn.example A", "status: NOERROR"),
        ("bafy.ipfs.ddn A", "status: NXDOMAIN"),
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
        let (ip, port) = (server.local_addr().ip(), server.local_addr().port());
        let line = format!("@{ip} -p {port} +tries=1 +time=10 {arguments}");
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let output = output(&dig, &words).await;
        assert!(
            output.contains(expected),
            "dig {arguments}: no {expected:?} in\n{output}"
        );
    }
}
