//! How a destination is written.

use super::super::Result;
use super::invalid;

/// A destination, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Queue(String),
    Exchange { name: String, routing_key: String },
}

impl Place {
    pub(super) fn parse(text: &str) -> Result<Self> {
        match text.split_once('/') {
            None if text.is_empty() => Err(invalid("no queue is named")),
            None => Ok(Self::Queue(text.to_owned())),
            Some(("", "")) => Err(invalid("no queue is named: behind the / stands its name")),
            Some(("", queue)) => Ok(Self::Queue(queue.to_owned())),
            Some((exchange, key)) => Ok(Self::Exchange {
                name: exchange.to_owned(),
                routing_key: key.to_owned(),
            }),
        }
    }

    /// Where there has to be a queue.
    pub(super) fn queue(text: &str) -> Result<String> {
        Self::parse(text)?.into_queue().ok_or_else(|| {
            let told = format!(
                "{text:?} is an exchange, to which one can only send: name a queue that is bound to it, or write /{text} if that is a queue's name"
            );
            invalid(&told)
        })
    }

    /// How a message's exchange and routing key are written.
    pub(super) fn write(exchange: &str, routing_key: &str) -> String {
        if exchange.is_empty() && !routing_key.contains('/') {
            return routing_key.to_owned();
        }
        format!("{exchange}/{routing_key}")
    }

    /// The default exchange, which leads to queues, has no name.
    pub(super) fn exchange(&self) -> &str {
        match self {
            Self::Queue(_) => "",
            Self::Exchange { name, .. } => name,
        }
    }

    pub(super) fn routing_key(&self) -> &str {
        match self {
            Self::Queue(name) => name,
            Self::Exchange { routing_key, .. } => routing_key,
        }
    }

    pub(super) fn into_queue(self) -> Option<String> {
        match self {
            Self::Queue(name) => Some(name),
            Self::Exchange { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_written_the_same() {
        let exchange = |name: &str, key: &str| Place::Exchange {
            name: name.into(),
            routing_key: key.into(),
        };
        for (text, place) in [
            ("orders", Place::Queue("orders".into())),
            ("/a/b", Place::Queue("a/b".into())),
            ("events/order.paid", exchange("events", "order.paid")),
            ("events/a/b", exchange("events", "a/b")),
            ("fanout/", exchange("fanout", "")),
        ] {
            let read = Place::parse(text).unwrap();
            assert_eq!(Place::write(read.exchange(), read.routing_key()), text);
            assert_eq!(read, place);
        }
        for wrong in ["", "/"] {
            let error = Place::parse(wrong).unwrap_err();
            assert!(error.to_string().contains("no queue is named"), "{error}");
        }
        assert_eq!(Place::queue("/a/b").unwrap(), "a/b");
        let error = Place::queue("events/order.paid").unwrap_err();
        assert!(error.to_string().contains("is an exchange"), "{error}");
    }
}
