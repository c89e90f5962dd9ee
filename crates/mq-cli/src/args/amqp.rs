//! The flags as AMQP 0-9-1 has them: some are absent, some mean something else.

use super::dialect::Dialect;

pub(super) const AMQP: Dialect = Dialect {
    protocol: "amqp",
    no_commands: &NO_COMMANDS,
    no_flags: &NO_FLAGS,
    other_help: &OTHER_HELP,
    other_about: &OTHER_ABOUT,
};

const NO_COMMANDS: [(&str, &str); 4] = [
    ("cancel", NO_SCHEDULE),
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

const NO_FLAGS: [(&str, &str, &str); 16] = [
    (
        "send",
        "key",
        "AMQP's messages have no keys: -p sets a header",
    ),
    ("send", "ordering_key", NO_ORDER),
    (
        "send",
        "tag",
        "AMQP's messages have no tags: write a routing key, as exchange/routing.key",
    ),
    ("send", "deliver_after", NO_SCHEDULE),
    ("send", "deliver_at", NO_SCHEDULE),
    ("send", "deliver_level", NO_SCHEDULE),
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
    ("recv", "ordered", NO_ORDER),
    ("bench", "group", "AMQP has no consumer groups"),
    (
        "bench",
        "batch",
        "AMQP sends messages one by one: --in-flight says how many at a time",
    ),
    ("bench", "ordered", NO_ORDER),
    ("create", "queues", "NAME is one queue"),
    ("create", "group", "AMQP has no consumer groups"),
    ("delete", "group", "AMQP has no consumer groups"),
];

const OTHER_HELP: [(&str, &str, &str); 10] = [
    (
        "send",
        "topic",
        "A queue, or exchange/routing.key; /NAME is a queue whose name has a / in it",
    ),
    (
        "send",
        "properties",
        "A header, as text; may be given several times",
    ),
    ("recv", "topic", QUEUE),
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
    ("create", "name", QUEUE),
    ("delete", "name", QUEUE),
    ("describe", "name", QUEUE),
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
        "Create a queue, durable and classic; one that is there like that stays",
    ),
    ("delete", "Delete a queue with its messages"),
];

const QUEUE: &str = "A queue; /NAME if its name has a / in it";
const NO_SCHEDULE: &str = "this version schedules nothing over AMQP";
const NO_ORDER: &str = "this version keeps no order of keys over AMQP; one receiver gets what a queue holds in its order";
