//! One UDP socket, which answers from the address that was asked.
//!
//! A socket that is bound to one address does so by itself: a call of the system for a packet and one for its reply, nothing
//! else, not even what the C library has around such calls. One that is bound to all of them (`0.0.0.0`, `::`) would let the system choose by the route back, and who asked
//! drops what comes from where he did not ask. So there the system tells with each packet to which address it came, and is told
//! with the reply. That takes longer, so only they do it.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use rustix::net::{RecvFlags, SendFlags, recvfrom, sendto};

/// A socket of the server.
#[derive(Debug)]
pub struct Datagrams {
    socket: UdpSocket,
    /// What tells addresses, if there are several.
    addresses: Option<UdpSocketState>,
}

/// Who asked, and where.
#[derive(Clone, Copy, Debug)]
pub struct Asker {
    /// His address.
    pub address: SocketAddr,
    /// Ours, if there are several.
    asked: Option<IpAddr>,
}

/// What has come: packets of `stride` bytes, of which the last may be shorter. It is more than one where the network card
/// joins packets of one sender.
#[derive(Clone, Copy, Debug)]
pub struct Come {
    /// In all. Bytes.
    pub length: usize,
    /// Of each but the last. Bytes; at least one.
    pub stride: usize,
    /// From whom.
    pub asker: Asker,
}

impl Datagrams {
    /// Takes a socket, whose reads are to end after `wait` without a packet.
    pub fn new(socket: UdpSocket, wait: Duration) -> io::Result<Self> {
        let is_any = socket.local_addr()?.ip().is_unspecified();
        let addresses = is_any
            .then(|| UdpSocketState::new((&socket).into()))
            .transpose()?;
        // The state took that away.
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(wait))?;
        Ok(Self { socket, addresses })
    }

    /// Waits for a packet. The buffer has room for more than one.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Come> {
        let Some(state) = &self.addresses else {
            let (length, _, address) = recvfrom(&self.socket, &mut *buffer, RecvFlags::empty())?;
            let address = address.and_then(|address| SocketAddr::try_from(address).ok());
            let asker = Asker {
                address: address.ok_or(io::ErrorKind::AddrNotAvailable)?,
                asked: None,
            };
            return Ok(Come {
                length,
                stride: length.max(1),
                asker,
            });
        };
        let mut meta = [RecvMeta::default()];
        state.recv((&self.socket).into(), &mut [IoSliceMut::new(buffer)], &mut meta)?;
        let [meta] = meta;
        Ok(Come {
            length: meta.len,
            stride: meta.stride.max(1),
            asker: Asker {
                address: meta.addr,
                asked: meta.dst_ip,
            },
        })
    }

    /// Sends a reply.
    pub fn send(&self, reply: &[u8], to: Asker) -> io::Result<()> {
        let Some(state) = &self.addresses else {
            sendto(&self.socket, reply, SendFlags::empty(), &to.address)?;
            return Ok(());
        };
        let transmit = Transmit {
            destination: to.address,
            ecn: None,
            contents: reply,
            segment_size: None,
            src_ip: to.asked,
        };
        state.try_send((&self.socket).into(), &transmit)
    }
}
