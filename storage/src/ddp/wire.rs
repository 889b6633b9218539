//! What the two sides of a session say to each other, on one bidirectional stream.
//!
//! A frame is its length (4 bytes, big-endian, at most [`FRAME_BYTES_MAX`]) and one strict DAG-CBOR message; the bytes of
//! a block follow [`ToClient::Block`] bare. A session goes like this:
//!
//! 1. [`ToServer::Open`], answered by [`ToClient::Offer`] or [`ToClient::Refuse`].
//! 2. The client first pays what its books say is owed beyond [`Offer::vouched`], then wants blocks and paths. What it
//!    wants is answered in that order, each block by [`ToClient::Block`] or [`ToClient::Absent`], each path by its blocks
//!    and [`ToClient::End`].
//! 3. The server states what it has delivered after each half window and when it has nothing more to send; the client
//!    pays. Without room it sends no block before it is paid; [`ToClient::Due`] names a voucher without which nothing
//!    more leaves: ahead, or for what was lost on the way.
//! 4. [`ToServer::Close`] is answered by a last statement, if something was delivered since the one before; then the
//!    server ends its side, the client pays and ends its own. [`ToClient::Refuse`] ends a session at any time.
//!
//! A session about [`relay_root`] is about no content: as long as it goes on, the server passes packets on to the client
//! and from it, in the relay protocol of iroh, and states their bytes. Nothing can be wanted in it.
//!
//! Both sides read while they write: else each may wait for the other. All sessions of a client go over one connection;
//! when it connects anew, those of the earlier connection are over.

use std::fmt::Display;
use std::net::SocketAddr;
use std::str::FromStr;

use bytes::Bytes;
use cid::Cid;
use ledger::{Amount, Hash, Link, Quote, Signed, Statement, Voucher};
use multihash::Multihash;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::BLOCK_BYTES_MAX;

/// The protocol's name in the handshake.
pub const ALPN: &[u8] = b"ddn/ddp/1";
/// The version in [`Open`].
pub const VERSION: u32 = 1;
/// The largest frame, without the bytes of a block: a full [`ToServer::Want`] fits.
pub const FRAME_BYTES_MAX: usize = 64 << 10;
/// Blocks in one [`ToServer::Want`].
pub const WANT_BLOCKS_MAX: usize = 512;
/// Blocks wanted and not yet answered. A path counts as one.
pub const OUTSTANDING_MAX: usize = 4096;
/// Segments of one [`ToServer::Path`].
pub const PATH_SEGMENTS_MAX: usize = 256;

/// What a session with a relay is about: an identity CID (multihash 0x00) of the service's name.
pub fn relay_root() -> Cid {
    let name = Multihash::wrap(IDENTITY, b"ddn/relay/1");
    Cid::new_v1(RAW, name.expect("shorter than a multihash may be"))
}

const IDENTITY: u64 = 0x00;
const RAW: u64 = 0x55;

/// As text, in binary too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text<T>(pub T);

impl<T: Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de, T: FromStr<Err: Display>> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Text).map_err(serde::de::Error::custom)
    }
}

/// What a client says first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Open {
    /// [`VERSION`].
    pub version: u32,
    /// The id of the chain on which it pays.
    pub chain: String,
    /// What the session is about: the server has this block, or refuses.
    pub root: Link,
    /// 32 random bytes.
    pub nonce: Hash,
    /// The escrow that pays. Whoever asks for a price refuses a session without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escrow: Option<Hash>,
    /// Whether the client's ledger splits what deliveries of the root earn, so that vouchers name it as their asset. A
    /// server whose ledger says otherwise refuses a session that costs something.
    #[serde(default, skip_serializing_if = "is_false")]
    pub split: bool,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// On what terms a server delivers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// Price and payee.
    pub quote: Signed<Quote>,
    /// 32 random bytes.
    pub nonce: Hash,
    /// The highest voucher that the server holds of this escrow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vouched: Option<Signed<Voucher>>,
    /// Whether each window must be paid for before it is sent.
    pub ahead: bool,
    /// Of a relay: where the client's packets come from, `IP:PORT`, which a node behind a NAT does not know by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Text<SocketAddr>>,
}

/// Why a server does not deliver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refuse {
    /// What a program goes by.
    pub code: Code,
    /// What a person goes by: one line.
    pub reason: String,
    /// Milliseconds after which it may go better; 0: not at all as things are.
    pub retry_ms: u64,
    /// With [`Code::NoAllotment`]: how much more the ledger must set aside for this payee, at least.
    pub missing: Amount,
}

/// What a [`Refuse`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// Another version of the protocol.
    Version,
    /// Another chain.
    Chain,
    /// The root is not here.
    Absent,
    /// Too many sessions.
    Busy,
    /// There is a price, and no escrow that this server's ledger knows.
    NoEscrow,
    /// The ledger would not pay this payee for what is wanted.
    NoAllotment,
    /// The ledgers of both sides disagree on whether deliveries of the root are split.
    Split,
    /// A voucher that is not honoured.
    Voucher,
    /// No voucher came in time.
    Unpaid,
    /// Something that the protocol does not allow.
    Protocol,
    /// Nothing was asked for a long time.
    Idle,
    /// The server stops, or cannot read its own disk.
    Unable,
}

