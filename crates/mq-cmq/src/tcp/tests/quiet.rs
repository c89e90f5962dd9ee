//! Minutes without anything to do, which pass by the runtime's clock.

use std::sync::atomic::AtomicBool;

use super::*;

/// A gateway that answers nothing while it is deaf, and does not say so.
async fn sometimes_deaf(deaf: &Arc<AtomicBool>) -> Gateway {
    let deaf = Arc::clone(deaf);
    Gateway::start(move |packet| {
        let silent = deaf.load(Ordering::SeqCst);
        Some(match packet.cmd {
            _ if silent => Vec::new(),
            cmd::HEARTBEAT => vec![Packet::new(packet.seqno, cmd::HEARTBEAT)],
            _ => vec![stored(packet)],
        })
    })
    .await
}

#[tokio::test]
async fn minutes_of_quiet_are_passed_on_one_connection() {
    let gateway = sometimes_deaf(&Arc::default()).await;
    let queue = gateway.client().queue("q").unwrap();
    queue.send("x").await.unwrap();
    pass(300).await;
    queue.send("y").await.unwrap();
    assert_eq!(gateway.connections(), 1);
    let beats = gateway.seen(cmd::HEARTBEAT).len();
    assert!((75..=100).contains(&beats), "{beats} in 5 minutes");
}

/// The connection is dropped on its way, and neither end hears of it: a NAT that forgets, for example.
#[tokio::test]
async fn a_connection_that_was_lost_while_quiet_is_made_anew_unnoticed() {
    let deaf = Arc::<AtomicBool>::default();
    let gateway = sometimes_deaf(&deaf).await;
    let queue = gateway.client().queue("q").unwrap();
    queue.send("x").await.unwrap();
    pass(60).await;
    deaf.store(true, Ordering::SeqCst);
    pass(60).await;
    deaf.store(false, Ordering::SeqCst);
    queue.send("y").await.unwrap();
    assert_eq!(
        (gateway.connections(), gateway.seen(cmd::SEND).len()),
        (2, 2)
    );
}

/// It says so: it is an end as any other.
#[tokio::test]
async fn a_gateway_that_closes_what_is_quiet_is_come_back_to_unnoticed() {
    let gateway =
        Gateway::start(|packet| (packet.cmd != cmd::HEARTBEAT).then(|| vec![stored(packet)])).await;
    let queue = gateway.client().queue("q").unwrap();
    for round in 1..4 {
        queue.send("x").await.unwrap();
        pass(60).await;
        assert_eq!(gateway.connections(), round, "nobody asked for another");
    }
}

/// Who waits for questions asks for nothing, and is logged in again all the same.
#[tokio::test]
async fn who_waits_for_questions_is_there_again_by_itself() {
    let deaf = Arc::<AtomicBool>::default();
    let gateway = sometimes_deaf(&deaf).await;
    let client = gateway.client();
    let _orders = client.transactional("t", |_| async { Verdict::Unknown });
    until("a login", || gateway.seen(cmd::AUTH).len() == 1).await;
    pass(30).await;
    deaf.store(true, Ordering::SeqCst);
    pass(30).await;
    until("another login", || gateway.seen(cmd::AUTH).len() >= 2).await;
}

/// The route names another gateway from now on, and the old one ends.
#[tokio::test]
async fn who_waits_for_questions_follows_a_gateway_that_moves() {
    let (old, new) = (
        sometimes_deaf(&Arc::default()).await,
        sometimes_deaf(&Arc::default()).await,
    );
    let names = NameServer::start(&old.address).await;
    let url = format!("cmq+tcp://AKID:key@{}", names.address);
    let client = TcpClient::from_url(&url).unwrap().build().unwrap();
    let _orders = client.transactional("t", |_| async { Verdict::Unknown });
    until("a login", || old.seen(cmd::AUTH).len() == 1).await;
    names.lead_to(&new.address);
    drop(old);
    pass(31).await;
    until("a login there", || new.seen(cmd::AUTH).len() == 1).await;
    pass(120).await;
    assert_eq!(new.connections(), 1);
    assert!(names.asked() <= 8, "{} times", names.asked());
}
