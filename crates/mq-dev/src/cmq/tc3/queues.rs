//! Queues by the control plane, with TDMQ's defaults: bodies up to 1 MiB, kept for an hour.

use mq_cmq::proto::ErrorCode;
use mq_cmq::proto::limits::Refusal;
use mq_cmq::proto::tc3::action::{
    ClearCmqQueue, CreateCmqQueue, DeadLetterPolicy as Told, DeleteCmqQueue,
    DescribeCmqDeadLetterSourceQueues, DescribeCmqQueueDetail, DescribeCmqQueues, Done,
    ModifyCmqQueueAttribute, QueueCreated, QueueDetail, QueueSettings, QueueState, Queues,
    RewindCmqQueue, Sources, TransactionPolicy, UnbindCmqDeadLetter,
};

use super::page;
use crate::cmq::engine::{Engine, OWNER, Part, Result};
use crate::cmq::spec::{DeadLetterPolicy, DeadLetterSpec, QueueSpec, TransactionSpec};

pub(super) fn create(engine: &mut Engine, now: u64, it: &CreateCmqQueue) -> Result<QueueCreated> {
    let mut spec = QueueSpec::new(&it.queue_name);
    (spec.max_body, spec.retention_seconds) = (1024 * 1024, 3600);
    spec.max_messages = 100_000_000;
    apply(&it.settings, &mut spec)?;
    let queue_id = engine.create_queue(now, spec)?;
    Ok(QueueCreated { queue_id })
}

pub(super) fn change(engine: &mut Engine, now: u64, it: &ModifyCmqQueueAttribute) -> Result<Done> {
    engine.change_queue(now, &it.queue_name, |spec| apply(&it.settings, spec))?;
    Ok(Done {})
}

pub(super) fn delete(engine: &mut Engine, now: u64, it: &DeleteCmqQueue) -> Result<Done> {
    engine.delete_queue(now, &it.queue_name)?;
    Ok(Done {})
}

pub(super) fn clear(engine: &mut Engine, now: u64, it: &ClearCmqQueue) -> Result<Done> {
    engine.clear_queue(now, &it.queue_name)?;
    Ok(Done {})
}

pub(super) fn rewind(engine: &mut Engine, now: u64, it: &RewindCmqQueue) -> Result<Done> {
    // Milliseconds, as in the documents' example; the seconds of the data plane are no time that anybody means in milliseconds.
    let from = match it.start_consume_time {
        seconds if seconds < SECONDS_BELOW => seconds.saturating_mul(1000),
        milliseconds => milliseconds,
    };
    engine.rewind_queue(now, &it.queue_name, from)?;
    Ok(Done {})
}

pub(super) fn unbind(engine: &mut Engine, now: u64, it: &UnbindCmqDeadLetter) -> Result<Done> {
    engine.change_queue(now, &it.source_queue_name, |spec| {
        spec.dead_letter = None;
        Ok(())
    })?;
    Ok(Done {})
}

pub(super) fn describe(
    engine: &mut Engine,
    now: u64,
    it: &DescribeCmqQueueDetail,
) -> Result<QueueDetail> {
    let queue_describe = described(engine, now, &it.queue_name)?;
    Ok(QueueDetail { queue_describe })
}

pub(super) fn list(engine: &mut Engine, now: u64, it: &DescribeCmqQueues) -> Result<Queues> {
    let everything = Part {
        search: "",
        offset: 0,
        limit: usize::MAX,
    };
    let mut all = engine.list_queues(everything).queues;
    if let Some(names) = it
        .queue_name_list
        .as_ref()
        .filter(|names| !names.is_empty())
    {
        all.retain(|queue| {
            names
                .iter()
                .any(|name| name.eq_ignore_ascii_case(&queue.name))
        });
    }
    if it.is_tag_filter == Some(true) {
        all.clear();
    }
    let search = it.queue_name.as_deref();
    let (total_count, page) = page(all, |queue| &queue.name, search, it.offset, it.limit);
    let states = page.iter().map(|queue| described(engine, now, &queue.name));
    Ok(Queues {
        queue_list: states.collect::<Result<_>>()?,
        total_count,
    })
}

