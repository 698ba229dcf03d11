//! Rules about what the workspace is built from, read from `Cargo.lock`: what stays out altogether, what each crate
//! must not reach even through others, and that no crate comes in two versions unnoticed.

use crate::expect_none;
use crate::tree::top;
use std::collections::{BTreeMap, BTreeSet};

/// One TLS provider (ring), no C library beside SQLite.
const FORBIDDEN: [&str; 6] =
    ["openssl", "openssl-sys", "aws-lc-rs", "aws-lc-sys", "native-tls", "async-trait"];

/// The borders of `ARCHITECTURE.md`: crate, and what must not be reachable from it.
const BORDERS: [(&str, &[&str]); 6] = [
    ("ensemble-model", &["tokio", "axum", "sqlx", "libcontainer", "reqwest", "jiff", "ensemble-wire"]),
    ("ensemble-wire", &["tokio", "axum", "sqlx", "libcontainer", "reqwest", "hyper", "ensemble-model"]),
    (
        "ensemble-supervision",
        &["tokio", "libcontainer", "nix", "rtnetlink", "oci-spec", "reqwest", "ensemble-wire"],
    ),
    ("ensemble-engine", &["axum", "sqlx", "ensemble-wire", "ensemble-server"]),
    ("ensemble-server", &["clap", "indicatif"]),
    ("hello-edge", &["tokio", "reqwest", "ensemble-model"]),
];

/// Crates that others bring in several versions today. A shorter list is welcome; a new name needs a reason.
const DUPLICATES_ALLOWED: [&str; 15] = [
    "base64",
    "cpufeatures",
    "getrandom",
    "hashbrown",
    "linux-raw-sys",
    "netlink-packet-core",
    "netlink-packet-route",
    "netlink-sys",
    "nix",
    "rand_core",
    "rustix",
    "syn",
    "thiserror",
    "thiserror-impl",
    "windows-sys",
];

#[test]
fn nothing_forbidden_is_built() {
    let lock = Lock::read();

    let found: Vec<String> = FORBIDDEN
        .iter()
        .filter(|name| lock.versions.contains_key(**name))
        .map(|name| (*name).to_owned())
        .collect();

    expect_none("these crates stay out of Cargo.lock", &found);
}

#[test]
fn no_crate_reaches_across_its_border() {
    let lock = Lock::read();
    let mut found = Vec::new();

    for (name, forbidden) in BORDERS {
        assert!(lock.versions.contains_key(name), "`{name}` is not in Cargo.lock");
        let reached = lock.reached_from(name);
        found.extend(
            forbidden
                .iter()
                .filter(|other| reached.contains(**other))
                .map(|other| format!("{name} → {other}")),
        );
    }

    expect_none("a crate depends on something beyond its border, itself or through others", &found);
}

#[test]
fn no_crate_comes_in_two_versions_unnoticed() {
    let lock = Lock::read();

    let found: Vec<String> = lock
        .versions
        .iter()
        .filter(|(name, versions)| versions.len() > 1 && !DUPLICATES_ALLOWED.contains(&name.as_str()))
        .map(|(name, versions)| {
            format!("{name}: {}", versions.iter().cloned().collect::<Vec<_>>().join(", "))
        })
        .collect();

    expect_none(
        "a new duplicate: align the versions, or add it to `DUPLICATES_ALLOWED` with a reason",
        &found,
    );
}

#[test]
fn the_list_of_duplicates_has_no_entry_that_is_gone() {
    let lock = Lock::read();

    let found: Vec<String> = DUPLICATES_ALLOWED
        .iter()
        .filter(|name| lock.versions.get(**name).is_none_or(|versions| versions.len() < 2))
        .map(|name| (*name).to_owned())
        .collect();

    expect_none("no longer a duplicate: take it off `DUPLICATES_ALLOWED`", &found);
}

struct Lock {
    versions: BTreeMap<String, BTreeSet<String>>,
    /// Name to names; where a crate has several versions, what any of them needs.
    needs: BTreeMap<String, BTreeSet<String>>,
}

impl Lock {
    fn read() -> Self {
        let text = std::fs::read_to_string(top().join("Cargo.lock")).expect("Cargo.lock is committed");
        let document: toml::Table = text.parse().expect("Cargo.lock is TOML");
        let mut lock = Self { versions: BTreeMap::new(), needs: BTreeMap::new() };
        for package in document["package"].as_array().expect("Cargo.lock lists packages") {
            let name = package["name"].as_str().expect("a package has a name").to_owned();
            let version = package["version"].as_str().expect("a package has a version").to_owned();
            lock.versions.entry(name.clone()).or_default().insert(version);
            let needs = package.get("dependencies").and_then(toml::Value::as_array).into_iter().flatten();
            // An entry is `name`, or `name version` where there are several.
            let names = needs.filter_map(|need| need.as_str()?.split(' ').next().map(str::to_owned));
            lock.needs.entry(name).or_default().extend(names);
        }
        lock
    }

    fn reached_from(&self, start: &str) -> BTreeSet<&str> {
        let mut reached = BTreeSet::new();
        let mut next = vec![start];
        while let Some(name) = next.pop() {
            for need in self.needs.get(name).into_iter().flatten() {
                if reached.insert(need.as_str()) {
                    next.push(need);
                }
            }
        }
        reached
    }
}
