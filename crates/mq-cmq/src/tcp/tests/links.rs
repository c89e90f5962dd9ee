//! A connection that ends, is refused, forgotten or silent.

use super::*;

#[tokio::test]
async fn a_wrong_key_is_told_and_not_tried_in_a_storm() {
    let gateway = Gateway::start(|packet| Some(vec![stored(packet)])).await;
    let url = format!(
        "cmq+tcp://AKID:wrong@127.0.0.1:1?gateway={}",
        gateway.address
    );
    let client = TcpClient::from_url(&url).unwrap().build().unwrap();
    let queue = client.queue("q").unwrap();
    for _ in 0..20 {
        let error = queue.send("x").await.unwrap_err().error;
        assert_eq!(
            (error.kind(), error.outcome()),
            (ErrorKind::Auth, Outcome::Rejected)
        );
        assert_eq!(error.code(), Some(&ErrorCode::AUTHENTICATION_FAILED));
    }
    assert!(gateway.connections() <= 3, "{}", gateway.connections());
}

#[tokio::test]
async fn who_is_forgotten_logs_in_again_and_sends_again() {
    let mut forgets = true;
    let gateway = Gateway::start(move |packet| {
        Some(vec![if std::mem::take(&mut forgets) {
            no(packet, 306, "tcp connection not authed")
        } else {
            stored(packet)
        }])
    })
    .await;
    let queue = gateway.client().queue("q").unwrap();
    queue.send("x").await.unwrap();
    assert_eq!(
        (gateway.connections(), gateway.seen(cmd::SEND).len()),
        (2, 2)
    );
}

/// Those behind the one that was refused were not carried out either: they are sent again, and nobody hears of it.
#[tokio::test]
async fn who_is_forgotten_with_many_under_way_sends_all_again() {
    let mut forgets = true;
    let gateway = Gateway::start(move |packet| {
        Some(vec![if std::mem::take(&mut forgets) {
            no(packet, 306, "tcp connection not authed")
        } else {
            stored(packet)
        }])
    })
    .await;
    let queue = gateway.client().queue("q").unwrap();
    let sends = (0..8).map(|at| queue.send(at.to_string()).into_future());
    for sent in futures_util::future::join_all(sends).await {
        sent.unwrap();
    }
    assert_eq!(gateway.connections(), 2);
}

#[tokio::test]
async fn a_cut_is_unknown_and_the_next_one_goes() {
    for end in [0, 1] {
        let mut first = true;
        let gateway = Gateway::start(move |packet| match (std::mem::take(&mut first), end) {
            (true, 0) => None,
            (true, _) => Some(vec![Packet::new(-5, 9_999)]),
            _ => Some(vec![stored(packet)]),
        })
        .await;
        let queue = gateway.client().queue("q").unwrap();
        let sent = queue.send("x").timeout(Duration::from_millis(500)).await;
        let failed = sent.unwrap_err();
        assert_eq!(failed.outcome(), Outcome::Unknown);
        let kind = [ErrorKind::Disconnected, ErrorKind::Timeout][end];
        assert_eq!((failed.error.kind(), failed.message.body()), (kind, "x"));
        queue.send("y").await.unwrap();
        assert_eq!(gateway.connections(), 2 - end);
    }
}

#[tokio::test]
async fn a_gateway_that_says_nothing_any_more_is_left() {
    let mut heard = 0;
    let gateway = Gateway::start(move |packet| {
        heard += 1;
        Some(if heard == 2 {
            Vec::new()
        } else {
            vec![stored(packet)]
        })
    })
    .await;
    let queue = gateway.client().queue("q").unwrap();
    queue.send("x").await.unwrap();
    let sent = queue.send("y").timeout(Duration::from_millis(300)).await;
    assert_eq!(sent.unwrap_err().error.kind(), ErrorKind::Timeout);
    pass(3).await;
    until("it is left", || gateway.ended() == 1).await;
    queue.send("z").await.unwrap();
    assert_eq!(gateway.connections(), 2);
}

#[tokio::test]
async fn a_quiet_connection_gives_signs_of_life() {
    let gateway = Gateway::start(|packet| Some(vec![stored(packet)])).await;
    let queue = gateway.client().queue("q").unwrap();
    queue.send("x").await.unwrap();
    pass(4).await;
    until("a heartbeat", || !gateway.seen(cmd::HEARTBEAT).is_empty()).await;
    queue.send("y").await.unwrap();
    assert_eq!(gateway.connections(), 1);
}

/// The way is asked for over HTTP: whatever became of that, the message has not left.
#[tokio::test]
async fn a_name_server_that_hangs_up_is_asked_again() {
    let gateway = Gateway::start(|packet| Some(vec![stored(packet)])).await;
    let names = NameServer::start(&gateway.address).await;
    names.hang_up(2);
    let url = format!("cmq+tcp://AKID:key@{}", names.address);
    let client = TcpClient::from_url(&url).unwrap().build().unwrap();
    let queue = client.queue("q").unwrap();
    queue.send("x").await.unwrap();
    assert_eq!((names.asked(), gateway.seen(cmd::SEND).len()), (3, 1));
}
