//! Every method that the peers can be made to send: what is recorded as fixtures.

use serde_json::{Value, json};

use super::{Failure, Peer, Session};

/// The queue of the fixtures.
pub const QUEUE: &str = "fixture.queue";

/// All properties, as JSON, without headers. The user is checked by the broker.
pub const PROPERTIES: &str = r#"{
    "content_type": "application/json", "content_encoding": "identity", "delivery_mode": 2, "priority": 7, "correlation_id": "correlation",
    "reply_to": "answers", "expiration": "600000", "message_id": "the id", "timestamp": 1700000000, "type": "kind", "user_id": "rolename",
    "app_id": "app", "cluster_id": "cluster"
}"#;

/// Every type that both peers can write, as JSON, nested. The Java client writes more of them: `b`, `s`, `f`, `d`, and a long string that is no text.
pub const HEADERS: &str = r#"[
    ["nothing", {"V": null}], ["yes", {"t": true}], ["no", {"t": false}], ["int", {"I": -2147483648}], ["long", {"l": -9223372036854775808}],
    ["decimal", {"D": [2, -12345]}], ["text", {"S": "grüße, 你好"}], ["empty", {"S": ""}], ["bytes", {"x": "AAEC/w=="}], ["time", {"T": 1700000000}],
    ["row", {"A": [{"I": 1}, {"S": "two"}, {"A": []}, {"F": [["three", {"l": 3}]]}]}], ["table", {"F": [["inner", {"F": []}], ["one", {"I": 1}]]}]
]"#;

/// What the Java client writes besides.
const MORE: &str = r#"[
    ["byte", {"b": -8}], ["short", {"s": -32768}], ["float", {"f": 1.5}], ["double", {"d": -2.25}], ["no text", {"Sx": "/wD+"}]
]"#;

/// Plays it to a broker that holds none of it.
///
/// # Errors
/// As [`Session::call`], for the first call that is refused and should not be.
pub async fn play(peer: Peer, theirs: &mut Session) -> Result<(), Failure> {
    topology(theirs).await?;
    publishing(peer, theirs).await?;
    requests(theirs).await?;
    theirs.call("Transact", json!({"queue": QUEUE})).await?;
    theirs
        .call("Get", json!({"queue": QUEUE, "auto_ack": true}))
        .await?;
    consuming(theirs).await?;
    let only = match peer {
        Peer::Pika => "Flow",
        Peer::Java => "UpdateSecret",
    };
    theirs.call(only, json!({})).await?;
    taken_away(theirs).await?;
    refused(theirs).await?;
    theirs.call("Close", json!({})).await?;
    Ok(())
}

async fn topology(theirs: &mut Session) -> Result<(), Failure> {
    let arguments =
        json!([["x-max-length", {"I": 1000}], ["x-dead-letter-exchange", {"S": "amq.fanout"}]]);
    let queue = json!({"queue": QUEUE, "durable": true, "exclusive": true, "arguments": arguments});
    let one = json!([["x-max-length", {"I": 1}], ["x-overflow", {"S": "reject-publish"}]]);
    let full = json!({"queue": "fixture.full", "exclusive": true, "arguments": one});
    let own = json!({"queue": "", "exclusive": true, "auto_delete": true});
    let unrouted = json!([["alternate-exchange", {"S": "amq.fanout"}]]);
    let from = json!({"exchange": "fixture.from", "kind": "topic", "durable": true, "auto_delete": true, "arguments": unrouted});
    let to = json!({"exchange": "fixture.to", "kind": "headers", "internal": true});
    let there = json!({"exchange": "fixture.from", "kind": "topic", "passive": true});
    let all = json!([["x-match", {"S": "all"}], ["size", {"I": 3}]]);
    let between = json!({"destination": "fixture.to", "exchange": "fixture.from", "key": "a.#"});
    for (action, given) in [
        ("DeclareQueue", queue),
        ("DeclareQueue", json!({"queue": QUEUE, "passive": true})),
        ("DeclareQueue", own),
        ("DeclareQueue", full),
        ("DeclareExchange", from),
        ("DeclareExchange", to),
        ("DeclareExchange", there),
        (
            "Bind",
            json!({"queue": QUEUE, "exchange": "fixture.from", "key": "a.b"}),
        ),
        ("Bind", between),
        (
            "Bind",
            json!({"queue": QUEUE, "exchange": "amq.headers", "key": "", "arguments": all}),
        ),
    ] {
        theirs.call(action, given).await?;
    }
    Ok(())
}

