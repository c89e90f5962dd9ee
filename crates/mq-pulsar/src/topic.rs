//! Names of topics: `persistent://tenant/namespace/topic`, or a part of that.
// apache/pulsar: TopicName

use std::fmt;

use bytestring::ByteString;

use crate::conn::http::escaped;
use crate::error::{Result, invalid};

/// The whole name of a topic, or of one of its partitions.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TopicName(ByteString);

impl TopicName {
    /// Reads `topic`, `tenant/namespace/topic`, or either with `persistent://` or `non-persistent://` before it. Where nothing is said, the
    /// tenant is `public` and the namespace `default`.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`, with what is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let bad = |why: &str| invalid("topic", format!("\"{text}\" is no topic: {why}"));
        let (domain, rest) = text.split_once("://").unwrap_or((PERSISTENT, text));
        if domain != PERSISTENT && domain != NON_PERSISTENT {
            return Err(bad(
                "it begins with neither persistent:// nor non-persistent://",
            ));
        }
        let parts: Vec<_> = rest.split('/').collect();
        let name = match parts.as_slice() {
            [topic] => format!("{domain}://public/default/{topic}"),
            // Four are the names of Pulsar 1, with a cluster.
            [_, _, _] | [_, _, _, _] => format!("{domain}://{rest}"),
            _ => return Err(bad("write tenant/namespace/topic")),
        };
        if parts.iter().any(|part| part.trim().is_empty()) {
            return Err(bad("a part of it is empty"));
        }
        Ok(Self(name.into()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// One of its partitions, from 0.
    pub(crate) fn partition(&self, number: u32) -> Self {
        Self(format!("{}{PARTITION}{number}", self.0).into())
    }

    /// The topic that it is a partition of; itself, if it is none.
    pub(crate) fn unpartitioned(&self) -> Self {
        match (self.number(), self.0.rsplit_once(PARTITION)) {
            (Some(_), Some((topic, _))) => Self(topic.into()),
            _ => self.clone(),
        }
    }

    /// Which partition it is, if it is one.
    pub(crate) fn number(&self) -> Option<u32> {
        let (_, digits) = self.0.rsplit_once(PARTITION)?;
        let number = digits.parse().ok()?;
        // As Java: "-partition-007" is a topic of that name.
        (u32::to_string(&number) == digits).then_some(number)
    }

    /// `persistent/tenant/namespace/topic`, as the paths of HTTP have it.
    pub(crate) fn path(&self) -> String {
        let (domain, rest) = self.0.split_once("://").unwrap_or((PERSISTENT, &self.0));
        let parts: Vec<_> = rest.split('/').map(escaped).collect();
        format!("{domain}/{}", parts.join("/"))
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

const PERSISTENT: &str = "persistent";
const NON_PERSISTENT: &str = "non-persistent";
const PARTITION: &str = "-partition-";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_made_whole() {
        for (text, whole) in [
            ("orders", "persistent://public/default/orders"),
            ("pulsar-xxx/ns/orders", "persistent://pulsar-xxx/ns/orders"),
            ("persistent://t/n/x", "persistent://t/n/x"),
            ("non-persistent://t/n/x", "non-persistent://t/n/x"),
            ("persistent://t/c/n/x", "persistent://t/c/n/x"),
        ] {
            assert_eq!(TopicName::parse(text).unwrap().as_str(), whole);
        }
        for text in ["", "a/b", "kafka://t/n/x", "t//x", "a/b/c/d/e", "t/n/"] {
            let told = TopicName::parse(text).unwrap_err();
            assert_eq!(told.kind(), mq_core::ErrorKind::Invalid, "{text}");
        }
    }

    #[test]
    fn partitions_are_numbered() {
        let topic = TopicName::parse("t/n/x").unwrap();
        let third = topic.partition(2);
        assert_eq!(third.as_str(), "persistent://t/n/x-partition-2");
        assert_eq!((third.number(), topic.number()), (Some(2), None));
        assert_eq!(TopicName::parse("x-partition-02").unwrap().number(), None);
        assert_eq!(third.path(), "persistent/t/n/x-partition-2");
        let odd = TopicName::parse("t/n/ä b").unwrap();
        assert_eq!(odd.path(), "persistent/t/n/%C3%A4%20b");
    }
}
