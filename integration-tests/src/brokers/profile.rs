//! What can be started: a row a profile, and whose brokers those are.

use std::fmt;
use std::net::SocketAddr;

use super::ports::Ports;
use super::signals::Stop;
use super::{Result, pulsar, rabbitmq, rocketmq};

/// A set of brokers that is started together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum)]
#[non_exhaustive]
pub enum Profile {
    /// RocketMQ 5.5.0: a nameserver and two brokers, fast timers. The default.
    #[value(name = "rocketmq")]
    Rocketmq,
    /// RocketMQ 5.5.0 with ACL 2.0, one broker.
    #[value(name = "rocketmq-acl")]
    RocketmqAcl,
    /// RocketMQ 4.9.7: a nameserver and two brokers, fast timers.
    #[value(name = "rocketmq4")]
    Rocketmq4,
    /// RocketMQ 4.9.7 with ACL 1.0, one broker.
    #[value(name = "rocketmq4-acl")]
    Rocketmq4Acl,
    /// RocketMQ 5.5.0, one broker with the full JIT and 1 GiB of heap.
    #[value(name = "rocketmq-bench")]
    RocketmqBench,
    /// RocketMQ 5.5.0, one broker that takes TLS and plain connections (permissive).
    #[value(name = "rocketmq-tls")]
    RocketmqTls,
    /// RocketMQ 5.5.0 with ACL 2.0, one broker that takes TLS only (enforcing).
    #[value(name = "rocketmq-tls-enforcing")]
    RocketmqTlsEnforcing,
    /// RocketMQ 5.5.0, one broker that takes TLS only and wants a client certificate (mutual).
    #[value(name = "rocketmq-tls-mutual")]
    RocketmqTlsMutual,
    /// RocketMQ 4.9.7 with ACL 1.0, one broker that takes TLS only (enforcing).
    #[value(name = "rocketmq4-tls")]
    Rocketmq4Tls,
    /// RabbitMQ 3.10.8: a node with TLS beside plain AMQP, management, consistent hash exchange, streams, and acknowledgements due in 10 s.
    #[value(name = "rabbitmq")]
    Rabbitmq,
    /// Pulsar 4.0.8 standalone, with transactions and acknowledgements at a batch's index.
    #[value(name = "pulsar")]
    Pulsar,
    /// The same, and who wants in has a token, a certificate or a password; TLS beside plain connections.
    #[value(name = "pulsar-auth")]
    PulsarAuth,
}

impl Profile {
    /// Every profile, in the order of the help text.
    pub const ALL: [Self; 12] = [
        Self::Rocketmq,
        Self::RocketmqAcl,
        Self::Rocketmq4,
        Self::Rocketmq4Acl,
        Self::RocketmqBench,
        Self::RocketmqTls,
        Self::RocketmqTlsEnforcing,
        Self::RocketmqTlsMutual,
        Self::Rocketmq4Tls,
        Self::Rabbitmq,
        Self::Pulsar,
        Self::PulsarAuth,
    ];

