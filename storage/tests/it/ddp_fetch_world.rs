//! Nodes on loopback that fetch from each other: real endpoints, real stores, a ledger in memory.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use adversary::{Deed, Guise, Villain};
use async_trait::async_trait;
use bytes::Bytes;
use cid::Cid;
use ledger::{Address, Amount, COIN, Escrow, Hash, Line, Owed, PublicKey, SecretKey, Signed, Voucher};
use storage::ddp::{Config, Delivery, Finder, Funds, Outcome, Payer, Provider, PurseRow};
use storage::{Blocks, Error, Store, Walk};

use crate::support::Scratch;

pub const CHAIN: &str = "dev";
/// What servers ask for each MiB, unless said otherwise: not a round number.
pub const PRICE: Amount = Amount::from_units(1_000_003);

/// A ledger, as far as deliveries look at it.
#[derive(Default)]
pub struct Coins {
    escrows: Mutex<HashMap<Hash, Funded>>,
    /// Assets whose deliveries are split, as servers see it.
    pub split: Mutex<HashSet<Cid>>,
}

/// An escrow, and what is set aside there.
type Funded = (Escrow, HashMap<Address, Line>);

impl Funds for Coins {
    fn height(&self) -> u64 {
        100
    }

    fn is_split(&self, root: &Cid) -> Result<bool, String> {
        Ok(self.split.lock().unwrap().contains(root))
    }

    fn escrow(&self, id: &Hash, payee: &Address) -> Result<(Option<Escrow>, Option<Line>), String> {
        let escrows = self.escrows.lock().unwrap();
        let found = escrows.get(id);
        Ok((
            found.map(|(escrow, _)| escrow.clone()),
            found.and_then(|(_, lines)| lines.get(payee).cloned()),
        ))
    }
}

/// Pays from one escrow, which it opens when it is asked for.
pub struct Wallet {
    coins: Arc<Coins>,
    key: SecretKey,
    pub balance: Mutex<Amount>,
    /// Escrows that were closed.
    closed: Mutex<u8>,
    /// How many times it is asked about splits before it knows of any.
    pub behind: Mutex<u32>,
    /// What it was asked to set aside.
    pub allotted: Mutex<Vec<Amount>>,
    /// The proofs of lies that it was given.
    pub convicted: Mutex<Vec<ledger::FraudProof>>,
}

impl Wallet {
    pub fn escrow_id(&self) -> Hash {
        let number = *self.closed.lock().unwrap();
        Hash::of(&[self.key.public().as_bytes().as_slice(), &[number]].concat())
    }

    /// The escrow is gone from the ledger; the next one has another id.
    pub fn close_escrow(&self) {
        self.coins.escrows.lock().unwrap().remove(&self.escrow_id());
        *self.closed.lock().unwrap() += 1;
    }

    pub fn has_escrow(&self) -> bool {
        self.coins.escrows.lock().unwrap().contains_key(&self.escrow_id())
    }
}

#[async_trait]
impl Payer for Wallet {
    async fn escrow(&self, _payee: &Address, _price: Amount) -> Result<Hash, String> {
        let balance = *self.balance.lock().unwrap();
        if balance.is_zero() {
            return Err("the wallet is empty".to_owned());
        }
        let id = self.escrow_id();
        let escrow = Escrow {
            payer: self.key.address(),
            voucher_key: self.key.public(),
            balance,
            reserved: Amount::ZERO,
            reserved_until: 0,
            opened: 1,
            exit: None,
        };
        let mut escrows = self.coins.escrows.lock().unwrap();
        escrows.entry(id).or_insert_with(|| (escrow, HashMap::new()));
        Ok(id)
    }

    async fn is_split(&self, root: &Cid) -> Result<bool, String> {
        let mut behind = self.behind.lock().unwrap();
        match *behind {
            0 => self.coins.is_split(root),
            _ => {
                *behind -= 1;
                Ok(false)
            }
        }
    }

    fn sign(&self, voucher: Voucher) -> Signed<Voucher> {
        Signed::sign(voucher, CHAIN, &self.key)
    }

    async fn allot(&self, escrow: &Hash, payee: &Address, amount: Amount) -> Result<(), String> {
        self.allotted.lock().unwrap().push(amount);
        let mut escrows = self.coins.escrows.lock().unwrap();
        let (escrow, lines) = escrows.get_mut(escrow).ok_or("no such escrow")?;
        let line = lines.entry(*payee).or_default();
        line.expires = 1_000_000;
        line.reserved = line.reserved.checked_add(amount).ok_or("too much")?;
        escrow.reserved = escrow.reserved.checked_add(amount).ok_or("too much")?;
        match escrow.reserved <= escrow.balance {
            true => Ok(()),
            false => Err("the escrow is exhausted".to_owned()),
        }
    }

    fn convict(&self, proof: ledger::FraudProof) {
        self.convicted.lock().unwrap().push(proof);
    }
}

/// Knows the providers that it is told, and hears how they did.
#[derive(Default)]
pub struct Guide {
    pub providers: Mutex<Vec<Provider>>,
    pub outcomes: Mutex<Vec<(PublicKey, Outcome)>>,
    pub fetched: Mutex<Vec<Cid>>,
}

impl Guide {
    /// What was told of a node.
    pub fn told(&self, node: &PublicKey) -> Vec<Outcome> {
        let outcomes = self.outcomes.lock().unwrap();
        let of_node = outcomes.iter().filter(|(told, _)| told == node);
        of_node.map(|(_, outcome)| outcome.clone()).collect()
    }
}

#[async_trait]
impl Finder for Guide {
    async fn providers(&self, _root: &Cid) -> Vec<Provider> {
        self.providers.lock().unwrap().clone()
    }

