//! Payers that cheat: they ask a server for content, and break one rule of paying for it, or of asking.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use cid::Cid;
use iroh::endpoint::{Connection, RecvStream, SendStream, presets};
use iroh::{EndpointAddr, EndpointId};
use ledger::{Address, Amount, Hash, Link, Owed, PublicKey, SecretKey, Signed, Voucher};
use storage::ddp::wire::{self, ALPN, Offer, Open, ToClient, ToServer, VERSION};
use tokio::io::AsyncWriteExt as _;
use tokio::time::{sleep, timeout};

/// What it does that it should not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Trick {
    /// Never pays, and comes back again and again.
    NeverPays,
    /// Pays once, and never again.
    StopsPaying,
    /// Pays the second time with the first voucher.
    Replays,
    /// Promises less the second time.
    Shrinks,
    /// Signs for another chain.
    OtherChain,
    /// Signs with a key that the escrow does not name.
    OtherKey,
    /// Promises somebody else.
    OtherPayee,
    /// Promises more than there is.
    Overdraws,
    /// Names an escrow that there is not.
    UnknownEscrow,
    /// Opens sessions as fast as it can.
    Floods,
    /// Opens sessions a byte at a time.
    Dribbles,
    /// Announces a frame of 4 GiB.
    HugeFrame,
    /// Wants more than may be wanted.
    WantsTooMuch,
}

/// Who asks whom, for what.
#[derive(Clone, Debug)]
pub struct Errand {
    /// The node key, which signs its vouchers as well.
    pub key: SecretKey,
    /// The chain.
    pub chain: String,
    /// The escrow that it names.
    pub escrow: Hash,
    /// Whom it asks.
    pub server: PublicKey,
    /// Where that delivers.
    pub at: SocketAddr,
    /// What it asks for, the root first.
    pub blocks: Vec<Cid>,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gain {
    /// Bytes of blocks that came.
    pub came: u64,
    /// Bytes that were paid for with vouchers that count.
    pub paid: u64,
    /// Sessions that were opened.
    pub sessions: u64,
    /// How the last one ended.
    pub ended: String,
}

/// Tries it.
///
/// # Errors
/// If the server is not there at all.
pub async fn cheat(errand: &Errand, trick: Trick) -> Result<Gain> {
    let endpoint = iroh::Endpoint::builder(presets::Minimal)
        .secret_key(iroh::SecretKey::from_bytes(&errand.key.seed()))
        .bind()
        .await?;
    let mut gain = Gain::default();
    let rounds = if trick == Trick::NeverPays { ROUNDS } else { 1 };
    for _ in 0..rounds {
        let id = EndpointId::from_bytes(errand.server.as_bytes())?;
        let connection = endpoint
            .connect(EndpointAddr::new(id).with_ip_addr(errand.at), ALPN)
            .await?;
        match trick {
            Trick::Floods => flood(errand, &connection, &mut gain).await?,
            Trick::Dribbles => dribble(&connection, &mut gain).await?,
            _ => visit(errand, trick, &connection, &mut gain).await?,
        }
        connection.close(0u32.into(), b"bye");
    }
    endpoint.close().await;
    Ok(gain)
}

/// One session, to its end.
async fn visit(errand: &Errand, trick: Trick, connection: &Connection, gain: &mut Gain) -> Result<()> {
    let (mut send, mut recv) = connection.open_bi().await?;
    gain.sessions += 1;
    if trick == Trick::HugeFrame {
        send.write_all(&[0xff; 64]).await?;
    } else {
        wire::write(&mut send, &open(errand, trick)).await?;
    }
    let offer = match hear(&mut recv).await {
        Ok(ToClient::Offer(offer)) => offer,
        Ok(other) => return end(gain, &other),
        Err(error) => return note(gain, &error),
    };
    let times = if trick == Trick::WantsTooMuch { 3000 } else { 1 };
    for _ in 0..times {
        let blocks = errand.blocks.iter().copied().map(Link).collect();
        if wire::write(&mut send, &ToServer::Want { blocks }).await.is_err() {
            break;
        }
    }
    let mut purse = Purse::new(&offer);
    loop {
        match hear(&mut recv).await {
            Ok(ToClient::Block { cid, bytes }) => {
                let block = wire::read_block(&mut recv, bytes).await?;
                storage::verify(&cid.0, &block)?;
                gain.came += block.len() as u64;
                purse.came += block.len() as u64;
            }
            Ok(ToClient::Statement { statement }) => {
                if let Some(voucher) = purse.pay(errand, trick, statement.hash(), gain) {
                    // A server that has refused takes nothing more.
                    let _ = wire::write(&mut send, &ToServer::Pay { voucher }).await;
                }
            }
            Ok(ToClient::Due { .. } | ToClient::Absent { .. } | ToClient::End {}) => {}
            Ok(other) => return end(gain, &other),
            Err(error) => return note(gain, &error),
        }
    }
}

/// What it has had in a session, and promised.
struct Purse {
    payee: Address,
    price: Amount,
    /// What was promised before.
    before: Amount,
    came: u64,
    /// The voucher that it gave first.
    first: Option<Signed<Voucher>>,
}

impl Purse {
    fn new(offer: &Offer) -> Purse {
        let quote = &offer.quote.body;
        let vouched = offer.vouched.as_ref();
        Purse {
            payee: quote.payee,
            price: quote.price,
            before: vouched.map_or(Amount::ZERO, |voucher| voucher.body.cumulative),
            came: 0,
            first: None,
        }
    }

