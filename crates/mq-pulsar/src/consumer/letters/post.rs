//! The task that sends a consumer's letters, and settles their messages by what became of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use mq_core::{Clock as _, ErrorKind, SystemClock};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::line::{Letter, Letters, Why};
use super::write;
use crate::Message;
use crate::client::Client;
use crate::conn::now;
use crate::consumer::core::{Core, Decision, Heard};
use crate::error::{Error, Result};
use crate::producer::Producer;

/// Posts until the consumer has come to its end. What is not posted then is not acknowledged.
pub(in crate::consumer) async fn post(core: Arc<Core>, client: Client) {
    let Some(letters) = &core.letters else {
        return;
    };
    let mut office = Office {
        core: &core,
        letters,
        client,
        outlets: HashMap::new(),
        under_way: FuturesUnordered::new(),
    };
    loop {
        tokio::select! {
            () = core.ended() => break,
            letter = letters.next() => office.send(letter),
            Some(posted) = office.under_way.next() => office.posted(posted),
        }
    }
    letters.end();
}

struct Office<'a> {
    core: &'a Core,
    letters: &'a Letters,
    client: Client,
    outlets: HashMap<String, Outlet>,
    under_way: FuturesUnordered<BoxFuture<'static, Posted>>,
}

/// The way to a topic.
#[derive(Default)]
struct Outlet {
    producer: Arc<OnceCell<Producer>>,
    failures: u32,
    /// It failed, and is not tried before.
    until: Option<(Instant, Error)>,
}

struct Posted {
    letter: Letter,
    topic: String,
    producer: Arc<OnceCell<Producer>>,
    result: Result<()>,
}

impl Office<'_> {
    fn send(&mut self, letter: Letter) {
        let policy = &self.letters.policy;
        let wall = SystemClock.wall().duration_since(UNIX_EPOCH);
        let wall = wall.unwrap_or_default();
        let (topic, message) = write::letter(&letter.received, policy, letter.why, wall);
        let outlet = self.outlets.entry(topic.clone()).or_default();
        if let Some((until, why)) = &outlet.until
            && now() < *until
        {
            let (until, why) = (*until, why.clone());
            return self.comes_again(letter, until, why);
        }
        let dead = policy.retry().is_none_or(|retry| retry.as_str() != topic);
        let initial = policy.initial_subscription.clone().filter(|_| dead);
        let producer = Arc::clone(&outlet.producer);
        let client = self.client.clone();
        let sending = async move {
            let result = send(&producer, client, &topic, initial, message).await;
            Posted {
                letter,
                topic,
                producer,
                result,
            }
        };
        self.under_way.push(sending.boxed());
    }

    fn posted(&mut self, posted: Posted) {
        let Posted {
            letter,
            topic,
            producer,
            result,
        } = posted;
        let Some(outlet) = self.outlets.get_mut(&topic) else {
            return;
        };
        let is_its = Arc::ptr_eq(&outlet.producer, &producer);
        match result {
            Ok(()) => {
                if is_its {
                    (outlet.failures, outlet.until) = (0, None);
                }
                self.stored(letter, &topic);
            }
            // It is the letter's, not the topic's.
            Err(why) if why.kind() == ErrorKind::Invalid => {
                tracing::error!(%topic, error = %why, "a letter can't be sent; its message stays unacknowledged");
                self.comes_again(letter, now() + LONGEST, why);
            }
            Err(why) => {
                if is_its {
                    let pause = FIRST * 2_u32.saturating_pow(outlet.failures.min(16));
                    let pause = pause.min(LONGEST);
                    tracing::warn!(%topic, error = %why, ?pause, "letters can't be sent; their messages stay unacknowledged");
                    *outlet = Outlet {
                        failures: outlet.failures + 1,
                        until: Some((now() + pause, why.clone())),
                        ..Outlet::default()
                    };
                }
                let until = outlet.until.as_ref().map_or_else(now, |(until, _)| *until);
                self.comes_again(letter, until, why);
            }
        }
    }

    /// The letter is there: only now the message may go.
    fn stored(&self, letter: Letter, topic: &str) {
        let retry = self.letters.policy.retry();
        let retried = retry.is_some_and(|retry| retry.as_str() == topic);
        self.core.count(|counts| {
            let counted = if retried {
                &mut counts.retried_later
            } else {
                &mut counts.dead_lettered
            };
            *counted += 1;
        });
        if !retried {
            let (id, from) = (letter.received.id(), letter.received.topic());
            tracing::info!(%id, topic = %from, to = %topic, "a message was in vain too often; it is a dead letter now");
        }
        let settled = self.core.settle(&letter.received.0, Decision::Ack);
        self.end(letter, settled);
    }

    fn comes_again(&self, letter: Letter, at: Instant, why: Error) {
        let again = self.core.settle(&letter.received.0, Decision::Again(at));
        // Gone already: the broker delivers it again without being asked.
        drop(again);
        let operation = match letter.why {
            Why::Dead => "dead_letter",
            Why::Later(_) => "retry_later",
        };
        let why = why.into_builder().operation(operation).build();
        self.end(letter, Err(why));
    }

    fn end(&self, letter: Letter, result: Result<Option<Heard>>) {
        let was_full = self.letters.is_full();
        self.letters.done(letter.received.body().len());
        if was_full {
            self.core.bury_those_in_front();
            self.core.tell_receivers();
        }
        letter.answer(result);
    }
}

async fn send(
    producer: &OnceCell<Producer>,
    client: Client,
    topic: &str,
    initial_subscription: Option<String>,
    message: Message,
) -> Result<()> {
    let opened = producer.get_or_try_init(|| {
        // A letter has its own time, which batches don't keep.
        let builder = client.producer(topic).batch_messages(1);
        builder.initial_subscription(initial_subscription).build()
    });
    opened.await?.send(message).await?;
    Ok(())
}

const FIRST: Duration = Duration::from_millis(100);
// apache/pulsar: ConsumerImpl.createProducerWithBackOff
const LONGEST: Duration = Duration::from_secs(60);
