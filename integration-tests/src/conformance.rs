//! The conformance suite: what every protocol must do in the same way, over the adapter that command line and demo use.
//!
//! ```text
//!   tests/real_<protocol>_conformance.rs ──► run(Check, Subject) ──► adapter ──► broker
//!                                               │
//!                                               └─► target/flows/<test>@<version>.json ──► docs/flows.md (bin `flows`)
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::future_not_send,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says what it did not run"
)]

mod checks;
mod record;
mod render;

use mq_cli::adapter::{Broker, Features, Options, Target};

pub use self::record::{Ended, Record, Tier, read_all, results};
pub use self::render::render;
use crate::harness::{self, amqp, pulsar};

/// What the suite checks, each in a test of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Check {
    /// What was sent arrives, once, with the id and place that the sender was told.
    SendReceive,
    /// Keys, tags and properties arrive as they were, in any language.
    PropertiesSurvive,
    /// Bodies of every byte value arrive as they were.
    BodiesSurvive,
    /// A body of 3.5 MiB arrives.
    LargeBody,
    /// Bodies compressed in each way arrive as they were.
    CompressedBodies,
    /// Results of a stream of sends come in its order, and it goes on after an error.
    SendAll,
    /// A message that is to be retried comes again, counted.
    Retry,
    /// Not before the time that was asked for.
    RetryAfter,
    /// A delivery that is dropped comes again.
    Dropped,
    /// A released message comes again, not counted.
    Release,
    /// A dead letter does not come again.
    DeadLetter,
    /// A tag expression chooses.
    TagFilter,
    /// Closing hands back what was not settled, to the next member, and nothing that was.
    CloseHandsBack,
    /// Each group gets every message; the members of one share them.
    Groups,
    /// A committed message arrives once, and not before it is committed.
    Committed,
    /// A message that was rolled back, or left open, does not arrive.
    RolledBack,
    /// A scheduled message arrives at its time, and not before.
    ScheduledOnTime,
    /// A time that is past means at once.
    ScheduledPast,
    /// What was cancelled in time does not arrive, its neighbours do; later it is too late.
    ScheduledCancel,
    /// The messages of a key arrive in the order they were sent, and what failed comes first.
    OrderedByKey,
    /// The next message of a queue comes when the one before it is settled, and what failed comes first.
    OrderedInTurn,
    /// What always fails becomes a dead letter where there is a maximum, and its queue goes on behind it.
    OrderedDeadLetter,
}

/// A broker to be checked.
#[derive(Debug, Clone, Copy)]
pub struct Subject {
    protocol: Protocol,
    tier: Tier,
}

#[derive(Debug, Clone, Copy)]
enum Protocol {
    RocketMq,
    Cmq,
    CmqTcp,
    /// Over a queue of this kind.
    Amqp(amqp::Kind),
    /// Over TLS and a classic queue.
    AmqpTls,
    Pulsar,
    /// Over TLS and with a token.
    PulsarAuth,
}

impl Check {
    /// Every check, in the order of `docs/flows.md`.
    pub const ALL: [Self; 22] = [
        Self::SendReceive,
        Self::PropertiesSurvive,
        Self::BodiesSurvive,
        Self::LargeBody,
        Self::CompressedBodies,
        Self::SendAll,
        Self::Retry,
        Self::RetryAfter,
        Self::Dropped,
        Self::Release,
        Self::DeadLetter,
        Self::TagFilter,
        Self::CloseHandsBack,
        Self::Groups,
        Self::Committed,
        Self::RolledBack,
        Self::ScheduledOnTime,
        Self::ScheduledPast,
        Self::ScheduledCancel,
        Self::OrderedByKey,
        Self::OrderedInTurn,
        Self::OrderedDeadLetter,
    ];

