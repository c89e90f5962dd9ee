//! Transactions on a server that answers late, never, or what it was not asked.

use std::time::Duration;

use bytes::BytesMut;

use super::messages::{published, returned};
use super::peer::{
    CONSUMER, HASTE, Peer, Said, Then, ack, blocked, channel_close, channel_close_for,
    connection_close, deliver, frame, lost, until, within,
};
use crate::proto::{BasicCancel, BasicRecoverOk, TxCommitOk, TxRollbackOk};
use crate::{Client, CommitError, ErrorKind, Message, Outcome, TxChannel};

const COMMIT: &str = "tx.TxCommit";
const ROLLBACK: &str = "tx.TxRollback";

/// Answers what is called so in this way, and all else as usual.
async fn answering(name: &'static str, then: impl Fn(&Said) -> Then + Send + 'static) -> Peer {
    Peer::start(move |said| {
        if said.name == name {
            then(said)
        } else {
            Then::Usual
        }
    })
    .await
}

async fn channel(client: &Client) -> TxChannel {
    let channel = client.tx_channel().timeout(HASTE);
    within(channel.build()).await.unwrap()
}

async fn consuming(client: &Client) -> TxChannel {
    let channel = client.tx_channel().consume("q").prefetch(3);
    within(channel.timeout(HASTE).build()).await.unwrap()
}

/// Publishes one message and commits it.
async fn one(channel: &mut TxChannel) -> Result<(), CommitError> {
    let tx = within(channel.begin()).await.unwrap();
    tx.publish("x", Message::new("key", "body")).await.unwrap();
    within(tx.commit()).await
}

/// What was said on the transactional channel from a moment on.
fn after(peer: &Peer, name: &str) -> Vec<&'static str> {
    let said = peer.said();
    let first = said.iter().position(|said| said.name == name).unwrap();
    let on = (said[first].connection, said[first].channel);
    let later = said[first + 1..].iter();
    let later = later.filter(|said| (said.connection, said.channel) == on);
    later.map(|said| said.name).collect()
}

#[tokio::test]
async fn what_is_done_is_written_in_its_order_and_the_commit_last() {
    let peer = Peer::usual().await;
    let client = peer.connect().await;
    let mut channel = consuming(&client).await;
    let mut tx = channel.begin().await.unwrap();
    for tag in 1..=3 {
        peer.deliver(tag, "x").await;
    }
    tx.publish("x", Message::new("key", "1")).await.unwrap();
    for decision in ["ack", "reject", "release"] {
        let delivery = within(tx.recv()).await.unwrap().unwrap();
        match decision {
            "ack" => tx.ack(&delivery),
            "reject" => tx.reject(&delivery),
            _ => tx.release(&delivery),
        }
        .unwrap();
        assert_eq!(tx.ack(&delivery).unwrap_err().kind(), ErrorKind::Stale);
    }
    assert!(within(tx.recv()).await.unwrap().is_none(), "the prefetch");
    within(tx.commit()).await.unwrap();
    let wanted = [
        "basic.BasicPublish",
        "basic.BasicAck",
        "basic.BasicReject",
        "basic.BasicReject",
        COMMIT,
    ];
    assert_eq!(after(&peer, "basic.BasicConsume"), wanted);
}

/// The outcome is unknown, the channel is closed, and the next transaction has another one, on which nothing of the first is written.
#[tokio::test]
async fn an_answer_that_never_comes_leaves_the_outcome_open() {
    let peer = answering(COMMIT, |_| Then::Nothing).await;
    let client = peer.hasty().await;
    let mut channel = channel(&client).await;
    for round in 1..=2 {
        let failed = one(&mut channel).await.unwrap_err();
        assert_eq!(
            (failed.kind(), failed.outcome()),
            (ErrorKind::Timeout, Outcome::Unknown)
        );
        assert!(failed.unroutable.is_empty());
        assert_eq!(peer.count(COMMIT), round);
        assert_eq!(published(&peer).len(), round);
        until("the channel's end", || {
            peer.count("channel.ChannelClose") == round
        })
        .await;
    }
    assert_eq!(after(&peer, COMMIT)[0], "channel.ChannelClose");
    assert_eq!(peer.count(ROLLBACK), 0);
}

