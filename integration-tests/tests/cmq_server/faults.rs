//! What goes wrong on purpose, and what our client makes of it.

use std::time::Duration;

use integration_tests::harness::now;
use mq_cmq::{ErrorKind, Outcome};
use mq_dev::cmq::{DevServer, Fault};

use crate::raw::{Request, Wire, ask, client, server};

#[tokio::test]
async fn an_answer_is_lost_and_the_message_is_not() {
    for fault in [Fault::drop_reply(), Fault::half_body()] {
        let server = server().await;
        let fault = server.inject(fault.on("send").nth(2));
        let queue = client(&server).queue("q").unwrap();
        queue.send("1").await.unwrap();
        let failed = queue.send("2").await.unwrap_err();
        assert_eq!(failed.outcome(), Outcome::Unknown, "{failed}");
        assert_eq!(failed.message.body(), "2");
        queue.send("3").await.unwrap();
        assert_eq!((fault.times(), fault.seen()), (1, 3));
        assert_eq!(server.counts("q").unwrap().active, 3);
    }
}

#[tokio::test]
async fn a_request_is_lost_and_so_is_the_message() {
    for fault in [Fault::cut(), Fault::restart(), Fault::status_500().nth(1)] {
        let server = server().await;
        let fault = server.inject(fault.on("SendMessage"));
        let queue = client(&server).queue("q").unwrap();
        assert!(queue.receive(Duration::ZERO).await.unwrap().is_none());
        let failed = queue.send("1").await.unwrap_err();
        assert_eq!(failed.outcome(), Outcome::Unknown, "{failed}");
        assert!(fault.fired());
        assert_eq!(server.counts("q").unwrap().active, 0);
        queue.send("2").await.unwrap();
        assert_eq!(server.counts("q").unwrap().active, 1);
    }
}

#[tokio::test]
async fn half_a_body_is_half_a_body() {
    let server = server().await;
    server.inject(Fault::half_body());
    let mut wire = Wire::connect(&server).await;
    let host = wire.host.clone();
    wire.write(Request::new("ListQueue", &[]).bytes(&host, ""))
        .await;
    assert!(wire.answer().await.is_none());
    let rest = String::from_utf8_lossy(wire.rest()).into_owned();
    let (head, body) = rest.split_once("\r\n\r\n").expect("the head came");
    let promised: usize = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(body.len(), promised / 2);
}

#[tokio::test]
async fn a_restart_ends_all_connections_and_keeps_the_state() {
    let server = server().await;
    let mut idle = Wire::connect(&server).await;
    let host = idle.host.clone();
    idle.write(
        Request::new("SendMessage", &[("queueName", "q"), ("msgBody", "x")]).bytes(&host, ""),
    )
    .await;
    idle.read().await.unwrap();
    let mut polling = Wire::connect(&server).await;
    let poll = [("queueName", "none"), ("pollingWaitSeconds", "20")];
    polling
        .write(Request::new("ReceiveMessage", &poll).bytes(&host, ""))
        .await;
    polling.read().await.unwrap();
    server.restart();
    idle.ended().await;
    polling.ended().await;
    let message = ask(&server, "ReceiveMessage", &[("queueName", "q")]).await;
    assert_eq!(message["msgBody"], "x");
}

#[tokio::test]
async fn an_answer_is_late() {
    let server = server().await;
    let fault = server.inject("delay:ListQueue=200ms".parse::<Fault>().unwrap());
    let started = now();
    ask(&server, "ListQueue", &[]).await;
    assert!(started.elapsed() >= Duration::from_millis(200));
    fault.disarm();
    assert_eq!((fault.seen(), fault.times()), (1, 1));
}

#[tokio::test]
async fn one_message_is_accepted_and_lost() {
    let server = server().await;
    let fault = server.inject(Fault::lose_one().nth(2));
    let queue = client(&server).queue("q").unwrap();
    for at in 0..4 {
        queue.send(at.to_string()).await.unwrap();
    }
    let got = queue.receive_batch(16, Duration::ZERO).await.unwrap();
    let bodies: Vec<&str> = got.iter().map(mq_cmq::Received::body).collect();
    assert_eq!(bodies, ["0", "2", "3"]);
    assert_eq!(fault.times(), 1);
}

#[tokio::test]
async fn messages_come_in_disorder_and_again() {
    let faults = Fault::parse_list("shuffle,redeliver%50").unwrap();
    let builder = faults
        .into_iter()
        .fold(DevServer::builder(), mq_dev::cmq::Builder::fault);
    let server = builder.auto_create(true).start().await.unwrap();
    let queue = client(&server).queue("made").unwrap();
    let sent = queue.send_batch((100..200).map(|at| at.to_string())).await;
    assert!(sent.iter().all(Result::is_ok));
    let (mut order, mut stale) = (Vec::new(), 0);
    while server
        .counts("made")
        .is_some_and(|counts| counts.active + counts.held > 0)
    {
        let Some(message) = queue.receive(Duration::from_secs(1)).await.unwrap() else {
            panic!("what is visible again is not given");
        };
        match queue.delete(message.handle()).await {
            Ok(()) => order.push(message.into_body()),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Stale);
                stale += 1;
            }
        }
    }
    assert!(!order.is_sorted());
    order.sort_unstable();
    order.dedup();
    assert_eq!(order.len(), 100, "each was deleted once");
    assert!(stale > 20, "{stale}");
}
