//! Requests that are wrong in some way get the documented code, and those that are only unusual are understood.

use serde_json::Value;

use crate::raw::{PATH, Request, Wire, ask, client, code, said, server};

#[tokio::test]
async fn what_is_wrong_has_its_code() {
    let server = server().await;
    for (request, expected) in [
        ("SendMessage queueName=none msgBody=x", (4440, 10100)),
        ("SendMessage queueName=1q msgBody=x", (4000, 10020)),
        ("SendMessage queueName=q", (4000, 10390)),
        ("SendMessage queueName=q msgBody=", (4000, 10120)),
        (
            "SendMessage queueName=q msgBody=x delaySeconds=-1",
            (4000, 10692),
        ),
        (
            "SendMessage queueName=q msgBody=x delaySeconds=400000",
            (4000, 10692),
        ),
        (
            "SendMessage queueName=q msgBody=x delaySeconds=x",
            (4000, 10360),
        ),
        (
            "BatchSendMessage queueName=q msgBody.0=x msgBody.2=x",
            (4000, 10380),
        ),
        ("BatchSendMessage queueName=q msgBody.2=x", (4000, 10380)),
        (
            "ReceiveMessage queueName=q pollingWaitSeconds=31",
            (4000, 10350),
        ),
        ("ReceiveMessage queueName=q", (7000, 10200)),
        ("BatchReceiveMessage queueName=q numOfMsg=17", (4000, 10370)),
        ("BatchReceiveMessage queueName=q numOfMsg=0", (4000, 10370)),
        ("DeleteMessage queueName=q receiptHandle=x", (4000, 10470)),
        ("DeleteMessage queueName=q receiptHandle=1", (4430, 10260)),
        (
            "BatchDeleteMessage queueName=q receiptHandle.1=1",
            (6020, 10290),
        ),
        (
            "BatchDeleteMessage queueName=none receiptHandle.1=1",
            (4440, 10100),
        ),
        ("PublishMessage topicName=none msgBody=x", (4440, 10600)),
        ("NoSuchThing queueName=q", (4000, 10430)),
        ("QueryQueueRoute queueName=q", (4000, 10430)),
    ] {
        let answer = said(&server, request).await;
        assert_eq!(code(&answer), expected, "{request}: {answer}");
        assert!(answer["requestId"].is_string());
    }
    assert_eq!(server.counts("q").unwrap().active, 0);
}

#[tokio::test]
async fn what_is_too_much_has_its_code() {
    let server = server().await;
    let q = ("queueName", "q");
    let blank = [("queueName", "a b"), ("msgBody", "x")];
    assert_eq!(
        code(&ask(&server, "SendMessage", &blank).await),
        (4000, 10020)
    );
    let names: Vec<String> = (0..17).map(|at| format!("msgBody.{at}")).collect();
    let mut many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "x")).collect();
    many.push(q);
    assert_eq!(
        code(&ask(&server, "BatchSendMessage", &many).await),
        (4000, 10370)
    );
    let large = "x".repeat(65_537);
    let one = [q, ("msgBody", large.as_str())];
    assert_eq!(
        code(&ask(&server, "SendMessage", &one).await),
        (4400, 10230)
    );
    let half = "x".repeat(600_000);
    let two = [q, ("msgBody.0", half.as_str()), ("msgBody.1", &half)];
    assert_eq!(
        code(&ask(&server, "BatchSendMessage", &two).await),
        (4470, 10300)
    );
    assert_eq!(server.counts("q").unwrap().active, 0);
}

#[tokio::test]
async fn another_method_or_path_has_its_code() {
    let server = server().await;
    for method in ["PUT", "DELETE", "OPTIONS"] {
        let mut request = Request::new("ListQueue", &[]);
        request.method = method;
        assert_eq!(code(&request.ask(&server).await), (4000, 10410), "{method}");
    }
    let mut request = Request::new("ListQueue", &[]);
    request.path = "/other";
    assert_eq!(code(&request.ask(&server).await), (4000, 10420));
    let mut wire = Wire::connect(&server).await;
    wire.write(format!("GET {PATH} HTTP/1.1\r\nHost: h\r\n\r\n"))
        .await;
    let nothing = wire.read().await.unwrap();
    assert_eq!(code(&nothing), (4000, 10390));
}

