//! What may be linked: the bans and licences of `deny.toml`, read from that file, so that there is one list.

use cargo_metadata::{Metadata, semver::Version};
use serde::Deserialize;

/// What is read of `deny.toml`. A key that this test would ignore is an error.
#[derive(Debug, Deserialize)]
pub(crate) struct Policy {
    bans: Bans,
    licenses: Licences,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Bans {
    deny: Vec<Ban>,
    #[serde(rename = "multiple-versions")]
    _multiple_versions: String,
    #[serde(rename = "wildcards")]
    _wildcards: String,
    #[serde(rename = "allow-wildcard-paths")]
    _allow_wildcard_paths: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
    reason: String,
    /// Who may use it nevertheless, directly.
    #[serde(default)]
    wrappers: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Licences {
    allow: Vec<String>,
}

/// One package of the resolved graph, on any platform and by any kind of edge.
#[derive(Debug)]
pub(crate) struct Package {
    name: String,
    licence: Option<String>,
    rust_version: Option<Version>,
    used_by: Vec<String>,
}

/// Every package that the lock file can bring in.
pub(crate) fn packages(metadata: &Metadata) -> Vec<Package> {
    let nodes = metadata.resolve.iter().flat_map(|resolve| &resolve.nodes);
    let nodes: Vec<_> = nodes.collect();
    let describe = |package: &cargo_metadata::Package| Package {
        name: package.name.to_string(),
        licence: package.license.clone(),
        rust_version: package.rust_version.clone(),
        used_by: nodes
            .iter()
            .filter(|node| node.dependencies.contains(&package.id))
            .map(|node| metadata[&node.id].name.to_string())
            .collect(),
    };
    metadata.packages.iter().map(describe).collect()
}

impl Policy {
    /// Reads the text of `deny.toml`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let policy: Self = toml::from_str(text).map_err(|error| format!("deny.toml: {error}"))?;
        if policy.bans.deny.is_empty() || policy.licenses.allow.is_empty() {
            return Err("deny.toml: an empty list allows everything".to_owned());
        }
        Ok(policy)
    }

    /// The packages that are banned by name.
    pub(crate) fn banned(&self, packages: &[Package]) -> Vec<String> {
        let mut breaches = Vec::new();
        for package in packages {
            for ban in self.bans.deny.iter().filter(|ban| ban.name == package.name) {
                let users = package.used_by.iter();
                let users: Vec<_> = users.filter(|it| !ban.wrappers.contains(it)).collect();
                // A package that nobody uses is a ban's breach, too, unless it may be used.
                if users.is_empty() && !ban.wrappers.is_empty() {
                    continue;
                }
                let users: Vec<_> = users.into_iter().map(String::as_str).collect();
                breaches.push(format!(
                    "{} is banned ({}); used by {}",
                    ban.name,
                    ban.reason,
                    users.join(", ")
                ));
            }
        }
        breaches
    }

    /// The packages whose licence expression cannot be met from the list.
    pub(crate) fn licences(&self, packages: &[Package]) -> Vec<String> {
        let refused = packages.iter().filter(|package| !self.allows(package));
        refused
            .map(|package| format!("{}: licence {:?}", package.name, package.licence))
            .collect()
    }

    fn allows(&self, package: &Package) -> bool {
        let Some(licence) = &package.licence else {
            return false;
        };
        spdx::Expression::parse_mode(licence, spdx::ParseMode::LAX).is_ok_and(|expression| {
            expression.evaluate(|part| self.licenses.allow.contains(&part.to_string()))
        })
    }
}

/// The packages that ask for a newer Rust than we promise to build with.
pub(crate) fn too_new(packages: &[Package], promised: &Version) -> Vec<String> {
    let newer = packages.iter().filter_map(|package| {
        let needed = package
            .rust_version
            .as_ref()
            .filter(|needed| *needed > promised)?;
        Some(format!(
            "{} needs Rust {needed}, we promise {promised}",
            package.name
        ))
    });
    newer.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
        [bans]
        multiple-versions = "warn"
        wildcards = "deny"
        allow-wildcard-paths = true
        deny = [{ crate = "openssl", reason = "a C library" }]
        [licenses]
        allow = ["MIT", "Unicode-3.0"]
    "#;

    fn package(name: &str, licence: Option<&str>) -> Package {
        let licence = licence.map(str::to_owned);
        Package {
            name: name.into(),
            licence,
            rust_version: Some(Version::new(1, 90, 0)),
            used_by: vec!["mq-core".into()],
        }
    }

    #[test]
    fn a_banned_crate_is_named_with_its_user() {
        let policy = Policy::parse(TEXT).unwrap();
        let breaches = policy.banned(&[package("openssl", None), package("serde", None)]);
        assert_eq!(
            breaches,
            ["openssl is banned (a C library); used by mq-core"]
        );
    }

    #[test]
    fn a_wrapper_may_use_a_banned_crate_and_nobody_else() {
        let wrapped = r#"reason = "a C library", wrappers = ["mq-core"]"#;
        let text = TEXT.replace(r#"reason = "a C library""#, wrapped);
        let policy = Policy::parse(&text).unwrap();
        let mut openssl = package("openssl", None);
        assert!(policy.banned(std::slice::from_ref(&openssl)).is_empty());
        openssl.used_by.push("mq-dev".into());
        assert_eq!(
            policy.banned(&[openssl]),
            ["openssl is banned (a C library); used by mq-dev"]
        );
    }

    #[test]
    fn licences_are_read_as_expressions() {
        let policy = Policy::parse(TEXT).unwrap();
        for (licence, allowed) in [
            (Some("MIT"), true),
            (Some("MIT OR GPL-3.0"), true),
            (Some("MIT/Apache-2.0"), true),
            (Some("(MIT OR Apache-2.0) AND Unicode-3.0"), true),
            (Some("MIT AND GPL-3.0"), false),
            (Some("Apache-2.0"), false),
            (Some("my own"), false),
            (None, false),
        ] {
            let refused = policy.licences(&[package("x", licence)]);
            assert_eq!(refused.is_empty(), allowed, "{licence:?}");
        }
    }

    #[test]
    fn a_list_that_allows_everything_is_refused() {
        for (from, to) in [
            (r#"[{ crate = "openssl", reason = "a C library" }]"#, "[]"),
            (r#"["MIT", "Unicode-3.0"]"#, "[]"),
            (
                r"allow = [",
                r"exceptions = []
                allow = [",
            ),
        ] {
            let text = TEXT.replace(from, to);
            assert_ne!(text, TEXT);
            Policy::parse(&text).unwrap_err();
        }
    }

    #[test]
    fn a_dependency_newer_than_our_promise_is_named() {
        let packages = [package("x", None)];
        assert_eq!(too_new(&packages, &Version::new(1, 88, 0)).len(), 1);
        assert_eq!(too_new(&packages, &Version::new(1, 90, 0)).len(), 0);
    }
}
