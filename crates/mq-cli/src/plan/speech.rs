//! What is said of each protocol's URL.

use crate::adapter::{Result, Target};

/// What differs between the protocols.
pub(super) struct Speech {
    pub(super) target: fn(&str) -> Result<Target>,
    pub(super) variable: &'static str,
    pub(super) no_url: &'static str,
    pub(super) secret_typed: &'static str,
}

pub(super) const ROCKETMQ: Speech = Speech {
    target: Target::rocketmq,
    variable: "MQ_ROCKETMQ_URL",
    no_url: "no broker given: set MQ_ROCKETMQ_URL, or pass --url rocketmq://host:9876[/namespace]",
    secret_typed: "--url holds a secret, which every user of this machine can read while the command runs; \
        put the URL into MQ_ROCKETMQ_URL instead",
};
pub(super) const CMQ: Speech = Speech {
    target: Target::cmq,
    variable: "MQ_CMQ_URL",
    no_url: "no endpoint given: set MQ_CMQ_URL to cmq+http://id:key@host:port, or pass it with --url",
    secret_typed: "--url holds a secret, which every user of this machine can read while the command runs; \
        put the URL into MQ_CMQ_URL instead",
};
pub(super) const AMQP: Speech = Speech {
    target: Target::amqp,
    variable: "MQ_AMQP_URL",
    no_url: "no broker given: set MQ_AMQP_URL to amqp://user:password@host[:port][/vhost], or pass it with --url",
    secret_typed: "--url holds a secret, which every user of this machine can read while the command runs; \
        put the URL into MQ_AMQP_URL instead",
};
pub(super) const PULSAR: Speech = Speech {
    target: Target::pulsar,
    variable: "MQ_PULSAR_URL",
    no_url: "no broker given: set MQ_PULSAR_URL to pulsar://host[:port][,host2…] or pulsar+ssl://…, or pass it with --url",
    secret_typed: "--url holds a secret, which every user of this machine can read while the command runs; \
        put a token into MQ_PULSAR_TOKEN or a file instead",
};
