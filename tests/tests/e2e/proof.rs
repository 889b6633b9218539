//! What the ledger says can be carried away and checked elsewhere, and what somebody else has announced cannot be taken.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use cid::Cid;
use ledger::{Action, Amount, Bundle, Genesis, Hash, Label, Link, Records, SecretKey, Tx, TxBody};
use serde_json::Value;
use tempfile::TempDir;
use testkit::{Ddn, Node, poll, tree};

use crate::{number, publish, text};

/// A block of a dev chain takes about a second.
const BLOCK_DEADLINE: Duration = Duration::from_secs(30);

/// How many damaged bundles go through the program; all of them go through the library.
const DAMAGED_FILES: usize = 24;

/// Another machine: an empty folder with a genesis file, and no node.
struct Elsewhere {
    home: TempDir,
}

impl Elsewhere {
    fn with_genesis_of(node: &Node) -> Result<Self> {
        let home = tempfile::tempdir()?;
        fs::copy(node.data().join("genesis.json"), home.path().join("genesis.json"))?;
        Ok(Self { home })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn verify(&self, bundle: &Path) -> Result<testkit::Ran> {
        self.verify_by(bundle, &self.file("genesis.json"))
    }

    fn verify_by(&self, bundle: &Path, genesis: &Path) -> Result<testkit::Ran> {
        let (bundle, genesis) = (bundle.to_string_lossy(), genesis.to_string_lossy());
        let nothing = Ddn::new(&self.file("no-node-here"));
        nothing.run(&["chain", "verify", &bundle, "--genesis", &genesis, "--json"])
    }
}

#[test]
fn a_proof_holds_elsewhere_and_damage_does_not() -> Result<()> {
    let mut node = Node::dev()?;
    let site = tempfile::tempdir()?;
    tree::site(site.path())?;
    let published = publish(&node, site.path(), "alice.ddn")?;
    let (cid, height) = (text(&published, "/cid")?, number(&published, "/height")?);
    let owner = text(&node.ddn().json(&["wallet", "balance"])?, "/address")?;

    let elsewhere = Elsewhere::with_genesis_of(&node)?;
    let entries = [
        ("name", "alice.ddn", true),
        ("asset", &cid, true),
        ("account", &owner, true),
        ("none", "bob.ddn", false),
    ];
    for (file, key, _) in entries {
        node.ddn().ok(&[
            "chain",
            "proof",
            key,
            "-o",
            &elsewhere.file(file).to_string_lossy(),
        ])?;
    }
    node.ddn().ok(&[
        "resolve",
        "alice.ddn",
        "--proof",
        &elsewhere.file("resolved").to_string_lossy(),
    ])?;
    node.stop()?;

    for (file, key, exists) in entries {
        let said = elsewhere.verify(&elsewhere.file(file))?;
        said.ok()?;
        let said = said.json()?;
        ensure!(
            said["exists"] == exists && number(&said, "/height")? >= height,
            "{key}: {said}"
        );
        ensure!(said["chain_id"] == node.card()["chain_id"], "{key}: {said}");
    }
    let name = elsewhere.verify(&elsewhere.file("resolved"))?.json()?;
    ensure!(
        name["value"]["owner"] == owner.as_str() && name.to_string().contains(&cid),
        "{name}"
    );
    let asset = elsewhere.verify(&elsewhere.file("asset"))?.json()?;
    ensure!(asset["value"]["owner"] == owner.as_str(), "{asset}");

    damage_is_refused(&elsewhere)?;
    nonsense_is_refused(&elsewhere)
}

/// One flipped bit in any byte: all of them by the library, a spread of them by the program.
fn damage_is_refused(elsewhere: &Elsewhere) -> Result<()> {
    let genesis = Genesis::parse(&fs::read(elsewhere.file("genesis.json"))?)?;
    for file in ["name", "none"] {
        let whole = fs::read(elsewhere.file(file))?;
        ensure!(holds(&whole, &genesis), "{file} holds undamaged");
        for place in 0..whole.len() {
            let bit = 1 << (place % 8);
            let mut damaged = whole.clone();
            damaged[place] ^= bit;
            ensure!(
                !holds(&damaged, &genesis),
                "{file} holds with byte {place} changed by {bit:#04x}"
            );
        }
        for length in [0, 1, whole.len() / 2, whole.len() - 1] {
            ensure!(
                !holds(&whole[..length], &genesis),
                "{file} holds when cut to {length} bytes"
            );
        }
        ensure!(
            !holds(&[&whole[..], b"x"].concat(), &genesis),
            "{file} holds with a byte more"
        );
    }
    let whole = fs::read(elsewhere.file("name"))?;
    for place in (0..whole.len()).step_by(whole.len().div_ceil(DAMAGED_FILES)) {
        let mut damaged = whole.clone();
        damaged[place] ^= 0x10;
        let file = elsewhere.file("damaged");
        fs::write(&file, damaged)?;
        elsewhere
            .verify(&file)?
            .refused(1, &["damaged"])
            .with_context(|| format!("byte {place} changed"))?;
    }
    Ok(())
}

fn holds(bundle: &[u8], genesis: &Genesis) -> bool {
    Bundle::decode(bundle).is_ok_and(|bundle| ledger::verify(&bundle, genesis).is_ok())
}

fn nonsense_is_refused(elsewhere: &Elsewhere) -> Result<()> {
    let noise = elsewhere.file("noise");
    for bytes in [
        Vec::new(),
        b"\xa0".to_vec(),
        b"not a proof\n".to_vec(),
        tree::noise(100_000, 3),
        tree::noise(9 << 20, 4),
    ] {
        fs::write(&noise, &bytes)?;
        elsewhere
            .verify(&noise)?
            .refused(1, &["noise"])
            .with_context(|| format!("{} bytes", bytes.len()))?;
    }
    elsewhere
        .verify(&elsewhere.file("absent"))?
        .refused(1, &["absent"])?;
    let proof = elsewhere.file("name");
    elsewhere
        .verify_by(&proof, &elsewhere.file("absent"))?
        .refused(1, &["absent"])?;
    elsewhere.verify_by(&proof, &proof)?.refused(1, &["name"])?;
    let nothing = Ddn::new(&elsewhere.file("no-node-here"));
    nothing
        .run(&["chain", "verify", &proof.to_string_lossy()])?
        .refused(1, &["genesis"])?;
    // The genesis of another chain: the same words, another delegate.
    let other = Node::dev()?;
    let genesis = other.data().join("genesis.json");
    elsewhere.verify_by(&proof, &genesis)?.refused(1, &["chain"])?;
    Ok(())
}

/// An account that signs for itself, beside the node's wallets.
struct Actor<'a> {
    node: &'a Node,
    genesis: Genesis,
    key: SecretKey,
}

