//! `ddn name`: who holds a name, and what it says.

use std::{
    io::{self, Write},
    net::{Ipv4Addr, Ipv6Addr},
};

use serde::Serialize;

use super::{
    Context,
    client::{Call, Node},
    confirm,
    cost::{Cost, Publish},
    failure::{Failure, Outcome},
    genesis,
    screen::{self, Table},
};
use crate::api::{
    paths,
    types::{
        ByWallet, NameChange, NameHistory, NameList, NameRecords, NameRenew, NameView, RecordSet, Resolved,
        Sent, TransferTo,
    },
};

/// `ddn name …`
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "\
Examples:
  ddn name register alice.ddn --content bafy…
  ddn name register alice.ddn --dry-run      what it costs now, and whether that falls
  ddn name set www.alice.ddn --a 192.0.2.1 --ttl 300
  ddn name set alice.ddn --mx '10 mail.example.org' --caa '0 issue letsencrypt.org'
  ddn name set _sip._udp.alice.ddn --srv '10 5 5060 sip.example.org'
  ddn name set alice.ddn --unset txt
  ddn name set shop.ddn --origin https://www.example.com --txt ddn-origin=TOKEN
  ddn name transfer alice.ddn ddn1…

A name without content and with an origin is served from that site, through the caches of the gateways. The site agrees to
that by the line `NAME TOKEN` in its file /.well-known/ddn-origin, with the TOKEN of the name's text ddn-origin=TOKEN.

Whoever takes a name that has expired and is free again pays a premium beyond the rent, which falls to 0 from block to block. It
is that of the block in which the name is registered, so it is never more than was said before.")]
pub enum Command {
    /// Take a free name for one period: a commit, then the claim
    Register {
        /// The name, as in alice.ddn
        name: String,
        #[command(flatten)]
        records: Records,
        /// Say what it would cost, and change nothing
        #[arg(long, conflicts_with = "no_wait")]
        dry_run: bool,
        /// Do not ask before a premium is paid
        #[arg(long, short)]
        yes: bool,
        #[command(flatten)]
        how: How,
    },
    /// Change what a name of yours says; what is not given stays
    Set {
        /// The name, as in alice.ddn, or one below it, as in docs.alice.ddn
        name: String,
        #[command(flatten)]
        records: Records,
        /// Remove these records first
        #[arg(long, value_name = "KIND", value_delimiter = ',')]
        unset: Vec<RecordKind>,
        /// Remove all records first
        #[arg(long, conflicts_with = "unset")]
        clear: bool,
        #[command(flatten)]
        how: How,
    },
    /// Who holds a name, until when, and what it says
    Show {
        /// The name
        name: String,
    },
    /// List the names of this node's wallets
    List {
        /// Of this address or wallet instead; `*` for all names of the chain
        #[arg(long, value_name = "ADDRESS|WALLET")]
        owner: Option<String>,
    },
    /// Every change of a name, oldest first
    History {
        /// The name
        name: String,
    },
    /// Give a name to another account, with its records
    Transfer {
        /// The name
        name: String,
        /// The new owner: an address or a wallet of this node
        to: String,
        #[command(flatten)]
        how: How,
    },
    /// Pay for more periods
    Renew {
        /// The name
        name: String,
        /// How many
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        periods: u32,
        #[command(flatten)]
        how: How,
    },
    /// Give a name up; anybody may take it then
    Release {
        /// The name
        name: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
        #[command(flatten)]
        how: How,
    },
}

/// Who pays, and whether to wait.
#[derive(Debug, clap::Args)]
pub struct How {
    /// The wallet that pays and owns [default: `default`]
    #[arg(long, value_name = "WALLET")]
    pub wallet: Option<String>,
    /// Return when it is on its way, not when it is final
    #[arg(long)]
    pub no_wait: bool,
}

