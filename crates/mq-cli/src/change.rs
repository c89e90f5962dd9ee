//! `mq … create` and `delete`: topics and groups.

use crate::adapter::Broker;
use crate::exit::{Exit, Failure};
use crate::output::say;
use crate::plan::What;

pub(crate) async fn create(broker: &Broker, name: &str, what: What) -> Result<Exit, Failure> {
    let brokers = match what {
        What::Topic { queues } => broker.create_topic(name, queues).await?,
        What::Group => broker.create_group(name).await?,
    };
    say(done("created", what, name, &brokers));
    Ok(Exit::Done)
}

pub(crate) async fn delete(broker: &Broker, name: &str, what: What) -> Result<Exit, Failure> {
    let brokers = match what {
        What::Topic { .. } => broker.delete_topic(name).await?,
        What::Group => broker.delete_group(name).await?,
    };
    say(done("deleted", what, name, &brokers));
    Ok(Exit::Done)
}

fn done(verb: &str, what: What, name: &str, brokers: &[String]) -> String {
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
        let told = done("created", What::Topic { queues: None }, "t", &brokers);
        assert_eq!(told, "topic t is created at broker-a, broker-b");
    }
}
