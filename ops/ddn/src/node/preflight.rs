//! What can be refused before anything is stored or sent: names that cannot be had, coins that are not there.

use std::fmt;

use ledger::{Address, Amount, AssetMeta, Label, NameEntry, NamePath, Rent, SecretKey, Share, Split, Tag};
use named::dap::{self, NameError, Resolution};
use storage::{Import, Profile, Selection};

use super::claims::step::Failure;
use super::publish::failed;
use super::{Node, wallets};
use crate::api::types::PublishQuery;

/// A publish that may begin.
pub struct Plan {
    /// Who pays and owns.
    pub wallet: String,
    /// Its key.
    pub key: SecretKey,
    /// What is taken and how it is cut.
    pub import: Import,
    /// What its owner says about the content.
    pub meta: AssetMeta,
    /// Who gets a part of what its deliveries earn.
    pub split: Split,
    /// What is to point to it.
    pub name: Option<NamePath>,
}

/// A publish whose name can be had and that can be paid, or why not.
///
/// # Errors
/// What is refused, in words for the user.
pub fn plan(node: &Node, query: &PublishQuery) -> Result<Plan, Failure> {
    let bad = |text: String| Failure::new("bad_request", text);
    let profile = profile(query).map_err(bad)?;
    let selection = Selection {
        hidden: query.hidden.unwrap_or_default(),
        ..Selection::default()
    };
    let meta = meta(query).map_err(|error| bad(error.to_string()))?;
    let split = match query.share.as_deref() {
        Some(text) => split(node, text)?,
        None => Split::default(),
    };
    let (wallet, key) = wallet_key(node, query.wallet.as_deref())?;
    let name = query
        .name
        .as_deref()
        .map(|text| name_path(node, text))
        .transpose()?;
    if let Some(path) = &name {
        check_reserved(node, &path.label)?;
    }
    let held = name
        .as_ref()
        .map(|path| holder(node, path))
        .transpose()?
        .flatten();
    if let (Some(path), Some(entry)) = (&name, &held) {
        check_owner(node, path, entry, &key.address())?;
    }
    if let (Some(path), None) = (&name, &held)
        && !path.under.is_empty()
    {
        return Err(unregistered(node, &path.label));
    }
    check_cost(
        node,
        &wallet,
        &key.address(),
        &cost(node, name.as_ref(), held.as_ref())?,
    )?;
    Ok(Plan {
        wallet,
        key,
        import: Import { profile, selection },
        meta,
        split,
        name,
    })
}

/// What the owner says, as far as a query goes.
fn meta(query: &PublishQuery) -> Result<AssetMeta, ledger::Error> {
    let meta = AssetMeta {
        title: query.title.clone(),
        tags: query.tag.as_deref().map(tags).transpose()?.unwrap_or_default(),
        licence: query.licence.clone(),
        price: query.price,
        ..AssetMeta::default()
    };
    meta.check().map(|()| meta)
}

/// Tags with commas between them, in the order of the ledger, each once.
fn tags(text: &str) -> Result<Vec<Tag>, ledger::Error> {
    let mut tags: Vec<Tag> = text.split(',').map(str::parse).collect::<Result<_, _>>()?;
    tags.sort();
    tags.dedup();
    Ok(tags)
}

/// Shares, as in `owner=10,ddn1…=2.5`: percents.
fn split(node: &Node, text: &str) -> Result<Split, Failure> {
    let bad = |reason: String| Failure::new("bad_request", reason);
    let share = |text: &str| {
        let words = || format!("`{text}` is no share: write `owner=10` or `ADDRESS=2.5`, in percent");
        let (to, percent) = text.split_once('=').ok_or_else(|| bad(words()))?;
        let points = points(percent.trim_end_matches('%')).ok_or_else(|| bad(words()))?;
        let to = match to {
            "owner" => None,
            to => Some(account(node, to)?),
        };
        Ok(Share { to, points })
    };
    let split = Split(text.split(',').map(share).collect::<Result<_, Failure>>()?);
    split.check().map_err(|error| bad(error.to_string()))?;
    Ok(split)
}

/// A wallet of this node, or an address.
fn account(node: &Node, text: &str) -> Result<Address, Failure> {
    if let Some(key) = node.wallets.key(text).map_err(|error| failed(&error))? {
        return Ok(key.address());
    }
    let address = Address::parse(&node.chain.genesis().prefix, text);
    address.map_err(|error| Failure::new("bad_request", error.to_string()))
}

