//! What is not meant well: the server lives, answers others, and stays small.

use std::time::Duration;

use integration_tests::harness::{Child, Meter, now, role, size, until, within};
use mq_dev::cmq::{DevServer, Limits};
use tokio::net::TcpStream;

use crate::raw::{PATH, Request, Wire, ask, client, code, q, server};

const SECOND: Duration = Duration::from_secs(1);

async fn lives(server: &DevServer) {
    assert_eq!(ask(server, "ListQueue", &[]).await["code"], 0);
}

#[tokio::test]
async fn garbage_is_answered_or_closed() {
    let server = server().await;
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(300_000));
    let headers = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(100_000));
    for garbage in [
        b"\x00\x01\x02\xff\xfe\r\n\r\n".as_slice(),
        b"HELLO\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        long.as_bytes(),
        headers.as_bytes(),
    ] {
        let mut wire = Wire::connect(&server).await;
        wire.write(garbage).await;
        wire.write(b"\r\n\r\n").await;
        let _ = wire.answer().await;
    }
    for form in [
        "%ff=%fe",
        "&&&&",
        "=",
        "Action",
        "Action=%00&Action=%00",
        "a.0=1&a.4294967296=2",
    ] {
        let mut wire = Wire::connect(&server).await;
        let head = format!(
            "POST {PATH} HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n",
            form.len()
        );
        wire.write(head + form).await;
        let answer = wire.read().await.expect("an answer");
        assert_eq!(answer["code"], 4000, "{form}: {answer}");
    }
    let many = "a=&".repeat(10_000) + "%ff";
    let mut wire = Wire::connect(&server).await;
    wire.write(format!(
        "POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n{many}",
        many.len()
    ))
    .await;
    let answer = wire.read().await.unwrap();
    assert_eq!(code(&answer), (4000, 10420));
    let text = answer["message"].as_str().unwrap();
    assert!(text.contains("more than 200 parameters"), "{text}");
    lives(&server).await;
}

