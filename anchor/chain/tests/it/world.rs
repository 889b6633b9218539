//! Seats, accounts and waiting with a deadline.

use std::path::Path;
use std::time::Duration;

use chain::{Chain, Config, Error, Fate, Role};
use cid::Cid;
use ledger::{Action, Address, Amount, Balance, Genesis, SecretKey, Tx, TxBody};
use prometheus_client::registry::Registry;

pub const DEADLINE: Duration = Duration::from_secs(40);
/// The fastest that a genesis allows.
pub const BLOCK_TIME_MS: u64 = 100;
/// Between two looks at a condition that cannot be waited for otherwise.
const LOOK_EVERY: Duration = Duration::from_millis(10);

pub fn secret(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

pub fn delegate() -> SecretKey {
    secret(1)
}

/// A fast chain of one seat, on which `rich` accounts hold 100 coins each.
pub fn genesis(chain_id: &str, rich: &[&SecretKey]) -> Genesis {
    let mut genesis = Genesis::dev(chain_id, 1, delegate().public());
    genesis.block_time_ms = BLOCK_TIME_MS;
    let amount = Amount::from_coins(100).unwrap();
    genesis.balances = rich
        .iter()
        .map(|key| Balance {
            address: key.address(),
            amount,
        })
        .collect();
    genesis.balances.sort_by_key(|balance| balance.address);
    genesis
}

pub fn config(dir: &Path) -> Config {
    Config {
        dir: dir.to_owned(),
        engine_listen: ([127, 0, 0, 1], 0).into(),
        ..Config::default()
    }
}

pub async fn try_start(genesis: &Genesis, key: SecretKey, config: Config) -> Result<Chain, Error> {
    Chain::start(
        genesis.clone(),
        Role::Delegate(key),
        config,
        &mut Registry::default(),
    )
    .await
}

pub async fn start(genesis: &Genesis, dir: &Path) -> Chain {
    try_start(genesis, delegate(), config(dir)).await.unwrap()
}

/// A follower of the chain in its own folder, not connected yet.
pub async fn start_follower(genesis: &Genesis, dir: &Path) -> Chain {
    try_follow(genesis, dir).await.unwrap()
}

pub async fn try_follow(genesis: &Genesis, dir: &Path) -> Result<Chain, Error> {
    Chain::start(
        genesis.clone(),
        Role::Follower,
        config(dir),
        &mut Registry::default(),
    )
    .await
}

/// Waits until a follower has caught up.
pub async fn synced(chain: &Chain) {
    tokio::time::timeout(DEADLINE, chain.synced())
        .await
        .unwrap_or_else(|_| panic!("synced within {DEADLINE:?}: {:?}", chain.sync_status()))
        .unwrap();
}

/// Two chains have the same blocks, up to the lower tip.
pub fn agree(one: &Chain, other: &Chain) {
    for height in 1..=one.tip().height.min(other.tip().height) {
        let (ours, theirs) = (
            one.block(height).unwrap().unwrap().0,
            other.block(height).unwrap().unwrap().0,
        );
        assert_eq!(ours, theirs, "height {height}");
    }
}

/// Waits until the chain is at `height`.
pub async fn reach(chain: &Chain, height: u64) {
    let mut tips = chain.watch();
    let reached = tokio::time::timeout(DEADLINE, tips.wait_for(|tip| tip.height >= height)).await;
    let now = chain.health();
    reached
        .unwrap_or_else(|_| panic!("height {height} within {DEADLINE:?}: {now:?}"))
        .unwrap();
}

/// Waits until `check` says something.
pub async fn until<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let looks = async {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        loop {
            ticks.tick().await;
            if let Some(found) = check() {
                return found;
            }
        }
    };
    tokio::time::timeout(DEADLINE, looks)
        .await
        .unwrap_or_else(|_| panic!("{what} within {DEADLINE:?}"))
}

/// A transaction with the account's next nonce.
pub fn next(chain: &Chain, key: &SecretKey, action: Action) -> Tx {
    let nonce = chain.next_nonce(&key.address()).unwrap();
    sign(chain.genesis(), key, nonce, action)
}

pub fn sign(genesis: &Genesis, key: &SecretKey, nonce: u64, action: Action) -> Tx {
    let body = TxBody {
        chain: genesis.chain_id.clone(),
        nonce,
        fee: genesis.fee,
        action,
    };
    Tx::sign(body, key)
}

pub fn transfer(to: &Address, coins: u64) -> Action {
    Action::Transfer {
        to: *to,
        amount: Amount::from_coins(coins).unwrap(),
    }
}

/// Submits and waits for the block. Returns its height.
pub async fn include(chain: &Chain, tx: Tx) -> u64 {
    let cid = chain.submit(tx).unwrap();
    included(chain, &cid).await
}

pub async fn included(chain: &Chain, cid: &Cid) -> u64 {
    until("a transaction in a block", || match chain.fate(cid).unwrap() {
        Fate::Included { height } => Some(height),
        Fate::Pending { .. } => None,
        other => panic!("{other:?}"),
    })
    .await
}

/// Blocks from 1 to the tip are linked, certified, and each is found by its CIDs.
pub fn check_history(chain: &Chain) {
    let genesis = chain.genesis();
    let set = genesis.validators().unwrap();
    let mut parent = genesis.cid();
    for height in 1..=chain.tip().height {
        let (block, certificate) = chain.block(height).unwrap().unwrap();
        assert_eq!((block.header.height, block.header.parent.0), (height, parent));
        assert_eq!(certificate.header, block.header.id());
        certificate.verify(&genesis.chain_id, &set).unwrap();
        parent = block.header.cid();
        assert_eq!(
            chain.object(&parent).unwrap().unwrap(),
            ledger::encode(&block.header)
        );
        assert_eq!(
            chain.object(&block.body.cid()).unwrap().unwrap(),
            ledger::encode(&block.body)
        );
    }
    assert!(chain.audit().unwrap().holds());
}
