//! Request and response codes: flat tables of number, name and meaning.
// A flat table: longer than other files, and to be read by searching.

use std::fmt;

/// What a request asks for.
// apache/rocketmq: RequestCode
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestCode(pub i32);

/// How a request was answered.
// apache/rocketmq: ResponseCode, RemotingSysResponseCode
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResponseCode(pub i32);

macro_rules! request_codes {
    ($($number:literal $name:ident $text:literal)*) => {
        impl RequestCode {
            $(#[doc = concat!($text, ".")] pub const $name: Self = Self($number);)*

            /// Its upstream name, if it is in the table.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some(stringify!($name)),)*
                    _ => None,
                }
            }

            /// What it does, in a few words, if it is in the table.
            pub const fn text(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some($text),)*
                    _ => None,
                }
            }
        }
    };
}

macro_rules! response_codes {
    ($($number:literal $name:ident $retryable:literal $text:literal)*) => {
        impl ResponseCode {
            $(#[doc = concat!($text, ".")] pub const $name: Self = Self($number);)*

            /// Its upstream name, if it is in the table.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some(stringify!($name)),)*
                    _ => None,
                }
            }

            /// What it means, in a few words, if it is in the table.
            pub const fn text(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some($text),)*
                    _ => None,
                }
            }

            /// Whether the same request can succeed later or at another broker. A code outside the table is not.
            pub const fn is_retryable(self) -> bool {
                match self.0 {
                    $($number => $retryable,)*
                    _ => false,
                }
            }
        }
    };
}

macro_rules! shown_as_number_and_name {
    ($($code:ident)*) => {$(
        impl fmt::Display for $code {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.name() {
                    Some(name) => write!(f, "{} {name}", self.0),
                    None => write!(f, "{}", self.0),
                }
            }
        }

        impl fmt::Debug for $code {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl From<$code> for i32 {
            fn from(code: $code) -> Self {
                code.0
            }
        }
    )*};
}

shown_as_number_and_name!(RequestCode ResponseCode);

