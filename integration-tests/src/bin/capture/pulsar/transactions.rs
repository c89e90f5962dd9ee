//! A transaction that ends well, and one that does not.

use serde_json::json;

use super::{Play, Result};

pub(super) async fn play(play: &mut Play) -> Result<()> {
    let consumer = json!({ "consumer": "tx", "topics": ["batch"], "subscription": "tx", "from": "Earliest", "type": "Shared" });
    play.ask("Subscribe", consumer).await?;
    let received = play
        .ask("Receive", json!({ "consumer": "tx", "count": 6 }))
        .await?;
    let id = received.pointer("/messages/1/id").cloned();
    play.ask("Producer", json!({ "producer": "tx", "topic": "tx" }))
        .await?;
    play.ask("Begin", json!({ "timeout_ms": 60_000 })).await?;
    play.keep("transaction", "> NEW_TXN < NEW_TXN_RESPONSE")
        .await?;
    let message = json!({ "value": "aGVsbG8=", "transaction": true });
    play.ask("Send", json!({ "producer": "tx", "messages": [message] }))
        .await?;
    let wanted = "> ADD_PARTITION_TO_TXN < ADD_PARTITION_TO_TXN_RESPONSE > SEND < SEND_RECEIPT";
    play.keep("transaction-send", wanted).await?;
    // Within a batch.
    play.ask(
        "Ack",
        json!({ "consumer": "tx", "ids": [id], "transaction": true }),
    )
    .await?;
    let wanted =
        "> ADD_SUBSCRIPTION_TO_TXN < ADD_SUBSCRIPTION_TO_TXN_RESPONSE > ACK < ACK_RESPONSE";
    play.keep("transaction-ack", wanted).await?;
    play.ask("Commit", json!({})).await?;
    play.keep("transaction-commit", "> END_TXN < END_TXN_RESPONSE")
        .await?;
    play.ask("Begin", json!({})).await?;
    play.ask("Abort", json!({})).await?;
    play.keep("transaction-abort", "> END_TXN < END_TXN_RESPONSE")
        .await
}
