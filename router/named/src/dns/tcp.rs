//! Streams: a bounded number of connections, each with a bounded number of questions in hand (RFC 7766).

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Config;
use super::front::{Front, Moment, Quick, Tally};
use super::metrics::{Metrics, Transport};
use super::reuse::Client;

/// The pause after a failed accept, such as for lack of file descriptors, which would else fail again at once.
const ERROR_PAUSE: Duration = Duration::from_millis(10);

/// The bounds on connections.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    connections: usize,
    per_source: usize,
    in_flight: usize,
    idle: Duration,
}

impl Limits {
    /// How long a connection may be silent.
    pub fn idle(&self) -> Duration {
        self.idle
    }
}

impl From<&Config> for Limits {
    fn from(config: &Config) -> Self {
        Self {
            connections: config.tcp_connections,
            per_source: config.tcp_connections_per_source,
            in_flight: config.tcp_in_flight.max(1),
            idle: config.tcp_idle,
        }
    }
}

/// Accepts connections until the stop.
pub async fn serve(
    listener: TcpListener,
    front: Arc<Front>,
    limits: Limits,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let open = Arc::new(Open::default());
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, source)) => match open.admit(source.ip(), &limits, front.responder().metrics()) {
                Some(place) => {
                    // Replies go as soon as they are there; a failure is none.
                    let _ = stream.set_nodelay(true);
                    let (front, stop) = (Arc::clone(&front), stop.clone());
                    tasks.spawn(async move {
                        let client = Client {
                            address: place.source,
                            transport: Transport::Tcp,
                        };
                        converse(stream, &front, client, &limits, &stop).await;
                        drop(place);
                    });
                }
                None => drop(stream),
            },
            Err(error) => {
                tracing::debug!(%error, "accepting a DNS connection failed");
                tokio::time::sleep(ERROR_PAUSE).await;
            }
        }
    }
}

/// One connection, from its first question to its last, over any kind of stream.
pub async fn converse<S>(
    stream: S,
    front: &Arc<Front>,
    client: Client,
    limits: &Limits,
    stop: &CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Send,
{
    let mut talk = Talk::new(stream, front, client, limits);
    tokio::select! {
        () = stop.cancelled() => talk.finish().await,
        () = talk.run() => {}
    }
    talk.tally.flush(front.responder().metrics());
}

/// A connection and what is under way on it. Questions may be sent ahead of replies; those that have to be composed are
/// composed at the same time, so many at most, and go out as they are done (RFC 7766, sections 6.2.1.1 and 7).
struct Talk<'a, S> {
    reader: ReadHalf<S>,
    writer: WriteHalf<S>,
    front: &'a Arc<Front>,
    client: Client,
    limits: &'a Limits,
    /// What came and was not read yet.
    come: Vec<u8>,
    /// Replies with their lengths, to be written.
    ready: Vec<u8>,
    composed: JoinSet<Option<Vec<u8>>>,
    tally: Tally,
    /// When the last whole question came, or the last reply went.
    active: Instant,
}

/// What the other side said makes no sense, or it is gone.
struct Ended;