    /// What is checked, in words.
    pub const fn text(self) -> &'static str {
        match self {
            Self::SendReceive => "what is sent arrives, once",
            Self::PropertiesSurvive => "keys, tags and properties survive",
            Self::BodiesSurvive => "bodies of every byte survive",
            Self::LargeBody => "a body of 3.5 MiB",
            Self::CompressedBodies => "compressed bodies",
            Self::SendAll => "a stream of sends, in order, past errors",
            Self::Retry => "retry: comes again, counted",
            Self::RetryAfter => "retry after a time",
            Self::Dropped => "dropped: comes again",
            Self::Release => "release: comes again, not counted",
            Self::DeadLetter => "dead letter: does not come again",
            Self::TagFilter => "filter by tag",
            Self::CloseHandsBack => "close hands back what was not settled",
            Self::Groups => "groups get all, members share",
            Self::Committed => "committed: once, and not before",
            Self::RolledBack => "rolled back or left open: does not arrive",
            Self::ScheduledOnTime => "scheduled: at its time, not before",
            Self::ScheduledPast => "scheduled in the past: at once",
            Self::ScheduledCancel => "cancelled: does not arrive; too late: said",
            Self::OrderedByKey => "the messages of a key in their order, what failed first",
            Self::OrderedInTurn => "in order, one of a queue at a time, what failed first",
            Self::OrderedDeadLetter => "past the maximum: dead letter, and its queue goes on",
        }
    }

    /// The flow it belongs to, as `docs/flows.md` calls it.
    pub const fn flow(self) -> &'static str {
        match self {
            Self::Committed | Self::RolledBack => "transactional",
            Self::ScheduledOnTime | Self::ScheduledPast | Self::ScheduledCancel => "scheduled",
            Self::OrderedByKey | Self::OrderedInTurn | Self::OrderedDeadLetter => "ordered",
            _ => SEND_RECEIVE,
        }
    }

    /// Whether it takes a broker that delivers at any time.
    pub const fn needs_timers(self) -> bool {
        matches!(
            self,
            Self::ScheduledOnTime | Self::ScheduledPast | Self::ScheduledCancel
        )
    }

    /// Whether a protocol with these features promises it.
    pub const fn is_promised(self, features: &Features) -> bool {
        match self {
            Self::PropertiesSurvive => features.properties,
            Self::BodiesSurvive => features.binary,
            Self::LargeBody => features.large,
            Self::Release => features.release,
            Self::CompressedBodies => features.compression,
            Self::RetryAfter => features.retry_after,
            Self::DeadLetter => features.dead_letter,
            Self::TagFilter => features.tags,
            Self::Groups => features.groups,
            Self::Committed | Self::RolledBack => features.transactional,
            Self::ScheduledOnTime | Self::ScheduledPast => features.scheduled,
            Self::ScheduledCancel => features.scheduled && features.cancel,
            Self::OrderedByKey => features.ordered,
            Self::OrderedInTurn => features.ordered && features.retry_after,
            Self::OrderedDeadLetter => features.ordered && features.dead_letter,
            _ => true,
        }
    }
}

impl Subject {
    /// The RocketMQ that `MQ_ROCKETMQ_URL` names.
    pub const fn real_rocketmq() -> Self {
        Self {
            protocol: Protocol::RocketMq,
            tier: Tier::Real,
        }
    }

    /// The CMQ server of this workspace, in this process.
    pub const fn dev_cmq() -> Self {
        Self {
            protocol: Protocol::Cmq,
            tier: Tier::Dev,
        }
    }

    /// The same server over TCP.
    pub const fn dev_cmq_tcp() -> Self {
        Self {
            protocol: Protocol::CmqTcp,
            tier: Tier::Dev,
        }
    }

    /// The RabbitMQ that `MQ_AMQP_URL` names, and its virtual host; with classic queues.
    pub const fn real_amqp() -> Self {
        Self::amqp(Protocol::Amqp(amqp::Kind::Classic))
    }

    /// The same by `MQ_AMQP_TLS_URL`.
    pub const fn real_amqp_tls() -> Self {
        Self::amqp(Protocol::AmqpTls)
    }

    /// The same as [`real_amqp`](Self::real_amqp), with quorum queues.
    pub const fn real_amqp_quorum() -> Self {
        Self::amqp(Protocol::Amqp(amqp::Kind::Quorum))
    }

    /// The same as [`real_amqp`](Self::real_amqp), with streams.
    pub const fn real_amqp_stream() -> Self {
        Self::amqp(Protocol::Amqp(amqp::Kind::Stream))
    }

    const fn amqp(protocol: Protocol) -> Self {
        Self {
            protocol,
            tier: Tier::Real,
        }
    }

    /// The real Pulsar that the launcher has told about.
    pub const fn real_pulsar() -> Self {
        Self {
            protocol: Protocol::Pulsar,
            tier: Tier::Real,
        }
    }

    /// The same with a token and over TLS, of profile `pulsar-auth`.
    pub const fn real_pulsar_auth() -> Self {
        Self {
            protocol: Protocol::PulsarAuth,
            tier: Tier::Real,
        }
    }

