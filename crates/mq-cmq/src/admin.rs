//! Management: queues, topics and subscriptions are made, described, listed and deleted.
//!
//! On TDMQ for CMQ these actions have moved to the control plane of Tencent Cloud's API 3.0 (see [`control`](crate::control)), and are answered with
//! [`ErrorCode::ACTION_NOT_FOUND`](crate::ErrorCode::ACTION_NOT_FOUND) or its like here; endpoints of the older CMQ have them, and so has
//! the dev server.

mod dead_letter;
mod list;
mod queues;
mod subscriptions;
mod target;
mod topics;

use std::time::{Duration, SystemTime};

pub use self::dead_letter::DeadLetter;
pub use self::list::{Listing, Named, NamedSubscription};
pub use self::queues::{ChangeQueue, CreateQueue, QueueAttributes};
pub use self::subscriptions::{
    ChangeSubscription, Subscribe, Subscription, SubscriptionAttributes,
};
pub use self::target::{ContentFormat, PushRetry, Target};
pub use self::topics::{CreateTopic, Filter, TopicAttributes};

/// `None` for what the service does not say. Times that no calendar has are left out, too.
pub(crate) fn time(seconds: u64) -> Option<SystemTime> {
    since_1970(Duration::from_secs(seconds))
}

/// As [`time`], of milliseconds.
pub(crate) fn time_ms(milliseconds: u64) -> Option<SystemTime> {
    since_1970(Duration::from_millis(milliseconds))
}

fn since_1970(time: Duration) -> Option<SystemTime> {
    let since = (!time.is_zero()).then_some(time)?;
    SystemTime::UNIX_EPOCH.checked_add(since)
}
