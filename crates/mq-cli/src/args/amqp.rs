//! The flags as AMQP 0-9-1 has them: some are absent, some mean something else.

use super::dialect::Dialect;

pub(super) const AMQP: Dialect = Dialect {
    protocol: "amqp",
    no_commands: &NO_COMMANDS,
    no_flags: &NO_FLAGS,
    other_help: &OTHER_HELP,
    other_about: &OTHER_ABOUT,
};

const NO_COMMANDS: [(&str, &str); 3] = [
    (
        "topics",
        "AMQP can't list queues; the broker's own tools can, as rabbitmqctl list_queues",
    ),
    ("groups", "there are no consumer groups"),
    (
        "lag",
        "there are no consumer groups; describe shows what a queue holds",
    ),
];

const NO_FLAGS: [(&str, &str, &str); 12] = [
    (
        "send",
        "key",
        "AMQP's messages have no keys: -p sets a header",
    ),
    (
        "send",
        "tag",
        "AMQP's messages have no tags: write a routing key, as exchange/routing.key",
    ),
    (
        "send",
        "deliver_level",
        "AMQP has no delay levels: use --deliver-after",
    ),
    ("send", "compress", "AMQP's bodies go as they are"),
    (
        "recv",
        "group",
        "AMQP has no consumer groups: a message goes to one receiver of its queue",
    ),
    (
        "recv",
        "filter",
        "AMQP filters where a queue is bound to an exchange",
    ),
    ("bench", "group", "AMQP has no consumer groups"),
    (
        "bench",
        "batch",
        "AMQP sends messages one by one: --in-flight says how many at a time",
    ),
    ("bench", "ordered", "bench sends no ordering keys"),
    (
        "create",
        "queues",
        "NAME is one queue; NAME/PARTITIONS is an ordered topic",
    ),
    ("create", "group", "AMQP has no consumer groups"),
    ("delete", "group", "AMQP has no consumer groups"),
];

const OTHER_HELP: [(&str, &str, &str); 14] = [
    (
        "send",
        "topic",
        "A queue, or exchange/routing.key; /NAME is a queue whose name has a / in it. With --ordering-key an ordered topic, NAME/PARTITIONS",
    ),
    (
        "send",
        "ordering_key",
        "Keep the order of the messages that have the same one: they go to one partition of the ordered topic, one after the other",
    ),
    (
        "send",
        "deliver_after",
        "Deliver it to its queue so long from now, such as 5s, 1h30m or 2d, rounded up to 100 ms; the first time makes the ladder, 28 queues",
    ),
    (
        "send",
        "deliver_at",
        "Deliver it to its queue at this time, such as 2026-11-20T12:00:00Z, rounded up to 100 ms",
    ),
    (
        "send",
        "properties",
        "A header, as text; may be given several times",
    ),
    (
        "recv",
        "topic",
        "A queue; /NAME if its name has a / in it. With --ordered an ordered topic, NAME/PARTITIONS",
    ),
    (
        "recv",
        "ordered",
        "In order: the next message of a partition comes when the one before it is acknowledged",
    ),
    (
        "recv",
        "from",
        "Where a stream is begun; what other queues hold comes from the oldest message on",
    ),
    (
        "recv",
        "no_ack",
        "Print without acknowledging: the messages go back at the end, and are counted; up to 10000",
    ),
    (
        "bench",
        "topic",
        "A queue, or with send exchange/routing.key",
    ),
    ("bench", "in_flight", "How many sends may be under way"),
    ("create", "name", ANY),
    ("delete", "name", ANY),
    ("describe", "name", ANY),
];

const OTHER_ABOUT: [(&str, &str); 4] = [
    (
        "bench",
        "Put load on a queue, and print how fast that went and what it cost",
    ),
    (
        "describe",
        "Show how many messages of a queue can be received, and how many receive from it",
    ),
    (
        "create",
        "Create a queue, durable and classic, or an ordered topic; one that is there like that stays",
    ),
    (
        "delete",
        "Delete a queue or ordered topic with its messages",
    ),
];

const ANY: &str =
    "A queue; /NAME if its name has a / in it; NAME/PARTITIONS for an ordered topic, as orders/8";
