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
    /// Root of the content.
    pub cid: &'a str,
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
    /// Fees and rent.
    pub total: Amount,
    /// What the wallet has.
    pub balance: Amount,
}

impl Cost {
    /// Asks the node what is anchored and registered already.
    pub async fn of(publish: &Publish<'_>, node: &Node, genesis: &Genesis) -> Outcome<Self> {
        let wallet = wallet::named(node, publish.wallet).await?;
        let asset: Option<AssetView> = node.find(Call::get(paths::ASSET, &[publish.cid])).await?;
        let (mut txs, mut rent) = (if asset.is_some() { 0 } else { COMMIT_AND_CLAIM }, Amount::ZERO);
        if let Some(name) = publish.name {
            let resolved: Resolved = node.call(Call::get(paths::RESOLVE, &[name])).await?;
            let path = NamePath::parse(&resolved.name, &genesis.tld);
            let path = path.map_err(|error| Failure::new("bad_name", error))?;
            let held = held_name(node, genesis, &path, &wallet.address).await?;
            let right_already = resolved.content.as_deref() == Some(publish.cid);
            txs += if held {
                u64::from(!right_already)
            } else {
                COMMIT_AND_CLAIM
            };
            rent = if held {
                Amount::ZERO
            } else {
                genesis.rent.of(&path.label)
            };
        }
        let sum = |fees: Amount| fees.checked_add(rent).map(|total| (fees, total));
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
            total,
            balance: wallet.balance,
        })
    }
}

const COMMIT_AND_CLAIM: u64 = 2;

/// Whether the payer holds the name already; a failure if somebody else does.
async fn held_name(node: &Node, genesis: &Genesis, path: &NamePath, payer: &str) -> Outcome<bool> {
    let name = format!("{}.{}", path.label, genesis.tld);
    let view: Option<NameView> = node.find(Call::get(paths::NAME, &[&name])).await?;
    match view {
        Some(view) if view.owner == payer => Ok(true),
        Some(view) if !view.expired => {
            let text = format!("{name} belongs to {}: choose another name", view.owner);
            Err(Failure::new("name_taken", text))
        }
        _ if path.under.is_empty() => Ok(false),
        _ => {
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
            total,
            balance,
        } = self;
        write!(
            f,
            "{total} coins ({txs} transactions: {fees}; rent: {rent}), of the {balance} in the wallet"
        )?;
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

    #[test]
    fn a_lack_of_coins_is_said() {
        let coins = |text: &str| Amount::parse_coins(text).expect("coins");
        let cost = Cost {
            txs: 2,
            fees: coins("0.2"),
            rent: coins("1"),
            total: coins("1.2"),
            balance: coins("1"),
        };
        assert_eq!(
            cost.to_string(),
            "1.2 coins (2 transactions: 0.2; rent: 1), of the 1 in the wallet: not enough"
        );
    }
}
