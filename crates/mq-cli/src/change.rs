//! `mq … create` and `delete`: topics and groups; `cancel`: scheduled messages.

use crate::adapter::{Broker, Cancel};
use crate::exit::{Exit, Failure};
use crate::output::{Output, say};
use crate::plan::What;

pub(crate) async fn create(broker: &Broker, name: &str, what: What) -> Result<Exit, Failure> {
    let brokers = match what {
        What::Topic { queues } => broker.create_topic(name, queues).await?,
        What::Group => broker.create_group(name).await?,
    };
    say(done(broker, "created", what, name, &brokers));
    Ok(Exit::Done)
}

pub(crate) async fn delete(broker: &Broker, name: &str, what: What) -> Result<Exit, Failure> {
    let brokers = match what {
        What::Topic { .. } => broker.delete_topic(name).await?,
        What::Group => broker.delete_group(name).await?,
    };
    say(done(broker, "deleted", what, name, &brokers));
    Ok(Exit::Done)
}

pub(crate) async fn cancel(
    broker: &Broker,
    handle: &str,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let (word, exit) = match broker.cancel(handle).await? {
        Cancel::Cancelled => ("cancelled", Exit::Done),
        Cancel::TooLate => ("too late", Exit::Failed),
        // Nobody knows whether the broker has found it.
        Cancel::Requested => ("requested", Exit::Partial),
    };
    output.line(word)?;
    Ok(exit)
}

/// RocketMQ says at which brokers, the others what.
fn done(broker: &Broker, verb: &str, what: What, name: &str, told: &[String]) -> String {
    match broker {
        Broker::RocketMq(_) => at_brokers(verb, what, name, told),
        _ => format!("{verb}: {}", told.join(", ")),
    }
}

fn at_brokers(verb: &str, what: What, name: &str, brokers: &[String]) -> String {
    let what = match what {
        What::Topic { .. } => "topic",
        What::Group => "group",
    };
    format!("{what} {name} is {verb} at {}", brokers.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_and_where() {
        let brokers = ["broker-a".to_owned(), "broker-b".to_owned()];
        let told = at_brokers("created", What::Topic { queues: None }, "t", &brokers);
        assert_eq!(told, "topic t is created at broker-a, broker-b");
    }
}
