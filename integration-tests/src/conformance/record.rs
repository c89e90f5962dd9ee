//! How a test ended, kept in a file for `docs/flows.md`.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What a test ran against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// The dev broker of this workspace.
    Dev,
    /// A real broker.
    Real,
    /// An official client, over a real broker.
    Foreign,
}

/// How a test ended.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ended {
    /// The crate that was tested.
    #[serde(rename = "crate")]
    pub subject: String,
    /// The flow, as the table names it.
    pub flow: String,
    /// What is promised.
    pub promise: String,
    /// What it ran against.
    pub tier: Tier,
    /// The test's name.
    pub test: String,
    /// Of the broker or the foreign client.
    pub version: String,
    /// Whether the promise was kept.
    pub passed: bool,
}

/// A test that runs. Dropped without [`passed`](Self::passed), as a panic does, it is written down as failed.
#[derive(Debug)]
#[must_use = "a record that is dropped is a failure"]
pub struct Record(Ended);

impl Record {
    /// A test begins, against a real broker of unknown version if nothing else is said.
    pub fn begin(test: &str, subject: &str, flow: &str, promise: &str) -> Self {
        Self(Ended {
            subject: subject.to_owned(),
            flow: flow.to_owned(),
            promise: promise.to_owned(),
            tier: Tier::Real,
            test: test.to_owned(),
            version: "unknown".to_owned(),
            passed: false,
        })
    }

    /// What it runs against.
    pub const fn tier(mut self, tier: Tier) -> Self {
        self.0.tier = tier;
        self
    }

    /// Which version of it.
    pub fn version(mut self, version: &str) -> Self {
        version.clone_into(&mut self.0.version);
        self
    }

    /// The test has passed.
    pub fn passed(mut self) {
        self.0.passed = true;
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let dir = results();
        let path = dir.join(format!("{}@{}.json", self.0.test, self.0.version));
        let text = serde_json::to_string_pretty(&self.0).unwrap_or_default();
        // A result that can't be kept is no reason to fail: it is missing in the table, which shows.
        let _ = fs::create_dir_all(&dir).and_then(|()| fs::write(path, text));
    }
}

/// Every result there is, sorted.
///
/// # Errors
/// If the directory can't be read, or a file in it is no result.
pub fn read_all() -> std::io::Result<Vec<Ended>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(results())? {
        let path = entry?.path();
        if path.extension().is_some_and(|kind| kind == "json") {
            all.push(serde_json::from_str(&fs::read_to_string(path)?)?);
        }
    }
    all.sort();
    Ok(all)
}

/// Where the results are: beside the build's other products, since they are no sources.
pub fn results() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    target
        .unwrap_or_else(|| workspace.join("target"))
        .join("flows")
}
