//! A foreign client that is asked one call after the other: a JSON line in, a JSON line out.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::{Failure, build};

/// A running client. Dropped, its process is killed.
#[derive(Debug)]
pub(super) struct Asked {
    what: &'static str,
    calls: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

impl Asked {
    /// Starts it; `what` is its name in failures.
    pub(super) fn start(what: &'static str, mut command: Command) -> Result<Self, Failure> {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true);
        let mut child = command
            .spawn()
            .map_err(|error| build::spawn_failure(&command, &error))?;
        let (Some(calls), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Failure::Output("no pipes to the client".to_owned()));
        };
        Ok(Self {
            what,
            calls,
            answers: BufReader::new(answers).lines(),
            _child: child,
        })
    }

    pub(super) const fn what(&self) -> &'static str {
        self.what
    }

    /// As [`ask`](Self::ask), but an answer with another `code` than 0 is [`Failure::Failed`], with its `error`.
    pub(super) async fn call(&mut self, action: &str, params: Value) -> Result<Value, Failure> {
        let answer = self.ask(action, params).await?;
        let code = answer.get("code").and_then(Value::as_i64);
        let Some(code) = code.and_then(|code| i32::try_from(code).ok()) else {
            let why = format!("{}: no code in {answer}", self.what);
            return Err(Failure::Output(why));
        };
        if code == 0 {
            return Ok(answer);
        }
        let error = answer.get("error").and_then(Value::as_str);
        let error = error.unwrap_or_default().to_owned();
        Err(Failure::Failed { code, error })
    }

    /// Asks for an action, with parameters in a JSON object, and gives the answer as it is.
    pub(super) async fn ask(&mut self, action: &str, params: Value) -> Result<Value, Failure> {
        let mut call = match params {
            Value::Object(params) => params,
            _ => Map::new(),
        };
        call.insert("Action".to_owned(), action.into());
        let line = format!("{}\n", Value::Object(call));
        let broken = |error| Failure::Output(format!("{} at {action}: {error}", self.what));
        let written = self.calls.write_all(line.as_bytes()).await;
        written.map_err(broken)?;
        let answer = timeout(DEADLINE, self.answers.next_line())
            .await
            .map_err(|_| Failure::TimedOut {
                what: format!("{} at {action}", self.what),
                lines: Vec::new(),
            })?;
        let Some(answer) = answer.map_err(broken)? else {
            let why = format!("{} ended at {action}", self.what);
            return Err(Failure::Output(why));
        };
        serde_json::from_str(&answer)
            .map_err(|error| Failure::Output(format!("{error} in the line {answer}")))
    }
}

/// A long poll of 30 s, and a busy machine.
const DEADLINE: Duration = Duration::from_secs(45);
