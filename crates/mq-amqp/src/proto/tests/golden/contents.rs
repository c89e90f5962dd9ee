//! What is in the messages that the peers were asked to publish.

use super::super::super::*;
use super::{Bytes, Peer, table};

/// Properties and bodies of the first messages.
pub(super) fn first(peer: Peer) -> Vec<(Properties, Bytes)> {
    let blue = Properties {
        delivery_mode: Some(1),
        ..Properties::default()
    };
    let mut all = vec![
        (everything(), Bytes::from_static(b"hello")),
        (Properties::default(), Bytes::new()),
        (blue, Bytes::from_static(b"blue")),
    ];
    if peer == Peer::Java {
        let more = table([
            ("byte", (-8_i8).into()),
            ("short", i16::MIN.into()),
            ("float", 1.5_f32.into()),
            ("double", (-2.25_f64).into()),
            (
                "no text",
                Value::LongString(Bytes::from_static(b"\xff\x00\xfe")),
            ),
        ]);
        let more = Properties {
            headers: Some(more),
            ..Properties::default()
        };
        all.push((more, Bytes::from_static(b"more")));
    }
    all
}

fn everything() -> Properties {
    let three: Table = table([("three", 3_i64.into())]);
    let row: Vec<Value> = vec![
        1_i32.into(),
        "two".into(),
        Value::Array(Vec::new()),
        three.into(),
    ];
    let headers = table([
        ("nothing", Value::Void),
        ("yes", true.into()),
        ("no", false.into()),
        ("int", i32::MIN.into()),
        ("long", i64::MIN.into()),
        (
            "decimal",
            Value::Decimal {
                scale: 2,
                value: (-12_345_i32).cast_unsigned(),
            },
        ),
        ("text", "grüße, 你好".into()),
        ("empty", "".into()),
        ("bytes", Value::Bytes(Bytes::from_static(&[0, 1, 2, 255]))),
        ("time", Value::Timestamp(1_700_000_000)),
        ("row", row.into()),
        (
            "table",
            table([("inner", Table::new().into()), ("one", 1_i32.into())]).into(),
        ),
    ]);
    let text = |text: &'static str| Some(text.into());
    Properties {
        content_type: text("application/json"),
        content_encoding: text("identity"),
        headers: Some(headers),
        delivery_mode: Some(2),
        priority: Some(7),
        correlation_id: text("correlation"),
        reply_to: text("answers"),
        expiration: text("600000"),
        message_id: text("the id"),
        timestamp: Some(1_700_000_000),
        kind: text("kind"),
        user_id: text("rolename"),
        app_id: text("app"),
        cluster_id: text("cluster"),
    }
}
