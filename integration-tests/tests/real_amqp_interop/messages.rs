//! Everything on a message, both ways: each property, and each type of a field table that its sender can write.

use std::time::{Duration, SystemTime};

use integration_tests::foreign::amqp::{Peer, properties, sorted};
use integration_tests::harness::amqp::queue;
use mq_amqp::{Message, Properties, Table, Value};

use crate::world::{Promise, World, call_to_publish, next};

/// What a peer makes of a value that it has no type for, or none of this width.
fn read_by(peer: Peer, value: &Value) -> Value {
    let whole = |number: i64| match i32::try_from(number) {
        Ok(number) => Value::I32(number),
        Err(_) => Value::I64(number),
    };
    match (peer, value) {
        (_, Value::Array(values)) => {
            Value::Array(values.iter().map(|value| read_by(peer, value)).collect())
        }
        (_, Value::Table(inner)) => Value::Table(table_read_by(peer, inner)),
        // An `Integer`, an `Integer`, a `Long`.
        (Peer::Java, Value::U8(number)) => Value::I32((*number).into()),
        (Peer::Java, Value::U16(number)) => Value::I32((*number).into()),
        (Peer::Java, Value::U32(number)) => Value::I64((*number).into()),
        // Python has one type for whole numbers, and pika one of its own for those of 64 bits.
        (Peer::Pika, Value::I8(_) | Value::U8(_) | Value::I16(_) | Value::U16(_)) => {
            whole(value.as_i64().unwrap())
        }
        (Peer::Pika, Value::U32(number)) => whole((*number).into()),
        // pika/data.py, `decode_value`: `long(struct.unpack_from('>d', …))`, the fraction is lost.
        (Peer::Pika, Value::F32(_)) => Value::I64(1),
        (Peer::Pika, Value::F64(_)) => Value::I64(-2),
        (Peer::Pika, Value::LongString(bytes)) => Value::Bytes(bytes.clone()),
        (_, other) => other.clone(),
    }
}

fn table_read_by(peer: Peer, table: &Table) -> Table {
    let read = table.iter();
    let read = read.map(|(name, value)| (name.to_owned(), read_by(peer, value)));
    sorted(&read.collect())
}

/// Every type, or every one that the peer can write.
fn values(writer: Option<Peer>) -> Table {
    let mut inner = Table::new();
    inner.insert("nothing", Value::Void);
    inner.insert("truth", true);
    inner.insert("lie", false);
    inner.insert("i32", i32::MIN);
    inner.insert("i64", i64::MIN);
    let negative = (-12_345_i32).cast_unsigned();
    inner.insert(
        "decimal",
        Value::Decimal {
            scale: 2,
            value: negative,
        },
    );
    inner.insert("text", "grüße, 你好");
    inner.insert("empty", "");
    inner.insert("bytes", Value::Bytes(vec![0, 1, 2, 255].into()));
    inner.insert("time", Value::Timestamp(1_700_000_000));
    if writer != Some(Peer::Pika) {
        inner.insert("i8", -8_i8);
        inner.insert("i16", i16::MIN);
        inner.insert("f32", 1.5_f32);
        inner.insert("f64", -2.25_f64);
        inner.insert("no text", Value::LongString(vec![0xff, 0x00, 0xfe].into()));
    }
    if writer.is_none() {
        inner.insert("u8", 200_u8);
        inner.insert("u16", u16::MAX);
        inner.insert("u32", u32::MAX);
    }
    let mut outer = inner.clone();
    outer.insert(
        "row",
        vec![
            Value::Bool(true),
            Value::Array(Vec::new()),
            Value::Table(inner.clone()),
        ],
    );
    outer.insert("table", inner);
    outer.insert("empty table", Table::new());
    outer
}

