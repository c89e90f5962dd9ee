//! Commands that have an answer, and which command an answer is to.

use crate::proto::api::{self, BaseCommand, base_command::Type};

/// A command that has an answer.
pub(crate) trait Ask: Send {
    /// The command, under this number.
    fn with(self, request_id: u64) -> BaseCommand;
}

macro_rules! asks {
    ($($command:ident, $kind:ident, $field:ident;)*) => {
        $(impl Ask for api::$command {
            fn with(mut self, request_id: u64) -> BaseCommand {
                self.request_id = request_id;
                BaseCommand {
                    r#type: Type::$kind.into(),
                    $field: Some(self),
                    ..BaseCommand::default()
                }
            }
        })*
    };
}

asks! {
    CommandPartitionedTopicMetadata, PartitionedMetadata, partition_metadata;
    CommandLookupTopic, Lookup, lookup_topic;
    CommandProducer, Producer, producer;
    CommandSubscribe, Subscribe, subscribe;
    CommandUnsubscribe, Unsubscribe, unsubscribe;
    CommandSeek, Seek, seek;
    CommandGetLastMessageId, GetLastMessageId, get_last_message_id;
    CommandGetTopicsOfNamespace, GetTopicsOfNamespace, get_topics_of_namespace;
    CommandCloseProducer, CloseProducer, close_producer;
    CommandCloseConsumer, CloseConsumer, close_consumer;
}

/// A command that nobody waits for an answer to.
macro_rules! tells {
    ($($name:ident($command:ident), $kind:ident, $field:ident;)*) => {
        $(pub(super) fn $name(command: api::$command) -> BaseCommand {
            BaseCommand {
                r#type: Type::$kind.into(),
                $field: Some(command),
                ..BaseCommand::default()
            }
        })*
    };
}

tells! {
    connect(CommandConnect), Connect, connect;
    auth_response(CommandAuthResponse), AuthResponse, auth_response;
    ping(CommandPing), Ping, ping;
    pong(CommandPong), Pong, pong;
}

/// The number of what is answered, if it is an answer.
pub(super) fn answered(command: &BaseCommand) -> Option<u64> {
    macro_rules! first {
        ($($field:ident)*) => {
            None$(.or(command.$field.as_ref().map(|answer| answer.request_id)))*
        };
    }
    first!(success producer_success error partition_metadata_response lookup_topic_response
        get_last_message_id_response get_topics_of_namespace_response get_schema_response
        get_or_create_schema_response consumer_stats_response)
}

/// The consumer that is told of something by its lane: no reply that somebody waits for here.
pub(super) fn told(command: &BaseCommand) -> Option<u64> {
    macro_rules! first {
        ($($field:ident)*) => {
            None$(.or(command.$field.as_ref().map(|told| told.consumer_id)))*
        };
    }
    first!(ack_response active_consumer_change reached_end_of_topic)
}
