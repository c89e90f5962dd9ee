//! What can be typed: the flags as they are, unjudged.
#![expect(
    clippy::doc_markdown,
    reason = "these comments are the help texts, shown as they stand"
)]

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

mod amqp;
mod cmq;
mod dev;
mod dialect;
mod pulsar;
mod rocketmq;

pub(crate) use self::dev::{Demo, Dev, DevBroker, DevCmq, PushTo};
pub(crate) use self::pulsar::{Access, Batches, Pulsar};

use crate::adapter::{Compress, From, Sharing};
use crate::plan::Mode;

/// Sends and receives messages, and looks after topics and groups.
#[derive(Debug, Parser)]
#[command(name = "mq", version, after_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct Typed {
    #[command(subcommand)]
    pub(crate) subject: Subject,
}

#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "made once in a process")]
pub(crate) enum Subject {
    #[command(flatten)]
    Client(Protocol),
    /// Run brokers for development in this process, in memory
    Dev(Dev),
    /// Run every flow of the brokers for development, live, and judge what was received
    #[command(after_help = EXIT_CODES)]
    Demo(Demo),
}

#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "made once in a process")]
pub(crate) enum Protocol {
    /// RocketMQ 4.9 and 5.x, Tencent TDMQ, Huawei DMS
    Rocketmq(Rocketmq),
    /// Tencent CMQ and TDMQ for CMQ, over HTTP and TCP
    Cmq(Cmq),
    /// AMQP 0-9-1: RabbitMQ, Tencent TDMQ for RabbitMQ
    Amqp(Amqp),
    /// Apache Pulsar, Tencent TDMQ for Pulsar
    Pulsar(Pulsar),
}

