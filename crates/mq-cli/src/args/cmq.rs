//! The flags as CMQ has them: some are absent, some mean something else.

use super::dialect::Dialect;

pub(super) const CMQ: Dialect = Dialect {
    protocol: "cmq",
    no_commands: &NO_COMMANDS,
    no_flags: &NO_FLAGS,
    other_help: &OTHER_HELP,
    other_about: &OTHER_ABOUT,
};

const NO_COMMANDS: [(&str, &str); 3] = [
    ("cancel", "a message that was sent can't be taken back"),
    ("groups", "there are no consumer groups"),
    (
        "lag",
        "there are no consumer groups; describe shows what a queue holds",
    ),
];

const NO_FLAGS: [(&str, &str, &str); 12] = [
    ("send", "key", "CMQ's messages have no keys"),
    ("send", "properties", "CMQ's messages have no properties"),
    (
        "send",
        "deliver_level",
        "CMQ has no delay levels: use --deliver-after",
    ),
    (
        "send",
        "cancellable",
        "a message that was sent can't be taken back",
    ),
    ("send", "compress", "CMQ's bodies are text"),
    (
        "recv",
        "group",
        "CMQ has no consumer groups: a message goes to one receiver of its queue",
    ),
    (
        "recv",
        "from",
        "a queue is received from its oldest message on",
    ),
    (
        "recv",
        "filter",
        "CMQ filters where a queue is subscribed to a topic",
    ),
    ("bench", "group", "CMQ has no consumer groups"),
    ("topics", "all", "CMQ has no topics of its own making"),
    ("create", "queues", "write QUEUE/SHARDS as the name"),
    ("create", "group", "CMQ has no consumer groups"),
];

const OTHER_HELP: [(&str, &str, &str); 12] = [
    (
        "send",
        "topic",
        "A queue, QUEUE/SHARDS with --ordering-key, or topic:NAME[/ROUTING.KEY]",
    ),
    ("send", "tag", "The tag of what is published to a topic"),
    (
        "send",
        "ordering_key",
        "Keep the order of the messages that have the same one, by mq-cmq's convention",
    ),
    (
        "send",
        "deliver_after",
        "Deliver it so long from now, such as 5s or 1h30m, rounded up to seconds",
    ),
    (
        "send",
        "deliver_at",
        "Deliver it at this time, such as 2026-11-20T12:00:00Z, rounded up to seconds",
    ),
    ("recv", "topic", "A queue, or QUEUE/SHARDS with --ordered"),
    (
        "recv",
        "ordered",
        "In order, by mq-cmq's convention: the next message of a shard comes when the one before it is acknowledged",
    ),
    (
        "recv",
        "no_ack",
        "Print without acknowledging: the messages come again, counted, when the queue's visibility timeout ends",
    ),
    ("bench", "topic", "A queue, or QUEUE/SHARDS with --ordered"),
    (
        "create",
        "name",
        "A queue, QUEUE/SHARDS, or topic:NAME; topic:NAME/ makes one that routes by key",
    ),
    ("delete", "name", "A queue, QUEUE/SHARDS, or topic:NAME"),
    ("describe", "name", "A queue, QUEUE/SHARDS, or topic:NAME"),
];

const OTHER_ABOUT: [(&str, &str); 5] = [
    (
        "bench",
        "Put load on a queue, and print how fast that went and what it cost",
    ),
    ("topics", "List the queues and topics"),
    ("describe", "Show how many messages a queue or topic holds"),
    (
        "create",
        "Create a queue or topic; on TDMQ that is done in the console",
    ),
    ("delete", "Delete a queue or topic with its messages"),
];
