//! The official clients as commands: each test that claims interop talks to one of these.
//!
//! ```text
//!   Foreign::Java.call(nameserver, topic, group).count(3).send()
//!        │ build once a machine (foreign/build.rs)
//!        └─ java … send --count 3 ──► JSON lines ──► Vec<Sent>
//! ```
//!
//! A tool that is missing is a failure that names it: a skipped test would look like a passed one.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::process::Command;

use self::build::{GO, Recipe};
use self::running::{Running, parse};

pub mod amqp;
mod asked;
mod build;
pub mod cmq;
mod failure;
mod output;
pub mod pulsar;
mod running;
mod tap;

pub use self::failure::Failure;
pub use self::output::{Received, Sent, Transacted};
pub use self::tap::{Streams, Tap};

/// An official client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Foreign {
    /// `org.apache.rocketmq:rocketmq-client` 5.5.0. Needs JDK 17 and Maven.
    Java,
    /// `github.com/apache/rocketmq-client-go/v2` v2.1.2. Needs Go 1.24. Writes no lz4 and no zstd, and can't read them;
    /// its consumer looks for new retry topics every 30 s.
    Go,
}

impl Foreign {
    /// A call of this client with one message to send or to receive, and 60 s for it.
    pub fn call(self, nameserver: &str, topic: &str, group: &str) -> Call {
        let call = Call {
            client: self,
            jvm: Vec::new(),
            args: Vec::new(),
            deadline: DEADLINE,
        };
        call.option("namesrv", nameserver)
            .option("topic", topic)
            .option("group", group)
    }

    /// Builds the client if this machine has not built these sources yet, and says where it is.
    ///
    /// # Errors
    /// [`Failure::Build`].
    pub async fn build(self) -> Result<PathBuf, Failure> {
        build::build(self.recipe()).await
    }

    const fn recipe(self) -> Recipe {
        let steps: &[&[&str]] = match self {
            Self::Java => &[&["mvn", "-q", "-B", "package", "dependency:copy-dependencies"]],
            Self::Go => &[GO],
        };
        let name = self.name();
        Recipe { name, steps }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Java => "java",
            Self::Go => "go",
        }
    }

    fn command(self, built: &Path, jvm: &[String]) -> Command {
        match self {
            Self::Java => {
                let mut command = Command::new("java");
                command
                    .args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx256m"])
                    // A consumer's first rebalance would else wait up to 20 s.
                    .arg("-Drocketmq.client.rebalance.waitInterval=1000")
                    .arg(format!("-Duser.home={}", built.display()))
                    .args(jvm)
                    .arg("-cp")
                    .arg(format!(
                        "{0}/target/foreign-java.jar:{0}/target/lib/*",
                        built.display()
                    ))
                    .arg("mq.foreign.Main");
                command
            }
            Self::Go => Command::new(built.join("foreign-go")),
        }
    }
}

/// What a foreign client is asked to do. Options of the other direction are ignored by it.
#[derive(Debug, Clone)]
#[must_use = "a call does nothing until it is sent or received"]
pub struct Call {
    client: Foreign,
    jvm: Vec<String>,
    args: Vec<String>,
    deadline: Duration,
}

impl Call {
    /// How many messages to send, or to receive and acknowledge.
    pub fn count(self, count: usize) -> Self {
        self.option("count", count.to_string())
    }

    /// Send: all messages as one batch.
    pub fn batch(self) -> Self {
        self.switch("batch")
    }

    /// Send: one-way; nothing is reported.
    pub fn oneway(self) -> Self {
        self.switch("oneway")
    }

    /// Send: what bodies begin with; behind it come `-` and the number. Default `message`.
    pub fn prefix(self, prefix: &str) -> Self {
        self.option("prefix", prefix)
    }

    /// Send: bodies padded with dots to this size.
    pub fn size(self, bytes: usize) -> Self {
        self.option("size", bytes.to_string())
    }

    /// Send: `zlib`, `lz4` or `zstd` for every body (of this default: none).
    pub fn compress(self, how: &str) -> Self {
        self.option("compress", how)
    }

    /// Send: the tag. Receive: the expression.
    pub fn tag(self, tag: &str) -> Self {
        self.option("tag", tag)
    }

    /// Send: the key, `{i}` in it is the message's number.
    pub fn key(self, key: &str) -> Self {
        self.option("key", key)
    }

    /// Send: chooses the queue by the key's hash, as this client has it; `{i}` in it is the message's number.
    pub fn ordering_key(self, key: &str) -> Self {
        self.option("ordering-key", key)
    }

    /// Send: one more property.
    pub fn property(self, name: &str, value: &str) -> Self {
        self.option("prop", format!("{name}={value}"))
    }

    /// Send: the first is to be delivered so long from now, each further one a `step` later.
    pub fn deliver_in(self, time: Duration, step: Duration) -> Self {
        self.option("deliver-in", format!("{}ms", time.as_millis()))
            .option("deliver-step", format!("{}ms", step.as_millis()))
    }

    /// Send: with this delay level.
    pub fn delay_level(self, level: u8) -> Self {
        self.option("delay-level", level.to_string())
    }

    /// Send: recalls each message once it is stored (Java only).
    pub fn recall(self) -> Self {
        self.switch("recall")
    }

    /// The access key and the secret to sign with.
    pub fn credentials(self, access_key: &str, secret: &str) -> Self {
        self.option("ak", access_key).option("sk", secret)
    }

    /// A security token beside the credentials.
    pub fn token(self, token: &str) -> Self {
        self.option("token", token)
    }

