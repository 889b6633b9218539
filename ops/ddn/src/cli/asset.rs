//! `ddn asset`: ownership of content.

use std::path::{Path, PathBuf};

use cid::Cid;
use ledger::Amount;
use storage::{Profile, hash_path};

use super::{
    Context,
    client::{Call, Node},
    confirm,
    content::{blocking, named},
    failure::{self, Failure, Outcome},
    name::How,
    progress::Line,
    screen::{self, Table},
    units,
};
use crate::api::{
    paths,
    types::{
        AssetFound, AssetLicenceHeld, AssetLicense, AssetList, AssetShare, AssetTerms, AssetVerified,
        AssetVerify, AssetView, ByWallet, Sent, TransferTo,
    },
};

/// `ddn asset …`
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "\
Examples:
  ddn asset show bafy…
  ddn asset verify photo.jpg       whose is this file, and since when
  ddn asset list --tag photo       what others published under that tag
  ddn asset set bafy… --tag photo,harbour --licence CC-BY-4.0 --price 2.5
  ddn asset license bafy… --max 3  buy a licence, if it costs 3 coins at most
  ddn asset transfer bafy… ddn1…")]
pub enum Command {
    /// Who owns content, since when, and who did before
    Show {
        /// Root of the content
        cid: Cid,
    },
    /// List what this node's wallets own, or what fits all that is given
    #[command(after_help = "\
Examples:
  ddn asset list
  ddn asset list --tag photo --owner ddn1…
  ddn asset list --name alice.ddn
  ddn asset list --hash 4b9b…      the SHA-256 of a file that is one block (1 MiB at most)")]
    List {
        /// What this address or wallet owns; `*` for all assets of the chain
        #[arg(long, value_name = "ADDRESS|WALLET")]
        owner: Option<String>,
        /// What has this tag
        #[arg(long, value_name = "TAG")]
        tag: Option<ledger::Tag>,
        /// What this name points to
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// What has this CID, or this SHA-256 of its root block
        #[arg(long, value_name = "CID|HEX")]
        hash: Option<String>,
    },
    /// Change what you say about content of yours; what is not given stays
    #[command(after_help = "\
Examples:
  ddn asset set bafy… --title 'The harbour' --tag photo --tag harbour
  ddn asset set bafy… --licence CC-BY-4.0 --price 2.5    licences are sold from now on
  ddn asset set bafy… --no-price                         none are sold any more

Licences that were bought stay, with the words that they were bought under.")]
    Set {
        /// Root of the content
        cid: Cid,
        #[command(flatten)]
        terms: Terms,
        #[command(flatten)]
        how: How,
    },
    /// Buy a licence of somebody else's content, from whoever owns it
    #[command(after_help = "\
Examples:
  ddn asset license bafy…              says the price, and asks
  ddn asset license bafy… --max 3 --yes

Exactly the price that was said is paid: if the owner changes it meanwhile, nothing is.")]
    License {
        /// Root of the content
        cid: Cid,
        /// Pay this at most
        #[arg(long, value_name = "COINS", value_parser = units::coins)]
        max: Option<Amount>,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
        #[command(flatten)]
        how: How,
    },
    /// Give content to another account
    Transfer {
        /// Root of the content
        cid: Cid,
        /// The new owner: an address or a wallet of this node
        to: String,
        #[command(flatten)]
        how: How,
    },
    /// Find out where a local file or folder is anchored, alone or inside a folder
    Verify {
        /// The file or folder
        file: PathBuf,
    },
    /// Withdraw content for ever: its ownership stays on the ledger, marked
    Tombstone {
        /// Root of the content
        cid: Cid,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
        #[command(flatten)]
        how: How,
    },
}

/// What an owner says.
#[derive(Debug, clap::Args)]
pub struct Terms {
    /// A title
    #[arg(long)]
    title: Option<String>,
    /// A word that it is found by: 1 to 32 of a-z 0-9 -; may be repeated, and replaces all that there were
    #[arg(long, value_name = "TAG", value_delimiter = ',')]
    tag: Vec<ledger::Tag>,
    /// What a licence allows: an SPDX identifier, or other words
    #[arg(long, value_name = "TEXT")]
    licence: Option<String>,
    /// What a licence costs, as in 2.5
    #[arg(long, value_name = "COINS", value_parser = units::coins)]
    price: Option<Amount>,
    /// Remove the title
    #[arg(long, conflicts_with = "title")]
    no_title: bool,
    /// Remove all tags
    #[arg(long, conflicts_with = "tag")]
    no_tags: bool,
    /// Say nothing of what a licence allows
    #[arg(long, conflicts_with = "licence")]
    no_licence: bool,
    /// Sell no licences
    #[arg(long, conflicts_with = "price")]
    no_price: bool,
}

