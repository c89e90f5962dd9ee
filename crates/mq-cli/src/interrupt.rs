//! Ctrl-C: the first drains, the second leaves at once.

use std::io;

use tokio::sync::watch;

use crate::exit::Failure;
use crate::output::say;

/// Whether the user wants to end.
#[derive(Debug, Clone)]
pub(crate) struct Interrupt(watch::Receiver<bool>);

impl Interrupt {
    /// Starts listening.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let (sender, receiver) = watch::channel(false);
        let mut signals = Signals::new()
            .map_err(|cause| Failure::Local("listen for signals".to_owned(), cause))?;
        tokio::spawn(async move {
            signals.next().await;
            // Nobody may be interested any more.
            let _ = sender.send(true);
            say("stopping; once more leaves at once");
            signals.next().await;
            std::process::exit(KILLED);
        });
        Ok(Self(receiver))
    }

    /// Resolves when the user wants to end.
    pub(crate) async fn wanted(mut self) {
        if self.0.wait_for(|wanted| *wanted).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    #[expect(clippy::unnecessary_wraps, reason = "it can fail on other systems")]
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// What a shell reports of a command that Ctrl-C ended.
const KILLED: i32 = 130;
