//! What is answered to a decision.

use std::fmt;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use mq_core::{ErrorKind, Outcome};
use tokio::time::timeout;

use super::core::Heard;
use crate::error::{Error, Result};

/// Says whether a decision holds. The decision was recorded when the call was made, and holds also if this is dropped.
#[must_use = "it says whether the decision holds"]
pub struct Settling(Answer);

enum Answer {
    Known(Ready<Result<()>>),
    Asked(BoxFuture<'static, Result<()>>),
}

impl Settling {
    pub(super) fn asked(answer: BoxFuture<'static, Result<()>>) -> Self {
        Self(Answer::Asked(answer))
    }

    pub(super) fn known(result: Result<()>) -> Self {
        Self(Answer::Known(ready(result)))
    }
}

impl Future for Settling {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Answer::Known(result) => Pin::new(result).poll(cx),
            Answer::Asked(answer) => answer.as_mut().poll(cx),
        }
    }
}

impl fmt::Debug for Settling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settling").finish_non_exhaustive()
    }
}

/// Waits for the broker's word.
pub(super) async fn confirmed(heard: Heard, within: Duration) -> Result<()> {
    let (kind, message) = match timeout(within, heard).await {
        Ok(Ok(result)) => return result,
        Ok(Err(_)) => (ErrorKind::Closed, "the consumer is gone".to_owned()),
        Err(_) => {
            let message = format!("the broker did not confirm it within {within:?}");
            (ErrorKind::Timeout, message)
        }
    };
    let error = Error::builder(kind, message).operation("settle");
    Err(error.outcome(Outcome::Unknown).build())
}
