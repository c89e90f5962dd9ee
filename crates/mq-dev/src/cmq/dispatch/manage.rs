//! The actions of the older management plane.

use hyper::body::Bytes;
use mq_cmq::proto::ErrorCode;
use mq_cmq::proto::action::{DeadLetterState, Done, Given, QueueCreated, Subscribed, TopicCreated};
use mq_cmq::proto::limits::Refusal;

use super::Stamp;
use crate::cmq::engine::{Engine, Part, Result};
use crate::cmq::spec::{
    ContentFormat, DeadLetterPolicy, DeadLetterSpec, Filter, QueueSpec, RetryStrategy,
    SubscriptionSpec, Target, TopicSpec,
};

/// Carries one out (its name in lower case); `None` if there is no such action.
pub(super) fn act(
    engine: &mut Engine,
    now: u64,
    action: &str,
    given: &Given<'_>,
    stamp: &Stamp,
) -> Option<Bytes> {
    let text = |key| given.text(key);
    let done = |result: Result<()>| stamp.reply(result.map(|()| Done {}));
    Some(match action {
        "createqueue" => stamp.reply(create_queue(engine, now, given)),
        "setqueueattributes" => done(
            text("queueName")
                .and_then(|name| engine.change_queue(now, name, |spec| change_queue(spec, given))),
        ),
        "getqueueattributes" => {
            stamp.reply(text("queueName").and_then(|name| engine.queue_state(now, name)))
        }
        "listqueue" => stamp.reply(part(given, SEARCH).map(|part| engine.list_queues(part))),
        "deletequeue" => done(text("queueName").and_then(|name| engine.delete_queue(now, name))),
        "clearqueue" => done(text("queueName").and_then(|name| engine.clear_queue(now, name))),
        "rewindqueue" => done(rewind(engine, now, given)),
        "unbinddeadletter" => done(text("sourceQueueName").and_then(|name| {
            engine.change_queue(now, name, |spec| {
                spec.dead_letter = None;
                Ok(())
            })
        })),
        "listdeadlettersourcequeues" => stamp.reply(
            part(given, "sourceQueueName")
                .and_then(|part| engine.list_sources(text("deadLetterQueueName")?, part)),
        ),
        _ => return act_on_topic(engine, now, action, given, stamp),
    })
}

fn act_on_topic(
    engine: &mut Engine,
    now: u64,
    action: &str,
    given: &Given<'_>,
    stamp: &Stamp,
) -> Option<Bytes> {
    let topic = || given.text("topicName");
    let name = || given.text("subscriptionName");
    let done = |result: Result<()>| stamp.reply(result.map(|()| Done {}));
    Some(match action {
        "createtopic" => stamp.reply(create_topic(engine, now, given)),
        "settopicattributes" => done(topic().and_then(|topic| {
            let max_body = given.number_if("maxMsgSize", ErrorCode::OUT_OF_RANGE)?;
            engine.change_topic(now, topic, max_body)
        })),
        "gettopicattributes" => {
            stamp.reply(topic().and_then(|topic| engine.topic_state(now, topic)))
        }
        "listtopic" => stamp.reply(part(given, SEARCH).map(|part| engine.list_topics(part))),
        "deletetopic" => done(topic().and_then(|topic| engine.delete_topic(now, topic))),
        "subscribe" => stamp.reply(subscribe(engine, now, given)),
        "setsubscriptionattributes" => done(change_subscription(engine, now, given)),
        "getsubscriptionattributes" => {
            stamp.reply(topic().and_then(|topic| engine.subscription_state(now, topic, name()?)))
        }
        "listsubscriptionbytopic" => stamp
            .reply(part(given, SEARCH).and_then(|part| engine.list_subscriptions(topic()?, part))),
        "unsubscribe" => done(topic().and_then(|topic| engine.unsubscribe(now, topic, name()?))),
        "clearsubscriptionfiltertags" => done(topic().and_then(|topic| {
            engine.change_subscription(now, topic, name()?, |spec| spec.tags.clear())
        })),
        _ => return None,
    })
}

