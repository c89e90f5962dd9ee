//! A half message as its slot has it: the message, with aside what would lead it elsewhere or end it.

use std::time::{Duration, SystemTime};

use bytestring::ByteString;

use crate::Message;
use crate::proto::{BasicDeliver, Content, Malformed, Properties, Value};

/// A message of which it is not decided whether it is sent.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Half {
    /// The transaction's id, which is no other one's, whatever the message's.
    pub(super) id: ByteString,
    /// As it will be sent, with an id.
    pub(super) message: Message,
    /// Where it will be sent to.
    pub(super) exchange: ByteString,
    /// Whether it is an error if no queue takes it then.
    pub(super) mandatory: bool,
    /// When its transaction began, in milliseconds since the Unix epoch.
    pub(super) born_ms: u64,
    /// How often the checker was asked, and did not know.
    pub(super) checks: u32,
    /// When it was asked last.
    pub(super) checked_ms: u64,
}

impl Half {
    /// As it is written to a queue of the default exchange.
    pub(super) fn wrapped(&self, queue: ByteString) -> Message {
        let mut properties = self.message.properties().clone();
        let headers = properties.headers.get_or_insert_default();
        for (theirs, ours) in COPIES_TO {
            headers.rename(theirs, ours);
        }
        headers.insert(ID, self.id.clone());
        headers.insert(EXCHANGE, self.exchange.clone());
        headers.insert(KEY, ByteString::from(self.message.routing_key()));
        headers.insert(MANDATORY, self.mandatory);
        headers.insert(BORN, number(self.born_ms));
        headers.insert(CHECKS, Value::I64(self.checks.into()));
        headers.insert(CHECKED, number(self.checked_ms));
        if let Some(expiration) = properties.expiration.take() {
            headers.insert(EXPIRATION, expiration);
        }
        if let Some(mode) = properties.delivery_mode.replace(PERSISTENT) {
            headers.insert(MODE, Value::I64(mode.into()));
        }
        Message::from_parts(queue, properties, self.message.body().clone())
    }

    /// Reads what [`wrapped`](Self::wrapped) has written.
    ///
    /// # Errors
    ///
    /// What is no half message, and whatever put it there.
    pub(super) fn unwrapped(content: &Content) -> Result<Self, Malformed> {
        let mut properties = Properties::decode(content.properties.clone())?;
        let no_half = |what: &'static str| Malformed::new("half message", what);
        let mut headers = properties.headers.take().unwrap_or_default();
        let id = text(headers.remove(ID)).ok_or_else(|| no_half("no id"))?;
        let exchange = text(headers.remove(EXCHANGE)).ok_or_else(|| no_half("no exchange"))?;
        let key = text(headers.remove(KEY)).ok_or_else(|| no_half("no routing key"))?;
        let mut count = |name| {
            let value = headers.remove(name).and_then(|value| value.as_i64());
            value.and_then(|value| u64::try_from(value).ok())
        };
        let (born_ms, checks, checked_ms) = (count(BORN), count(CHECKS), count(CHECKED));
        let mode = count(MODE).and_then(|mode| u8::try_from(mode).ok());
        let mandatory = headers.remove(MANDATORY).and_then(|it| it.as_bool());
        properties.expiration = text(headers.remove(EXPIRATION));
        properties.delivery_mode = mode;
        for (theirs, ours) in COPIES_TO {
            headers.rename(ours, theirs);
        }
        properties.headers = Some(headers).filter(|headers| !headers.is_empty());
        Ok(Self {
            id,
            message: Message::from_parts(key, properties, content.body.clone()),
            exchange,
            mandatory: mandatory.unwrap_or(true),
            born_ms: born_ms.ok_or_else(|| no_half("no time of birth"))?,
            checks: u32::try_from(checks.unwrap_or(0)).unwrap_or(u32::MAX),
            checked_ms: checked_ms.unwrap_or(0),
        })
    }

    /// How long from `now_ms` on until the checker is to be asked: by clocks that differ it is neither before its time nor much later.
    pub(super) fn due_in(&self, now_ms: u64, first: Duration, again: Duration) -> Duration {
        let (since, pause) = if self.checks == 0 {
            (self.born_ms, first)
        } else {
            (self.checked_ms, again)
        };
        let passed = Duration::from_millis(now_ms.saturating_sub(since));
        pause.saturating_sub(passed)
    }
}

/// What stands in a slot and is no half message, as it goes to the discard queue.
pub(super) fn stray(
    deliver: &BasicDeliver,
    content: &Content,
    queue: ByteString,
) -> Result<Message, Malformed> {
    let mut properties = Properties::decode(content.properties.clone())?;
    let headers = properties.headers.get_or_insert_default();
    for (theirs, ours) in COPIES_TO {
        headers.rename(theirs, ours);
    }
    headers.insert(EXCHANGE, deliver.exchange.clone());
    headers.insert(KEY, deliver.routing_key.clone());
    properties.expiration = None;
    properties.user_id = None;
    Ok(Message::from_parts(queue, properties, content.body.clone()))
}

pub(super) fn since_epoch(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

fn number(value: u64) -> Value {
    Value::I64(i64::try_from(value).unwrap_or(i64::MAX))
}

fn text(value: Option<Value>) -> Option<ByteString> {
    match value {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    }
}

const ID: &str = "x-mq-tx-id";
const EXCHANGE: &str = "x-mq-tx-exchange";
const KEY: &str = "x-mq-tx-routing-key";
const MANDATORY: &str = "x-mq-tx-mandatory";
const BORN: &str = "x-mq-tx-born";
const CHECKS: &str = "x-mq-tx-checks";
const CHECKED: &str = "x-mq-tx-checked";
const EXPIRATION: &str = "x-mq-tx-expiration";
const MODE: &str = "x-mq-tx-delivery-mode";
/// Headers by which a broker routes a message to more keys than its own: half it goes to its slot alone.
// rabbitmq.com/docs/sender-selected
const COPIES_TO: [(&str, &str); 2] = [("CC", "x-mq-tx-cc"), ("BCC", "x-mq-tx-bcc")];
const PERSISTENT: u8 = 2;
