//! Rules of the house: which crate may use which, and what a golden file is.

use std::{collections::BTreeMap, fs, path::Path};

use cargo_metadata::{Dependency, DependencyKind, Metadata, MetadataCommand, Package};

/// Floor of each crate; a crate uses crates of lower floors only.
const FLOORS: [(&str, usize); 6] = [
    ("wan-kernels", 0),
    ("wan-model", 1),
    ("wan-import", 2),
    ("wan-pipeline", 3),
    // Below the command, which runs the measurements.
    ("wan-benches", 4),
    ("wan-cli", 5),
];

/// The crate of test helpers, outside the house.
const TESTKIT: &str = "testkit";

/// Front-end and file crates, and the floors that take tensors and give tensors.
const NO_FRONT_END: [&str; 2] = ["wan-kernels", "wan-model"];
const FRONT_END: [&str; 4] = ["clap", "image", "indicatif", "memmap2"];

/// Largest golden file.
const GOLDEN_BYTES: u64 = 1 << 20;

#[test]
fn every_crate_has_a_floor() {
    let metadata = workspace();
    let floors = BTreeMap::from(FLOORS);
    for package in metadata.workspace_packages() {
        let name = package.name.as_str();
        assert!(name == TESTKIT || floors.contains_key(name), "{name} has no floor");
    }
    assert_eq!(metadata.workspace_packages().len(), FLOORS.len() + 1);
}

#[test]
fn crates_use_lower_floors_only() {
    let metadata = workspace();
    let floors = BTreeMap::from(FLOORS);
    for (name, floor) in FLOORS {
        for used in dependencies(package(&metadata, name), |kind| kind != DependencyKind::Development) {
            let below = floors.get(used.name.as_str()).is_none_or(|&other| other < floor);
            assert!(below, "{name} (floor {floor}) uses {}", used.name);
        }
    }
}

#[test]
fn the_test_kit_is_for_tests_and_knows_no_model() {
    let metadata = workspace();
    for (name, _) in FLOORS {
        let mut used = dependencies(package(&metadata, name), |kind| kind != DependencyKind::Development);
        assert!(used.all(|used| used.name != TESTKIT), "{name} uses {TESTKIT} outside its tests");
    }
    for used in dependencies(package(&metadata, TESTKIT), |_| true) {
        assert!(!used.name.starts_with("wan-"), "{TESTKIT} uses {}", used.name);
    }
}

#[test]
fn networks_know_no_files_and_no_terminal() {
    let metadata = workspace();
    for name in NO_FRONT_END {
        for used in dependencies(package(&metadata, name), |kind| kind != DependencyKind::Development) {
            assert!(!FRONT_END.contains(&used.name.as_str()), "{name} uses {}", used.name);
        }
    }
}

#[test]
fn goldens_are_small_and_have_a_script() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let scripts: Vec<String> = files(&here.join("reference"), "py")
        .map(|path| fs::read_to_string(path).expect("a readable script"))
        .collect();
    for golden in files(&here.join("goldens"), "safetensors") {
        let bytes = fs::metadata(&golden).expect("golden metadata").len();
        assert!(bytes < GOLDEN_BYTES, "{} has {bytes} bytes", golden.display());
        let name = golden.file_stem().and_then(|stem| stem.to_str()).expect("a UTF-8 name");
        let quoted = format!("\"{name}\"");
        assert!(
            scripts.iter().any(|script| script.contains(&quoted)),
            "no script in tests/reference names {quoted}"
        );
    }
}

fn workspace() -> Metadata {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    let mut command = MetadataCommand::new();
    command.manifest_path(manifest).no_deps().other_options(["--offline".to_owned()]);
    command.exec().expect("cargo metadata of the workspace")
}

fn package<'a>(metadata: &'a Metadata, name: &str) -> &'a Package {
    metadata
        .workspace_packages()
        .into_iter()
        .find(|package| package.name.as_str() == name)
        .unwrap_or_else(|| panic!("no crate {name}"))
}

fn dependencies(package: &Package, wanted: fn(DependencyKind) -> bool) -> impl Iterator<Item = &Dependency> {
    package.dependencies.iter().filter(move |dependency| wanted(dependency.kind))
}

fn files(folder: &Path, extension: &'static str) -> impl Iterator<Item = std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let paths = entries.map(|entry| entry.expect("a directory entry").path());
    paths.filter(move |path| path.extension().is_some_and(|e| e == extension))
}
