//! Asking the provider for keys: one task, so that a crowd of refused requests asks once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mq_core::{Clock, ErrorKind, Retry};

use crate::auth::{Hope, Keys};
use crate::error::{Error, Result};

/// Asks whenever somebody wants it, until the client ends.
pub(super) async fn renew(keys: Arc<Keys>, clock: Arc<dyn Clock>, limit: Duration) {
    loop {
        keys.wanted.notified().await;
        if let Err(error) = ask(&keys, &*clock, limit, "renew keys").await {
            tracing::warn!(%error, "the keys could not be renewed");
        }
    }
}

/// Asks the provider now.
pub(crate) async fn ask(
    keys: &Keys,
    clock: &dyn Clock,
    limit: Duration,
    operation: &'static str,
) -> Result<()> {
    let Some(provider) = keys.provider() else {
        return Ok(());
    };
    let before = keys.signer().1;
    let failed = |message: &str| {
        Error::builder(ErrorKind::Auth, message)
            .operation(operation)
            .retry(Retry::Later)
    };
    let fresh = match tokio::time::timeout(limit, provider.provide()).await {
        Ok(Ok(fresh)) => fresh,
        Ok(Err(cause)) => {
            keys.answered(None, clock.now())?;
            let error = failed("the credentials provider gave no keys");
            return Err(error.source(cause).build());
        }
        Err(_) => {
            keys.answered(None, clock.now())?;
            let late = format!("the credentials provider gave no keys within {limit:?}");
            return Err(failed(&late).build());
        }
    };
    keys.answered(Some(fresh), clock.now())?;
    if keys.signer().1 != before {
        tracing::info!("requests are signed with other keys from now on");
    }
    Ok(())
}

/// Whether there are later keys than those of `generation`, which were refused: at once, or when the provider has answered.
pub(super) async fn renewed(
    keys: &Keys,
    generation: u64,
    clock: &dyn Clock,
    until: Instant,
) -> bool {
    let mut hope = keys.refused(generation, clock.now());
    while let Hope::Asking(round) = hope {
        let answered = keys.asked.notified();
        tokio::pin!(answered);
        // From here on no answer is missed.
        answered.as_mut().enable();
        hope = keys.look(generation, round);
        if hope != Hope::Asking(round) {
            break;
        }
        if tokio::time::timeout_at(until.into(), answered)
            .await
            .is_err()
        {
            return false;
        }
        hope = keys.look(generation, round);
    }
    hope == Hope::Renewed
}
