//! Which topics of a namespace are meant by a pattern.
// apache/pulsar: PatternMultiTopicsConsumerImpl, TopicList.filterTopics

use regex::Regex;

use crate::client::Shared;
use crate::error::{Error, Result, invalid};
use crate::proto::api::{self, command_get_topics_of_namespace::Mode};
use crate::topic::TopicName;

#[derive(Debug, Clone)]
pub(super) struct Pattern {
    /// `tenant/namespace`.
    namespace: String,
    /// With the namespace, as brokers have it.
    text: String,
    regex: Regex,
    persistent: bool,
}

/// The topics that a pattern means, as far as they were asked for.
#[derive(Debug)]
pub(super) struct Matching {
    pattern: Pattern,
    /// What the broker had last, by its sum.
    hash: Option<String>,
    topics: Vec<TopicName>,
}

impl Pattern {
    /// Reads `tenant/namespace/regex`, or only the last of it.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let bad = |why: &str| invalid("consumer", format!("\"{text}\" is no pattern: {why}"));
        let (domain, rest) = text.split_once("://").unwrap_or(("persistent", text));
        let persistent = match domain {
            "persistent" => true,
            "non-persistent" => false,
            _ => {
                return Err(bad(
                    "it begins with neither persistent:// nor non-persistent://",
                ));
            }
        };
        let parts: Vec<_> = rest.splitn(3, '/').collect();
        let (namespace, inner) = match *parts.as_slice() {
            [topic] => ("public/default".to_owned(), topic),
            [tenant, namespace, topic] => (format!("{tenant}/{namespace}"), topic),
            _ => return Err(bad("write tenant/namespace/regex")),
        };
        if !namespace.chars().all(is_plain) || inner.is_empty() {
            return Err(bad("only the topic is a pattern, and it is not empty"));
        }
        let regex = Regex::new(&format!("^(?:{inner})$")).map_err(|cause| {
            let error = bad("it is no regular expression").into_builder();
            error.source(cause).build()
        })?;
        // To a broker it is one pattern with the namespace.
        let inner = if inner.contains('|') {
            format!("(?:{inner})")
        } else {
            inner.to_owned()
        };
        Ok(Self {
            text: format!("{domain}://{namespace}/{inner}"),
            namespace,
            regex,
            persistent,
        })
    }

    /// Whether a topic is meant; a partition is as its topic is.
    fn is_met_by(&self, topic: &TopicName) -> bool {
        let whole = topic.unpartitioned();
        let name = whole.as_str().split_once("://").map(|(_, name)| name);
        let local = name
            .and_then(|name| name.strip_prefix(&*self.namespace))
            .and_then(|name| name.strip_prefix('/'));
        local.is_some_and(|local| self.regex.is_match(local))
    }
}

impl Matching {
    pub(super) const fn new(pattern: Pattern) -> Self {
        Self {
            pattern,
            hash: None,
            topics: Vec::new(),
        }
    }

    /// The topics that are there now, partitions by their own names.
    ///
    /// # Errors
    ///
    /// What the broker answers; kind `NotFound` without the namespace.
    pub(super) async fn look(&mut self, shared: &Shared) -> Result<&[TopicName]> {
        let Pattern {
            namespace,
            text,
            persistent,
            ..
        } = &self.pattern;
        let mode = if *persistent {
            Mode::Persistent
        } else {
            Mode::NonPersistent
        };
        let answer = shared.topics(api::CommandGetTopicsOfNamespace {
            namespace: namespace.clone(),
            mode: Some(mode.into()),
            topics_pattern: Some(text.clone()),
            topics_hash: self.hash.clone(),
            ..api::CommandGetTopicsOfNamespace::default()
        });
        let answer = answer.await.map_err(operation)?;
        if answer.changed() {
            self.topics = self.met(&answer.topics);
            self.hash = answer.topics_hash;
        }
        Ok(&self.topics)
    }

    /// Those that are meant: a broker filters not at all, if the pattern is too long for it.
    fn met(&self, topics: &[String]) -> Vec<TopicName> {
        let topics = topics
            .iter()
            .filter_map(|topic| TopicName::parse(topic).ok());
        topics
            .filter(|topic| self.pattern.is_met_by(topic))
            .collect()
    }
}

/// Of a tenant or a namespace.
// apache/pulsar: NamedEntity
const fn is_plain(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '-' | '=' | ':' | '.' | '_' | '/')
}

fn operation(error: Error) -> Error {
    let builder = error.into_builder().operation("topics_pattern");
    builder.build()
}

#[cfg(test)]
mod tests {
    use mq_core::ErrorKind;

    use super::*;

    fn met(pattern: &str, topics: &[&str]) -> Vec<String> {
        let matching = Matching::new(Pattern::parse(pattern).unwrap());
        let topics: Vec<_> = topics.iter().map(|topic| (*topic).to_owned()).collect();
        let met = matching.met(&topics);
        met.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_pattern_is_of_the_whole_topic_in_its_namespace() {
        let topics = [
            "persistent://public/default/orders-1",
            "persistent://public/default/orders-2-partition-0",
            "persistent://public/default/my-orders-1",
            "persistent://public/default/orders-x",
            "persistent://public/other/orders-1",
        ];
        for pattern in [
            r"orders-\d",
            r"public/default/orders-\d",
            r"persistent://public/default/orders-\d",
        ] {
            assert_eq!(met(pattern, &topics), topics[..2], "{pattern}");
        }
        assert_eq!(met("orders-1|orders-x", &topics), [topics[0], topics[3]]);
        assert_eq!(met("public/other/.*", &topics), topics[4..]);
    }

    #[test]
    fn a_broker_gets_the_pattern_with_its_namespace() {
        for (pattern, text, namespace) in [
            ("a.*", "persistent://public/default/a.*", "public/default"),
            (
                "non-persistent://t/n/a|b",
                "non-persistent://t/n/(?:a|b)",
                "t/n",
            ),
        ] {
            let pattern = Pattern::parse(pattern).unwrap();
            assert_eq!((&*pattern.text, &*pattern.namespace), (text, namespace));
        }
        for wrong in [
            "",
            "t/n",
            "t/.*/a",
            "t/n/",
            "kafka://t/n/a",
            "t/n/(",
            "(",
            r"t/n/a\",
        ] {
            let told = Pattern::parse(wrong).unwrap_err();
            assert_eq!(told.kind(), ErrorKind::Invalid, "{wrong}");
        }
    }
}
