//! `mq … topics`, `groups`, `describe` and `lag`: looking without changing anything.

use std::fmt::{self, Write as _};

use crate::adapter::{Broker, Description, QueueCount, QueueEnd, QueueLag, QueueRange, QueueReady};
use crate::exit::{Exit, Failure};
use crate::json::{CountLine, EndLine, GroupLine, LagLine, RangeLine, ReadyLine, TopicLine, line};
use crate::output::{Output, say};

pub(crate) async fn topics(
    broker: &Broker,
    all: bool,
    json: bool,
    output: &mut Output,
) -> Result<Exit, Failure> {
    for topic in broker.topics().await? {
        if topic.derived && !all {
            continue;
        }
        if json {
            output.json(&line(&TopicLine::new(&topic)))?;
        } else {
            output.line(&topic.name)?;
        }
    }
    Ok(Exit::Done)
}

pub(crate) async fn groups(
    broker: &Broker,
    json: bool,
    output: &mut Output,
) -> Result<Exit, Failure> {
    for group in broker.groups().await? {
        if json {
            output.json(&line(&GroupLine::new(&group)))?;
        } else {
            output.line(&group)?;
        }
    }
    Ok(Exit::Done)
}

pub(crate) async fn describe(
    broker: &Broker,
    topic: &str,
    json: bool,
    output: &mut Output,
) -> Result<Exit, Failure> {
    match broker.describe(topic).await? {
        Description::Ranges(queues) => ranges(topic, &queues, json, output),
        Description::Counts(queues) => counts(&queues, json, output),
        Description::Ready(queues) => ready(&queues, json, output),
        Description::Ends(queues) => ends(topic, &queues, json, output),
    }
}

fn ranges(
    topic: &str,
    queues: &[QueueRange],
    json: bool,
    output: &mut Output,
) -> Result<Exit, Failure> {
    if json {
        for range in queues {
            output.json(&line(&RangeLine::new(topic, range)))?;
        }
        return Ok(Exit::Done);
    }
    let mut rows = vec![["QUEUE", "FIRST", "NEXT", "MESSAGES", "ACCESS"].map(str::to_owned)];
    rows.extend(queues.iter().map(range_row));
    print(&rows, output)?;
    let messages: i64 = queues.iter().map(QueueRange::messages).sum();
    Ok(total(messages, queues.len()))
}

fn counts(queues: &[QueueCount], json: bool, output: &mut Output) -> Result<Exit, Failure> {
    if json {
        for count in queues {
            output.json(&line(&CountLine::new(count)))?;
        }
        return Ok(Exit::Done);
    }
    let mut rows = vec![["QUEUE", "VISIBLE", "HELD", "DELAYED"].map(str::to_owned)];
    rows.extend(queues.iter().map(|count| {
        let numbers = [count.visible, count.held, count.delayed].map(|number| number.to_string());
        let [visible, held, delayed] = numbers;
        [count.queue.clone(), visible, held, delayed]
    }));
    print(&rows, output)?;
    let messages: u64 = queues.iter().map(QueueCount::messages).sum();
    Ok(total(messages, queues.len()))
}

fn ready(queues: &[QueueReady], json: bool, output: &mut Output) -> Result<Exit, Failure> {
    if json {
        for queue in queues {
            output.json(&line(&ReadyLine::new(queue)))?;
        }
        return Ok(Exit::Done);
    }
    let mut rows = vec![["QUEUE", "VISIBLE", "CONSUMERS"].map(str::to_owned)];
    rows.extend(queues.iter().map(|queue| {
        let [visible, consumers] = [queue.visible, queue.consumers].map(|it| it.to_string());
        [queue.queue.clone(), visible, consumers]
    }));
    print(&rows, output)?;
    Ok(Exit::Done)
}

fn ends(
    topic: &str,
    queues: &[QueueEnd],
    json: bool,
    output: &mut Output,
) -> Result<Exit, Failure> {
    if json {
        for end in queues {
            output.json(&line(&EndLine::new(topic, end)))?;
        }
        return Ok(Exit::Done);
    }
    let shown = |text: &str| if text.is_empty() { "-" } else { text }.to_owned();
    let mut rows = vec![["PARTITION", "LAST"].map(str::to_owned)];
    rows.extend(queues.iter().map(|end| {
        let last = end.last.as_deref().unwrap_or_default();
        [shown(&end.queue), shown(last)]
    }));
    print(&rows, output)?;
    Ok(Exit::Done)
}

fn total(messages: impl fmt::Display, queues: usize) -> Exit {
    say(format_args!("{messages} messages in {queues} queues"));
    Exit::Done
}

pub(crate) async fn lag(
    broker: &Broker,
    group: &str,
    json: bool,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let queues = broker.lag(group).await?;
    if json {
        for lag in &queues {
            output.json(&line(&LagLine::new(group, lag)))?;
        }
        return Ok(Exit::Done);
    }
    let mut rows = vec![["TOPIC", "QUEUE", "COMMITTED", "NEXT", "LAG"].map(str::to_owned)];
    rows.extend(queues.iter().map(lag_row));
    print(&rows, output)?;
    let behind: i64 = queues.iter().map(|lag| lag.behind).sum();
    say(format_args!("group {group} is {behind} messages behind"));
    Ok(Exit::Done)
}

fn range_row(range: &QueueRange) -> [String; 5] {
    let access = match (range.readable, range.writable) {
        (true, true) => "read, write",
        (true, false) => "read",
        (false, true) => "write",
        (false, false) => "none",
    };
    [
        range.queue.clone(),
        range.first.to_string(),
        range.next.to_string(),
        range.messages().to_string(),
        access.to_owned(),
    ]
}

fn lag_row(lag: &QueueLag) -> [String; 5] {
    [
        lag.topic.clone(),
        lag.queue.clone(),
        lag.committed.to_string(),
        lag.next.to_string(),
        lag.behind.to_string(),
    ]
}

fn print<const N: usize>(rows: &[[String; N]], output: &mut Output) -> Result<(), Failure> {
    table(rows).iter().try_for_each(|row| output.line(row))
}

/// Columns as wide as their widest cell, two spaces apart.
pub(crate) fn table<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    rows.iter()
        .map(|row| {
            let mut text = String::new();
            for (width, cell) in widths.iter().zip(row) {
                // Writing to a String does not fail.
                let _ = write!(text, "{cell:<width$}  ");
            }
            text.trim_end().to_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = [["QUEUE", "N"], ["broker-a/0", "12"]].map(|row| row.map(str::to_owned));
        assert_eq!(table(&rows), ["QUEUE       N", "broker-a/0  12"]);
    }
}