/// Java's `*/*`, Python's none at all; lower-case names of actions; parameters that nobody knows; indices from 1; chunks.
#[tokio::test]
async fn what_other_clients_write_is_understood() {
    let server = server().await;
    let mut wire = Wire::connect(&server).await;
    let host = wire.host.clone();
    for headers in [
        "",
        "Content-Type: */*;charset=utf-8\r\n",
        "Content-Type: application/json\r\n",
    ] {
        let pairs = [
            ("queueName", "q"),
            ("msgBody", "1"),
            ("UserpollingWaitSeconds", "30"),
        ];
        let request = Request::new("sendMessage", &pairs).set("clientRequestId", u64::MAX);
        wire.write(request.bytes(&host, headers)).await;
        let answer = wire.read().await.unwrap();
        assert_eq!(
            (&answer["code"], &answer["message"]),
            (&0.into(), &"".into()),
            "{answer}"
        );
        assert_eq!(answer["clientRequestId"], u64::MAX);
        answer["msgId"].as_str().unwrap().parse::<u64>().unwrap();
    }
    let pairs = [("queueName", "Q"), ("msgBody.2", "b"), ("msgBody.1", "a")];
    let batch = ask(&server, "BatchSendMessage", &pairs).await;
    assert_eq!(batch["msgList"].as_array().unwrap().len(), 2);

    let form = Request::new("SendMessage", &[("queueName", "q"), ("msgBody", "c")]).form(&host);
    let (first, second) = form.split_at(20);
    wire.write(format!(
        "POST {PATH} HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n",
        first.len(),
        second.len()
    ))
    .await;
    assert_eq!(wire.read().await.unwrap()["code"], 0);

    let pairs = [
        ("queueName", "q"),
        ("numOfMsg", "16"),
        ("pollingWaitSeconds", "0"),
    ];
    let all = ask(&server, "BatchReceiveMessage", &pairs).await;
    let bodies: Vec<&Value> = all["msgInfoList"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["msgBody"])
        .collect();
    assert_eq!(bodies, ["1", "1", "1", "a", "b", "c"]);
}

#[tokio::test]
async fn a_received_message_has_the_types_that_clients_read() {
    let server = server().await;
    ask(
        &server,
        "SendMessage",
        &[("queueName", "q"), ("msgBody", "中\u{0}\"")],
    )
    .await;
    let message = ask(&server, "ReceiveMessage", &[("queueName", "q")]).await;
    assert_eq!(message["msgBody"], "中\u{0}\"");
    for number in ["msgId", "receiptHandle"] {
        message[number].as_str().unwrap().parse::<u64>().unwrap();
    }
    for number in [
        "enqueueTime",
        "firstDequeueTime",
        "nextVisibleTime",
        "dequeueCount",
    ] {
        assert!(message[number].is_u64(), "{number} in {message}");
    }
    let times = |name: &str| message[name].as_u64().unwrap();
    assert_eq!(times("nextVisibleTime") - times("firstDequeueTime"), 5);
    let handle = message["receiptHandle"].as_str().unwrap();
    let pairs = [
        ("queueName", "q"),
        ("receiptHandle.0", handle),
        ("receiptHandle.1", "7"),
    ];
    let partly = ask(&server, "BatchDeleteMessage", &pairs).await;
    assert_eq!(code(&partly), (6010, 10150));
    let errors = partly["errorList"].as_array().unwrap();
    assert_eq!(errors.len(), 1);
    assert_eq!(
        (&errors[0]["code"], &errors[0]["receiptHandle"]),
        (&4430.into(), &"7".into())
    );
}

#[tokio::test]
async fn our_client_refuses_the_same_before_it_sends() {
    let server = server().await;
    let client = client(&server);
    assert_eq!(
        client.queue("a b").unwrap_err().code().unwrap().module(),
        Some(10020)
    );
    let queue = client.queue("q").unwrap();
    let empty = queue.send("").await.unwrap_err();
    assert_eq!(empty.error.code().unwrap().module(), Some(10120));
    let sent = queue.send_batch((0..40).map(|at| at.to_string())).await;
    assert!(sent.iter().all(Result::is_ok));
    assert_eq!(server.requests("BatchSendMessage"), 3);
    assert_eq!(server.counts("q").unwrap().active, 40);
}
