//! What a genesis must satisfy before a node starts on it.

use super::*;
use crate::validators::MAX_VALIDATORS;

/// The largest block body that any genesis may allow: beyond it the engine's messages and timeouts do not hold.
pub const MAX_BLOCK_BYTES: u64 = 2 * 1024 * 1024;
/// A block must hold a certificate of the largest set and some transactions.
const MIN_BLOCK_BYTES: u64 = 256 * 1024;
const MAX_RESERVED: u64 = 1_000;
/// About thirty years of 1 s blocks: sums of such numbers stay far below 2^64.
const MAX_BLOCKS: u64 = 1_000_000_000;

type Fault = (String, String);

impl Genesis {
    /// Checks every rule.
    ///
    /// # Errors
    /// The first field that breaks one, and how.
    pub fn validate(&self) -> Result<(), Error> {
        let checks = [
            Self::names,
            Self::limits,
            Self::rents,
            Self::premiums,
            Self::reserved,
            Self::claims,
            Self::escrows,
            Self::kinds,
            Self::money,
            Self::seats,
            Self::elections,
            Self::rewards,
            Self::fees,
            Self::deliveries,
        ];
        for check in checks {
            check(self).map_err(|(field, reason)| Error::Genesis { field, reason })?;
        }
        Ok(())
    }

    fn names(&self) -> Result<(), Fault> {
        no_fault("chain_id", chain_id_fault(&self.chain_id))?;
        Label::parse(&self.tld).map_err(|e| fault("tld", e.to_string()))?;
        no_fault("prefix", prefix_fault(&self.prefix))
    }

    fn limits(&self) -> Result<(), Fault> {
        range("seats", u64::from(self.seats), 1, MAX_VALIDATORS as u64)?;
        range("block_time_ms", self.block_time_ms, 100, 600_000)?;
        range(
            "max_block_bytes",
            self.max_block_bytes,
            MIN_BLOCK_BYTES,
            MAX_BLOCK_BYTES,
        )?;
        range("time_ms", self.time_ms, 0, 1 << 52)
    }

    fn rents(&self) -> Result<(), Fault> {
        range("rent.period", self.rent.period, 1, MAX_BLOCKS)?;
        range("rent.grace", self.rent.grace, 0, MAX_BLOCKS)?;
        range("rent.max_periods", u64::from(self.rent.max_periods), 1, 1_000)?;
        range("rent.by_length", self.rent.by_length.len() as u64, 1, 63)
            .map_err(|(field, _)| fault(&field, "give 1 to 63 prices".into()))?;
        let dearest = self.rent.by_length.iter().max().copied().unwrap_or_default();
        rule(dearest <= self.supply, "rent.by_length", || {
            format!("a rent of {dearest} is more than the supply of {}", self.supply)
        })
    }

    fn premiums(&self) -> Result<(), Fault> {
        let rent = &self.rent;
        range("rent.fall", rent.fall, 0, MAX_BLOCKS)?;
        rule((rent.fall == 0) == (rent.premium == 0), "rent.premium", || {
            "give it together with rent.fall, or neither".into()
        })?;
        let dearest = rent.by_length.iter().max().copied().unwrap_or_default();
        let start = dearest.checked_mul(rent.premium);
        rule(
            start.is_some_and(|start| start <= self.supply),
            "rent.premium",
            || {
                format!(
                    "{} times a rent of {dearest} is more than the supply of {}",
                    rent.premium, self.supply
                )
            },
        )
    }

    fn reserved(&self) -> Result<(), Fault> {
        range("reserved", self.reserved.len() as u64, 0, MAX_RESERVED)
            .map_err(|(field, _)| fault(&field, format!("give at most {MAX_RESERVED} labels")))?;
        rule(self.reserved.is_sorted_by(|a, b| a < b), "reserved", || {
            "list each label once, in the order of their bytes".into()
        })
    }

    fn claims(&self) -> Result<(), Fault> {
        range("reveal_delay", self.reveal_delay, 1, MAX_BLOCKS)?;
        rule(
            self.commit_ttl > self.reveal_delay && self.commit_ttl <= MAX_BLOCKS,
            "commit_ttl",
            || {
                format!(
                    "{} is not above reveal_delay {} and at most {MAX_BLOCKS}",
                    self.commit_ttl, self.reveal_delay
                )
            },
        )
    }

