//! How transactions end, and who answers questions about them.

use super::*;

fn confirmed(to: &Packet, state: i32, code: Option<i32>) -> Packet {
    let confirm = to.confirm.clone().unwrap_or_default();
    let item = ConfirmedItem {
        message_id: confirm.items[0].message_id,
        state,
        code,
        message: code.map(|_| "no".into()),
    };
    Packet {
        confirmed: Some(Confirmed {
            queue: confirm.queue,
            items: vec![item],
        }),
        ..ok(to)
    }
}

#[tokio::test]
async fn a_transaction_is_ended_by_a_confirmed_answer() {
    let gateway = Gateway::start(|packet| {
        Some(vec![match packet.cmd {
            cmd::SEND => stored(packet),
            _ => match packet.confirm.as_ref()?.items[0].state {
                state::COMMIT => confirmed(packet, state::COMMIT, None),
                _ => confirmed(packet, state::UNKNOWN, Some(10_780)),
            },
        }])
    })
    .await;
    let client = gateway.client();
    let producer = client
        .transactional("t", |_| async { Verdict::Unknown })
        .unwrap();
    let producer = producer.first_query_after(Duration::from_secs(5));
    let prepared = producer.begin("half").await.unwrap();
    assert_eq!(prepared.id(), "1152921504606846976");
    prepared.commit().await.unwrap();
    let sent = gateway.seen(cmd::SEND);
    let send = sent[0].send.as_ref().unwrap();
    assert_eq!(
        (send.transaction, send.first_query_interval),
        (Some(1), Some(5_000))
    );
    let error = producer
        .begin("half")
        .await
        .unwrap()
        .rollback()
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some(&ErrorCode::TRANSACTION_STATE));
    // Dropped: nothing is sent.
    drop(producer.begin("half").await.unwrap());
    assert_eq!(gateway.seen(cmd::TRANSACTION_CONFIRM).len(), 2);
    let late = Message::new("x").deliver_after(Duration::from_secs(1));
    let refused = producer.begin(late).await.unwrap_err();
    assert_eq!(refused.outcome(), Outcome::NotSent);
    let done = producer.transact("half", |_| async { Ok::<_, &str>(Verdict::Commit) });
    assert_eq!(done.await.unwrap(), Verdict::Commit);
}

#[tokio::test]
async fn a_question_is_answered_by_the_queues_checker() {
    let mut asked = 0;
    let gateway = Gateway::start(move |packet| {
        Some(match packet.cmd {
            // Whoever gives a sign of life is asked.
            cmd::HEARTBEAT if asked < 3 => {
                asked += 1;
                let query = TransactionQuery {
                    queue: ["T", "t", "other"][asked - 1].into(),
                    message_id: asked as u64,
                };
                vec![Packet {
                    query: Some(query),
                    ..Packet::new(0, cmd::TRANSACTION_QUERY)
                }]
            }
            cmd::TRANSACTION_CONFIRM => vec![confirmed(packet, state::COMMIT, None)],
            _ => Vec::new(),
        })
    })
    .await;
    let client = gateway.client();
    let (checked, log) = (
        Arc::<Mutex<Vec<_>>>::default(),
        Arc::<Mutex<Vec<_>>>::default(),
    );
    let told = Arc::clone(&checked);
    let producer = client.transactional("t", move |pending| {
        told.lock()
            .unwrap()
            .push((pending.queue().to_owned(), pending.id().to_owned()));
        let first = pending.id() == "1";
        async move {
            if first {
                Verdict::Commit
            } else {
                Verdict::Unknown
            }
        }
    });
    let producer = producer.unwrap();
    producer.connect().await.unwrap();
    pass(12).await;
    until("both questions", || checked.lock().unwrap().len() == 2).await;
    log.lock()
        .unwrap()
        .extend(gateway.seen(cmd::TRANSACTION_CONFIRM));
    let confirms = log.lock().unwrap();
    assert_eq!(confirms.len(), 1, "of the unknown one nothing is said");
    let confirm = confirms[0].confirm.as_ref().unwrap();
    assert_eq!(
        (confirm.items[0].message_id, confirm.items[0].state),
        (1, state::COMMIT)
    );
    assert_eq!(
        *checked.lock().unwrap(),
        [("T".into(), "1".into()), ("t".into(), "2".into())]
    );
}

/// The first answer is lost, and the second one says no: of what can be repeated that is certain.
#[tokio::test]
async fn a_no_to_the_transaction_is_certain_whatever_became_of_earlier_attempts() {
    // The others say nothing about an attempt whose answer was lost: it may have ended the transaction.
    for (code, known, outcome) in [
        (10_790, ErrorCode::NOT_TRANSACTIONAL, Outcome::Rejected),
        (10_780, ErrorCode::TRANSACTION_STATE, Outcome::Rejected),
        (10_770, ErrorCode::TRANSACTION_NOT_FOUND, Outcome::Unknown),
        (10_100, ErrorCode::QUEUE_NOT_FOUND, Outcome::Unknown),
    ] {
        let mut cut = true;
        let gateway = Gateway::start(move |packet| match packet.cmd {
            cmd::SEND => Some(vec![stored(packet)]),
            _ if std::mem::take(&mut cut) => None,
            _ => Some(vec![no(packet, code, "no")]),
        })
        .await;
        let client = gateway.client();
        let producer = client.transactional("t", |_| async { Verdict::Unknown });
        let prepared = producer.unwrap().begin("half").await.unwrap();
        let error = prepared.commit().await.unwrap_err();
        assert_eq!(error.code(), Some(&known));
        assert_eq!(error.outcome(), outcome, "{error}");
        assert_eq!(gateway.seen(cmd::TRANSACTION_CONFIRM).len(), 2);
    }
}
