//! The flows: each sends a plan and compares it with what was received.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mq_core::{Clock as _, SystemClock};
use mq_dev::cmq::{DevServer, Fault};

use super::stage::{Row, SHARDS, ack, consume, next, receive, send, text};
use crate::adapter::{Broker, Outgoing, Settle, When};
use crate::output::say;

/// What is sent arrives.
pub(super) async fn send_receive(broker: &Broker) -> Row {
    const COUNT: usize = 20;
    say(format_args!(
        "send and receive: {COUNT} messages through queue work"
    ));
    for number in 0..COUNT {
        send(broker, Outgoing::new("work", format!("job {number}"))).await;
    }
    let seen = receive(broker, "work", COUNT).await;
    let missing: Vec<String> = (0..COUNT)
        .map(|number| format!("job {number}"))
        .filter(|job| !seen.contains(job))
        .collect();
    let told = if missing.is_empty() {
        "each arrived".to_owned()
    } else {
        format!("missing: {}", missing.join(", "))
    };
    Row {
        flow: "send, receive",
        sent: COUNT,
        came: seen.len(),
        kept: missing.is_empty(),
        told,
    }
}

/// A topic hands to each queue what it has subscribed to.
pub(super) async fn by_tag(broker: &Broker) -> Row {
    say(
        "publish by tag: topic news; queue all-news takes everything, queue alarms what is tagged alarm",
    );
    for (body, tag) in [("sunny", "report"), ("storm", "alarm"), ("fog", "report")] {
        send(broker, Outgoing::new("topic:news", body).tag(tag)).await;
    }
    let all = receive(broker, "all-news", 3).await;
    let alarms = receive(broker, "alarms", 1).await;
    let kept = names(&all) == "fog, storm, sunny" && names(&alarms) == "storm";
    let told = format!("all-news: {}; alarms: {}", names(&all), names(&alarms));
    Row {
        flow: "topic, by tag",
        sent: 3,
        came: all.len(),
        kept,
        told,
    }
}

/// A routing key finds its binding keys.
pub(super) async fn by_route(broker: &Broker) -> Row {
    say("publish by route: topic weather; queue europe is bound to europe.#");
    let routes = ["europe.paris", "asia.tokyo", "europe.rome.north"];
    let mut stored = 0;
    for route in routes {
        let message = Outgoing::new(format!("topic:weather/{route}"), route);
        match broker.send(message).await {
            Ok(_) => stored += 1,
            Err(failed) => say(format_args!("  {route}: {failed}")),
        }
    }
    let seen = receive(broker, "europe", 2).await;
    let kept = names(&seen) == "europe.paris, europe.rome.north" && stored == 2;
    let told = format!("europe: {}; refused: {}", names(&seen), 3 - stored);
    Row {
        flow: "topic, by route",
        sent: stored,
        came: seen.len(),
        kept,
        told,
    }
}

/// What fails comes again, counted; what always fails becomes a dead letter.
pub(super) async fn retry_and_dead_letter(broker: &Broker) -> Row {
    say(
        "retry: queue retried, visibility 1 s; after 2 receives a message becomes a dead letter in queue lost",
    );
    for body in ["fails once", "fails always"] {
        send(broker, Outgoing::new("retried", body)).await;
    }
    let mut came = 0;
    let mut done = 0;
    if let Some(subscription) = consume(broker, "retried", false).await {
        while came < 4
            && let Some(delivery) = next(&subscription).await
        {
            let body = text(&delivery);
            let attempt = delivery.message.redelivery_count + 1;
            came += 1;
            if body == "fails once" && attempt == 2 {
                say(format_args!("  {body}: attempt {attempt}, done"));
                ack(delivery).await;
                done += 1;
            } else {
                say(format_args!("  {body}: attempt {attempt} fails"));
                // It counts as a delivery, and comes again when its visibility timeout ends.
                drop(delivery.settle(Settle::Retry).await);
            }
        }
        subscription.close().await;
    }
    let dead = receive(broker, "lost", 1).await;
    let kept = done == 1 && names(&dead) == "fails always";
    let told = format!("done: {done}; dead letters: {}", names(&dead));
    Row {
        flow: "retry, dead letter",
        sent: 2,
        came: done + dead.len(),
        kept,
        told,
    }
}

