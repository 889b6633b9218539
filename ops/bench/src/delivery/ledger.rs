//! A ledger in memory, and whom to ask and who pays: what a node has around its deliveries.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use cid::Cid;
use ledger::{Address, Amount, COIN, Escrow, Hash, Line, PublicKey, SecretKey, Signed, Voucher};
use storage::ddp::{Finder, Funds, Outcome, Payer, Provider};

/// The chain of the measurements.
pub const CHAIN: &str = "bench";

/// The escrow of a payer, known to all: it has coins enough, and whatever is allotted is there.
pub fn escrow_of(payer: &SecretKey) -> (Hash, Escrow) {
    let escrow = Escrow {
        payer: payer.address(),
        voucher_key: payer.public(),
        balance: Amount::from_units(1_000_000 * COIN),
        reserved: Amount::ZERO,
        reserved_until: 0,
        opened: 1,
        exit: None,
    };
    (Hash::of(payer.public().as_bytes()), escrow)
}

/// The server's view of the ledger: every payer of the measurements has its escrow, and all of it is set aside.
pub struct Coins(HashMap<Hash, Escrow>);

impl Coins {
    pub fn new(payers: impl Iterator<Item = SecretKey>) -> Coins {
        Coins(payers.map(|payer| escrow_of(&payer)).collect())
    }
}

impl Funds for Coins {
    fn height(&self) -> u64 {
        100
    }

    fn is_split(&self, _root: &Cid) -> Result<bool, String> {
        Ok(false)
    }

    fn escrow(&self, id: &Hash, _payee: &Address) -> Result<(Option<Escrow>, Option<Line>), String> {
        let line = Line {
            reserved: Amount::from_units(1_000 * COIN),
            expires: 1_000_000,
            ..Line::default()
        };
        Ok((self.0.get(id).cloned(), Some(line)))
    }
}

/// Pays from one escrow.
pub struct Wallet(pub SecretKey);

#[async_trait]
impl Payer for Wallet {
    async fn escrow(&self, _payee: &Address, _price: Amount) -> Result<Hash, String> {
        Ok(escrow_of(&self.0).0)
    }

    async fn is_split(&self, _root: &Cid) -> Result<bool, String> {
        Ok(false)
    }

    fn sign(&self, voucher: Voucher) -> Signed<Voucher> {
        Signed::sign(voucher, CHAIN, &self.0)
    }

    async fn allot(&self, _escrow: &Hash, _payee: &Address, _amount: Amount) -> Result<(), String> {
        Err("all of it is set aside already".to_owned())
    }

    fn convict(&self, proof: ledger::FraudProof) {
        eprintln!("{} lied", proof.node());
    }
}

/// Knows the providers.
pub struct Guide(pub Mutex<Vec<Provider>>);

impl Guide {
    pub fn new(providers: Vec<Provider>) -> Arc<Guide> {
        Arc::new(Guide(Mutex::new(providers)))
    }
}

#[async_trait]
impl Finder for Guide {
    async fn providers(&self, _root: &Cid) -> Vec<Provider> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn outcome(&self, node: &PublicKey, outcome: Outcome) {
        if let Some(failure) = outcome.failure {
            eprintln!("{node} {failure}");
        }
    }

    fn fetched(&self, _root: &Cid) {}
}