impl Terms {
    /// These over what was said before.
    fn onto(self, old: AssetView, how: How) -> AssetTerms {
        let tags: Vec<String> = self.tag.iter().map(ToString::to_string).collect();
        let tags = if tags.is_empty() { old.tags } else { tags };
        AssetTerms {
            title: self.title.or(old.title).filter(|_| !self.no_title),
            tags: if self.no_tags { Vec::new() } else { tags },
            licence: self.licence.or(old.licence).filter(|_| !self.no_licence),
            price: self.price.or(old.price).filter(|_| !self.no_price),
            wallet: how.wallet,
            wait: Some(!how.no_wait),
        }
    }
}

/// Runs it.
pub async fn run(context: &Context, command: Command) -> Outcome {
    let node = Node::on(&context.data).await?;
    match command {
        Command::Show { cid } => {
            let view = asset(&node, &cid).await?;
            context.screen.show(&view, tell)
        }
        Command::List {
            owner,
            tag,
            name,
            hash,
        } => {
            let call = Call::get(paths::ASSETS, &[])
                .query("owner", owner)
                .query("tag", tag)
                .query("name", name)
                .query("hash", hash);
            list(context, &node, call).await
        }
        Command::Set { cid, terms, how } => {
            let order = terms.onto(asset(&node, &cid).await?, how);
            let done = format!("changed what is said of {cid}");
            send(context, &node, paths::ASSET_SET, &cid, &order, &done).await
        }
        Command::License { cid, max, yes, how } => license(context, &node, &cid, max, yes, how).await,
        Command::Transfer { cid, to, how } => {
            let done = format!("{cid} now belongs to {to}");
            let order = TransferTo {
                to,
                wallet: how.wallet,
                wait: Some(!how.no_wait),
            };
            send(context, &node, paths::ASSET_TRANSFER, &cid, &order, &done).await
        }
        Command::Verify { file } => verify(context, &node, &file).await,
        Command::Tombstone { cid, yes, how } => {
            confirm::ask(yes, &format!("Withdraw {cid} for ever?"))?;
            let order = ByWallet {
                wallet: how.wallet,
                wait: Some(!how.no_wait),
            };
            send(
                context,
                &node,
                paths::ASSET_TOMBSTONE,
                &cid,
                &order,
                &format!("withdrew {cid}"),
            )
            .await
        }
    }
}

async fn asset(node: &Node, cid: &Cid) -> Outcome<AssetView> {
    node.call(Call::get(paths::ASSET, &[&cid.to_string()])).await
}

async fn license(
    context: &Context,
    node: &Node,
    cid: &Cid,
    max: Option<Amount>,
    yes: bool,
    how: How,
) -> Outcome {
    let view = asset(node, cid).await?;
    let price = price_within(&view, max)?;
    let words = view
        .licence
        .as_deref()
        .unwrap_or("the owner does not say what it allows");
    let question = format!(
        "Pay {price} coins to {} for a licence of {cid} ({words})?",
        view.owner
    );
    confirm::ask(yes, &question)?;
    let order = AssetLicense {
        price,
        wallet: how.wallet,
        wait: Some(!how.no_wait),
    };
    let done = format!("bought a licence of {cid} for {price} coins");
    send(context, node, paths::ASSET_LICENSE, cid, &order, &done).await
}

/// What a licence costs, unless that is more than `max`.
fn price_within(view: &AssetView, max: Option<Amount>) -> Outcome<Amount> {
    let cid = &view.cid;
    if let Some(height) = view.tombstone {
        let text = format!("{cid} was withdrawn by its owner at height {height}: no licence of it is sold");
        return Err(Failure::new("refused", text));
    }
    let none = || {
        let text = format!(
            "no licence of {cid} is sold: its owner, {}, asks no price",
            view.owner
        );
        Failure::new("refused", text)
    };
    let price = view.price.ok_or_else(none)?;
    match max.filter(|max| price > *max) {
        None => Ok(price),
        Some(max) => {
            let text =
                format!("a licence of {cid} costs {price} coins, more than {max}: give a higher --max");
            Err(Failure::new("too_dear", text))
        }
    }
}

async fn send(
    context: &Context,
    node: &Node,
    path: &str,
    cid: &Cid,
    order: &impl serde::Serialize,
    done: &str,
) -> Outcome {
    let sent: Sent = node
        .call_with(Call::post(path, &[&cid.to_string()]), order)
        .await?;
    context.screen.sent(&sent, done)
}