    /// The crate that is checked.
    pub const fn crate_name(self) -> &'static str {
        match self.protocol {
            Protocol::RocketMq => "mq-rocketmq",
            Protocol::Cmq | Protocol::CmqTcp => "mq-cmq",
            Protocol::Amqp(_) | Protocol::AmqpTls => "mq-amqp",
            Protocol::Pulsar | Protocol::PulsarAuth => "mq-pulsar",
        }
    }

    async fn connect(self) -> Broker {
        self.connect_as(Options::default()).await
    }

    async fn connect_as(self, mut options: Options) -> Broker {
        let target = match self.protocol {
            Protocol::RocketMq => Target::rocketmq(&harness::url()),
            Protocol::Cmq => Target::cmq(&harness::cmq::server().url()),
            Protocol::CmqTcp => Target::cmq(&harness::cmq::server().tcp_url()),
            Protocol::Amqp(_) => Target::amqp(&amqp::url()),
            Protocol::AmqpTls => Target::amqp(&amqp::tls_url()),
            Protocol::Pulsar => Target::pulsar(&pulsar::url()),
            Protocol::PulsarAuth => Ok(Target::Pulsar {
                builder: Box::new(pulsar::secured()),
                namespace: "public/default".to_owned(),
            }),
        };
        options.group = harness::unique("producer");
        let target = target.expect("the launcher's URL is right");
        let broker = Broker::connect(target, options).await;
        broker.expect("the launcher's brokers answer")
    }

    /// A new topic with a few queues.
    async fn topic(self, what: &str) -> String {
        match self.protocol {
            Protocol::RocketMq => harness::topic_by_ours(what, 4).await,
            Protocol::Cmq | Protocol::CmqTcp => harness::cmq::queue(what),
            Protocol::Amqp(kind) => amqp::queue_of(kind, what).await,
            Protocol::AmqpTls => amqp::queue_of(amqp::Kind::Classic, what).await,
            Protocol::Pulsar | Protocol::PulsarAuth => {
                pulsar::Manage::shared().partitioned(what, 4).await
            }
        }
    }

    /// A new topic for messages under transactions.
    async fn transactional(self, what: &str) -> String {
        match self.protocol {
            Protocol::Cmq | Protocol::CmqTcp => harness::cmq::transactional(what),
            _ => self.topic(what).await,
        }
    }

    /// A new topic with a few queues that keep the order of keys.
    async fn lanes(self, what: &str) -> String {
        match self.protocol {
            Protocol::Cmq | Protocol::CmqTcp => harness::cmq::shards(what, 4),
            Protocol::Amqp(kind) => amqp::lanes_of(kind, what).await,
            Protocol::AmqpTls => amqp::lanes_of(amqp::Kind::Classic, what).await,
            Protocol::RocketMq | Protocol::Pulsar | Protocol::PulsarAuth => self.topic(what).await,
        }
    }

    const fn is_amqp(self) -> bool {
        matches!(self.protocol, Protocol::Amqp(_) | Protocol::AmqpTls)
    }

    /// Whether what keeps an order is sent to by key alone.
    const fn has_lanes_of_keys(self) -> bool {
        !matches!(self.protocol, Protocol::RocketMq)
    }

    /// Why this broker can't do what its protocol can, if it is so.
    pub fn lacks(self, check: Check) -> Option<&'static str> {
        match self.protocol {
            Protocol::RocketMq if check.needs_timers() && harness::is_4() => {
                Some("a broker of 4.x has delay levels only, no exact times")
            }
            Protocol::Amqp(amqp::Kind::Stream) => match check {
                Check::DeadLetter => Some("a stream has no dead letters"),
                Check::CloseHandsBack => Some("a stream is read again from where one begins"),
                _ if check.flow() == "ordered" => Some("an ordered topic is of queues"),
                _ if check.needs_timers() => {
                    Some("a broker before 3.12 loses what it dead-letters to a stream")
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// The version of the broker, as the launcher told it, and how it is secured.
    fn version(self) -> String {
        match self.protocol {
            Protocol::RocketMq => match crate::brokers::shared().ok().and_then(|it| it.secured()) {
                Some(how) => format!("{} {how}", harness::broker_version()),
                None => harness::broker_version(),
            },
            Protocol::Cmq | Protocol::CmqTcp => env!("CARGO_PKG_VERSION").to_owned(),
            Protocol::Amqp(kind) => format!("{}{}", amqp::version(), kind.suffix()),
            Protocol::AmqpTls => format!("{} TLS", amqp::version()),
            Protocol::Pulsar => pulsar::version(),
            Protocol::PulsarAuth => format!("{} TLS+token", pulsar::version()),
        }
    }
}

/// Runs a check in the test of this name, and writes down how it ended.
///
/// What the protocol does not promise is written down as such.
pub async fn run(test: &str, check: Check, subject: Subject) {
    let broker = subject.connect().await;
    let promised = check.is_promised(&broker.features());
    broker.close().await.expect("nothing is under way");
    assert!(promised, "{check:?} is not promised: it has no test");
    if let Some(why) = subject.lacks(check) {
        // Nothing is written down: the table has no cell for it on this version.
        println!("{test} was not run: {why}");
        return;
    }
    let record = Record::begin(test, subject.crate_name(), check.flow(), check.text())
        .tier(subject.tier)
        .version(&subject.version());
    checks::run(check, subject).await;
    record.passed();
}

/// The flow that most checks belong to.
const SEND_RECEIVE: &str = "send, receive";
