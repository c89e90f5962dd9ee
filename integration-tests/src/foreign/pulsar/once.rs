//! The official clients as commands: each sends, or receives, and ends.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use tokio::process::Command;

use super::{RECIPE, java};
use crate::foreign::Failure;
use crate::foreign::build::{self, GO, PIP, Recipe, VENV};
use crate::foreign::running::{Running, parse};

/// A client of Pulsar that is not ours. Unmodified, and pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Peer {
    /// `org.apache.pulsar:pulsar-client` 4.0.8 of Maven Central. Needs JDK 17 and Maven.
    Java,
    /// `pulsar-client` 3.13.0 of `PyPI`. Needs Python 3 with venv. Nobody can choose how it hashes keys.
    Python,
    /// `github.com/apache/pulsar-client-go` v0.19.0. Needs Go 1.24. It has no null values, and shows what has no key as what has an empty one.
    Go,
}

impl Peer {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Java, Self::Python, Self::Go];

    /// Name and version, as tables show them.
    pub const fn version(self) -> &'static str {
        match self {
            Self::Java => "Java client 4.0.8",
            Self::Python => "Python client 3.13.0",
            Self::Go => "Go client v0.19.0",
        }
    }

    /// A call of this client for a topic of the broker of this URL, with 60 s for it.
    pub fn topic(self, url: &str, topic: &str) -> Call {
        let call = Call {
            peer: self,
            args: Vec::new(),
        };
        call.option("url", url).option("topic", topic)
    }

    /// Builds it, if this machine has not built these sources yet, and says where it is.
    ///
    /// # Errors
    /// [`Failure::Build`].
    pub async fn build(self) -> Result<PathBuf, Failure> {
        build::build(match self {
            Self::Java => RECIPE,
            Self::Python => Recipe {
                name: "pulsar-python",
                steps: &[VENV, PIP],
            },
            Self::Go => Recipe {
                name: "pulsar-go",
                steps: &[GO],
            },
        })
        .await
    }

    fn command(self, built: &Path) -> Command {
        match self {
            Self::Java => java(built),
            Self::Python => {
                let mut command = Command::new(built.join("venv/bin/python"));
                command.arg(built.join("main.py"));
                command
            }
            Self::Go => Command::new(built.join("foreign-go")),
        }
    }
}

/// What a client is asked to do. Options of the other direction are ignored by it.
#[derive(Debug, Clone)]
#[must_use = "a call does nothing until it sends or receives"]
pub struct Call {
    peer: Peer,
    args: Vec<String>,
}

impl Call {
    /// Send: as batches of so many.
    pub fn batch(self, messages: usize) -> Self {
        self.option("batch", messages.to_string())
    }

    /// Send: `lz4`, `zlib`, `zstd` or `snappy`. Default: none.
    pub fn compression(self, name: &str) -> Self {
        self.option("compression", name)
    }

    /// Send: keys become partitions by Murmur3, and not by the client's default. Not for Python.
    pub fn murmur3(self) -> Self {
        self.option("hash", "murmur3")
    }

    /// Receive: beside others.
    pub fn shared(self) -> Self {
        self.option("type", "shared")
    }

    /// Receive: how many messages it may hold that were not asked for yet.
    pub fn queue(self, messages: usize) -> Self {
        self.option("queue", messages.to_string())
    }

    /// Receive: acknowledges those of these numbers alone, in the order in which they come. Default: all.
    pub fn ack(self, numbers: &[usize]) -> Self {
        let numbers: Vec<_> = numbers.iter().map(ToString::to_string).collect();
        let none = numbers.is_empty();
        self.option(
            "ack",
            if none {
                "none".into()
            } else {
                numbers.join(",")
            },
        )
    }

    /// Receive: what is acknowledged of a batch is told to the broker before all of it is.
    pub fn batch_index(self) -> Self {
        self.option("batch-index", "true")
    }

    /// Receive: ends well when none came for so long.
    pub fn idle(self, time: Duration) -> Self {
        self.option("idle-ms", time.as_millis().to_string())
    }

