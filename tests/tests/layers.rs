//! Imports go one way, and stay light where they must: checked against `cargo metadata`, so that a line in a
//! `Cargo.toml` cannot bend the architecture unnoticed. The rules are those of ARCHITECTURE.md.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use anyhow::{Context, Result};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};

/// Our crates, each with those of ours that it may use. What is not here does not exist.
const MAY_USE: [(&str, &[&str]); 8] = [
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

/// Package names by id, to print and to compare.
fn names(metadata: &Metadata) -> HashMap<PackageId, String> {
    metadata
        .packages
        .iter()
        .map(|package| (package.id.clone(), package.name.to_string()))
        .collect()
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

/// Everything that `root` reaches through normal dependencies, with the path to it.
///
/// Features are those of the whole workspace built together, so this is never less than what the crate links alone.
fn reached(metadata: &Metadata, root: &str) -> Result<BTreeMap<String, String>> {
    let names = names(metadata);
    let resolve = metadata
        .resolve
        .as_ref()
        .context("cargo metadata resolves dependencies")?;
    let nodes: HashMap<_, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let start = metadata
        .workspace_members
        .iter()
        .find(|id| names[*id] == root)
        .context("a crate of ours")?;
    let mut found = BTreeMap::new();
    let mut open = vec![(start, root.to_owned())];
    while let Some((id, path)) = open.pop() {
        for dependency in &nodes[id].deps {
            let normal = dependency
                .dep_kinds
                .iter()
                .any(|kind| kind.kind == DependencyKind::Normal);
            let name = &names[&dependency.pkg];
            if normal && !found.contains_key(name) {
                let path = format!("{path} → {name}");
                found.insert(name.clone(), path.clone());
                open.push((&dependency.pkg, path));
            }
        }
    }
    Ok(found)
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
    let metadata = metadata()?;
    for pure in ["ledger", "nearest"] {
        for (name, path) in reached(&metadata, pure)? {
            assert!(
                !IMPURE.contains(&name.as_str()) && !name.starts_with(ENGINE),
                "{pure} is pure, but: {path}"
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
    for (name, path) in reached(&metadata()?, "ddn")? {
        assert!(
            !OTHER_TLS.contains(&name.as_str()),
            "ring is our only TLS provider, but: {path}"
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
