//! A node that delivers, on loopback, and a client driven by hand, which can do what no honest one does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cid::Cid;
use iroh::endpoint::{Connection, RecvStream, SendStream, presets};
use ledger::{
    Address, Amount, COIN, Escrow, Hash, Line, Link, Owed, PublicKey, SecretKey, SessionTerms, Signed,
    Statement, Voucher,
};
use multihash_codetable::{Code as HashCode, MultihashDigest};
use storage::ddp::wire::{self, ALPN, Code, Offer, Open, Refuse, ToClient, ToServer, VERSION};
use storage::ddp::{Config, Delivery, Finder, Funds, Outcome, Payer, Provider, TabRow};
use storage::{Store, codec};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::support::Generator;

pub const CHAIN: &str = "dev";
pub const MIB: u64 = 1 << 20;
/// What the edge asks for each MiB: not a round number.
pub const PRICE: Amount = Amount::from_units(1_000_003);

/// The escrows of a ledger, and what is set aside there for the edge.
#[derive(Default)]
pub struct Coins(pub Mutex<HashMap<Hash, (Escrow, Option<Line>)>>);

impl Coins {
    /// Opens an escrow with this voucher key.
    pub fn open(&self, key: &SecretKey, balance: Amount) -> Hash {
        let id = Hash::of(key.public().as_bytes());
        let escrow = Escrow {
            payer: key.address(),
            voucher_key: key.public(),
            balance,
            reserved: Amount::ZERO,
            reserved_until: 0,
            opened: 1,
            exit: None,
        };
        self.0.lock().unwrap().insert(id, (escrow, None));
        id
    }

    /// Sets coins aside until this height.
    pub fn allot(&self, escrow: &Hash, reserved: Amount, expires: u64) {
        let mut escrows = self.0.lock().unwrap();
        let (escrow, line) = escrows.get_mut(escrow).unwrap();
        escrow.reserved = reserved;
        *line = Some(Line {
            reserved,
            expires,
            paid: Amount::ZERO,
        });
    }
}

/// An escrow whose reading fails badly.
pub const CURSED: Hash = Hash([0xcc; 32]);

impl Funds for Coins {
    fn height(&self) -> u64 {
        100
    }

    fn is_split(&self, _root: &Cid) -> Result<bool, String> {
        Ok(false)
    }

    fn escrow(&self, id: &Hash, _payee: &Address) -> Result<(Option<Escrow>, Option<Line>), String> {
        assert_ne!(*id, CURSED, "a panic of the node around");
        let escrows = self.0.lock().unwrap();
        let found = escrows.get(id).cloned();
        Ok(found.map_or((None, None), |(escrow, line)| (Some(escrow), line)))
    }
}

/// The edge fetches nothing.
struct Nobody;

#[async_trait]
impl Finder for Nobody {
    async fn providers(&self, _root: &Cid) -> Vec<Provider> {
        Vec::new()
    }

    fn outcome(&self, _node: &PublicKey, _outcome: Outcome) {}

    fn fetched(&self, _root: &Cid) {}
}

#[async_trait]
impl Payer for Nobody {
    async fn escrow(&self, _payee: &Address, _price: Amount) -> Result<Hash, String> {
        Err("pays nothing".to_owned())
    }

    async fn is_split(&self, _root: &Cid) -> Result<bool, String> {
        Ok(false)
    }

    fn sign(&self, voucher: Voucher) -> Signed<Voucher> {
        Signed::sign(voucher, CHAIN, &key(0))
    }

    async fn allot(&self, _escrow: &Hash, _payee: &Address, _amount: Amount) -> Result<(), String> {
        Err("pays nothing".to_owned())
    }

    fn convict(&self, proof: ledger::FraudProof) {
        panic!("{proof:?}");
    }
}

/// The node that delivers.
pub struct Edge {
    pub delivery: Delivery,
}

impl Edge {
    pub async fn start(store: &Store, coins: &Arc<Coins>) -> Edge {
        Edge::start_with(store, coins, |_| {}).await
    }

    /// Patience is short, so that tests are.
    pub async fn start_with(store: &Store, coins: &Arc<Coins>, adjust: impl FnOnce(&mut Config)) -> Edge {
        let mut config = Config::new(edge_key(), CHAIN, ([127, 0, 0, 1], 0).into(), payee());
        config.price = PRICE;
        config.timeout = Duration::from_millis(400);
        adjust(&mut config);
        let nobody = Arc::new(Nobody);
        let registry = &mut Default::default();
        let delivery = Delivery::start(
            config,
            store.clone(),
            nobody.clone(),
            nobody,
            coins.clone(),
            registry,
        );
        Edge {
            delivery: delivery.await.unwrap(),
        }
    }

    /// The tab of an escrow.
    pub fn tab(&self, escrow: &Hash) -> TabRow {
        let rows = self.delivery.tabs().unwrap();
        rows.into_iter().find(|row| row.escrow == *escrow).unwrap()
    }

