//! Nodes that are found by a domain alone.

use std::collections::HashMap;
use std::net::SocketAddr;

use hickory_proto::op::Message;
use hickory_proto::rr::rdata::TXT;
use hickory_proto::rr::{RData, Record};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

use super::world::*;

/// A name server with nothing but these texts; it ends when it is dropped.
struct NameServer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl NameServer {
    async fn start(texts: &[(&str, String)]) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let mut zone: HashMap<String, Vec<String>> = HashMap::new();
        for (name, text) in texts {
            zone.entry((*name).to_owned()).or_default().push(text.clone());
        }
        let task = tokio::spawn(async move {
            let mut packet = [0; 512];
            loop {
                let (length, from) = socket.recv_from(&mut packet).await.unwrap();
                let question = Message::from_vec(&packet[..length]).unwrap();
                let answer = answer(&question, &zone).to_vec().unwrap();
                socket.send_to(&answer, from).await.unwrap();
            }
        });
        Self { address, task }
    }
}

fn answer(question: &Message, zone: &HashMap<String, Vec<String>>) -> Message {
    let query = question.queries[0].clone();
    let name = query.name().to_ascii().to_ascii_lowercase();
    let mut answer = Message::response(question.id, question.op_code);
    answer.metadata.recursion_available = true;
    answer.add_query(query.clone());
    for text in zone.get(name.trim_end_matches('.')).into_iter().flatten() {
        let data = RData::TXT(TXT::new(vec![text.clone()]));
        answer.add_answer(Record::from_rdata(query.name().clone(), 60, data));
    }
    answer
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn seeded(server: &NameServer, domain: &str) -> Setup {
    let mut setup = setup();
    setup.config.seeds.push(domain.into());
    setup.config.seed_servers.push(server.address);
    setup
}

#[tokio::test]
async fn a_domain_leads_to_the_network() {
    let [a, b] = crowd::<2>().await;
    let server = NameServer::start(&[
        ("_dnsaddr.seeds.example", "dnsaddr=/dnsaddr/one.example".into()),
        (
            "_dnsaddr.seeds.example",
            format!("dnsaddr=/dnsaddr/two.example/p2p/{}", b.peer_id()),
        ),
        ("_dnsaddr.seeds.example", "v=spf1 -all".into()),
        ("_dnsaddr.one.example", format!("dnsaddr={}", a.address())),
        // It leads back, and to somebody else than it should.
        ("_dnsaddr.two.example", "dnsaddr=/dnsaddr/seeds.example".into()),
        ("_dnsaddr.two.example", format!("dnsaddr={}", a.address())),
    ])
    .await;
    let c = seeded(&server, "seeds.example").start().await;
    until("it found one, and so the other", || {
        c.peer(&a).is_some() && c.peer(&b).is_some()
    })
    .await;
    assert!(c.mesh.refused().is_empty(), "{:?}", c.mesh.refused());
}

#[tokio::test]
async fn a_seed_that_brings_nobody_is_said() {
    let server = NameServer::start(&[(
        "_dnsaddr.empty.example",
        "dnsaddr=/ip4/192.0.2.1/udp/1/quic-v1".into(),
    )])
    .await;
    let a = seeded(&server, "empty.example").start().await;
    until("it says so", || a.refusal("empty.example").is_some()).await;
    assert_eq!(
        a.refusal("empty.example").unwrap(),
        "it has no dnsaddr record with a TCP address of a node"
    );

    let wrong = seeded(&server, "https://seeds.example").try_start().await;
    assert_eq!(
        wrong.err().unwrap().to_string(),
        "mesh.seeds: `https://seeds.example` is no domain, such as seeds.ddn.example"
    );
}
