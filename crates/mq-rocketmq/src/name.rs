//! Names of topics and groups: what is allowed, and how a namespace goes in front.

use crate::error::{Error, invalid};

/// The namespace in front of topic and group names: `namespace%name`, or nothing.
///
/// Source: apache/rocketmq, `NamespaceUtil`: `%RETRY%` and `%DLQ%` stay in front of it. A name that carries the namespace already is
/// left as it is, so that the full names that consoles show can be used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Namespace(Option<String>);

impl Namespace {
    pub(crate) fn new(namespace: &str) -> Result<Self, Error> {
        let namespace = namespace.trim().trim_end_matches('%');
        if namespace.is_empty() {
            return Ok(Self(None));
        }
        check(namespace, "namespace", MAX_TOPIC)?;
        Ok(Self(Some(namespace.to_owned())))
    }

    /// The full name of a topic or group.
    pub(crate) fn wrap(&self, name: &str) -> String {
        let Some(namespace) = &self.0 else {
            return name.to_owned();
        };
        let (prefix, bare) = split_prefix(name);
        let qualified = bare
            .strip_prefix(namespace.as_str())
            .is_some_and(|rest| rest.starts_with('%'));
        if qualified || SYSTEM_TOPICS.contains(&bare) || bare.starts_with("rmq_sys_") {
            return name.to_owned();
        }
        format!("{prefix}{namespace}%{bare}")
    }

    /// The name as the user wrote it.
    pub(crate) fn unwrap<'a>(&self, name: &'a str) -> &'a str {
        let bare = split_prefix(name).1;
        match &self.0 {
            Some(namespace) => bare
                .strip_prefix(namespace.as_str())
                .and_then(|rest| rest.strip_prefix('%'))
                .unwrap_or(bare),
            None => name,
        }
    }
}

/// Where messages of `group` (full name) go that are to be delivered again.
pub(crate) fn retry_topic(group: &str) -> String {
    format!("{RETRY}{group}")
}

/// Checks a topic's full name for sending.
pub(crate) fn check_topic(topic: &str) -> Result<(), Error> {
    let retry_or_dead = !split_prefix(topic).0.is_empty();
    check(
        topic,
        "topic",
        if retry_or_dead {
            MAX_RETRY_TOPIC
        } else {
            MAX_TOPIC
        },
    )
}

/// Checks that a client may send to `topic` (full name).
pub(crate) fn check_send_topic(topic: &str) -> Result<(), Error> {
    check_topic(topic)?;
    if NOT_FOR_SENDING.contains(&topic) {
        return Err(invalid(
            "check topic",
            format!("\"{topic}\" belongs to the broker: clients can't send to it"),
        ));
    }
    Ok(())
}

/// Checks a group's full name.
pub(crate) fn check_group(group: &str) -> Result<(), Error> {
    check(group, "group", MAX_GROUP)
}

fn check(name: &str, what: &str, max: usize) -> Result<(), Error> {
    let operation = "check name";
    if name.trim().is_empty() {
        return Err(invalid(operation, format!("the {what} name is empty")));
    }
    if name.contains('｜') {
        let message = format!(
            "the {what} name \"{name}\" has a full-width bar (｜), as consoles print it; write an ASCII bar (|)"
        );
        return Err(invalid(operation, message));
    }
    if let Some(bad) = name.chars().find(|c| !allowed(*c)) {
        let message = format!(
            "the {what} name {name:?} has {bad:?}; allowed are letters, digits and % | - _"
        );
        return Err(invalid(operation, message));
    }
    if name.len() > max {
        let message = format!(
            "the {what} name has {} characters, at most {max} are allowed",
            name.len()
        );
        return Err(invalid(operation, message));
    }
    Ok(())
}

// apache/rocketmq: TopicValidator, ^[%|a-zA-Z0-9_-]+$
fn allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || "%|-_".contains(c)
}

fn split_prefix(name: &str) -> (&str, &str) {
    for prefix in [RETRY, DEAD] {
        if let Some(rest) = name.strip_prefix(prefix) {
            return (prefix, rest);
        }
    }
    ("", name)
}

/// In front of a group's name: its retry topic.
pub(crate) const RETRY: &str = "%RETRY%";
const DEAD: &str = "%DLQ%";

// apache/rocketmq: TopicValidator, Validators
const MAX_TOPIC: usize = 127;
const MAX_GROUP: usize = 120;
const MAX_RETRY_TOPIC: usize = 255;
const SYSTEM_TOPICS: [&str; 4] = [
    "TBW102",
    "SCHEDULE_TOPIC_XXXX",
    "RMQ_SYS_TRACE_TOPIC",
    "TRANS_CHECK_MAX_TIME_TOPIC",
];
const NOT_FOR_SENDING: [&str; 6] = [
    "SCHEDULE_TOPIC_XXXX",
    "RMQ_SYS_TRANS_HALF_TOPIC",
    "RMQ_SYS_TRANS_OP_HALF_TOPIC",
    "TRANS_CHECK_MAX_TIME_TOPIC",
    "SELF_TEST_TOPIC",
    "OFFSET_MOVED_EVENT",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_goes_in_front_once() {
        let none = Namespace::default();
        let tdmq = Namespace::new("rocketmq-xxx|ns").unwrap();
        assert_eq!(none.wrap("t"), "t");
        assert_eq!(tdmq.wrap("t"), "rocketmq-xxx|ns%t");
        assert_eq!(tdmq.wrap("rocketmq-xxx|ns%t"), "rocketmq-xxx|ns%t");
        assert_eq!(tdmq.wrap("%RETRY%g"), "%RETRY%rocketmq-xxx|ns%g");
        assert_eq!(tdmq.wrap("TBW102"), "TBW102");
        assert_eq!(tdmq.unwrap("rocketmq-xxx|ns%t"), "t");
        assert_eq!(tdmq.unwrap("%RETRY%rocketmq-xxx|ns%g"), "g");
        assert_eq!(none.unwrap("a%b"), "a%b");
    }

    #[test]
    fn bad_names_say_why() {
        let long = "x".repeat(128);
        let cases = [
            ("", "empty"),
            ("a b", "' '"),
            ("a｜b", "full-width"),
            (long.as_str(), "at most 127"),
            ("SCHEDULE_TOPIC_XXXX", "belongs to the broker"),
        ];
        for (name, part) in cases {
            let error = check_send_topic(name).unwrap_err().to_string();
            assert!(error.contains(part), "{name}: {error}");
        }
        assert!(check_group(&"g".repeat(121)).is_err());
        assert!(check_topic("cluster|ns%topic").is_ok());
    }
}
