//! Messages that leave a consumer through the broker: put aside, or sent round by a queue in which they wait.
//!
//! ```text
//!  park   ─► publish to the parking queue, confirmed ────────────────────────────────► ack
//!  delay  ─► declare mq.retry.<ms>.<queue> (TTL, dead letters to the queue) ─► publish ─► ack
//! ```
//!
//! The message is acknowledged only when its copy is confirmed: it may be there twice, and is never lost. It keeps its id.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytestring::ByteString;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Shared;
use super::attend::begin;
use super::core::Arrival;
use super::delivery::{Settling, attempt};
use super::ledger::Decision;
use crate::conn::now;
use crate::error::Result;
use crate::proto::{Malformed, Properties, Value};
use crate::publisher::Publisher;
use crate::scheduled::arrived;
use crate::topology::Queue;
use crate::{Client, Message};

/// What a consumer publishes by, and to.
pub(super) struct Returns {
    pub(super) publisher: Publisher,
    /// Where messages go that nobody can handle.
    pub(super) parking: Option<ByteString>,
    /// When queues in which messages wait were declared last.
    declared: Mutex<HashMap<ByteString, Instant>>,
}

impl Returns {
    pub(super) fn new(publisher: Publisher, parking: Option<ByteString>) -> Self {
        Self {
            publisher,
            parking,
            declared: Mutex::default(),
        }
    }

    /// Makes the queue in which messages for `target` wait so long, unless that was done a moment ago.
    async fn waiting_queue(
        &self,
        client: &Client,
        target: &ByteString,
        wait: Duration,
    ) -> Result<ByteString> {
        let name: ByteString = waiting_name(target, wait).into();
        let declared = self.declared().get(&name).copied();
        if declared.is_none_or(|at| now() >= at + FRESH) {
            let queue = Queue::classic(name.clone())
                .message_ttl(wait)
                .expires(wait + GRACE)
                .dead_letter_exchange("")
                .dead_letter_routing_key(target.clone());
            client.ensure_queue(&queue).await?;
            self.declared().insert(name.clone(), now());
        }
        Ok(name)
    }

