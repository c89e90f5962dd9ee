//! What a client over TCP can be told when it is built.

use mq_core::{Clock as _, SystemClock};

use super::*;

/// An address at which nobody listens.
async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}

fn by(gateways: &[&str]) -> TcpClientBuilder {
    let builder = TcpClient::from_url("cmq+tcp://AKID:key@127.0.0.1:1").unwrap();
    builder.gateways(gateways.iter().copied())
}

#[tokio::test]
async fn an_operation_takes_as_long_as_was_told() {
    let gateway = Gateway::start(|_| Some(Vec::new())).await;
    let builder = by(&[&gateway.address]).timeout(Duration::from_millis(200));
    let client = builder.build().unwrap();
    let began = SystemClock.now();
    let error = client
        .queue("q")
        .unwrap()
        .send("x")
        .await
        .unwrap_err()
        .error;
    let took = began.elapsed();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Timeout, Outcome::Unknown)
    );
    // Without it, it would be 10 s.
    let right = Duration::from_millis(200)..Duration::from_secs(5);
    assert!(right.contains(&took), "{took:?}");
}

#[tokio::test]
async fn connecting_takes_as_long_as_was_told() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let credentials = crate::Credentials::new("AKID", "key");
    let http = Client::builder()
        .http("127.0.0.1:1")
        .credentials(credentials);
    let http = http.connect_timeout(Duration::from_millis(100)).attempts(1);
    let tcp = http
        .tcp()
        .gateways([silent.local_addr().unwrap().to_string()]);
    let queue = tcp.build().unwrap().queue("q").unwrap();
    let began = SystemClock.now();
    let error = queue.send("x").await.unwrap_err().error;
    let took = began.elapsed();
    // The login was not answered: no request has left.
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Connect, Outcome::NotSent)
    );
    // Without it, it would be 3 s.
    let right = Duration::from_millis(100)..Duration::from_millis(2_500);
    assert!(right.contains(&took), "{took:?}");
}

#[tokio::test]
async fn the_name_is_that_of_the_login_or_one_of_dice() {
    let gateway = Gateway::start(|packet| Some(vec![stored(packet)])).await;
    for name in [Some("orders@7"), None, None] {
        let builder = by(&[&gateway.address]);
        let builder = name.into_iter().fold(builder, TcpClientBuilder::client_id);
        let client = builder.build().unwrap();
        client.queue("q").unwrap().send("x").await.unwrap();
    }
    let logins = gateway.seen(cmd::AUTH).into_iter();
    let names: Vec<String> = logins.map(|it| it.auth.unwrap().client_id).collect();
    assert_eq!(names[0], "orders@7");
    assert!(
        names[1..].iter().all(|it| it.starts_with("mq-cmq-")),
        "{names:?}"
    );
    assert_ne!(names[1], names[2]);
}

#[tokio::test]
async fn gateways_are_tried_in_turn_and_the_one_that_serves_is_kept() {
    let gateways = [
        Gateway::start(|packet| Some(vec![stored(packet)])).await,
        Gateway::start(|packet| Some(vec![stored(packet)])).await,
    ];
    let addresses = [&nobody().await, &gateways[0].address, &gateways[1].address];
    let client = by(&addresses.map(String::as_str)).build().unwrap();
    let queue = client.queue("q").unwrap();
    for _ in 0..5 {
        queue.send("x").await.unwrap();
    }
    let sends = || gateways.each_ref().map(|it| it.seen(cmd::SEND).len());
    assert_eq!(sends(), [5, 0]);
    // The next one is the first again only behind the last one.
    let [first, second] = gateways;
    drop(first);
    let gone = queue.send("y").await;
    if gone.is_err() {
        queue.send("y").await.unwrap();
    }
    queue.send("z").await.unwrap();
    assert_eq!(second.seen(cmd::SEND).len(), 2);
}
