//! What a producer says.
#![allow(
    clippy::future_not_send,
    reason = "a program with one task waits for them"
)]

use std::time::Duration;

use integration_tests::harness::until;
use serde_json::{Value, json};

use super::{Play, Result};

pub(super) async fn play(play: &mut Play) -> Result<()> {
    let maker = json!({ "made": "by the fixture" });
    let plain =
        json!({ "producer": "plain", "topic": "plain", "name": "fixture", "properties": maker });
    play.ask("Producer", plain).await?;
    let wanted = "> LOOKUP < LOOKUP_RESPONSE > PRODUCER < PRODUCER_SUCCESS";
    play.keep("producer", wanted).await?;
    single(play).await?;
    for name in ["LZ4", "ZLIB", "ZSTD", "SNAPPY"] {
        compressed(play, name).await?;
    }
    batches(play).await?;
    others(play).await?;
    play.ask("CloseProducer", json!({ "producer": "batch" }))
        .await?;
    play.keep("close-producer", "> CLOSE_PRODUCER < SUCCESS")
        .await
}

async fn single(play: &mut Play) -> Result<()> {
    let properties = json!({ "empty": "", "from": "München 東京" });
    // "order/7" and its bytes, in Base64.
    let full = json!({
        "value": FULL, "key": "customer-1", "ordering_key": "b3JkZXIvNw==", "properties": properties,
        "event_time": 1_700_000_000_123_u64, "sequence_id": 41
    });
    for (step, message) in [
        ("send-plain", json!({ "value": PLAIN })),
        ("send-empty", json!({ "value": "" })),
        ("send-full", full),
        ("send-null", json!({ "value": null, "key": "gone" })),
        (
            "send-key-bytes",
            json!({ "value": PLAIN, "key_bytes": "AAH/" }),
        ),
        // 2100-01-01
        (
            "send-deliver-at",
            json!({ "value": PLAIN, "deliver_at": 4_102_444_800_000_u64 }),
        ),
    ] {
        let call = json!({ "producer": "plain", "messages": [message] });
        play.ask("Send", call).await?;
        play.keep(step, "> SEND < SEND_RECEIPT").await?;
    }
    Ok(())
}

/// A message, and a batch of three.
async fn compressed(play: &mut Play, name: &str) -> Result<()> {
    for (step, batch) in [("send", 0), ("send-batch", 3)] {
        let producer = format!("{step}-{name}");
        let made = json!({ "producer": producer, "topic": "compressed", "compression": name, "batch": batch });
        play.ask("Producer", made).await?;
        let message = json!({ "value": long(), "key": "k" });
        let messages = vec![message; batch.max(1)];
        play.ask(
            "Send",
            json!({ "producer": producer, "messages": messages }),
        )
        .await?;
        play.keep(&producer.to_lowercase(), "> SEND < SEND_RECEIPT")
            .await?;
    }
    Ok(())
}

async fn batches(play: &mut Play) -> Result<()> {
    play.ask(
        "Producer",
        json!({ "producer": "batch", "topic": "batch", "name": "batches", "batch": 3 }),
    )
    .await?;
    let three: Vec<Value> = ["b25l", "dHdv", "dGhyZWU="]
        .map(|value| json!({ "value": value }))
        .into();
    play.ask("Send", json!({ "producer": "batch", "messages": three }))
        .await?;
    play.keep("send-batch", "> SEND < SEND_RECEIPT").await?;
    let mixed = json!([
        { "value": PLAIN, "key": "a", "ordering_key": "AQ==", "properties": { "n": "1" }, "event_time": 1_700_000_000_001_u64 },
        { "value": null, "key": "b" },
        { "value": "", "properties": { "n": "3" }, "sequence_id": 99 }
    ]);
    play.ask("Send", json!({ "producer": "batch", "messages": mixed }))
        .await?;
    play.keep("send-batch-mixed", "> SEND < SEND_RECEIPT").await
}

async fn others(play: &mut Play) -> Result<()> {
    let only = json!({ "producer": "only", "topic": "only", "access": "Exclusive" });
    play.ask("Producer", only.clone()).await?;
    play.keep("producer-exclusive", "> PRODUCER < PRODUCER_SUCCESS")
        .await?;
    play.refused("Producer", only).await?;
    play.keep("producer-refused", "> PRODUCER < ERROR").await?;

    let chunked =
        json!({ "producer": "chunks", "topic": "chunks", "chunking": true, "chunk": 300 });
    play.ask("Producer", chunked).await?;
    // More than fits into one frame of 300 bytes, with what describes it.
    play.ask(
        "Send",
        json!({ "producer": "chunks", "messages": [{ "value": long() }] }),
    )
    .await?;
    play.keep("send-chunks", "> SEND > SEND < SEND_RECEIPT")
        .await?;

    play.ask(
        "Producer",
        json!({ "producer": "schema", "topic": "plain", "schema": "auto" }),
    )
    .await?;
    play.keep("schema", "> GET_SCHEMA < GET_SCHEMA_RESPONSE")
        .await?;

    play.ask(
        "Producer",
        json!({ "producer": "schemas", "topic": "schemas" }),
    )
    .await?;
    let text = json!({ "producer": "schemas", "messages": [{ "text": "hello" }] });
    play.ask("Send", text).await?;
    let wanted = "> GET_OR_CREATE_SCHEMA < GET_OR_CREATE_SCHEMA_RESPONSE > SEND";
    play.keep("schema-register", wanted).await?;

    play.ask("Producer", json!({ "producer": "small", "topic": "small" }))
        .await?;
    let path = "persistent/public/default/small/maxMessageSize";
    play.manage()?.ask("POST", path, 100.into()).await?;
    let too_long = json!({ "producer": "small", "messages": [{ "value": long() }] });
    // The broker hears of it by a topic of its own.
    let refused = async || {
        let answer = play.theirs.call("Send", too_long.clone()).await;
        answer.is_err()
    };
    until(Duration::from_secs(30), "a message is too long", refused).await;
    play.keep("send-refused", "< SEND_ERROR").await
}

/// 400 times "a", in Base64.
fn long() -> String {
    format!("{}YQ==", "YWFh".repeat(133))
}

/// "hello"
const PLAIN: &str = "aGVsbG8=";
/// "a body with 東"
const FULL: &str = "YSBib2R5IHdpdGgg5p2x";