    fn declared(&self) -> std::sync::MutexGuard<'_, HashMap<ByteString, Instant>> {
        self.declared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether messages of this queue can wait in one whose name holds both.
pub(super) fn can_wait(target: &str) -> bool {
    waiting_name(target, Duration::MAX).len() <= 255
}

fn waiting_name(target: &str, wait: Duration) -> String {
    format!("mq.retry.{}.{target}", wait.as_millis())
}

/// Puts a message aside: to the parking queue, confirmed, and only then is it acknowledged. Without one it is refused.
pub(super) fn park(shared: &Arc<Shared>, arrival: &Arrival, why: &str) -> Settling {
    let parking = shared
        .returns
        .as_ref()
        .and_then(|returns| returns.parking.clone());
    let Some(parking) = parking else {
        let tag = arrival.deliver.delivery_tag;
        return Settling::now(shared.core.settle(arrival.epoch, tag, Decision::Reject));
    };
    let mut message = match copy(arrival) {
        Ok(message) => message,
        Err(malformed) => {
            tracing::error!(%malformed, queue = %shared.core.queue, "a message can't be copied to the parking queue; it was refused");
            let tag = arrival.deliver.delivery_tag;
            return Settling::now(shared.core.settle(arrival.epoch, tag, Decision::Reject));
        }
    };
    let headers = message.properties_mut().headers.get_or_insert_default();
    headers.insert(REASON, why.to_owned());
    headers.remove(ROUND);
    send_round(shared, arrival, message, Way::To(parking))
}

/// Has a message come again after a time, through a queue in which it waits; here, if it can't be copied.
pub(super) fn delay(shared: &Arc<Shared>, arrival: &Arrival, wait: Duration) -> Settling {
    let Ok(mut message) = copy(arrival) else {
        return Settling::now(shared.core.again(arrival.clone(), now() + rounded(wait)));
    };
    let headers = message.properties_mut().headers.get_or_insert_default();
    headers.insert(ROUND, true);
    send_round(shared, arrival, message, Way::After(rounded(wait)))
}

enum Way {
    To(ByteString),
    After(Duration),
}

fn send_round(shared: &Arc<Shared>, arrival: &Arrival, message: Message, way: Way) -> Settling {
    let (told, settling) = oneshot::channel();
    let arrival = arrival.clone();
    let with = Arc::clone(shared);
    let sending = async move {
        let sent = publish(&with, message, way).await;
        if let Err(error) = &sent {
            tracing::warn!(%error, queue = %with.core.queue, "a message could not be sent round; it is handed out again after a pause");
        }
        let settled = if sent.is_ok() {
            let tag = arrival.deliver.delivery_tag;
            with.core.settle(arrival.epoch, tag, Decision::Ack)
        } else {
            // Given back it would come at once, to fail in the same way, and so on as fast as the broker can.
            let pause = with.retry.back_off(&arrival);
            with.core.again(arrival, now() + pause)
        };
        // Nobody has to wait for it.
        let _ = told.send(sent.and(settled));
    };
    begin(&shared.client, sending);
    Settling::later(settling)
}

async fn publish(shared: &Shared, mut message: Message, way: Way) -> Result<()> {
    let Some(returns) = &shared.returns else {
        return Err(crate::error::invalid(
            "settle",
            "the consumer has nothing to publish by",
        ));
    };
    let key = match way {
        Way::To(queue) => queue,
        Way::After(wait) => {
            let target = shared.client.registry().present(&shared.core.queue);
            returns.waiting_queue(&shared.client, &target, wait).await?
        }
    };
    message.set_routing_key(key);
    returns.publisher.send(message).await?;
    Ok(())
}

/// The message as it came, with where it came from and how often it was tried.
///
/// # Errors
///
/// If its properties can't be read: a copy would be without them, its id among them, and the message gone.
fn copy(arrival: &Arrival) -> Result<Message, Malformed> {
    let mut properties = Properties::decode(arrival.content.properties.clone())?;
    let attempts = attempt(arrival, &properties);
    let (exchange, key) = origin(arrival, &properties);
    make_copy(&mut properties, attempts, exchange, key);
    let body = arrival.content.body.clone();
    Ok(Message::from_parts(ByteString::new(), properties, body))
}

/// Makes of a message's properties those of its copy: with where it came from and how often it was tried, and without what would lead the copy elsewhere too,
/// or end it.
pub(crate) fn make_copy(
    properties: &mut Properties,
    attempts: u32,
    exchange: ByteString,
    key: ByteString,
) {
    let headers = properties.headers.get_or_insert_default();
    // It would go to all of these queues once more.
    for (theirs, ours) in COPIES_TO {
        headers.rename(theirs, ours);
    }
    headers.insert(ATTEMPTS, Value::I64(attempts.into()));
    headers.insert(FROM_EXCHANGE, exchange);
    headers.insert(FROM_KEY, key);
    properties.expiration = None;
    // The server checks it against who publishes.
    properties.user_id = None;
}

/// Exchange and routing key as its publisher had them, also of a message that was sent round.
pub(super) fn origin(arrival: &Arrival, properties: &Properties) -> (ByteString, ByteString) {
    let deliver = &arrival.deliver;
    let headers = properties
        .headers
        .as_ref()
        .filter(|headers| headers.get(ROUND).is_some());
    let text = |name| match headers.and_then(|headers| headers.get(name)) {
        Some(Value::Text(text)) => Some(text.clone()),
        _ => None,
    };
    let (exchange, key) = (
        text(FROM_EXCHANGE).unwrap_or_else(|| deliver.exchange.clone()),
        text(FROM_KEY).unwrap_or_else(|| deliver.routing_key.clone()),
    );
    arrived::origin(&exchange, &key).unwrap_or((exchange, key))
}

/// As its publisher had them, also of a message that was sent round.
pub(super) fn restore(properties: &mut Properties) {
    if let Some(headers) = &mut properties.headers
        && headers.get(ROUND).is_some()
    {
        for (theirs, ours) in COPIES_TO {
            headers.rename(ours, theirs);
        }
    }
}

pub(super) fn properties(arrival: &Arrival) -> Properties {
    Properties::decode(arrival.content.properties.clone()).unwrap_or_default()
}

/// Rounded up, so that there are few queues in which messages wait: to 100 ms below 10 s, to 1 s below 10 min, to 1 min beyond.
fn rounded(wait: Duration) -> Duration {
    let millis = wait.as_millis().min(LONGEST.as_millis());
    let grain = match millis {
        0..10_000 => 100,
        10_000..600_000 => 1000,
        _ => 60_000,
    };
    let whole = millis.div_ceil(grain).max(1) * grain;
    Duration::from_millis(u64::try_from(whole).unwrap_or(u64::MAX))
}

/// How often a message was tried that was put aside or sent round.
pub(super) const ATTEMPTS: &str = "x-mq-attempts";
pub(crate) const REASON: &str = "x-mq-reason";
const FROM_EXCHANGE: &str = "x-mq-exchange";
const FROM_KEY: &str = "x-mq-routing-key";
/// Why a message is put aside that a handler does not want.
pub(crate) const REFUSED: &str = "a handler refused it";
/// Headers by which a broker routes a message to more keys than its own, and what they are called in a copy.
// rabbitmq.com/docs/sender-selected
const COPIES_TO: [(&str, &str); 2] = [("CC", "x-mq-cc"), ("BCC", "x-mq-bcc")];
/// It was sent round: the exchange and the key are those of the headers.
const ROUND: &str = "x-mq-retry";
/// A queue that was declared so recently outlives what is sent to it now.
const FRESH: Duration = Duration::from_secs(60);
/// How much longer than its messages a queue lives that nobody declares any more.
const GRACE: Duration = Duration::from_secs(180);
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rounded_up_to_few() {
        let of = |millis| rounded(Duration::from_millis(millis)).as_millis();
        let rounded: Vec<_> = [0, 1, 100, 101, 9_999, 10_001, 599_999, 600_001]
            .map(of)
            .to_vec();
        assert_eq!(
            rounded,
            [100, 100, 100, 200, 10_000, 11_000, 600_000, 660_000]
        );
    }
}