impl<'a> Actor<'a> {
    /// A funded wallet of the node.
    fn wallet(node: &'a Node, name: &str) -> Result<Self> {
        node.ddn().ok(&["wallet", "new", name])?;
        node.ddn().ok(&["wallet", "send", name, "50"])?;
        let seed = text(&node.ddn().json(&["wallet", "export", name])?, "/seed")?;
        Self::with_seed(node, &seed)
    }

    /// The delegate: it orders the transactions of each block, and earns their fees.
    fn delegate(node: &'a Node) -> Result<Self> {
        let seed = fs::read_to_string(node.data().join("keys/delegate.key"))?;
        let delegate = Self::with_seed(node, seed.trim())?;
        let address = delegate.key.address().display(&delegate.genesis.prefix);
        node.ddn().ok(&["wallet", "send", &address, "50"])?;
        Ok(delegate)
    }

    fn with_seed(node: &'a Node, seed: &str) -> Result<Self> {
        let genesis = Genesis::parse(&fs::read(node.data().join("genesis.json"))?)?;
        let mut bytes = [0; 32];
        for (byte, digits) in bytes.iter_mut().zip(seed.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits)?, 16)?;
        }
        Ok(Self {
            node,
            genesis,
            key: SecretKey::from_seed(bytes),
        })
    }

    fn sign(&self, action: Action) -> Result<Tx> {
        let address = self.key.address().display(&self.genesis.prefix);
        let account = self.node.admin()?.send(
            "GET",
            "localhost",
            &format!("/v1/accounts/{address}"),
            &[("authorization", &self.node.bearer()?)],
            Vec::new(),
        )?;
        let nonce = number(&account.json()?, "/nonce")?;
        let body = TxBody {
            chain: self.genesis.chain_id.clone(),
            nonce,
            fee: Amount::from_units(100_000),
            action,
        };
        Ok(Tx::sign(body, &self.key))
    }

    /// Sends a transaction and waits for its fate: the height of its block, or why it was refused.
    fn act(&self, action: Action) -> Result<Result<u64, String>> {
        let tx = self.sign(action)?;
        let (admin, bearer) = (self.node.admin()?, self.node.bearer()?);
        let fields = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/vnd.ipld.dag-cbor"),
        ];
        let sent = admin.send("POST", "localhost", "/v1/chain/txs", &fields, tx.encode())?;
        if sent.status >= 400 {
            return Ok(Err(text(&sent.json()?, "/error/message")?));
        }
        let path = format!("/v1/chain/txs/{}", tx.cid());
        poll("the fate of a transaction", BLOCK_DEADLINE, || {
            let shown = admin
                .send("GET", "localhost", &path, &fields, Vec::new())?
                .json()?;
            Ok(match shown["status"].as_str() {
                Some("included") => Some(Ok(number(&shown, "/height")?)),
                Some("refused") => Some(Err(text(&shown, "/reason")?)),
                Some("pending") => None,
                _ => bail!("the fate of {}: {shown}", tx.cid()),
            })
        })
    }

    fn must(&self, action: Action) -> Result<u64> {
        self.act(action)?.map_err(anyhow::Error::msg)
    }

    /// Announces a claim.
    fn commit(&self, claim: &Action) -> Result<()> {
        let hash = claim
            .commitment(&self.genesis.chain_id, &self.key.address())
            .context("a claim")?;
        self.must(Action::Commit { hash }).map(|_| ())
    }

    /// Announces somebody else's claim by the very hash that they announced.
    fn copy_commit(&self, claim: &Action, victim: &Self) -> Result<Result<u64, String>> {
        let hash = claim
            .commitment(&self.genesis.chain_id, &victim.key.address())
            .context("a claim")?;
        self.act(Action::Commit { hash })
    }
}

