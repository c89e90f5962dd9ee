//! What the peers were asked to write: `integration-tests/src/foreign/amqp/script.rs`.

use super::super::super::*;
use super::{ByteString, Bytes, Peer, sorted, table};

const QUEUE: ByteString = ByteString::from_static("fixture.queue");
const FULL: ByteString = ByteString::from_static("fixture.full");
const FROM: ByteString = ByteString::from_static("fixture.from");
const TO: ByteString = ByteString::from_static("fixture.to");
const NONE: ByteString = ByteString::new();

pub(super) fn methods(peer: Peer) -> Vec<(&'static str, Vec<Method>)> {
    let mut all = connection(peer);
    all.extend(topology(peer));
    all.extend(basic(peer));
    all.push((
        "confirm.select",
        vec![ConfirmSelect { nowait: false }.into()],
    ));
    all.push(("tx.select", vec![TxSelect {}.into()]));
    all.push(("tx.commit", vec![TxCommit {}.into()]));
    all.push(("tx.rollback", vec![TxRollback {}.into()]));
    all
}

fn connection(peer: Peer) -> Vec<(&'static str, Vec<Method>)> {
    let names = ["fixture", "fixture-blocked", "fixture-cut"];
    let start = names.map(|name| start_ok(peer, name).into()).to_vec();
    let tune = ConnectionTuneOk {
        channel_max: 2047,
        frame_max: 131_072,
        heartbeat: 10,
    };
    let open = ConnectionOpen {
        virtual_host: "amqp-xxx|Vhostname".into(),
        reserved_1: NONE,
        // What was `insist` in 0-8.
        reserved_2: peer == Peer::Pika,
    };
    let said = if peer == Peer::Pika {
        "Normal shutdown"
    } else {
        "OK"
    };
    let (reply_text, class_id, method_id) = (ByteString::from_static(said), 0, 0);
    let close = ConnectionClose {
        reply_code: 200,
        reply_text: reply_text.clone(),
        class_id,
        method_id,
    };
    let close_channel = |reply_code| ChannelClose {
        reply_code,
        reply_text: reply_text.clone(),
        class_id,
        method_id,
    };
    let mut all = vec![
        ("connection.start-ok", start),
        ("connection.tune-ok", vec![tune.into()]),
        ("connection.open", vec![open.into()]),
        ("connection.close", vec![close.into()]),
        (
            "channel.open",
            vec![ChannelOpen { reserved_1: NONE }.into()],
        ),
        ("channel.close-ok", vec![ChannelCloseOk {}.into()]),
    ];
    match peer {
        Peer::Pika => {
            let both = [close_channel(0), close_channel(200)].map(Method::from);
            all.push(("channel.close", both.to_vec()));
            all.push(("channel.flow", vec![ChannelFlow { active: true }.into()]));
        }
        Peer::Java => {
            let secret = ConnectionUpdateSecret {
                new_secret: Hidden(Bytes::from_static(b"KEY12345678")),
                reason: "Refresh scheduled by client".into(),
            };
            all.push(("channel.close", vec![close_channel(200).into()]));
            all.push(("connection.update-secret", vec![secret.into()]));
            // pika ends the stream without it.
            all.push(("connection.close-ok", vec![ConnectionCloseOk {}.into()]));
        }
    }
    all
}

fn start_ok(peer: Peer, name: &'static str) -> ConnectionStartOk {
    let able = [
        "authentication_failure_close",
        "basic.nack",
        "connection.blocked",
        "consumer_cancel_notify",
        "exchange_exchange_bindings",
        "publisher_confirms",
    ];
    let able: Table = able.map(|name| (name, true)).into_iter().collect();
    let mut about = match peer {
        Peer::Pika => table([
            ("product", "Pika Python Client Library".into()),
            ("platform", "Python 3.".into()),
            ("information", "See https://pika.rtfd.org".into()),
            ("version", "1.4.4".into()),
        ]),
        Peer::Java => table([
            ("product", "RabbitMQ".into()),
            ("platform", "Java".into()),
            (
                "information",
                "Licensed under the MPL. See https://www.rabbitmq.com/".into(),
            ),
            (
                "copyright",
                "Copyright (c) 2007-2024 Broadcom Inc. and/or its subsidiaries.".into(),
            ),
            ("version", "5.37.0".into()),
        ]),
    };
    about.insert("capabilities", able);
    about.insert("connection_name", name);
    ConnectionStartOk {
        client_properties: sorted(&about),
        mechanism: "PLAIN".into(),
        response: Hidden(Bytes::from_static(b"\0rolename\0KEY12345678")),
        locale: "en_US".into(),
    }
}