async fn publishing(peer: Peer, theirs: &mut Session) -> Result<(), Failure> {
    let mut all: Value = read(PROPERTIES);
    if let Some(all) = all.as_object_mut() {
        all.insert("headers".to_owned(), read(HEADERS));
    }
    let publish = |exchange: &str, key: &str, properties: Value, body: &str| json!({"exchange": exchange, "key": key, "mandatory": true, "properties": properties, "body": body});
    let mut wanted = vec![
        publish("fixture.from", "a.b", all, "aGVsbG8="),
        publish("", QUEUE, json!({}), ""),
        publish(
            "",
            "fixture.nowhere",
            json!({"delivery_mode": 1}),
            "Ymx1ZQ==",
        ),
    ];
    if peer == Peer::Java {
        wanted.push(publish(
            "",
            QUEUE,
            json!({"headers": read(MORE)}),
            "bW9yZQ==",
        ));
    }
    // The second one finds the queue full: `basic.nack`.
    wanted.push(publish("", "fixture.full", json!({}), ""));
    wanted.push(publish("", "fixture.full", json!({}), ""));
    for given in wanted {
        theirs.call("Publish", given).await?;
    }
    Ok(())
}

async fn consuming(theirs: &mut Session) -> Result<(), Failure> {
    // Each bit is somewhere set without its neighbours, or those of one octet could be taken for each other.
    let first = json!([["x-priority", {"I": 5}]]);
    for (number, consumer) in [
        (
            "MQ==",
            json!({"queue": QUEUE, "count": 1, "prefetch": 5, "exclusive": true, "arguments": first}),
        ),
        (
            "Mg==",
            json!({"queue": QUEUE, "count": 1, "prefetch": 5, "auto_ack": true}),
        ),
    ] {
        let given = json!({"exchange": "", "key": QUEUE, "properties": {"delivery_mode": 2}, "body": number});
        theirs.call("Publish", given).await?;
        theirs.call("Receive", consumer).await?;
    }
    for number in 0..4 {
        let given = json!({"exchange": "", "key": QUEUE, "properties": {}, "body": format!("MzMz{number}A==")});
        theirs.call("Publish", given).await?;
    }
    theirs
        .call("Hold", json!({"queue": QUEUE, "count": 4}))
        .await?;
    for given in [
        json!({"how": "ack", "tag": 2, "multiple": true}),
        json!({"how": "nack", "tag": 3, "multiple": true, "requeue": false}),
        json!({"how": "reject", "tag": 4, "requeue": false}),
        json!({"how": "recover", "tag": 0}),
    ] {
        theirs.call("Settle", given).await?;
    }
    Ok(())
}

/// Answered by themselves, since they ask one thing at a time: the answer goes nowhere.
async fn requests(theirs: &mut Session) -> Result<(), Failure> {
    theirs
        .call("Get", json!({"queue": QUEUE, "auto_ack": false}))
        .await?;
    theirs.call("Purge", json!({"queue": QUEUE})).await?;
    theirs
        .call("Get", json!({"queue": QUEUE, "auto_ack": true}))
        .await?;
    let given = json!({
        "exchange": "", "key": QUEUE, "properties": {"correlation_id": "7", "reply_to": "fixture.nowhere"}, "body": "cmVxdWVzdA==",
    });
    theirs.call("Publish", given).await?;
    theirs
        .call("Serve", json!({"queue": QUEUE, "count": 1}))
        .await?;
    Ok(())
}

async fn taken_away(theirs: &mut Session) -> Result<(), Failure> {
    let all = json!([["x-match", {"S": "all"}], ["size", {"I": 3}]]);
    for (action, given) in [
        (
            "Unbind",
            json!({"queue": QUEUE, "exchange": "amq.headers", "key": "", "arguments": all}),
        ),
        (
            "Unbind",
            json!({"destination": "fixture.to", "exchange": "fixture.from", "key": "a.#"}),
        ),
        ("Delete", json!({"exchange": "fixture.from"})),
        (
            "Delete",
            json!({"exchange": "fixture.to", "if_unused": true}),
        ),
        ("Purge", json!({"queue": QUEUE})),
    ] {
        theirs.call(action, given).await?;
    }
    Ok(())
}

/// The broker closes their channel, and cancels the consumer of a queue that goes away.
async fn refused(theirs: &mut Session) -> Result<(), Failure> {
    let missing = json!({"queue": "fixture.missing", "passive": true});
    match theirs.call("DeclareQueue", missing).await {
        Err(Failure::Failed { code: 404, .. }) => {}
        other => return Err(Failure::Output(format!("a missing queue: {other:?}"))),
    }
    let given = json!({"queue": QUEUE, "if_unused": false, "if_empty": true});
    theirs.call("Delete", given).await?;
    Ok(())
}

fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}