/// What a name says.
#[derive(Debug, clap::Args)]
pub struct Records {
    /// Content: a CID
    #[arg(long, value_name = "CID")]
    content: Option<cid::Cid>,
    /// IPv4 addresses, comma-separated or repeated
    #[arg(long, value_name = "IP", value_delimiter = ',')]
    a: Vec<Ipv4Addr>,
    /// IPv6 addresses, comma-separated or repeated
    #[arg(long, value_name = "IP", value_delimiter = ',')]
    aaaa: Vec<Ipv6Addr>,
    /// Another name that this one stands for; excludes all other records
    #[arg(long, value_name = "NAME")]
    cname: Option<String>,
    /// A text; may be repeated
    #[arg(long, value_name = "TEXT")]
    txt: Vec<String>,
    /// A mail server: preference and name; may be repeated
    #[arg(long, value_name = "MX")]
    mx: Vec<ledger::Mx>,
    /// A server of the service that the name says: priority, weight, port and name; may be repeated
    #[arg(long, value_name = "SRV")]
    srv: Vec<ledger::Srv>,
    /// Who may issue certificates: flags, tag and value; may be repeated
    #[arg(long, value_name = "CAA")]
    caa: Vec<ledger::Caa>,
    /// How it is reached by HTTPS, as in `1 . alpn=h3,h2 port=8443`; may be repeated
    #[arg(long, value_name = "HTTPS")]
    https: Vec<ledger::Https>,
    /// The HTTP site to serve under this name, where it has no content
    #[arg(long, value_name = "URL")]
    origin: Option<ledger::Origin>,
    /// Seconds that resolvers may keep these records
    #[arg(long, value_name = "SECONDS")]
    ttl: Option<u32>,
}

/// A kind of record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum RecordKind {
    /// The CID.
    Content,
    /// IPv4.
    A,
    /// IPv6.
    Aaaa,
    /// The other name.
    Cname,
    /// Texts.
    Txt,
    /// Mail servers.
    Mx,
    /// Servers of a service.
    Srv,
    /// Issuers of certificates.
    Caa,
    /// How it is reached by HTTPS.
    Https,
    /// The HTTP site.
    Origin,
    /// How long to keep.
    Ttl,
}

/// Runs it.
pub async fn run(context: &Context, command: Command) -> Outcome {
    let node = Node::on(&context.data).await?;
    match command {
        Command::Register {
            name,
            dry_run: true,
            how,
            ..
        } => price(context, &node, name, how.wallet.as_deref()).await,
        Command::Register {
            name,
            records,
            yes,
            how,
            ..
        } => {
            confirm_premium(&node, &name, yes).await?;
            let order = NameRecords {
                records: records.onto(RecordSet::default()),
                wallet: how.wallet,
                wait: Some(!how.no_wait),
            };
            send(context, &node, paths::NAME_REGISTER, &name, &order, "registered").await
        }
        Command::Set {
            name,
            records,
            unset,
            clear,
            how,
        } => {
            let old = if clear {
                RecordSet::default()
            } else {
                current(&node, &name).await?
            };
            let kept = unset.into_iter().fold(old, without);
            let order = NameRecords {
                records: records.onto(kept),
                wallet: how.wallet,
                wait: Some(!how.no_wait),
            };
            send(context, &node, paths::NAME_SET, &name, &order, "set").await
        }
        Command::Show { name } => show(context, &node, &name).await,
        Command::List { owner } => list(context, &node, owner).await,
        Command::History { name } => history(context, &node, &name).await,
        Command::Transfer { name, to, how } => {
            let done = format!("given to {to}:");
            let order = TransferTo {
                to,
                wallet: how.wallet,
                wait: Some(!how.no_wait),
            };
            send(context, &node, paths::NAME_TRANSFER, &name, &order, &done).await
        }
        Command::Renew { name, periods, how } => {
            let order = NameRenew {
                periods,
                wallet: how.wallet,
                wait: Some(!how.no_wait),
            };
            send(context, &node, paths::NAME_RENEW, &name, &order, "renewed").await
        }
        Command::Release { name, yes, how } => {
            confirm::ask(yes, &format!("Give up {name}? Anybody may take it then."))?;
            let order = ByWallet {
                wallet: how.wallet,
                wait: Some(!how.no_wait),
            };
            send(context, &node, paths::NAME_RELEASE, &name, &order, "released").await
        }
    }
}

/// What the registration of a name would cost.
#[derive(Debug, Serialize)]
struct Price {
    name: String,
    cost: Cost,
}

async fn price(context: &Context, node: &Node, name: String, wallet: Option<&str>) -> Outcome {
    let genesis = genesis::of_data(&context.data)?;
    let publish = Publish {
        cid: None,
        name: Some(&name),
        wallet,
    };
    let cost = Cost::of(&publish, node, &genesis).await?;
    if cost.rent.is_zero() && cost.txs < 2 {
        let text = format!("the name {name} is taken: it belongs to you, set its records instead");
        return Err(Failure::new("name_taken", text));
    }
    context.screen.show(&Price { name, cost }, |out, price| {
        let facts = [("name", price.name.clone()), ("cost", price.cost.to_string())];
        screen::facts(out, &facts)?;
        writeln!(out, "Nothing was sent.")
    })
}