request_codes! {
    10 SEND_MESSAGE "send with long field names"
    11 PULL_MESSAGE "pull messages"
    12 QUERY_MESSAGE "find messages by key"
    14 QUERY_CONSUMER_OFFSET "read a group's offset"
    15 UPDATE_CONSUMER_OFFSET "commit a group's offset"
    17 UPDATE_AND_CREATE_TOPIC "create or change a topic"
    21 GET_ALL_TOPIC_CONFIG "read every topic's configuration"
    25 UPDATE_BROKER_CONFIG "change a broker's configuration"
    26 GET_BROKER_CONFIG "read a broker's configuration"
    28 GET_BROKER_RUNTIME_INFO "read a broker's counters"
    29 SEARCH_OFFSET_BY_TIMESTAMP "find an offset by time"
    30 GET_MAX_OFFSET "read a queue's end"
    31 GET_MIN_OFFSET "read a queue's beginning"
    32 GET_EARLIEST_MSG_STORETIME "read the time of a queue's first message"
    33 VIEW_MESSAGE_BY_ID "read a message by its physical offset"
    34 HEART_BEAT "say who is there"
    35 UNREGISTER_CLIENT "say who leaves"
    36 CONSUMER_SEND_MSG_BACK "have a message delivered again later"
    37 END_TRANSACTION "commit or roll back a half message"
    38 GET_CONSUMER_LIST_BY_GROUP "list a group's members"
    39 CHECK_TRANSACTION_STATE "broker asks what became of a half message"
    40 NOTIFY_CONSUMER_IDS_CHANGED "broker says that a group's members changed"
    41 LOCK_BATCH_MQ "lock queues for ordered consumption"
    42 UNLOCK_BATCH_MQ "unlock queues"
    43 GET_ALL_CONSUMER_OFFSET "read every group's offsets"
    46 CHECK_CLIENT_CONFIG "check a filter expression"
    47 GET_CLIENT_CONFIG "read a client's configuration"
    100 PUT_KV_CONFIG "write a nameserver setting"
    101 GET_KV_CONFIG "read a nameserver setting"
    102 DELETE_KV_CONFIG "delete a nameserver setting"
    103 REGISTER_BROKER "broker announces itself to a nameserver"
    104 UNREGISTER_BROKER "broker leaves a nameserver"
    105 GET_ROUTEINFO_BY_TOPIC "read a topic's route"
    106 GET_BROKER_CLUSTER_INFO "list clusters and brokers"
    200 UPDATE_AND_CREATE_SUBSCRIPTIONGROUP "create or change a group"
    201 GET_ALL_SUBSCRIPTIONGROUP_CONFIG "read every group's configuration"
    202 GET_TOPIC_STATS_INFO "read a topic's offsets"
    203 GET_CONSUMER_CONNECTION_LIST "list a group's connections"
    204 GET_PRODUCER_CONNECTION_LIST "list a producer group's connections"
    206 GET_ALL_TOPIC_LIST_FROM_NAMESERVER "list topics"
    207 DELETE_SUBSCRIPTIONGROUP "delete a group"
    208 GET_CONSUME_STATS "read a group's lag"
    215 DELETE_TOPIC_IN_BROKER "delete a topic from a broker"
    216 DELETE_TOPIC_IN_NAMESRV "delete a topic from the nameservers"
    217 REGISTER_TOPIC_IN_NAMESRV "register a topic with a nameserver"
    220 RESET_CONSUMER_CLIENT_OFFSET "broker tells a consumer to reset offsets"
    221 GET_CONSUMER_STATUS_FROM_CLIENT "broker asks a consumer for its offsets"
    222 INVOKE_BROKER_TO_RESET_OFFSET "reset a group's offsets"
    224 GET_TOPICS_BY_CLUSTER "list a cluster's topics"
    300 QUERY_TOPIC_CONSUME_BY_WHO "list a topic's groups"
    307 GET_CONSUMER_RUNNING_INFO "ask a consumer how it is"
    309 CONSUME_MESSAGE_DIRECTLY "have a consumer take one message"
    310 SEND_MESSAGE_V2 "send with short field names"
    320 SEND_BATCH_MESSAGE "send a batch"
    324 SEND_REPLY_MESSAGE "send a reply with long field names"
    325 SEND_REPLY_MESSAGE_V2 "send a reply with short field names"
    326 PUSH_REPLY_MESSAGE_TO_CLIENT "broker hands over a reply"
    343 QUERY_TOPICS_BY_CONSUMER "list a group's topics"
    345 QUERY_SUBSCRIPTION_BY_CONSUMER "read a group's subscription"
    351 GET_TOPIC_CONFIG "read a topic's configuration"
    352 GET_SUBSCRIPTIONGROUP_CONFIG "read a group's configuration"
    361 LITE_PULL_MESSAGE "pull messages without a group's state"
    370 RECALL_MESSAGE "cancel a scheduled message"
    400 QUERY_ASSIGNMENT "ask the broker which queues are mine"
    401 SET_MESSAGE_REQUEST_MODE "choose pull or pop for a group"
    901 GET_BROKER_MEMBER_GROUP "list a broker's replicas"
    3001 AUTH_CREATE_USER "create a user"
    3002 AUTH_UPDATE_USER "change a user"
    3003 AUTH_DELETE_USER "delete a user"
    3004 AUTH_GET_USER "read a user"
    3005 AUTH_LIST_USER "list users"
    3006 AUTH_CREATE_ACL "create a policy"
    3007 AUTH_UPDATE_ACL "change a policy"
    3008 AUTH_DELETE_ACL "delete a policy"
    3009 AUTH_GET_ACL "read a policy"
    3010 AUTH_LIST_ACL "list policies"
    200_050 POP_MESSAGE "pop messages"
    200_051 ACK_MESSAGE "settle a popped message"
    200_052 PEEK_MESSAGE "look at messages"
    200_053 CHANGE_MESSAGE_INVISIBLETIME "change how long a popped message stays hidden"
    200_054 NOTIFICATION "wait for a message to pop"
    200_151 BATCH_ACK_MESSAGE "settle popped messages"
}

