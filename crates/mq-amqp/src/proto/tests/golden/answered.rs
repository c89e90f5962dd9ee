//! What RabbitMQ 3.10.8 had to answer to that, and what it said by itself.

use super::super::super::*;
use super::{ByteString, Bytes, Peer, table};

pub(super) fn methods(peer: Peer) -> Vec<(&'static str, Vec<Method>)> {
    let mut all = connection();
    all.extend(topology(peer));
    all.extend(basic(peer));
    match peer {
        Peer::Pika => all.push((
            "channel.flow-ok",
            vec![ChannelFlowOk { active: true }.into()],
        )),
        Peer::Java => {
            let taken = ConnectionUpdateSecretOk {};
            all.push(("connection.update-secret-ok", vec![taken.into()]));
        }
    }
    all.extend([
        ("confirm.select-ok", vec![ConfirmSelectOk {}.into()]),
        ("tx.select-ok", vec![TxSelectOk {}.into()]),
        ("tx.commit-ok", vec![TxCommitOk {}.into()]),
        ("tx.rollback-ok", vec![TxRollbackOk {}.into()]),
    ]);
    all
}

fn connection() -> Vec<(&'static str, Vec<Method>)> {
    let forced = ConnectionClose {
        reply_code: 320,
        reply_text: "CONNECTION_FORCED - a test".into(),
        class_id: 0,
        method_id: 0,
    };
    let missing = ChannelClose {
        reply_code: 404,
        reply_text: "NOT_FOUND - no queue 'fixture.missing' in vhost 'amqp-xxx|Vhostname'".into(),
        class_id: 50,
        method_id: 10,
    };
    let tune = ConnectionTune {
        channel_max: 2047,
        frame_max: 131_072,
        heartbeat: 10,
    };
    let open = ConnectionOpenOk {
        reserved_1: ByteString::new(),
    };
    let low = ConnectionBlocked {
        reason: "low on memory".into(),
    };
    let channel = ChannelOpenOk {
        reserved_1: LongStr(Bytes::new()),
    };
    vec![
        ("connection.start", vec![start().into()]),
        ("connection.tune", vec![tune.into()]),
        ("connection.open-ok", vec![open.into()]),
        ("connection.blocked", vec![low.into()]),
        ("connection.unblocked", vec![ConnectionUnblocked {}.into()]),
        ("connection.close", vec![forced.into()]),
        ("connection.close-ok", vec![ConnectionCloseOk {}.into()]),
        ("channel.open-ok", vec![channel.into()]),
        ("channel.close", vec![missing.into()]),
        ("channel.close-ok", vec![ChannelCloseOk {}.into()]),
    ]
}

fn start() -> ConnectionStart {
    let able = [
        "authentication_failure_close",
        "basic.nack",
        "connection.blocked",
        "consumer_cancel_notify",
        "consumer_priorities",
        "direct_reply_to",
        "exchange_exchange_bindings",
        "per_consumer_qos",
        "publisher_confirms",
    ];
    let able: Table = able.map(|name| (name, true)).into_iter().collect();
    let owner = "Copyright (c) 2007-2022 VMware, Inc. or its affiliates.";
    let licence = "Licensed under the MPL 2.0. Website: https://rabbitmq.com";
    let about = table([
        ("capabilities", able.into()),
        ("cluster_name", "mq@".into()),
        ("copyright", owner.into()),
        ("information", licence.into()),
        ("platform", "Erlang/OTP 25.2.3".into()),
        ("product", "RabbitMQ".into()),
        ("version", "3.10.8".into()),
    ]);
    ConnectionStart {
        version_major: 0,
        version_minor: 9,
        server_properties: about,
        mechanisms: LongStr(Bytes::from_static(b"AMQPLAIN PLAIN")),
        locales: LongStr(Bytes::from_static(b"en_US")),
    }
}

