//! What is sent and what is answered: by number, on one connection.

use super::*;

/// Answers to everything that is asked of a queue.
fn a_queue(packet: &Packet) -> Option<Vec<Packet>> {
    let pulled = Pulled {
        message_id: 7,
        handle: Some(u64::MAX),
        body: Some(Bytes::from_static(b"\xffbody")),
        original_queue: Some("queue-x".into()),
        original_dequeue_count: Some(3),
        ..Pulled::default()
    };
    Some(vec![match packet.cmd {
        cmd::SEND => stored(packet),
        cmd::PULL => Packet {
            pulled: Some(pulled),
            ..ok(packet)
        },
        cmd::BATCH_PULL => no(packet, 10_200, "(10200)no message"),
        cmd::DELETE => no(packet, 10_260, "(10260)receipt handle is invalid"),
        cmd::BATCH_DELETE => Packet {
            not_deleted: vec![tcp::NotDeleted {
                handle: 2,
                code: 10_260,
                message: "gone".into(),
            }],
            ..no(packet, 10_150, "(10150)partly")
        },
        _ => return None,
    }])
}

#[tokio::test]
async fn queues_are_served_on_one_connection_that_authenticates_once() {
    let gateway = Gateway::start(a_queue).await;
    let queue = gateway.client().queue("q").unwrap();
    let queue = queue.visibility(Duration::from_secs(90)).unwrap();
    assert_eq!(
        queue.send("x").await.unwrap().message_id(),
        "1152921504606846976"
    );
    let message = queue
        .receive(Duration::from_secs(1))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (message.bytes(), message.body()),
        (&b"\xffbody"[..], "\u{fffd}body")
    );
    let origin = message.origin().unwrap();
    assert_eq!((origin.queue_id.as_str(), origin.attempts), ("queue-x", 3));
    assert_eq!(queue.receive_batch(5, Duration::ZERO).await.unwrap(), []);
    let error = queue.delete(message.handle()).await.unwrap_err();
    assert_eq!(error.code(), Some(&ErrorCode::HANDLE_EXPIRED));
    let handles = ["1", "2", "none"].map(crate::ReceiptHandle::new);
    let results = queue.delete_batch(&handles).await;
    let gone: Vec<bool> = results.iter().map(Result::is_err).collect();
    assert_eq!(gone, [false, true, false]);
    assert_eq!(gateway.connections(), 1);
    assert_eq!(gateway.seen(cmd::AUTH).len(), 1);
    let pulls = gateway.seen(cmd::PULL);
    let pull = pulls[0].pull.as_ref().unwrap();
    assert_eq!(
        (pull.wait_seconds, pull.visibility_seconds),
        (Some(1), Some(90))
    );
}

#[tokio::test]
async fn answers_find_their_requests_in_any_order() {
    let mut waiting = Vec::new();
    let gateway = Gateway::start(move |packet| {
        let body = packet.send.as_ref()?.body.clone()?;
        let number: u64 = std::str::from_utf8(&body).ok()?.parse().ok()?;
        waiting.push(Packet {
            message_ids: vec![number],
            ..ok(packet)
        });
        if waiting.len() < 50 {
            return Some(Vec::new());
        }
        waiting.reverse();
        Some(std::mem::take(&mut waiting))
    })
    .await;
    let queue = gateway.client().queue("q").unwrap();
    let sends = (0..50).map(|at| {
        let queue = queue.clone();
        async move { (at, queue.send(at.to_string()).await.unwrap()) }
    });
    for (at, receipt) in futures_util::future::join_all(sends).await {
        assert_eq!(receipt.message_id(), at.to_string());
    }
    assert_eq!(gateway.connections(), 1);
}
