//! `ddn chain init`: the genesis file of a new chain, from a preset, delegates and balances.

use std::{
    io::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
    time::{SystemTime, UNIX_EPOCH},
};

use ledger::{Address, Amount, Balance, Genesis, GenesisDelegate, PublicKey, SecretKey};
use serde::Serialize;

use super::{
    Context,
    failure::{self, Failure, Outcome},
    screen, wallet,
};
use crate::node::{self, folder::Folder, secrets};

const HELP: &str = "\
Examples, for two delegates on this machine:
  ddn chain init net --preset dev --delegate d1@127.0.0.1:4103 --delegate d2@127.0.0.1:4113
  ddn up --data d1 --genesis genesis.json

For delegates elsewhere, each of them runs `ddn chain init --print-key` and tells its key and
address. One of them writes the genesis with --delegate KEY@IP:PORT, and hands it to all.

The rules of a chain are in its genesis, and fixed for ever.";

/// Arguments of `ddn chain init`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// The chain's id, part of everything that is signed: 1 to 32 of a-z 0-9 -
    #[arg(required_unless_present = "print_key")]
    id: Option<String>,
    /// Whose numbers (block time, fees, rent, supply) it takes
    #[arg(long, value_enum, default_value_t = Preset::Ddn)]
    preset: Preset,
    /// A delegate: its public key, or its data folder on this machine, and where its engine listens; repeat for more
    #[arg(long, value_name = "KEY|DIR@IP:PORT")]
    delegate: Vec<Delegate>,
    /// Coins that an account (an address, or the default wallet of a data folder on this machine) has from the start;
    /// without an amount: all that is left of the supply
    #[arg(long, value_name = "ADDRESS|DIR[=COINS]")]
    balance: Vec<String>,
    /// What its names end with, instead of the preset's
    #[arg(long, value_name = "LABEL")]
    tld: Option<String>,
    /// The new file
    #[arg(long, short, value_name = "FILE", default_value = "genesis.json")]
    output: PathBuf,
    /// Print the public delegate key of the data folder, which is made if there is none, and do nothing else
    #[arg(long, conflicts_with_all = ["id", "preset", "delegate", "balance", "tld", "output"])]
    print_key: bool,
}

/// A family of rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Preset {
    /// For tests: 1 s blocks, a faucet
    Dev,
    /// The DDN chain: 101 seats, 10 s blocks
    Ddn,
    /// The MMT paper's chain: 108 seats, 10 s blocks, a reward for each block that falls from 5 coins to 1
    Mmt,
    /// The WTB paper's chain: 303 seats, 23 of them super seats, 5 s blocks, a reward for each block that halves
    Wtb,
}

/// `KEY|DIR@IP:PORT`, or a multiaddr after the `@`. The address may be left out for a lone delegate.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Delegate {
    who: Who,
    engine: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Who {
    Key(PublicKey),
    Folder(PathBuf),
}

impl FromStr for Delegate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (who, place) = text.rsplit_once('@').unwrap_or((text, ""));
        let engine = match place.parse::<SocketAddr>() {
            Ok(SocketAddr::V4(address)) => format!("/ip4/{}/tcp/{}", address.ip(), address.port()),
            Ok(SocketAddr::V6(address)) => format!("/ip6/{}/tcp/{}", address.ip(), address.port()),
            Err(_) if place.is_empty() || place.starts_with('/') => place.to_owned(),
            Err(_) => return Err(format!("`{place}` is neither IP:PORT nor a multiaddr")),
        };
        match (who.is_empty(), PublicKey::from_str(who)) {
            (true, _) => Err("give a key or a data folder before the @".to_owned()),
            (_, Ok(key)) => Ok(Self {
                who: Who::Key(key),
                engine,
            }),
            (_, Err(_)) => Ok(Self {
                who: Who::Folder(who.into()),
                engine,
            }),
        }
    }
}

impl Delegate {
    /// The key of a folder is made if there is none, so that a whole network can be laid out before its first start.
    fn resolve(&self, chain_id: &str) -> Outcome<GenesisDelegate> {
        let (key, tip) = match &self.who {
            Who::Key(key) => (*key, None),
            Who::Folder(dir) => {
                let secret = delegate_secret(dir)?;
                let tip = ledger::Reveals::new(&secret, chain_id, 0).tip();
                (secret.public(), Some(tip))
            }
        };
        let host = self.engine.split("/p2p/").next().unwrap_or_default();
        let engine = if host.is_empty() {
            String::new()
        } else {
            format!("{host}/p2p/{}", ::chain::engine_peer_id(&key))
        };
        Ok(GenesisDelegate { key, engine, tip })
    }
}

