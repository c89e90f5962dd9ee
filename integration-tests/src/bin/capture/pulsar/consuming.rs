//! What a consumer says.
#![allow(
    clippy::future_not_send,
    reason = "a program with one task waits for them"
)]

use std::time::Duration;

use serde_json::{Value, json};

use super::{Play, Result};

pub(super) async fn play(play: &mut Play) -> Result<()> {
    kinds(play).await?;
    acknowledgements(play).await?;
    again(play).await?;
    places(play).await?;
    taken_away(play).await?;
    patterns(play).await?;
    for (step, action) in [
        ("unsubscribe", "Unsubscribe"),
        ("close-consumer", "CloseConsumer"),
    ] {
        let consumer = if action == "Unsubscribe" {
            "batch"
        } else {
            "several"
        };
        play.ask(action, json!({ "consumer": consumer })).await?;
        let command = step.to_uppercase().replace('-', "_");
        play.keep(step, &format!("> {command} < SUCCESS")).await?;
    }
    Ok(())
}

/// Every type of subscription.
async fn kinds(play: &mut Play) -> Result<()> {
    let exclusive = json!({
        "consumer": "exclusive", "topics": ["plain"], "subscription": "s", "from": "Earliest", "name": "fixture", "queue": 100,
        "properties": { "made": "by the fixture" }, "subscription_properties": { "of": "s" }
    });
    play.ask("Subscribe", exclusive).await?;
    play.keep(
        "subscribe-exclusive",
        "> SUBSCRIBE < SUCCESS > FLOW < MESSAGE",
    )
    .await?;
    let taken = json!({ "consumer": "taken", "topics": ["plain"], "subscription": "s" });
    play.refused("Subscribe", taken).await?;
    play.keep("subscribe-refused", "> SUBSCRIBE < ERROR")
        .await?;
    let failover = json!({ "consumer": "failover", "topics": ["plain"], "subscription": "f", "type": "Failover" });
    play.ask("Subscribe", failover).await?;
    play.keep(
        "subscribe-failover",
        "> SUBSCRIBE < SUCCESS < ACTIVE_CONSUMER_CHANGE",
    )
    .await?;
    let shared = json!({ "consumer": "shared", "topics": ["plain"], "subscription": "sh", "type": "Shared", "priority": 2 });
    play.ask("Subscribe", shared).await?;
    play.keep("subscribe-shared", "> SUBSCRIBE < SUCCESS")
        .await?;
    for (name, policy) in [
        ("auto", json!({})),
        ("loose", json!({ "out_of_order": true })),
        ("sticky", json!({ "ranges": [[0, 1000], [2000, 65535]] })),
    ] {
        let call = json!({
            "consumer": name, "topics": ["plain"], "subscription": name, "type": "Key_Shared", "key_shared": policy
        });
        play.ask("Subscribe", call).await?;
        let step = format!("subscribe-key-shared-{name}");
        play.keep(&step, "> SUBSCRIBE < SUCCESS").await?;
    }
    let reader = json!({ "reader": "reader", "topic": "plain", "from": "earliest" });
    play.ask("Reader", reader).await?;
    play.keep("reader", "> SUBSCRIBE < SUCCESS").await?;
    play.ask("HasNext", json!({ "reader": "reader" })).await?;
    play.ask("CloseReader", json!({ "reader": "reader" }))
        .await?;
    Ok(())
}

async fn acknowledgements(play: &mut Play) -> Result<()> {
    let ids = received(play, "exclusive", 6).await?;
    let at = |at: usize| ids.get(at).cloned().unwrap_or_default();
    play.ask("Ack", json!({ "consumer": "exclusive", "ids": [at(1)] }))
        .await?;
    play.keep("ack", "> ACK").await?;
    let cumulative = json!({ "consumer": "exclusive", "ids": [at(3)], "cumulative": true });
    play.ask("Ack", cumulative).await?;
    play.keep("ack-cumulative", "> ACK").await?;

    // Grouped for a moment: what is acknowledged within is one command.
    let several = json!({
        "consumer": "several", "topics": ["plain"], "subscription": "several", "from": "Earliest", "type": "Shared",
        "ack_group_ms": 500, "receipts": true
    });
    play.ask("Subscribe", several).await?;
    let ids = received(play, "several", 3).await?;
    let together = json!({ "consumer": "several", "ids": ids, "together": true });
    play.ask("Ack", together).await?;
    play.keep("ack-several-receipt", "> ACK < ACK_RESPONSE")
        .await?;

    let batch = json!({ "consumer": "batch", "topics": ["batch"], "subscription": "b", "from": "Earliest", "type": "Shared" });
    play.ask("Subscribe", batch.clone()).await?;
    play.keep("batch", "< MESSAGE < MESSAGE").await?;
    let ids = received(play, "batch", 6).await?;
    let first = json!({ "consumer": "batch", "ids": [ids.first()] });
    play.ask("Ack", first).await?;
    play.keep("ack-batch-index", "> ACK").await?;
    // What comes again tells what of it was acknowledged.
    play.ask("CloseConsumer", json!({ "consumer": "batch" }))
        .await?;
    play.ask("Subscribe", batch).await?;
    play.keep("batch-again", "< MESSAGE").await?;
    let ids = received(play, "batch", 2).await?;
    let rest = json!({ "consumer": "batch", "ids": ids });
    play.ask("Ack", rest).await?;
    play.keep("ack-batch-whole", "> ACK > ACK").await
}

