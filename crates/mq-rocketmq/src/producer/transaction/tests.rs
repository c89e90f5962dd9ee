//! Transactions on a broker in memory that does what a test tells it to.

mod broker;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mq_core::{ErrorKind, Outcome};
use tokio::sync::Notify;

use self::broker::{Broker, Step};
use super::*;
use crate::ResponseCode;
use crate::proto::command::{EndTransaction, Heartbeat, SendMessage};
use crate::proto::message::{SysFlag, properties};

const COMMIT: i32 = EndTransaction::COMMIT;
const ROLLBACK: i32 = EndTransaction::ROLLBACK;
const UNKNOWN: i32 = EndTransaction::UNKNOWN;

/// A producer of group `g` whose checker always answers the same, and how often it was asked.
async fn producer(broker: &Broker, verdict: Verdict) -> (TransactionalProducer, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let building = broker.client().await.producer("g").checker(move |_| {
        count.fetch_add(1, Ordering::AcqRel);
        async move { verdict }
    });
    (building.topic("t").build().await.unwrap(), asked)
}

fn message() -> Message {
    Message::new("t", "body")
}

async fn until(what: &str, mut is: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if is() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within 10 s: {what}");
}

#[tokio::test]
async fn a_half_message_says_what_it_is_and_is_ended_where_it_is() {
    let broker = Broker::start().await;
    let (producer, _) = producer(&broker, Verdict::Unknown).await;
    let transaction = producer.begin(message().tag("A")).await.unwrap();
    assert_eq!((transaction.broker(), transaction.queue()), ("b", 0));
    let id = transaction.id().to_owned();
    transaction.commit().await.unwrap();
    let (sent, _) = broker.requests::<SendMessage>().pop().unwrap();
    assert!(SysFlag(sent.sys_flag).contains(SysFlag::PREPARED));
    let all = properties::decode(sent.properties.as_deref().unwrap());
    assert_eq!(
        (all.get("TRAN_MSG"), all.get("PGROUP")),
        (Some("true"), Some("g"))
    );
    assert_eq!(all.get("UNIQ_KEY"), Some(id.as_str()));
    let (end, wants_answer) = broker.requests::<EndTransaction>().pop().unwrap();
    assert!(wants_answer);
    let told = (end.decision, end.half_offset, end.physical_offset);
    assert_eq!(told, (COMMIT, 1, 1001));
    assert_eq!(
        (&*end.producer_group, end.topic.as_deref()),
        ("g", Some("t"))
    );
    assert_eq!((end.message_id, end.from_check), (id, Some(false)));
    assert_eq!(end.broker_name.as_deref(), Some("b"));
}

#[tokio::test]
async fn the_group_is_known_before_anything_is_sent() {
    for topics in [&["t"][..], &[]] {
        let broker = Broker::start().await;
        let client = broker.client().await;
        let mut building = client.producer("g").checker(|_| async { Verdict::Unknown });
        if topics.is_empty() {
            // Nothing but the clusters' own topics tells of brokers.
            broker.has_no_topics();
        }
        for topic in topics {
            building = building.topic(*topic);
        }
        let producer = building.build().await.unwrap();
        let beats = broker.requests::<Heartbeat>();
        assert_eq!(beats[0].0.producers[0].group_name, "g", "{topics:?}");
        drop(producer);
    }
}

