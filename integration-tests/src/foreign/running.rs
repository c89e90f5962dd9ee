//! The process of a foreign client, from its start to its last line.

use std::{
    process::{ExitStatus, Stdio},
    time::Duration,
};

use serde::de::DeserializeOwned;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};

use super::{Failure, build, output};

#[derive(Debug)]
pub(super) struct Running {
    pub(super) what: String,
    pub(super) child: Child,
    pub(super) lines: JoinHandle<Vec<String>>,
    pub(super) complaints: JoinHandle<Vec<String>>,
    pub(super) ready: Option<oneshot::Receiver<()>>,
}

impl Running {
    /// Starts it; `what` is its name in failures.
    pub(super) fn start(what: String, mut command: Command) -> Result<Self, Failure> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command
            .spawn()
            .map_err(|error| build::spawn_failure(&command, &error))?;
        let (up, ready) = oneshot::channel();
        let lines = tokio::spawn(read_lines(child.stdout.take(), None));
        let complaints = tokio::spawn(read_lines(child.stderr.take(), Some(up)));
        Ok(Self {
            what,
            child,
            lines,
            complaints,
            ready: Some(ready),
        })
    }

    /// Waits until it says that it is up, or has ended.
    pub(super) async fn ready(&mut self, deadline: Duration) -> Result<(), Failure> {
        if let Some(ready) = self.ready.take()
            && timeout(deadline, ready).await.is_err()
        {
            return Err(self.timed_out().await);
        }
        Ok(())
    }

    /// The client has its own time-out; ours is a little later, for one that hangs.
    pub(super) async fn finish<T: DeserializeOwned>(
        mut self,
        deadline: Duration,
    ) -> Result<Vec<T>, Failure> {
        let Ok(ended) = timeout(deadline + GRACE, self.child.wait()).await else {
            return Err(self.timed_out().await);
        };
        let status = ended.map_err(|error| Failure::Output(format!("{}: {error}", self.what)))?;
        if status.success() {
            return parse(&self.lines().await);
        }
        Err(self.failure(status).await)
    }

    async fn failure(&mut self, status: ExitStatus) -> Failure {
        if status.code() == Some(TIMED_OUT) {
            return self.timed_out().await;
        }
        let lines = self.lines().await;
        let reported = lines
            .last()
            .and_then(|line| serde_json::from_str(line).ok());
        match reported {
            Some(output::Reported { error, code }) if status.code() == Some(REFUSED) => {
                Failure::Refused { code, error }
            }
            Some(output::Reported { error, code }) => Failure::Failed { code, error },
            None => {
                let complaints = (&mut self.complaints).await.unwrap_or_default().join("\n");
                Failure::Output(format!("{} ended with {status}: {complaints}", self.what))
            }
        }
    }

    pub(super) async fn timed_out(&mut self) -> Failure {
        // It may be gone already.
        let _ = self.child.kill().await;
        Failure::TimedOut {
            what: self.what.clone(),
            lines: self.lines().await,
        }
    }

    pub(super) async fn lines(&mut self) -> Vec<String> {
        (&mut self.lines).await.unwrap_or_default()
    }
}

async fn read_lines(
    from: Option<impl AsyncRead + Unpin>,
    mut ready: Option<oneshot::Sender<()>>,
) -> Vec<String> {
    let mut all = Vec::new();
    let Some(from) = from else { return all };
    let mut lines = BufReader::new(from).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if line == "ready"
            && let Some(ready) = ready.take()
        {
            // Nobody may be waiting for it.
            let _ = ready.send(());
        }
        if all.len() < MAX_LINES {
            all.push(line);
        }
    }
    all
}

pub(super) fn parse<T: DeserializeOwned>(lines: &[String]) -> Result<Vec<T>, Failure> {
    let parse = |line: &String| {
        serde_json::from_str(line)
            .map_err(|error| Failure::Output(format!("{error} in the line {line}")))
    };
    lines.iter().map(parse).collect()
}

const GRACE: Duration = Duration::from_secs(15);
const MAX_LINES: usize = 100_000;
/// Exit codes of the contract, see `foreign/java/…/Main.java`.
const REFUSED: i32 = 4;
const TIMED_OUT: i32 = 5;
