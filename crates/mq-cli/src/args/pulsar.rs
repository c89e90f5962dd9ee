//! The flags as Pulsar has them: how one is let in, and how messages go together; some of the others are absent, some mean something else.
#![expect(
    clippy::doc_markdown,
    reason = "these comments are the help texts, shown as they stand"
)]

use std::path::PathBuf;

use clap::Args;
use mq_core::Secret;

use super::dialect::Dialect;
use super::{Command, EXIT_CODES};
use crate::adapter::DEFAULT_NAMESPACE;

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Pulsar {
    /// pulsar://host[:port][,host2…] or pulsar+ssl://…; http://host[:port] or https://…, as consoles hand them out
    ///
    /// Default: the variable MQ_PULSAR_URL.
    #[arg(long, global = true, value_name = "URL", help_heading = "Connection")]
    pub(crate) url: Option<String>,
    #[command(flatten)]
    pub(crate) access: Access,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What else a connection needs.
#[derive(Debug, Args)]
pub(crate) struct Access {
    /// The tenant and namespace of topics that are named without them, and of those that are listed
    #[arg(long, global = true, value_name = "TENANT/NAMESPACE", default_value = DEFAULT_NAMESPACE, help_heading = "Connection")]
    pub(crate) namespace: String,
    /// The token of the role
    ///
    /// Default: the variable MQ_PULSAR_TOKEN. Put it there or into a file: a command line can be read by every user of the machine.
    #[arg(long, global = true, value_name = "TOKEN", help_heading = "Connection")]
    pub(crate) token: Option<Secret>,
    /// A file with the token, which is read again whenever the broker asks
    #[arg(long, global = true, value_name = "FILE", help_heading = "Connection")]
    pub(crate) token_file: Option<PathBuf>,
    /// The certificates to trust, PEM, instead of the platform's; with pulsar+ssl:// or https://
    #[arg(long, global = true, value_name = "FILE", help_heading = "Connection")]
    pub(crate) tls_ca: Option<PathBuf>,
    /// The client's certificate, PEM; without a token it says who the client is
    #[arg(long, global = true, value_name = "FILE", help_heading = "Connection")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The key of the client's certificate, PEM
    #[arg(long, global = true, value_name = "FILE", help_heading = "Connection")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Which of the brokers' advertised listeners to connect to
    #[arg(long, global = true, value_name = "NAME", help_heading = "Connection")]
    pub(crate) listener: Option<String>,
}

/// How messages go together.
#[derive(Debug, Args)]
pub(crate) struct Batches {
    /// At most N messages go together; 1: each alone [default: 1000]
    #[arg(long, value_name = "N", value_parser = super::in_flight)]
    pub(crate) batch_messages: Option<usize>,
    /// At most so many bytes go together [default: 131072]
    #[arg(long, value_name = "BYTES", value_parser = super::size)]
    pub(crate) batch_bytes: Option<usize>,
    /// How long messages wait for others while some are under way [default: 1ms]
    #[arg(long, value_name = "TIME")]
    pub(crate) linger: Option<String>,
}

pub(super) const PULSAR: Dialect = Dialect {
    protocol: "pulsar",
    no_commands: &NO_COMMANDS,
    no_flags: &NO_FLAGS,
    other_help: &OTHER_HELP,
    other_about: &OTHER_ABOUT,
};

const NO_COMMANDS: [(&str, &str); 5] = [
    (
        "cancel",
        "messages for later are not there yet, and what was sent can't be taken back",
    ),
    (
        "groups",
        "subscriptions are listed by the HTTP management, which mq does not speak: pulsar-admin topics subscriptions TOPIC",
    ),
    (
        "lag",
        "a subscription's backlog is told by the HTTP management, which mq does not speak: pulsar-admin topics stats TOPIC",
    ),
    (
        "create",
        "topics are made by the HTTP management, which mq does not speak: pulsar-admin topics create-partitioned-topic; \
         most brokers make one when it is first sent to",
    ),
    (
        "delete",
        "topics are deleted by the HTTP management, which mq does not speak: pulsar-admin topics delete",
    ),
];

const LATER: &str = "messages for later over Pulsar are not there yet";
const ORDERED: &str = "ordered topics over Pulsar are not there yet: --key keeps its messages in one partition, and \
                       --subscription-type key-shared with one receiver";

const NO_FLAGS: [(&str, &str, &str); 10] = [
    (
        "send",
        "tag",
        "Pulsar's messages have no tags: -p sets a property",
    ),
    ("send", "ordering_key", ORDERED),
    ("send", "deliver_after", LATER),
    ("send", "deliver_at", LATER),
    ("send", "deliver_level", "Pulsar has no delay levels"),
    ("send", "cancellable", LATER),
    (
        "recv",
        "filter",
        "Pulsar filters by its brokers' plugins alone",
    ),
    ("recv", "ordered", ORDERED),
    (
        "bench",
        "batch",
        "the client puts messages together by itself: --in-flight says how many are under way, --batch-messages how many go together",
    ),
    ("bench", "ordered", ORDERED),
];

const OTHER_HELP: [(&str, &str, &str); 12] = [
    ("send", "topic", TOPIC),
    (
        "send",
        "key",
        "The key: messages with the same one go to the same partition",
    ),
    (
        "send",
        "compress",
        "Compress batches, and messages that go alone: zlib, lz4, zstd or snappy",
    ),
    ("recv", "topic", TOPIC),
    ("recv", "group", "The subscription to receive from"),
    (
        "recv",
        "from",
        "Where a new subscription begins; one that is there goes on",
    ),
    (
        "recv",
        "no_ack",
        "Print without acknowledging: the messages go back at the end, counted if others receive from the subscription",
    ),
    (
        "recv",
        "format",
        r"How to print: %t topic %k key %b body %q partition %i id %% and \n \t \r \0 \\ [default: '%b\n']",
    ),
    ("bench", "topic", TOPIC),
    (
        "bench",
        "group",
        "The subscription to receive from; what it receives is acknowledged",
    ),
    ("bench", "in_flight", "How many sends may be under way"),
    ("describe", "name", TOPIC),
];

const OTHER_ABOUT: [(&str, &str); 2] = [
    (
        "topics",
        "List the topics of the namespace, partitioned ones once",
    ),
    (
        "describe",
        "Show a topic's partitions and the ids of their last messages",
    ),
];

const TOPIC: &str =
    "A topic of the namespace, or TENANT/NAMESPACE/TOPIC; …-partition-3 is one partition";
