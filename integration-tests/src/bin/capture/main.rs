//! Records the Java client against a real broker: the golden fixtures of mq-rocketmq's codec.
//!
//! ```text
//!   Java client ──► recording proxy ──► nameserver, brokers of MQ_ROCKETMQ_URL
//!                        │
//!                        └─► crates/mq-rocketmq/tests/fixtures/java-5.5.0/{json,binary}/<code>-<name>-{request,response}.hex
//! ```
//!
//! A broker answers in the encoding it is configured with, whatever the request was written in. So each encoding has brokers of its
//! own: without an argument this program starts itself twice below the launcher, and there it is told which encoding to record.
//!
//! ```text
//!   capture ─┬─► brokers run -- capture json
//!            └─► brokers run -- capture binary      with ROCKETMQ_SERIALIZE_TYPE=ROCKETMQ, for brokers and client
//! ```

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for people"
)]

use std::{
    error::Error,
    process::{Command, ExitCode},
    time::Duration,
};

use integration_tests::foreign::{Call, Failure, Foreign};
use mq_dev::proxy::{Proxy, Recorded};
use mq_rocketmq::proto::{HeaderCodec, message::OffsetMessageId};

use self::fixtures::Fixtures;

mod amqp;
mod cmq;
mod dms;
mod fixtures;
mod pulsar;

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

fn main() -> ExitCode {
    let ended = match std::env::args().nth(1).as_deref() {
        None => [Codec::Json, Codec::Binary].into_iter().try_for_each(below),
        Some("json") => record(Codec::Json),
        Some("binary") => record(Codec::Binary),
        Some("allocations") => allocations(),
        Some("amqp") => amqp::record(),
        Some("cmq") => cmq::record(),
        Some("pulsar") => pulsar::record(),
        Some("dms") => dms(std::env::args().nth(2)),
        Some(_) => Err(
            "the argument is json, binary, allocations, amqp, cmq, pulsar, or dms DIR; or nothing for the first two"
                .into(),
        ),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("capture: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs this program below brokers that answer in this encoding.
fn below(codec: Codec) -> Result<()> {
    let ended = Command::new(env!("CARGO"))
        .args(["run", "-p", "integration-tests", "--bin", "brokers"])
        .args(["--", "run", "--"])
        .arg(std::env::current_exe()?)
        .arg(codec.name())
        .env("ROCKETMQ_SERIALIZE_TYPE", codec.upstream_name())
        .status()?;
    if ended.success() {
        Ok(())
    } else {
        Err(format!("recording {} headers: {ended}", codec.name()).into())
    }
}

#[tokio::main]
async fn record(codec: Codec) -> Result<()> {
    let nameserver = nameserver()?;
    println!("recording {} headers, about a minute", codec.name());
    let mut fixtures = Fixtures::new(codec);
    let capture = Capture::new(&nameserver, codec);
    capture.commands(&mut fixtures).await?;
    for compression in ["zlib", "lz4", "zstd"] {
        capture.compressed(compression, &mut fixtures).await?;
    }
    capture.signed(&mut fixtures).await?;
    fixtures.save()
}

/// Records what the Java client's strategies allocate.
#[tokio::main]
async fn allocations() -> Result<()> {
    let lines = Call::allocations().await?;
    let text: Vec<String> = lines.iter().map(ToString::to_string).collect();
    let file = fixtures::directory().join("allocations.jsonl");
    std::fs::write(&file, text.join("\n") + "\n")?;
    println!("{} groups in {}", lines.len() - 1, file.display());
    Ok(())
}

/// Records the programs of Huawei's guide; below the launcher.
#[tokio::main]
async fn dms(programs: Option<String>) -> Result<()> {
    let programs = programs.ok_or("dms takes the directory of the guide's two programs")?;
    dms::record(&nameserver()?, programs.as_ref()).await
}

fn nameserver() -> Result<String> {
    let url = std::env::var("MQ_ROCKETMQ_URL").map_err(|_| "MQ_ROCKETMQ_URL is not set")?;
    let hosts = url
        .strip_prefix("rocketmq://")
        .ok_or("MQ_ROCKETMQ_URL is no rocketmq:// URL")?;
    let host = hosts.split([',', ';', '/', '?']).next().unwrap_or_default();
    if !["127.0.0.1:", "localhost:"]
        .iter()
        .any(|loopback| host.starts_with(loopback))
    {
        return Err(format!("{host} is not on this machine: captures write topics").into());
    }
    Ok(host.to_owned())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Codec {
    Json,
    Binary,
}

impl Codec {
    /// The directory of its fixtures.
    const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Binary => "binary",
        }
    }

    /// As a JVM's property or variable has it.
    const fn upstream_name(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::Binary => "ROCKETMQ",
        }
    }

    const fn header(self) -> HeaderCodec {
        match self {
            Self::Json => HeaderCodec::Json,
            Self::Binary => HeaderCodec::Binary,
        }
    }
}

/// What a recording run is made with.
struct Capture<'a> {
    nameserver: &'a str,
    codec: Codec,
    /// Makes the names of this run its own, so that a broker may be recorded twice.
    run: String,
}

impl<'a> Capture<'a> {
    fn new(nameserver: &'a str, codec: Codec) -> Self {
        let run = format!("{}_{:08x}", codec.name(), fastrand::u32(..));
        Self {
            nameserver,
            codec,
            run,
        }
    }

    async fn proxy(&self) -> Result<Proxy> {
        Ok(Proxy::builder(self.nameserver).record(true).start().await?)
    }

    fn call(&self, proxy: &Proxy, name: &str) -> Call {
        let topic = format!("capture_{}_{name}", self.run);
        let group = format!("group_{}_{name}", self.run);
        let nameserver = proxy.addr().to_string();
        Foreign::Java
            .call(&nameserver, &topic, &group)
            .jvm(&format!(
                "rocketmq.serialize.type={}",
                self.codec.upstream_name()
            ))
    }

