//! Every example is registered, short, and described.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use integration_tests::examples::{NEEDS, Section, sections};

#[test]
fn every_example_has_a_section_and_every_section_an_example() {
    let said: BTreeSet<_> = described()
        .into_iter()
        .map(|section| (section.name, section.source))
        .collect();
    assert!(said.len() >= 4, "{said:?}");
    assert_eq!(said, registered());
}

#[test]
fn every_source_is_registered_and_at_most_60_lines_long() {
    let known: BTreeSet<_> = registered().into_iter().map(|(_, path)| path).collect();
    let mut found = BTreeSet::new();
    for protocol in ["amqp", "cmq", "pulsar", "rocketmq"] {
        for entry in std::fs::read_dir(directory().join(protocol)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                let lines = std::fs::read_to_string(&path).unwrap().lines().count();
                assert!(lines <= 60, "{}: {lines} lines", path.display());
                let name = path.file_name().unwrap().to_str().unwrap();
                found.insert(format!("{protocol}/{name}"));
            }
        }
    }
    assert_eq!(found, known);
}

#[test]
fn the_table_of_needs_names_examples() {
    let known: BTreeSet<_> = registered().into_iter().map(|(name, _)| name).collect();
    for (name, _) in NEEDS {
        assert!(known.contains(*name), "{name} is no example");
    }
}

fn described() -> Vec<Section> {
    let readme = std::fs::read_to_string(directory().join("README.md")).unwrap();
    sections(&readme).unwrap()
}

/// Name and source of each.
fn registered() -> BTreeSet<(String, String)> {
    let manifest = std::fs::read_to_string(directory().join("Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    let text = |example: &toml::Value, key: &str| example[key].as_str().unwrap().to_owned();
    let examples = manifest["example"].as_array().unwrap();
    examples
        .iter()
        .map(|example| (text(example, "name"), text(example, "path")))
        .collect()
}

fn directory() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap().join("examples")
}