/// The messages of a key come in their order, although the server mixes them up and delivers some twice.
pub(super) async fn ordered(broker: &Broker, server: &DevServer) -> Row {
    const EACH: usize = 6;
    let topic = format!("orders/{SHARDS}");
    let keys = ["anna", "ben", "cleo"];
    say(format_args!(
        "ordered: {EACH} messages of each of {} keys over {SHARDS} queues; the server shuffles, and delivers one in ten again",
        keys.len()
    ));
    let shuffle = server.inject(Fault::shuffle());
    let again = server.inject(Fault::redeliver().percent(10));
    for number in 1..=EACH {
        for key in keys {
            let message = Outgoing::new(&topic, format!("{key} {number}"));
            send(broker, message.ordering_key(key)).await;
        }
    }
    let mut seen: BTreeMap<String, Vec<String>> = BTreeMap::new();
    if let Some(subscription) = consume(broker, &topic, true).await {
        while seen.values().map(Vec::len).sum::<usize>() < EACH * keys.len()
            && let Some(delivery) = next(&subscription).await
        {
            let body = text(&delivery);
            let (key, number) = body.split_once(' ').unwrap_or((&body, ""));
            let of_key = seen.entry(key.to_owned()).or_default();
            of_key.push(number.to_owned());
            ack(delivery).await;
        }
        subscription.close().await;
    }
    shuffle.disarm();
    again.disarm();
    let wanted: Vec<String> = (1..=EACH).map(|number| number.to_string()).collect();
    let kept = keys.iter().all(|key| seen.get(*key) == Some(&wanted));
    let shown = seen
        .iter()
        .map(|(key, numbers)| format!("{key} {}", numbers.join(" ")));
    let told = shown.collect::<Vec<_>>().join("; ");
    Row {
        flow: "ordered",
        sent: EACH * keys.len(),
        came: seen.values().map(Vec::len).sum(),
        kept,
        told,
    }
}

/// Not before its time.
pub(super) async fn scheduled(broker: &Broker) -> Row {
    say("scheduled: three messages for 3 s, 1 s and 2 s from now");
    let mut due = BTreeMap::new();
    for seconds in [3, 1, 2] {
        let delay = Duration::from_secs(seconds);
        due.insert(format!("after {seconds} s"), SystemClock.wall() + delay);
        let message = Outgoing::new("later", format!("after {seconds} s"));
        send(broker, message.when(When::After(delay))).await;
    }
    let mut order = Vec::new();
    let mut early = 0;
    if let Some(subscription) = consume(broker, "later", false).await {
        while order.len() < due.len()
            && let Some(delivery) = next(&subscription).await
        {
            let body = text(&delivery);
            let at = due.get(&body).copied();
            let late = at.and_then(|at| delivery.message.received_at.duration_since(at).ok());
            let Some(late) = late else {
                early += 1;
                say(format_args!("  {body}: came before its time"));
                ack(delivery).await;
                continue;
            };
            say(format_args!("  {body}: {} ms late", late.as_millis()));
            order.push((body, late.as_millis()));
            ack(delivery).await;
        }
        subscription.close().await;
    }
    let in_turn = order.iter().map(|(body, _)| body).eq(due.keys());
    let kept = in_turn && early == 0;
    let shown = order
        .iter()
        .map(|(body, late)| format!("{body} +{late} ms"));
    let told = shown.collect::<Vec<_>>().join("; ");
    Row {
        flow: "scheduled",
        sent: due.len(),
        came: order.len(),
        kept,
        told,
    }
}

fn names(seen: &BTreeSet<String>) -> String {
    let names: Vec<&str> = seen.iter().map(String::as_str).collect();
    names.join(", ")
}