/// While the server owes the answer nothing is written but the channel's end.
#[tokio::test]
async fn a_commit_that_nobody_waits_for_ends_the_channel() {
    let peer = answering(COMMIT, |_| Then::Nothing).await;
    let client = peer.connect().await;
    let mut channel = channel(&client).await;
    let tx = channel.begin().await.unwrap();
    tx.publish("x", Message::new("key", "body")).await.unwrap();
    let commit = tokio::time::timeout(Duration::from_millis(100), tx.commit());
    commit.await.unwrap_err();
    assert_eq!(peer.count(COMMIT), 1);
    drop(within(channel.begin()).await.unwrap());
    until("the channel's end", || {
        peer.count("channel.ChannelClose") == 1
    })
    .await;
    assert_eq!(after(&peer, COMMIT)[0], "channel.ChannelClose");
}

/// Dropped before it could be written, a commit is none.
#[tokio::test]
async fn a_commit_that_could_not_be_written_is_taken_back() {
    let peer = Peer::usual().await;
    let client = peer.connect().await;
    let mut channel = channel(&client).await;
    let mut events = client.events();
    peer.tell(1, &blocked(true)).await;
    within(events.next()).await.unwrap();
    let failed = one(&mut channel).await.unwrap_err();
    assert_eq!(
        (failed.kind(), failed.outcome()),
        (ErrorKind::Timeout, Outcome::NotSent)
    );
    assert!(failed.to_string().contains("blocked"), "{failed}");
    let tx = {
        peer.tell(1, &blocked(false)).await;
        within(channel.begin()).await.unwrap()
    };
    assert_eq!(peer.count(ROLLBACK), 1);
    assert_eq!((peer.count(COMMIT), published(&peer).len()), (0, 0));
    within(tx.commit()).await.unwrap();
    assert_eq!(peer.count("channel.ChannelOpen"), 1);
}

/// Which method the server blames says whether it came to the commit.
#[tokio::test]
async fn who_is_blamed_for_a_channel_s_end_says_what_is_known() {
    for (method, outcome) in [
        ((60, 40), Outcome::Rejected),
        ((60, 80), Outcome::Rejected),
        ((90, 20), Outcome::Unknown),
        ((0, 0), Outcome::Unknown),
    ] {
        let peer = answering(COMMIT, move |said| {
            Then::Say(channel_close_for(said.channel, 404, method))
        })
        .await;
        let client = peer.connect().await;
        let failed = one(&mut channel(&client).await).await.unwrap_err();
        assert_eq!(
            (failed.kind(), failed.outcome()),
            (ErrorKind::NotFound, outcome),
            "{method:?}"
        );
    }
}

/// Each call of a transaction whose channel was closed says so, and that nothing is applied; the next one has another channel.
#[tokio::test]
async fn a_channel_that_is_closed_ends_its_transaction() {
    let peer = Peer::usual().await;
    let client = peer.connect().await;
    let mut channel = consuming(&client).await;
    peer.deliver(1, "x").await;
    let mut tx = channel.begin().await.unwrap();
    let delivery = within(tx.recv()).await.unwrap().unwrap();
    let (_, number) = peer.consuming();
    peer.tell(1, &channel_close(number, 404)).await;
    let error = within(tx.recv()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let message = Message::new("key", "body").id("mine");
    let failed = tx.publish("x", message).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::NotFound);
    assert_eq!(failed.message.message_id(), Some("mine"));
    assert_eq!(tx.ack(&delivery).unwrap_err().kind(), ErrorKind::NotFound);
    let failed = within(tx.commit()).await.unwrap_err();
    assert_eq!(failed.outcome(), Outcome::Rejected);
    assert!(failed.to_string().contains("nothing of the transaction"));
    let tx = within(channel.begin()).await.unwrap();
    let stale = tx.ack(&delivery).unwrap_err();
    assert_eq!(stale.kind(), ErrorKind::Stale);
    within(tx.commit()).await.unwrap();
    assert_eq!(peer.count("basic.BasicAck"), 0);
}

