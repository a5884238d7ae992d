//! Every dependency on every platform has a licence and a source that `deny.toml` allows, and none is banned there.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use spdx::{Expression, ParseMode};
use toml::{Table, Value};

/// `ring`, `zlib` and the like are of both: a list that is far shorter was read wrongly.
const FEWEST: usize = 300;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn deny() -> Table {
    let text = fs::read_to_string(root().join("deny.toml")).expect("deny.toml");
    text.parse().expect("a table")
}

fn texts<'a>(value: &'a Value, key: &str) -> Vec<&'a str> {
    let entries = value.get(key).and_then(Value::as_array).unwrap_or_else(|| panic!("no list {key}"));
    entries.iter().map(|entry| entry.as_str().expect("a text")).collect()
}

/// The value of `key` of each table of the list `list`.
fn of_each<'a>(value: &'a Value, list: &str, key: &str) -> Vec<(&'a str, &'a Value)> {
    let entries = value.get(list).and_then(Value::as_array).unwrap_or_else(|| panic!("no list {list}"));
    entries.iter().map(|entry| (entry[key].as_str().expect("a text"), entry)).collect()
}

/// Names and licences of all dependencies that are built, on this platform or all.
fn dependencies(target: Option<&str>) -> Option<BTreeMap<String, String>> {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(root()).args(["tree", "--offline", "--locked", "--workspace", "--prefix", "none"]);
    command
        .args(["--format", "{l}|{p}"])
        .args(target.map(|target| ["--target", target]).into_iter().flatten());
    let output = command.output().expect("cargo");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let line = |line: &str| {
        let (licence, package) = line.split_once('|')?;
        Some((package.split(' ').next()?.to_owned(), licence.to_owned()))
    };
    output.status.success().then(|| text.lines().filter_map(line).collect())
}

#[test]
fn licences_are_allowed() {
    let deny = deny();
    let (licences, bans) = (&deny["licenses"], &deny["bans"]);
    let allowed = texts(licences, "allow");
    let exceptions: BTreeMap<_, _> = of_each(licences, "exceptions", "crate").into_iter().collect();
    let banned: BTreeSet<_> = of_each(bans, "deny", "crate").into_iter().map(|(name, _)| name).collect();
    let all = dependencies(Some("all")).unwrap_or_else(|| {
        // What other platforms use is not downloaded here; `cargo fetch` does that.
        testkit::report_skip("other platforms", "their crates are not downloaded");
        dependencies(None).expect("what was built from")
    });
    assert!(all.len() > FEWEST, "only {} crates", all.len());
    for (name, licence) in &all {
        assert!(!banned.contains(name.as_str()), "{name} is banned");
        let expression = Expression::parse_mode(licence, ParseMode::LAX);
        let expression = expression.unwrap_or_else(|error| panic!("{name}: `{licence}`: {error}"));
        let own = exceptions.get(name.as_str()).map(|entry| texts(entry, "allow")).unwrap_or_default();
        let good = expression.evaluate(|part| {
            let text = part.to_string();
            allowed.contains(&text.as_str()) || own.contains(&text.as_str())
        });
        assert!(good, "{name}: {licence} is not allowed by deny.toml");
    }
    for name in exceptions.keys() {
        assert!(all.contains_key(*name), "the exception for {name} is not needed");
    }
}

#[test]
fn every_crate_comes_from_the_registry() {
    let allowed = &deny()["sources"];
    let allowed: Vec<_> =
        texts(allowed, "allow-registry").into_iter().map(|address| format!("registry+{address}")).collect();
    for lock in ["Cargo.lock", "kernels-cubecl/lowering/Cargo.lock"] {
        let text = fs::read_to_string(root().join(lock)).expect(lock);
        let table: Table = text.parse().expect("a table");
        for package in table["package"].as_array().expect("packages") {
            if let Some(source) = package.get("source") {
                let source = source.as_str().expect("a text").to_owned();
                assert!(allowed.contains(&source), "{lock}: {} comes from {source}", package["name"]);
            }
        }
    }
}
