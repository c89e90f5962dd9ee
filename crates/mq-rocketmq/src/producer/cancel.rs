//! Cancelling a scheduled message, in the words of each dialect.
//!
//! ```text
//!  handle ─► its broker, and is it the same one? ─┬─ 5.3.2 and later ─► recall (370) ─► Cancelled, TooLate
//!                                                 │                       └─ switched off ─┐
//!                                                 ├─ 5.x ─► a deletion in each of two forms ◄┘ ─► Requested, TooLate
//!                                                 └─ DMS ─► a cancelling message to the same queue ─► Requested
//! ```

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::future::join_all;
use mq_core::{Endpoint, ErrorKind, Outcome, Retry};

use super::shared::ProducerShared;
use super::{Durability, Producer};
use crate::error::{Error, Result, answer_error, invalid};
use crate::message::UNIQUE_ID;
use crate::proto::command::{RecallHandle, RecallMessage, SendMessage, ViewMessage};
use crate::proto::message::properties::encode_pairs;
use crate::proto::message::{OffsetMessageId, decode_messages};
use crate::proto::{Frame, Request, ResponseCode};
use crate::schedule::{
    Cancel, Dialect, Made, START_DELIVER, ScheduledHandle, TIMER_DELIVER, TIMERS, Way, no_timers,
};

impl Producer {
    /// Has a scheduled message not delivered.
    ///
    /// Made again it answers the same, until the message's time comes. The producer's group need not be the sender's; its time-out holds.
    ///
    /// # Errors
    ///
    /// Kind `Unsupported`: the message or the dialect has no cancellation (levels, TDMQ, 4.x). Kind `Invalid`: the handle was made under
    /// another dialect. Kind `NotFound`: the topic, the broker or the message is not in this cluster. Else as sending has it; outcome `Unknown`
    /// means that it may be cancelled, and the call can be made again.
    ///
    /// # Cancel safety
    ///
    /// Dropped half way, the message may be cancelled or not; call again to know.
    pub async fn cancel(&self, handle: &ScheduledHandle) -> Result<Cancel> {
        let shared = &*self.shared;
        shared.client.check_open(CANCEL)?;
        let made = handle.made();
        let way = choose(made, shared.client.dialect)?;
        if made.at_once {
            return Ok(Cancel::TooLate);
        }
        let call = Call {
            shared,
            made,
            deadline: super::send::deadline(shared, None),
        };
        match call.run(way).await {
            // A second copy may lie elsewhere, or in another slot.
            Ok(Cancel::Cancelled) if made.doubtful => Ok(Cancel::Requested),
            other => other,
        }
    }
}

/// In which words, or why not.
fn choose(made: &Made, dialect: Dialect) -> Result<Way> {
    match (made.way, dialect) {
        (Way::Level, _) => Err(unsupported("a message with a delay level")),
        (_, Dialect::Apache4) => Err(unsupported("a broker of 4.x")),
        (Way::Start, Dialect::Tdmq) => Err(unsupported("dialect \"tdmq\"")),
        (Way::Timer, Dialect::Auto | Dialect::Apache5) => Ok(Way::Timer),
        (Way::Start, Dialect::HuaweiDms) => Ok(Way::Start),
        // A cancellation in the wrong words would be delivered as a message.
        _ => Err(invalid(
            CANCEL,
            format!("the message was sent under another dialect than \"{dialect}\""),
        )),
    }
}

/// One cancellation.
struct Call<'a> {
    shared: &'a ProducerShared,
    made: &'a Made,
    deadline: Instant,
}