    fn outcome(&self, node: &PublicKey, outcome: Outcome) {
        self.outcomes.lock().unwrap().push((*node, outcome));
    }

    fn fetched(&self, root: &Cid) {
        self.fetched.lock().unwrap().push(*root);
    }
}

/// A node.
pub struct Node {
    pub scratch: Scratch,
    pub key: SecretKey,
    pub guide: Arc<Guide>,
    pub wallet: Arc<Wallet>,
    pub delivery: Delivery,
    coins: Arc<Coins>,
    config: Config,
}

impl Node {
    pub async fn start(coins: &Arc<Coins>, seed: u8) -> Node {
        Node::start_with(coins, seed, |_| {}).await
    }

    /// Deadlines are short, so that tests are.
    pub async fn start_with(coins: &Arc<Coins>, seed: u8, adjust: impl FnOnce(&mut Config)) -> Node {
        let key = SecretKey::from_seed([seed; 32]);
        let mut config = Config::new(key.clone(), CHAIN, ([127, 0, 0, 1], 0).into(), key.address());
        config.price = PRICE;
        config.price_max = Amount::from_units(2 * PRICE.units());
        config.timeout = Duration::from_secs(10);
        config.silence = Duration::from_secs(2);
        adjust(&mut config);
        let wallet = Arc::new(Wallet {
            coins: Arc::clone(coins),
            key: SecretKey::from_seed([seed ^ 0x80; 32]),
            balance: Mutex::new(Amount::from_units(1000 * COIN)),
            closed: Mutex::default(),
            behind: Mutex::default(),
            allotted: Mutex::default(),
            convicted: Mutex::default(),
        });
        let scratch = Scratch::new();
        let guide = Arc::new(Guide::default());
        let delivery = start(&config, &scratch.store, &guide, &wallet, coins).await;
        Node {
            scratch,
            key,
            guide,
            wallet,
            delivery,
            coins: Arc::clone(coins),
            config,
        }
    }

    /// Ends in order and starts again.
    pub async fn restart(&mut self) {
        self.delivery.shutdown().await;
        self.delivery = start(
            &self.config,
            &self.scratch.store,
            &self.guide,
            &self.wallet,
            &self.coins,
        )
        .await;
    }

    /// Starts again after the runtime on which it worked is gone: nobody was told anything.
    pub async fn revive(&mut self) {
        self.delivery = start(
            &self.config,
            &self.scratch.store,
            &self.guide,
            &self.wallet,
            &self.coins,
        )
        .await;
    }

    pub fn node(&self) -> PublicKey {
        self.key.public()
    }

    pub fn provider(&self) -> Provider {
        provider(&self.key, self.delivery.local_addr())
    }

    pub fn knows(&self, providers: &[Provider]) {
        *self.guide.providers.lock().unwrap() = providers.to_vec();
    }

    /// Reads on a thread that may wait.
    pub async fn read<T: Send + 'static>(
        &self,
        root: &Cid,
        read: impl FnOnce(storage::ddp::Remote) -> T + Send + 'static,
    ) -> T {
        let remote = self.delivery.below(root);
        tokio::task::spawn_blocking(move || read(remote)).await.unwrap()
    }

    /// Reads everything below `root`; returns its bytes, each block once.
    pub async fn read_all(&self, root: &Cid) -> Result<u64, Error> {
        let top = *root;
        self.read(root, move |remote| {
            Walk::new(&remote, &[top]).try_fold(0, |bytes, block| Ok(bytes + block?.1.len() as u64))
        })
        .await
    }

    /// What it has promised to this payee.
    pub fn promised(&self, payee: &Node) -> Amount {
        self.purse(payee).map_or(Amount::ZERO, |row| row.purse.signed)
    }

    pub fn purse(&self, payee: &Node) -> Option<PurseRow> {
        let purses = self.delivery.purses().unwrap();
        purses.into_iter().find(|row| row.payee == payee.key.address())
    }

    /// What this node was promised in all.
    pub fn earned(&self) -> Amount {
        let tabs = self.delivery.tabs().unwrap();
        let units = tabs.iter().map(|row| row.tab.vouched.units()).sum();
        Amount::from_units(units)
    }
}

async fn start(
    config: &Config,
    store: &Store,
    guide: &Arc<Guide>,
    wallet: &Arc<Wallet>,
    coins: &Arc<Coins>,
) -> Delivery {
    Delivery::start(
        config.clone(),
        store.clone(),
        guide.clone(),
        wallet.clone(),
        coins.clone(),
        &mut Default::default(),
    )
    .await
    .unwrap()
}

pub fn provider(key: &SecretKey, address: SocketAddr) -> Provider {
    Provider {
        node: key.public(),
        addresses: vec![address],
        relay: None,
        rtt_us: None,
    }
}

/// A server on loopback that cheats.
pub async fn villain(seed: u8, deed: Deed, store: &Store) -> Arc<Villain> {
    let guise = Guise {
        key: SecretKey::from_seed([seed; 32]),
        chain: CHAIN.to_owned(),
        price: PRICE,
        listen: ([127, 0, 0, 1], 0).into(),
    };
    Villain::start(guise, deed, store).await.unwrap()
}

/// What so many bytes cost.
pub fn cost(bytes: u64) -> Amount {
    Owed::ZERO.add(bytes, PRICE).amount()
}

/// All blocks below a root, in the order of reading.
pub fn blocks_below(store: &Store, root: &Cid) -> Vec<(Cid, Bytes)> {
    Walk::new(store, &[*root]).map(Result::unwrap).collect()
}

/// Waits until something is so.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} did not come to be");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Blocks that are here, seen through a wrapper that counts who asks.
pub fn is_here(store: &Store, cid: &Cid) -> bool {
    store.block(cid).unwrap().is_some()
}