fn topology(peer: Peer) -> Vec<(&'static str, Vec<Method>)> {
    let gone = [(FROM, false), (TO, true)].map(|(exchange, if_unused)| {
        let (reserved_1, nowait) = (0, false);
        Method::from(ExchangeDelete {
            reserved_1,
            exchange,
            if_unused,
            nowait,
        })
    });
    let (bind, unbind) = between();
    let mut all = vec![
        (
            "exchange.declare",
            exchanges(peer).map(Method::from).to_vec(),
        ),
        ("exchange.bind", vec![bind.into()]),
        ("exchange.unbind", vec![unbind.into()]),
        ("exchange.delete", gone.to_vec()),
        ("queue.declare", queues(peer).map(Method::from).to_vec()),
    ];
    let (reserved_1, queue, nowait) = (0, QUEUE, false);
    let purge = QueuePurge {
        reserved_1,
        queue,
        nowait,
    };
    all.push(("queue.purge", vec![purge.into()]));
    let (queue, if_unused, if_empty) = (QUEUE, false, true);
    let delete = QueueDelete {
        reserved_1,
        queue,
        if_unused,
        if_empty,
        nowait,
    };
    all.push(("queue.delete", vec![delete.into()]));
    all.extend(bindings());
    all
}

fn between() -> (ExchangeBind, ExchangeUnbind) {
    let (routing_key, arguments) = (ByteString::from_static("a.#"), Table::new());
    let bind = ExchangeBind {
        reserved_1: 0,
        destination: TO,
        source: FROM,
        routing_key: routing_key.clone(),
        nowait: false,
        arguments: arguments.clone(),
    };
    let unbind = ExchangeUnbind {
        reserved_1: 0,
        destination: TO,
        source: FROM,
        routing_key,
        nowait: false,
        arguments,
    };
    (bind, unbind)
}

fn bindings() -> [(&'static str, Vec<Method>); 2] {
    let all_of = table([("x-match", "all".into()), ("size", 3_i32.into())]);
    let headers = ByteString::from_static("amq.headers");
    let bind = |exchange: ByteString, key: &'static str, arguments: Table| QueueBind {
        reserved_1: 0,
        queue: QUEUE,
        exchange,
        routing_key: key.into(),
        nowait: false,
        arguments,
    };
    let both = [
        bind(FROM, "a.b", Table::new()),
        bind(headers.clone(), "", all_of.clone()),
    ];
    let unbind = QueueUnbind {
        reserved_1: 0,
        queue: QUEUE,
        exchange: headers,
        routing_key: NONE,
        arguments: all_of,
    };
    [
        ("queue.bind", both.map(Method::from).to_vec()),
        ("queue.unbind", vec![unbind.into()]),
    ]
}

fn exchanges(peer: Peer) -> [ExchangeDeclare; 4] {
    let declare = |exchange: ByteString, kind: &'static str| ExchangeDeclare {
        reserved_1: 0,
        exchange,
        kind: kind.into(),
        passive: false,
        durable: false,
        auto_delete: false,
        internal: false,
        nowait: false,
        arguments: Table::new(),
    };
    // Java does not say what it is when it only asks.
    let asked = |kind| if peer == Peer::Pika { kind } else { "" };
    let unrouted = table([("alternate-exchange", "amq.fanout".into())]);
    [
        ExchangeDeclare {
            durable: true,
            auto_delete: true,
            arguments: unrouted,
            ..declare(FROM, "topic")
        },
        ExchangeDeclare {
            internal: true,
            ..declare(TO, "headers")
        },
        ExchangeDeclare {
            passive: true,
            ..declare(FROM, asked("topic"))
        },
        ExchangeDeclare {
            passive: true,
            ..declare("amq.direct".into(), asked("direct"))
        },
    ]
}

