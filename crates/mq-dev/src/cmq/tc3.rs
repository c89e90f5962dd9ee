//! The control plane of API 3.0 on the state of the data plane: from an action's JSON to the text of its answer.
//!
//! Versions: `tdmq` 2020-02-17, the 20 actions of CMQ of its SDK for Python 3.1.130, and `DescribeCmqDeadLetterSourceQueues` of that for Go v1.0.900.
//!
//! Chosen where nothing is documented: a queue that is missing is `ResourceNotFound`; what CMQ itself refuses and the control plane has no code for is
//! `FailedOperation.CmqBackendError` with CMQ's text. Traces, tags of resources, the retention of topics and the room for rewinding are accepted and
//! not kept: filters by tags find nothing.

mod queues;
mod topics;

use mq_cmq::proto::ErrorCode;
use mq_cmq::proto::limits::Refusal;
use mq_cmq::proto::tc3::action::{self, Action, PublishCmqMsg, SendCmqMsg, Stored};
use mq_cmq::proto::tc3::{Refused, answer};
use mq_cmq::{ControlCode, ErrorKind};

use super::auth::No;
use super::engine::{Engine, Result};
use super::shared::Shared;
use super::spec::Filter;

/// Carries an action out; `lose` for a message that is accepted and lost.
pub(super) fn act(
    shared: &Shared,
    name: &str,
    body: &[u8],
    request_id: &str,
    lose: bool,
) -> String {
    let done = shared.with(|engine, now| {
        if lose {
            engine.lose_one();
        }
        let done = carry_out(engine, now, name, body, request_id);
        engine.lose_none();
        done
    });
    done.unwrap_or_else(|no| refused(no, request_id))
}

/// The text of a refusal.
pub(super) fn refused((code, message): No, request_id: &str) -> String {
    let refused = Refused {
        code: code.as_str().to_owned(),
        message,
        request_id: request_id.to_owned(),
    };
    // It is made of texts, which JSON has.
    answer::write_refused(&refused).unwrap_or_default()
}

fn carry_out(
    engine: &mut Engine,
    now: u64,
    name: &str,
    body: &[u8],
    request_id: &str,
) -> Result<String, No> {
    macro_rules! actions {
        ($($action:ident $run:path;)*) => {
            match name {
                $(action::$action::NAME => {
                    let read: action::$action = read(body)?;
                    let done = $run(engine, now, &read);
                    let reply = done.map_err(|refusal| no(name, &refusal))?;
                    Ok(answer::write(&reply, request_id).unwrap_or_default())
                })*
                other => {
                    let shown: String = other.chars().take(64).collect();
                    Err((ControlCode::INVALID_ACTION, format!("there is no action {shown}")))
                }
            }
        };
    }
    actions! {
        CreateCmqQueue queues::create;
        ModifyCmqQueueAttribute queues::change;
        DeleteCmqQueue queues::delete;
        ClearCmqQueue queues::clear;
        DescribeCmqQueueDetail queues::describe;
        DescribeCmqQueues queues::list;
        DescribeCmqDeadLetterSourceQueues queues::sources;
        RewindCmqQueue queues::rewind;
        UnbindCmqDeadLetter queues::unbind;
        SendCmqMsg send;
        CreateCmqTopic topics::create;
        ModifyCmqTopicAttribute topics::change;
        DeleteCmqTopic topics::delete;
        DescribeCmqTopicDetail topics::describe;
        DescribeCmqTopics list_topics;
        PublishCmqMsg publish;
        CreateCmqSubscribe topics::subscribe;
        ModifyCmqSubscriptionAttribute topics::change_subscription;
        DeleteCmqSubscribe topics::unsubscribe;
        ClearCmqSubscriptionFilterTags topics::clear_filter_tags;
        DescribeCmqSubscriptionDetail topics::subscriptions;
    }
}

/// An action that is within its limits.
fn read<A: Action>(body: &[u8]) -> Result<A, No> {
    let body = if body.is_empty() { b"{}" } else { body };
    let action: A = serde_json::from_slice(body).map_err(|error| {
        let text = error.to_string();
        let code = if text.starts_with("missing field") {
            ControlCode::MISSING_PARAMETER
        } else {
            ControlCode::INVALID_PARAMETER
        };
        (code, text.chars().take(300).collect())
    })?;
    let checked = action.check();
    checked.map_err(|refusal| (refusal.code, refusal.message))?;
    Ok(action)
}