pub(super) fn sources(
    engine: &mut Engine,
    _: u64,
    it: &DescribeCmqDeadLetterSourceQueues,
) -> Result<Sources> {
    engine.queue_id(&it.dead_letter_queue_name)?;
    let all = engine.sources_of(&it.dead_letter_queue_name);
    let search = it.source_queue_name.as_deref();
    let (total_count, queue_set) = page(all, |one| &one.queue_name, search, it.offset, it.limit);
    Ok(Sources {
        queue_set,
        total_count,
    })
}

fn described(engine: &mut Engine, now: u64, name: &str) -> Result<QueueState> {
    let state = engine.queue_state(now, name)?;
    let transaction = engine.transaction_of(name)?;
    Ok(QueueState {
        queue_name: engine.queue_name(name)?,
        queue_id: engine.queue_id(name)?,
        max_msg_heap_num: state.max_messages,
        polling_wait_seconds: state.wait_seconds,
        msg_retention_seconds: state.retention_seconds,
        visibility_timeout: state.visibility_seconds,
        max_msg_size: state.max_body,
        rewind_seconds: state.rewind_seconds,
        create_time: state.created * 1000,
        last_modify_time: state.changed * 1000,
        active_msg_num: state.active,
        inactive_msg_num: state.inactive,
        delay_msg_num: state.delayed,
        rewind_msg_num: state.rewindable,
        min_msg_time: state.oldest,
        dead_letter_source: engine.sources_of(name),
        dead_letter_policy: state.dead_letter.map(|rule| Told {
            dead_letter_queue: rule.queue,
            policy: rule.policy,
            max_time_to_live: rule.max_age_seconds,
            max_receive_count: rule.max_receives,
        }),
        transaction: transaction.is_some(),
        transaction_policy: transaction.map(|rule| TransactionPolicy {
            first_query_interval: rule.first_query_seconds.into(),
            max_query_count: rule.max_queries.into(),
        }),
        create_uin: OWNER,
        status: 1,
        ..QueueState::default()
    })
}

/// What is given changes; the rest stays.
fn apply(settings: &QueueSettings, spec: &mut QueueSpec) -> Result<()> {
    let set = |to: &mut u32, value: Option<u64>| {
        // Checked before: each is in the range of its field.
        *to = value
            .and_then(|value| u32::try_from(value).ok())
            .unwrap_or(*to);
    };
    spec.max_messages = settings.max_msg_heap_num.unwrap_or(spec.max_messages);
    set(&mut spec.wait_seconds, settings.polling_wait_seconds);
    set(&mut spec.visibility_seconds, settings.visibility_timeout);
    set(&mut spec.max_body, settings.max_msg_size);
    set(&mut spec.retention_seconds, settings.msg_retention_seconds);
    set(&mut spec.rewind_seconds, settings.rewind_seconds);
    if let Some(queue) = &settings.dead_letter_queue_name {
        let number = |value: Option<u64>| {
            let number = value.and_then(|value| u32::try_from(value).ok());
            number.unwrap_or_default()
        };
        let policy = match settings.policy {
            Some(1) => DeadLetterPolicy::Age(number(settings.max_time_to_live)),
            _ => DeadLetterPolicy::Receives(number(settings.max_receive_count)),
        };
        spec.dead_letter = Some(DeadLetterSpec {
            queue: queue.clone(),
            policy,
        });
    }
    spec.transaction = transaction(settings, spec.transaction)?;
    Ok(())
}

/// What is given changes; the rest stays, or is as the server's seed files have it in their example.
fn transaction(
    settings: &QueueSettings,
    before: Option<TransactionSpec>,
) -> Result<Option<TransactionSpec>> {
    match (settings.transaction, before) {
        (Some(0), Some(_)) => {
            // What would become of half messages is said nowhere.
            let message = "a queue of transactions stays one";
            return Err(Refusal::new(ErrorCode::ACTION_NOT_FOUND, message));
        }
        (None | Some(0), None) => return Ok(None),
        _ => {}
    }
    let mut rule = before.unwrap_or(TransactionSpec {
        first_query_seconds: 5,
        max_queries: 15,
    });
    let number = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    if let Some(seconds) = settings.first_query_interval {
        rule.first_query_seconds = number(seconds);
    }
    if let Some(count) = settings.max_query_count {
        rule.max_queries = number(count);
    }
    Ok(Some(rule))
}

/// The year 5138 in seconds, 1973 in milliseconds.
const SECONDS_BELOW: u64 = 100_000_000_000;
