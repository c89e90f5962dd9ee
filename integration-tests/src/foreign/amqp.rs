//! pika and RabbitMQ's own client for Java as programs that are asked one call after the other.
//!
//! ```text
//!   Peer::Pika.start(url, name) ─► Session ─► {"Action": "Publish", …} ─► pika ─► AMQP 0-9-1
//!                                     ◄─ {"code": 0, "outcome": "ack"} ◄────┘
//! ```

use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio::process::Command;

use super::Failure;
use super::asked::Asked;
use super::build::{self, JAVA, MAVEN, PIP, Recipe, VENV};

mod script;
mod values;

pub use self::script::{HEADERS, PROPERTIES, QUEUE, play};
pub use self::values::{Seen, properties, sorted, table};

/// A client of RabbitMQ that is not ours. Unmodified, and pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Peer {
    /// `pika` 1.4.4 of `PyPI`, its blocking connection. Needs Python 3 with venv.
    Pika,
    /// `com.rabbitmq:amqp-client` 5.37.0 of Maven Central. Needs JDK 17 and Maven.
    Java,
}

impl Peer {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Pika, Self::Java];

    /// Name and version, as tables show them.
    pub const fn version(self) -> &'static str {
        match self {
            Self::Pika => "pika 1.4.4",
            Self::Java => "Java client 5.37.0",
        }
    }

    /// What it puts before the requests that it answers.
    pub const fn greeting(self) -> &'static str {
        match self {
            Self::Pika => "pika: ",
            Self::Java => "java: ",
        }
    }

    /// Builds it, if this machine has not built these sources yet, and says where it is.
    ///
    /// # Errors
    /// [`Failure::Build`].
    pub async fn build(self) -> Result<PathBuf, Failure> {
        build::build(self.recipe()).await
    }

    /// Starts it with a connection of this name to the node of this URL.
    ///
    /// # Errors
    /// [`Failure::Build`].
    pub async fn start(self, url: &str, name: &str) -> Result<Session, Failure> {
        let built = self.build().await?;
        let mut command = self.command(&built);
        command
            .args(["--url", url, "--name", name])
            .current_dir(&built);
        let theirs = Asked::start(self.version(), command)?;
        Ok(Session { theirs })
    }

    /// Where its fixtures are checked in.
    pub fn fixtures(self) -> PathBuf {
        fixtures().join(match self {
            Self::Pika => "pika-1.4.4",
            Self::Java => "java-5.37.0",
        })
    }

    const fn recipe(self) -> Recipe {
        let (name, steps): (_, &[&[&str]]) = match self {
            Self::Pika => ("amqp-python", &[VENV, PIP]),
            Self::Java => ("amqp-java", &[MAVEN]),
        };
        Recipe { name, steps }
    }

    fn command(self, built: &Path) -> Command {
        match self {
            Self::Pika => {
                let mut command = Command::new(built.join("venv/bin/python"));
                command.arg("main.py");
                command
            }
            Self::Java => {
                let mut command = Command::new("java");
                command
                    .args(JAVA)
                    .args(["-cp", "target/foreign-amqp-java.jar:target/lib/*"])
                    .arg("mq.foreign.amqp.Main");
                command
            }
        }
    }
}

/// Where the fixtures of mq-amqp are checked in.
pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/mq-amqp/tests/fixtures")
}

/// A running client. Dropped, its process is killed, which nobody tells the broker.
#[derive(Debug)]
pub struct Session {
    theirs: Asked,
}

impl Session {
    /// Asks for an action, with parameters in a JSON object. See `foreign/amqp-python/main.py` for what there is.
    ///
    /// # Errors
    /// [`Failure::Failed`] with the broker's reply code, or -1 for what was no answer of the broker's, or -2 for what the client has not got.
    /// [`Failure::TimedOut`], [`Failure::Output`].
    pub async fn call(&mut self, action: &str, params: Value) -> Result<Value, Failure> {
        self.theirs.call(action, params).await
    }
}
