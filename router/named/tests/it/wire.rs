//! Packets made by hand, byte by byte, and the exchange of them; nothing hangs longer than the deadline.

use std::net::SocketAddr;
use std::time::Duration;

use hickory_proto::op::Message;
use hickory_proto::rr::{RData, Record};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

pub const DEADLINE: Duration = Duration::from_secs(10);

pub const A: u16 = 1;
pub const NS: u16 = 2;
pub const CNAME: u16 = 5;
pub const SOA: u16 = 6;
pub const MX: u16 = 15;
pub const TXT: u16 = 16;
pub const AAAA: u16 = 28;
pub const AXFR: u16 = 252;
pub const ANY: u16 = 255;

pub const NOERROR: u8 = 0;
pub const FORMERR: u8 = 1;
pub const SERVFAIL: u8 = 2;
pub const NXDOMAIN: u8 = 3;
pub const NOTIMP: u8 = 4;
pub const REFUSED: u8 = 5;

/// A query under construction. The fields go into the packet as they are.
#[derive(Clone, Debug)]
pub struct Ask {
    pub id: u16,
    pub flags: u16,
    pub name: Vec<u8>,
    pub kind: u16,
    pub class: u16,
    pub counts: [u16; 4],
    /// What follows the question.
    pub rest: Vec<u8>,
}

/// A plain recursive query, as `dig` and stub resolvers send it.
pub fn ask(name: &str, kind: u16) -> Ask {
    Ask {
        id: 0x1234,
        flags: 0x0100,
        name: labels(name),
        kind,
        class: 1,
        counts: [1, 0, 0, 0],
        rest: Vec::new(),
    }
}

/// A dotted name as labels on the wire.
pub fn labels(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        bytes.push(label.len() as u8);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

/// An OPT record.
pub fn opt(version: u8, payload: u16, flags: u16) -> Vec<u8> {
    let mut bytes = vec![0, 0, 41];
    bytes.extend_from_slice(&payload.to_be_bytes());
    bytes.extend_from_slice(&[0, version]);
    bytes.extend_from_slice(&flags.to_be_bytes());
    bytes.extend_from_slice(&[0, 0]);
    bytes
}

impl Ask {
    /// With EDNS.
    pub fn edns(mut self, version: u8, payload: u16, flags: u16) -> Self {
        self.rest.extend(opt(version, payload, flags));
        self.counts[3] += 1;
        self
    }

    pub fn id(mut self, id: u16) -> Self {
        self.id = id;
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut packet = Vec::new();
        for word in [self.id, self.flags].into_iter().chain(self.counts) {
            packet.extend_from_slice(&word.to_be_bytes());
        }
        packet.extend_from_slice(&self.name);
        packet.extend_from_slice(&self.kind.to_be_bytes());
        packet.extend_from_slice(&self.class.to_be_bytes());
        packet.extend_from_slice(&self.rest);
        packet
    }

    pub async fn udp(&self, server: SocketAddr) -> Answer {
        Answer(udp(server, &self.bytes()).await)
    }

    pub async fn tcp(&self, server: SocketAddr) -> Answer {
        let mut stream = TcpStream::connect(server).await.expect("the server listens");
        Answer(exchange(&mut stream, &self.bytes()).await.expect("a reply"))
    }
}

/// One packet there, one back.
pub async fn udp(server: SocketAddr, packet: &[u8]) -> Vec<u8> {
    let socket = client(server).await;
    socket.send(packet).await.expect("sent");
    receive(&socket).await
}

pub async fn client(server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a client socket");
    socket.connect(server).await.expect("connected");
    socket
}

pub async fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = vec![0; 65_535];
    let received = timeout(DEADLINE, socket.recv(&mut buffer))
        .await
        .expect("a reply before the deadline");
    buffer.truncate(received.expect("received"));
    buffer
}

/// One message there, one back; `None` if the server closes instead.
pub async fn exchange(stream: &mut TcpStream, packet: &[u8]) -> Option<Vec<u8>> {
    let mut framed = (packet.len() as u16).to_be_bytes().to_vec();
    framed.extend_from_slice(packet);
    stream.write_all(&framed).await.ok()?;
    read(stream).await
}

pub async fn read(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let reading = async {
        let length = stream.read_u16().await.ok()?;
        let mut message = vec![0; usize::from(length)];
        stream.read_exact(&mut message).await.ok()?;
        Some(message)
    };
    timeout(DEADLINE, reading)
        .await
        .expect("a reply or the end before the deadline")
}

/// A reply.
pub struct Answer(pub Vec<u8>);

impl Answer {
    fn word(&self, index: usize) -> u16 {
        u16::from_be_bytes([self.0[2 * index], self.0[2 * index + 1]])
    }

    pub fn id(&self) -> u16 {
        self.word(0)
    }

    /// The low four bits of the response code.
    pub fn code(&self) -> u8 {
        self.0[3] & 0x0f
    }

    pub fn aa(&self) -> bool {
        self.0[2] & 4 != 0
    }

    pub fn tc(&self) -> bool {
        self.0[2] & 2 != 0
    }

    /// Question, answer, authority and additional counts.
    pub fn counts(&self) -> [u16; 4] {
        [self.word(2), self.word(3), self.word(4), self.word(5)]
    }

    pub fn message(&self) -> Message {
        Message::from_vec(&self.0).expect("a well-formed reply")
    }

    /// The answer section, one `OWNER TTL DATA` each, sorted.
    pub fn answers(&self) -> Vec<String> {
        lines(&self.message().answers)
    }

    pub fn authorities(&self) -> Vec<String> {
        lines(&self.message().authorities)
    }

    pub fn additionals(&self) -> Vec<String> {
        lines(&self.message().additionals)
    }
}

fn lines(records: &[Record]) -> Vec<String> {
    let mut lines: Vec<String> = records.iter().map(line).collect();
    lines.sort();
    lines
}

fn line(record: &Record) -> String {
    let data = match &record.data {
        RData::SOA(soa) => format!(
            "{} {} serial {} minimum {}",
            soa.mname, soa.rname, soa.serial, soa.minimum
        ),
        other => other.to_string(),
    };
    format!("{} {} {} {data}", record.name, record.ttl, record.record_type())
}