fn everything(writer: Option<Peer>) -> Properties {
    let text = |text: &'static str| Some(text.into());
    Properties {
        content_type: text("application/json"),
        content_encoding: text("identity"),
        headers: Some(values(writer)),
        delivery_mode: Some(2),
        priority: Some(7),
        correlation_id: text("correlation"),
        reply_to: text("answers"),
        expiration: text("600000"),
        message_id: text("the id, 编号"),
        timestamp: Some(1_700_000_000),
        kind: text("kind"),
        user_id: text("rolename"),
        app_id: text("app"),
        // Ours has no setter for it: the protocol has reserved it.
        cluster_id: writer.and_then(|_| text("cluster")),
    }
}

async fn ours_reads_all_of_it(world: &mut World) {
    let queue = queue(&world.ours, "interop").await;
    let consumer = world.consumer(&queue).await;
    let sent = everything(Some(world.peer));
    for (given, body) in [
        (sent, b"\0\xff{\"a\":1}".to_vec()),
        (Properties::default(), Vec::new()),
        (
            Properties {
                delivery_mode: Some(1),
                ..Properties::default()
            },
            vec![7; 300_000],
        ),
    ] {
        let call = call_to_publish("", &queue, &properties(&given), &body);
        assert_eq!(world.ask("Publish", call).await["outcome"], "ack");
        let delivery = next(&consumer).await;
        let mut got = delivery.message().properties().clone();
        assert_eq!(delivery.undecoded(), None);
        // Java's tables have no order.
        got.headers = got.headers.as_ref().map(sorted);
        let mut wanted = given;
        wanted.headers = wanted.headers.as_ref().map(sorted);
        assert_eq!(got, wanted);
        assert!(delivery.body()[..] == body[..]);
        assert_eq!((delivery.exchange(), delivery.routing_key()), ("", &*queue));
        assert!(!delivery.redelivered());
        delivery.ack().await.unwrap();
    }
}

async fn theirs_read_all_of_it(world: &mut World) {
    let queue = queue(&world.ours, "interop").await;
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let full = Message::new(queue.clone(), &b"\0\xff{\"a\":1}"[..])
        .content_type("application/json")
        .content_encoding("identity")
        .headers(values(None))
        .priority(7)
        .correlation_id("correlation")
        .reply_to("answers")
        .expires_after(Duration::from_secs(600))
        .id("the id, 编号")
        .timestamp(at)
        .kind("kind")
        .user_id("rolename")
        .app_id("app");
    assert_eq!(full.properties(), &everything(None));
    let publisher = world.publisher("").await;
    let plain = Message::new(queue.clone(), vec![7; 300_000])
        .transient()
        .id("1");
    let empty = Message::new(queue.clone(), "").id("2");
    for message in [&full, &plain, &empty] {
        publisher.send(message.clone()).await.unwrap();
    }
    let got = world.they_receive(&queue, 3).await;
    for (got, sent) in got.into_iter().zip([full, plain, empty]) {
        let mut wanted = sent.properties().clone();
        let read = |table: &Table| table_read_by(world.peer, table);
        wanted.headers = wanted.headers.as_ref().map(read);
        assert_eq!(got.properties, wanted);
        assert!(got.body == sent.body());
        assert_eq!((got.exchange.as_str(), got.key.as_str()), ("", &*queue));
        assert!(!got.redelivered);
    }
}

/// One record for each way.
async fn both_ways(test: &'static str, peer: Peer) {
    let promise = |text| Promise {
        test,
        flow: "send, receive",
        text,
    };
    let theirs =
        "every property and every type of a field table that theirs writes is read by ours";
    promise(theirs).kept(peer, ours_reads_all_of_it).await;
    let ours = "every property and every type of a field table that ours writes is read by theirs";
    promise(ours).kept(peer, theirs_read_all_of_it).await;
}

#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL), Python 3 with venv"]
async fn real_amqp_interop_everything_on_a_message_with_pika() {
    let test = "real_amqp_interop_everything_on_a_message_with_pika";
    both_ways(test, Peer::Pika).await;
}

#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL), JDK 17 and Maven"]
async fn real_amqp_interop_everything_on_a_message_with_java() {
    let test = "real_amqp_interop_everything_on_a_message_with_java";
    both_ways(test, Peer::Java).await;
}