impl<'a, S: AsyncRead + AsyncWrite + Send> Talk<'a, S> {
    fn new(stream: S, front: &'a Arc<Front>, client: Client, limits: &'a Limits) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        Self {
            reader,
            writer,
            front,
            client,
            limits,
            come: Vec::new(),
            ready: Vec::new(),
            composed: JoinSet::new(),
            tally: Tally::new(client.transport),
            active: Instant::now(),
        }
    }

    async fn run(&mut self) {
        while self.turn().await.is_ok() {}
    }

    /// Waits for questions or replies, and sends all replies that there are then.
    async fn turn(&mut self) -> Result<(), Ended> {
        let may_read = self.composed.len() < self.limits.in_flight;
        // Whoever sends byte by byte has no more time than who sends nothing.
        let until = self.active + self.limits.idle;
        let event = tokio::select! {
            biased;
            Some(reply) = self.composed.join_next() => Event::Composed(reply.ok().flatten()),
            read = timeout_at(until, read_some(&mut self.reader, &mut self.come)), if may_read => {
                Event::Come(matches!(read, Ok(Ok(1..))))
            }
        };
        match event {
            Event::Composed(reply) => self.add(&reply.ok_or(Ended)?),
            Event::Come(true) => {}
            // The other side sends no more; it may still read.
            Event::Come(false) => {
                self.finish().await;
                return Err(Ended);
            }
        }
        self.take_questions().await?;
        self.write().await
    }

    /// Answers the questions that have come, as far as there may be so many at once.
    async fn take_questions(&mut self) -> Result<(), Ended> {
        let mut at = 0;
        let now = Moment::now();
        while self.composed.len() < self.limits.in_flight {
            let Some(question) = message_at(&self.come, at) else {
                break;
            };
            at += LENGTH_BYTES + question.len();
            self.active = Instant::now();
            let start = self.ready.len();
            self.ready.extend([0; LENGTH_BYTES]);
            match self
                .front
                .quick(question, self.client, now, &mut self.ready, &mut self.tally)
            {
                Quick::Reply => set_length(&mut self.ready, start)?,
                Quick::Silence => self.ready.truncate(start),
                Quick::Slow => {
                    self.ready.truncate(start);
                    let (front, question, client) = (Arc::clone(self.front), question.to_vec(), self.client);
                    match front.responder().forward(&question, client) {
                        Some(forwarding) => self.composed.spawn(forwarding.reply()),
                        None => self
                            .composed
                            .spawn_blocking(move || front.compose(&question, client)),
                    };
                }
            }
            if self.ready.len() > WRITE_BYTES {
                self.come.drain(..at);
                at = 0;
                self.write().await?;
            }
        }
        self.come.drain(..at);
        Ok(())
    }

    fn add(&mut self, reply: &[u8]) {
        let start = self.ready.len();
        self.ready.extend([0; LENGTH_BYTES]);
        self.ready.extend_from_slice(reply);
        // It was composed for a message's length.
        let _ = set_length(&mut self.ready, start);
    }

    /// Writes what is ready, lengths and messages together (RFC 7766, section 8).
    async fn write(&mut self) -> Result<(), Ended> {
        if self.ready.is_empty() {
            return Ok(());
        }
        let written = timeout(self.limits.idle, self.writer.write_all(&self.ready)).await;
        self.ready.clear();
        self.active = Instant::now();
        match written {
            Ok(Ok(())) => timeout(self.limits.idle, self.writer.flush())
                .await
                .map_err(|_| Ended)?
                .map_err(|_| Ended),
            _ => Err(Ended),
        }
    }

    /// Sends what is still being composed.
    async fn finish(&mut self) {
        while let Some(reply) = self.composed.join_next().await {
            if let Ok(Some(reply)) = reply {
                self.add(&reply);
            }
        }
        let _ = self.write().await;
    }
}

enum Event {
    /// A reply is done; none: the question was no DNS, and neither is what would follow it.
    Composed(Option<Vec<u8>>),
    /// Bytes have come; or else the end, an error, or nothing for too long.
    Come(bool),
}

/// The length before each message (RFC 1035, section 4.2.2). Bytes.
const LENGTH_BYTES: usize = 2;
/// So much is read at once. Bytes.
const READ_BYTES: usize = 4 << 10;
/// From here on replies are written before more questions are read. Bytes.
const WRITE_BYTES: usize = 64 << 10;

/// Reads what is there. Cancel-safe: bytes are in `come` or were not read.
async fn read_some(reader: &mut (impl AsyncRead + Unpin), come: &mut Vec<u8>) -> io::Result<usize> {
    come.reserve(READ_BYTES);
    reader.read_buf(come).await
}

/// The whole message that begins at `at`, without its length.
fn message_at(come: &[u8], at: usize) -> Option<&[u8]> {
    let (length, rest) = come.get(at..)?.split_first_chunk::<LENGTH_BYTES>()?;
    rest.get(..usize::from(u16::from_be_bytes(*length)))
}

fn set_length(ready: &mut [u8], start: usize) -> Result<(), Ended> {
    let length = u16::try_from(ready.len() - start - LENGTH_BYTES).map_err(|_| Ended)?;
    ready[start..start + LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// The open connections, counted by source address.
#[derive(Debug, Default)]
pub struct Open {
    by_source: Mutex<HashMap<IpAddr, usize>>,
}

/// One connection's place among the open ones; given back when dropped.
pub struct Place {
    open: Arc<Open>,
    source: IpAddr,
    metrics: Metrics,
}

impl Open {
    /// A place for a connection from `source`, if there is one.
    pub fn admit(self: &Arc<Self>, source: IpAddr, limits: &Limits, metrics: &Metrics) -> Option<Place> {
        let mut by_source = self.by_source.lock().unwrap_or_else(PoisonError::into_inner);
        let total: usize = by_source.values().sum();
        let of_source = by_source.get(&source).copied().unwrap_or(0);
        if total >= limits.connections || of_source >= limits.per_source {
            metrics.tcp_refused.inc();
            return None;
        }
        by_source.insert(source, of_source + 1);
        metrics.tcp_connections.inc();
        Some(Place {
            open: self.clone(),
            source,
            metrics: metrics.clone(),
        })
    }

    fn leave(&self, source: IpAddr) {
        let mut by_source = self.by_source.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_source.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                by_source.remove(&source);
            }
        }
    }
}

impl Place {
    /// From where the connection comes.
    pub fn source(&self) -> IpAddr {
        self.source
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.leave(self.source);
        self.metrics.tcp_connections.dec();
    }
}
