//! Turns SIGINT, SIGTERM and SIGHUP into a flag that every wait of the launcher looks at.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use tokio::signal::unix::{SignalKind, signal};

use super::{Context, Error, Result};

/// Raised by the first signal. A library user has one that is never raised.
#[derive(Debug, Clone, Default)]
pub(super) struct Stop(Arc<AtomicI32>);

impl Stop {
    /// Listens from now on; the signals no longer end the process by themselves.
    pub(super) fn on_signals() -> Result<Self> {
        let stop = Self::default();
        let raised = stop.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .context(|| "cannot watch signals".to_owned())?;
        let (mut int, mut term, mut hup) = {
            let _inside = runtime.enter();
            let open = |kind| signal(kind).context(|| "cannot watch signals".to_owned());
            (
                open(SignalKind::interrupt())?,
                open(SignalKind::terminate())?,
                open(SignalKind::hangup())?,
            )
        };
        // Ends with the process: there is nothing to join it for.
        std::thread::spawn(move || {
            runtime.block_on(async {
                loop {
                    let number = tokio::select! {
                        _ = int.recv() => SignalKind::interrupt(),
                        _ = term.recv() => SignalKind::terminate(),
                        _ = hup.recv() => SignalKind::hangup(),
                    };
                    raised.0.store(number.as_raw_value(), Ordering::Relaxed);
                }
            });
        });
        Ok(stop)
    }

    #[cfg(test)]
    pub(super) fn raised_for_test() -> Self {
        Self(Arc::new(AtomicI32::new(
            SignalKind::terminate().as_raw_value(),
        )))
    }

    /// The number of the signal that was received last.
    pub(super) fn raised(&self) -> Option<i32> {
        Some(self.0.load(Ordering::Relaxed)).filter(|number| *number != 0)
    }

    /// Fails once a signal was received.
    pub(super) fn check(&self) -> Result<()> {
        match self.raised() {
            Some(number) => Err(Error::new(format!("interrupted by signal {number}"))),
            None => Ok(()),
        }
    }
}
