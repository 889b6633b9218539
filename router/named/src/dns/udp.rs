//! Datagrams: a few workers on one socket.
//!
//! A worker waits for a packet on the async side, then answers it and whatever else has come on a blocking thread,
//! because a reply may read from disk. One socket, not one per core with `SO_REUSEPORT`: with that option a second
//! program of the same user could take the port unnoticed.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::answer::Responder;
use super::metrics::Transport;
use super::reuse::Client;

/// Longer datagrams are cut, and so malformed: a query with all options known is far shorter. Bytes.
const PACKET_BYTES_MAX: usize = 4_096;

/// A worker goes back to waiting after this many packets, so that it notices a stop under any load.
const BATCH_PACKETS: usize = 64;

/// The pause after a socket error that is not about one packet, such as lack of memory.
const ERROR_PAUSE: Duration = Duration::from_millis(10);

/// Starts a worker for each core.
pub fn spawn(tasks: &TaskTracker, stop: &CancellationToken, socket: UdpSocket, responder: &Arc<Responder>) {
    let socket = Arc::new(socket);
    for _ in 0..available_parallelism().map_or(1, usize::from) {
        tasks.spawn(work(socket.clone(), responder.clone(), stop.clone()));
    }
}

async fn work(socket: Arc<UdpSocket>, responder: Arc<Responder>, stop: CancellationToken) {
    let mut buffer = vec![0; PACKET_BYTES_MAX];
    loop {
        let received = tokio::select! {
            () = stop.cancelled() => return,
            received = socket.recv_from(&mut buffer) => received,
        };
        let first = match received {
            Ok(first) => first,
            Err(error) => {
                tracing::debug!(%error, "receiving a DNS datagram failed");
                tokio::time::sleep(ERROR_PAUSE).await;
                continue;
            }
        };
        let (socket, responder) = (socket.clone(), responder.clone());
        let batch = tokio::task::spawn_blocking(move || {
            answer_batch(&socket, &responder, &mut buffer, first);
            buffer
        });
        buffer = batch.await.unwrap_or_else(|error| {
            tracing::error!(%error, "answering a DNS datagram failed");
            vec![0; PACKET_BYTES_MAX]
        });
    }
}

/// Answers the packet in the buffer and those that wait in the socket.
fn answer_batch(
    socket: &Arc<UdpSocket>,
    responder: &Arc<Responder>,
    buffer: &mut [u8],
    (mut length, mut source): (usize, SocketAddr),
) {
    for _ in 0..BATCH_PACKETS {
        let client = Client {
            address: source.ip(),
            transport: Transport::Udp,
        };
        if let Some(forwarding) = responder.forward(&buffer[..length], client) {
            let (socket, responder) = (Arc::clone(socket), Arc::clone(responder));
            forwarding.spawn(move |reply| send(&socket, &responder, &reply, source));
        } else if let Some(reply) = responder.respond(&buffer[..length], client) {
            send(socket, responder, &reply.bytes, source);
        }
        match socket.try_recv_from(buffer) {
            Ok(next) => (length, source) = next,
            Err(_) => return,
        }
    }
}

/// Sends without waiting: a full send buffer loses the reply, as the network might, and the asker tries again.
fn send(socket: &UdpSocket, responder: &Responder, reply: &[u8], to: SocketAddr) {
    let sent: io::Result<usize> = socket.try_send_to(reply, to);
    if let Err(error) = sent {
        responder.metrics().dropped("send");
        tracing::debug!(%error, %to, "sending a DNS datagram failed");
    }
}