async fn again(play: &mut Play) -> Result<()> {
    let shared = json!({ "consumer": "again", "topics": ["plain"], "subscription": "again", "from": "Earliest", "type": "Shared" });
    play.ask("Subscribe", shared).await?;
    let ids = received(play, "again", 2).await?;
    play.ask("Nack", json!({ "consumer": "again", "ids": ids }))
        .await?;
    play.keep("nack", "> REDELIVER_UNACKNOWLEDGED_MESSAGES < MESSAGE")
        .await?;
    play.ask("Redeliver", json!({ "consumer": "exclusive" }))
        .await?;
    play.keep("redeliver-all", "> REDELIVER_UNACKNOWLEDGED_MESSAGES")
        .await
}

async fn places(play: &mut Play) -> Result<()> {
    play.ask("LastMessageIds", json!({ "consumer": "exclusive" }))
        .await?;
    play.keep(
        "last-message-id",
        "> GET_LAST_MESSAGE_ID < GET_LAST_MESSAGE_ID_RESPONSE",
    )
    .await?;
    play.ask(
        "Seek",
        json!({ "consumer": "exclusive", "ids": ["earliest"] }),
    )
    .await?;
    play.keep("seek-id", "> SEEK < SUCCESS").await?;
    let time = json!({ "consumer": "exclusive", "time": 1_700_000_000_000_u64 });
    play.ask("Seek", time).await?;
    play.keep("seek-time", "> SEEK").await
}

/// The broker unloads a topic, and one ends.
async fn taken_away(play: &mut Play) -> Result<()> {
    play.manage()?.unload("plain").await;
    play.keep(
        "unloaded",
        "< CLOSE_PRODUCER < CLOSE_CONSUMER > PRODUCER > SUBSCRIBE",
    )
    .await?;
    let path = "persistent/public/default/ended/terminate";
    let created = "persistent/public/default/ended";
    play.manage()?.ask("PUT", created, Value::Null).await?;
    play.manage()?.ask("POST", path, Value::Null).await?;
    let ended = json!({ "consumer": "ended", "topics": ["ended"], "subscription": "e" });
    play.ask("Subscribe", ended).await?;
    play.keep("ended", "< REACHED_END_OF_TOPIC").await
}

async fn patterns(play: &mut Play) -> Result<()> {
    let pattern = json!({ "consumer": "pattern", "pattern": "persistent://public/default/comp.*", "subscription": "p" });
    play.ask("Subscribe", pattern).await?;
    let wanted = "> GET_TOPICS_OF_NAMESPACE < GET_TOPICS_OF_NAMESPACE_RESPONSE \
                  > WATCH_TOPIC_LIST < WATCH_TOPIC_LIST_SUCCESS";
    play.keep("pattern", wanted).await?;
    let path = "persistent/public/default/composed";
    play.manage()?.ask("PUT", path, Value::Null).await?;
    play.keep("pattern-update", "< WATCH_TOPIC_UPDATE").await?;
    play.ask("CloseConsumer", json!({ "consumer": "pattern" }))
        .await?;
    play.keep("pattern-close", "> WATCH_TOPIC_LIST_CLOSE").await
}

/// The ids of so many messages.
async fn received(play: &mut Play, consumer: &str, count: usize) -> Result<Vec<Value>> {
    let wait = Duration::from_secs(10).as_millis();
    let call = json!({ "consumer": consumer, "count": count, "timeout_ms": u64::try_from(wait)? });
    let answer = play.ask("Receive", call).await?;
    let messages = answer.get("messages").and_then(Value::as_array);
    let messages = messages.map(Vec::as_slice).unwrap_or_default();
    if messages.len() < count {
        return Err(format!("{consumer} received {} of {count}", messages.len()).into());
    }
    let id = |message: &Value| message.get("id").cloned().unwrap_or_default();
    Ok(messages.iter().map(id).collect())
}
