//! Topics and subscriptions by the control plane.

use mq_cmq::proto::ErrorCode;
use mq_cmq::proto::limits::Refusal;
use mq_cmq::proto::tc3::action::{
    ClearCmqSubscriptionFilterTags, CreateCmqSubscribe, CreateCmqTopic, DeleteCmqSubscribe,
    DeleteCmqTopic, DescribeCmqSubscriptionDetail, DescribeCmqTopicDetail, DescribeCmqTopics, Done,
    ModifyCmqSubscriptionAttribute, ModifyCmqTopicAttribute, SubscriptionCreated, Subscriptions,
    TopicCreated, TopicDetail, Topics,
};

use super::page;
use crate::cmq::engine::{Engine, Result};
use crate::cmq::spec::{ContentFormat, Filter, RetryStrategy, SubscriptionSpec, Target, TopicSpec};

pub(super) fn create(engine: &mut Engine, now: u64, it: &CreateCmqTopic) -> Result<TopicCreated> {
    let mut spec = TopicSpec::new(&it.topic_name);
    spec.max_body = size(it.max_msg_size).unwrap_or(spec.max_body);
    if it.filter_type == Some(2) {
        spec.filter = Filter::Routing;
    }
    let topic_id = engine.create_topic(now, spec)?;
    Ok(TopicCreated { topic_id })
}

pub(super) fn change(engine: &mut Engine, now: u64, it: &ModifyCmqTopicAttribute) -> Result<Done> {
    engine.change_topic(now, &it.topic_name, size(it.max_msg_size))?;
    Ok(Done {})
}

pub(super) fn delete(engine: &mut Engine, now: u64, it: &DeleteCmqTopic) -> Result<Done> {
    engine.delete_topic(now, &it.topic_name)?;
    Ok(Done {})
}

pub(super) fn describe(
    engine: &mut Engine,
    now: u64,
    it: &DescribeCmqTopicDetail,
) -> Result<TopicDetail> {
    let topic_describe = engine.describe_topic(now, &it.topic_name)?;
    Ok(TopicDetail { topic_describe })
}

pub(super) fn list(engine: &mut Engine, now: u64, it: &DescribeCmqTopics) -> Topics {
    let mut all = engine.describe_topics(now);
    if let Some(names) = it
        .topic_name_list
        .as_ref()
        .filter(|names| !names.is_empty())
    {
        all.retain(|one| {
            names
                .iter()
                .any(|name| name.eq_ignore_ascii_case(&one.topic_name))
        });
    }
    if it.is_tag_filter == Some(true) {
        all.clear();
    }
    let search = it.topic_name.as_deref();
    let (total_count, topic_list) = page(all, |one| &one.topic_name, search, it.offset, it.limit);
    Topics {
        topic_list,
        total_count,
    }
}

pub(super) fn subscribe(
    engine: &mut Engine,
    now: u64,
    it: &CreateCmqSubscribe,
) -> Result<SubscriptionCreated> {
    let target = if it.protocol == "queue" {
        Target::Queue(it.endpoint.clone())
    } else {
        Target::Url(it.endpoint.clone())
    };
    let mut spec =
        SubscriptionSpec::new(it.topic_name.clone(), it.subscription_name.clone(), target);
    spec.tags = it.filter_tag.clone().unwrap_or_default();
    spec.binding_keys = it.binding_key.clone().unwrap_or_default();
    spec.strategy = strategy(it.notify_strategy.as_deref())?.unwrap_or(spec.strategy);
    spec.format = format(it.notify_content_format.as_deref())?;
    let subscription_id = engine.subscribe(now, spec)?;
    Ok(SubscriptionCreated { subscription_id })
}

pub(super) fn change_subscription(
    engine: &mut Engine,
    now: u64,
    it: &ModifyCmqSubscriptionAttribute,
) -> Result<Done> {
    let strategy = strategy(it.notify_strategy.as_deref())?;
    let format = format(it.notify_content_format.as_deref())?;
    let change = |spec: &mut SubscriptionSpec| {
        spec.strategy = strategy.unwrap_or(spec.strategy);
        spec.format = format.or(spec.format);
        if let Some(tags) = &it.filter_tags {
            spec.tags.clone_from(tags);
        }
        if let Some(keys) = &it.binding_key {
            spec.binding_keys.clone_from(keys);
        }
    };
    engine.change_subscription(now, &it.topic_name, &it.subscription_name, change)?;
    Ok(Done {})
}

pub(super) fn unsubscribe(engine: &mut Engine, now: u64, it: &DeleteCmqSubscribe) -> Result<Done> {
    engine.unsubscribe(now, &it.topic_name, &it.subscription_name)?;
    Ok(Done {})
}

pub(super) fn clear_filter_tags(
    engine: &mut Engine,
    now: u64,
    it: &ClearCmqSubscriptionFilterTags,
) -> Result<Done> {
    let clear = |spec: &mut SubscriptionSpec| spec.tags.clear();
    engine.change_subscription(now, &it.topic_name, &it.subscription_name, clear)?;
    Ok(Done {})
}

pub(super) fn subscriptions(
    engine: &mut Engine,
    now: u64,
    it: &DescribeCmqSubscriptionDetail,
) -> Result<Subscriptions> {
    let all = if it.query_type.as_deref() == Some("queue") {
        engine.describe_subscriptions_to(now, it.queue_name.as_deref().unwrap_or_default())
    } else {
        engine.describe_subscriptions(now, it.topic_name.as_deref().unwrap_or_default())
    };
    let search = it.subscription_name.as_deref();
    let (total_count, subscription_set) = page(
        all?,
        |one| &one.subscription_name,
        search,
        it.offset,
        it.limit,
    );
    Ok(Subscriptions {
        subscription_set,
        total_count,
    })
}

/// Checked before: it is in its range.
fn size(bytes: Option<u64>) -> Option<u32> {
    bytes.and_then(|bytes| u32::try_from(bytes).ok())
}

fn strategy(name: Option<&str>) -> Result<Option<RetryStrategy>> {
    Ok(Some(match name {
        None => return Ok(None),
        Some("BACKOFF_RETRY") => RetryStrategy::Backoff,
        Some("EXPONENTIAL_DECAY_RETRY") => RetryStrategy::ExponentialDecay,
        Some(_) => return Err(Refusal::new(ErrorCode::BAD_STRATEGY, "no such strategy")),
    }))
}

fn format(name: Option<&str>) -> Result<Option<ContentFormat>> {
    Ok(Some(match name {
        None => return Ok(None),
        Some("JSON") => ContentFormat::Json,
        Some("SIMPLIFIED") => ContentFormat::Simplified,
        Some(_) => {
            return Err(Refusal::new(
                ErrorCode::BAD_CONTENT_FORMAT,
                "no such format",
            ));
        }
    }))
}