    /// Every command in one life of a topic: sent to, consumed with a failure and a second consumer, asked about.
    async fn commands(&self, fixtures: &mut Fixtures) -> Result<()> {
        let proxy = self.proxy().await?;
        let call = || self.call(&proxy, "plain");
        let labelled = || {
            call()
                .tag("TagA")
                .key("key-{i}")
                .property("from", "München 東京")
        };
        let plain = labelled().count(2).send().await?;
        let long_names = "org.apache.rocketmq.client.sendSmartMsg=false";
        labelled().prefix("long").jvm(long_names).send().await?;
        labelled().prefix("batch").count(3).batch().send().await?;
        labelled().prefix("oneway").oneway().send().await?;
        let hour = Duration::from_secs(3600);
        let timed = labelled().prefix("timed").deliver_in(hour, hour);
        timed.recall().send().await?;

        // Longer than the broker holds a pull (15 s), so that one comes back empty.
        let first = call()
            .count(1000)
            .fail_first(1)
            .deadline(Duration::from_secs(22));
        let first = first.start_recv().await?;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let second = call()
            .count(1000)
            .deadline(Duration::from_secs(5))
            .start_recv()
            .await?;
        until_timeout(second.finish().await)?;
        until_timeout(first.finish().await)?;
        // Java ends transactions one-way; what it leaves open it is asked about.
        call().prefix("ended").count(2).transact().await?;
        let open = call().prefix("open").count(2).undecided().checks(2);
        open.transact().await?;
        let first = plain.first().ok_or("nothing was sent")?;
        // It asks the address in the id, which has to be the proxy's.
        let mut id: OffsetMessageId = first.offset_id.parse()?;
        let broker = proxy.upstreams().into_iter();
        let broker = broker.filter(|(upstream, _)| *upstream == id.host.to_string());
        id.host = broker
            .map(|(_, here)| here)
            .next()
            .ok_or("no such broker")?;
        call().view(&id.to_string()).admin().await?;
        let ordered = call().count(1000).orderly();
        until_timeout(ordered.deadline(Duration::from_secs(5)).recv().await)?;

        let transcript = finished(proxy).await?;
        for (code, name) in COMMANDS {
            fixtures.add(&format!("{code}-{name}"), &transcript, code, |_| true)?;
        }
        Ok(())
    }

    async fn compressed(&self, compression: &str, fixtures: &mut Fixtures) -> Result<()> {
        let proxy = self.proxy().await?;
        let call = || self.call(&proxy, compression);
        let sending = call().prefix(compression).size(4096).compress(compression);
        sending
            .tag("TagA")
            .property("how", compression)
            .send()
            .await?;
        call().recv().await?;

        let transcript = finished(proxy).await?;
        for (code, name) in [(310, "send-v2"), (11, "pull")] {
            let name = format!("{code}-{name}-{compression}");
            // Of the pulls, those that bring the message.
            fixtures.add(&name, &transcript, code, |answer| answer.header.code == 0)?;
        }
        Ok(())
    }

    /// The signature is over ext fields and body: one command of each kind is enough.
    async fn signed(&self, fixtures: &mut Fixtures) -> Result<()> {
        let proxy = self.proxy().await?;
        let call = || self.call(&proxy, "acl").credentials("rocketmq", "12345678");
        call().tag("TagA").key("key").send().await?;
        call().recv().await?;
        let transcript = finished(proxy).await?;
        for (code, name) in SIGNED {
            fixtures.add_requests(&format!("acl-{code}-{name}"), &transcript, code)?;
        }

        let proxy = self.proxy().await?;
        let call = self.call(&proxy, "acl").credentials("rocketmq", "12345678");
        call.token("a-security-token").send().await?;
        fixtures.add_requests("acl-token-310-send-v2", &finished(proxy).await?, 310)
    }
}

/// Ends the recording; all clients have ended before.
async fn finished(proxy: Proxy) -> Result<Vec<Recorded>> {
    if !proxy.is_complete() {
        return Err("the recording is longer than the proxy keeps".into());
    }
    let transcript = proxy.transcript();
    proxy.close().await;
    Ok(transcript)
}

/// These consumers wait for more than there is, to be seen idle.
fn until_timeout<T>(ended: Result<T, Failure>) -> Result<()> {
    match ended {
        Ok(_) | Err(Failure::TimedOut { .. }) => Ok(()),
        Err(failure) => Err(failure.into()),
    }
}

/// Every command that mq-rocketmq uses.
const COMMANDS: [(i32, &str); 30] = [
    (105, "route"),
    (10, "send"),
    (310, "send-v2"),
    (320, "send-batch"),
    (11, "pull"),
    (33, "view-message"),
    (34, "heartbeat"),
    (370, "recall"),
    (35, "unregister"),
    (38, "consumer-list"),
    (14, "query-offset"),
    (15, "update-offset"),
    (29, "search-offset"),
    (30, "max-offset"),
    (31, "min-offset"),
    (36, "send-back"),
    (37, "end-transaction"),
    (39, "check-transaction"),
    (40, "consumer-ids-changed"),
    (41, "lock"),
    (42, "unlock"),
    (206, "topic-list"),
    (208, "consume-stats"),
    (17, "create-topic"),
    (106, "cluster-info"),
    (200, "create-group"),
    (201, "groups"),
    (207, "delete-group"),
    (215, "delete-topic-broker"),
    (216, "delete-topic-nameserver"),
];

const SIGNED: [(i32, &str); 4] = [
    (105, "route"),
    (310, "send-v2"),
    (34, "heartbeat"),
    (11, "pull"),
];