#[tokio::test]
async fn large_bodies_are_refused_and_take_no_memory() {
    let server = server().await;
    let two = "x".repeat(2 << 20);
    let pairs = [("queueName", "q"), ("msgBody", two.as_str())];
    assert_eq!(
        code(&ask(&server, "SendMessage", &pairs).await),
        (4400, 10230)
    );
    // Refused by its head alone.
    let mut wire = Wire::connect(&server).await;
    wire.write(format!(
        "POST {PATH} HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n",
        5 << 20
    ))
    .await;
    assert_eq!(code(&wire.read().await.unwrap()), (4000, 10420));
    wire.ended().await;
    // And one that does not say how large it is.
    let mut wire = Wire::connect(&server).await;
    wire.write(format!(
        "POST {PATH} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    ))
    .await;
    let chunk = format!("{:x}\r\n{two}\r\n", two.len());
    for _ in 0..3 {
        wire.write(&chunk).await;
    }
    if let Some(answer) = wire.read().await {
        assert_eq!(code(&answer), (4000, 10420));
    }
    lives(&server).await;
    assert_eq!(server.counts("q").unwrap().active, 0);
}

#[tokio::test]
async fn a_slow_head_and_a_slow_body_are_closed() {
    let builder = DevServer::builder().patience(Duration::from_millis(300));
    let server = builder.start().await.unwrap();
    for begun in [
        "",
        "GET / HT",
        "POST / HTTP/1.1\r\nHost: h\r\nX: ",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nAction=",
    ] {
        let mut wire = Wire::connect(&server).await;
        wire.write(begun).await;
        let answered = within(5 * SECOND, "the end", wire.answer()).await;
        if let Some((status, body)) = answered {
            assert!(
                status == 408 || status == 400 || body.starts_with(b"{\"code\":4000"),
                "{begun}: {status}"
            );
        }
        within(5 * SECOND, "the end", wire.ended()).await;
    }
    lives(&server).await;
}

/// One that says how large a form it will send, and sends so much of it.
async fn begun(server: &DevServer, announced: usize, sent: usize) -> Wire {
    let mut wire = Wire::connect(server).await;
    let head = format!("POST {PATH} HTTP/1.1\r\nHost: h\r\nContent-Length: {announced}\r\n\r\n");
    wire.write(head + &"x".repeat(sent)).await;
    wire
}

/// Until so many requests were begun. By GET: it needs no room for a body.
async fn were_begun(server: &DevServer, count: u64) {
    let there = async || {
        let mut request = Request::new("ListQueue", &[]);
        request.method = "GET";
        let answer = request.ask(server).await;
        answer["requestId"]
            .as_str()
            .unwrap()
            .parse::<u64>()
            .unwrap()
            > count
    };
    until(10 * SECOND, "the requests", there).await;
}

#[tokio::test]
async fn who_announces_much_and_sends_little_stops_nobody() {
    let server = server().await;
    let mut wires = Vec::new();
    for at in 0..100 {
        wires.push(begun(&server, 4 << 20, at % 2).await);
    }
    were_begun(&server, 100).await;
    let queue = client(&server).queue("q").unwrap();
    let sent = within(5 * SECOND, "an answer", queue.send("x").into_future()).await;
    sent.unwrap();
}

#[tokio::test]
async fn a_server_that_is_full_says_so_and_goes_on() {
    let mut limits = Limits::default();
    limits.requests = 256 << 10;
    let patience = Duration::from_millis(300);
    let builder = DevServer::builder().limits(limits).patience(patience);
    let server = builder.start().await.unwrap();
    // One that can't have what it needs.
    let mut large = begun(&server, 300 << 10, 300 << 10).await;
    assert_eq!(code(&large.read().await.unwrap()), (4420, 10250));
    large.ended().await;
    // And some that each hold what the others need.
    let mut wires = Vec::new();
    for _ in 0..8 {
        wires.push(begun(&server, 200 << 10, 150 << 10).await);
    }
    for mut wire in wires {
        let answer = wire.read().await.expect("an answer");
        let code = code(&answer);
        assert!(matches!(code, (4420, 10250) | (4000, 10420)), "{answer}");
    }
    lives(&server).await;
}

/// In a process of its own, whose memory it is.
#[tokio::test]
async fn polls_that_wait_hold_little_of_what_they_were_sent() {
    if role("polls").is_some() {
        return polls().await;
    }
    let test = "hostile::polls_that_wait_hold_little_of_what_they_were_sent";
    let mut child = Child::start(test, "polls", "");
    let heard = tokio::task::spawn_blocking(move || child.hear("grown by"));
    let grown = within(60 * SECOND, "the child", heard).await.unwrap();
    let grown: u64 = grown.parse().unwrap();
    assert!(grown < 8 << 20, "{grown} bytes for 25 MiB of parameters");
}

async fn polls() {
    let mut limits = Limits::default();
    limits.requests = 1 << 20;
    let server = DevServer::builder().limits(limits).start().await.unwrap();
    server.create_queue(q()).unwrap();
    let bogus = "x".repeat(256 << 10);
    let mut wires = Vec::new();
    let mut before = 0;
    for at in 0..=100 {
        let pairs = [
            ("queueName", "q"),
            ("pollingWaitSeconds", "30"),
            ("bogus", &bogus),
        ];
        let mut wire = Wire::connect(&server).await;
        let request = Request::new("ReceiveMessage", &pairs).bytes(&wire.host, "");
        wire.write(request).await;
        wires.push(wire);
        let waits = async || server.counts("q").unwrap().waiting == at + 1;
        until(10 * SECOND, "its turn", waits).await;
        if at == 0 {
            before = Meter::read().resident;
        }
    }
    lives(&server).await;
    Child::say("grown by", Meter::read().resident.saturating_sub(before));
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_at_once() {
    let server = DevServer::builder()
        .max_connections(3)
        .start()
        .await
        .unwrap();
    let mut wires = Vec::new();
    for _ in 0..3 {
        let mut wire = Wire::connect(&server).await;
        let host = wire.host.clone();
        wire.write(Request::new("ListQueue", &[]).bytes(&host, ""))
            .await;
        assert!(wire.read().await.is_some());
        wires.push(wire);
    }
    let mut beyond = Wire::connect(&server).await;
    beyond.ended().await;
    drop(wires);
    let again = async {
        loop {
            let mut wire = Wire::connect(&server).await;
            let host = wire.host.clone();
            wire.write(Request::new("ListQueue", &[]).bytes(&host, ""))
                .await;
            if wire.read().await.is_some() {
                break;
            }
        }
    };
    within(5 * SECOND, "room", again).await;
}

/// CI: 2 000 connections; full: 10 000. The client is a process of its own.
#[tokio::test]
async fn many_connections_leave_room_for_others() {
    if let Some(address) = role("crowd") {
        return crowd(&address).await;
    }
    let (started, count) = (now(), size(2_000, 10_000));
    let server = DevServer::builder().start().await.unwrap();
    server.create_queue(q()).unwrap();
    lives(&server).await;
    let before = Meter::read().resident;
    let address = format!("{} {count}", server.addr());
    let test = "hostile::many_connections_leave_room_for_others";
    let mut child = Child::start(test, "crowd", &address);
    let child = tokio::task::spawn_blocking(move || {
        assert_eq!(child.hear("open"), count.to_string());
        child
    });
    let child = within(60 * SECOND, "the connections", child).await.unwrap();
    let queue = client(&server).queue("q").unwrap();
    for at in 0..100 {
        queue.send(at.to_string()).await.unwrap();
    }
    let grown = Meter::read().resident.saturating_sub(before);
    let (each, took) = (grown / count, started.elapsed());
    println!("{count} connections: {grown} bytes more, {each} each, {took:?}");
    assert!(each < 64 * 1024, "{each} bytes a connection");
    drop(child);
    lives(&server).await;
}

/// A third says nothing, a third has begun a head, and a third the 2 MB of a body.
async fn crowd(argument: &str) {
    use tokio::io::AsyncWriteExt as _;

    let (address, count) = argument.split_once(' ').unwrap();
    let count: usize = count.parse().unwrap();
    let head = "POST /v2/index.php HTTP/1.1\r\nHost: h\r\n";
    let body = format!("{head}Content-Length: 2000000\r\n\r\n{}", "x".repeat(1024));
    let mut open = Vec::new();
    for at in 0..count {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let begun = ["", head, &body][at % 3];
        stream.write_all(begun.as_bytes()).await.unwrap();
        open.push(stream);
    }
    Child::say("open", open.len());
    tokio::task::spawn_blocking(Child::wait_for_go)
        .await
        .unwrap();
}
