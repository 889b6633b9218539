//! Servers that do not keep to the protocol.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use cid::Cid;
use iroh::endpoint::{Connection, RecvStream, SendStream, presets};
use ledger::{
    Amount, Hash, Link, PublicKey, Quote, SecretKey, SessionTerms, Signed, Statement, Voucher, encode,
};
use storage::Store;
use storage::ddp::Provider;
use storage::ddp::wire::{self, ALPN, Code, Offer, Open, Refuse, ToClient, ToServer, WireError};

use crate::ddp_fetch_world::{CHAIN, PRICE, provider};

/// What it does that it should not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    SilentAtOpen,
    SilentAtWant,
    SilentAfterABlock,
    Dribbles,
    HangsUpAtOpen,
    HangsUpAtWant,
    HasNothing,
    Refuses,
    Garbage,
    HugeFrame,
    HugeBlock,
    TwoOffers,
    WrongBytes,
    Unwanted,
    UnwantedAbsence,
    UnwantedEnd,
    PriceAboveMax,
    ForeignQuote,
    ForgedQuote,
    ExpiredQuote,
    ForeignVoucher,
    OverCounts,
    OverCountsBlocks,
    ForgedStatement,
    ForeignStatement,
    SkipsANumber,
    Equivocates,
    AsksAheadTooMuch,
    AsksAheadForNothing,
}

/// A server on loopback.
pub struct Villain {
    key: SecretKey,
    deed: Deed,
    store: Store,
    endpoint: iroh::Endpoint,
    /// What it was paid.
    pub paid: Mutex<Vec<Signed<Voucher>>>,
}

impl Villain {
    pub async fn start(seed: u8, deed: Deed, store: &Store) -> Arc<Villain> {
        let key = SecretKey::from_seed([seed; 32]);
        let endpoint = iroh::Endpoint::builder(presets::Minimal)
            .secret_key(iroh::SecretKey::from_bytes(&key.seed()))
            .alpns(vec![ALPN.to_vec()])
            .clear_ip_transports()
            .bind_addr("127.0.0.1:0")
            .unwrap()
            .bind()
            .await
            .unwrap();
        let villain = Arc::new(Villain {
            key,
            deed,
            store: store.clone(),
            endpoint,
            paid: Mutex::default(),
        });
        tokio::spawn(Arc::clone(&villain).accept());
        villain
    }

    pub fn node(&self) -> PublicKey {
        self.key.public()
    }

    pub fn provider(&self) -> Provider {
        provider(&self.key, self.endpoint.bound_sockets()[0])
    }

    /// The most that it was promised.
    pub fn earned(&self) -> Amount {
        let paid = self.paid.lock().unwrap();
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
                ToServer::Pay { voucher } => self.villain.paid.lock().unwrap().push(voucher),
                ToServer::Close {} => return Ok(()),
                ToServer::Open(_) => {}
            }
        }
    }

    async fn open(&mut self, open: Open) -> Result<(), WireError> {
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
        let key = &self.villain.key;
        let stranger = SecretKey::from_seed([77; 32]);
        let signer = if self.does(Deed::ForeignQuote) {
            &stranger
        } else {
            key
        };
        let price = if self.does(Deed::PriceAboveMax) {
            3 * PRICE.units()
        } else {
            PRICE.units()
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
            CHAIN,
            signer,
        );
        if self.does(Deed::ForgedQuote) {
            quote.body.price = Amount::from_units(1);
        }
        let voucher = open.escrow.map(|escrow| Voucher {
            escrow,
            payee: key.address(),
            cumulative: Amount::from_units(1_000_000_000),
            statement: None,
        });
        let is_shown = self.does(Deed::ForeignVoucher);
        Offer {
            quote,
            nonce: Hash([5; 32]),
            vouched: voucher
                .filter(|_| is_shown)
                .map(|voucher| Signed::sign(voucher, CHAIN, key)),
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
            Deed::AsksAheadTooMuch => self.due(2 * PRICE.units() + 1).await,
            Deed::AsksAheadForNothing => {
                self.due(PRICE.units()).await?;
                std::future::pending().await
            }
            _ => self.block(cid, block).await,
        }
    }

    async fn block(&mut self, cid: Cid, block: Bytes) -> Result<(), WireError> {
        wire::write_block(&mut self.send, Link(cid), &block).await?;
        self.bytes += block.len() as u64;
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
        let mut statement = Signed::sign(body.clone(), CHAIN, &self.villain.key);
        if self.does(Deed::ForgedStatement) {
            statement.body.height = 2;
        }
        self.say(&ToClient::Statement { statement }).await?;
        if self.does(Deed::Equivocates) {
            body.bytes += 1;
            let statement = Signed::sign(body, CHAIN, &self.villain.key);
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
