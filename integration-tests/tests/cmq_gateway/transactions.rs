//! Half messages over the wire: visible once or never, whoever dies in between.

use integration_tests::harness::until;
use mq_cmq::proto::tcp::{Confirmed, Packet, state};
use mq_dev::cmq::DevServer;

use crate::raw::ask;
use crate::wire::{
    SECOND, Tcp, body, builder, clock, confirm, half, login, send, send_as, server, t,
};

/// Result, and state and code of each.
fn items(answer: &Packet) -> (Option<i32>, Vec<(i32, Option<i32>)>) {
    let Confirmed { queue, items } = answer.confirmed.as_ref().expect("what was confirmed");
    assert_eq!(queue, "t");
    let items = items.iter().map(|item| (item.state, item.code));
    (answer.result, items.collect())
}

#[tokio::test]
async fn a_commit_is_seen_and_a_rollback_is_not() {
    let server = server().await;
    let mut tcp = Tcp::login(&server).await;
    let kept = tcp.sent(half("t", "kept")).await[0];
    let mut batch = crate::wire::batch_send("t", &["dropped", "also kept"]);
    batch.batch_send.as_mut().unwrap().transaction = Some(1);
    let [dropped, also] = tcp.sent(batch).await.try_into().unwrap();
    assert!(tcp.pulled("t").await.is_none());
    let counts = server.counts("t").unwrap();
    assert_eq!((counts.half, counts.active, counts.held), (3, 0, 0));

    let decided = confirm("t", &[(dropped, state::ROLLBACK), (kept, state::COMMIT)]);
    let expected = vec![(state::ROLLBACK, None), (state::COMMIT, None)];
    assert_eq!(
        items(&tcp.ask(decided.clone()).await),
        (Some(0), expected.clone())
    );
    // It can be said again.
    assert_eq!(items(&tcp.ask(decided).await), (Some(0), expected));
    // Another client of the same account may decide, and HTTP receives.
    let mut other = Tcp::login(&server).await;
    other.ask(confirm("t", &[(also, state::COMMIT)])).await;
    for body in ["kept", "also kept"] {
        let got = ask(&server, "ReceiveMessage", &[("queueName", "t")]).await;
        assert_eq!(got["msgBody"], body);
    }
    assert!(tcp.pulled("t").await.is_none());
    assert_eq!(server.counts("t").unwrap().half, 0);
}

#[tokio::test]
async fn what_can_not_be_confirmed_is_typed() {
    let server = server().await;
    let mut tcp = Tcp::login(&server).await;
    let [first, second] = [half("t", "x"), half("t", "y")];
    let (first, second) = (tcp.sent(first).await[0], tcp.sent(second).await[0]);
    let answer = tcp.ask(confirm("t", &[(first, state::ROLLBACK)])).await;
    assert_eq!(answer.result, Some(0));
    let unknown = |code| (state::UNKNOWN, Some(code));
    for (given, result, expected) in [
        (vec![(first, state::COMMIT)], 10_750, vec![unknown(10_780)]),
        (vec![(1, state::COMMIT)], 10_750, vec![unknown(10_770)]),
        (vec![(second, 3)], 10_750, vec![unknown(10_350)]),
        (
            vec![(1, 2), (second, state::COMMIT), (first, state::COMMIT)],
            10_760,
            vec![unknown(10_770), (state::COMMIT, None), unknown(10_780)],
        ),
        (vec![], 10_370, vec![]),
    ] {
        let answer = tcp.ask(confirm("t", &given)).await;
        assert_eq!(items(&answer), (Some(result), expected), "{given:?}");
    }
    let answer = tcp.ask(confirm("q", &[(second, state::COMMIT)])).await;
    assert_eq!(answer.result, Some(10_790));
    let item = &answer.confirmed.unwrap().items[0];
    assert_eq!((item.state, item.code), unknown(10_790));
    let late = send_as("t", "x", |send| send.delay_seconds = Some(1));
    assert_eq!(tcp.refused(late).await.0, 10_692);
    let late = send_as("t", "x", |send| {
        (send.delay_seconds, send.transaction) = (Some(1), Some(1));
    });
    assert_eq!(tcp.refused(late).await.0, 10_692);
    // A plain message is one at once.
    tcp.sent(send("t", "plain")).await;
    assert_eq!(body(&tcp.pulled("t").await.unwrap()), "y");
    assert_eq!(body(&tcp.pulled("t").await.unwrap()), "plain");
}

#[tokio::test]
async fn the_sender_is_asked_first_then_the_others_of_its_account_in_turn() {
    let server = builder()
        .credentials("AKIDdev", "dev-secret")
        .credentials("AKIDother", "dev-secret");
    let server = server.start().await.unwrap();
    server.create_queue(t()).unwrap();
    let mut first = Tcp::login(&server).await;
    let mut sender = Tcp::login(&server).await;
    let mut stranger = Tcp::connect(&server).await;
    stranger.ask(login("AKIDother", "dev-secret")).await;
    let mut nobody = Tcp::connect(&server).await;
    let id = sender.sent(half("t", "x")).await[0];
    let question = (id, "t".to_owned());
    clock(&server).advance(5 * SECOND);
    assert_eq!(sender.question().await, question);
    first.nothing_came().await;
    clock(&server).advance(5 * SECOND);
    assert_eq!(first.question().await, question);
    sender.nothing_came().await;
    stranger.nothing_came().await;
    assert_eq!(nobody.refused(send("t", "x")).await.0, 306);
    // Whoever was asked can answer.
    first.ask(confirm("t", &[(id, state::COMMIT)])).await;
    assert_eq!(body(&sender.pulled("t").await.unwrap()), "x");
    clock(&server).advance(60 * SECOND);
    sender.nothing_came().await;
}

