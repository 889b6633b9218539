//! Peers that speak DDP and cheat, each in one way: servers that hold content as honest ones do, and break one rule
//! ([`Villain`]), and payers ([`cheat`]).
//!
//! In tests of `storage` they are tasks, in those of whole nodes a process (`adversary`), under the key of a node that says it
//! delivers there.

mod payer;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use cid::Cid;
use iroh::endpoint::{Connection, RecvStream, SendStream, presets};
use ledger::{
    Amount, Hash, Link, PublicKey, Quote, SecretKey, SessionTerms, Signed, Statement, Voucher, encode,
};
use storage::Store;
use storage::ddp::Provider;
use storage::ddp::wire::{self, ALPN, Code, Offer, Open, Refuse, ToClient, ToServer, WireError};

pub use payer::{Errand, Gain, Trick, cheat};

/// What it does that it should not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Deed {
    /// Takes a session and says nothing.
    SilentAtOpen,
    /// Offers, and then says nothing.
    SilentAtWant,
    /// Sends one block, and then says nothing.
    SilentAfterABlock,
    /// Sends a byte at a time, never silent and never done.
    Dribbles,
    /// Closes the connection when a session is opened.
    HangsUpAtOpen,
    /// Closes the connection when something is wanted.
    HangsUpAtWant,
    /// Says that it has nothing of what it said to provide.
    HasNothing,
    /// Refuses for now what is wanted.
    Refuses,
    /// Sends bytes that are no frame.
    Garbage,
    /// Announces a frame of 4 GiB.
    HugeFrame,
    /// Announces a block of 4 GiB.
    HugeBlock,
    /// Offers twice.
    TwoOffers,
    /// Sends other bytes for a block.
    WrongBytes,
    /// Sends a block that nobody asked for.
    Unwanted,
    /// Says of a block that nobody asked for that it is not here.
    UnwantedAbsence,
    /// Ends a path that nobody asked for.
    UnwantedEnd,
    /// Asks more than anybody pays.
    PriceAboveMax,
    /// Sends the quote of another node.
    ForeignQuote,
    /// Changes its quote after it has signed it.
    ForgedQuote,
    /// Sends a quote that is over.
    ExpiredQuote,
    /// Shows a voucher that the payer has not signed.
    ForeignVoucher,
    /// States a byte more than it sent; as a relay, 64 MiB for nothing.
    OverCounts,
    /// States a block more than it sent.
    OverCountsBlocks,
    /// Changes its statement after it has signed it.
    ForgedStatement,
    /// States what another session was about.
    ForeignStatement,
    /// Leaves out a statement.
    SkipsANumber,
    /// Signs two statements of one number.
    Equivocates,
    /// Asks for two windows ahead.
    AsksAheadTooMuch,
    /// Asks for a window ahead, and sends nothing for it.
    AsksAheadForNothing,
}

/// Who it is, where it listens, and what it asks.
#[derive(Clone, Debug)]
pub struct Guise {
    /// The node key.
    pub key: SecretKey,
    /// The chain.
    pub chain: String,
    /// For each MiB.
    pub price: Amount,
    /// UDP; port 0 takes a free one.
    pub listen: SocketAddr,
}

/// A server that cheats.
pub struct Villain {
    guise: Guise,
    deed: Deed,
    store: Store,
    endpoint: iroh::Endpoint,
    /// What it was paid.
    pub paid: Mutex<Vec<Signed<Voucher>>>,
    sessions: AtomicU64,
    sent: AtomicU64,
}

impl Villain {
    /// Begins to serve what the store holds.
    ///
    /// # Errors
    /// If it cannot listen.
    pub async fn start(guise: Guise, deed: Deed, store: &Store) -> anyhow::Result<Arc<Villain>> {
        let endpoint = iroh::Endpoint::builder(presets::Minimal)
            .secret_key(iroh::SecretKey::from_bytes(&guise.key.seed()))
            .alpns(vec![ALPN.to_vec()])
            .clear_ip_transports()
            .bind_addr(guise.listen)?
            .bind()
            .await?;
        let villain = Arc::new(Villain {
            guise,
            deed,
            store: store.clone(),
            endpoint,
            paid: Mutex::default(),
            sessions: AtomicU64::new(0),
            sent: AtomicU64::new(0),
        });
        tokio::spawn(Arc::clone(&villain).accept());
        Ok(villain)
    }

    /// Sessions that were opened with it, and bytes of blocks that it has sent.
    pub fn did(&self) -> (u64, u64) {
        (
            self.sessions.load(Ordering::Relaxed),
            self.sent.load(Ordering::Relaxed),
        )
    }

    /// The node that it passes for.
    pub fn node(&self) -> PublicKey {
        self.guise.key.public()
    }

    /// How it is reached.
    pub fn provider(&self) -> Provider {
        Provider {
            node: self.node(),
            addresses: self.endpoint.bound_sockets(),
            relay: None,
            rtt_us: None,
        }
    }

