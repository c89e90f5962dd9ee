//! How a destination is written.

use super::super::Result;
use super::invalid;

/// What is written before the name of a topic.
pub(in crate::adapter) const TOPIC: &str = "topic:";

/// A destination, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::adapter) enum Place {
    Queue(String),
    /// The queues `name-0` and so on.
    Shards {
        name: String,
        count: usize,
    },
    Topic {
        name: String,
        routing_key: Option<String>,
    },
}

impl Place {
    pub(in crate::adapter) fn parse(text: &str) -> Result<Self> {
        if let Some(topic) = text.strip_prefix(TOPIC) {
            let (name, key) = match topic.split_once('/') {
                Some((name, key)) => (name, Some(key.to_owned())),
                None => (topic, None),
            };
            return Ok(Self::Topic {
                name: name.to_owned(),
                routing_key: key,
            });
        }
        let Some((name, count)) = text.split_once('/') else {
            return Ok(Self::Queue(text.to_owned()));
        };
        let count = count.parse().ok();
        let count = count
            .filter(|count| (1..=MOST_SHARDS).contains(count))
            .ok_or_else(|| {
                let told = format!(
                    "{text:?}: behind the / stands a number of shards, 1 to {MOST_SHARDS}, as in orders/4"
                );
                invalid(&told)
            })?;
        Ok(Self::Shards {
            name: name.to_owned(),
            count,
        })
    }

    /// The names of its queues; a topic has none.
    pub(in crate::adapter) fn queues(&self) -> Vec<String> {
        match self {
            Self::Queue(name) => vec![name.clone()],
            Self::Shards { name, count } => (0..*count).map(|at| format!("{name}-{at}")).collect(),
            Self::Topic { .. } => Vec::new(),
        }
    }
}

/// As `Client::ordered` has it.
const MOST_SHARDS: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        let parse = |text| Place::parse(text).unwrap();
        assert_eq!(parse("orders"), Place::Queue("orders".into()));
        let shards = parse("orders/2");
        assert_eq!(shards.queues(), ["orders-0", "orders-1"]);
        let topic = |key: Option<&str>| Place::Topic {
            name: "news".into(),
            routing_key: key.map(str::to_owned),
        };
        assert_eq!(parse("topic:news"), topic(None));
        assert_eq!(parse("topic:news/a.b"), topic(Some("a.b")));
        for wrong in ["orders/x", "orders/0", "orders/1001", "orders/"] {
            let error = Place::parse(wrong).unwrap_err();
            assert!(error.to_string().contains("orders/4"), "{error}");
        }
    }
}
