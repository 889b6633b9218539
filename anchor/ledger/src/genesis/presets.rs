//! The presets: numbers from the white papers, ours where they give none.

use super::*;

const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 24 * 60 * MINUTE_MS;

const fn coins(coins: u64) -> Amount {
    match Amount::from_coins(coins) {
        Some(amount) => amount,
        None => panic!("a preset's amount fits"),
    }
}

/// How long a commit waits for its reveal. An older commit wins a dispute, so it must not pay to keep blind commits open:
/// on `ddn`, one kept open for a year costs more in fees than the dearest name does in rent.
const COMMIT_MS: u64 = 10 * MINUTE_MS;

/// Coins a year for labels of 1, 2, 3, 4 and more characters: short ones are scarce, long ones cost a gesture.
const RENT_BY_YEAR: [Amount; 5] = [coins(500), coins(200), coins(100), coins(20), coins(5)];

/// Labels that mean something to gateways, browsers or networks wherever they stand: the hosts of sites (`ipfs`, `ipns`), the
/// special names of RFC 6761 and RFC 7686, the host by which machines find their proxy (`wpad`), and `www`, which people
/// take for the site of the whole TLD.
const RESERVED: [&str; 10] = [
    "example",
    "invalid",
    "ipfs",
    "ipns",
    "local",
    "localhost",
    "onion",
    "test",
    "wpad",
    "www",
];

impl Genesis {
    /// A chain for one machine: one seat, 1 s blocks, its whole supply in a faucet that gives 1,000 coins a draw.
    pub fn dev(chain_id: impl Into<String>, time_ms: u64, delegate: PublicKey) -> Self {
        let block_time_ms = 1_000;
        Self {
            chain_id: chain_id.into(),
            preset: Preset::Dev,
            time_ms,
            tld: "ddn".into(),
            prefix: "dev".into(),
            seats: 1,
            block_time_ms,
            max_block_bytes: MAX_BLOCK_BYTES,
            supply: coins(100_000_000),
            fee: Amount::from_units(100_000),
            rent: rent(block_time_ms),
            reserved: reserved(),
            reveal_delay: 1,
            commit_ttl: COMMIT_MS / block_time_ms,
            escrow_exit_delay: 10,
            faucet: Some(Faucet { amount: coins(1_000) }),
            balances: vec![],
            delegates: vec![GenesisDelegate {
                key: delegate,
                engine: String::new(),
            }],
            transactions: Kind::ALL.into(),
        }
    }

    /// The DDN white paper's chain (0.0.4, 5.1): 101 seats, 10 s blocks, no block reward. The paper gives no supply and
    /// no fees: ours are 100,000,000 coins and 0.01 a transaction.
    ///
    /// # Errors
    /// As [`Genesis::validate`]: the balances must add up to the supply.
    pub fn ddn(
        chain_id: impl Into<String>,
        time_ms: u64,
        mut delegates: Vec<GenesisDelegate>,
        mut balances: Vec<Balance>,
    ) -> Result<Self, Error> {
        let block_time_ms = 10_000;
        delegates.sort_by_key(|delegate| delegate.key.address());
        balances.sort_by_key(|balance| balance.address);
        let genesis = Self {
            chain_id: chain_id.into(),
            preset: Preset::Ddn,
            time_ms,
            tld: "ddn".into(),
            prefix: "ddn".into(),
            seats: 101,
            block_time_ms,
            max_block_bytes: MAX_BLOCK_BYTES,
            supply: coins(100_000_000),
            fee: Amount::from_units(1_000_000),
            rent: rent(block_time_ms),
            reserved: reserved(),
            reveal_delay: 2,
            commit_ttl: COMMIT_MS / block_time_ms,
            // Longer than the hour between the claims of a payee.
            escrow_exit_delay: DAY_MS / block_time_ms,
            faucet: None,
            balances,
            delegates,
            transactions: Kind::ALL
                .into_iter()
                .filter(|kind| *kind != Kind::Faucet)
                .collect(),
        };
        genesis.validate()?;
        Ok(genesis)
    }
}

fn reserved() -> Vec<Label> {
    let label = |text: &&str| Label::parse(text).expect("a preset's label is one");
    RESERVED.iter().map(label).collect()
}

/// A year, 30 days of grace and 14 of a falling premium, in blocks; at most ten years ahead.
fn rent(block_time_ms: u64) -> Rent {
    Rent {
        period: 365 * DAY_MS / block_time_ms,
        grace: 30 * DAY_MS / block_time_ms,
        max_periods: 10,
        by_length: RENT_BY_YEAR.into(),
        fall: 14 * DAY_MS / block_time_ms,
        premium: 100,
    }
}
