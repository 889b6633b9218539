//! The end of a connection whose client may still be sending: closing it at once would reset it, and the client could lose
//! what it has not read yet (RFC 9112, section 9.6).

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, sink};
use tokio::time::timeout;

/// How long the client may take to hear of the end.
const LINGER: Duration = Duration::from_secs(1);
/// What it may send until then.
const LINGER_BYTES_MAX: u64 = 1 << 20;

/// Says that nothing more comes, and reads what the client sends, for a while, until it has heard.
pub(super) async fn linger(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let heard = async {
        stream.shutdown().await?;
        let mut rest = stream.take(LINGER_BYTES_MAX);
        tokio::io::copy(&mut rest, &mut sink()).await
    };
    // However it ends, the connection is over.
    drop(timeout(LINGER, heard).await);
}
