//! What each command does, and that it is done to the same state as over HTTP.

use std::time::Duration;

use integration_tests::harness::until;
use mq_cmq::proto::tcp::{Packet, Pulled, cmd};
use mq_cmq::{Client, TcpClient};
use mq_dev::cmq::{QueueSpec, SubscriptionSpec, TopicSpec};

use crate::raw::{ask, code, q};
use crate::wire::{
    SECOND, Tcp, batch_delete, batch_publish, batch_pull, batch_send, body, builder, clock, delete,
    half, publish, pull, pull_as, send, send_as, server, t,
};

fn texts(messages: &[Pulled]) -> Vec<&str> {
    messages.iter().map(body).collect()
}

#[tokio::test]
async fn what_is_sent_over_one_is_received_over_the_other() {
    let server = server().await;
    let mut tcp = Tcp::login(&server).await;
    let ids = tcp.sent(send("q", "plain 中")).await;
    let got = ask(&server, "ReceiveMessage", &[("queueName", "q")]).await;
    assert_eq!(got["msgBody"], "plain 中");
    assert_eq!(got["msgId"], ids[0].to_string());
    let handle: u64 = got["receiptHandle"].as_str().unwrap().parse().unwrap();
    assert_eq!(tcp.ask(delete("q", handle)).await.result, Some(0));
    let (result, text) = tcp.refused(delete("q", handle)).await;
    assert_eq!(result, 10_260, "{text}");

    let given = [("queueName", "q"), ("msgBody", "@ & 中")];
    let sent = ask(&server, "SendMessage", &given).await;
    let message = tcp.pulled("Q").await.unwrap();
    assert_eq!(body(&message), "@ & 中");
    assert_eq!(message.message_id.to_string(), sent["msgId"]);
    assert_eq!(message.dequeue_count, Some(1));
    let (first, next) = (
        message.first_dequeued.unwrap(),
        message.next_visible.unwrap(),
    );
    assert_eq!((next - first, message.enqueued), (5, Some(first)));
    assert_eq!(message.original_queue, None);
    let handle = message.handle.unwrap().to_string();
    let given = [("queueName", "q"), ("receiptHandle", handle.as_str())];
    assert_eq!(ask(&server, "DeleteMessage", &given).await["code"], 0);
    assert!(tcp.pulled("q").await.is_none());
    assert_eq!(server.requests("SendMessage"), 2);
}

#[tokio::test]
async fn batches_are_sent_pulled_and_deleted() {
    let server = server().await;
    let mut tcp = Tcp::login(&server).await;
    let bodies: Vec<String> = (10..26).map(|at| at.to_string()).collect();
    let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
    let ids = tcp.sent(batch_send("q", &bodies)).await;
    assert_eq!(ids.len(), 16);
    let answer = tcp.ask(batch_pull("q", 16, None)).await;
    let messages = answer.pulled_batch.unwrap().messages;
    assert_eq!(texts(&messages), bodies);
    let got: Vec<u64> = messages.iter().map(|it| it.message_id).collect();
    assert_eq!(got, ids);

    let handles: Vec<u64> = messages.iter().map(|it| it.handle.unwrap()).collect();
    let answer = tcp
        .ask(batch_delete("q", &[handles[0], 7, handles[1]]))
        .await;
    assert_eq!(answer.result, Some(10_150), "{:?}", answer.error);
    let [not] = &answer.not_deleted[..] else {
        panic!("{:?}", answer.not_deleted);
    };
    assert_eq!((not.handle, not.code), (7, 10_260));
    assert!(not.message.starts_with("(10260)"), "{}", not.message);
    let answer = tcp.ask(batch_delete("q", &handles[..2])).await;
    assert_eq!((answer.result, answer.not_deleted.len()), (Some(10_290), 2));
    let answer = tcp.ask(batch_delete("q", &handles[2..])).await;
    assert_eq!((answer.result, answer.not_deleted.len()), (Some(0), 0));
    assert_eq!(tcp.refused(batch_pull("q", 16, None)).await.0, 10_200);
}