/// Runs it.
pub fn run(context: &Context, args: &Args) -> Outcome {
    if args.print_key {
        let key = serde_json::json!({ "delegate": delegate_key(&context.data)? });
        return context.screen.show(&key, |out, key| {
            writeln!(out, "{}", key["delegate"].as_str().unwrap_or_default())
        });
    }
    let genesis = genesis(args)?;
    write_new(&args.output, &genesis.to_json())?;
    let written = Written {
        output: &args.output,
        chain_id: &genesis.chain_id,
        genesis: genesis.cid().to_string(),
        delegates: genesis.delegates.len() as u64,
    };
    context.screen.show(&written, |out, written| {
        let delegates = screen::count(written.delegates, "delegate");
        writeln!(
            out,
            "{}  chain {}, {delegates}, genesis {}",
            args.output.display(),
            written.chain_id,
            written.genesis
        )
    })
}

#[derive(Serialize)]
struct Written<'a> {
    output: &'a Path,
    chain_id: &'a str,
    genesis: String,
    delegates: u64,
}

fn genesis(args: &Args) -> Outcome<Genesis> {
    let bad = |error: ledger::Error| Failure::new("bad_genesis", error);
    let id = args.id.clone().unwrap_or_default();
    let mut delegates = args
        .delegate
        .iter()
        .map(|delegate| delegate.resolve(&id))
        .collect::<Outcome<Vec<_>>>()?;
    let Some(first) = delegates.first() else {
        return Err(Failure::new(
            "bad_genesis",
            format!("{id} has no delegates: give at least one --delegate"),
        ));
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let time_ms = u64::try_from(now.as_millis()).unwrap_or_default();
    let mut genesis = match args.preset {
        Preset::Dev => {
            let mut genesis = Genesis::dev(id, time_ms, first.key);
            delegates.sort_by_key(|delegate| delegate.key.address());
            genesis.seats = u32::try_from(delegates.len()).unwrap_or(u32::MAX);
            genesis.election.round = genesis.election.round.max(genesis.seats.into());
            genesis.balances = balances(&args.balance, &genesis.prefix, genesis.supply)?;
            genesis.delegates = delegates;
            genesis
        }
        Preset::Ddn => {
            let balances = balances(&args.balance, DDN_PREFIX, DDN_SUPPLY)?;
            Genesis::ddn(id, time_ms, delegates, balances).map_err(bad)?
        }
        Preset::Mmt => {
            let balances = balances(&args.balance, "mmt", DDN_SUPPLY)?;
            Genesis::mmt(id, time_ms, delegates, balances).map_err(bad)?
        }
        Preset::Wtb => {
            let balances = balances(&args.balance, "wtb", WTB_SUPPLY)?;
            Genesis::wtb(id, time_ms, delegates, balances).map_err(bad)?
        }
    };
    if let Some(tld) = &args.tld {
        genesis.tld.clone_from(tld);
    }
    genesis.validate().map_err(bad)?;
    Ok(genesis)
}

/// What `Genesis::ddn` and `Genesis::mmt` demand that balances add up to, and how its addresses start.
const DDN_SUPPLY: Amount = Amount::from_units(100_000_000 * ledger::COIN);
const DDN_PREFIX: &str = "ddn";
const WTB_SUPPLY: Amount = Amount::from_units(12_000_000_000 * ledger::COIN);

/// Balances by address; the one without an amount gets what the others leave of the supply.
fn balances(given: &[String], prefix: &str, supply: Amount) -> Outcome<Vec<Balance>> {
    let mut balances = Vec::new();
    let mut rest = None;
    let mut left = supply;
    for text in given {
        let (who, coins) = text
            .split_once('=')
            .map_or((text.as_str(), None), |(who, coins)| (who, Some(coins)));
        let address = account(who, prefix)?;
        let Some(coins) = coins else {
            if rest.replace(address).is_some() {
                return Err(Failure::argument(text, "only one account can have what is left"));
            }
            continue;
        };
        let amount = Amount::parse_coins(coins).map_err(|error| Failure::argument(text, error))?;
        left = left.checked_sub(amount).ok_or_else(|| {
            Failure::argument(
                text,
                format!("with this the balances are more than the supply of {supply} coins"),
            )
        })?;
        balances.push(Balance { address, amount });
    }
    balances.extend(rest.map(|address| Balance {
        address,
        amount: left,
    }));
    balances.sort_by_key(|balance| balance.address);
    Ok(balances)
}

/// An address, or the default wallet of a data folder, which is made if there is none.
fn account(who: &str, prefix: &str) -> Outcome<Address> {
    if who.starts_with(&format!("{prefix}1")) {
        return Address::parse(prefix, who).map_err(|error| Failure::argument(who, error));
    }
    let folder = Folder::take(Path::new(who)).map_err(|error| unusable(&error))?;
    let key = secrets::read_or_make_key(&folder.wallets().join(format!("{}.key", wallet::DEFAULT)));
    Ok(key.map_err(|error| unusable(&error))?.address())
}

fn delegate_key(dir: &Path) -> Outcome<PublicKey> {
    Ok(delegate_secret(dir)?.public())
}

fn delegate_secret(dir: &Path) -> Outcome<SecretKey> {
    let folder = Folder::take(dir).map_err(|error| unusable(&error))?;
    secrets::read_or_make_key(&folder.delegate_key()).map_err(|error| unusable(&error))
}

fn unusable(error: &node::Error) -> Failure {
    Failure::new("data_folder", failure::chain(error))
}

/// A genesis is never replaced: there may be a chain that stands on it.
fn write_new(path: &Path, json: &[u8]) -> Outcome {
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path);
    let written = file.and_then(|mut file| file.write_all(json).and_then(|()| file.sync_all()));
    written.map_err(|error| Failure::file("write", path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> PublicKey {
        SecretKey::from_seed([seed; 32]).public()
    }

    fn args(preset: Preset, balance: &[String], delegates: &[&str]) -> Args {
        Args {
            id: Some("net".into()),
            preset,
            delegate: delegates
                .iter()
                .map(|text| text.parse().expect("a delegate"))
                .collect(),
            balance: balance.to_vec(),
            tld: None,
            output: "genesis.json".into(),
            print_key: false,
        }
    }

    #[test]
    fn forms_of_a_delegate() {
        let hex = key(1).to_string();
        let check = |text: &str, who: Who, engine: &str| {
            assert_eq!(
                text.parse(),
                Ok(Delegate {
                    who,
                    engine: engine.into()
                })
            );
        };
        check(
            &format!("{hex}@10.0.0.1:4103"),
            Who::Key(key(1)),
            "/ip4/10.0.0.1/tcp/4103",
        );
        check("dir@[::1]:1", Who::Folder("dir".into()), "/ip6/::1/tcp/1");
        check(
            "dir@/dns4/a.example/tcp/1",
            Who::Folder("dir".into()),
            "/dns4/a.example/tcp/1",
        );
        check("dir", Who::Folder("dir".into()), "");
        assert!("@127.0.0.1:1".parse::<Delegate>().is_err());
        assert!("dir@nowhere".parse::<Delegate>().is_err());
    }

    #[test]
    fn a_chain_of_several_folders() {
        let home = tempfile::tempdir().expect("a folder");
        let place = |name: &str| format!("{}@127.0.0.1:4103", home.path().join(name).display());
        let (first, second) = (place("a"), place("b"));
        let made = genesis(&args(Preset::Dev, &[], &[&first, &second])).expect("a genesis");
        assert_eq!((made.seats, made.delegates.len()), (2, 2));
        assert!(
            made.delegates
                .iter()
                .all(|delegate| delegate.engine.contains("/tcp/4103/p2p/12D3KooW"))
        );
        let again = genesis(&args(Preset::Dev, &[], &[&second, &first])).expect("a genesis");
        assert_eq!(
            again.delegates, made.delegates,
            "keys are made once, the order given does not matter"
        );
    }

    #[test]
    fn what_is_left_of_the_supply() {
        let rich = key(2).address().display(DDN_PREFIX);
        let poor = format!("{}=1.5", key(3).address().display(DDN_PREFIX));
        let delegate = format!("{}@127.0.0.1:4103", key(1));
        let made = genesis(&args(Preset::Ddn, &[rich.clone(), poor], &[&delegate])).expect("a genesis");
        let of_rich = made
            .balances
            .iter()
            .find(|balance| balance.address == key(2).address())
            .expect("listed");
        assert_eq!(of_rich.amount.coins(), "99999998.5");
        assert!(genesis(&args(Preset::Ddn, &[], &[&delegate])).is_err());
        assert!(genesis(&args(Preset::Ddn, &[rich.clone(), rich], &[&delegate])).is_err());
    }
}
