//! How far readers are: the round-trip time that the system has measured of a connection is told when the connection ends.
//! Nothing is done for it before that.

use std::io::{self, ErrorKind, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::service::{Client, Service};

/// A connection of TCP that tells its round-trip time when it ends.
pub(super) struct Measured {
    /// There until it is taken out.
    stream: Option<TcpStream>,
    client: Client,
    service: Service,
}

impl Measured {
    /// The service is told, once, and not at all if the system does not know.
    pub(super) fn new(stream: TcpStream, client: Client, service: &Service) -> Self {
        Self {
            stream: Some(stream),
            client,
            service: service.clone(),
        }
    }

    /// The connection, which has not ended.
    pub(super) fn into_inner(mut self) -> io::Result<TcpStream> {
        self.stream.take().ok_or_else(|| ErrorKind::NotConnected.into())
    }

    fn stream(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        let stream = self.stream.as_mut();
        stream.map(Pin::new).ok_or_else(|| ErrorKind::NotConnected.into())
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        if let Some(stream) = &self.stream {
            measure(stream, &self.client, &self.service);
        }
    }
}

/// Tells the service how far the client of a connection is that ends.
pub(super) fn measure(stream: &impl AsFd, client: &Client, service: &Service) {
    if service.measures(client)
        && let Some(rtt_us) = rtt_us(stream.as_fd())
    {
        service.measured(client, rtt_us);
    }
}

impl AsyncRead for Measured {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream()?.poll_read(cx, buffer)
    }
}

impl AsyncWrite for Measured {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(cx)
    }
}

/// The smoothed round-trip time in microseconds (RFC 6298), which begins with that of the handshake.
#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "no crate that we have offers TCP_INFO")]
fn rtt_us(stream: BorrowedFd<'_>) -> Option<u32> {
    use std::mem::MaybeUninit;
    use std::os::fd::AsRawFd;

    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut length = libc::socklen_t::try_from(size_of::<libc::tcp_info>()).ok()?;
    // SAFETY: the descriptor is open as long as `stream` is borrowed; the kernel writes at most `length` bytes to `info`, which
    // has so many, and changes `length`; both outlive the call.
    let result = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    // SAFETY: `tcp_info` consists of integers, of which all bits may be zero, as those are that an older kernel leaves out.
    let info = unsafe { info.assume_init() };
    (result == 0 && info.tcpi_rtt > 0).then_some(info.tcpi_rtt)
}

/// Other systems have other ways.
#[cfg(not(target_os = "linux"))]
fn rtt_us(_: BorrowedFd<'_>) -> Option<u32> {
    None
}