/// Asks before more than the rent is paid for a name.
pub async fn confirm_premium(node: &Node, name: &str, yes: bool) -> Outcome {
    let resolved: Resolved = node.call(Call::get(paths::RESOLVE, &[name])).await?;
    match (resolved.premium, resolved.premium_until) {
        (Some(premium), Some(until)) => confirm::ask(
            yes,
            &format!(
                "Take {name}, and pay a premium of up to {premium} coins now? It falls to 0 by height {until}."
            ),
        ),
        _ => Ok(()),
    }
}

async fn send(
    context: &Context,
    node: &Node,
    path: &str,
    name: &str,
    order: &impl Serialize,
    done: &str,
) -> Outcome {
    let sent: Sent = node.call_with(Call::post(path, &[name]), order).await?;
    context.screen.sent(&sent, &format!("{done} {name}"))
}

/// What a name says now; nothing if there is none yet.
async fn current(node: &Node, name: &str) -> Outcome<RecordSet> {
    let resolved: Resolved = node.call(Call::get(paths::RESOLVE, &[name])).await?;
    Ok(resolved.records.unwrap_or_default())
}

impl Records {
    /// These records over those that were there.
    fn onto(self, old: RecordSet) -> RecordSet {
        let or_old = |new: Vec<_>, old| if new.is_empty() { old } else { new };
        let [mx, srv, caa, https] = [
            texts(&self.mx),
            texts(&self.srv),
            texts(&self.caa),
            texts(&self.https),
        ];
        RecordSet {
            content: self.content.map(|cid| cid.to_string()).or(old.content),
            a: if self.a.is_empty() { old.a } else { self.a },
            aaaa: if self.aaaa.is_empty() { old.aaaa } else { self.aaaa },
            cname: self.cname.or(old.cname),
            txt: or_old(self.txt, old.txt),
            mx: or_old(mx, old.mx),
            srv: or_old(srv, old.srv),
            caa: or_old(caa, old.caa),
            https: or_old(https, old.https),
            origin: self.origin.map(|origin| origin.to_string()).or(old.origin),
            ttl: self.ttl.or(old.ttl),
        }
    }
}

fn texts<T: ToString>(records: &[T]) -> Vec<String> {
    records.iter().map(T::to_string).collect()
}

fn without(mut records: RecordSet, kind: RecordKind) -> RecordSet {
    match kind {
        RecordKind::Content => records.content = None,
        RecordKind::A => records.a.clear(),
        RecordKind::Aaaa => records.aaaa.clear(),
        RecordKind::Cname => records.cname = None,
        RecordKind::Txt => records.txt.clear(),
        RecordKind::Mx => records.mx.clear(),
        RecordKind::Srv => records.srv.clear(),
        RecordKind::Caa => records.caa.clear(),
        RecordKind::Https => records.https.clear(),
        RecordKind::Origin => records.origin = None,
        RecordKind::Ttl => records.ttl = None,
    }
    records
}

async fn show(context: &Context, node: &Node, name: &str) -> Outcome {
    let view: NameView = node.call(Call::get(paths::NAME, &[name])).await?;
    let block_time_ms = genesis::of_data(&context.data)
        .ok()
        .map(|genesis| genesis.block_time_ms);
    context
        .screen
        .show(&view, |out, view| tell(out, view, block_time_ms))
}

fn tell(out: &mut dyn Write, view: &NameView, block_time_ms: Option<u64>) -> io::Result<()> {
    let until = |height| screen::until(height, view.height, block_time_ms);
    let expires = until(view.expires);
    let free = match (view.expired, view.height + 1 < view.free_at) {
        (false, _) => String::new(),
        (true, true) => format!("from {} on, unless it is renewed", until(view.free_at)),
        (true, false) => "yes: `ddn name register` takes it".to_owned(),
    };
    let premium = match view.premium.is_zero() {
        true => String::new(),
        false => format!(
            "{} coins, falling to 0 by {}",
            view.premium,
            until(view.premium_until)
        ),
    };
    screen::facts(
        out,
        &[
            ("name", view.name.clone()),
            ("owner", view.owner.clone()),
            ("registered", format!("height {}", view.registered)),
            (if view.expired { "expired" } else { "expires" }, expires),
            ("free", free),
            ("premium", premium),
            (
                "changed",
                format!(
                    "height {}, {} in all",
                    view.changed,
                    screen::count(view.seq, "time")
                ),
            ),
            ("at height", view.height.to_string()),
        ],
    )?;
    let mut table = Table::new(&["name", "record", "value"]);
    for (under, records) in &view.records {
        let whole = if under.is_empty() {
            view.name.clone()
        } else {
            format!("{under}.{}", view.name)
        };
        for (kind, value) in record_lines(records) {
            table.row([whole.clone(), kind.to_owned(), value]);
        }
    }
    writeln!(out)?;
    table.write(out, "it has no records yet: `ddn name set` gives it some")
}