    /// The most that it was promised.
    pub fn earned(&self) -> Amount {
        let paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        let amounts = paid.iter().map(|voucher| voucher.body.cumulative);
        amounts.max().unwrap_or_default()
    }

    async fn accept(self: Arc<Self>) {
        while let Some(incoming) = self.endpoint.accept().await {
            let villain = Arc::clone(&self);
            tokio::spawn(async move {
                let Ok(connection) = incoming.await else { return };
                while let Ok((send, recv)) = connection.accept_bi().await {
                    let session = Session::new(&villain, &connection, send, recv);
                    // The client hangs up on what it hears here.
                    tokio::spawn(async move { drop(session.run().await) });
                }
            });
        }
    }
}

struct Session {
    villain: Arc<Villain>,
    connection: Connection,
    send: SendStream,
    recv: RecvStream,
    id: Hash,
    quote: Hash,
    root: Link,
    escrow: Option<Hash>,
    seq: u64,
    bytes: u64,
    blocks: u64,
}

impl Session {
    fn new(villain: &Arc<Villain>, connection: &Connection, send: SendStream, recv: RecvStream) -> Session {
        let none = Hash([0; 32]);
        Session {
            villain: Arc::clone(villain),
            connection: connection.clone(),
            send,
            recv,
            id: none,
            quote: none,
            root: Link(none.cid()),
            escrow: None,
            seq: 0,
            bytes: 0,
            blocks: 0,
        }
    }

    fn does(&self, deed: Deed) -> bool {
        self.villain.deed == deed
    }

    async fn run(mut self) -> Result<(), WireError> {
        if let ToServer::Open(open) = wire::read(&mut self.recv).await? {
            self.open(open).await?;
        }
        loop {
            match wire::read(&mut self.recv).await? {
                ToServer::Want { blocks } => {
                    for link in blocks {
                        self.want(link.0).await?;
                    }
                    self.state().await?;
                }
                ToServer::Path { .. } => self.say(&ToClient::End {}).await?,
                ToServer::Pay { voucher } => self
                    .villain
                    .paid
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(voucher),
                ToServer::Close {} => return Ok(()),
                ToServer::Open(_) => {}
            }
        }
    }

    async fn open(&mut self, open: Open) -> Result<(), WireError> {
        self.villain.sessions.fetch_add(1, Ordering::Relaxed);
        if self.does(Deed::SilentAtOpen) {
            std::future::pending::<()>().await;
        }
        if self.does(Deed::HangsUpAtOpen) {
            self.connection.close(7u32.into(), b"bye");
        }
        if self.does(Deed::HasNothing) {
            return self.refuse(Code::Absent, "not here").await;
        }
        if self.does(Deed::Garbage) {
            return Ok(self
                .send
                .write_all(b"\0\0\0\x05hello")
                .await
                .map_err(std::io::Error::from)?);
        }
        if self.does(Deed::HugeFrame) {
            return Ok(self
                .send
                .write_all(&[0xff; 64])
                .await
                .map_err(std::io::Error::from)?);
        }
        let offer = self.offer(&open);
        let terms = SessionTerms {
            client: PublicKey::from_bytes(*self.connection.remote_id().as_bytes()).unwrap(),
            server: self.villain.node(),
            quote: offer.quote.hash(),
            client_nonce: open.nonce,
            server_nonce: offer.nonce,
        };
        (self.id, self.quote, self.root, self.escrow) = (terms.id(), terms.quote, open.root, open.escrow);
        self.say(&ToClient::Offer(offer.clone())).await?;
        if self.root.0 == wire::relay_root() && self.does(Deed::OverCounts) {
            // As a relay, it has passed nothing on.
            (self.bytes, self.blocks) = (64 << 20, 0);
            return self.state_bytes().await;
        }
        if self.does(Deed::TwoOffers) {
            self.say(&ToClient::Offer(offer)).await?;
        }
        Ok(())
    }

    fn offer(&self, open: &Open) -> Offer {
        let Guise {
            key, chain, price, ..
        } = &self.villain.guise;
        let stranger = SecretKey::from_seed([77; 32]);
        let signer = if self.does(Deed::ForeignQuote) {
            &stranger
        } else {
            key
        };
        let price = if self.does(Deed::PriceAboveMax) {
            1000 * price.units()
        } else {
            price.units()
        };
        let mut quote = Signed::sign(
            Quote {
                node: signer.public(),
                payee: key.address(),
                price: Amount::from_units(price),
                until_ms: if self.does(Deed::ExpiredQuote) {
                    1
                } else {
                    u64::MAX
                },
            },
            chain,
            signer,
        );
        if self.does(Deed::ForgedQuote) {
            quote.body.price = Amount::from_units(1);
        }
        let voucher = open.escrow.map(|escrow| Voucher {
            escrow,
            payee: key.address(),
            asset: None,
            cumulative: Amount::from_units(1_000_000_000),
            statement: None,
        });
        let is_shown = self.does(Deed::ForeignVoucher);
        Offer {
            quote,
            nonce: Hash([5; 32]),
            vouched: voucher
                .filter(|_| is_shown)
                .map(|voucher| Signed::sign(voucher, chain, key)),
            ahead: false,
            seen: None,
        }
    }