    fn escrows(&self) -> Result<(), Fault> {
        range("escrow_exit_delay", self.escrow_exit_delay, 1, MAX_BLOCKS)?;
        let back = self.allows(Kind::EscrowExit) && self.allows(Kind::EscrowClose);
        rule(!self.allows(Kind::EscrowOpen) || back, "transactions", || {
            "escrow_open needs escrow_exit and escrow_close".into()
        })
    }

    fn kinds(&self) -> Result<(), Fault> {
        rule(
            self.transactions.is_sorted_by(|a, b| a < b),
            "transactions",
            || "list each kind once, in the order of the presets".into(),
        )?;
        let needs_commit = [Kind::NameRegister, Kind::AssetAnchor]
            .iter()
            .any(|kind| self.allows(*kind));
        rule(!needs_commit || self.allows(Kind::Commit), "transactions", || {
            "name_register and asset_anchor need commit".into()
        })?;
        rule(
            self.allows(Kind::Faucet) == self.faucet.is_some(),
            "transactions",
            || "'faucet' is listed if and only if there is a faucet".into(),
        )
    }

    fn money(&self) -> Result<(), Fault> {
        rule(!self.supply.is_zero(), "supply", || "there must be coins".into())?;
        rule(self.fee <= self.supply, "fee", || {
            format!("{} is more than the supply", self.fee)
        })?;
        if let Some(faucet) = &self.faucet {
            rule(self.preset == Preset::Dev, "faucet", || {
                "only a chain of the preset 'dev' may have one".into()
            })?;
            rule(
                faucet.amount > self.fee && faucet.amount <= self.supply,
                "faucet.amount",
                || {
                    format!(
                        "{} is not above the fee of {} and within the supply",
                        faucet.amount, self.fee
                    )
                },
            )?;
        }
        rule(
            self.balances.is_sorted_by(|a, b| a.address < b.address),
            "balances",
            || "list each address once, in the order of their bytes".into(),
        )?;
        let sum = self
            .balances
            .iter()
            .try_fold(Amount::ZERO, |sum, balance| sum.checked_add(balance.amount));
        let sum = sum.ok_or_else(|| fault("balances", "their sum does not fit in 64 bits".into()))?;
        let fits = if self.faucet.is_some() {
            sum <= self.supply
        } else {
            sum == self.supply
        };
        rule(fits, "balances", || {
            format!("they add up to {sum}, the supply is {}", self.supply)
        })
    }

    fn elections(&self) -> Result<(), Fault> {
        let rules = &self.election;
        range("election.round", rules.round, 1, MAX_BLOCKS)?;
        range("election.unbonding", rules.unbonding, 1, MAX_BLOCKS)?;
        rule(
            rules.evidence_age < rules.unbonding,
            "election.evidence_age",
            || {
                format!(
                    "{} is not below election.unbonding {}: what evidence takes must still be locked",
                    rules.evidence_age, rules.unbonding
                )
            },
        )?;
        for (field, points) in [("absent_max", rules.absent_max), ("slash", rules.slash)] {
            range(&format!("election.{field}"), points.into(), 0, WHOLE.into())?;
        }
        let dearest = rules.registration.saturating_add(rules.own_min);
        rule(dearest <= self.supply, "election.own_min", || {
            format!("a candidate would need {dearest} coins of {}", self.supply)
        })
    }

    fn rewards(&self) -> Result<(), Fault> {
        let Rewards {
            phases,
            parts,
            fees,
            leaders,
        } = &self.rewards;
        for (field, parts) in [("parts", parts), ("fees", fees)] {
            rule(
                parts.sum() == u32::from(WHOLE),
                &format!("rewards.{field}"),
                || format!("they are {} basis points together, not {WHOLE}", parts.sum()),
            )?;
        }
        rule(
            (*leaders > 0) == (parts.leaders > 0 || fees.leaders > 0),
            "rewards.leaders",
            || "a number of leading seats goes with a part for them".into(),
        )?;
        let ends: Vec<u64> = phases
            .iter()
            .map(|phase| phase.until.unwrap_or(u64::MAX))
            .collect();
        rule(
            phases.len() <= 64 && ends.is_sorted_by(|a, b| a < b),
            "rewards.phases",
            || "at most 64, each ends after the one before it, and only the last may never end".into(),
        )?;
        self.room_for_rewards()
    }

