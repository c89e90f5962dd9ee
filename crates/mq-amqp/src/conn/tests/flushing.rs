//! Waiting for what is under way, beside others who go on sending.

use std::task::Poll;

use super::messages::{published, publisher, silent, under_way};
use super::peer::{ack, until, within};
use crate::{ErrorKind, Message, Outcome};

/// What was sent before the call is waited for, and nothing that others send meanwhile.
#[tokio::test]
async fn flush_ends_beside_a_clone_that_goes_on_sending() {
    let peer = silent().await;
    let client = peer.connect().await;
    let publisher = publisher(&client).await;
    drop(under_way(&peer, &publisher, 3).await);
    let mut flush = Box::pin(publisher.flush());
    let waits = std::future::poll_fn(|cx| Poll::Ready(flush.as_mut().poll(cx).is_pending()));
    assert!(waits.await);
    let newer = under_way(&peer, &publisher.clone(), 2).await;
    // A newer one's confirm is none of those that are waited for.
    let mut said = ack(1, 5, false);
    said.extend_from_slice(&ack(1, 2, true));
    peer.tell(1, &said).await;
    let mut newer = newer.into_iter();
    let (fourth, fifth) = (newer.next().unwrap(), newer.next().unwrap());
    within(fifth).await.unwrap();
    let waits = std::future::poll_fn(|cx| Poll::Ready(flush.as_mut().poll(cx).is_pending()));
    assert!(waits.await, "the third is not confirmed");
    peer.tell(1, &ack(1, 3, false)).await;
    within(flush).await.unwrap();
    peer.tell(1, &ack(1, 4, false)).await;
    within(fourth).await.unwrap();
}

/// Closing refuses first, and then waits for what it had taken.
#[tokio::test]
async fn what_closes_takes_nothing_more_and_brings_the_rest_to_its_end() {
    let peer = silent().await;
    let client = peer.connect().await;
    let publisher = publisher(&client).await;
    let clone = publisher.clone();
    let taken = under_way(&peer, &publisher, 2).await;
    let mut close = Box::pin(publisher.close());
    let waits = std::future::poll_fn(|cx| Poll::Ready(close.as_mut().poll(cx).is_pending()));
    assert!(waits.await, "two are not confirmed");
    let refused = within(clone.send(Message::new("q", "late")).into_future()).await;
    let refused = refused.unwrap_err();
    assert_eq!(
        (refused.kind(), refused.outcome(), refused.message.body()),
        (ErrorKind::Closed, Outcome::NotSent, &"late".into())
    );
    peer.tell(1, &ack(1, 2, true)).await;
    within(close).await.unwrap();
    for confirm in taken {
        within(confirm).await.unwrap();
    }
    assert_eq!(peer.count("basic.BasicPublish"), 2);
}

/// The same of an ordered publisher, also where its closing is given up.
#[tokio::test]
async fn an_ordered_publisher_that_closes_takes_nothing_more() {
    let peer = silent().await;
    let client = peer.connect().await;
    let topic = client.ordered_topic("topic").partitions(1).declare();
    let publisher = within(topic).await.unwrap().publisher().build();
    let publisher = publisher.await.unwrap();
    let (clone, other) = (publisher.clone(), publisher.clone());
    let mut taken = Vec::new();
    // The second waits behind the first.
    for text in ["first", "second"] {
        taken.push(publisher.enqueue(Message::new("key", text)).await.unwrap());
    }
    until("the first", || peer.count("basic.BasicPublish") == 1).await;
    let mut close = Box::pin(publisher.close());
    let waits = std::future::poll_fn(|cx| Poll::Ready(close.as_mut().poll(cx).is_pending()));
    assert!(waits.await, "two are not confirmed");
    for given_up in [false, true] {
        if given_up {
            close = Box::pin(other.clone().close());
        }
        let late = within(clone.enqueue(Message::new("key", "late"))).await;
        let refused = late.unwrap_err();
        assert_eq!(
            (refused.kind(), refused.outcome(), refused.message.body()),
            (ErrorKind::Closed, Outcome::NotSent, &"late".into())
        );
    }
    // The first channel was that of what is declared again.
    let channel = published(&peer)[0].channel;
    peer.tell(1, &ack(channel, 1, false)).await;
    until("the second", || peer.count("basic.BasicPublish") == 2).await;
    peer.tell(1, &ack(channel, 2, false)).await;
    within(close).await.unwrap();
    for confirm in taken {
        within(confirm).await.unwrap();
    }
    assert_eq!(peer.count("basic.BasicPublish"), 2);
}
