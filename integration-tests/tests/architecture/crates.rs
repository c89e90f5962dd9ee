//! What each crate owes its readers: licence, changelog, README, one Rust version, the shared lints.

use cargo_metadata::{Metadata, MetadataCommand, semver::Version};

use crate::{graph::is_protocol, tree};

/// The oldest Rust that the workspace promises to build with.
pub(crate) const RUST_VERSION: Version = Version::new(1, 88, 0);

/// The whole graph, for every platform, as the lock file has it.
pub(crate) fn metadata() -> Result<Metadata, String> {
    MetadataCommand::new()
        .manifest_path(tree::root().join("Cargo.toml"))
        .other_options(["--locked".to_owned()])
        .exec()
        .map_err(|error| {
            format!("cargo metadata --locked (`cargo fetch` brings what it needs): {error}")
        })
}

/// What a member's directory says about it.
#[derive(Debug)]
pub(crate) struct Crate {
    name: String,
    published: bool,
    licence: Option<String>,
    rust_version: Option<Version>,
    shared_lints: bool,
    files: Vec<String>,
    /// The text of `src/lib.rs`.
    library: String,
}

/// Describes every member.
pub(crate) fn describe(metadata: &Metadata) -> Result<Vec<Crate>, String> {
    let root = tree::root();
    let mut crates = Vec::new();
    for package in metadata.workspace_packages() {
        let text = std::fs::read_to_string(&package.manifest_path)
            .map_err(|error| format!("{}: {error}", package.manifest_path))?;
        let manifest: toml::Table = toml::from_str(&text).map_err(|error| error.to_string())?;
        let lints = manifest
            .get("lints")
            .and_then(|lints| lints.get("workspace"));
        let directory = package
            .manifest_path
            .parent()
            .map_or(root.as_path(), AsRef::as_ref);
        let has = |file: &&str| directory.join(file).is_file();
        crates.push(Crate {
            name: package.name.to_string(),
            // `publish = false` is an empty list of registries.
            published: package.publish.is_none(),
            licence: package.license.clone(),
            rust_version: package.rust_version.clone(),
            shared_lints: lints.and_then(toml::Value::as_bool) == Some(true),
            files: FILES
                .iter()
                .filter(|file| has(file))
                .map(|file| (*file).to_owned())
                .collect(),
            library: std::fs::read_to_string(directory.join("src/lib.rs")).unwrap_or_default(),
        });
    }
    Ok(crates)
}

/// What is missing, by crate.
pub(crate) fn breaches(crates: &[Crate]) -> Vec<String> {
    let mut breaches = Vec::new();
    for it in crates {
        let mut owes = |met: bool, what: &str| {
            if !met {
                breaches.push(format!("{}: {what}", it.name));
            }
        };
        owes(
            it.licence.as_deref() == Some("MIT OR Apache-2.0"),
            "license is not MIT OR Apache-2.0",
        );
        owes(
            it.rust_version == Some(RUST_VERSION),
            "rust-version is not 1.88",
        );
        owes(it.shared_lints, "no `[lints] workspace = true`");
        if it.published {
            for file in FILES {
                owes(
                    it.files.iter().any(|have| have == file),
                    &format!("no {file}"),
                );
            }
        }
        if is_protocol(&it.name) {
            owes(
                it.library.contains(INCLUDED),
                "README.md is not the crate's documentation",
            );
        }
    }
    breaches
}

const FILES: &[&str] = &["README.md", "CHANGELOG.md"];
const INCLUDED: &str = "include_str!(\"../README.md\")";

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Crate {
        Crate {
            name: "mq-x".into(),
            published: true,
            licence: Some("MIT OR Apache-2.0".into()),
            rust_version: Some(RUST_VERSION),
            shared_lints: true,
            files: vec!["README.md".into(), "CHANGELOG.md".into()],
            library: "#![doc = include_str!(\"../README.md\")]".into(),
        }
    }

    #[test]
    fn a_good_crate_owes_nothing() {
        assert!(breaches(&[good()]).is_empty());
    }

    #[test]
    fn each_debt_is_named() {
        let older = Some(Version::new(1, 85, 0));
        for (bad, what) in [
            (
                Crate {
                    licence: None,
                    ..good()
                },
                "license",
            ),
            (
                Crate {
                    rust_version: older,
                    ..good()
                },
                "rust-version",
            ),
            (
                Crate {
                    shared_lints: false,
                    ..good()
                },
                "lints",
            ),
            (
                Crate {
                    files: vec!["README.md".into()],
                    ..good()
                },
                "CHANGELOG",
            ),
            (
                Crate {
                    files: vec!["CHANGELOG.md".into()],
                    ..good()
                },
                "README",
            ),
            (
                Crate {
                    library: "//! placeholder".into(),
                    ..good()
                },
                "documentation",
            ),
        ] {
            let breaches = breaches(&[bad]);
            assert!(
                breaches.len() == 1 && breaches[0].contains(what),
                "{what}: {breaches:?}"
            );
        }
    }

    #[test]
    fn only_a_protocol_crate_is_documented_by_its_readme() {
        let core = Crate {
            name: "mq-core".into(),
            library: String::new(),
            ..good()
        };
        assert!(breaches(&[core]).is_empty());
    }

    #[test]
    fn an_unpublished_crate_owes_no_changelog() {
        let bare = Crate {
            name: "examples".into(),
            published: false,
            files: vec![],
            ..good()
        };
        assert!(breaches(&[bare]).is_empty());
    }
}