fn tell(out: &mut dyn std::io::Write, asset: &AssetView) -> std::io::Result<()> {
    let size = match (asset.files, asset.bytes) {
        (Some(files), Some(bytes)) => format!("{}, {}", screen::count(files, "file"), screen::bytes(bytes)),
        (_, Some(bytes)) => screen::bytes(bytes),
        _ => String::new(),
    };
    let withdrawn = asset
        .tombstone
        .map(|height| format!("by its owner, at height {height}"));
    let price = asset.price.map(|price| format!("{price} coins for a licence"));
    screen::facts(
        out,
        &[
            ("CID", asset.cid.clone()),
            ("owner", asset.owner.clone()),
            (
                "anchored",
                format!("height {}, {}", asset.anchored, screen::utc(asset.anchored_ms)),
            ),
            ("title", asset.title.clone().unwrap_or_default()),
            ("tags", asset.tags.join(", ")),
            ("licence", asset.licence.clone().unwrap_or_default()),
            ("price", price.unwrap_or_default()),
            ("size", size),
            ("shares", shares(&asset.split)),
            ("profile", asset.profile.clone().unwrap_or_default()),
            ("withdrawn", withdrawn.unwrap_or_default()),
            ("licensed", licences(&asset.licences)),
            (
                "here",
                if asset.held {
                    "yes, this node holds it"
                } else {
                    "no"
                }
                .to_owned(),
            ),
            ("at height", asset.height.to_string()),
        ],
    )?;
    let mut table = Table::new(&["height>", "since", "owner"]);
    for owner in &asset.history {
        table.row([
            owner.height.to_string(),
            screen::utc(owner.time_ms),
            owner.owner.clone(),
        ]);
    }
    writeln!(out)?;
    table.write(out, "no history")
}

/// Who gets what of its deliveries.
fn shares(split: &[AssetShare]) -> String {
    let share = |share: &AssetShare| {
        let (whole, rest) = (share.points / 100, share.points % 100);
        let percent = match rest {
            0 => whole.to_string(),
            _ => format!("{whole}.{rest:02}"),
        };
        format!("{percent} % to {}", share.to.as_deref().unwrap_or("its owner"))
    };
    split.iter().map(share).collect::<Vec<_>>().join(", ")
}

/// Which wallets of this node hold a licence.
fn licences(held: &[AssetLicenceHeld]) -> String {
    let one = |held: &AssetLicenceHeld| {
        let words = held.licence.as_ref().map(|words| format!(", {words}"));
        format!(
            "to wallet {}, at height {}, for {} coins{}",
            held.wallet,
            held.height,
            held.price,
            words.unwrap_or_default()
        )
    };
    held.iter().map(one).collect::<Vec<_>>().join("; ")
}

async fn list(context: &Context, node: &Node, call: Call<'_>) -> Outcome {
    let list: AssetList = node.call(call).await?;
    context.screen.show(&list, |out, list| {
        let mut table = Table::new(&[
            "CID",
            "anchored>",
            "files>",
            "size>",
            "licence>",
            "tags",
            "title",
            "owner",
        ]);
        for asset in &list.assets {
            let known = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
            let title = if asset.tombstone.is_some() {
                Some("(withdrawn)".to_owned())
            } else {
                asset.title.clone()
            };
            table.row([
                asset.cid.clone(),
                asset.anchored.to_string(),
                known(asset.files.map(|files| files.to_string())),
                known(asset.bytes.map(screen::bytes)),
                known(asset.price.map(|price| price.coins())),
                known(Some(asset.tags.join(", ")).filter(|tags| !tags.is_empty())),
                known(title),
                asset.owner.clone(),
            ]);
        }
        table.write(out, "no such assets: `ddn publish PATH` anchors one")
    })
}

async fn verify(context: &Context, node: &Node, file: &Path) -> Outcome {
    let path = named(file)?;
    let line = Line::start(context.screen, &format!("hashing {}", file.display()));
    let cids = blocking(move || cids_of(&path)).await?;
    line.say("asking the node");
    let order = AssetVerify { cids: cids.clone() };
    let answer: AssetVerified = node
        .call_with(Call::post(paths::ASSETS_VERIFY, &[]), &order)
        .await?;
    line.end();
    if answer.found.is_empty() {
        return Err(nowhere(file, &cids, &answer));
    }
    context.screen.show(&answer, |out, answer| {
        answer.found.iter().enumerate().try_for_each(|(index, found)| {
            if index > 0 {
                writeln!(out)?;
            }
            tell_found(out, found)
        })
    })
}

