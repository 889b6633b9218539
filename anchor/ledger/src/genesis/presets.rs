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
    /// A chain for one machine: one seat, 1 s blocks, its whole supply in a faucet that gives 1,000 coins a draw. What takes days
    /// elsewhere takes minutes.
    pub fn dev(chain_id: impl Into<String>, time_ms: u64, delegate: PublicKey) -> Self {
        let block_time_ms = 1_000;
        Self {
            fee: Amount::from_units(100_000),
            reveal_delay: 1,
            escrow_exit_delay: 10,
            faucet: Some(Faucet { amount: coins(1_000) }),
            election: Election {
                // Whoever is restarted does not lose its seat by that.
                round: 60,
                registration: coins(1),
                own_min: coins(10),
                votes_per_own: 0,
                jail_rounds: 10,
                unbonding: 60,
                evidence_age: 30,
                ..election(1, block_time_ms)
            },
            delegates: vec![GenesisDelegate {
                key: delegate,
                engine: String::new(),
                tip: None,
            }],
            transactions: Kind::ALL.into(),
            ..base(Preset::Dev, chain_id.into(), time_ms, 1, block_time_ms)
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
        delegates: Vec<GenesisDelegate>,
        balances: Vec<Balance>,
    ) -> Result<Self, Error> {
        base(Preset::Ddn, chain_id.into(), time_ms, 101, 10_000).of(delegates, balances)
    }

    /// The MMT white paper's chain (1.0.0, 7.1): 108 seats, 10 s blocks. A block brings 5, 4, 3, 2, then 1 coin for ever to who
    /// made it, each for 333 days; all seats share the fees, and nothing is burnt. A transaction costs 0.5 coins, to become
    /// a delegate 200.
    ///
    /// # Errors
    /// As [`Genesis::ddn`].
    pub fn mmt(
        chain_id: impl Into<String>,
        time_ms: u64,
        delegates: Vec<GenesisDelegate>,
        balances: Vec<Balance>,
    ) -> Result<Self, Error> {
        let period = 333 * DAY_MS / 10_000;
        let phase = |number: u64| Phase {
            until: (number < 4).then_some((number + 1) * period),
            reward: coins(5 - number),
        };
        let to_seats = Parts {
            proposer: 0,
            seats: WHOLE,
            ..Parts::default()
        };
        Self {
            fee: Amount::from_units(50_000_000),
            fees: {
                let mut fees = free();
                fees.push(KindFee {
                    kind: Kind::DelegateRegister,
                    fee: coins(200),
                });
                fees.sort_by_key(|fee| fee.kind);
                fees
            },
            rewards: Rewards {
                phases: (0..5).map(phase).collect(),
                fees: to_seats,
                ..Rewards::default()
            },
            election: Election {
                registration: Amount::ZERO,
                ..election(108, 10_000)
            },
            ..base(Preset::Mmt, chain_id.into(), time_ms, 108, 10_000)
        }
        .of(delegates, balances)
    }

    /// The WTB paper's chain (3.4 and chapter 6): 303 seats, 23 of them super seats, 5 s blocks. A block brings 64 coins, which
    /// halves five times and ends. Of that and of the fees the super seats share 10 %, all seats 40 %, the voters 50 %. The
    /// incentive plan by month is not part of it.
    ///
    /// # Errors
    /// As [`Genesis::ddn`].
    pub fn wtb(
        chain_id: impl Into<String>,
        time_ms: u64,
        delegates: Vec<GenesisDelegate>,
        balances: Vec<Balance>,
    ) -> Result<Self, Error> {
        const ENDS: [u64; 6] = [
            3_110_400,
            9_331_200,
            27_993_600,
            59_097_600,
            90_201_600,
            124_416_000,
        ];
        let phase = |(number, until): (u32, u64)| Phase {
            until: Some(until),
            reward: coins(64 >> number),
        };
        let parts = Parts {
            proposer: 0,
            leaders: 1_000,
            seats: 4_000,
            voters: 5_000,
            burnt: 0,
        };
        Self {
            supply: coins(12_000_000_000),
            rewards: Rewards {
                phases: (0..).zip(ENDS).map(phase).collect(),
                parts,
                fees: parts,
                leaders: 23,
            },
            ..base(Preset::Wtb, chain_id.into(), time_ms, 303, 5_000)
        }
        .of(delegates, balances)
    }

    /// With these delegates and balances.
    fn of(mut self, mut delegates: Vec<GenesisDelegate>, mut balances: Vec<Balance>) -> Result<Self, Error> {
        delegates.sort_by_key(|delegate| delegate.key.address());
        balances.sort_by_key(|balance| balance.address);
        (self.delegates, self.balances) = (delegates, balances);
        self.validate()?;
        Ok(self)
    }
}

/// What the presets have in common; nobody votes yet, and nobody has anything.
fn base(preset: Preset, chain_id: String, time_ms: u64, seats: u32, block_time_ms: u64) -> Genesis {
    let label = match preset {
        Preset::Dev | Preset::Ddn => "ddn",
        Preset::Mmt => "mmt",
        Preset::Wtb => "wtb",
    };
    let prefix = if preset == Preset::Dev { "dev" } else { label };
    Genesis {
        chain_id,
        preset,
        time_ms,
        tld: label.into(),
        prefix: prefix.into(),
        seats,
        block_time_ms,
        max_block_bytes: MAX_BLOCK_BYTES,
        supply: coins(100_000_000),
        fee: Amount::from_units(1_000_000),
        fees: free(),
        election: election(seats, block_time_ms),
        rewards: Rewards::default(),
        rent: rent(block_time_ms),
        delivery: Delivery::default(),
        reserved: reserved(),
        reveal_delay: 2,
        commit_ttl: COMMIT_MS / block_time_ms,
        // Longer than the hour between the claims of a payee.
        escrow_exit_delay: DAY_MS / block_time_ms,
        faucet: None,
        balances: vec![],
        delegates: vec![],
        transactions: Kind::ALL
            .into_iter()
            .filter(|kind| *kind != Kind::Faucet)
            .collect(),
    }
}

/// What delegates do by themselves, whatever their accounts hold. It cannot be repeated: one returns from jail once, and
/// is convicted once.
fn free() -> Vec<KindFee> {
    let nothing = |kind| KindFee {
        kind,
        fee: Amount::ZERO,
    };
    [Kind::DelegateReturn, Kind::Evidence].map(nothing).into()
}

/// A third of the seats that hides blocks from some, and shows certificates with as few signatures as do, makes those absent
/// from five ninths of a round's certificates at most: 1 - (2/3)².
const ABSENT_MAX: u16 = 6_000;

/// A round is as long as there are seats. What is locked stays so for two weeks, and evidence is taken for one; a light client
/// that looks once a week trusts nobody who could have taken everything back.
fn election(seats: u32, block_time_ms: u64) -> Election {
    Election {
        round: seats.into(),
        registration: coins(100),
        own_min: coins(10_000),
        votes_per_own: 100,
        missed_max: 2,
        absent_max: ABSENT_MAX,
        jail_rounds: 4,
        unbonding: 14 * DAY_MS / block_time_ms,
        evidence_age: 7 * DAY_MS / block_time_ms,
        slash: WHOLE / 2,
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
