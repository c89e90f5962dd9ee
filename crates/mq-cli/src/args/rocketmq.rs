//! The flags as RocketMQ has them: it is what they were written for, and lacks few.

use super::dialect::Dialect;

pub(super) const ROCKETMQ: Dialect = Dialect {
    protocol: "rocketmq",
    no_commands: &[],
    no_flags: &NO_FLAGS,
    other_help: &[],
    other_about: &[],
};

const NO_FLAGS: [(&str, &str, &str); 1] = [(
    "send",
    "cancellable",
    "what has a time of delivery can be cancelled anyway",
)];