#[tokio::test]
async fn a_pull_waits_and_others_go_on_meanwhile() {
    let server = server().await;
    let mut tcp = Tcp::login(&server).await;
    let first = tcp.send(pull("q", 30)).await;
    let second = tcp.send(pull("q", 30)).await;
    let nothing = tcp.send(pull_as("t", Some(20), None)).await;
    tcp.nothing_came().await;
    assert_eq!(server.counts("q").unwrap().waiting, 2);
    let given = [("queueName", "q"), ("msgBody", "x")];
    ask(&server, "SendMessage", &given).await;
    let answer = tcp.answer(first).await.unwrap();
    assert_eq!(body(answer.pulled.as_ref().unwrap()), "x");
    clock(&server).advance(5 * SECOND);
    let answer = tcp.answer(second).await.unwrap();
    assert_eq!(answer.pulled.unwrap().dequeue_count, Some(2));
    clock(&server).advance(15 * SECOND);
    assert_eq!(tcp.answer(nothing).await.unwrap().result, Some(10_200));
}

#[tokio::test]
async fn a_pull_whose_client_is_gone_takes_no_message() {
    let server = server().await;
    let mut tcp = Tcp::login(&server).await;
    tcp.send(pull("q", 30)).await;
    tcp.nothing_came().await;
    drop(tcp);
    let left = async || server.counts("q").unwrap().waiting == 0;
    until(10 * SECOND, "the pull to leave", left).await;
    let mut tcp = Tcp::login(&server).await;
    tcp.sent(send("q", "x")).await;
    assert_eq!(tcp.pulled("q").await.unwrap().dequeue_count, Some(1));
}

#[tokio::test]
async fn a_pull_says_how_long_it_holds() {
    let server = server().await;
    let mut tcp = Tcp::login(&server).await;
    tcp.sent(batch_send("q", &["a", "b"])).await;
    let short = tcp.ask(pull_as("q", None, Some(1))).await.pulled.unwrap();
    let (first, next) = (short.first_dequeued.unwrap(), short.next_visible.unwrap());
    assert_eq!(next - first, 1);
    let long = tcp.ask(batch_pull("q", 16, Some(43_200))).await;
    assert_eq!(long.pulled_batch.unwrap().messages.len(), 1);
    clock(&server).advance(SECOND);
    assert_eq!(body(&tcp.pulled("q").await.unwrap()), "a");
    clock(&server).advance(43_198 * SECOND);
    assert_eq!(body(&tcp.pulled("q").await.unwrap()), "a");
    clock(&server).advance(SECOND);
    assert_eq!(body(&tcp.pulled("q").await.unwrap()), "b");
}

#[tokio::test]
async fn topics_are_published_to_by_tag_and_by_route() {
    let server = server().await;
    server.create_topic(TopicSpec::new("tags")).unwrap();
    server
        .create_topic(TopicSpec::new("ways").routing())
        .unwrap();
    let by_tag = SubscriptionSpec::to_queue("tags", "s", "q").tag("red");
    server.subscribe(by_tag).unwrap();
    let by_way = SubscriptionSpec::to_queue("ways", "s", "q").binding_key("a.*");
    server.subscribe(by_way).unwrap();
    let mut tcp = Tcp::login(&server).await;
    let mut ids = tcp.sent(publish("tags", "1", &["blue", "red"], None)).await;
    ids.extend(tcp.sent(batch_publish("tags", &["2", "3"], &["red"])).await);
    ids.extend(tcp.sent(publish("ways", "4", &[], Some("a.b"))).await);
    for (packet, expected) in [
        (publish("tags", "x", &["blue"], None), 10_730),
        (publish("ways", "x", &[], Some("b")), 10_730),
        (publish("ways", "x", &[], None), 10_700),
        (publish("none", "x", &[], None), 10_600),
        (batch_publish("tags", &[], &["red"]), 10_370),
    ] {
        let (result, text) = tcp.refused(packet).await;
        assert_eq!(result, expected, "{text}");
    }
    let got = tcp.ask(batch_pull("q", 16, None)).await;
    let got = got.pulled_batch.unwrap().messages;
    assert_eq!(texts(&got), ["1", "2", "3", "4"]);
    let got: Vec<u64> = got.iter().map(|it| it.message_id).collect();
    assert_eq!(got, ids);
}

#[tokio::test]
async fn a_delay_ends() {
    let server = server().await;
    let mut tcp = Tcp::login(&server).await;
    let late = send_as("q", "late", |send| send.delay_seconds = Some(3));
    tcp.sent(late).await;
    let mut late = batch_send("q", &["later"]);
    late.batch_send.as_mut().unwrap().delay_seconds = Some(4);
    tcp.sent(late).await;
    clock(&server).advance(Duration::from_millis(2_999));
    assert!(tcp.pulled("q").await.is_none());
    clock(&server).advance(Duration::from_millis(1));
    assert_eq!(body(&tcp.pulled("q").await.unwrap()), "late");
    assert!(tcp.pulled("q").await.is_none());
    clock(&server).advance(SECOND);
    assert_eq!(body(&tcp.pulled("q").await.unwrap()), "later");
}

