//! What the node itself puts into the zones: HTTPS records, answers to challenges.

use std::sync::Arc;

use named::dns::{Config, Service, Services};

use crate::book::{Book, config, serve, site};
use crate::wire::*;

const HTTPS: u16 = 65;

fn zones() -> Config {
    Config {
        alias_zones: vec!["ddn.example".into()],
        challenge_hosts: vec!["ddn.example".into(), "GW.test".into()],
        edges: vec!["192.0.2.1".parse().expect("an address")],
        ..config()
    }
}

/// A certificate for one wildcard.
struct Below(&'static str, Service);

impl Services for Below {
    fn service(&self, host: &str) -> Option<Service> {
        let label = host.strip_suffix(self.0)?.strip_suffix('.')?;
        (!label.contains('.')).then_some(self.1)
    }
}

#[tokio::test]
async fn hosts_that_are_served_over_tls_have_https_records() {
    let book = Book::new();
    let mut own = site();
    own.a = vec!["198.51.100.7".parse().expect("an address")];
    book.hold("alice", [("", site()), ("deep", site())]);
    book.hold("own", [("", own)]);
    for (port, http3, parameters) in [
        (443, true, "alpn=h3,h2"),
        (443, false, "alpn=h2"),
        (8443, true, "alpn=h3,h2 port=8443"),
    ] {
        let server = serve(zones(), &book).await;
        let ask = async |name: &str| {
            let reply = ask(name, HTTPS).edns(0, 4096, 0).udp(server.local_addr()).await;
            assert_eq!(reply.code(), NOERROR, "{name}");
            reply.answers()
        };
        assert!(ask("alice.ddn.example").await.is_empty(), "before it is known");
        server
            .directory()
            .set(Arc::new(Below("ddn.example", Service { port, http3 })));
        let answers = ask("Alice.DDN.example").await;
        assert_eq!(answers.len(), 1);
        let line = answers[0]
            .replace(['"', ';'], "")
            .replace(", ", ",")
            .replace(",  ", " ");
        assert!(line.starts_with("Alice.DDN.example. 20 HTTPS 1 . "), "{line}");
        for parameter in parameters.split(' ') {
            assert!(line.contains(parameter), "{line} without {parameter}");
        }
        assert_eq!(line.contains("port="), port != 443, "{line}");
        // No certificate, nobody's addresses, somebody else's address, no certificate.
        for name in [
            "alice.ddn",
            "ns.ddn.example",
            "own.ddn.example",
            "deep.alice.ddn.example",
        ] {
            let reply = self::ask(name, HTTPS).udp(server.local_addr()).await;
            assert!(reply.answers().is_empty(), "{name}");
        }
    }
}

#[tokio::test]
async fn challenges_are_answered_while_they_are_set() {
    let server = serve(zones(), &Book::new()).await;
    let ask = async |name: &str| {
        let reply = ask(name, TXT).udp(server.local_addr()).await;
        (reply.code(), reply.answers())
    };
    let nothing = (NXDOMAIN, Vec::new());
    assert_eq!(ask("_acme-challenge.ddn.example").await, nothing);
    // The zone that is delegated to us is there, and empty.
    assert_eq!(ask("_acme-challenge.gw.test").await, (NOERROR, Vec::new()));
    let challenges = server.challenges();
    let one = challenges.answer("ddn.example", "one");
    let two = challenges.answer("DDN.example", "two");
    let three = challenges.answer("gw.test", "three");
    let name = "_acme-challenge.ddn.example";
    let both = vec![format!("{name}. 0 TXT one"), format!("{name}. 0 TXT two")];
    assert_eq!(ask(name).await, (NOERROR, both));
    let odd = "_ACME-Challenge.ddn.example";
    assert_eq!(ask(odd).await.1.len(), 2);
    let theirs = "_acme-challenge.gw.test. 0 TXT three".to_owned();
    assert_eq!(ask("_acme-challenge.gw.test").await, (NOERROR, vec![theirs]));
    assert_eq!(ask("gw.test").await.0, REFUSED);
    drop((one, three));
    assert_eq!(ask(name).await, (NOERROR, vec![format!("{name}. 0 TXT two")]));
    drop(two);
    assert_eq!(ask(name).await, nothing);
}
