//! Pulsar's official client for Java as a program that is asked one call after the other; and those for Java, Python and Go as commands, which
//! send and receive.
//!
//! ```text
//!   Peer::Python.topic(url, topic).batch(10).send(&messages) ─► venv/bin/python main.py send --batch 10 … ─► JSON lines ─► Vec<Place>
//!
//!   Session::start(url, options) ─► {"Action": "Send", …} ─► pulsar-client ─► broker
//!                          ◄─ {"code": 0, "ids": […]} ◄─────────┘
//! ```

use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio::process::Command;

use super::Failure;
use super::asked::Asked;
use super::build::{self, JAVA, MAVEN, Recipe};

mod once;

pub use self::once::{Call, Content, Peer, Place, Receiving, Seen};

/// `org.apache.pulsar:pulsar-client` of Maven Central. Unmodified, and pinned.
pub const VERSION: &str = "4.0.8";

/// Where the fixtures of mq-pulsar are checked in that were recorded from it.
pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/mq-pulsar/tests/fixtures/java")
}

/// Builds it, if this machine has not built these sources yet, and says where it is. Needs JDK 17 and Maven.
///
/// # Errors
/// [`Failure::Build`].
pub async fn build() -> Result<PathBuf, Failure> {
    build::build(RECIPE).await
}

/// A running client. Dropped, its process is killed, which nobody tells the broker.
#[derive(Debug)]
pub struct Session {
    theirs: Asked,
}

impl Session {
    /// Starts a client of the broker of this URL; `options` are those of `foreign/pulsar-java`'s `Main`: a listener's name, files of a token and of
    /// a CA.
    ///
    /// # Errors
    /// [`Failure::Build`].
    pub async fn start(url: &str, options: &[&str]) -> Result<Self, Failure> {
        let mut command = java(&build().await?);
        command.args(["--url", url]).args(options);
        let theirs = Asked::start("Pulsar's Java client", command)?;
        Ok(Self { theirs })
    }

    /// Asks for an action, with parameters in a JSON object. See `foreign/pulsar-java`'s `Calls` for what there is.
    ///
    /// # Errors
    /// [`Failure::Failed`] with what the client says; [`Failure::TimedOut`], [`Failure::Output`].
    pub async fn call(&mut self, action: &str, params: Value) -> Result<Value, Failure> {
        self.theirs.call(action, params).await
    }
}

fn java(built: &Path) -> Command {
    let mut command = Command::new("java");
    command
        .args(JAVA)
        .args(["-cp", "target/foreign-pulsar-java.jar:target/lib/*"])
        .arg("mq.foreign.pulsar.Main")
        .current_dir(built);
    command
}

const RECIPE: Recipe = Recipe {
    name: "pulsar-java",
    steps: &[MAVEN],
};