    async fn want(&mut self, cid: Cid) -> Result<(), WireError> {
        let Some(block) = self.villain.store.get(&cid).unwrap() else {
            return self.say(&ToClient::Absent { cid: Link(cid) }).await;
        };
        match self.villain.deed {
            Deed::SilentAtWant => std::future::pending().await,
            Deed::SilentAfterABlock if self.blocks > 0 => std::future::pending().await,
            Deed::Dribbles => self.dribble(cid, &block).await,
            Deed::HangsUpAtWant => {
                self.connection.close(7u32.into(), b"bye");
                Ok(())
            }
            Deed::Refuses => self.refuse(Code::Busy, "go\naway").await,
            Deed::HugeBlock => {
                let (cid, bytes) = (Link(cid), u32::MAX);
                self.say(&ToClient::Block { cid, bytes }).await
            }
            Deed::WrongBytes => self.block(cid, vec![7; block.len()].into()).await,
            Deed::Unwanted => {
                let block = Bytes::from_static(b"buy this");
                let cid = ledger::cid_of(&block);
                self.block(cid, block).await
            }
            Deed::UnwantedAbsence => {
                let cid = Link(ledger::cid_of(b"nobody asked"));
                self.say(&ToClient::Absent { cid }).await
            }
            Deed::UnwantedEnd => self.say(&ToClient::End {}).await,
            Deed::AsksAheadTooMuch => self.due(2 * self.villain.guise.price.units() + 1).await,
            Deed::AsksAheadForNothing => {
                self.due(self.villain.guise.price.units()).await?;
                std::future::pending().await
            }
            _ => self.block(cid, block).await,
        }
    }

    async fn block(&mut self, cid: Cid, block: Bytes) -> Result<(), WireError> {
        wire::write_block(&mut self.send, Link(cid), &block).await?;
        self.bytes += block.len() as u64;
        self.villain.sent.fetch_add(block.len() as u64, Ordering::Relaxed);
        self.blocks += 1;
        Ok(())
    }

    /// A byte at a time, never silent and never done.
    async fn dribble(&mut self, cid: Cid, block: &Bytes) -> Result<(), WireError> {
        let bytes = block.len() as u32;
        self.say(&ToClient::Block {
            cid: Link(cid),
            bytes,
        })
        .await?;
        for byte in block.iter() {
            self.send
                .write_all(&[*byte])
                .await
                .map_err(std::io::Error::from)?;
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        Ok(())
    }

    async fn due(&mut self, units: u64) -> Result<(), WireError> {
        let cumulative = Amount::from_units(units);
        self.say(&ToClient::Due { cumulative }).await
    }

    async fn state(&mut self) -> Result<(), WireError> {
        match self.blocks {
            0 => Ok(()),
            _ => self.state_bytes().await,
        }
    }

    async fn state_bytes(&mut self) -> Result<(), WireError> {
        self.seq += if self.does(Deed::SkipsANumber) { 2 } else { 1 };
        let mut body = Statement {
            session: self.id,
            seq: self.seq,
            quote: self.quote,
            root: self.root,
            bytes: self.bytes,
            blocks: self.blocks,
            height: 1,
            escrow: self.escrow,
        };
        match self.villain.deed {
            Deed::OverCounts => body.bytes += 1,
            Deed::OverCountsBlocks => body.blocks += 1,
            Deed::ForeignStatement => body.session = Hash([3; 32]),
            _ => {}
        }
        let mut statement = Signed::sign(body.clone(), &self.villain.guise.chain, &self.villain.guise.key);
        if self.does(Deed::ForgedStatement) {
            statement.body.height = 2;
        }
        self.say(&ToClient::Statement { statement }).await?;
        if self.does(Deed::Equivocates) {
            body.bytes += 1;
            let statement = Signed::sign(body, &self.villain.guise.chain, &self.villain.guise.key);
            self.say(&ToClient::Statement { statement }).await?;
        }
        Ok(())
    }

    async fn refuse(&mut self, code: Code, reason: &str) -> Result<(), WireError> {
        let refuse = Refuse {
            code,
            reason: reason.to_owned(),
            retry_ms: 0,
            missing: Amount::ZERO,
        };
        self.say(&ToClient::Refuse(refuse)).await
    }

    async fn say(&mut self, message: &ToClient) -> Result<(), WireError> {
        // As `wire::write` does it, without its care for what is allowed.
        let message = encode(message);
        let frame = [&(message.len() as u32).to_be_bytes(), message.as_slice()].concat();
        Ok(self.send.write_all(&frame).await.map_err(std::io::Error::from)?)
    }
}
