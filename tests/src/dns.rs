//! A DNS client of one question, over UDP or TCP: what `dig` would show.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RecordType};

/// A node says *absent* at once; a second of it would be a failure, five are a hang.
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);

/// How a question travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// One datagram each way.
    Udp,
    /// Two bytes of length, then the message.
    Tcp,
}

/// Asks one DNS server.
#[derive(Clone, Copy, Debug)]
pub struct Dns {
    server: SocketAddr,
}

impl Dns {
    /// A client of the server at `server`.
    pub fn new(server: SocketAddr) -> Self {
        Self { server }
    }

    /// Asks for the records of `kind` at `name` (absolute, with or without the last dot).
    ///
    /// # Errors
    /// When the name is no DNS name, nothing answers in time, or the answer is not an answer to this question.
    pub fn ask(&self, transport: Transport, name: &str, kind: RecordType) -> Result<Message> {
        let mut name = Name::from_ascii(name).with_context(|| format!("the DNS name {name}"))?;
        name.set_fqdn(true);
        let mut question = Message::query();
        question.add_query(Query::query(name, kind));
        let answer = self.exchange(transport, &question.to_vec()?)?;
        let answer = Message::from_vec(&answer).context("the answer is no DNS message")?;
        ensure!(
            answer.id == question.id,
            "the answer carries another id than the question"
        );
        Ok(answer)
    }

    /// Sends `bytes` as they are and returns the bytes that come back.
    ///
    /// # Errors
    /// When nothing comes back in time, which is right for some malformed packets: see [`Dns::shout`].
    pub fn exchange(&self, transport: Transport, bytes: &[u8]) -> Result<Vec<u8>> {
        match transport {
            Transport::Udp => self.exchange_udp(bytes),
            Transport::Tcp => self.exchange_tcp(bytes),
        }
        .with_context(|| format!("a DNS question to {} over {transport:?}", self.server))
    }

    /// Sends `bytes` in one datagram and waits for no answer.
    ///
    /// # Errors
    /// When the datagram cannot be sent.
    pub fn shout(&self, bytes: &[u8]) -> Result<()> {
        UdpSocket::bind("127.0.0.1:0")?.send_to(bytes, self.server)?;
        Ok(())
    }

    fn exchange_udp(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_read_timeout(Some(ANSWER_DEADLINE))?;
        socket.connect(self.server)?;
        socket.send(bytes)?;
        let mut answer = vec![0; 65_535];
        let length = socket.recv(&mut answer).context("no answer")?;
        answer.truncate(length);
        Ok(answer)
    }

    fn exchange_tcp(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(&self.server, ANSWER_DEADLINE)?;
        stream.set_read_timeout(Some(ANSWER_DEADLINE))?;
        let mut framed = u16::try_from(bytes.len())?.to_be_bytes().to_vec();
        framed.extend_from_slice(bytes);
        stream.write_all(&framed)?;
        let mut length = [0; 2];
        stream.read_exact(&mut length).context("no answer")?;
        let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut answer).context("half an answer")?;
        Ok(answer)
    }
}