    /// All coins that there can ever be within thirty years of 1 s blocks fit in 64 bits.
    fn room_for_rewards(&self) -> Result<(), Fault> {
        let mut from = 0;
        let mut all = u128::from(self.supply.units());
        for phase in &self.rewards.phases {
            let until = phase
                .until
                .unwrap_or(MAX_BLOCKS)
                .clamp(from, MAX_BLOCKS.max(from));
            all += u128::from(until - from) * u128::from(phase.reward.units());
            from = until;
        }
        rule(all <= u128::from(u64::MAX), "rewards.phases", || {
            "with the supply there would be more coins than fit in 64 bits".into()
        })
    }

    fn fees(&self) -> Result<(), Fault> {
        let kinds: Vec<Kind> = self.fees.iter().map(|fee| fee.kind).collect();
        rule(kinds.is_sorted_by(|a, b| a < b), "fees", || {
            "list each kind once, in the order of the presets".into()
        })?;
        rule(self.fees.iter().all(|fee| fee.fee <= self.supply), "fees", || {
            "one is more than the supply".into()
        })
    }

    fn deliveries(&self) -> Result<(), Fault> {
        let rules = &self.delivery;
        let most = u64::from(Delivery::POINTS_MAX);
        range("delivery.bounty", rules.bounty.into(), 0, most)?;
        let off = u64::from(rules.claim_burnt) + u64::from(rules.claim_seats);
        rule(off <= most, "delivery.claim_burnt", || {
            format!("with delivery.claim_seats it is {off} basis points, at most {most}")
        })?;
        range(
            "delivery.withdrawn_grace",
            rules.withdrawn_grace.unwrap_or_default(),
            0,
            MAX_BLOCKS,
        )?;
        rule(rules.bond_min <= self.supply, "delivery.bond_min", || {
            format!("{} is more than the supply", rules.bond_min)
        })
    }

    fn seats(&self) -> Result<(), Fault> {
        let count = self.delegates.len();
        rule(count >= 1 && count <= self.seats as usize, "delegates", || {
            format!(
                "{count} delegates for {} seats: give at least one and at most one for each",
                self.seats
            )
        })?;
        let addresses: Vec<Address> = self
            .delegates
            .iter()
            .map(|delegate| delegate.key.address())
            .collect();
        rule(addresses.is_sorted_by(|a, b| a < b), "delegates", || {
            "list each key once, in the order of their addresses' bytes".into()
        })?;
        for (place, delegate) in self.delegates.iter().enumerate() {
            engine_address(&delegate.engine, count)
                .map_err(|reason| fault(&format!("delegates[{place}].engine"), reason))?;
        }
        Ok(())
    }
}

/// What is wrong with a chain's id.
pub(crate) fn chain_id_fault(id: &str) -> Option<String> {
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let is_one = (1..=32).contains(&id.len()) && id.bytes().all(is_plain);
    (!is_one).then(|| format!("'{id}' is not 1 to 32 characters of a-z, 0-9 and '-'"))
}

/// What is wrong with what a chain's addresses start with.
pub(crate) fn prefix_fault(prefix: &str) -> Option<String> {
    let is_one = (1..=16).contains(&prefix.len()) && prefix.bytes().all(|b| b.is_ascii_lowercase());
    (!is_one).then(|| format!("'{prefix}' is not 1 to 16 characters of a-z"))
}

fn no_fault(field: &str, reason: Option<String>) -> Result<(), Fault> {
    reason.map_or(Ok(()), |reason| Err(fault(field, reason)))
}

fn engine_address(address: &str, delegates: usize) -> Result<(), String> {
    match (address.is_empty(), delegates) {
        (true, 1) => Ok(()),
        (true, _) => Err("needed where several delegates vote".into()),
        _ => crate::transition::check_engine(address),
    }
}

fn range(field: &str, value: u64, least: u64, most: u64) -> Result<(), Fault> {
    rule((least..=most).contains(&value), field, || {
        format!("{value} is not within {least} to {most}")
    })
}

fn rule(holds: bool, field: &str, reason: impl FnOnce() -> String) -> Result<(), Fault> {
    if holds {
        Ok(())
    } else {
        Err(fault(field, reason()))
    }
}

fn fault(field: &str, reason: String) -> Fault {
    (field.into(), reason)
}