/// Percent with at most two digits behind the point, in basis points.
fn points(percent: &str) -> Option<u16> {
    let (whole, rest) = percent.split_once('.').unwrap_or((percent, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || rest.len() > 2 || !is_number(whole) || !is_number(rest) {
        return None;
    }
    let whole: u16 = whole.parse().ok()?;
    let rest: u16 = format!("{rest:0<2}").parse().ok()?;
    whole.checked_mul(100)?.checked_add(rest)
}

/// The profile that a query names.
///
/// # Errors
/// There is no such profile.
pub fn profile(query: &PublishQuery) -> Result<Profile, String> {
    let named = query.profile.as_deref().map(str::parse::<Profile>);
    named
        .transpose()
        .map(Option::unwrap_or_default)
        .map_err(|error| error.to_string())
}

/// The key of a wallet, or of the default one.
pub fn wallet_key(node: &Node, wallet: Option<&str>) -> Result<(String, SecretKey), Failure> {
    let wallet = wallet.unwrap_or(wallets::DEFAULT);
    let key = node.wallets.key(wallet).map_err(|error| failed(&error))?;
    let missing = || {
        Failure::new(
            "not_found",
            format!("there is no wallet `{wallet}`: see `ddn wallet list`"),
        )
    };
    Ok((wallet.to_owned(), key.ok_or_else(missing)?))
}

/// A name of this chain, as a person writes it.
pub fn name_path(node: &Node, text: &str) -> Result<NamePath, Failure> {
    let bad = |text: String| Failure::new("bad_name", text);
    let tld = &node.chain.genesis().tld;
    let name = match dap::resolve(&*node.names, text) {
        Ok(Resolution::Found {
            under,
            label,
            source: None,
            ..
        }) => return Ok(NamePath { under, label }),
        Ok(Resolution::Absent {
            name, source: None, ..
        }) => name,
        Ok(_) => {
            return Err(bad(format!(
                "`{text}` does not end with `.{tld}`, as names of this chain do"
            )));
        }
        Err(NameError::State(error)) => return Err(Failure::new("internal", error.to_string())),
        Err(error) => return Err(bad(error.to_string())),
    };
    NamePath::parse(&name, tld).map_err(|error| bad(error.to_string()))
}

/// The entry of a name that is not free.
pub fn holder(node: &Node, path: &NamePath) -> Result<Option<NameEntry>, Failure> {
    let view = node.chain.state();
    let entry = view.name(&path.label).map_err(|error| failed(&error.into()))?;
    let (next, grace) = (view.tip().height + 1, node.chain.genesis().rent.grace);
    Ok(entry.filter(|entry| next < entry.free_at(grace)))
}

/// Whether a label can be registered at all.
///
/// # Errors
/// The genesis keeps it from everybody.
pub fn check_reserved(node: &Node, label: &Label) -> Result<(), Failure> {
    let genesis = node.chain.genesis();
    if !genesis.is_reserved(label) {
        return Ok(());
    }
    let text = format!(
        "the name {label}.{} is reserved: nobody can register it on this chain, choose another one",
        genesis.tld
    );
    Err(Failure::new("name_reserved", text))
}

/// What a name that has not been free for long costs beyond the rent, whoever registers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Premium {
    /// In the next block; less in each later one.
    pub now: Amount,
    /// The first height at which it is nothing.
    pub ends: u64,
}

impl fmt::Display for Premium {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { now, ends } = self;
        write!(f, "a premium of {now} coins, which falls to 0 by height {ends}")
    }
}

/// The premium of a label; none if it is held, was never registered, or has been free for long.
pub fn premium(node: &Node, label: &Label) -> Result<Option<Premium>, Failure> {
    let view = node.chain.state();
    let entry = view.name(label).map_err(|error| failed(&error.into()))?;
    let next = view.tip().height + 1;
    Ok(entry.and_then(|entry| premium_of(&node.chain.genesis().rent, label, &entry, next)))
}

/// As [`premium`], of an entry, at the height of the next block.
pub fn premium_of(rent: &Rent, label: &Label, entry: &NameEntry, next: u64) -> Option<Premium> {
    let now = rent.premium(label, Some(entry), next);
    let is_free = next >= entry.free_at(rent.grace);
    (is_free && !now.is_zero()).then(|| Premium {
        now,
        ends: rent.fall_end(entry),
    })
}