    /// The name on the command line and in `MQ_<PROTOCOL>_PROFILE`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rocketmq => "rocketmq",
            Self::RocketmqAcl => "rocketmq-acl",
            Self::Rocketmq4 => "rocketmq4",
            Self::Rocketmq4Acl => "rocketmq4-acl",
            Self::RocketmqBench => "rocketmq-bench",
            Self::RocketmqTls => "rocketmq-tls",
            Self::RocketmqTlsEnforcing => "rocketmq-tls-enforcing",
            Self::RocketmqTlsMutual => "rocketmq-tls-mutual",
            Self::Rocketmq4Tls => "rocketmq4-tls",
            Self::Rabbitmq => "rabbitmq",
            Self::Pulsar => "pulsar",
            Self::PulsarAuth => "pulsar-auth",
        }
    }

    /// The protocol; one profile of a protocol at a time. Variables begin with `MQ_`, this word in capitals, and `_`.
    pub fn protocol(self) -> &'static str {
        match self.plan() {
            Plan::Rocketmq(_) => "rocketmq",
            Plan::Rabbitmq => "amqp",
            Plan::Pulsar(_) => "pulsar",
        }
    }

    /// The broker's version, as where it is downloaded names it.
    pub fn version(self) -> &'static str {
        match self.plan() {
            Plan::Rocketmq(spec) => spec.version,
            Plan::Rabbitmq => rabbitmq::VERSION,
            Plan::Pulsar(_) => pulsar::VERSION,
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name() == name)
    }

    pub(super) fn plan(self) -> Plan {
        Plan::Rocketmq(match self {
            Self::Rocketmq => &rocketmq::ROCKETMQ,
            Self::RocketmqAcl => &rocketmq::ROCKETMQ_ACL,
            Self::Rocketmq4 => &rocketmq::ROCKETMQ4,
            Self::Rocketmq4Acl => &rocketmq::ROCKETMQ4_ACL,
            Self::RocketmqBench => &rocketmq::ROCKETMQ_BENCH,
            Self::RocketmqTls => &rocketmq::ROCKETMQ_TLS,
            Self::RocketmqTlsEnforcing => &rocketmq::ROCKETMQ_TLS_ENFORCING,
            Self::RocketmqTlsMutual => &rocketmq::ROCKETMQ_TLS_MUTUAL,
            Self::Rocketmq4Tls => &rocketmq::ROCKETMQ4_TLS,
            Self::Rabbitmq => return Plan::Rabbitmq,
            Self::Pulsar => return Plan::Pulsar(&pulsar::OPEN),
            Self::PulsarAuth => return Plan::Pulsar(&pulsar::SECURED),
        })
    }

    /// Starts its brokers natively and waits until they answer.
    pub(super) fn start(self, stop: &Stop) -> Result<Box<dyn Brokers>> {
        match self.plan() {
            Plan::Rocketmq(_) => Ok(Box::new(rocketmq::Cluster::start_until(self, stop)?)),
            Plan::Rabbitmq => Ok(Box::new(rabbitmq::start(stop)?)),
            Plan::Pulsar(spec) => Ok(Box::new(pulsar::start(self, spec, stop)?)),
        }
    }

    /// What answers at the endpoint that a run is known by.
    pub(super) fn entrance(self) -> &'static str {
        match self.plan() {
            Plan::Rocketmq(_) => "nameserver",
            Plan::Rabbitmq => "node",
            Plan::Pulsar(_) => "broker",
        }
    }

    /// Whether it does.
    pub(super) fn answers(self, endpoint: SocketAddr) -> bool {
        match self.plan() {
            Plan::Rocketmq(spec) => rocketmq::answers(spec, endpoint),
            Plan::Rabbitmq => rabbitmq::answers(endpoint),
            Plan::Pulsar(_) => pulsar::answers(endpoint),
        }
    }

    /// The names of its services in `docker-compose.yml`; none if it runs natively only.
    pub(super) fn containers(self) -> Vec<String> {
        let services = match self.plan() {
            Plan::Rocketmq(_) => rocketmq::services(self),
            Plan::Rabbitmq => return vec![rabbitmq::container().name.to_owned()],
            Plan::Pulsar(spec) if spec.secured => return Vec::new(),
            Plan::Pulsar(_) => return vec![pulsar::container().name.to_owned()],
        };
        services.into_iter().map(|service| service.name).collect()
    }

    /// The variables of its containers.
    pub(super) fn container_variables(self) -> Result<Vec<(String, String)>> {
        match self.plan() {
            Plan::Rocketmq(spec) => {
                let url = rocketmq::url(spec, &spec.nameserver())?;
                Ok(self.variables(&url, spec.version))
            }
            Plan::Rabbitmq => Ok(rabbitmq::container_variables()),
            Plan::Pulsar(_) => Ok(pulsar::container_variables()),
        }
    }

    /// What every protocol's tests are told.
    pub(super) fn variables(self, url: &str, version: &str) -> Vec<(String, String)> {
        [("URL", url), ("PROFILE", self.name()), ("VERSION", version)]
            .map(|(name, value)| (self.variable(name), value.to_owned()))
            .into()
    }

    /// The full name of one.
    pub(super) fn variable(self, name: &str) -> String {
        format!("MQ_{}_{name}", self.protocol().to_uppercase())
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How to run a profile.
#[derive(Debug, Clone, Copy)]
pub(super) enum Plan {
    Rocketmq(&'static rocketmq::Spec),
    Rabbitmq,
    Pulsar(&'static pulsar::Spec),
}

impl Plan {
    /// Where its block of ports is looked for first, and what it takes of one.
    pub(super) fn block(self) -> (u16, Ports) {
        match self {
            Self::Rocketmq(spec) => (spec.base_port, rocketmq::ports),
            Self::Rabbitmq => (rabbitmq::BASE_PORT, rabbitmq::Ports::all),
            Self::Pulsar(spec) => (spec.base_port, pulsar::Ports::all),
        }
    }
}

/// Running brokers, as the command line holds them: dropping them ends them.
pub(super) trait Brokers {
    /// What their tests need to know.
    fn variables(&self) -> Vec<(String, String)>;

    /// Lets them outlive this value and this process, until `brokers down`.
    fn detach(self: Box<Self>) -> Result<()>;
}