impl Call<'_> {
    async fn run(&self, way: Way) -> Result<Cancel> {
        let master = self.master().await?;
        if way == Way::Start {
            return self.by_message(&master).await;
        }
        if let Some(recall) = &self.made.recall
            && let Some(answer) = self.by_recall(&master, recall).await?
        {
            return Ok(answer);
        }
        self.by_deletion(&master).await
    }

    /// The master of the message's broker, which is the one that has the message.
    async fn master(&self) -> Result<Endpoint> {
        let (routes, made) = (&self.shared.client.routes, self.made);
        let known = |route: &crate::conn::TopicRoute| route.master(&made.broker).cloned();
        let route = self.in_time(routes.topic(&made.topic)).await?;
        let master = match known(&route) {
            Some(master) => Some(master),
            // It may have come after the route was read.
            None => known(&*self.in_time(routes.refresh(&made.topic)).await?),
        };
        let found = format!(
            "broker \"{}\" has no master in the route of topic \"{}\"",
            made.broker, made.topic
        );
        let master = master.ok_or_else(|| not_found(found))?;
        if master != made.endpoint {
            // Brokers of other clusters have the same names; this one may have moved, or be a replica that took over.
            self.check_there(&master).await?;
        }
        Ok(master)
    }

    /// Looks whether the message is where the handle says.
    async fn check_there(&self, master: &Endpoint) -> Result<()> {
        let place = self.made.message_id.parse::<OffsetMessageId>();
        let place = place.map_err(|malformed| {
            let error = invalid(CANCEL, "the handle says no place of the message");
            error.into_builder().source(malformed).build()
        })?;
        let request = ViewMessage {
            topic: Some(Arc::clone(&self.made.topic)),
            physical_offset: place.physical_offset,
            broker_name: Some(Arc::clone(&self.made.broker)),
        };
        let frame = self.ask(master, &request).await?;
        let mut stored = decode_messages(frame.body.clone());
        let same = matches!(stored.next(), Some(Ok(message))
            if message.properties.get(UNIQUE_ID) == Some(&self.made.unique_id));
        if frame.header.code == ResponseCode::SUCCESS.0 && same {
            return Ok(());
        }
        let found = format!(
            "broker \"{}\" at {master} does not have the message: it was sent to {}",
            self.made.broker, self.made.endpoint
        );
        Err(not_found(found))
    }

    /// `None`: this broker recalls nothing.
    // apache/rocketmq: RecallMessageProcessor
    async fn by_recall(&self, master: &Endpoint, recall: &str) -> Result<Option<Cancel>> {
        let request = RecallMessage {
            producer_group: Some(Arc::clone(&self.shared.group)),
            topic: Arc::clone(&self.made.topic),
            recall_handle: recall.to_owned(),
            broker_name: Some(Arc::clone(&self.made.broker)),
        };
        let frame = self.ask(master, &request).await?;
        let error = || answer_error(&frame, CANCEL, &master.to_string());
        match ResponseCode(frame.header.code) {
            ResponseCode::SUCCESS => Ok(Some(Cancel::Cancelled)),
            ResponseCode::REQUEST_CODE_NOT_SUPPORTED => Ok(None),
            // recallMessageEnable=false, as it is by default.
            ResponseCode::NO_PERMISSION if error().kind() != ErrorKind::Auth => Ok(None),
            // The same text says that it is due after the broker's maximum, which may have been lowered since.
            ResponseCode::ILLEGAL_OPERATION if has(&frame, "timestamp") && !self.is_far() => {
                Ok(Some(Cancel::TooLate))
            }
            _ => Err(error()),
        }
    }

    /// The wheel's own way: a record in the slot of the message that says by its key what is not to be delivered. How the key is made is a
    /// setting of the broker (`appendTopicForTimerDeleteKey`) that it does not tell; the wrong one is taken and forgotten.
    // apache/rocketmq: TimerMessageStore, MAGIC_DELETE and buildDeleteKey
    async fn by_deletion(&self, master: &Endpoint) -> Result<Cancel> {
        let made = self.made;
        // Elsewhere it would be delivered as a message.
        if !self.has_timers(master).await? {
            return Err(unsupported("a broker of 4.x"));
        }
        let slot = self.slot()?;
        let (slot, id) = (slot.to_string(), &made.unique_id);
        let keys = [id.clone(), format!("{}+{id}", made.topic)];
        let records = keys.iter().map(|key| {
            let pairs = [(TIMER_DELIVER, &*slot), ("TIMER_DEL_UNIQKEY", key)];
            self.send(master, pairs)
        });
        let (mut taken, mut late) = (false, false);
        for frame in join_all(records).await {
            let frame = frame?;
            let code = ResponseCode(frame.header.code);
            if Durability::of(code).is_some() {
                taken = true;
            } else if code == ResponseCode::MESSAGE_ILLEGAL && !self.is_far() {
                late = true;
            } else {
                return Err(answer_error(&frame, CANCEL, &master.to_string()));
            }
        }
        Ok(if late && !taken {
            Cancel::TooLate
        } else {
            Cancel::Requested
        })
    }

    /// Huawei's way, as its developer guide has it: to the same queue, with the identical time.
    async fn by_message(&self, master: &Endpoint) -> Result<Cancel> {
        let due = self.made.due_ms.unwrap_or_default();
        if due <= self.shared.client.clock.wall_ms() {
            return Ok(Cancel::TooLate);
        }
        let due = due.to_string();
        let pairs = [
            (START_DELIVER, &*due),
            ("__CANCEL_SCHEDULED_MSG", &*self.made.unique_id),
        ];
        let frame = self.send(master, pairs).await?;
        if Durability::of(ResponseCode(frame.header.code)).is_some() {
            return Ok(Cancel::Requested);
        }
        Err(answer_error(&frame, CANCEL, &master.to_string()))
    }

    /// A time in the message's slot of the wheel.
    fn slot(&self) -> Result<i64> {
        let made = self.made;
        if let Some(recall) = &made.recall {
            let read = RecallHandle::parse(recall);
            return read.map(|recall| recall.slot_ms).map_err(|malformed| {
                let error = invalid(CANCEL, "what the broker gave for recalling can't be read");
                error.into_builder().source(malformed).build()
            });
        }
        made.due_ms.filter(|_| !made.relative).ok_or_else(|| {
            let error = unsupported("deliver_after on a broker before 5.3.2");
            let hint = "use deliver_at for messages that are to be cancelled there";
            error.into_builder().hint(hint).build()
        })
    }

    /// Whether the message is due so late that no clock can be that wrong.
    fn is_far(&self) -> bool {
        let ahead = self.made.due_ms.unwrap_or_default() - self.shared.client.clock.wall_ms();
        ahead > FAR_MS
    }

    async fn has_timers(&self, master: &Endpoint) -> Result<bool> {
        let client = &self.shared.client;
        let asked = client.versions.ask(&client.connections, master);
        let answer = async move {
            asked
                .await
                .unwrap_or_else(|_| Err(no_timers("a broker that does not say its version")))
        };
        Ok(self.in_time(answer).await? >= TIMERS)
    }

    async fn send(&self, master: &Endpoint, pairs: [(&str, &str); 2]) -> Result<Frame> {
        let (shared, made) = (self.shared, self.made);
        let clock = &shared.client.clock;
        let id = shared.client.unique_ids.next(clock.wall());
        let own = [(UNIQUE_ID, &*id), ("WAIT", "true")];
        let properties = encode_pairs(pairs.iter().chain(&own).copied());
        let request = SendMessage {
            producer_group: Arc::clone(&shared.group),
            topic: Arc::clone(&made.topic),
            default_topic: Arc::clone(&shared.default_topic),
            default_queue_count: shared.new_topic_queues,
            queue_id: made.queue,
            born_at_ms: clock.wall_ms(),
            properties: Some(properties),
            reconsume_times: Some(0),
            unit_mode: Some(false),
            batch: Some(false),
            broker_name: Some(Arc::clone(&made.broker)),
            body: Bytes::from_static(b"cancel"),
            ..SendMessage::default()
        };
        self.ask(master, &request).await
    }

    async fn ask<R: Request + Sync>(&self, master: &Endpoint, request: &R) -> Result<Frame> {
        let client = &self.shared.client;
        let left = self.deadline.saturating_duration_since(client.clock.now());
        client
            .connections
            .call_raw(master, request, left, CANCEL)
            .await
    }

    /// For what no byte of the cancellation has left before.
    async fn in_time<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let done = tokio::time::timeout_at(self.deadline.into(), work).await;
        done.unwrap_or_else(|_| {
            let error = Error::builder(ErrorKind::Timeout, "no broker was found in time");
            Err(error.operation(CANCEL).build())
        })
    }
}

fn has(frame: &Frame, words: &str) -> bool {
    frame
        .header
        .remark
        .as_deref()
        .is_some_and(|remark| remark.contains(words))
}

fn unsupported(what: &str) -> Error {
    Error::builder(
        ErrorKind::Unsupported,
        format!("{what} has no cancellation"),
    )
    .operation(CANCEL)
    .build()
}

fn not_found(message: String) -> Error {
    Error::builder(ErrorKind::NotFound, message)
        .operation(CANCEL)
        .outcome(Outcome::NotSent)
        .retry(Retry::Never)
        .hint("is the handle of another cluster?")
        .build()
}

const CANCEL: &str = "cancel";
const FAR_MS: i64 = 3600 * 1000;