fn check_owner(node: &Node, path: &NamePath, entry: &NameEntry, owner: &Address) -> Result<(), Failure> {
    if entry.owner == *owner {
        return Ok(());
    }
    let genesis = node.chain.genesis();
    let (name, holder) = (path.display(&genesis.tld), entry.owner.display(&genesis.prefix));
    Err(Failure::new(
        "name_taken",
        format!("the name {name} is taken: it belongs to {holder}, choose another one"),
    ))
}

/// The failure of an undername whose name nobody holds.
fn unregistered(node: &Node, label: &Label) -> Failure {
    let tld = &node.chain.genesis().tld;
    let text = format!(
        "{label}.{tld} is not registered, so nothing can be under it: register it first with `ddn name register {label}.{tld}`"
    );
    Failure::new("not_found", text)
}

/// What is paid until something is final.
pub struct Cost {
    /// Fees, rent and premium.
    pub total: Amount,
    /// The premium in it.
    pub premium: Option<Premium>,
}

impl Cost {
    /// The fees of so many transactions, and what a new name costs.
    ///
    /// # Errors
    /// The state cannot be read.
    pub fn of(node: &Node, txs: u64, new_name: Option<&Label>) -> Result<Self, Failure> {
        let genesis = node.chain.genesis();
        let premium = new_name.map(|label| premium(node, label)).transpose()?.flatten();
        let rent = new_name.map(|label| genesis.rent.of(label)).unwrap_or_default();
        let total = [rent, premium.map(|premium| premium.now).unwrap_or_default()]
            .iter()
            .map(|amount| amount.units())
            .fold(genesis.fee.units().saturating_mul(txs), u64::saturating_add);
        Ok(Self {
            total: Amount::from_units(total),
            premium,
        })
    }
}

/// Commit and claim for the content; for the name the same and what it costs, or one transaction if it is ours.
fn cost(node: &Node, name: Option<&NamePath>, held: Option<&NameEntry>) -> Result<Cost, Failure> {
    match (name, held) {
        (None, _) => Cost::of(node, 2, None),
        (Some(_), Some(_)) => Cost::of(node, 3, None),
        (Some(path), None) => Cost::of(node, 4, Some(&path.label)),
    }
}

/// As [`check_coins`], and a premium is told.
pub fn check_cost(node: &Node, wallet: &str, owner: &Address, cost: &Cost) -> Result<(), Failure> {
    check_coins(node, wallet, owner, cost.total).map_err(|failure| match &cost.premium {
        None => failure,
        Some(premium) => Failure::new(failure.code, format!("{}; in this is {premium}", failure.message)),
    })
}

/// Whether an account has what something costs, or in words what is missing.
pub fn check_coins(node: &Node, wallet: &str, owner: &Address, cost: Amount) -> Result<(), Failure> {
    let balance = node
        .chain
        .state()
        .account(owner)
        .map_err(|error| failed(&error.into()))?
        .balance;
    if balance >= cost {
        return Ok(());
    }
    let address = owner.display(&node.chain.genesis().prefix);
    let text = format!(
        "not enough coins: it costs {} coins, the wallet `{wallet}` ({address}) has {}: send coins to it",
        cost.coins(),
        balance.coins()
    );
    Err(Failure::new("not_enough_coins", text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_premium_is_told_only_while_the_name_is_free_and_it_falls() {
        let genesis = ledger::Genesis::dev("dev", 1, SecretKey::from_seed([1; 32]).public());
        let label = Label::parse("alice").expect("a label");
        let entry = NameEntry {
            owner: SecretKey::from_seed([2; 32]).address(),
            registered: 0,
            committed: 0,
            expires: 1_000,
            seq: 0,
            changed: 0,
            premium: Amount::from_units(7),
            records: Default::default(),
        };
        let rent = &genesis.rent;
        let (free, ends) = (entry.free_at(rent.grace), rent.fall_end(&entry));
        let at = |next| premium_of(rent, &label, &entry, next);
        assert_eq!(at(free - 1), None);
        let now = Amount::from_coins(500).expect("few");
        assert_eq!(at(free), Some(Premium { now, ends }));
        assert!(at(ends - 1).is_some());
        assert_eq!(at(ends), None);
        assert_eq!(
            Premium { now, ends: 163 }.to_string(),
            "a premium of 500 coins, which falls to 0 by height 163"
        );
    }
}
