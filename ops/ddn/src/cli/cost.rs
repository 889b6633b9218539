//! What a publish will cost, before it is done.

use std::fmt;

use ledger::{Amount, Genesis, NamePath};
use serde::Serialize;

use super::{
    client::{Call, Node},
    failure::{Failure, Outcome},
    wallet,
};
use crate::api::{
    paths,
    types::{AssetView, NameView, Resolved},
};

/// A publish that is thought of.
pub struct Publish<'a> {
    /// Root of the content, if there is some.
    pub cid: Option<&'a str>,
    /// The name that would point to it.
    pub name: Option<&'a str>,
    /// Who would pay, if not the default wallet.
    pub wallet: Option<&'a str>,
}

/// What the ledger takes for it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Transactions.
    pub txs: u64,
    /// Their fees.
    pub fees: Amount,
    /// Rent of a name that nobody has yet.
    pub rent: Amount,
    /// What such a name costs beyond the rent in the next block, if it has not been free for long; less in each later one.
    pub premium: Amount,
    /// Height from which it costs no premium, if it does now.
    pub premium_until: Option<u64>,
    /// Fees, rent and premium.
    pub total: Amount,
    /// What the wallet has.
    pub balance: Amount,
}

impl Cost {
    /// Asks the node what is anchored and registered already.
    pub async fn of(publish: &Publish<'_>, node: &Node, genesis: &Genesis) -> Outcome<Self> {
        let wallet = wallet::named(node, publish.wallet).await?;
        let mut txs = match publish.cid {
            Some(cid) => anchoring(node, cid).await?,
            None => 0,
        };
        let (mut rent, mut premium, mut premium_until) = (Amount::ZERO, Amount::ZERO, None);
        if let Some(name) = publish.name {
            let resolved: Resolved = node.call(Call::get(paths::RESOLVE, &[name])).await?;
            let path = NamePath::parse(&resolved.name, &genesis.tld);
            let path = path.map_err(|error| Failure::new("bad_name", error))?;
            let held = held_name(node, genesis, &path, &wallet.address).await?;
            let right_already = resolved.content.as_deref() == publish.cid;
            if held {
                txs += u64::from(!right_already);
            } else {
                txs += COMMIT_AND_CLAIM;
                rent = genesis.rent.of(&path.label);
                premium = resolved.premium.unwrap_or_default();
                premium_until = resolved.premium_until;
            }
        }
        let sum = |fees: Amount| {
            let total = fees.checked_add(rent)?.checked_add(premium)?;
            Some((fees, total))
        };
        let (fees, total) = genesis.fee.checked_mul(txs).and_then(sum).ok_or_else(|| {
            Failure::new(
                "bad_genesis",
                format!("the fees and rent of {} are beyond all coins", genesis.chain_id),
            )
        })?;
        Ok(Self {
            txs,
            fees,
            rent,
            premium,
            premium_until,
            total,
            balance: wallet.balance,
        })
    }
}

const COMMIT_AND_CLAIM: u64 = 2;

/// How many transactions it takes to own content.
async fn anchoring(node: &Node, cid: &str) -> Outcome<u64> {
    let asset: Option<AssetView> = node.find(Call::get(paths::ASSET, &[cid])).await?;
    Ok(if asset.is_some() { 0 } else { COMMIT_AND_CLAIM })
}

/// Whether the payer holds the name already; a failure if somebody else does.
async fn held_name(node: &Node, genesis: &Genesis, path: &NamePath, payer: &str) -> Outcome<bool> {
    let name = format!("{}.{}", path.label, genesis.tld);
    let view: Option<NameView> = node.find(Call::get(paths::NAME, &[&name])).await?;
    match view.filter(|view| view.height + 1 < view.free_at) {
        Some(view) if view.owner == payer => Ok(true),
        Some(view) => {
            let text = format!("{name} belongs to {}: choose another name", view.owner);
            Err(Failure::new("name_taken", text))
        }
        None if path.under.is_empty() => Ok(false),
        None => {
            let text = format!("{name} is not registered, so nothing can be under it: register it first");
            Err(Failure::new("not_found", text))
        }
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            txs,
            fees,
            rent,
            premium,
            premium_until,
            total,
            balance,
        } = self;
        write!(f, "{total} coins ({txs} transactions: {fees}; rent: {rent}")?;
        if let Some(height) = premium_until {
            write!(f, "; premium: {premium}, falling to 0 by height {height}")?;
        }
        write!(f, "), of the {balance} in the wallet")?;
        if balance < total {
            f.write_str(": not enough")
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coins(text: &str) -> Amount {
        Amount::parse_coins(text).expect("coins")
    }

    fn cost() -> Cost {
        Cost {
            txs: 2,
            fees: coins("0.2"),
            rent: coins("1"),
            premium: Amount::ZERO,
            premium_until: None,
            total: coins("1.2"),
            balance: coins("1"),
        }
    }

    #[test]
    fn a_lack_of_coins_is_said() {
        assert_eq!(
            cost().to_string(),
            "1.2 coins (2 transactions: 0.2; rent: 1), of the 1 in the wallet: not enough"
        );
    }

    #[test]
    fn a_premium_is_said_with_its_end() {
        let cost = Cost {
            premium: coins("20"),
            premium_until: Some(163),
            total: coins("21.2"),
            balance: coins("30"),
            ..cost()
        };
        assert_eq!(
            cost.to_string(),
            "21.2 coins (2 transactions: 0.2; rent: 1; premium: 20, falling to 0 by height 163), of the 30 in the wallet"
        );
    }
}