fn create_queue(engine: &mut Engine, now: u64, given: &Given<'_>) -> Result<QueueCreated> {
    let mut spec = QueueSpec::new(given.text("queueName")?);
    change_queue(&mut spec, given)?;
    let id = engine.create_queue(now, spec)?;
    Ok(QueueCreated { id })
}

/// What is given changes; the rest stays.
fn change_queue(spec: &mut QueueSpec, given: &Given<'_>) -> Result<()> {
    let range = ErrorCode::OUT_OF_RANGE;
    let set = |to: &mut u32, key: &str| -> Result<()> {
        *to = given.number_if(key, range)?.unwrap_or(*to);
        Ok(())
    };
    spec.max_messages = given
        .number_if("maxMsgHeapNum", range)?
        .unwrap_or(spec.max_messages);
    set(&mut spec.wait_seconds, "pollingWaitSeconds")?;
    set(&mut spec.visibility_seconds, "visibilityTimeout")?;
    set(&mut spec.max_body, "maxMsgSize")?;
    set(&mut spec.retention_seconds, "msgRetentionSeconds")?;
    set(&mut spec.rewind_seconds, "rewindSeconds")?;
    if let Some(json) = given
        .text_if("deadLetterPolicy")?
        .filter(|it| !it.is_empty())
    {
        spec.dead_letter = Some(dead_letter(json)?);
        return Ok(());
    }
    // As the control plane spells it.
    let Some(queue) = given
        .text_if("deadLetterQueueName")?
        .filter(|it| !it.is_empty())
    else {
        return Ok(());
    };
    let policy = match given.number_if("policy", range)?.unwrap_or(0_u32) {
        0 => DeadLetterPolicy::Receives(given.number("maxReceiveCount", range)?),
        1 => DeadLetterPolicy::Age(given.number("maxTimeToLive", range)?),
        other => {
            let message = format!("policy is {other}, expected 0 or 1");
            return Err(Refusal::new(range, message));
        }
    };
    spec.dead_letter = Some(DeadLetterSpec {
        queue: queue.to_owned(),
        policy,
    });
    Ok(())
}

/// Of the documented form, JSON in one parameter.
fn dead_letter(json: &str) -> Result<DeadLetterSpec> {
    let range = ErrorCode::OUT_OF_RANGE;
    let refuse = |why: &str| Refusal::new(range, format!("deadLetterPolicy: {why}"));
    let rule = DeadLetterState::parse(json).map_err(|error| refuse(&error.to_string()))?;
    let number = |number: u64| u32::try_from(number).map_err(|_| refuse("a number is too large"));
    let policy = match rule.policy {
        0 => DeadLetterPolicy::Receives(number(rule.max_receives)?),
        1 => DeadLetterPolicy::Age(number(rule.max_age_seconds)?),
        other => return Err(refuse(&format!("policy is {other}, expected 0 or 1"))),
    };
    Ok(DeadLetterSpec {
        queue: rule.queue,
        policy,
    })
}

fn rewind(engine: &mut Engine, now: u64, given: &Given<'_>) -> Result<()> {
    let name = given.text("queueName")?;
    let from: u64 = given.number("startConsumeTime", ErrorCode::BAD_REWIND_TIME)?;
    engine.rewind_queue(now, name, from.saturating_mul(1000))
}

fn create_topic(engine: &mut Engine, now: u64, given: &Given<'_>) -> Result<TopicCreated> {
    let range = ErrorCode::OUT_OF_RANGE;
    let mut spec = TopicSpec::new(given.text("topicName")?);
    spec.max_body = given
        .number_if("maxMsgSize", range)?
        .unwrap_or(spec.max_body);
    spec.filter = match given.number_if("filterType", range)?.unwrap_or(1_u32) {
        1 => Filter::Tags,
        2 => Filter::Routing,
        other => {
            let message = format!("filterType is {other}, expected 1 or 2");
            return Err(Refusal::new(range, message));
        }
    };
    let id = engine.create_topic(now, spec)?;
    Ok(TopicCreated { id })
}