/// It can't fail, as the others can.
#[expect(clippy::unnecessary_wraps, reason = "one of a table")]
fn list_topics(
    engine: &mut Engine,
    now: u64,
    it: &action::DescribeCmqTopics,
) -> Result<action::Topics> {
    Ok(topics::list(engine, now, it))
}

fn send(engine: &mut Engine, now: u64, it: &SendCmqMsg) -> Result<Stored> {
    let delay = u32::try_from(it.delay_seconds.unwrap_or_default()).unwrap_or(u32::MAX);
    let ids = engine.send(now, &it.queue_name, &[&it.msg_content], delay)?;
    Ok(stored(&ids))
}

fn publish(engine: &mut Engine, now: u64, it: &PublishCmqMsg) -> Result<Stored> {
    let words: Vec<&str> = it.msg_tag.iter().flatten().map(String::as_str).collect();
    let body = [it.msg_content.as_str()];
    let ids = match engine.topic_filter(&it.topic_name)? {
        Filter::Tags => engine.publish(now, &it.topic_name, &body, &words, None),
        Filter::Routing => engine.publish(now, &it.topic_name, &body, &[], words.first().copied()),
    };
    Ok(stored(&ids?))
}

fn stored(ids: &[u64]) -> Stored {
    Stored {
        result: Some(true),
        msg_id: ids.first().copied().unwrap_or_default().to_string(),
    }
}

/// Of all that there is, those whose name fits, and of these a page: how many fit, and the page.
fn page<T>(
    all: Vec<T>,
    name: impl Fn(&T) -> &str,
    search: Option<&str>,
    offset: Option<u64>,
    limit: Option<u64>,
) -> (u64, Vec<T>) {
    let search = search.unwrap_or_default().to_ascii_lowercase();
    let fits = |it: &T| name(it).to_ascii_lowercase().contains(&search);
    let fitting: Vec<T> = all.into_iter().filter(fits).collect();
    let total = fitting.len() as u64;
    let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let rest = fitting.into_iter().skip(count(offset.unwrap_or(0)));
    (total, rest.take(count(limit.unwrap_or(20))).collect())
}

/// What the control plane says where CMQ refuses.
fn no(action: &str, refusal: &Refusal) -> No {
    let of_topic = action.contains("Topic") || action.contains("Publish");
    let of_subscription = action.contains("Subscri");
    let code = match refusal.code {
        ErrorCode::QUEUE_EXISTS if of_topic => ControlCode::TOPIC_EXISTS,
        ErrorCode::QUEUE_EXISTS => ControlCode::QUEUE_EXISTS,
        ErrorCode::SUBSCRIPTION_EXISTS => ControlCode::SUBSCRIPTION_EXISTS,
        ErrorCode::TOPIC_NOT_FOUND if of_subscription && refusal.message.starts_with("subscr") => {
            ControlCode::SUBSCRIPTION_NOT_FOUND
        }
        ErrorCode::TOPIC_NOT_FOUND => ControlCode::TOPIC_NOT_FOUND,
        ErrorCode::QUEUE_NOT_FOUND => ControlCode::RESOURCE_NOT_FOUND,
        ErrorCode::TOO_MANY_TOPICS => ControlCode::TOO_MANY_TOPICS,
        ErrorCode::TOO_MANY_QUEUES => ControlCode::LIMIT_EXCEEDED,
        ErrorCode::TOO_MANY_SUBSCRIPTIONS => ControlCode::TOO_MANY_SUBSCRIPTIONS,
        code if code.kind() == ErrorKind::Unsupported => ControlCode::UNSUPPORTED_OPERATION,
        // It has a number of the parameters' codes, and is no matter of parameters.
        ErrorCode::TOPIC_HAS_SUBSCRIPTIONS => ControlCode::CMQ_BACKEND_ERROR,
        code if code.number() == ErrorCode::OUT_OF_RANGE.number() => {
            ControlCode::INVALID_PARAMETER_VALUE
        }
        _ => ControlCode::CMQ_BACKEND_ERROR,
    };
    let module = refusal.code.module().unwrap_or_default();
    let message = if code == ControlCode::CMQ_BACKEND_ERROR {
        format!("({module}){}", refusal.message)
    } else {
        refusal.message.clone()
    };
    (code, message)
}