fn topology(peer: Peer) -> Vec<(&'static str, Vec<Method>)> {
    let declared = ["fixture.queue", "amq.gen-", "fixture.full"].map(|queue| {
        let ok = QueueDeclareOk {
            queue: queue.into(),
            message_count: 0,
            consumer_count: 0,
        };
        Method::from(ok)
    });
    // Java has published one message more.
    let there = if peer == Peer::Pika { 1 } else { 2 };
    let purged = [there, 0].map(|message_count| QueuePurgeOk { message_count }.into());
    vec![
        ("exchange.declare-ok", vec![ExchangeDeclareOk {}.into()]),
        ("exchange.bind-ok", vec![ExchangeBindOk {}.into()]),
        ("exchange.unbind-ok", vec![ExchangeUnbindOk {}.into()]),
        ("exchange.delete-ok", vec![ExchangeDeleteOk {}.into()]),
        ("queue.declare-ok", declared.to_vec()),
        ("queue.bind-ok", vec![QueueBindOk {}.into()]),
        ("queue.unbind-ok", vec![QueueUnbindOk {}.into()]),
        ("queue.purge-ok", purged.to_vec()),
        (
            "queue.delete-ok",
            vec![QueueDeleteOk { message_count: 0 }.into()],
        ),
    ]
}

fn basic(peer: Peer) -> Vec<(&'static str, Vec<Method>)> {
    let java = peer == Peer::Java;
    let consumer_tag = ByteString::from_static(if java { "amq.ctag-" } else { "ctag3." });
    let delivered = [1, 2, 3, 4].map(|delivery_tag| {
        let deliver = BasicDeliver {
            consumer_tag: consumer_tag.clone(),
            delivery_tag,
            redelivered: false,
            exchange: ByteString::new(),
            routing_key: "fixture.queue".into(),
        };
        deliver.into()
    });
    let (confirmed, refused) = confirms(java);
    let back = BasicReturn {
        reply_code: 312,
        reply_text: "NO_ROUTE".into(),
        exchange: ByteString::new(),
        routing_key: "fixture.nowhere".into(),
    };
    let cancelled = BasicCancel {
        consumer_tag: consumer_tag.clone(),
        nowait: true,
    };
    let consumes = BasicConsumeOk {
        consumer_tag: consumer_tag.clone(),
    };
    vec![
        ("basic.qos-ok", vec![BasicQosOk {}.into()]),
        ("basic.consume-ok", vec![consumes.into()]),
        (
            "basic.cancel-ok",
            vec![BasicCancelOk { consumer_tag }.into()],
        ),
        ("basic.cancel", vec![cancelled.into()]),
        ("basic.deliver", delivered.to_vec()),
        ("basic.get-ok", got(java).map(Method::from).to_vec()),
        (
            "basic.get-empty",
            vec![
                BasicGetEmpty {
                    reserved_1: ByteString::new(),
                }
                .into(),
            ],
        ),
        ("basic.return", vec![back.into()]),
        ("basic.ack", confirmed),
        ("basic.nack", vec![refused.into()]),
        ("basic.recover-ok", vec![BasicRecoverOk {}.into()]),
    ]
}

fn confirms(java: bool) -> (Vec<Method>, BasicNack) {
    // The second message for the full queue; Java has published one more before.
    let refused = if java { 6 } else { 5 };
    let last = if java { 13 } else { 12 };
    let confirmed = (1..=last).filter(|tag| *tag != refused);
    let confirmed = confirmed.map(|delivery_tag| {
        BasicAck {
            delivery_tag,
            multiple: false,
        }
        .into()
    });
    let refused = BasicNack {
        delivery_tag: refused,
        multiple: true,
        requeue: true,
    };
    (confirmed.collect(), refused)
}

/// The first message, and the only one of the transactions' that was kept.
fn got(java: bool) -> [BasicGetOk; 2] {
    [
        BasicGetOk {
            delivery_tag: 1,
            redelivered: false,
            exchange: "fixture.from".into(),
            routing_key: "a.b".into(),
            message_count: if java { 2 } else { 1 },
        },
        BasicGetOk {
            delivery_tag: 2,
            redelivered: false,
            exchange: ByteString::new(),
            routing_key: "fixture.queue".into(),
            message_count: 0,
        },
    ]
}