impl Typed {
    /// Reads what was typed.
    ///
    /// # Errors
    ///
    /// Also that help or the version was asked for.
    pub(crate) fn read(
        arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    ) -> Result<Self, clap::Error> {
        let dialects = [rocketmq::ROCKETMQ, cmq::CMQ, amqp::AMQP, pulsar::PULSAR];
        let command = Self::command();
        let mut command = dialects
            .iter()
            .fold(command, |it, dialect| dialect.adapt(it));
        let matches = command.try_get_matches_from_mut(arguments)?;
        for dialect in &dialects {
            dialect.check(&matches, &mut command)?;
        }
        Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
    }
}

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Cmq {
    /// cmq+http://id:key@host[:port] or cmq+https://…, [?signature=sha1|sha256&method=post|get&region=…]; cmq+tcp://id:key@nameserver[:port];
    /// cmq+tc3+https://id:key@host?region=…, the control plane, to create, delete, describe and list
    ///
    /// Default: the variable MQ_CMQ_URL. Put secrets there: a command line can be read by every user of the machine.
    #[arg(long, global = true, value_name = "URL", help_heading = "Connection")]
    pub(crate) url: Option<String>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Amqp {
    /// amqp://user:password@host[:port][,host2…][/vhost] or amqps://…,
    /// [?cacertfile=…&certfile=…&keyfile=…&auth_mechanism=plain|amqplain|external&heartbeat=10]
    ///
    /// Default: the variable MQ_AMQP_URL. Put secrets there: a command line can be read by every user of the machine.
    #[arg(long, global = true, value_name = "URL", help_heading = "Connection")]
    pub(crate) url: Option<String>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Rocketmq {
    /// rocketmq://[access:secret@]host:9876[;host2:9876][/namespace][?dialect=apache5|apache4|dms|tdmq|auto]
    ///
    /// Default: the variable MQ_ROCKETMQ_URL. Put secrets there: a command line can be read by every user of the machine.
    #[arg(long, global = true, value_name = "URL", help_heading = "Connection")]
    pub(crate) url: Option<String>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Send messages, and print a line for each that is stored
    #[command(after_help = EXIT_CODES)]
    Send(Send),
    /// Receive messages, print them, and acknowledge what was printed
    #[command(after_help = EXIT_CODES)]
    Recv(Recv),
    /// Have a scheduled message not delivered
    ///
    /// Prints "cancelled", "too late" (exit code 1), or "requested" where the broker takes the cancellation without saying whether it found
    /// the message (exit code 3).
    #[command(after_help = EXIT_CODES)]
    Cancel(Cancel),
    /// Put load on a topic, and print how fast that went and what it cost
    #[command(after_help = EXIT_CODES)]
    Bench(Bench),
    /// List the topics
    Topics(Topics),
    /// List the consumer groups
    Groups(Groups),
    /// Show a topic's queues and which offsets they hold
    Describe(Describe),
    /// Show how far a group is behind
    Lag(Lag),
    /// Create a topic on every broker of the cluster, or a consumer group
    ///
    /// A topic that exists can be read and written afterwards, and keeps its queues unless another number is given; a group that
    /// exists stays as it is.
    #[command(after_help = EXIT_CODES)]
    Create(Create),
    /// Delete a topic with its messages, or a consumer group
    ///
    /// A group goes with its offsets, its retry topic and its dead letters.
    #[command(after_help = EXIT_CODES)]
    Delete(Delete),
}

#[derive(Debug, Args)]
pub(crate) struct Send {
    /// The topic, without the namespace of the URL
    #[arg(long, value_name = "TOPIC")]
    pub(crate) topic: String,
    /// The message, or - to read messages from stdin, one a line
    #[arg(
        value_name = "BODY",
        conflicts_with = "file",
        allow_hyphen_values = false
    )]
    pub(crate) body: Option<String>,
    /// Send what is in a file, as one message
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// What separates messages on stdin, instead of a line feed; \n \t \r \0 \\ are understood
    #[arg(long, value_name = "TEXT")]
    pub(crate) delimiter: Option<String>,
    /// Send the message N times; {i} in it becomes 0, 1, 2 …
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// The key to find it by; several are separated by spaces
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// Keep the order of the messages that have the same one: they go to one queue, one after the other
    #[arg(long, value_name = "KEY")]
    pub(crate) ordering_key: Option<String>,
    /// The tag that consumers choose by
    #[arg(long, value_name = "TAG")]
    pub(crate) tag: Option<String>,
    /// A property; may be given several times
    #[arg(short = 'p', long = "property", value_name = "NAME=VALUE")]
    pub(crate) properties: Vec<String>,
    /// Deliver it so long from now, such as 5s, 1h30m or 2d; not on brokers of 4.x
    #[arg(long, value_name = "TIME", conflicts_with_all = ["deliver_at", "deliver_level"])]
    pub(crate) deliver_after: Option<String>,
    /// Deliver it at this time, such as 2026-11-20T12:00:00Z; not on brokers of 4.x
    #[arg(long, value_name = "RFC3339")]
    pub(crate) deliver_at: Option<String>,
    /// Deliver it after the broker's delay of this level, 1 to 18; on brokers of 4.x too
    #[arg(long, value_name = "LEVEL", value_parser = clap::value_parser!(u8).range(1..=18), conflicts_with = "deliver_at")]
    pub(crate) deliver_level: Option<u8>,
    /// Have a time of delivery that can be cancelled, exact to the millisecond: the message waits in a queue of its own, good for thousands
    #[arg(long)]
    pub(crate) cancellable: bool,
    /// At most N messages a second
    #[arg(long, value_name = "N/s")]
    pub(crate) rate: Option<String>,
    /// How many messages may be under way
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = in_flight)]
    pub(crate) in_flight: usize,
    /// Compress bodies of 4 KiB and more; Go, C++ and Python clients read zlib only
    #[arg(long, value_name = "HOW")]
    pub(crate) compress: Option<Compress>,
    #[command(flatten)]
    pub(crate) batches: Batches,
    /// Print a JSON object for each message, failed ones too, in the order of sending
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Recv {
    /// The topic, without the namespace of the URL
    #[arg(long, value_name = "TOPIC")]
    pub(crate) topic: String,
    /// The group to receive as a member of
    #[arg(long, value_name = "GROUP", default_value = crate::adapter::DEFAULT_GROUP)]
    pub(crate) group: String,
    /// Leave after N messages
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// Give up after this time, with exit code 5
    #[arg(long, value_name = "TIME")]
    pub(crate) timeout: Option<String>,
    /// How the members of the group share
    #[arg(long, value_name = "HOW", default_value = "shared")]
    pub(crate) subscription_type: Sharing,
    /// Where a new group begins; one that has received before goes on
    #[arg(long, value_name = "WHERE", default_value = "latest")]
    pub(crate) from: From,
    /// Which messages: tags, such as 'A || B'
    #[arg(long, value_name = "EXPR", default_value = "*")]
    pub(crate) filter: String,
    /// Leave when nothing has come for this time
    #[arg(long, value_name = "TIME")]
    pub(crate) exit_on_idle: Option<String>,
    /// In order: the next message of a queue comes when the one before it is acknowledged
    #[arg(long, conflicts_with = "no_ack")]
    pub(crate) ordered: bool,
    /// Print without acknowledging: the messages stay, uncounted; up to 64 MiB and 10000 a queue
    #[arg(long)]
    pub(crate) no_ack: bool,
    /// How to print: %t topic %k key %b body %T tag %q queue %o offset %i id %% and \n \t \r \0 \\ [default: '%b\n']
    #[arg(short = 'f', long, value_name = "FORMAT", conflicts_with = "json")]
    pub(crate) format: Option<String>,
    /// Print a JSON object for each message
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Cancel {
    /// What send --json printed as "handle"
    #[arg(value_name = "HANDLE")]
    pub(crate) handle: String,
}

#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// send; recv: what is in the topic; both: send, and receive what was sent
    #[arg(value_name = "MODE")]
    pub(crate) mode: Mode,
    /// The topic, without the namespace of the URL
    #[arg(long, value_name = "TOPIC")]
    pub(crate) topic: String,
    /// The group to receive as a member of; what it receives is acknowledged
    #[arg(long, value_name = "GROUP", default_value = "mq-bench")]
    pub(crate) group: String,
    /// How many messages
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: u64,
    /// How large the bodies are that are sent
    #[arg(long, value_name = "BYTES", default_value_t = 128, value_parser = size)]
    pub(crate) size: usize,
    /// How many sends may be under way, of batches if there are any
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = in_flight)]
    pub(crate) in_flight: usize,
    /// Send N messages at a time, stored together in one queue
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = in_flight)]
    pub(crate) batch: usize,
    #[command(flatten)]
    pub(crate) batches: Batches,
    /// Send at most N messages a second
    #[arg(long, value_name = "N/s")]
    pub(crate) rate: Option<String>,
    /// How the members of the group share
    #[arg(long, value_name = "HOW", default_value = "shared")]
    pub(crate) subscription_type: Sharing,
    /// Receive in order, one message of a queue at a time
    #[arg(long)]
    pub(crate) ordered: bool,
    /// Wait at most so long for what is to be received, and leave with exit code 5
    #[arg(long, value_name = "TIME", default_value = "60s")]
    pub(crate) timeout: String,
    /// Write all latencies in us, as the plotter of HdrHistogram reads them (.hgrm)
    #[arg(long, value_name = "FILE")]
    pub(crate) histogram: Option<PathBuf>,
    /// Write a picture of the latencies
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
    /// Print a JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Topics {
    /// Retry and dead-letter topics too
    #[arg(long)]
    pub(crate) all: bool,
    /// Print a JSON object for each topic
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Groups {
    /// Print a JSON object for each group
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// The topic or group, without the namespace of the URL
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// How many queues the topic has on each broker [default: those it has, or 8]
    #[arg(long, value_name = "N", conflicts_with = "group", value_parser = queues)]
    pub(crate) queues: Option<u32>,
    /// NAME is a consumer group
    #[arg(long)]
    pub(crate) group: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// The topic or group, without the namespace of the URL
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// NAME is a consumer group
    #[arg(long)]
    pub(crate) group: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Describe {
    /// The topic
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Print a JSON object for each queue
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Lag {
    /// The consumer group
    #[arg(value_name = "GROUP")]
    pub(crate) group: String,
    /// Print a JSON object for each queue
    #[arg(long)]
    pub(crate) json: bool,
}

fn in_flight(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..=65_536) => Ok(count),
        _ => Err("it is a number from 1 to 65536".to_owned()),
    }
}

fn queues(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(count @ 1..=10_000) => Ok(count),
        _ => Err("it is a number from 1 to 10000".to_owned()),
    }
}

fn size(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(bytes @ 1..=LARGEST) => Ok(bytes),
        _ => Err("it is a number of bytes from 1 to 4194304".to_owned()),
    }
}

const LARGEST: usize = 4 << 20;

const EXIT_CODES: &str =
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 some outcomes unknown or partial,
4 login or permission refused, 5 timed out";