/// How many connections could be asked is seen by nobody else: a question comes to this one.
async fn gone(server: &DevServer, tcp: Tcp) {
    let before = server.counts("t").unwrap().waiting;
    let mut tcp = tcp;
    tcp.send(crate::wire::pull("t", 30)).await;
    tcp.nothing_came().await;
    drop(tcp);
    let left = async || server.counts("t").unwrap().waiting == before;
    until(10 * SECOND, "the connection to be gone", left).await;
}

#[tokio::test]
async fn where_the_sender_is_gone_another_of_its_account_is_asked() {
    let server = server().await;
    let mut other = Tcp::login(&server).await;
    let mut sender = Tcp::login(&server).await;
    let [kept, dropped] = ["kept", "dropped"];
    let kept = sender.sent(half("t", kept)).await[0];
    let dropped = sender.sent(half("t", dropped)).await[0];
    gone(&server, sender).await;
    clock(&server).advance(5 * SECOND);
    let mut asked = vec![other.question().await.0, other.question().await.0];
    asked.sort_unstable();
    assert_eq!(asked, [kept, dropped]);
    let decided = [(kept, state::COMMIT), (dropped, state::ROLLBACK)];
    assert_eq!(other.ask(confirm("t", &decided)).await.result, Some(0));
    assert_eq!(body(&other.pulled("t").await.unwrap()), "kept");
    assert!(other.pulled("t").await.is_none());
}

#[tokio::test]
async fn who_was_asked_often_enough_has_rolled_it_back() {
    let server = server().await;
    let mut tcp = Tcp::login(&server).await;
    let id = tcp.sent(half("t", "x")).await[0];
    let soon = send_as("t", "y", |send| {
        (send.transaction, send.first_query_interval) = (Some(1), Some(1500));
    });
    let soon = tcp.sent(soon).await[0];
    for (seconds, expected) in [
        (2, Some(soon)),
        (3, Some(id)),
        (2, Some(soon)),
        (3, Some(id)),
    ] {
        clock(&server).advance(seconds * SECOND);
        assert_eq!(Some(tcp.question().await.0), expected);
        tcp.nothing_came().await;
    }
    clock(&server).advance(5 * SECOND);
    tcp.nothing_came().await;
    let counts = server.counts("t").unwrap();
    assert_eq!((counts.half, counts.unanswered, counts.active), (0, 2, 0));
    let late = tcp.ask(confirm("t", &[(id, state::COMMIT)])).await;
    assert_eq!(
        items(&late),
        (Some(10_750), vec![(state::UNKNOWN, Some(10_780))])
    );
}

#[tokio::test]
async fn half_messages_outlive_the_server() {
    let server = server().await;
    let mut tcp = Tcp::login(&server).await;
    let kept = tcp.sent(half("t", "kept")).await[0];
    let dropped = tcp.sent(half("t", "dropped")).await[0];
    tcp.ask(confirm("t", &[(dropped, state::ROLLBACK)])).await;
    let mut snapshot = Vec::new();
    server.close_into(&mut snapshot).await.unwrap();
    tcp.ended().await;

    let again = builder().restore(snapshot.as_slice()).unwrap();
    let again = again.start().await.unwrap();
    assert_eq!(again.counts("t").unwrap().half, 1);
    let mut tcp = Tcp::login(&again).await;
    clock(&again).advance(5 * SECOND);
    assert_eq!(tcp.question().await.0, kept);
    let late = tcp.ask(confirm("t", &[(dropped, state::COMMIT)])).await;
    assert_eq!(items(&late).1, [(state::UNKNOWN, Some(10_780))]);
    tcp.ask(confirm("t", &[(kept, state::COMMIT)])).await;
    assert_eq!(body(&tcp.pulled("t").await.unwrap()), "kept");
    assert!(tcp.pulled("t").await.is_none());
}

#[tokio::test]
async fn a_seed_makes_a_transactional_queue() {
    let seed = "
        [[queue]]
        name = \"t\"
        transaction = { first_query_seconds = 3, max_queries = 1 }
    ";
    let server = builder().seed(toml::from_str(seed).unwrap());
    let server = server.start().await.unwrap();
    let mut tcp = Tcp::login(&server).await;
    let id = tcp.sent(half("t", "x")).await[0];
    clock(&server).advance(3 * SECOND);
    assert_eq!(tcp.question().await.0, id);
    clock(&server).advance(3 * SECOND);
    assert_eq!(server.counts("t").unwrap().unanswered, 1);
    for wrong in [
        "[[queue]]\nname = \"t\"\ntransaction = { first_query_seconds = 3 }",
        "[[queue]]\nname = \"t\"\ntransaction = { first_query_seconds = 3, max_queries = 1, x = 1 }",
    ] {
        assert!(
            toml::from_str::<mq_dev::cmq::Seed>(wrong).is_err(),
            "{wrong}"
        );
    }
}