/// The CIDs of a file under every import profile, each once.
fn cids_of(path: &Path) -> Outcome<Vec<String>> {
    let mut cids = Vec::new();
    for profile in [Profile::V1_2025, Profile::V0_2015] {
        let hashed = hash_path(path, profile, &mut |_| {}).map_err(|error| failure::storage(&error))?;
        let cid = hashed.root.to_string();
        if !cids.contains(&cid) {
            cids.push(cid);
        }
    }
    Ok(cids)
}

fn tell_found(out: &mut dyn std::io::Write, found: &AssetFound) -> std::io::Result<()> {
    let asset = &found.asset;
    let place = match found.path.as_str() {
        "" => "the asset itself".to_owned(),
        path => format!("{path} inside {}", asset.cid),
    };
    let withdrawn = asset
        .tombstone
        .map(|height| format!("by its owner, at height {height}"));
    screen::facts(
        out,
        &[
            ("CID", found.cid.clone()),
            ("owner", asset.owner.clone()),
            (
                "anchored",
                format!("height {}, {}", asset.anchored, screen::utc(asset.anchored_ms)),
            ),
            ("place", place),
            ("title", asset.title.clone().unwrap_or_default()),
            ("withdrawn", withdrawn.unwrap_or_default()),
        ],
    )
}

fn nowhere(file: &Path, cids: &[String], answer: &AssetVerified) -> Failure {
    let mut text = format!(
        "{} ({}) is anchored nowhere that this node can see: not by itself, and not inside one of the {} anchored folders \
         that were searched",
        file.display(),
        cids.join(", "),
        answer.searched,
    );
    if answer.not_held > 0 {
        text += &format!("; {} more are not held here", answer.not_held);
    }
    Failure::new("not_anchored", text + "; `ddn publish` anchors it")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> AssetView {
        AssetView {
            cid: "bafy".into(),
            owner: "dev1x".into(),
            anchored: 3,
            anchored_ms: 0,
            title: Some("Old".into()),
            profile: None,
            bytes: None,
            files: None,
            tags: vec!["a".into()],
            licence: Some("MIT".into()),
            price: Amount::from_coins(2),
            licences: vec![],
            split: vec![],
            history: vec![],
            tombstone: None,
            held: true,
            height: 9,
        }
    }

    fn terms() -> Terms {
        Terms {
            title: None,
            tag: vec![],
            licence: None,
            price: None,
            no_title: false,
            no_tags: false,
            no_licence: false,
            no_price: false,
        }
    }

    fn how() -> How {
        How {
            wallet: None,
            no_wait: false,
        }
    }

    #[test]
    fn what_is_not_given_stays_and_what_is_removed_goes() {
        let kept = terms().onto(view(), how());
        assert_eq!(
            (kept.title.as_deref(), kept.tags),
            (Some("Old"), vec!["a".to_owned()])
        );
        assert_eq!(
            (kept.licence.as_deref(), kept.price),
            (Some("MIT"), Amount::from_coins(2))
        );
        let changed = Terms {
            tag: vec!["b".parse().expect("a tag")],
            no_title: true,
            no_price: true,
            ..terms()
        };
        let changed = changed.onto(view(), how());
        assert_eq!((changed.title, changed.tags), (None, vec!["b".to_owned()]));
        assert_eq!((changed.licence.as_deref(), changed.price), (Some("MIT"), None));
    }

    #[test]
    fn a_licence_is_bought_at_its_price_or_not_at_all() {
        let two = Amount::from_coins(2);
        assert_eq!(price_within(&view(), None).ok(), two);
        assert_eq!(price_within(&view(), two).ok(), two);
        let refused = |view: AssetView, max: Option<Amount>| {
            let failure = price_within(&view, max).expect_err("refused");
            failure.to_string()
        };
        assert_eq!(
            refused(view(), Amount::from_coins(1)),
            "a licence of bafy costs 2 coins, more than 1: give a higher --max"
        );
        let unsold = AssetView {
            price: None,
            ..view()
        };
        assert_eq!(
            refused(unsold, None),
            "no licence of bafy is sold: its owner, dev1x, asks no price"
        );
        let gone = AssetView {
            tombstone: Some(7),
            ..view()
        };
        assert_eq!(
            refused(gone, None),
            "bafy was withdrawn by its owner at height 7: no licence of it is sold"
        );
    }
}
