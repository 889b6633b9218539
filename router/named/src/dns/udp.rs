//! Datagrams: a thread for each socket, which never waits for anything but packets.
//!
//! What is in memory is answered on the spot. Anything else goes to a bounded queue, from which a few threads that may wait
//! for a disk take it. Threads of their own, since a runtime's would have other things to do in between, and one call of the
//! system for a packet and one for its reply.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::datagrams::{Asker, Datagrams};
use super::front::{Front, Moment, Quick, Tally};
use super::listen::failed;
use super::metrics::Transport;
use super::reuse::Client;
use crate::Error;

/// Longer datagrams are cut, and so malformed: a query with all options known is far shorter. Bytes.
const PACKET_BYTES_MAX: usize = 4_096;

/// What is read at once: a network card may join datagrams. Bytes.
const READ_BYTES: usize = 1 << 16;

/// A reply, about: the buffer for it grows if it has to. Bytes.
const REPLY_BYTES: usize = 4_096;

/// Counters are brought up to date this often under load, and as soon as there is none. Packets.
const FLUSH_AFTER: u32 = 1_024;

/// How long a thread waits for a packet before it looks whether it is to stop. Nothing wakes it before: what a shutdown of the
/// socket lets through has no sender, and makes the standard library panic.
const LOOK: Duration = Duration::from_millis(250);

/// The pause after a socket error that is not about one packet, such as lack of memory.
const ERROR_PAUSE: Duration = Duration::from_millis(10);

/// The threads of a server.
pub struct Threads {
    sockets: Vec<Arc<Datagrams>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// A packet that has to be composed.
struct Job {
    packet: Box<[u8]>,
    asker: Asker,
    socket: Arc<Datagrams>,
}

/// How many threads compose, and how many packets wait for them.
#[derive(Clone, Copy, Debug)]
pub struct Composing {
    pub threads: usize,
    pub waiting_max: usize,
}

impl Threads {
    /// Starts a thread for each socket, and those that compose.
    pub fn start(sockets: Vec<UdpSocket>, front: &Arc<Front>, composing: Composing) -> Result<Self, Error> {
        let nowhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
        let address = sockets.first().and_then(|socket| socket.local_addr().ok());
        let failed = |source| failed(address.unwrap_or(nowhere), "UDP", source);
        let sockets = sockets
            .into_iter()
            .map(|socket| Datagrams::new(socket, LOOK).map(Arc::new));
        let mut started = Self {
            sockets: sockets.collect::<io::Result<_>>().map_err(failed)?,
            stop: Arc::default(),
            threads: Vec::new(),
        };
        // What has been started stops with it.
        started.spawn_all(front, composing).map_err(failed)?;
        Ok(started)
    }

    fn spawn_all(&mut self, front: &Arc<Front>, composing: Composing) -> io::Result<()> {
        let (jobs, work) = bounded(composing.waiting_max);
        for _ in 0..composing.threads {
            let (front, work) = (Arc::clone(front), work.clone());
            let thread = Builder::new().name("dns-compose".into());
            self.threads.push(thread.spawn(move || compose(&front, &work))?);
        }
        for socket in &self.sockets {
            let worker = Worker {
                socket: Arc::clone(socket),
                front: Arc::clone(front),
                jobs: jobs.clone(),
                stop: Arc::clone(&self.stop),
            };
            let thread = Builder::new().name("dns-udp".into());
            self.threads.push(thread.spawn(move || worker.run())?);
        }
        Ok(())
    }

    /// Asks the threads to end; those that compose do so after what waits.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// Waits until they have ended.
    pub fn join(&mut self) {
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        self.sockets.clear();
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The thread of one socket.
struct Worker {
    socket: Arc<Datagrams>,
    front: Arc<Front>,
    jobs: Sender<Job>,
    stop: Arc<AtomicBool>,
}

impl Worker {
    fn run(&self) {
        while !self.stop.load(Ordering::Acquire) {
            // A packet that finds a fault in us costs nobody else an answer.
            if catch_unwind(AssertUnwindSafe(|| self.serve())).is_err() {
                tracing::error!("answering a DNS datagram failed");
            }
        }
    }

    fn serve(&self) {
        let mut buffer = vec![0; READ_BYTES];
        let mut reply = Vec::with_capacity(REPLY_BYTES);
        let mut tally = Tally::new(Transport::Udp);
        let (mut now, mut packets) = (Moment::now(), 0);
        let metrics = self.front.responder().metrics();
        loop {
            match self.socket.receive(&mut buffer) {
                Ok(come) if !self.stop.load(Ordering::Relaxed) => {
                    now = now.later();
                    for packet in buffer[..come.length].chunks(come.stride) {
                        let packet = &packet[..packet.len().min(PACKET_BYTES_MAX)];
                        self.answer(packet, come.asker, now, &mut reply, &mut tally);
                        packets += 1;
                    }
                }
                Ok(_) => break,
                Err(error) if is_wait(&error) => packets = FLUSH_AFTER,
                Err(error) => {
                    tracing::debug!(%error, "receiving a DNS datagram failed");
                    std::thread::sleep(ERROR_PAUSE);
                }
            }
            if packets >= FLUSH_AFTER {
                tally.flush(metrics);
                packets = 0;
            }
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
        }
        tally.flush(metrics);
    }

    fn answer(&self, packet: &[u8], asker: Asker, now: Moment, reply: &mut Vec<u8>, tally: &mut Tally) {
        let client = Client {
            address: asker.address.ip(),
            transport: Transport::Udp,
        };
        reply.clear();
        match self.front.quick(packet, client, now, reply, tally) {
            Quick::Reply => send(&self.socket, &self.front, reply, asker),
            Quick::Silence => {}
            Quick::Slow => {
                let job = Job {
                    packet: packet.into(),
                    asker,
                    socket: Arc::clone(&self.socket),
                };
                if self.jobs.try_send(job).is_err() {
                    self.front.responder().metrics().dropped("busy");
                }
            }
        }
    }
}

fn compose(front: &Arc<Front>, work: &Receiver<Job>) {
    for job in work {
        let client = Client {
            address: job.asker.address.ip(),
            transport: Transport::Udp,
        };
        if let Some(forwarding) = front.responder().forward(&job.packet, client) {
            let front = Arc::clone(front);
            forwarding.spawn(move |reply| send(&job.socket, &front, &reply, job.asker));
            continue;
        }
        match catch_unwind(AssertUnwindSafe(|| front.compose(&job.packet, client))) {
            Ok(Some(reply)) => send(&job.socket, front, &reply, job.asker),
            Ok(None) => {}
            Err(_) => tracing::error!("composing a DNS reply failed"),
        }
    }
}

/// Nothing came in the time that was given.
fn is_wait(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}

/// Sends. A reply that cannot go is lost, as in the network, and the asker tries again.
fn send(socket: &Datagrams, front: &Front, reply: &[u8], to: Asker) {
    if let Err(error) = socket.send(reply, to) {
        front.responder().metrics().dropped("send");
        tracing::debug!(%error, to = %to.address, "sending a DNS datagram failed");
    }
}