/// What a server can't have meant ends the connection; the commit that is under way is not taken for answered.
#[tokio::test]
async fn answers_to_nothing_end_the_connection() {
    let words: [fn(u16) -> BytesMut; 5] = [
        |channel| frame(channel, TxCommitOk {}),
        |channel| frame(channel, TxRollbackOk {}),
        |channel| frame(channel, BasicRecoverOk {}),
        |channel| ack(channel, 1, false),
        |channel| deliver(channel, CONSUMER, 1, "x"),
    ];
    for said in words {
        let peer = Peer::usual().await;
        let client = peer.connect().await;
        let mut events = client.events();
        let mut channel = channel(&client).await;
        let tx = channel.begin().await.unwrap();
        peer.tell(1, &said(1)).await;
        let error = lost(&mut events).await;
        assert!(error.to_string().contains("protocol"), "{error}");
        let failed = within(tx.commit()).await.unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::Disconnected);
        assert_eq!(failed.outcome(), Outcome::NotSent);
    }
}

#[tokio::test]
async fn a_return_of_what_was_not_published_is_not_overheard() {
    let peer = answering(COMMIT, |said| {
        let mut other = said.clone();
        other.incoming = Some(stranger());
        let mut words = returned(&other);
        words.extend_from_slice(&frame(said.channel, TxCommitOk {}));
        Then::Say(words)
    })
    .await;
    let client = peer.connect().await;
    let failed = one(&mut channel(&client).await).await.unwrap_err();
    assert_eq!(
        (failed.kind(), failed.outcome()),
        (ErrorKind::Disconnected, Outcome::Unknown)
    );
}

/// A message that nobody has published.
fn stranger() -> crate::proto::Incoming {
    let publish = crate::proto::BasicPublish {
        reserved_1: 0,
        exchange: "x".into(),
        routing_key: "another".into(),
        mandatory: true,
        immediate: false,
    };
    let content = crate::proto::Content {
        properties: vec![0, 0].into(),
        body: "body".into(),
        too_large: None,
    };
    crate::proto::Incoming::Content(publish.into(), content)
}

/// Two messages of one id, and one of them comes back: it is the one with its body that is given back.
#[tokio::test]
async fn what_comes_back_is_given_back_as_it_was() {
    let sent = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = std::sync::Arc::clone(&sent);
    let peer = Peer::start(move |said| match said.name {
        "basic.BasicPublish" => {
            seen.lock().unwrap().push(said.clone());
            Then::Usual
        }
        COMMIT => {
            let mut words = returned(&seen.lock().unwrap()[1]);
            words.extend_from_slice(&frame(said.channel, TxCommitOk {}));
            Then::Say(words)
        }
        _ => Then::Usual,
    })
    .await;
    let client = peer.connect().await;
    let mut channel = channel(&client).await;
    let tx = channel.begin().await.unwrap();
    for body in ["first", "second", "third"] {
        let message = Message::new("key", body).id("twin");
        tx.publish("x", message).await.unwrap();
    }
    let failed = within(tx.commit()).await.unwrap_err();
    assert_eq!(
        (failed.kind(), failed.outcome()),
        (ErrorKind::NotFound, Outcome::Unknown)
    );
    assert!(failed.to_string().contains("the rest"), "{failed}");
    assert_eq!(failed.unroutable.len(), 1);
    assert_eq!(failed.unroutable[0].exchange, "x");
    let message = Message::new("key", "second").id("twin");
    assert_eq!(failed.unroutable[0].message, message);
    sent.lock().unwrap().truncate(0);
    // The channel goes on.
    let tx = within(channel.begin()).await.unwrap();
    drop(tx);
    assert_eq!(peer.count("channel.ChannelOpen"), 1);
}

