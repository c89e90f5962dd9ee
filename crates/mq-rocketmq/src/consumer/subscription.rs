//! What a consumer wants of a topic: all of it, or the messages of some tags.

use std::collections::BTreeSet;

use crate::error::{Error, invalid};

/// A tag expression: `*`, or tags joined by `||`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subscription {
    /// The expression in the form that travels.
    pub(crate) expression: String,
    /// Empty: every message.
    pub(crate) tags: BTreeSet<String>,
}

impl Subscription {
    /// Every message.
    pub(crate) fn all() -> Self {
        Self {
            expression: "*".to_owned(),
            tags: BTreeSet::new(),
        }
    }

    /// Reads `*` or `A || B`.
    ///
    /// # Errors
    /// `Invalid` for an empty part, a `*` beside tags, and a single `|` or a `&&`, which would be taken as part of a tag.
    pub(crate) fn parse(expression: &str) -> Result<Self, Error> {
        let expression = expression.trim();
        if expression == "*" {
            return Ok(Self::all());
        }
        let mut tags = BTreeSet::new();
        for part in expression.split("||").map(str::trim) {
            let problem = match part {
                "" => "an empty part",
                "*" => "a \"*\" beside tags",
                _ if part.contains('|') => "a single \"|\"",
                // Java takes it for a tag of that name, and receives nothing.
                _ if part.contains("&&") => "\"&&\", but a message has only one tag",
                _ => {
                    tags.insert(part.to_owned());
                    continue;
                }
            };
            let message =
                format!("the subscription {expression:?} has {problem}; write \"*\" or \"A || B\"");
            return Err(invalid("subscribe", message));
        }
        let expression = tags
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join("||");
        Ok(Self { expression, tags })
    }

    /// The hashes the broker filters by.
    pub(crate) fn codes(&self) -> BTreeSet<i32> {
        self.tags.iter().map(|tag| java_hash(tag)).collect()
    }

    /// Whether a message with this tag is wanted; the tag is asked for if it matters. The broker compares hashes only, so that two tags with one hash both come.
    // apache/rocketmq: PullAPIWrapper.processPullResult compares the text again
    pub(crate) fn wants<'a>(&self, tag: impl FnOnce() -> Option<&'a str>) -> bool {
        self.tags.is_empty() || tag().is_some_and(|tag| self.tags.contains(tag))
    }
}

/// Java's `String.hashCode`: over UTF-16 code units, wrapping.
pub(crate) fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0_i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions() {
        assert_eq!(Subscription::parse(" * ").unwrap(), Subscription::all());
        let two = Subscription::parse("TagB || TagA||TagB").unwrap();
        assert_eq!(two.expression, "TagA||TagB");
        assert_eq!(two.codes().len(), 2);
        assert!(Subscription::parse("R&D").is_ok());
        for (bad, part) in [
            ("", "an empty part"),
            ("  ", "an empty part"),
            ("A ||", "an empty part"),
            ("|| A", "an empty part"),
            ("A || || B", "an empty part"),
            ("A || *", "beside tags"),
            ("A|B", "a single \"|\""),
            ("A &&", "\"&&\", but a message has only one tag"),
            ("&& A", "\"&&\""),
            ("A && B", "\"&&\""),
            ("A || B&&C", "\"&&\""),
        ] {
            let error = Subscription::parse(bad).unwrap_err();
            assert_eq!(error.kind(), mq_core::ErrorKind::Invalid, "{bad:?}");
            let text = error.to_string();
            assert!(text.contains(part) && text.contains(bad.trim()), "{text}");
        }
    }

    #[test]
    fn hashes_are_javas() {
        // Known values of String.hashCode.
        for (text, hash) in [
            ("", 0),
            ("Aa", 2112),
            ("BB", 2112),
            ("TagA", 2_598_919),
            ("标签", 857_175),
        ] {
            assert_eq!(java_hash(text), hash, "{text}");
        }
        assert_eq!(java_hash("polygenelubricants"), i32::MIN);
    }

    #[test]
    fn an_equal_hash_is_not_an_equal_tag() {
        let aa = Subscription::parse("Aa").unwrap();
        assert_eq!(java_hash("Aa"), java_hash("BB"));
        assert!(aa.wants(|| Some("Aa")));
        assert!(!aa.wants(|| Some("BB")));
        assert!(!aa.wants(|| None));
        assert!(Subscription::all().wants(|| None));
    }
}
