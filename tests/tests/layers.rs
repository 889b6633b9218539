//! Imports go one way, and stay light where they must: checked against `cargo metadata`, so that a line in a
//! `Cargo.toml` cannot bend the architecture unnoticed. The rules are those of ARCHITECTURE.md.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// Our crates, each with those of ours that it may use. What is not here does not exist.
const MAY_USE: [(&str, &[&str]); 9] = [
    ("ledger", &[]),
    ("nearest", &[]),
    ("chain", &["ledger", "nearest"]),
    ("storage", &["ledger", "nearest"]),
    ("named", &["ledger", "nearest"]),
    ("gateway", &["ledger", "nearest", "storage", "named"]),
    (
        "ddn",
        &["ledger", "nearest", "chain", "storage", "named", "gateway"],
    ),
    // The suites speak the ledger's formats to attack a node with them; the kit itself uses nothing of the product.
    ("testkit", &["ledger"]),
    // It measures programs from outside.
    ("bench", &["testkit"]),
];

/// The consensus engine's crates; one module of `chain` embeds them.
const ENGINE: &str = "arc-malachitebft";

/// Runtimes and databases that pure crates must not even reach.
const IMPURE: [&str; 5] = ["tokio", "async-std", "smol", "rocksdb", "mio"];

/// TLS libraries and their cryptography. Only `ring` is allowed: with two providers in one program rustls refuses to choose
/// and panics, and aws-lc costs a C build of minutes.
const OTHER_TLS: [&str; 5] = [
    "aws-lc-rs",
    "aws-lc-sys",
    "aws-lc-fips-sys",
    "native-tls",
    "openssl-sys",
];

fn metadata() -> Result<Metadata> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    let options = ["--locked", "--filter-platform", "x86_64-unknown-linux-gnu"].map(String::from);
    MetadataCommand::new()
        .manifest_path(manifest)
        .other_options(options)
        .exec()
        .context("cargo metadata")
}

/// What each crate of the workspace names in its `Cargo.toml`, by kind of dependency.
fn direct(metadata: &Metadata, kinds: &[DependencyKind]) -> BTreeMap<String, BTreeSet<String>> {
    let ours = metadata.workspace_packages();
    let uses = |package: &cargo_metadata::Package| {
        let wanted = package
            .dependencies
            .iter()
            .filter(|dependency| kinds.contains(&dependency.kind));
        wanted.map(|dependency| dependency.name.clone()).collect()
    };
    ours.into_iter()
        .map(|package| (package.name.to_string(), uses(package)))
        .collect()
}

/// Everything that `package` links, with the features that it asks for itself: built together with the rest, some of its
/// dependencies get more of them, which is not its doing (`cargo metadata` knows only that view).
fn linked(package: &str) -> Result<BTreeSet<String>> {
    let mut tree = Command::new(env!("CARGO"));
    tree.args([
        "tree",
        "--locked",
        "--edges",
        "normal",
        "--prefix",
        "none",
        "--package",
        package,
    ]);
    // A developer's own cargo settings may unify features over the workspace.
    tree.env("CARGO_RESOLVER_FEATURE_UNIFICATION", "selected")
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    let tree = tree.output().context("cargo tree")?;
    ensure!(
        tree.status.success(),
        "cargo tree: {}",
        String::from_utf8_lossy(&tree.stderr)
    );
    let lines = String::from_utf8(tree.stdout)?;
    Ok(lines
        .lines()
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect())
}

#[test]
fn imports_go_one_way() -> Result<()> {
    let rules: BTreeMap<_, _> = MAY_USE.into_iter().collect();
    let metadata = metadata()?;
    let kinds = [
        DependencyKind::Normal,
        DependencyKind::Build,
        DependencyKind::Development,
    ];
    for (package, uses) in direct(&metadata, &kinds) {
        let allowed = rules.get(package.as_str());
        let allowed =
            allowed.with_context(|| format!("{package} has no place in the layers: name it in MAY_USE"))?;
        for used in uses.iter().filter(|used| rules.contains_key(used.as_str())) {
            assert!(
                allowed.contains(&used.as_str()),
                "{package} may not use {used}, only {allowed:?}"
            );
        }
    }
    Ok(())
}

#[test]
fn the_kit_uses_nothing_of_the_product() -> Result<()> {
    let normal = direct(&metadata()?, &[DependencyKind::Normal]);
    let ours: BTreeSet<_> = MAY_USE.iter().map(|(name, _)| (*name).to_owned()).collect();
    let used: Vec<_> = normal["testkit"].intersection(&ours).collect();
    assert!(
        used.is_empty(),
        "testkit links {used:?}: a shared mistake would hide itself"
    );
    Ok(())
}

#[test]
fn pure_crates_reach_no_runtime_no_database_and_no_engine() -> Result<()> {
    for pure in ["ledger", "nearest"] {
        for name in linked(pure)? {
            let impure = IMPURE.contains(&name.as_str()) || name.starts_with(ENGINE);
            assert!(
                !impure,
                "{pure} is pure, but links {name}: see `cargo tree -e normal -p {pure} -i {name}`"
            );
        }
    }
    Ok(())
}

#[test]
fn only_chain_names_the_engine() -> Result<()> {
    let kinds = [
        DependencyKind::Normal,
        DependencyKind::Build,
        DependencyKind::Development,
    ];
    for (package, uses) in direct(&metadata()?, &kinds) {
        let engine: Vec<_> = uses.iter().filter(|used| used.starts_with(ENGINE)).collect();
        assert_eq!(
            package == "chain",
            !engine.is_empty(),
            "{package} uses {engine:?}"
        );
    }
    Ok(())
}

#[test]
fn the_program_has_at_most_one_tls_provider() -> Result<()> {
    for name in linked("ddn")? {
        let other = OTHER_TLS.contains(&name.as_str());
        assert!(
            !other,
            "ring is our only TLS provider: see `cargo tree -e normal -p ddn -i {name}`"
        );
    }
    Ok(())
}

#[test]
fn one_release_of_the_engine() -> Result<()> {
    let mut versions = BTreeSet::new();
    for package in metadata()?
        .packages
        .iter()
        .filter(|package| package.name.starts_with(ENGINE))
    {
        versions.insert(package.version.to_string());
    }
    assert_eq!(
        versions.len(),
        1,
        "the engine's crates share their inner types: {versions:?}"
    );
    Ok(())
}