fn claims() -> Result<[(Action, &'static str, Vec<&'static str>); 2]> {
    let cid = Cid::try_from("bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy")?;
    let label = Label::parse("coveted")?;
    let secret = Hash([7; 32]);
    let name = Action::NameRegister {
        label,
        secret,
        records: Records::default(),
    };
    let asset = Action::AssetAnchor {
        cid: Link(cid),
        secret,
        meta: Default::default(),
        split: Default::default(),
    };
    Ok([
        (name, "coveted.ddn", vec!["name", "show", "coveted.ddn"]),
        (
            asset,
            "the asset",
            vec![
                "asset",
                "show",
                "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy",
            ],
        ),
    ])
}

/// Whoever sees a claim on its way, its commit and even its secret, gets nothing by repeating it first: neither another
/// account nor the delegate who makes the block.
#[test]
fn a_copied_claim_is_worth_nothing() -> Result<()> {
    let node = Node::dev()?;
    let alice = Actor::wallet(&node, "alice")?;
    let thieves = [
        ("another account", Actor::wallet(&node, "mallory")?),
        ("the delegate", Actor::delegate(&node)?),
    ];
    for (claim, what, show) in claims()? {
        alice.commit(&claim)?;
        for (who, thief) in &thieves {
            // The same hash: refused, or a commit that fits nobody but Alice.
            let copied = thief.copy_commit(&claim, &alice)?;
            let stolen = thief.act(claim.clone())?;
            ensure!(
                stolen.is_err(),
                "{who} took {what} with a copied claim (commit: {copied:?})"
            );
        }
        alice.must(claim)?;
        let shown: Value = node.ddn().json(&show)?;
        let owner = alice.key.address().display(&alice.genesis.prefix);
        ensure!(text(&shown, "/owner")? == owner, "{what}: {shown}");
    }
    Ok(())
}
