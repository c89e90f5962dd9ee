//! Where to, and how.

use std::time::Duration;

use mq_rocketmq::{Client, ClientBuilder, ConsumerBuilder, ScheduledHandle};

use super::{Result, cmq, control, pulsar};

/// A service URL that was read and found good.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Target {
    /// `rocketmq://…`
    RocketMq(Box<ClientBuilder>),
    /// `cmq+http://…` or `cmq+https://…`
    Cmq(Box<mq_cmq::ClientBuilder>),
    /// `cmq+tcp://…`
    CmqTcp(Box<mq_cmq::TcpClientBuilder>),
    /// `cmq+tc3+http://…` or `cmq+tc3+https://…`
    CmqControl(Box<mq_cmq::ControlClientBuilder>),
    /// `amqp://…` or `amqps://…`
    Amqp(Box<mq_amqp::ClientBuilder>),
    /// `pulsar://…` or `pulsar+ssl://…`
    Pulsar {
        /// With what lets it in.
        builder: Box<mq_pulsar::ClientBuilder>,
        /// `tenant/namespace` of topics that are named without one, and of which topics are listed.
        namespace: String,
    },
}

/// Options of a connection.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// The producer's group, where the protocol has one; default `mq-cli`.
    pub group: String,
    /// How many sends may be under way; default 64.
    pub max_in_flight: usize,
    /// How large bodies are compressed, or batches where the client makes them; default not.
    pub compress: Option<Compress>,
    /// How messages go together where the client decides that.
    pub batching: Batching,
    /// How long a send may take; default the client's.
    pub send_timeout: Option<Duration>,
}

/// How messages go together where the client decides that; default as it does by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Batching {
    /// At most so many; 1: each alone.
    pub messages: Option<usize>,
    /// At most so many bytes.
    pub bytes: Option<usize>,
    /// How long a batch waits for more while others are under way.
    pub linger: Option<Duration>,
}

/// How large bodies are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[non_exhaustive]
pub enum Compress {
    /// Every client reads it.
    Zlib,
    /// Java reads it from 5.0 on, and this one.
    Lz4,
    /// Java reads it from 5.0 on, and this one.
    Zstd,
    /// Pulsar's alone.
    #[value(hide = true)]
    Snappy,
}

/// What to receive.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Consume {
    /// The topic or queue, without the client's namespace.
    pub topic: String,
    /// The group.
    pub group: String,
    /// Which messages; default `*`, all.
    pub filter: String,
    /// Where a new group begins; default [`From::Latest`].
    pub from: From,
    /// How many messages of a queue may be here unsettled; default the client's.
    pub prefetch: Option<usize>,
    /// How often a message is delivered again before it is moved aside; default the client's.
    pub max_redeliveries: Option<u16>,
    /// How long a delivery may be held; default the client's.
    pub settle_timeout: Option<Duration>,
    /// Whether the next message of a queue comes when the one before it is settled; default not.
    pub ordered: bool,
    /// How the members of the group share, where they can choose.
    pub sharing: Sharing,
}

/// How the members of a group share what there is to receive: Pulsar's types of subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
#[non_exhaustive]
pub enum Sharing {
    /// Each message goes to any of them.
    #[default]
    Shared,
    /// There is one member: another is refused.
    Exclusive,
    /// One has all of a queue; another follows when it leaves.
    Failover,
    /// Messages with the same key go to the same one.
    KeyShared,
}

/// Where a group begins that has no place in the topic yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
#[non_exhaustive]
pub enum From {
    /// With the oldest message there is.
    Earliest,
    /// With what is sent from now on.
    #[default]
    Latest,
}

impl Target {
    /// Reads a URL of RocketMQ.
    ///
    /// # Errors
    ///
    /// Kind `Invalid` or `Unsupported`, as the client has it. The secret is never part of it.
    pub fn rocketmq(url: &str) -> Result<Self> {
        Ok(Self::RocketMq(Box::new(Client::from_url(url)?)))
    }

    /// Reads a URL of CMQ: over HTTP, over TCP, or of the control plane.
    ///
    /// # Errors
    ///
    /// Kind `Invalid` or `Unsupported`, as the client has it. The secret is never part of it.
    pub fn cmq(url: &str) -> Result<Self> {
        let begins = |scheme: &str| {
            let begin = url.trim().get(..scheme.len());
            begin.is_some_and(|it| it.eq_ignore_ascii_case(scheme))
        };
        if begins("cmq+tcp:") {
            return Ok(Self::CmqTcp(Box::new(mq_cmq::TcpClient::from_url(url)?)));
        }
        if begins("cmq+tc3+") {
            let builder = mq_cmq::ControlClient::from_url(url)?;
            return Ok(Self::CmqControl(Box::new(builder)));
        }
        Ok(Self::Cmq(Box::new(mq_cmq::Client::from_url(url)?)))
    }

    /// Reads a URL of AMQP.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`, as the client has it. The secret is never part of it.
    pub fn amqp(url: &str) -> Result<Self> {
        let builder = mq_amqp::Client::from_url(url)?;
        Ok(Self::Amqp(Box::new(builder)))
    }

    /// Reads a URL of Pulsar. Topics that are named without a namespace are in `public/default`.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`, as the client has it.
    pub fn pulsar(url: &str) -> Result<Self> {
        Ok(Self::Pulsar {
            builder: Box::new(mq_pulsar::Client::from_url(url)?),
            namespace: DEFAULT_NAMESPACE.to_owned(),
        })
    }

    /// Whether this is a handle of a scheduled message, told before anything is connected.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`, as the client has it.
    pub fn check_handle(&self, handle: &str) -> Result<()> {
        match self {
            Self::RocketMq(_) => Ok(handle.parse::<ScheduledHandle>().map(drop)?),
            Self::Cmq(_) | Self::CmqTcp(_) => Err(cmq::no_cancel()),
            Self::CmqControl(_) => Err(control::no_messages()),
            Self::Amqp(_) => Ok(handle.parse::<mq_amqp::ScheduledHandle>().map(drop)?),
            Self::Pulsar { .. } => Err(pulsar::no_cancel()),
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            group: DEFAULT_GROUP.to_owned(),
            max_in_flight: 64,
            compress: None,
            batching: Batching::default(),
            send_timeout: None,
        }
    }
}

impl Consume {
    /// All messages of `topic`, as a member of `group`.
    pub fn new(topic: impl Into<String>, group: impl Into<String>) -> Self {
        Self {
            topic: topic.into(),
            group: group.into(),
            filter: "*".to_owned(),
            from: From::default(),
            prefetch: None,
            max_redeliveries: None,
            settle_timeout: None,
            ordered: false,
            sharing: Sharing::default(),
        }
    }

    /// Whether RocketMQ has such a filter, told before anything is connected.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`, as the client has it.
    pub fn check_rocketmq(&self) -> Result<()> {
        Ok(ConsumerBuilder::check_expression(&self.filter)?)
    }
}

/// The group of whoever names none.
pub(crate) const DEFAULT_GROUP: &str = "mq-cli";
/// Where Pulsar's topics are that are named without a namespace.
pub(crate) const DEFAULT_NAMESPACE: &str = "public/default";
