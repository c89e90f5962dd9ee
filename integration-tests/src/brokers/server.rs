//! One server process that can be killed, frozen and started again: a RocketMQ server, a RabbitMQ node.

use std::process::Child;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::Signal;

use super::process::{Identity, Program, end_group, tail};
use super::signals::Stop;
use super::state::Run;
use super::{Error, Result, now};

/// A program under its name in the run's state.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) name: &'static str,
    pub(super) program: Program,
    run: Run,
    /// Replaced by a restart; `None` while nothing was started.
    child: Mutex<Option<Child>>,
}

impl Server {
    pub(super) fn new(name: &'static str, program: Program, run: &Run) -> Self {
        Self {
            name,
            program,
            run: run.clone(),
            child: Mutex::new(None),
        }
    }

    /// Starts it; recorded before it runs.
    pub(super) fn spawn(&self) -> Result<()> {
        let child = self
            .program
            .spawn(|process| self.run.record(self.name, process))?;
        *self.child() = Some(child);
        Ok(())
    }

    /// Asks until it answers.
    pub(super) fn wait_ready(
        &self,
        stop: &Stop,
        answer: impl Fn() -> Result<(), String>,
    ) -> Result<()> {
        let deadline = now() + READY;
        loop {
            let Err(reason) = answer() else { return Ok(()) };
            stop.check()?;
            if let Err(gone) = self.identity() {
                return Err(self.failed(&gone.to_string()));
            }
            if now() >= deadline {
                return Err(self.failed(&format!("not ready after {READY:?}: {reason}")));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    pub(super) fn pid(&self) -> Result<u32> {
        Ok(self.identity()?.pid.unsigned_abs())
    }

    pub(super) fn kill9(&self) -> Result<()> {
        self.identity()?;
        self.end();
        Ok(())
    }

    /// Kills it if it runs, and reaps it.
    pub(super) fn end(&self) {
        if let Some(mut child) = self.child().take() {
            end_group(&mut child);
        }
    }

    /// Freezes it; returns when every thread stands still.
    pub(super) fn stop(&self) -> Result<()> {
        self.signal(Signal::STOP)?;
        let process = self.identity()?;
        while process.alive() && !process.stopped() {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    pub(super) fn cont(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Has it end by itself (SIGTERM); killed if it takes too long.
    pub(super) fn shutdown(&self) -> Result<()> {
        self.signal(Signal::TERM)?;
        let deadline = now() + SHUTDOWN;
        while self.identity().is_ok() {
            if now() >= deadline {
                self.end();
                let name = self.name;
                return Err(Error::new(format!("{name} runs on after {SHUTDOWN:?}")));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.end();
        Ok(())
    }

    fn failed(&self, why: &str) -> Error {
        let log = tail(&self.program.log);
        Error::new(format!("{} did not start: {why}\n{log}", self.name))
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        if self.identity()?.signal(signal) {
            return Ok(());
        }
        Err(self.gone())
    }

    fn identity(&self) -> Result<Identity> {
        let mut child = self.child();
        let running = child.as_mut().ok_or_else(|| self.gone())?;
        if matches!(running.try_wait(), Ok(None)) {
            Identity::of(running.id())
        } else {
            Err(self.gone())
        }
    }

    fn gone(&self) -> Error {
        Error::new(format!("{} does not run", self.name))
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Seven seconds on an idle machine, 35 were seen on a loaded one.
const READY: Duration = Duration::from_secs(120);
/// RabbitMQ takes six seconds.
const SHUTDOWN: Duration = Duration::from_secs(30);
