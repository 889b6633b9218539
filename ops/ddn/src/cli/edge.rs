//! `ddn edge`: this node as one that delivers for coins, and the others.

use std::io::{self, Write};

use ledger::Amount;

use super::{
    Context,
    client::{Call, Node},
    confirm,
    failure::Outcome,
    name::How,
    screen::{self, Table},
    units,
};
use crate::api::{
    paths,
    types::{ByWallet, EdgeList, EdgeTerms, EdgeView, Sent},
};

/// The node that the command talks to.
const HERE: &str = "here";

/// `ddn edge …`
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "\
Examples:
  ddn edge register                          with the price and capacity of the settings
  ddn edge register --price 0.0002 --capacity 64 --traffic-max 2TB
  ddn edge set --payout savings
  ddn edge list

What a node asks for a delivery is its setting delivery.price; the ledger's entry tells others what to expect.")]
pub enum Command {
    /// Put this node on the ledger as an edge; its key consents, a wallet owns the entry
    Register {
        #[command(flatten)]
        terms: Terms,
        #[command(flatten)]
        how: How,
    },
    /// Change what the ledger says of an edge; what is not given stays
    Set {
        #[command(flatten)]
        terms: Terms,
        /// Another edge of yours, by its node key
        #[arg(long, value_name = "KEY", default_value = HERE)]
        node: String,
        #[command(flatten)]
        how: How,
    },
    /// Take an edge off the ledger
    Leave {
        /// Another edge of yours, by its node key
        #[arg(long, value_name = "KEY", default_value = HERE)]
        node: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
        #[command(flatten)]
        how: How,
    },
    /// List the edges: what they ask, how far they are, how they behaved
    List {
        /// Only those of this address or wallet
        #[arg(long, value_name = "ADDRESS|WALLET")]
        owner: Option<String>,
    },
}

/// What an edge offers.
#[derive(Debug, clap::Args)]
pub struct Terms {
    /// Coins for a MiB, as in 0.0001
    #[arg(long, value_name = "COINS", value_parser = units::coins)]
    price: Option<Amount>,
    /// Requests that it serves at once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    capacity: Option<u32>,
    /// Who is paid: a wallet of this node or an address
    #[arg(long, value_name = "WALLET|ADDRESS")]
    payout: Option<String>,
    /// Traffic in a month at most, as in 500GiB or 2TB; `none` for no cap
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    traffic_max: Option<u64>,
    /// Coins that are put up, or added, for its honesty: they come back a while after it has left, and are lost by a lie
    #[arg(long, value_name = "COINS", value_parser = units::coins)]
    bond: Option<Amount>,
}

impl Terms {
    fn order(self, how: How) -> EdgeTerms {
        EdgeTerms {
            price: self.price,
            capacity: self.capacity,
            payout: self.payout,
            traffic_max: self.traffic_max,
            bond: self.bond,
            wallet: how.wallet,
            wait: Some(!how.no_wait),
        }
    }
}

/// Runs it.
pub async fn run(context: &Context, command: Command) -> Outcome {
    let node = Node::on(&context.data).await?;
    match command {
        Command::Register { terms, how } => {
            let call = Call::post(paths::EDGE_REGISTER, &[]);
            let sent: Sent = node.call_with(call, &terms.order(how)).await?;
            context
                .screen
                .sent(&sent, &format!("registered the edge {}", node.file.node_id))
        }
        Command::Set {
            terms,
            node: edge,
            how,
        } => {
            let call = Call::post(paths::EDGE_SET, &[&edge]);
            let sent: Sent = node.call_with(call, &terms.order(how)).await?;
            context
                .screen
                .sent(&sent, &format!("changed the edge {}", shown(&node, &edge)))
        }
        Command::Leave { node: edge, yes, how } => {
            confirm::ask(
                yes,
                &format!("Take the edge {} off the ledger?", shown(&node, &edge)),
            )?;
            let order = ByWallet {
                wallet: how.wallet,
                wait: Some(!how.no_wait),
            };
            let call = Call::post(paths::EDGE_LEAVE, &[&edge]);
            let sent: Sent = node.call_with(call, &order).await?;
            context
                .screen
                .sent(&sent, &format!("took the edge {} off", shown(&node, &edge)))
        }
        Command::List { owner } => {
            let list: EdgeList = node
                .call(Call::get(paths::EDGES, &[]).query("owner", owner))
                .await?;
            context.screen.show(&list, tell)
        }
    }
}

fn shown<'a>(node: &'a Node, edge: &'a str) -> &'a str {
    match edge {
        HERE => &node.file.node_id,
        _ => edge,
    }
}

fn tell(out: &mut dyn Write, list: &EdgeList) -> io::Result<()> {
    let mut table = Table::new(&[
        "edge",
        "a MiB>",
        "capacity>",
        "away>",
        "cap a month>",
        "owner",
        "state",
    ]);
    for edge in &list.edges {
        let known = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let (entry, offer) = (edge.entry.as_ref(), edge.offer.as_ref());
        let price = offer.map(|offer| offer.price).or(entry.map(|entry| entry.price));
        let capacity = offer
            .map(|offer| offer.capacity)
            .or(entry.map(|entry| entry.capacity));
        table.row([
            edge.node.clone(),
            known(price.map(|price| price.coins())),
            known(capacity.map(|capacity| capacity.to_string())),
            known(edge.rtt_us.map(screen::micros)),
            known(
                entry
                    .filter(|entry| entry.traffic_max > 0)
                    .map(|entry| screen::bytes(entry.traffic_max)),
            ),
            known(entry.map(|entry| entry.owner.clone())),
            state(edge),
        ]);
    }
    table.write(out, "no edges yet: `ddn edge register` makes this node one")
}

fn state(edge: &EdgeView) -> String {
    let record = edge.record.as_ref();
    let rests = record.and_then(|record| record.rests_s);
    let left_out = record.and_then(|record| record.left_out_s);
    let mut words = vec![match (edge.here, left_out, rests) {
        (true, ..) => "this node".to_owned(),
        (_, Some(seconds), _) => format!("lied: not asked for {seconds} s"),
        (_, _, Some(seconds)) => format!("failed: asked last for {seconds} s"),
        _ if edge.offer.is_some() => "live".to_owned(),
        _ => "not heard of".to_owned(),
    }];
    if edge.entry.is_none() {
        words.push("not registered".to_owned());
    }
    let ill = edge.offer.as_ref().map(|offer| offer.ill.join(", "));
    words.extend(
        ill.filter(|ill| !ill.is_empty())
            .map(|ill| format!("ill by its own word: {ill}")),
    );
    let failing = record.filter(|record| record.failures > 0);
    words.extend(failing.and_then(|record| record.last_failure.clone()));
    words.join("; ")
}
