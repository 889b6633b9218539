//! A line between two nodes: datagrams pass at a rate, until it is cut.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use storage::ddp::Provider;

/// A line to one server, for one client.
pub struct Link {
    address: SocketAddr,
    is_cut: Arc<AtomicBool>,
    is_over: Arc<AtomicBool>,
    ways: Vec<JoinHandle<()>>,
}

impl Link {
    /// To the server of `provider`; what it sends comes at so many bytes in a second.
    pub fn to(provider: &Provider, rate: u64) -> Link {
        let client_side = UdpSocket::bind("127.0.0.1:0").unwrap();
        let server_side = UdpSocket::bind("127.0.0.1:0").unwrap();
        server_side.connect(provider.addresses[0]).unwrap();
        let address = client_side.local_addr().unwrap();
        for socket in [&client_side, &server_side] {
            socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        }
        let (is_cut, is_over) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let client = Arc::new(std::sync::Mutex::new(None));
        let there = {
            let (from, to) = (client_side.try_clone().unwrap(), server_side.try_clone().unwrap());
            let client = Arc::clone(&client);
            way(from, &is_cut, &is_over, move |packet, sender| {
                *client.lock().unwrap() = Some(sender);
                let _ = to.send(packet);
            })
        };
        let mut free = Instant::now();
        let back = way(server_side, &is_cut, &is_over, move |packet, _| {
            sleep(free.saturating_duration_since(Instant::now()));
            let takes = Duration::from_nanos(packet.len() as u64 * 1_000_000_000 / rate);
            free = free.max(Instant::now()) + takes;
            if let Some(client) = *client.lock().unwrap() {
                let _ = client_side.send_to(packet, client);
            }
        });
        Link {
            address,
            is_cut,
            is_over,
            ways: vec![there, back],
        }
    }

    /// The same provider, by this line.
    pub fn provider(&self, provider: &Provider) -> Provider {
        Provider {
            addresses: vec![self.address],
            ..provider.clone()
        }
    }

    /// From now on nothing passes.
    pub fn cut(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        for way in self.ways.drain(..) {
            let _ = way.join();
        }
    }
}

/// One direction. What the system joins would not be what was sent, so nothing is.
fn way(
    from: UdpSocket,
    is_cut: &Arc<AtomicBool>,
    is_over: &Arc<AtomicBool>,
    mut pass: impl FnMut(&[u8], SocketAddr) + Send + 'static,
) -> JoinHandle<()> {
    let (is_cut, is_over) = (Arc::clone(is_cut), Arc::clone(is_over));
    spawn(move || {
        let mut packet = vec![0; 1 << 16];
        while !is_over.load(Ordering::SeqCst) {
            // Nothing came in time, or the other side is gone: both are for the nodes to find out.
            let Ok((length, sender)) = from.recv_from(&mut packet) else {
                continue;
            };
            if !is_cut.load(Ordering::SeqCst) {
                pass(&packet[..length], sender);
            }
        }
    })
}
