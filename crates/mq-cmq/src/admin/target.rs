//! Where a subscription's messages go, and how.

/// Where a subscription's messages go.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Target {
    /// Into the queue of this name.
    Queue(String),
    /// By POST to this URL.
    Http(String),
    /// Something that this crate does not know.
    Other {
        /// What the service calls it.
        protocol: String,
        /// Where it is.
        endpoint: String,
    },
}

impl Target {
    pub(crate) fn read(protocol: &str, endpoint: String) -> Self {
        match protocol.to_ascii_lowercase().as_str() {
            "queue" => Self::Queue(endpoint),
            "http" => Self::Http(endpoint),
            _ => Self::Other {
                protocol: protocol.to_owned(),
                endpoint,
            },
        }
    }
}

/// How the service tries again that could not deliver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PushRetry {
    /// Three times, each after some 20 s; then the message is dropped.
    Backoff,
    /// After 1 s, 2 s, 4 s, …, until the message is a day old: the service's default.
    ExponentialDecay,
}

/// How a message looks that is pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ContentFormat {
    /// A JSON object with the body and what belongs to it.
    Json,
    /// The body alone. What goes to a queue has it.
    Simplified,
}

impl PushRetry {
    pub(crate) const fn wire_name(self) -> &'static str {
        match self {
            Self::Backoff => BACKOFF,
            Self::ExponentialDecay => DECAY,
        }
    }

    pub(crate) fn read(name: &str) -> Option<Self> {
        match name {
            BACKOFF => Some(Self::Backoff),
            DECAY => Some(Self::ExponentialDecay),
            _ => None,
        }
    }
}

impl ContentFormat {
    pub(crate) const fn wire_name(self) -> &'static str {
        match self {
            Self::Json => JSON,
            Self::Simplified => SIMPLIFIED,
        }
    }

    pub(crate) fn read(name: &str) -> Option<Self> {
        match name {
            JSON => Some(Self::Json),
            SIMPLIFIED => Some(Self::Simplified),
            _ => None,
        }
    }
}

// Tencent Cloud, product 406, Subscribe: NotifyStrategy, NotifyContentFormat
const BACKOFF: &str = "BACKOFF_RETRY";
const DECAY: &str = "EXPONENTIAL_DECAY_RETRY";
const JSON: &str = "JSON";
const SIMPLIFIED: &str = "SIMPLIFIED";
