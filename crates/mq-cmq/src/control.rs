//! The control plane: queues, topics and subscriptions of TDMQ are made, described, changed and deleted by Tencent Cloud's API 3.0.
//!
//! ```text
//!  action ─► checked ─► JSON ─► signed (TC3-HMAC-SHA256) ─► Pool ─► {"Response":{…}} ─► reply
//!                                ▲                            ├ throttled, or nothing had left: pause, again
//!                                └────────────────────────────┴ unknown, and it only reads: again; else only where that was asked for
//! ```
//!
//! Its keys are those of the data plane, its endpoint another: `tdmq.tencentcloudapi.com`, which needs a region. What it makes is used by
//! [`Client`](crate::Client).

mod builder;
mod list;
mod messages;
mod queue_detail;
mod queues;
mod shared;
mod subscriptions;
mod topics;

use std::fmt;
use std::sync::Arc;

pub use self::builder::ControlClientBuilder;
pub use self::list::Only;
pub use self::queue_detail::{QueueDetail, Transactions};
pub use self::queues::{ChangeQueue, CreateQueue};
use self::shared::Shared;
pub use self::subscriptions::{ChangeSubscription, Subscribe, SubscriptionDetail};
pub use self::topics::{ChangeTopic, CreateTopic, TopicDetail};
pub use crate::proto::tc3::ControlCode;

/// What went wrong on the control plane: kind, the service's code, whether it may have been applied, whether to try again. Its message ends with the
/// request's id, by which the service's support finds it.
///
/// What is found before sending has kind `Invalid`, outcome `NotSent`, the code with which the service would have answered, and a message that names
/// field, value and bound.
pub type ControlError = mq_core::Error<ControlCode>;

/// A result with a [`ControlError`].
pub type Result<T, E = ControlError> = std::result::Result<T, E>;

/// A client of the control plane in one region. Cheap to clone; all clones share its connections.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use mq_cmq::{ControlClient, ControlCode, DeadLetter};
///
/// let control = ControlClient::from_url(
///     "cmq+tc3+https://AKIDxxx:key@tdmq.tencentcloudapi.com?region=ap-guangzhou",
/// )?
/// .build()?;
/// let rule = DeadLetter::after_receives("dead", 3);
/// match control.create_queue("orders").dead_letter(rule).await {
///     Ok(queue) => println!("made as {}", queue.id),
///     Err(error) if error.code() == Some(&ControlCode::QUEUE_EXISTS) => println!("was there"),
///     Err(error) => return Err(error.into()),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ControlClient {
    shared: Arc<Shared>,
}

impl ControlClient {
    /// Starts a client by hand: of `https://tdmq.tencentcloudapi.com`, unless it is told otherwise.
    pub fn builder() -> ControlClientBuilder {
        ControlClientBuilder::new()
    }

    /// Starts a client from `cmq+tc3+https://id:key@host[:port]?region=…`, or `cmq+tc3+http://…` for dev servers.
    ///
    /// The port is 443 or 80 if none is given. Only the option `region` is known. The token of a temporary key is a secret that changes: see
    /// [`Credentials::token`](crate::Credentials::token).
    ///
    /// # Errors
    ///
    /// Kind `Invalid`: the URL can't be read, names another scheme, several hosts, a path or an unknown option. Not retryable. The key is never
    /// part of an error.
    pub fn from_url(url: &str) -> Result<ControlClientBuilder> {
        ControlClientBuilder::from_url(url)
    }

    /// Closes all connections. Requests under way end as `Unknown`, later ones with kind `Closed`.
    pub fn close(&self) {
        self.shared.close();
    }
}

impl fmt::Debug for ControlClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.fmt(f)
    }
}

/// A builder that is awaited.
macro_rules! awaited {
    ($builder:ident => $output:ty) => {
        impl std::future::IntoFuture for $builder {
            type Output = Result<$output>;
            type IntoFuture =
                std::pin::Pin<Box<dyn std::future::Future<Output = Self::Output> + Send>>;

            fn into_future(self) -> Self::IntoFuture {
                Box::pin(self.ask())
            }
        }
    };
}
use awaited;

/// Whole seconds, rounded up.
fn seconds_up(time: std::time::Duration) -> u64 {
    time.as_secs()
        .saturating_add(u64::from(time.subsec_nanos() > 0))
}