fn queues(peer: Peer) -> [QueueDeclare; 5] {
    let declare = |queue: ByteString| QueueDeclare {
        reserved_1: 0,
        queue,
        passive: false,
        durable: false,
        exclusive: true,
        auto_delete: false,
        nowait: false,
        arguments: Table::new(),
    };
    let java = peer == Peer::Java;
    let asked = |queue: ByteString| QueueDeclare {
        passive: true,
        exclusive: java,
        auto_delete: java,
        ..declare(queue)
    };
    let bounded = table([
        ("x-max-length", 1000_i32.into()),
        ("x-dead-letter-exchange", "amq.fanout".into()),
    ]);
    let one = table([
        ("x-max-length", 1_i32.into()),
        ("x-overflow", "reject-publish".into()),
    ]);
    [
        QueueDeclare {
            durable: true,
            arguments: bounded,
            ..declare(QUEUE)
        },
        asked(QUEUE),
        QueueDeclare {
            auto_delete: true,
            ..declare(NONE)
        },
        QueueDeclare {
            arguments: one,
            ..declare(FULL)
        },
        asked("fixture.missing".into()),
    ]
}

fn basic(peer: Peer) -> Vec<(&'static str, Vec<Method>)> {
    let qos = |prefetch_count| BasicQos {
        prefetch_size: 0,
        prefetch_count,
        global: false,
    };
    let get = |no_ack| BasicGet {
        reserved_1: 0,
        queue: QUEUE,
        no_ack,
    };
    let ack = |delivery_tag, multiple| BasicAck {
        delivery_tag,
        multiple,
    };
    let of = if peer == Peer::Pika {
        "ctag3."
    } else {
        "amq.ctag-"
    };
    let cancel = BasicCancel {
        consumer_tag: of.into(),
        nowait: false,
    };
    let nack = BasicNack {
        delivery_tag: 3,
        multiple: true,
        requeue: false,
    };
    let reject = BasicReject {
        delivery_tag: 4,
        requeue: false,
    };
    let acks = [ack(1, false), ack(2, true)];
    vec![
        (
            "basic.qos",
            [qos(1), qos(5), qos(4)].map(Method::from).to_vec(),
        ),
        ("basic.consume", consumes(peer).map(Method::from).to_vec()),
        ("basic.cancel", vec![cancel.into()]),
        ("basic.publish", publishes().map(Method::from).to_vec()),
        (
            "basic.get",
            [get(false), get(true)].map(Method::from).to_vec(),
        ),
        ("basic.ack", acks.map(Method::from).to_vec()),
        ("basic.nack", vec![nack.into()]),
        ("basic.reject", vec![reject.into()]),
        ("basic.recover", vec![BasicRecover { requeue: true }.into()]),
    ]
}

fn consumes(peer: Peer) -> [BasicConsume; 3] {
    // The Java client leaves the name to the broker.
    let tag = if peer == Peer::Pika { "ctag3." } else { "" };
    let plain = BasicConsume {
        reserved_1: 0,
        queue: QUEUE,
        consumer_tag: tag.into(),
        no_local: false,
        no_ack: false,
        exclusive: false,
        nowait: false,
        arguments: Table::new(),
    };
    let first = BasicConsume {
        exclusive: true,
        arguments: table([("x-priority", 5_i32.into())]),
        ..plain.clone()
    };
    let unacknowledged = BasicConsume {
        no_ack: true,
        ..plain.clone()
    };
    [plain, first, unacknowledged]
}

fn publishes() -> [BasicPublish; 7] {
    let to = |exchange: ByteString, routing_key: ByteString, mandatory| BasicPublish {
        reserved_1: 0,
        exchange,
        routing_key,
        mandatory,
        immediate: false,
    };
    let nowhere = ByteString::from_static("fixture.nowhere");
    [
        to(FROM, "a.b".into(), true),
        to(NONE, QUEUE, true),
        to(NONE, nowhere.clone(), true),
        to(NONE, FULL, true),
        to(NONE, QUEUE, false),
        to(NONE, nowhere, false),
        to("amq.fanout".into(), NONE, false),
    ]
}