/// A record set as pairs of kind and value, in the order in which DNS people read them.
pub fn record_lines(records: &RecordSet) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    lines.extend(records.content.iter().map(|cid| ("content", cid.clone())));
    lines.extend(records.a.iter().map(|ip| ("A", ip.to_string())));
    lines.extend(records.aaaa.iter().map(|ip| ("AAAA", ip.to_string())));
    lines.extend(records.cname.iter().map(|name| ("CNAME", name.clone())));
    lines.extend(records.txt.iter().map(|text| ("TXT", format!("{text:?}"))));
    for (kind, records) in [
        ("MX", &records.mx),
        ("SRV", &records.srv),
        ("CAA", &records.caa),
        ("HTTPS", &records.https),
    ] {
        lines.extend(records.iter().map(|text| (kind, text.clone())));
    }
    lines.extend(records.origin.iter().map(|origin| ("origin", origin.clone())));
    lines.extend(records.ttl.iter().map(|ttl| ("TTL", format!("{ttl} s"))));
    lines
}

async fn list(context: &Context, node: &Node, owner: Option<String>) -> Outcome {
    let list: NameList = node
        .call(Call::get(paths::NAMES, &[]).query("owner", owner))
        .await?;
    context.screen.show(&list, |out, list| {
        let mut table = Table::new(&["name", "expires>", "changed>", "content", "owner"]);
        for name in &list.names {
            let content = name
                .records
                .get("")
                .and_then(|records| records.content.clone())
                .unwrap_or("-".to_owned());
            let expires = if name.expired {
                "expired".to_owned()
            } else {
                name.expires.to_string()
            };
            table.row([
                name.name.clone(),
                expires,
                name.changed.to_string(),
                content,
                name.owner.clone(),
            ]);
        }
        table.write(out, "no names yet: `ddn publish PATH --name NAME` takes one")
    })
}

async fn history(context: &Context, node: &Node, name: &str) -> Outcome {
    let history: NameHistory = node.call(Call::get(paths::NAME_HISTORY, &[name])).await?;
    context.screen.show(&history, |out, history| {
        let mut table = Table::new(&["height>", "time", "what", "by", "details"]);
        for change in &history.changes {
            let what = change.kind.trim_start_matches("name_").to_owned();
            table.row([
                change.height.to_string(),
                screen::utc(change.time_ms),
                what,
                change.sender.clone(),
                details(change),
            ]);
        }
        table.write(out, "no changes")
    })
}

fn details(change: &NameChange) -> String {
    let mut words = Vec::new();
    words.extend(
        change
            .under
            .iter()
            .filter(|under| !under.is_empty())
            .map(|under| format!("{under}:")),
    );
    let records = change.records.iter().flat_map(record_lines);
    words.extend(records.map(|(kind, value)| format!("{kind} {value}")));
    words.extend(change.to.iter().map(|to| format!("to {to}")));
    words.extend(
        change
            .periods
            .iter()
            .map(|periods| screen::count(u64::from(*periods), "period")),
    );
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records() -> Records {
        Records {
            content: None,
            a: vec![],
            aaaa: vec![],
            cname: None,
            txt: vec![],
            mx: vec![],
            srv: vec![],
            caa: vec![],
            https: vec![],
            origin: None,
            ttl: None,
        }
    }

    #[test]
    fn what_is_not_given_stays() {
        let old = RecordSet {
            txt: vec!["x".into()],
            ttl: Some(20),
            ..RecordSet::default()
        };
        let new = Records {
            ttl: Some(300),
            a: vec![Ipv4Addr::LOCALHOST],
            origin: Some("https://example.com".parse().unwrap()),
            ..records()
        }
        .onto(old);
        assert_eq!(
            (new.ttl, new.txt, new.a, new.origin.as_deref()),
            (
                Some(300),
                vec!["x".to_owned()],
                vec![Ipv4Addr::LOCALHOST],
                Some("https://example.com")
            )
        );
    }

    #[test]
    fn what_is_unset_goes() {
        let old = RecordSet {
            txt: vec!["x".into()],
            ttl: Some(20),
            ..RecordSet::default()
        };
        let left = [RecordKind::Txt, RecordKind::Ttl].into_iter().fold(old, without);
        assert_eq!(left, RecordSet::default());
    }
}
