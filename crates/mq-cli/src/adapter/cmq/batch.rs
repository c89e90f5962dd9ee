//! Messages of one destination, sent together: to a queue or a topic in the client's batches.

use futures_util::future::join_all;
use mq_cmq::{Receipt, SendError};

use super::super::{Error, Failed, Outgoing, Result, Sent};
use super::place::Place;
use super::{Cmq, check, failed, invalid, scheduled, tagged, told, without_ordering_key};

impl Cmq {
    pub(in super::super) async fn send_batch(
        &self,
        messages: Vec<Outgoing>,
    ) -> Vec<Result<Sent, Failed>> {
        let first = messages.first();
        match first.map(|first| Place::parse(&first.destination)) {
            Some(Ok(Place::Queue(name))) => match self.client.queue(&name) {
                Ok(queue) => {
                    let (good, checked) = sort(&messages, scheduled);
                    join(messages, checked, queue.send_batch(good).await, &name)
                }
                Err(error) => refuse(messages, &error.into()),
            },
            Some(Ok(Place::Topic { name, routing_key })) => match self.client.topic(&name) {
                Ok(topic) => {
                    let make = |message: &_, text: &_| tagged(message, text, routing_key.clone());
                    let (good, checked) = sort(&messages, make);
                    join(messages, checked, topic.publish_batch(good).await, &name)
                }
                Err(error) => refuse(messages, &error.into()),
            },
            // Shards have no batches; what is no destination is told of each message.
            _ => join_all(messages.into_iter().map(|message| self.send(message))).await,
        }
    }
}

/// What can be sent, and for each message whether it is among that.
fn sort<M>(
    messages: &[Outgoing],
    make: impl Fn(&Outgoing, &str) -> M,
) -> (Vec<M>, Vec<Result<()>>) {
    let mut good = Vec::with_capacity(messages.len());
    let checked = messages.iter().map(|message| {
        without_ordering_key(message)?;
        good.push(make(message, check(message)?));
        Ok(())
    });
    let checked = checked.collect();
    (good, checked)
}

/// One result for each message, in their order.
fn join<M>(
    messages: Vec<Outgoing>,
    checked: Vec<Result<()>>,
    results: Vec<Result<Receipt, SendError<M>>>,
    place: &str,
) -> Vec<Result<Sent, Failed>> {
    let mut results = results.into_iter();
    let mut one = |message: &Outgoing, checked: Result<()>| {
        checked?;
        match results.next() {
            Some(Ok(receipt)) => Ok(told(message, receipt.message_id(), place.to_owned())),
            Some(Err(error)) => Err(error.error.into()),
            None => Err(invalid("a batch has fewer results than messages")),
        }
    };
    let each = messages.into_iter().zip(checked);
    each.map(|(message, checked)| one(&message, checked).map_err(|error| failed(message, error)))
        .collect()
}

fn refuse(messages: Vec<Outgoing>, error: &Error) -> Vec<Result<Sent, Failed>> {
    let fail = |message| Err(failed(message, error.clone()));
    messages.into_iter().map(fail).collect()
}