#[tokio::test]
async fn a_topic_without_a_route_fails_the_start() {
    let broker = Broker::start().await;
    let client = broker.client().await;
    broker.has_no_topics();
    let building = client.producer("g").checker(|_| async { Verdict::Unknown });
    let error = building.topic("t").build().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

#[tokio::test]
async fn what_is_dropped_is_told_to_be_undecided_without_an_answer() {
    let broker = Broker::start().await;
    let (producer, _) = producer(&broker, Verdict::Unknown).await;
    drop(producer.begin(message()).await.unwrap());
    let failed = producer.transact(message(), |_| async { Err("no") }).await;
    assert!(matches!(failed, Err(TransactError::Local("no"))));
    let never = producer.transact(message(), |_| std::future::pending::<Result<_, ()>>());
    let cut_short = tokio::time::timeout(Duration::from_millis(300), never).await;
    assert!(cut_short.is_err());
    until("all three are told", || broker.ends().len() == 3).await;
    let told = [1, 2, 3].map(|offset| (UNKNOWN, offset, false, false));
    assert_eq!(broker.ends(), told);
}

#[tokio::test]
async fn local_work_decides_and_its_message_has_the_id() {
    let broker = Broker::start().await;
    let (producer, _) = producer(&broker, Verdict::Unknown).await;
    for (verdict, number) in [(Verdict::Commit, COMMIT), (Verdict::Rollback, ROLLBACK)] {
        let local = |given: Message| async move {
            assert!(given.unique_id().is_some());
            Ok::<_, ()>(verdict)
        };
        assert_eq!(producer.transact(message(), local).await.unwrap(), verdict);
        assert_eq!(broker.ends().pop().unwrap().0, number);
    }
}

#[tokio::test]
async fn an_end_without_an_answer_is_not_sent_again() {
    let broker = Broker::start().await;
    let client = broker.client().await;
    let building = client.producer("g").timeout(Duration::from_millis(300));
    let building = building.checker(|_| async { Verdict::Unknown });
    let producer = building.topic("t").build().await.unwrap();
    for step in [Step::Cut, Step::Keep] {
        let begin = producer.begin(message()).timeout(Duration::from_secs(3));
        let transaction = begin.await.unwrap();
        let before = broker.ends().len();
        broker.next::<EndTransaction>(step);
        let error = transaction.commit().await.unwrap_err();
        assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
        assert_eq!(error.operation(), "commit");
        assert!(error.to_string().contains("ask the checker"), "{error}");
        assert_eq!(broker.ends().len(), before + 1, "{step:?}");
    }
}

#[tokio::test]
async fn an_end_that_was_refused_for_now_is_sent_again_to_the_same_broker() {
    let broker = Broker::start().await;
    let (producer, _) = producer(&broker, Verdict::Unknown).await;
    let transaction = producer.begin(message()).await.unwrap();
    broker.next::<EndTransaction>(Step::Answer(ResponseCode::SYSTEM_BUSY));
    transaction.commit().await.unwrap();
    assert_eq!(broker.ends(), [(COMMIT, 1, false, true); 2]);
    let transaction = producer.begin(message()).await.unwrap();
    broker.next::<EndTransaction>(Step::Answer(ResponseCode::ILLEGAL_OPERATION));
    let error = transaction.rollback().await.unwrap_err();
    assert_eq!(error.code(), Some(&ResponseCode::ILLEGAL_OPERATION));
    let told = (error.outcome(), error.operation());
    assert_eq!(told, (Outcome::Rejected, "rollback"), "{error}");
    assert_eq!(broker.ends().len(), 3);
}

#[tokio::test]
async fn a_half_message_stays_with_its_broker_and_is_not_doubled() {
    let (broker, other) = (Broker::start().await, Broker::start().await);
    broker.beside("c", &other);
    let (producer, _) = producer(&broker, Verdict::Unknown).await;
    // Both are in the route, and turns are taken.
    for _ in 0..4 {
        for broker in [&broker, &other] {
            broker.next::<SendMessage>(Step::Answer(ResponseCode::SYSTEM_BUSY));
        }
        let before = [
            broker.requests::<SendMessage>().len(),
            other.requests::<SendMessage>().len(),
        ];
        producer
            .begin(message())
            .await
            .unwrap()
            .rollback()
            .await
            .unwrap();
        let after = [
            broker.requests::<SendMessage>().len(),
            other.requests::<SendMessage>().len(),
        ];
        let made = [after[0] - before[0], after[1] - before[1]];
        assert!(made == [2, 0] || made == [0, 2], "{made:?}");
        // The other one's refusal is still to come.
        let left = if made[0] == 0 { &broker } else { &other };
        left.forget_steps();
    }
    for broker in [&broker, &other] {
        broker.next::<SendMessage>(Step::Cut);
    }
    let count = || broker.requests::<SendMessage>().len() + other.requests::<SendMessage>().len();
    let before = count();
    let failed = producer.begin(message()).await.unwrap_err();
    assert_eq!(failed.outcome(), Outcome::Unknown, "{failed}");
    assert_eq!(failed.error.operation(), "begin");
    assert_eq!(count(), before + 1, "what may be stored is not sent again");
    assert!(failed.message.unique_id().is_some());
}

#[tokio::test]
async fn a_half_message_that_is_not_safely_stored_is_rolled_back() {
    let broker = Broker::start().await;
    let (producer, _) = producer(&broker, Verdict::Unknown).await;
    broker.next::<SendMessage>(Step::Answer(ResponseCode::FLUSH_DISK_TIMEOUT));
    let failed = producer.begin(message()).await.unwrap_err();
    assert_eq!(
        (failed.error.kind(), failed.outcome()),
        (ErrorKind::Timeout, Outcome::Rejected)
    );
    assert_eq!(broker.ends(), [(ROLLBACK, 1, false, true)]);
    broker.next::<SendMessage>(Step::Answer(ResponseCode::FLUSH_DISK_TIMEOUT));
    broker.next::<EndTransaction>(Step::Cut);
    let failed = producer.begin(message()).await.unwrap_err();
    assert_eq!(failed.outcome(), Outcome::Unknown, "{failed}");
}

#[tokio::test]
async fn a_question_is_answered_by_the_checker_to_the_one_who_asked() {
    let verdicts = [(Verdict::Commit, COMMIT), (Verdict::Rollback, ROLLBACK)];
    for (verdict, number) in verdicts {
        let broker = Broker::start().await;
        let (producer, asked) = producer(&broker, verdict).await;
        broker.ask("g", "ID", 7);
        until("the answer", || !broker.ends().is_empty()).await;
        assert_eq!(broker.ends(), [(number, 7, true, true)]);
        assert_eq!(asked.load(Ordering::Acquire), 1);
        // Another group's is not ours to answer.
        broker.ask("another", "ID", 8);
        broker.ask("g", "ID2", 9);
        until("the next answer", || broker.ends().len() == 2).await;
        assert_eq!(broker.ends()[1].1, 9);
        drop(producer);
    }
}

#[tokio::test]
async fn a_checker_that_panics_hangs_or_does_not_know_answers_unknown() {
    let broker = Broker::start().await;
    let client = broker.client().await;
    let building = client.producer("g").checker(|message| async move {
        match message.id() {
            "panics" => panic!("as this test wants"),
            "hangs" => std::future::pending().await,
            _ => Verdict::Unknown,
        }
    });
    let building = building.check_timeout(Duration::from_millis(50));
    let producer = building.topic("t").build().await.unwrap();
    for (offset, id) in (1..).zip(["panics", "hangs", "does not know"]) {
        broker.ask("g", id, offset);
        let count = usize::try_from(offset).unwrap();
        until(id, || broker.ends().len() == count).await;
    }
    let told = [1, 2, 3].map(|offset| (UNKNOWN, offset, true, false));
    assert_eq!(broker.ends(), told);
    drop(producer);
}

#[tokio::test]
async fn a_question_about_what_is_under_way_moves_its_place_and_asks_nobody() {
    let broker = Broker::start().await;
    let (producer, asked) = producer(&broker, Verdict::Rollback).await;
    let transaction = producer.begin(message()).await.unwrap();
    broker.ask("g", transaction.id(), 5);
    until("undecided", || broker.ends().len() == 1).await;
    transaction.commit().await.unwrap();
    let told = [(UNKNOWN, 5, true, false), (COMMIT, 5, true, true)];
    assert_eq!(broker.ends(), told);
    assert_eq!(asked.load(Ordering::Acquire), 0);
}

#[tokio::test]
async fn a_question_that_comes_during_the_commit_does_not_deliver_twice() {
    let broker = Broker::start().await;
    let (producer, asked) = producer(&broker, Verdict::Commit).await;
    let transaction = producer.begin(message()).await.unwrap();
    let id = transaction.id().to_owned();
    broker.next::<EndTransaction>(Step::After(Duration::from_millis(300)));
    let asking = async {
        until("the commit is on its way", || !broker.ends().is_empty()).await;
        broker.ask("g", &id, 6);
    };
    let (ended, ()) = tokio::join!(transaction.commit(), asking);
    ended.unwrap();
    until("the copy is cleared away", || broker.ends().len() >= 3).await;
    let mut told = broker.ends();
    told.sort_unstable();
    let all = [
        (UNKNOWN, 6, true, false),
        (COMMIT, 1, false, true),
        (ROLLBACK, 6, true, true),
    ];
    assert_eq!(told, all);
    assert_eq!(asked.load(Ordering::Acquire), 0);
}

#[tokio::test]
async fn one_message_is_checked_once_at_a_time_and_ended_at_its_last_place() {
    let broker = Broker::start().await;
    let client = broker.client().await;
    let (asked, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let (count, wait) = (Arc::clone(&asked), Arc::clone(&go));
    let building = client.producer("g").checker(move |_| {
        count.fetch_add(1, Ordering::AcqRel);
        let wait = Arc::clone(&wait);
        async move {
            wait.notified().await;
            Verdict::Commit
        }
    });
    let producer = building.topic("t").build().await.unwrap();
    broker.ask("g", "ID", 1);
    until("the checker runs", || asked.load(Ordering::Acquire) == 1).await;
    broker.ask("g", "ID", 2);
    // Behind it on the same connection, so that it is known by then that the one before has come.
    broker.ask("g", "other", 3);
    until("the other is asked about", || {
        asked.load(Ordering::Acquire) == 2
    })
    .await;
    go.notify_waiters();
    until("both are ended", || broker.ends().len() == 2).await;
    let mut told = broker.ends();
    told.sort_unstable();
    assert_eq!(told, [(COMMIT, 2, true, true), (COMMIT, 3, true, true)]);
    drop(producer);
}

#[tokio::test]
async fn no_more_checkers_run_than_were_allowed() {
    let broker = Broker::start().await;
    let client = broker.client().await;
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (now, peak) = (Arc::clone(&running), Arc::clone(&most));
    let building = client.producer("g").checker(move |_| {
        peak.fetch_max(now.fetch_add(1, Ordering::AcqRel) + 1, Ordering::AcqRel);
        let now = Arc::clone(&now);
        async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            now.fetch_sub(1, Ordering::AcqRel);
            Verdict::Commit
        }
    });
    let building = building.check_concurrency(3).topic("t");
    let producer = building.build().await.unwrap();
    for offset in 0..20 {
        broker.ask("g", &offset.to_string(), offset);
    }
    until("all are ended", || broker.ends().len() == 20).await;
    assert_eq!(most.load(Ordering::Acquire), 3);
    drop(producer);
}

#[tokio::test]
async fn a_guard_outlives_its_producer_and_a_closed_client_ends_it() {
    let broker = Broker::start().await;
    let (producer, _) = producer(&broker, Verdict::Unknown).await;
    let first = producer.begin(message()).await.unwrap();
    drop(producer);
    first.commit().await.unwrap();
    let client = broker.client().await;
    let building = client.producer("g").checker(|_| async { Verdict::Unknown });
    let producer = building.topic("t").build().await.unwrap();
    let second = producer.begin(message()).await.unwrap();
    client.close().await.unwrap();
    let error = second.commit().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    let failed = producer.begin(message()).await.unwrap_err();
    assert_eq!(failed.error.kind(), ErrorKind::Closed);
}