    pub fn vouched(&self, escrow: &Hash) -> Amount {
        self.tab(escrow).tab.vouched
    }
}

/// Who asks, and pays from an escrow with 1000 coins.
pub struct Client {
    endpoint: iroh::Endpoint,
    key: SecretKey,
    pub voucher_key: SecretKey,
    pub escrow: Hash,
}

impl Client {
    pub async fn new(seed: u8, coins: &Coins) -> Client {
        Client::with_balance(seed, coins, Amount::from_units(1000 * COIN)).await
    }

    pub async fn with_balance(seed: u8, coins: &Coins, balance: Amount) -> Client {
        let voucher_key = key(seed ^ 0x80);
        Client {
            endpoint: endpoint(&key(seed)).await,
            key: key(seed),
            escrow: coins.open(&voucher_key, balance),
            voucher_key,
        }
    }

    pub async fn connect(&self, edge: &Edge) -> Connection {
        let id = iroh::EndpointId::from_bytes(edge_key().public().as_bytes()).unwrap();
        let address = iroh::EndpointAddr::new(id).with_ip_addr(edge.delivery.local_addr());
        self.endpoint.connect(address, ALPN).await.unwrap()
    }

    /// An open that the edge takes.
    pub fn greeting(&self, root: &Cid) -> Open {
        Open {
            version: VERSION,
            chain: CHAIN.to_owned(),
            root: Link(*root),
            nonce: Hash::of(b"client"),
            escrow: Some(self.escrow),
            split: false,
        }
    }

    /// A session over a connection of its own.
    pub async fn session(&self, edge: &Edge, root: &Cid) -> Session {
        let mut session = self.raw(edge).await;
        session.greet(self.greeting(root)).await;
        session
    }

    /// A stream on which nothing was said.
    pub async fn raw(&self, edge: &Edge) -> Session {
        let connection = self.connect(edge).await;
        self.raw_over(connection).await
    }

    pub async fn raw_over(&self, connection: Connection) -> Session {
        let (send, recv) = connection.open_bi().await.unwrap();
        Session {
            connection,
            send,
            recv,
            client: self.key.public(),
            voucher_key: self.voucher_key.clone(),
            escrow: self.escrow,
            offer: None,
            id: Hash::default(),
            bytes: 0,
            blocks: 0,
            statements: Vec::new(),
        }
    }
}

/// One stream, from the client's side.
pub struct Session {
    pub connection: Connection,
    pub send: SendStream,
    pub recv: RecvStream,
    client: PublicKey,
    voucher_key: SecretKey,
    escrow: Hash,
    offer: Option<Offer>,
    id: Hash,
    /// Payload that came and was verified.
    pub bytes: u64,
    pub blocks: u64,
    /// What the edge has stated; each was checked.
    pub statements: Vec<Signed<Statement>>,
}

/// What the edge says.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    Block(Cid, Bytes),
    Absent(Cid),
    End,
    Statement(Signed<Statement>),
    Due(Amount),
    Refuse(Refuse),
    Offer(Offer),
    /// The edge has ended its side.
    Ended,
}

impl Session {
    pub fn offer(&self) -> &Offer {
        self.offer.as_ref().unwrap()
    }

    pub async fn say(&mut self, frame: &ToServer) {
        // An edge that has refused takes nothing more.
        let _ = wire::write(&mut self.send, frame).await;
    }

    pub async fn say_bytes(&mut self, bytes: &[u8]) {
        let _ = self.send.write_all(bytes).await;
        let _ = self.send.flush().await;
    }

    /// Opens the session, and checks what is offered.
    pub async fn greet(&mut self, open: Open) {
        let client_nonce = open.nonce;
        self.say(&ToServer::Open(open)).await;
        let Heard::Offer(offer) = self.hear().await else {
            panic!("no offer")
        };
        assert!(offer.quote.verify(CHAIN) && offer.quote.key == edge_key().public());
        assert_eq!(offer.quote.body.payee, payee());
        let terms = SessionTerms {
            client: self.client,
            server: edge_key().public(),
            quote: offer.quote.hash(),
            client_nonce,
            server_nonce: offer.nonce,
        };
        self.id = terms.id();
        self.offer = Some(offer);
    }

    pub async fn want(&mut self, cids: &[Cid]) {
        let blocks = cids.iter().copied().map(Link).collect();
        self.say(&ToServer::Want { blocks }).await;
    }

    /// The next thing that the edge says.
    pub async fn hear(&mut self) -> Heard {
        let heard = timeout(Duration::from_secs(10), self.listen()).await;
        heard.expect("the edge says nothing")
    }