/// What came back is told as all that is missing by a commit that was answered alone: else who takes it for that loses the rest.
#[tokio::test]
async fn what_came_back_is_not_told_of_a_commit_that_failed() {
    let sent = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = std::sync::Arc::clone(&sent);
    let peer = Peer::start(move |said| match said.name {
        "basic.BasicPublish" => {
            seen.lock().unwrap().push(said.clone());
            Then::Usual
        }
        COMMIT => {
            let mut words = returned(&seen.lock().unwrap()[0]);
            words.extend_from_slice(&channel_close_for(said.channel, 406, (90, 20)));
            Then::Say(words)
        }
        _ => Then::Usual,
    })
    .await;
    let client = peer.connect().await;
    let mut channel = channel(&client).await;
    let tx = channel.begin().await.unwrap();
    for body in ["nowhere", "refused"] {
        tx.publish("x", Message::new("key", body)).await.unwrap();
    }
    let failed = within(tx.commit()).await.unwrap_err();
    assert_eq!(
        (failed.kind(), failed.outcome()),
        (ErrorKind::Rejected, Outcome::Unknown)
    );
    assert_eq!(failed.unroutable, []);
}

#[tokio::test]
async fn a_server_without_transactions_is_told_as_such() {
    for code in [540, 503] {
        for of_the_channel in [true, false] {
            let peer = answering("tx.TxSelect", move |said| {
                Then::Say(if of_the_channel {
                    channel_close(said.channel, code)
                } else {
                    connection_close(code)
                })
            })
            .await;
            let client = peer.connect().await;
            let error = within(client.tx_channel().build()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
            assert_eq!(error.outcome(), Outcome::Rejected);
            assert_eq!(error.code().map(|code| code.0), Some(code));
        }
    }
}

/// Rolled back or dropped: what was received ahead of the answer is the queue's again, what comes after it is not.
#[tokio::test]
async fn a_rollback_gives_back_what_came_before_its_answer() {
    for drops in [false, true] {
        let peer = Peer::start(|said| match said.name {
            "basic.BasicRecover" => {
                let mut words = deliver(said.channel, CONSUMER, 3, "before");
                words.extend_from_slice(&frame(said.channel, BasicRecoverOk {}));
                words.extend_from_slice(&deliver(said.channel, CONSUMER, 4, "after"));
                Then::Say(words)
            }
            _ => Then::Usual,
        })
        .await;
        let client = peer.connect().await;
        let mut channel = consuming(&client).await;
        peer.deliver(1, "first").await;
        peer.deliver(2, "second").await;
        let mut tx = channel.begin().await.unwrap();
        let first = within(tx.recv()).await.unwrap().unwrap();
        tx.ack(&first).unwrap();
        if drops {
            drop(tx);
        } else {
            within(tx.rollback()).await.unwrap();
        }
        let mut tx = within(channel.begin()).await.unwrap();
        let next = within(tx.recv()).await.unwrap().unwrap();
        assert_eq!(next.text(), Some("after"));
        assert_eq!(tx.ack(&first).unwrap_err().kind(), ErrorKind::Stale);
        tx.ack(&next).unwrap();
        within(tx.commit()).await.unwrap();
        assert_eq!(
            (peer.count(ROLLBACK), peer.count("channel.ChannelOpen")),
            (1, 1)
        );
    }
}

/// A transaction in which nothing was done costs nothing to drop: who waits for messages may look every moment.
#[tokio::test]
async fn nothing_is_said_of_a_transaction_in_which_nothing_was_done() {
    let peer = Peer::usual().await;
    let client = peer.connect().await;
    let mut channel = consuming(&client).await;
    for _ in 0..10 {
        let mut tx = within(channel.begin()).await.unwrap();
        let next = tokio::time::timeout(Duration::from_millis(1), tx.recv());
        next.await.unwrap_err();
        within(tx.rollback()).await.unwrap();
    }
    peer.deliver(1, "x").await;
    let mut tx = within(channel.begin()).await.unwrap();
    within(tx.recv()).await.unwrap().unwrap();
    assert_eq!(
        (peer.count(ROLLBACK), peer.count("channel.ChannelClose")),
        (0, 0)
    );
}

#[tokio::test]
async fn a_rollback_that_is_not_answered_ends_with_the_channel() {
    for name in [ROLLBACK, "basic.BasicRecover"] {
        let peer = answering(name, |_| Then::Nothing).await;
        let client = peer.hasty().await;
        let mut channel = if name == ROLLBACK {
            channel(&client).await
        } else {
            consuming(&client).await
        };
        let tx = channel.begin().await.unwrap();
        tx.publish("x", Message::new("key", "body")).await.unwrap();
        let error = within(tx.rollback()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        until("the channel's end", || {
            peer.count("channel.ChannelClose") == 1
        })
        .await;
        let tx = within(channel.begin()).await.unwrap();
        tx.publish("x", Message::new("key", "body")).await.unwrap();
        drop(tx);
        // The next one does not wait for ever either.
        drop(within(channel.begin()).await.unwrap());
        assert_eq!(peer.count(COMMIT), 0);
    }
}

/// What was not decided is received first by the next transaction.
#[tokio::test]
async fn what_is_left_undecided_comes_again_and_first() {
    let peer = Peer::usual().await;
    let client = peer.connect().await;
    let mut channel = consuming(&client).await;
    for (tag, body) in [(1, "1"), (2, "2"), (3, "3")] {
        peer.deliver(tag, body).await;
    }
    let mut tx = channel.begin().await.unwrap();
    let first = within(tx.recv()).await.unwrap().unwrap();
    let second = within(tx.recv()).await.unwrap().unwrap();
    assert_eq!((first.attempt(), second.attempt()), (1, 1));
    tx.ack(&second).unwrap();
    within(tx.commit()).await.unwrap();
    let mut tx = within(channel.begin()).await.unwrap();
    assert_eq!(tx.ack(&first).unwrap_err().kind(), ErrorKind::Stale);
    for (body, attempt) in [("1", 2), ("3", 1)] {
        let next = within(tx.recv()).await.unwrap().unwrap();
        assert_eq!((next.text(), next.attempt()), (Some(body), attempt));
        tx.ack(&next).unwrap();
    }
    within(tx.commit()).await.unwrap();
    assert_eq!(peer.count("basic.BasicAck"), 3);
    assert_eq!(peer.count("basic.BasicReject"), 0);
}

/// A consumer that the server ends: told, what is held can be committed, and the next transaction consumes again.
#[tokio::test]
async fn a_consumer_that_is_cancelled_is_told_and_made_again() {
    let peer = Peer::usual().await;
    let client = peer.connect().await;
    let mut channel = consuming(&client).await;
    peer.deliver(1, "x").await;
    let mut tx = channel.begin().await.unwrap();
    let delivery = within(tx.recv()).await.unwrap().unwrap();
    tx.ack(&delivery).unwrap();
    let cancel = BasicCancel {
        consumer_tag: CONSUMER.into(),
        nowait: true,
    };
    let (_, number) = peer.consuming();
    peer.tell(1, &frame(number, cancel)).await;
    let error = within(tx.recv()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    within(tx.commit()).await.unwrap();
    assert_eq!(peer.count("basic.BasicConsume"), 1);
    drop(within(channel.begin()).await.unwrap());
    assert_eq!(peer.count("basic.BasicConsume"), 2);
}