/// From client to server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ToServer {
    /// First, once.
    Open(Open),
    /// Wants blocks: 1 to [`WANT_BLOCKS_MAX`], in the order in which they shall come.
    Want {
        /// The blocks.
        blocks: Vec<Link>,
    },
    /// Wants every block from the root to the end of a path, in the order of reading.
    Path {
        /// Names of entries, from the root downwards; at most [`PATH_SEGMENTS_MAX`].
        segments: Vec<String>,
    },
    /// Pays.
    Pay {
        /// Higher than all before it in this session.
        voucher: Signed<Voucher>,
    },
    /// Wants nothing more.
    Close {},
}

/// From server to client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ToClient {
    /// Answers the open.
    Offer(Offer),
    /// Ends the session.
    Refuse(Refuse),
    /// A block that was wanted; its bytes follow the frame.
    Block {
        /// Its CID, as it was wanted.
        cid: Link,
        /// How many bytes follow; at most [`BLOCK_BYTES_MAX`].
        bytes: u32,
    },
    /// A block that was wanted, or that a path crosses, is not here.
    Absent {
        /// Its CID.
        cid: Link,
    },
    /// The path is answered: everything of it that is here was sent.
    End {},
    /// What was delivered so far, up to the last block before this frame.
    Statement {
        /// Signed by the server's node key.
        statement: Signed<Statement>,
    },
    /// Nothing more leaves before this is promised.
    Due {
        /// What the voucher must promise in all.
        cumulative: Amount,
    },
}

/// Why reading or writing a frame failed.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The stream ended between two frames.
    #[error("the other side ended the stream")]
    Ended,
    /// The stream broke, or ended within a frame.
    #[error("the stream broke: {0}")]
    Io(#[from] std::io::Error),
    /// A length beyond its bound.
    #[error("{what} of {bytes} bytes, at most {max} are allowed")]
    TooLarge {
        /// `a frame` or `a block`.
        what: &'static str,
        /// The length that was announced.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// Not a message of this direction.
    #[error("a malformed frame: {0}")]
    Malformed(#[from] ledger::DecodeError),
}

/// Writes one frame.
///
/// # Errors
/// If the stream breaks, or the message is beyond [`FRAME_BYTES_MAX`].
pub async fn write<T: Serialize>(out: &mut (impl AsyncWrite + Unpin), message: &T) -> Result<(), WireError> {
    out.write_all(&frame(message)?).await.map_err(WireError::Io)
}

/// Writes [`ToClient::Block`] and its bytes.
///
/// # Errors
/// As [`write()`].
pub async fn write_block(
    out: &mut (impl AsyncWrite + Unpin),
    cid: Link,
    block: &Bytes,
) -> Result<(), WireError> {
    bounded("a block", block.len(), BLOCK_BYTES_MAX)?;
    let bytes = block.len() as u32;
    write(out, &ToClient::Block { cid, bytes }).await?;
    out.write_all(block).await.map_err(WireError::Io)
}

/// Reads one frame. Do not cancel it and read on: part of the frame may be gone.
///
/// # Errors
/// [`WireError::Ended`] at the end of the stream, others for everything that is not a frame of this direction.
pub async fn read<T: Serialize + DeserializeOwned>(
    stream: &mut (impl AsyncRead + Unpin),
) -> Result<T, WireError> {
    let mut length = [0; 4];
    if stream.read(&mut length[..1]).await? == 0 {
        return Err(WireError::Ended);
    }
    stream.read_exact(&mut length[1..]).await?;
    let length = u32::from_be_bytes(length) as usize;
    bounded("a frame", length, FRAME_BYTES_MAX)?;
    let mut frame = vec![0; length];
    stream.read_exact(&mut frame).await?;
    Ok(ledger::decode(&frame)?)
}

/// Reads the bytes that follow [`ToClient::Block`]. They are not verified.
///
/// # Errors
/// If they are more than [`BLOCK_BYTES_MAX`], or the stream breaks.
pub async fn read_block(stream: &mut (impl AsyncRead + Unpin), bytes: u32) -> Result<Bytes, WireError> {
    let length = bytes as usize;
    bounded("a block", length, BLOCK_BYTES_MAX)?;
    let mut block = vec![0; length];
    stream.read_exact(&mut block).await?;
    Ok(block.into())
}

fn frame<T: Serialize>(message: &T) -> Result<Vec<u8>, WireError> {
    let message = ledger::encode(message);
    bounded("a frame", message.len(), FRAME_BYTES_MAX)?;
    let length = message.len() as u32;
    Ok([&length.to_be_bytes(), message.as_slice()].concat())
}

fn bounded(what: &'static str, bytes: usize, max: usize) -> Result<(), WireError> {
    if bytes > max {
        return Err(WireError::TooLarge { what, bytes, max });
    }
    Ok(())
}