    /// Sends, and answers where each is stored.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn send(self, messages: &[Content]) -> Result<Vec<Place>, Failure> {
        let text = serde_json::to_string(messages);
        let text = text.map_err(|error| Failure::Output(error.to_string()))?;
        let running = self.option("messages", text).start("send").await?;
        running.finish(DEADLINE).await
    }

    /// Receives so many messages of a subscription, which begins at the first if it is new.
    ///
    /// # Errors
    /// [`Failure`]; too few messages in time are [`Failure::TimedOut`].
    pub async fn recv(self, subscription: &str, count: usize) -> Result<Vec<Seen>, Failure> {
        let receiving = self.start_recv(subscription, count).await?;
        receiving.finish().await
    }

    /// Starts a consumer, and waits until it has subscribed.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn start_recv(self, subscription: &str, count: usize) -> Result<Receiving, Failure> {
        let call = self
            .option("subscription", subscription)
            .option("count", count.to_string());
        let mut running = call.start("recv").await?;
        running.ready(DEADLINE).await?;
        Ok(Receiving { running })
    }

    fn option(mut self, name: &str, value: impl Into<String>) -> Self {
        self.args.push(format!("--{name}"));
        self.args.push(value.into());
        self
    }

    async fn start(self, verb: &str) -> Result<Running, Failure> {
        let built = self.peer.build().await?;
        let mut command = self.peer.command(&built);
        command.arg(verb).args(&self.args);
        Running::start(format!("{} {verb}", self.peer.version()), command)
    }
}

/// A consumer that is up. Dropping it kills its process.
#[derive(Debug)]
pub struct Receiving {
    running: Running,
}

impl Receiving {
    /// Waits until it has received what it was asked for.
    ///
    /// # Errors
    /// [`Failure`]; too few messages in time are [`Failure::TimedOut`].
    pub async fn finish(self) -> Result<Vec<Seen>, Failure> {
        self.running.finish(DEADLINE).await
    }

    /// Kills the process as a crash would: nobody is told, and what it has not written is lost.
    ///
    /// # Errors
    /// [`Failure::Output`] if its output can't be read.
    pub async fn kill(mut self) -> Result<Vec<Seen>, Failure> {
        let killed = self.running.child.kill().await;
        killed.map_err(|error| Failure::Output(format!("kill: {error}")))?;
        parse(&self.running.lines().await)
    }
}

/// A message without its place: what is sent, and what of one that was received its sender has said.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Content {
    /// The body; `None`: it has no value.
    #[serde(serialize_with = "write_bytes", deserialize_with = "read_bytes")]
    pub value: Option<Vec<u8>>,
    /// The key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The ordering key.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "write_bytes",
        deserialize_with = "read_bytes"
    )]
    pub ordering_key: Option<Vec<u8>>,
    /// The properties.
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
    /// When it happened, in ms since 1970; 0: it does not say.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub event_time: u64,
}

impl Content {
    /// A message with this body and nothing else.
    pub fn new(body: impl Into<Vec<u8>>) -> Self {
        Self {
            value: Some(body.into()),
            ..Self::default()
        }
    }

    /// With this key.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// The body as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.value.as_deref().unwrap_or_default()).into_owned()
    }
}

/// Where a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Place {
    /// The ledger.
    pub ledger: u64,
    /// The entry.
    pub entry: u64,
    /// The partition, -1 of a topic without.
    pub partition: i32,
    /// The index inside the batch, -1 outside of one. Go's client says 0 of what it sent alone.
    pub batch_index: i32,
}

/// A message as a client received it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Seen {
    /// Where it is.
    #[serde(flatten)]
    pub place: Place,
    /// What it is.
    #[serde(flatten)]
    pub content: Content,
}

#[expect(clippy::ref_option, reason = "serde's signature")]
fn write_bytes<S: Serializer>(value: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
    value
        .as_ref()
        .map(|value| BASE64_STANDARD.encode(value))
        .serialize(serializer)
}

fn read_bytes<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<u8>>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    let bytes = text.map(|text| BASE64_STANDARD.decode(text)).transpose();
    bytes.map_err(de::Error::custom)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

const DEADLINE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_all_clients() {
        let line = r#"{"ledger":3,"entry":7,"partition":-1,"batch_index":2,"value":null,"key":null,"ordering_key":"AQ==",
            "properties":{"from":"München"},"event_time":5}"#;
        let seen: Seen = serde_json::from_str(line).unwrap();
        assert_eq!((seen.place.entry, seen.place.batch_index), (7, 2));
        assert_eq!((&seen.content.value, &seen.content.key), (&None, &None));
        assert_eq!(seen.content.ordering_key.as_deref(), Some(&[1][..]));
        let written = serde_json::to_string(&seen.content).unwrap();
        let expected = r#"{"value":null,"ordering_key":"AQ==","properties":{"from":"München"},"event_time":5}"#;
        assert_eq!(written, expected);
    }
}