fn subscribe(engine: &mut Engine, now: u64, given: &Given<'_>) -> Result<Subscribed> {
    let endpoint = given.text("endpoint")?.to_owned();
    let target = match given.text("protocol")? {
        it if it.eq_ignore_ascii_case("queue") => Target::Queue(endpoint),
        it if it.eq_ignore_ascii_case("http") => Target::Url(endpoint),
        _ => {
            let message = "the protocol is neither queue nor http";
            return Err(Refusal::new(ErrorCode::BAD_PROTOCOL, message));
        }
    };
    let topic = given.text("topicName")?.to_owned();
    let name = given.text("subscriptionName")?.to_owned();
    let mut spec = SubscriptionSpec::new(topic, name, target);
    Settings::read(given)?.apply(&mut spec);
    let id = engine.subscribe(now, spec)?;
    Ok(Subscribed { id })
}

fn change_subscription(engine: &mut Engine, now: u64, given: &Given<'_>) -> Result<()> {
    let settings = Settings::read(given)?;
    let topic = given.text("topicName")?;
    let name = given.text("subscriptionName")?;
    engine.change_subscription(now, topic, name, |spec| settings.apply(spec))
}

/// What is given; an empty list is none.
struct Settings {
    strategy: Option<RetryStrategy>,
    format: Option<ContentFormat>,
    tags: Vec<String>,
    binding_keys: Vec<String>,
}

impl Settings {
    fn read(given: &Given<'_>) -> Result<Self> {
        let strategy = given.text_if("notifyStrategy")?.filter(|it| !it.is_empty());
        let strategy = strategy.map(|name| match name {
            "BACKOFF_RETRY" => Ok(RetryStrategy::Backoff),
            "EXPONENTIAL_DECAY_RETRY" => Ok(RetryStrategy::ExponentialDecay),
            _ => {
                let message = "notifyStrategy is neither BACKOFF_RETRY nor EXPONENTIAL_DECAY_RETRY";
                Err(Refusal::new(ErrorCode::BAD_STRATEGY, message))
            }
        });
        let format = given
            .text_if("notifyContentFormat")?
            .filter(|it| !it.is_empty());
        let format = format.map(|name| match name {
            "JSON" => Ok(ContentFormat::Json),
            "SIMPLIFIED" => Ok(ContentFormat::Simplified),
            _ => {
                let message = "notifyContentFormat is neither JSON nor SIMPLIFIED";
                Err(Refusal::new(ErrorCode::BAD_CONTENT_FORMAT, message))
            }
        });
        let list = |name| -> Result<Vec<String>> {
            let values = given.list_of_any_length(name)?;
            Ok(values.into_iter().map(ToOwned::to_owned).collect())
        };
        Ok(Self {
            strategy: strategy.transpose()?,
            format: format.transpose()?,
            tags: list("filterTag")?,
            binding_keys: list("bindingKey")?,
        })
    }

    fn apply(self, spec: &mut SubscriptionSpec) {
        spec.strategy = self.strategy.unwrap_or(spec.strategy);
        spec.format = self.format.or(spec.format);
        if !self.tags.is_empty() {
            spec.tags = self.tags;
        }
        if !self.binding_keys.is_empty() {
            spec.binding_keys = self.binding_keys;
        }
    }
}

fn part<'p>(given: &Given<'p>, search: &str) -> Result<Part<'p>> {
    let range = ErrorCode::OUT_OF_RANGE;
    let limit: u32 = given.number_if("limit", range)?.unwrap_or(20);
    let offset: u32 = given.number_if("offset", range)?.unwrap_or(0);
    Ok(Part {
        search: given.text_if(search)?.unwrap_or_default(),
        offset: usize::try_from(offset).unwrap_or(usize::MAX),
        limit: usize::try_from(limit.min(50)).unwrap_or(50),
    })
}

const SEARCH: &str = "searchWord";