    async fn listen(&mut self) -> Heard {
        let frame = match wire::read(&mut self.recv).await {
            Ok(frame) => frame,
            Err(wire::WireError::Ended) => return Heard::Ended,
            Err(error) => panic!("{error}"),
        };
        match frame {
            ToClient::Offer(offer) => Heard::Offer(offer),
            ToClient::Refuse(refuse) => Heard::Refuse(refuse),
            ToClient::Block { cid, bytes } => {
                let block = wire::read_block(&mut self.recv, bytes).await.unwrap();
                storage::verify(&cid.0, &block).unwrap();
                self.bytes += u64::from(bytes);
                self.blocks += 1;
                Heard::Block(cid.0, block)
            }
            ToClient::Absent { cid } => Heard::Absent(cid.0),
            ToClient::End {} => Heard::End,
            ToClient::Due { cumulative } => Heard::Due(cumulative),
            ToClient::Statement { statement } => {
                self.check(&statement);
                self.statements.push(statement.clone());
                Heard::Statement(statement)
            }
        }
    }

    /// A statement says what came, neither more nor less.
    fn check(&self, statement: &Signed<Statement>) {
        assert!(statement.verify(CHAIN) && statement.key == edge_key().public());
        let body = &statement.body;
        assert_eq!(
            (body.session, body.seq),
            (self.id, self.statements.len() as u64 + 1)
        );
        assert_eq!((body.bytes, body.blocks), (self.bytes, self.blocks));
        assert_eq!(body.quote, self.offer().quote.hash());
    }

    pub fn voucher(&self, cumulative: Amount, statement: Option<&Signed<Statement>>) -> Signed<Voucher> {
        let voucher = Voucher {
            escrow: self.escrow,
            payee: payee(),
            asset: None,
            cumulative,
            statement: statement.map(Signed::hash),
        };
        Signed::sign(voucher, CHAIN, &self.voucher_key)
    }

    pub async fn pay(&mut self, cumulative: Amount, statement: Option<&Signed<Statement>>) {
        let voucher = self.voucher(cumulative, statement);
        self.say(&ToServer::Pay { voucher }).await;
    }

    /// Takes `blocks` more blocks and pays for each statement meanwhile; `before` was promised before this session.
    pub async fn take_and_pay(&mut self, blocks: u64, before: Owed) {
        let until = self.blocks + blocks;
        while self.blocks < until {
            self.take_one_and_pay(before).await;
        }
    }

    async fn take_one_and_pay(&mut self, before: Owed) {
        match self.hear().await {
            Heard::Block(..) | Heard::End => {}
            Heard::Statement(statement) => {
                let owed = before.add(statement.body.bytes, PRICE).amount();
                self.pay(owed, Some(&statement)).await;
            }
            Heard::Due(cumulative) => self.pay(cumulative, None).await,
            other => panic!("{other:?}"),
        }
    }

    /// Ends the session in order; pays what is stated last.
    pub async fn close(mut self, before: Owed) {
        self.say(&ToServer::Close {}).await;
        loop {
            match self.hear().await {
                Heard::Ended => break,
                Heard::Statement(statement) => {
                    let owed = before.add(statement.body.bytes, PRICE).amount();
                    self.pay(owed, Some(&statement)).await;
                }
                other => panic!("{other:?}"),
            }
        }
        self.send.finish().unwrap();
        let _ = self.send.stopped().await;
    }

    /// Takes everything until the edge refuses, and pays nothing.
    pub async fn take_until_refused(&mut self) -> Refuse {
        loop {
            match self.hear().await {
                Heard::Refuse(refuse) => return refuse,
                Heard::Ended => panic!("ended without a reason"),
                _ => {}
            }
        }
    }

    /// What the edge refuses this session for.
    pub async fn refused(&mut self, code: Code, words: &str) -> Refuse {
        let refuse = self.take_until_refused().await;
        assert!(
            refuse.code == code && refuse.reason.contains(words),
            "{refuse:?}, not {code:?} {words}"
        );
        refuse
    }
}

/// Blocks of 1 MiB in a store, no two alike; the first is as good a root as any.
pub fn put_blocks(store: &Store, seed: u32, count: u32) -> Vec<Cid> {
    let put = |at| {
        let block = Generator::bytes(seed * 1000 + at, MIB as usize);
        let cid = Cid::new_v1(codec::RAW, HashCode::Sha2_256.digest(&block));
        store.put(&cid, &block).unwrap();
        cid
    };
    (0..count).map(put).collect()
}

/// What so many bytes cost.
pub fn cost(bytes: u64) -> Amount {
    Owed::ZERO.add(bytes, PRICE).amount()
}

pub fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

pub fn edge_key() -> SecretKey {
    key(200)
}

pub fn payee() -> Address {
    key(201).address()
}

async fn endpoint(key: &SecretKey) -> iroh::Endpoint {
    iroh::Endpoint::builder(presets::Minimal)
        .secret_key(iroh::SecretKey::from_bytes(&key.seed()))
        .clear_ip_transports()
        .bind_addr("127.0.0.1:0")
        .unwrap()
        .bind()
        .await
        .unwrap()
}

/// Waits until something is so.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waited = timeout(Duration::from_secs(15), async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited
        .await
        .unwrap_or_else(|_| panic!("{what} did not come to be"));
}
