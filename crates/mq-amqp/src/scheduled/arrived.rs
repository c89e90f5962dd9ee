//! What a message that was scheduled looks like to who receives it: as if it had been published to its queue.

use std::time::{Duration, SystemTime};

use bytestring::ByteString;

use super::ladder::{PREFIX, UNDELIVERED, target};
use crate::Message;
use crate::consumer::returns::REASON;
use crate::proto::{Properties, Table, Value};

/// When it is due, in milliseconds since the Unix epoch.
pub(super) const DUE: &str = "x-mq-due";
/// How long the plugin's exchange keeps it, in milliseconds.
pub(super) const DELAY: &str = "x-delay";
/// What the names of timer queues begin with.
pub(super) const TIMER: &str = "mq.timer.v1.";

/// The exchange and the key that it would have without the way that it took; `None` if it was not scheduled.
pub(crate) fn origin(exchange: &str, key: &str) -> Option<(ByteString, ByteString)> {
    if !exchange.starts_with(PREFIX) {
        return None;
    }
    Some((ByteString::new(), target(key)?))
}

/// Takes off what the way has left in the headers, and gives the time for which it was scheduled.
pub(crate) fn clean(properties: &mut Properties, exchange: &str) -> Option<SystemTime> {
    let headers = properties.headers.as_mut()?;
    let before = headers.len();
    let due = headers.remove(DUE).and_then(|due| due.as_i64());
    if exchange.starts_with(PREFIX) {
        headers.remove(DELAY);
    }
    deaths(headers);
    if headers.is_empty() && before > 0 {
        properties.headers = None;
    }
    let since = Duration::from_millis(u64::try_from(due?).ok()?);
    SystemTime::UNIX_EPOCH.checked_add(since)
}

/// Says in a message that had no target why it is where it is.
pub(crate) fn explain(message: &mut Message, queue: &str) {
    if queue != UNDELIVERED {
        return;
    }
    let why = format!(
        "the queue \"{}\" was not there when the message was due",
        message.routing_key()
    );
    let headers = message.properties_mut().headers.get_or_insert_default();
    headers.insert(REASON, why);
}

/// Takes off all that the broker says of earlier deaths: it drops a message that dies twice of time in the same queue.
// rabbitmq-server 3.10: rabbit_dead_letter.erl, is_cycle
pub(super) fn forget_deaths(headers: &mut Table) {
    headers.remove(DEATHS);
    for (first, _) in FIRST {
        headers.remove(first);
    }
}

/// Takes off the deaths in queues of ours, and leaves the others; what was the first of them is told anew.
fn deaths(headers: &mut Table) {
    let Some(Value::Array(deaths)) = headers.get(DEATHS) else {
        return;
    };
    let others: Vec<_> = deaths.iter().filter(|death| !is_ours(death)).collect();
    if others.len() == deaths.len() {
        return;
    }
    let others: Vec<Value> = others.into_iter().cloned().collect();
    forget_deaths(headers);
    // The latest death comes first.
    if let Some(first) = others.last().and_then(Value::as_table) {
        for (name, from) in FIRST {
            if let Some(value) = first.get(from) {
                headers.insert(name, value.clone());
            }
        }
        headers.insert(DEATHS, Value::Array(others));
    }
}

fn is_ours(death: &Value) -> bool {
    let queue = death.as_table().and_then(|death| death.get("queue"));
    let name = queue.and_then(Value::as_str).unwrap_or_default();
    name.starts_with(PREFIX) || name.starts_with(TIMER)
}

const DEATHS: &str = "x-death";
/// What is told of the first death, and by which name the death itself has it.
const FIRST: [(&str, &str); 3] = [
    ("x-first-death-exchange", "exchange"),
    ("x-first-death-queue", "queue"),
    ("x-first-death-reason", "reason"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn death(queue: &str, reason: &str) -> Value {
        let mut death = Table::new();
        death.insert("queue", queue.to_owned());
        death.insert("reason", reason.to_owned());
        death.insert("exchange", "");
        Value::Table(death)
    }

    fn after(deaths: Vec<Value>) -> Properties {
        let mut headers = Table::new();
        headers.insert(DUE, 1_800_000_000_001_i64);
        headers.insert(DEATHS, Value::Array(deaths));
        headers.insert("x-first-death-queue", "mq.delay.v1.l03");
        headers.insert("x-first-death-reason", "expired");
        Properties {
            headers: Some(headers),
            ..Properties::default()
        }
    }

    #[test]
    fn nothing_of_the_way_is_left() {
        let ours = ["mq.delay.v1.l00", "mq.delay.v1.l03", "mq.timer.v1.1"];
        let mut properties = after(ours.map(|queue| death(queue, "expired")).to_vec());
        let due = clean(&mut properties, "mq.delay.v1.out").unwrap();
        let since = due.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(since.as_millis(), 1_800_000_000_001);
        assert_eq!(properties, Properties::default());
    }

    #[test]
    fn deaths_elsewhere_stay_and_the_first_is_told() {
        let deaths = vec![
            death("orders", "rejected"),
            death("mq.delay.v1.l03", "expired"),
        ];
        let mut properties = after(deaths);
        clean(&mut properties, "dead").unwrap();
        let headers = properties.headers.unwrap();
        let text = |name| headers.get(name).and_then(Value::as_str);
        assert_eq!(text("x-first-death-queue"), Some("orders"));
        assert_eq!(text("x-first-death-reason"), Some("rejected"));
        let left = Value::Array(vec![death("orders", "rejected")]);
        assert_eq!(headers.get(DEATHS), Some(&left));
    }

    #[test]
    fn what_was_not_scheduled_is_left_alone() {
        let mut headers = Table::new();
        headers.insert(DELAY, 5_i64);
        headers.insert(DEATHS, Value::Array(vec![death("orders", "rejected")]));
        let mut properties = Properties {
            headers: Some(headers),
            ..Properties::default()
        };
        let before = properties.clone();
        assert_eq!(clean(&mut properties, "orders"), None);
        assert_eq!(properties, before);
        assert_eq!(origin("orders", "1.0.q"), None);
        let (exchange, key) = origin("mq.delay.v1.l04", "1.0.a~2eb").unwrap();
        assert_eq!((&*exchange, &*key), ("", "a.b"));
    }

    #[test]
    fn without_a_target_it_says_why() {
        let mut message = Message::new("gone", "x");
        explain(&mut message, "other");
        assert_eq!(message.properties().headers, None);
        explain(&mut message, UNDELIVERED);
        let headers = message.properties().headers.clone().unwrap();
        let why = headers.get(REASON).and_then(Value::as_str);
        assert!(why.is_some_and(|why| why.contains("\"gone\"")), "{why:?}");
    }
}