#[tokio::test]
async fn a_dead_letter_says_where_it_died() {
    let server = builder().start().await.unwrap();
    server.create_queue(QueueSpec::new("dead")).unwrap();
    server.create_queue(q().dead_letter("dead", 2)).unwrap();
    let mut tcp = Tcp::login(&server).await;
    tcp.sent(send("q", "x")).await;
    let alive = tcp.pulled("q").await.unwrap();
    for _ in 0..2 {
        clock(&server).advance(5 * SECOND);
        tcp.pulled("q").await;
    }
    let dead = tcp.pulled("dead").await.unwrap();
    assert_eq!(dead.message_id, alive.message_id);
    let list = ask(&server, "ListQueue", &[("searchWord", "q")]).await;
    let id = &list["queueList"][0]["queueId"];
    assert_eq!(dead.original_queue.as_deref(), id.as_str());
    let sent = u64::try_from(alive.enqueued.unwrap()).unwrap();
    assert_eq!(dead.original_enqueued, Some(sent));
    assert_eq!(dead.original_dequeue_count, Some(2));
    assert_eq!(dead.dequeue_count, Some(1));
}

#[tokio::test]
async fn a_heartbeat_is_answered_with_nothing() {
    let server = server().await;
    let mut tcp = Tcp::login(&server).await;
    let beat = tcp.ask(Packet::new(0, cmd::HEARTBEAT)).await;
    assert_eq!(beat, Packet::new(beat.seqno, cmd::HEARTBEAT));
}

#[tokio::test]
async fn a_route_leads_to_the_gateway() {
    let server = server().await;
    server.create_topic(TopicSpec::new("news")).unwrap();
    let own = server.gateway_addr().unwrap().to_string();
    for (action, key, name, unknown) in [
        ("QueryQueueRoute", "queueName", "Q", (4440, 10_100)),
        ("QueryTopicRoute", "topicName", "news", (4440, 10_600)),
    ] {
        let answer = ask(&server, action, &[(key, name)]).await;
        assert_eq!(answer["code"], 0, "{answer}");
        assert_eq!(answer["addr"], serde_json::json!([own]));
        let answer = ask(&server, action, &[(key, "none")]).await;
        assert_eq!(code(&answer), unknown);
    }
    let server = builder()
        .advertise("mq.example:6000")
        .start()
        .await
        .unwrap();
    server.create_queue(t()).unwrap();
    let answer = ask(&server, "QueryQueueRoute", &[("queueName", "t")]).await;
    assert_eq!(answer["addr"], serde_json::json!(["mq.example:6000"]));
    server.advertise("mq.example:6001");
    let answer = ask(&server, "QueryQueueRoute", &[("queueName", "t")]).await;
    assert_eq!(answer["addr"], serde_json::json!(["mq.example:6001"]));
    // Where there is no gateway, there is no such action.
    let server = crate::raw::server().await;
    assert_eq!(server.gateway_addr(), None);
    server.advertise("mq.example:6000");
    let answer = ask(&server, "QueryQueueRoute", &[("queueName", "q")]).await;
    assert_eq!(code(&answer), (4000, 10_430));
}

#[tokio::test]
async fn our_clients_meet() {
    let server = server().await;
    let tcp = TcpClient::from_url(&server.tcp_url()).unwrap();
    let tcp = tcp.build().unwrap();
    let http = Client::from_url(&server.url()).unwrap().build().unwrap();
    let (there, here) = (tcp.queue("q").unwrap(), http.queue("q").unwrap());
    there.send("over TCP").await.unwrap();
    let message = here.receive(Duration::ZERO).await.unwrap().unwrap();
    assert_eq!(message.body(), "over TCP");
    here.delete(message.handle()).await.unwrap();
    here.send("over HTTP").await.unwrap();
    let message = there.receive(Duration::ZERO).await.unwrap().unwrap();
    assert_eq!(message.body(), "over HTTP");
    there.delete(message.handle()).await.unwrap();
    assert_eq!(server.counts("q").unwrap().held, 0);
    tcp.close();
    // A half message is in no queue's list.
    let mut raw = Tcp::login(&server).await;
    raw.sent(half("t", "x")).await;
    assert_eq!(server.counts("t").unwrap().half, 1);
}