    /// The voucher that it gives for a statement.
    fn pay(
        &mut self,
        errand: &Errand,
        trick: Trick,
        statement: Hash,
        gain: &mut Gain,
    ) -> Option<Signed<Voucher>> {
        let owed = Owed::ZERO.add(self.came, self.price).amount();
        let voucher = |cumulative, payee| Voucher {
            escrow: errand.escrow,
            payee,
            asset: None,
            cumulative,
            statement: Some(statement),
        };
        let honest = voucher(self.before.checked_add(owed)?, self.payee);
        let sign = |voucher| Signed::sign(voucher, &errand.chain, &errand.key);
        match (trick, self.first.clone()) {
            (Trick::NeverPays, _) => None,
            (Trick::OtherChain, _) => Some(Signed::sign(honest, "another-chain", &errand.key)),
            (Trick::OtherKey, _) => {
                let stranger = SecretKey::from_seed([0x77; 32]);
                Some(Signed::sign(honest, &errand.chain, &stranger))
            }
            (Trick::OtherPayee, _) => Some(sign(voucher(honest.cumulative, errand.key.address()))),
            (Trick::Overdraws, _) => Some(sign(voucher(Amount::from_units(u64::MAX / 2), self.payee))),
            (_, None) => {
                gain.paid += self.came;
                self.first = Some(sign(honest));
                self.first.clone()
            }
            (Trick::StopsPaying, _) => None,
            (Trick::Shrinks, Some(first)) => {
                let less = Amount::from_units(first.body.cumulative.units() / 2);
                Some(sign(voucher(less, self.payee)))
            }
            (_, first) => first,
        }
    }
}

/// As many sessions as it can, each wanting something.
async fn flood(errand: &Errand, connection: &Connection, gain: &mut Gain) -> Result<()> {
    let mut streams = Vec::new();
    for _ in 0..FLOOD {
        let Ok(opened) = timeout(FLOOD_PAUSE, connection.open_bi()).await else {
            continue;
        };
        let Ok((mut send, recv)) = opened else { break };
        gain.sessions += 1;
        let _ = wire::write(&mut send, &open(errand, Trick::Floods)).await;
        let blocks = vec![Link(errand.blocks[0])];
        let _ = wire::write(&mut send, &ToServer::Want { blocks }).await;
        streams.push((send, recv));
    }
    for (_send, mut recv) in streams {
        drain(&mut recv, gain).await?;
    }
    Ok(())
}

/// Sessions that are never opened.
async fn dribble(connection: &Connection, gain: &mut Gain) -> Result<()> {
    let mut streams: Vec<(SendStream, RecvStream)> = Vec::new();
    for _ in 0..DRIBBLES {
        if let Ok(Ok(stream)) = timeout(FLOOD_PAUSE, connection.open_bi()).await {
            gain.sessions += 1;
            streams.push(stream);
        }
    }
    // A frame of a KiB is announced.
    let bytes = [0, 0, 4, 0].into_iter().chain([0; DRIBBLE_BYTES]);
    for byte in bytes {
        for (send, _) in &mut streams {
            // Once it was refused, nothing is taken any more.
            let _ = send.write_all(&[byte]).await;
            let _ = send.flush().await;
        }
        sleep(FLOOD_PAUSE).await;
    }
    for (_send, mut recv) in streams {
        drain(&mut recv, gain).await?;
    }
    Ok(())
}

/// Takes what a stream has to say.
async fn drain(recv: &mut RecvStream, gain: &mut Gain) -> Result<()> {
    loop {
        match timeout(FLOOD_PAUSE, wire::read(recv)).await {
            Ok(Ok(ToClient::Block { bytes, .. })) => {
                gain.came += wire::read_block(recv, bytes).await?.len() as u64;
            }
            Ok(Ok(ToClient::Refuse(refuse))) => return end(gain, &ToClient::Refuse(refuse)),
            Ok(Ok(_)) => {}
            _ => return Ok(()),
        }
    }
}

fn open(errand: &Errand, trick: Trick) -> ToServer {
    let unknown = Hash([0x66; 32]);
    ToServer::Open(Open {
        version: VERSION,
        chain: errand.chain.clone(),
        root: Link(errand.blocks[0]),
        nonce: Hash::of(b"nothing is new"),
        escrow: Some(if trick == Trick::UnknownEscrow {
            unknown
        } else {
            errand.escrow
        }),
        split: false,
    })
}

async fn hear(recv: &mut RecvStream) -> Result<ToClient> {
    match timeout(SILENCE, wire::read(recv)).await {
        Ok(heard) => Ok(heard?),
        Err(_) => bail!("nothing came any more"),
    }
}

fn end(gain: &mut Gain, last: &ToClient) -> Result<()> {
    let ToClient::Refuse(refuse) = last else {
        return Err(anyhow::anyhow!("{last:?}")).context("an odd answer");
    };
    gain.ended = format!("refused: {}", refuse.reason);
    Ok(())
}

fn note(gain: &mut Gain, error: &anyhow::Error) -> Result<()> {
    gain.ended = error.to_string();
    Ok(())
}

/// How often who never pays comes back.
const ROUNDS: usize = 5;
/// When it gives up.
const SILENCE: Duration = Duration::from_secs(3);
const FLOOD: usize = 500;
const FLOOD_PAUSE: Duration = Duration::from_millis(20);
const DRIBBLES: usize = 100;
/// So slowly that ten seconds are over before the frame is.
const DRIBBLE_BYTES: usize = 550;
