//! Batches: how they are cut, and whose result is whose.

use std::time::Duration;

use mq_cmq::{ErrorCode, ErrorKind, HttpMethod, Message, Outcome, ReceiptHandle, TopicMessage};
use mq_core::{Clock as _, SystemClock};

use crate::server::{Reply, Server};

fn stored(count: usize) -> Reply {
    let ids: Vec<_> = (0..count)
        .map(|at| format!(r#"{{"msgId":"{at}"}}"#))
        .collect();
    Reply::ok(&format!(r#""msgList":[{}]"#, ids.join(",")))
}

#[tokio::test]
async fn forty_messages_are_three_requests_in_order() {
    let server = Server::start([stored(16), stored(16), stored(8)]).await;
    let bodies: Vec<String> = (0..40).map(|at| format!("m{at}")).collect();
    let results = server.queue().send_batch(bodies.clone()).await;
    assert_eq!(results.len(), 40);
    for (at, result) in results.iter().enumerate() {
        let expected = (at % 16).to_string();
        assert_eq!(result.as_ref().unwrap().message_id(), expected);
    }
    let seen = server.seen();
    assert!(
        seen.iter()
            .all(|it| it.value("Action") == Some("BatchSendMessage"))
    );
    let sent: Vec<&str> = seen.iter().flat_map(|it| it.list("msgBody")).collect();
    assert_eq!(sent, bodies);
    assert_eq!(seen[0].list("msgBody").len(), 16);
}

#[tokio::test]
async fn with_get_a_batch_is_cut_to_what_a_url_holds() {
    let script = [
        stored(2),
        stored(2),
        stored(4),
        stored(4),
        Reply::ok(""),
        Reply::ok(""),
    ];
    let server = Server::start(script).await;
    let client = server.builder().method(HttpMethod::Get).build().unwrap();
    let mut bodies = vec!["x".repeat(500); 4];
    bodies.extend(vec!["short".to_owned(); 4]);
    let results = client.queue("q").unwrap().send_batch(bodies.clone()).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    let results = client
        .topic("t")
        .unwrap()
        .publish_batch(bodies.split_off(4))
        .await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    let handles = vec![ReceiptHandle::new("h".repeat(600)); 4];
    let results = client.queue("q").unwrap().delete_batch(&handles).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    let seen = server.seen();
    let cut = |name: &str| -> Vec<usize> {
        let counts = seen.iter().map(|it| it.list(name).len());
        counts.filter(|count| *count > 0).collect()
    };
    assert_eq!(cut("msgBody"), [2, 2, 4, 4]);
    assert_eq!(cut("receiptHandle"), [2, 2]);
}

#[tokio::test]
async fn what_is_due_at_a_time_waits_as_long_as_is_left_when_it_is_sent() {
    let ids: Vec<_> = (0..16).map(|at| format!(r#"{{"msgId":"{at}"}}"#)).collect();
    let first = format!(r#"{{"code":0,"message":"","msgList":[{}]}}"#, ids.join(","));
    let first = Reply::After(Duration::from_millis(1_100), first);
    let server = Server::start([first, Reply::stored("17")]).await;
    let due = SystemClock.wall() + Duration::from_secs(5);
    let all = (0..17).map(|at| Message::new(at.to_string()).deliver_at(due));
    let results = server.queue().send_batch(all).await;
    let seen = server.seen();
    let delays = [0, 1].map(|at: usize| seen[at].value("delaySeconds"));
    assert_eq!(delays, [Some("5"), Some("4")]);
    let last = results[16].as_ref().unwrap().due().unwrap();
    let late = last.duration_since(due).unwrap_or_default();
    assert!(late < Duration::from_secs(1), "{late:?}");
}

#[tokio::test]
async fn a_delete_that_may_have_been_done_is_unknown_when_it_is_said_to_be_gone() {
    let none = r#"{"code":6020,"message":"(10290)none","requestId":"1","errorList":[
        {"code":4430,"message":"(10260)invalid","receiptHandle":"a"},
        {"code":4430,"message":"(10260)invalid","receiptHandle":"b"}]}"#;
    let server = Server::start([Reply::Drop, Reply::Json(none.into())]).await;
    let client = server.builder().resend_unknown(true).build().unwrap();
    let handles = ["a", "b"].map(ReceiptHandle::new);
    for result in client.queue("q").unwrap().delete_batch(&handles).await {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Stale);
        assert_eq!(error.outcome(), Outcome::Unknown);
    }
}

#[tokio::test]
async fn each_item_has_its_own_result() {
    let script = [stored(16), Reply::no(4410, 10240), Reply::stored("last")];
    let server = Server::start(script).await;
    let mut bodies: Vec<String> = (0..33).map(|at| format!("m{at}")).collect();
    bodies.insert(1, String::new());
    let results = server.queue().send_batch(bodies.clone()).await;
    assert_eq!(results.len(), 34);
    for (at, result) in results.iter().enumerate() {
        match (at, result) {
            (1, Err(failed)) => {
                assert_eq!(failed.error.code(), Some(&ErrorCode::EMPTY_BODY));
                assert_eq!(failed.outcome(), Outcome::NotSent);
            }
            (17..33, Err(failed)) => {
                assert_eq!(failed.error.code(), Some(&ErrorCode::HEAP_FULL));
                assert_eq!(failed.outcome(), Outcome::Rejected);
                assert_eq!(failed.message.body(), bodies[at]);
            }
            (33, Ok(receipt)) => assert_eq!(receipt.message_id(), "last"),
            (0 | 2..17, Ok(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(server.seen()[2].value("Action"), Some("SendMessage"));
}

#[tokio::test]
async fn a_batch_that_is_cut_is_unknown_for_its_own_messages_only() {
    let server = Server::start([Reply::Drop, stored(2), stored(1)]).await;
    let client = server.builder().batch_bytes(8).build().unwrap();
    let messages = ["aaaa", "bbbb", "cccc", "dddd", "eeee", "ffff"];
    let results = client.queue("q").unwrap().send_batch(messages).await;
    let outcome = |at: usize| {
        results[at]
            .as_ref()
            .map_err(|failed| (failed.outcome(), failed.message.body().to_owned()))
    };
    assert_eq!(outcome(0).unwrap_err(), (Outcome::Unknown, "aaaa".into()));
    assert_eq!(outcome(1).unwrap_err(), (Outcome::Unknown, "bbbb".into()));
    assert!(outcome(2).is_ok() && outcome(3).is_ok());
    // One id for two messages: whose it is can't be told.
    assert_eq!(outcome(4).unwrap_err().0, Outcome::Unknown);
    let kind = results[5].as_ref().unwrap_err().error.kind();
    assert_eq!(kind, ErrorKind::Protocol);
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn messages_with_other_delays_go_apart() {
    let server = Server::start([stored(2), Reply::stored("1")]).await;
    let soon = || Message::new("soon").deliver_after(Duration::from_secs(1));
    let batch = [soon(), Message::new("now"), soon()];
    let results = server.queue().send_batch(batch).await;
    assert!(results.iter().all(Result::is_ok));
    assert!(results[0].as_ref().unwrap().due().is_some());
    assert!(results[1].as_ref().unwrap().due().is_none());
    let seen = server.seen();
    assert_eq!(seen[0].list("msgBody"), ["soon", "soon"]);
    assert_eq!(seen[0].value("delaySeconds"), Some("1"));
    assert_eq!(seen[1].value("msgBody"), Some("now"));
    assert!(
        server
            .queue()
            .send_batch(Vec::<Message>::new())
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn messages_with_other_tags_or_keys_go_apart() {
    let server = Server::start([stored(2), stored(2), Reply::stored("k")]).await;
    let topic = server.builder().build().unwrap().topic("t").unwrap();
    let tagged = |body: &str, tag: &str| TopicMessage::new(body).tag(tag);
    let batch = [
        tagged("1", "a"),
        tagged("2", "b"),
        tagged("3", "a"),
        tagged("4", "b"),
        tagged("5", "b").routing_key("k"),
        tagged("6", "way too long for a tag"),
    ];
    let results = topic.publish_batch(batch).await;
    assert!(results[..5].iter().all(Result::is_ok), "{results:?}");
    let code = results[5].as_ref().unwrap_err().error.code().copied();
    assert_eq!(code, Some(ErrorCode::OUT_OF_RANGE));
    let seen = server.seen();
    assert_eq!(seen[0].value("Action"), Some("BatchPublishMessage"));
    assert_eq!(
        (seen[0].list("msgBody"), seen[0].list("msgTag")),
        (vec!["1", "3"], vec!["a"])
    );
    assert_eq!(
        (seen[1].list("msgBody"), seen[1].list("msgTag")),
        (vec!["2", "4"], vec!["b"])
    );
    assert_eq!(seen[2].value("routingKey"), Some("k"));
}

#[tokio::test]
async fn deletes_are_told_one_by_one() {
    let partly = r#"{"code":6010,"message":"(10150)delete message partially failed","requestId":"1",
        "errorList":[{"code":4430,"message":"(10260)receipt handle is invalid","receiptHandle":"h3"}]}"#;
    let server = Server::start([Reply::Json(partly.into()), Reply::ok("")]).await;
    let handles: Vec<_> = (0..20)
        .map(|at| ReceiptHandle::new(format!("h{at}")))
        .collect();
    let results = server.queue().delete_batch(&handles).await;
    assert_eq!(results.len(), 20);
    for (at, result) in results.iter().enumerate() {
        assert_eq!(result.is_err(), at == 3, "{at}");
    }
    let error = results[3].as_ref().unwrap_err();
    assert_eq!(error.code(), Some(&ErrorCode::HANDLE_EXPIRED));
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Stale, Outcome::Rejected)
    );
    let seen = server.seen();
    assert_eq!(seen[0].list("receiptHandle").len(), 16);
    assert_eq!(seen[1].list("receiptHandle"), ["h16", "h17", "h18", "h19"]);
}

#[tokio::test]
async fn deletes_without_a_list_are_not_guessed() {
    let script = [
        Reply::no(6010, 10150),
        Reply::no(6020, 10290),
        Reply::no(4440, 10100),
    ];
    let server = Server::start(script).await;
    let queue = server.queue();
    let handles = [ReceiptHandle::new("a"), ReceiptHandle::new("b")];
    for (code, outcome) in [
        (ErrorCode::PARTLY_DELETED, Outcome::Unknown),
        (ErrorCode::NONE_DELETED, Outcome::Rejected),
        (ErrorCode::QUEUE_NOT_FOUND, Outcome::Rejected),
    ] {
        let results = queue.delete_batch(&handles).await;
        assert_eq!(results.len(), 2);
        for result in results {
            let error = result.unwrap_err();
            assert_eq!((error.code(), error.outcome()), (Some(&code), outcome));
        }
    }
}
