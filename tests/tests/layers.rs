//! Imports go one way, and stay light where they must: checked against `cargo metadata`, so that a line in a
//! `Cargo.toml` cannot bend the architecture unnoticed. The rules are those of ARCHITECTURE.md.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// Our crates, each with those of ours that it may use. What is not here does not exist.
const MAY_USE: [(&str, &[&str]); 12] = [
    ("database", &[]),
    ("ledger", &[]),
    ("nearest", &[]),
    ("consensus", &["ledger"]),
    ("chain", &["consensus", "database", "ledger", "nearest"]),
    // Its tests have peers that cheat.
    ("storage", &["adversary", "database", "ledger", "nearest"]),
    ("adversary", &["ledger", "storage"]),
    ("named", &["ledger", "nearest"]),
    ("gateway", &["ledger", "nearest", "storage", "named"]),
    (
        "ddn",
        &["ledger", "nearest", "chain", "storage", "named", "gateway"],
    ),
    // The suites speak the ledger's formats to attack a node with them; the kit itself uses nothing of the product.
    ("testkit", &["ledger"]),
    // It measures programs from outside, but for a million names, which the DNS server alone serves, for deliveries, whose floor
    // keeps blocks in the same store, and for chains of four delegates in one process.
    ("bench", &["chain", "ledger", "named", "storage", "testkit"]),
];

/// What a build is for.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The consensus engine's crates; one module of `chain` embeds them.
const ENGINE: &str = "arc-malachitebft";

/// Those who may name them: `consensus` for their types, and for their core in its tests.
const NAME_THE_ENGINE: [&str; 2] = ["chain", "consensus"];

/// All of the engine that `consensus` may reach: what has neither runtime nor sockets.
const ENGINE_TYPES: [&str; 3] = [
    "arc-malachitebft-core-types",
    "arc-malachitebft-peer",
    "arc-malachitebft-signing",
];

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

/// What these tests read of `cargo metadata`'s answer.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// `None`: what the crate itself links; else "build" or "dev".
    kind: Option<String>,
}

fn cargo(arguments: &[&str]) -> Result<String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
    // A developer's own cargo settings may unify features over the workspace.
    cargo.env("CARGO_RESOLVER_FEATURE_UNIFICATION", "selected");
    let output = cargo.output().context("cargo")?;
    let refused = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cargo {arguments:?}: {refused}");
    Ok(String::from_utf8(output.stdout)?)
}

fn metadata() -> Result<Metadata> {
    let target = ["--filter-platform", TARGET];
    let answer = cargo(&[&["metadata", "--locked", "--format-version", "1"], &target[..]].concat())?;
    Ok(serde_json::from_str(&answer)?)
}

/// What each crate of the workspace names in its `Cargo.toml`, for the kinds of dependency that are `wanted`.
fn direct(metadata: &Metadata, wanted: fn(&Dependency) -> bool) -> BTreeMap<&str, BTreeSet<&str>> {
    let ours = metadata
        .packages
        .iter()
        .filter(|package| metadata.workspace_members.contains(&package.id));
    let mut crates = BTreeMap::new();
    for package in ours {
        let named = package.dependencies.iter().filter(|named| wanted(named));
        crates.insert(
            package.name.as_str(),
            named.map(|named| named.name.as_str()).collect(),
        );
    }
    crates
}

/// Everything that `package` links, with the features that it asks for itself: built together with the rest, some of its
/// dependencies get more of them, which is not its doing (`cargo metadata` knows only that view).
fn linked(package: &str) -> Result<BTreeSet<String>> {
    let lines = cargo(&[
        "tree",
        "--locked",
        "--edges",
        "normal",
        "--prefix",
        "none",
        "--package",
        package,
    ])?;
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
    for (package, uses) in direct(&metadata, |_| true) {
        let allowed = rules.get(package);
        let allowed =
            allowed.with_context(|| format!("{package} has no place in the layers: name it in MAY_USE"))?;
        for used in uses.iter().filter(|used| rules.contains_key(*used)) {
            assert!(
                allowed.contains(used),
                "{package} may not use {used}, only {allowed:?}"
            );
        }
    }
    Ok(())
}

#[test]
fn the_kit_uses_nothing_of_the_product() -> Result<()> {
    let metadata = metadata()?;
    let normal = direct(&metadata, |named| named.kind.is_none());
    let ours: BTreeSet<_> = MAY_USE.iter().map(|(name, _)| *name).collect();
    let used: Vec<_> = normal["testkit"].intersection(&ours).collect();
    assert!(
        used.is_empty(),
        "testkit links {used:?}: a shared mistake would hide itself"
    );
    Ok(())
}

#[test]
fn pure_crates_reach_no_runtime_no_database_and_no_engine() -> Result<()> {
    for (pure, engine) in [
        ("ledger", &[][..]),
        ("nearest", &[]),
        ("consensus", &ENGINE_TYPES),
    ] {
        for name in linked(pure)? {
            let foreign = name.starts_with(ENGINE) && !engine.contains(&name.as_str());
            let impure = IMPURE.contains(&name.as_str()) || foreign;
            assert!(
                !impure,
                "{pure} is pure, but links {name}: see `cargo tree -e normal -p {pure} -i {name}`"
            );
        }
    }
    Ok(())
}

#[test]
fn only_chain_and_consensus_name_the_engine() -> Result<()> {
    let metadata = metadata()?;
    for (package, uses) in direct(&metadata, |_| true) {
        let engine: Vec<_> = uses.iter().filter(|used| used.starts_with(ENGINE)).collect();
        assert_eq!(
            NAME_THE_ENGINE.contains(&package),
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
        versions.insert(package.version.clone());
    }
    assert_eq!(
        versions.len(),
        1,
        "the engine's crates share their inner types: {versions:?}"
    );
    Ok(())
}

/// What tests add to a library's features compiles it, and all that stands on it, a second time: minutes of a cold build.
#[test]
fn tests_compile_no_library_anew() -> Result<()> {
    let built = |edges| -> Result<BTreeSet<String>> {
        let whole = [
            "tree",
            "--locked",
            "--workspace",
            "--target",
            TARGET,
            "--edges",
            edges,
        ];
        let lines = cargo(&[&whole[..], &["--prefix", "none", "--format", "{p} with {f}"]].concat())?;
        Ok(lines
            .lines()
            .map(|line| line.trim_end_matches(" (*)").to_owned())
            .collect())
    };
    let (program, tested) = (built("normal,build")?, built("normal,build,dev")?);
    let anew: Vec<_> = program.difference(&tested).collect();
    assert!(
        anew.is_empty(),
        "tests ask for other features of these than the program does: {anew:?}"
    );
    Ok(())
}
