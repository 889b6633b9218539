//! Random and damaged packets: each gets one well-formed reply or none, and the server lives.

use std::sync::Arc;

use named::dns::{Client, Responder, Transport};
use prometheus_client::registry::Registry;

use crate::book::{Book, config, serve, site};
use crate::wire::*;

const SEED: u64 = 0x0dd0_5eed;

/// SplitMix64 (Steele, Lea and Flood, 2014): a failure comes again with the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.roll() % bound as u64) as usize
    }

    /// Noise, or a good query with damage.
    fn packet(&mut self) -> Vec<u8> {
        if self.below(4) == 0 {
            let length = self.below(600);
            return (0..length).map(|_| self.roll() as u8).collect();
        }
        let name = [
            "alice.ddn",
            "_dnslink.ALICE.ddn",
            "x.y.alice.ddn",
            "ddn",
            "example.org",
            "",
        ][self.below(6)];
        let question = ask(name, [A, NS, SOA, TXT, AXFR, ANY, 41, 0][self.below(8)]);
        let mut packet = match self.below(3) {
            0 => question.bytes(),
            _ => question
                .edns(self.below(2) as u8, self.roll() as u16, self.roll() as u16)
                .bytes(),
        };
        for _ in 0..self.below(6) {
            let at = self.below(packet.len());
            match self.below(4) {
                0 => packet[at] ^= 1 << self.below(8),
                1 => packet[at] = self.roll() as u8,
                2 => packet.truncate(at.max(1)),
                _ => packet.insert(at, self.roll() as u8),
            }
        }
        packet
    }
}

fn held() -> Arc<Book> {
    let book = Book::new();
    book.hold("alice", [("", site()), ("y", site())]);
    book
}

/// Whether `reply` may answer `packet`: same id, marked as a reply, within the size, well formed.
fn check(packet: &[u8], reply: &[u8], limit: usize) {
    assert!(
        reply.len() >= 12 && reply.len() <= limit,
        "{} bytes for {packet:02x?}",
        reply.len()
    );
    assert_eq!(reply[..2], packet[..2], "id for {packet:02x?}");
    assert!(packet[2] & 0x80 == 0 && reply[2] & 0x80 != 0, "{packet:02x?}");
    Answer(reply.to_vec()).message();
}

#[test]
fn every_packet_gets_a_good_reply_or_none() {
    let responder =
        Responder::new(&config(), held(), &mut Registry::default()).expect("the zones of the tests");
    let mut dice = Dice(SEED);
    let mut answered = 0;
    for _ in 0..50_000 {
        let packet = dice.packet();
        for (transport, limit) in [(Transport::Udp, 1_232), (Transport::Tcp, 65_535)] {
            let client = Client {
                address: "192.0.2.7".parse().expect("an address"),
                transport,
            };
            if let Some(reply) = responder.respond(&packet, client) {
                check(&packet, &reply.bytes, limit);
                answered += 1;
            }
        }
    }
    assert!(answered > 50_000, "most have a header: {answered}");
}

#[tokio::test]
async fn the_server_lives_on_under_noise() {
    let server = serve(config(), &held()).await;
    let mut dice = Dice(SEED ^ 1);
    let socket = client(server.local_addr()).await;
    for n in 0..1_000u16 {
        socket.send(&dice.packet()).await.expect("sent");
        let id = 0x8000 | n;
        socket
            .send(&ask("alice.ddn", SOA).id(id).bytes())
            .await
            .expect("sent");
        while Answer(receive(&socket).await).id() != id {}
    }
    for _ in 0..200 {
        let mut stream = tokio::net::TcpStream::connect(server.local_addr())
            .await
            .expect("it listens");
        exchange(&mut stream, &dice.packet()).await;
        drop(stream);
        assert_eq!(ask("alice.ddn", A).tcp(server.local_addr()).await.counts()[1], 1);
    }
}
