//! A chain of four delegates, many accounts, and signed transfers.

use std::net::TcpListener;

use anyhow::Result;
use ledger::{Action, Amount, Balance, Genesis, GenesisDelegate, Reveals, SecretKey, Tx, TxBody};

pub const SEATS: usize = 4;
/// Transfers of each account.
const EACH: usize = 10;

pub struct World {
    pub genesis: Genesis,
    pub seats: Vec<SecretKey>,
    pub ports: Vec<u16>,
    /// Those of one account in turn, and accounts in turns.
    pub txs: Vec<Tx>,
}

impl World {
    /// For so many transfers, with blocks at least `block_time_ms` apart.
    pub fn new(txs: usize, block_time_ms: u64) -> Result<World> {
        let seats: Vec<SecretKey> = (1..=SEATS as u8)
            .map(|byte| SecretKey::from_seed([byte; 32]))
            .collect();
        let held = (0..SEATS)
            .map(|_| TcpListener::bind("127.0.0.1:0"))
            .collect::<Result<Vec<_>, _>>()?;
        let ports = held
            .iter()
            .map(|held| Ok(held.local_addr()?.port()))
            .collect::<Result<Vec<u16>>>()?;
        let accounts: Vec<SecretKey> = (0..txs.div_ceil(EACH).max(2)).map(account).collect();
        let mut genesis = Genesis::dev("bench", 1, seats[0].public());
        genesis.block_time_ms = block_time_ms;
        genesis.seats = SEATS as u32;
        // No round ends on the way.
        genesis.election.round = 1_000_000;
        genesis.delegates = seats
            .iter()
            .zip(&ports)
            .map(|(key, port)| delegate(key, *port))
            .collect();
        genesis.delegates.sort_by_key(|delegate| delegate.key.address());
        let coins = Amount::from_units(100_000_000_000 / accounts.len() as u64 * 1_000);
        genesis.balances = balances(accounts.iter(), coins);
        let txs = (0..txs)
            .map(|number| transfer(&genesis, &accounts, number))
            .collect();
        Ok(World {
            genesis,
            seats,
            ports,
            txs,
        })
    }
}

pub fn account(number: usize) -> SecretKey {
    let mut seed = [9; 32];
    seed[..8].copy_from_slice(&(number as u64).to_be_bytes());
    SecretKey::from_seed(seed)
}

pub fn balances<'a>(accounts: impl Iterator<Item = &'a SecretKey>, amount: Amount) -> Vec<Balance> {
    let mut balances: Vec<Balance> = accounts
        .map(|key| Balance {
            address: key.address(),
            amount,
        })
        .collect();
    balances.sort_by_key(|balance| balance.address);
    balances
}

fn delegate(key: &SecretKey, port: u16) -> GenesisDelegate {
    let peer = chain::engine_peer_id(&key.public());
    GenesisDelegate {
        key: key.public(),
        engine: format!("/ip4/127.0.0.1/tcp/{port}/p2p/{peer}"),
        tip: Some(Reveals::new(key, "bench", 0).tip()),
    }
}

/// The transfer of this number: each account sends to the next one.
fn transfer(genesis: &Genesis, accounts: &[SecretKey], number: usize) -> Tx {
    let (from, nonce) = (number % accounts.len(), number / accounts.len());
    let to = &accounts[(from + 1) % accounts.len()];
    signed(genesis, &accounts[from], nonce as u64, to)
}

pub fn signed(genesis: &Genesis, from: &SecretKey, nonce: u64, to: &SecretKey) -> Tx {
    let body = TxBody {
        chain: genesis.chain_id.clone(),
        nonce,
        fee: genesis.fee,
        action: Action::Transfer {
            to: to.address(),
            amount: Amount::from_units(1),
        },
    };
    Tx::sign(body, from)
}