    /// The namespace of topic and group.
    pub fn namespace(self, namespace: &str) -> Self {
        self.option("namespace", namespace)
    }

    /// Receive: every message, whoever else is in the group (Java only).
    pub fn broadcast(self) -> Self {
        self.switch("broadcast")
    }

    /// Receive: in order, one message of a queue at a time.
    pub fn orderly(self) -> Self {
        self.switch("orderly")
    }

    /// Receive: answer the first so many with "reconsume later".
    pub fn fail_first(self, count: usize) -> Self {
        self.option("fail-first", count.to_string())
    }

    /// Receive: how often a message comes back before it is a dead letter.
    pub fn max_reconsume(self, times: u32) -> Self {
        self.option("max-reconsume", times.to_string())
    }

    /// Receive: a group without offsets begins at the end, not at the first message.
    pub fn from_last(self) -> Self {
        self.option("from", "last")
    }

    /// Receive: stays so long after the last wanted message, so that duplicates and strays show.
    pub fn linger(self, time: Duration) -> Self {
        self.option("linger", format!("{}ms", time.as_millis()))
    }

    /// Transact: what its own local work says is "unknown". Otherwise, and when it is asked, a body that ends in an even number is
    /// committed, another rolled back.
    pub fn undecided(self) -> Self {
        self.option("local", "unknown")
    }

    /// Transact: stays until it was asked about so many half messages.
    pub fn checks(self, count: usize) -> Self {
        self.option("checks", count.to_string())
    }

    /// One more system property of the Java client, `name=value`.
    pub fn jvm(mut self, property: &str) -> Self {
        self.jvm.push(format!("-D{property}"));
        self
    }

    /// How long it may take, the build not included. Default 60 s.
    pub const fn deadline(mut self, time: Duration) -> Self {
        self.deadline = time;
        self
    }

    /// Sends, and answers what was sent.
    ///
    /// # Errors
    /// [`Failure`]; a refused credential is [`Failure::Refused`].
    pub async fn send(self) -> Result<Vec<Sent>, Failure> {
        let deadline = self.deadline;
        self.start("send").await?.finish(deadline).await
    }

    /// Sends in transactions, answers what it is asked about, and ends without a goodbye.
    ///
    /// # Errors
    /// [`Failure`]; too few questions in time are [`Failure::TimedOut`].
    pub async fn transact(self) -> Result<Vec<Transacted>, Failure> {
        let deadline = self.deadline;
        let wait = format!("{}ms", deadline.as_millis());
        let running = self.option("timeout", wait).start("transact").await?;
        running.finish(deadline).await
    }

    /// Receives, and answers every delivery, those answered with "reconsume later" included.
    ///
    /// # Errors
    /// [`Failure`]; too few messages in time are [`Failure::TimedOut`].
    pub async fn recv(self) -> Result<Vec<Received>, Failure> {
        self.start_recv().await?.finish().await
    }

    /// Starts a consumer and waits until its client is up (its first rebalance may still be ahead).
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn start_recv(self) -> Result<Receiving, Failure> {
        let deadline = self.deadline;
        let wait = format!("{}ms", deadline.as_millis());
        let mut running = self.option("timeout", wait).start("recv").await?;
        running.ready(deadline).await?;
        Ok(Receiving { running, deadline })
    }

    /// Admin: reads the message with this id of the broker's, too.
    pub fn view(self, offset_id: &str) -> Self {
        self.option("view", offset_id)
    }

    /// Asks the Java admin client for topics, offsets and lag; the answers as JSON.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn admin(self) -> Result<Vec<serde_json::Value>, Failure> {
        let deadline = self.deadline;
        self.start("admin").await?.finish(deadline).await
    }

    /// What every strategy of the Java client allocates, group by group, behind a line that says who is asked. No broker is asked.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn allocations() -> Result<Vec<serde_json::Value>, Failure> {
        let call = Foreign::Java.call("none", "none", "none");
        let deadline = call.deadline;
        call.start("allocate").await?.finish(deadline).await
    }

    fn option(mut self, name: &str, value: impl Into<String>) -> Self {
        self.args.push(format!("--{name}"));
        self.args.push(value.into());
        self
    }

    fn switch(mut self, name: &str) -> Self {
        self.args.push(format!("--{name}"));
        self
    }

    async fn start(self, verb: &str) -> Result<Running, Failure> {
        let built = self.client.build().await?;
        let mut command = self.client.command(&built, &self.jvm);
        command.arg(verb).args(&self.args);
        Running::start(format!("{} {verb}", self.client.name()), command)
    }
}

/// A consumer that is up. Dropping it kills its process.
#[derive(Debug)]
pub struct Receiving {
    running: Running,
    deadline: Duration,
}

impl Receiving {
    /// Waits until it has received what it was asked for.
    ///
    /// # Errors
    /// [`Failure`]; too few messages in time are [`Failure::TimedOut`].
    pub async fn finish(self) -> Result<Vec<Received>, Failure> {
        self.running.finish(self.deadline).await
    }

    /// Kills the process as a crash would: no offset is saved, nobody is told.
    ///
    /// # Errors
    /// [`Failure::Output`] if its output can't be read.
    pub async fn kill(mut self) -> Result<Vec<Received>, Failure> {
        let killed = self.running.child.kill().await;
        killed.map_err(|error| Failure::Output(format!("kill: {error}")))?;
        parse(&self.running.lines().await)
    }
}

const DEADLINE: Duration = Duration::from_secs(60);