response_codes! {
    0 SUCCESS false "done"
    1 SYSTEM_ERROR true "the broker failed inside; on 4.x also a refused signature"
    2 SYSTEM_BUSY true "the broker is overloaded"
    3 REQUEST_CODE_NOT_SUPPORTED false "the broker does not know this command"
    4 TRANSACTION_FAILED false "the transaction failed"
    10 FLUSH_DISK_TIMEOUT false "stored, but not flushed to disk in time"
    11 SLAVE_NOT_AVAILABLE false "stored, but no replica is there"
    12 FLUSH_SLAVE_TIMEOUT false "stored, but not replicated in time"
    13 MESSAGE_ILLEGAL false "the broker refuses this message"
    14 SERVICE_NOT_AVAILABLE true "the broker can't store now (starting, stopping, a slave or a full disk)"
    15 VERSION_NOT_SUPPORTED false "the broker does not support this version"
    16 NO_PERMISSION false "not allowed: by credentials, or because the broker, topic or group is read-only or forbidden"
    17 TOPIC_NOT_EXIST true "no such topic here"
    18 TOPIC_EXIST_ALREADY false "the topic exists"
    19 PULL_NOT_FOUND false "no new message"
    20 PULL_RETRY_IMMEDIATELY true "no message that matches, go on at the next offset"
    21 PULL_OFFSET_MOVED false "the offset is out of the queue's range"
    22 QUERY_NOT_FOUND false "nothing found"
    23 SUBSCRIPTION_PARSE_FAILED false "the filter expression can't be parsed"
    24 SUBSCRIPTION_NOT_EXIST true "the broker does not know this subscription (yet)"
    25 SUBSCRIPTION_NOT_LATEST true "the broker has an older subscription"
    26 SUBSCRIPTION_GROUP_NOT_EXIST false "no such group, and the broker creates none"
    27 FILTER_DATA_NOT_EXIST true "the broker has no filter data (yet)"
    28 FILTER_DATA_NOT_LATEST true "the broker has older filter data"
    29 INVALID_PARAMETER false "a parameter is wrong"
    200 TRANSACTION_SHOULD_COMMIT false "the transaction is to be committed"
    201 TRANSACTION_SHOULD_ROLLBACK false "the transaction is to be rolled back"
    202 TRANSACTION_STATE_UNKNOW false "the state of the transaction is unknown"
    203 TRANSACTION_STATE_GROUP_WRONG false "the transaction is another group's"
    204 NO_BUYER_ID true "no buyer id"
    205 NOT_IN_CURRENT_UNIT true "not in this unit"
    206 CONSUMER_NOT_ONLINE false "no consumer of the group is online"
    207 CONSUME_MSG_TIMEOUT false "the consumer did not answer in time"
    208 NO_MESSAGE false "no such message"
    209 POLLING_FULL true "too many polls wait at the broker"
    210 POLLING_TIMEOUT false "the poll ended without a message"
    211 BROKER_NOT_EXIST false "no such broker"
    212 BROKER_DISPATCH_NOT_COMPLETE true "the broker has not indexed its log yet"
    213 BROADCAST_CONSUMPTION false "the group is a broadcasting one"
    215 FLOW_CONTROL true "the broker limits the rate"
    501 NOT_LEADER_FOR_QUEUE true "another broker leads this queue"
    604 ILLEGAL_OPERATION false "the operation is not allowed now"
    1500 GO_AWAY true "the broker asks for a new connection"
    2017 LITE_SUBSCRIPTION_QUOTA_EXCEEDED false "too many lite subscriptions"
    3001 USER_NOT_EXIST false "no such user"
    3002 POLICY_NOT_EXIST false "no such policy"
    -1000 RPC_UNKNOWN true "a broker's call to another failed"
    -1002 RPC_ADDR_IS_NULL true "a broker knows no address of another"
    -1004 RPC_SEND_TO_CHANNEL_FAILED true "a broker could not send to another"
    -1006 RPC_TIME_OUT true "a broker's call to another timed out"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_with_names() {
        assert_eq!(ResponseCode::NO_PERMISSION.to_string(), "16 NO_PERMISSION");
        assert_eq!(ResponseCode(99).to_string(), "99");
        assert_eq!(
            format!("{:?}", RequestCode::SEND_MESSAGE_V2),
            "310 SEND_MESSAGE_V2"
        );
        assert!(ResponseCode::SYSTEM_BUSY.is_retryable());
        assert!(!ResponseCode::SUCCESS.is_retryable() && !ResponseCode(99).is_retryable());
    }
}
