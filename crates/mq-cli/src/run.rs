//! The command from its arguments to its exit code.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use tokio::runtime::{Builder, Runtime};
use tracing_subscriber::EnvFilter;

use crate::adapter::Broker;
use crate::args::{Subject, Typed};
use crate::exit::{Exit, Failure, redact};
use crate::interrupt::Interrupt;
use crate::output::{Output, say};
use crate::plan::{Plan, Task};
use crate::{bench, change, demo, dev, inspect, recv, send};

/// Runs `mq` with these arguments, the first of which is its own name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let typed = match Typed::read(&arguments) {
        Ok(typed) => typed,
        Err(told) => return tell(&told, &arguments).into(),
    };
    let report = |failure: &Failure| report(failure, &arguments);
    let typed = match typed.subject {
        Subject::Client(typed) => typed,
        Subject::Dev(typed) => {
            start_log(dev::LOG);
            let exit = dev::run(typed);
            return exit.unwrap_or_else(|failure| report(&failure)).into();
        }
        Subject::Demo(typed) => {
            // The flows tell what happens themselves.
            start_log("error");
            let exit = demo::run(&typed);
            return exit.unwrap_or_else(|failure| report(&failure)).into();
        }
    };
    let plan = match Plan::new(typed, |name| std::env::var(name).ok()) {
        Ok(plan) => plan,
        Err(failure) => return report(&failure).into(),
    };
    for warning in &plan.warnings {
        say(format_args!("warning: {warning}"));
    }
    start_log("warn");
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(failure) => return report(&failure).into(),
    };
    let exit = runtime.block_on(act(plan));
    // A thread that still waits for stdin must not hold up the end.
    runtime.shutdown_background();
    exit.unwrap_or_else(|failure| report(&failure)).into()
}

pub(crate) fn runtime() -> Result<Runtime, Failure> {
    started(Runtime::new())
}

/// Of one thread: for what has one lock and little to do beside, handing tasks between threads costs more than it brings.
pub(crate) fn small_runtime() -> Result<Runtime, Failure> {
    started(Builder::new_current_thread().enable_all().build())
}

fn started(runtime: io::Result<Runtime>) -> Result<Runtime, Failure> {
    runtime.map_err(|cause| Failure::Local("start".to_owned(), cause))
}

async fn act(plan: Plan) -> Result<Exit, Failure> {
    let interrupt = Interrupt::listen()?;
    let broker = tokio::select! {
        connected = Broker::connect(plan.target, plan.options) => connected?,
        () = interrupt.clone().wanted() => return Ok(Exit::Done),
    };
    let mut output = Output::stdout();
    let done = match plan.task {
        Task::Send(plan) => send::send(&broker, plan, interrupt, &mut output).await,
        Task::Recv(plan) => recv::recv(&broker, plan, interrupt, &mut output).await,
        Task::Cancel { handle } => change::cancel(&broker, &handle, &mut output).await,
        Task::Bench(plan) => bench::bench(&broker, plan, interrupt, &mut output).await,
        Task::Topics { all, json } => inspect::topics(&broker, all, json, &mut output).await,
        Task::Groups { json } => inspect::groups(&broker, json, &mut output).await,
        Task::Describe { topic, json } => {
            inspect::describe(&broker, &topic, json, &mut output).await
        }
        Task::Lag { group, json } => inspect::lag(&broker, &group, json, &mut output).await,
        Task::Create { name, what } => change::create(&broker, &name, what).await,
        Task::Delete { name, what } => change::delete(&broker, &name, what).await,
    };
    let closed = broker.close().await;
    let exit = done?;
    closed?;
    Ok(exit)
}

/// Says what went wrong, unless nobody is there to whom it matters.
fn report(failure: &Failure, typed: &[OsString]) -> Exit {
    if !matches!(failure, Failure::ClosedPipe) {
        say(redact(&failure.to_string(), typed));
    }
    if matches!(failure, Failure::Usage(_)) {
        say("try --help");
    }
    failure.exit()
}

/// Help and version to stdout, what is wrong with the arguments to stderr.
fn tell(told: &clap::Error, typed: &[OsString]) -> Exit {
    let rendered = told.render();
    let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let written = if told.use_stderr() {
        let colour = colour && io::stderr().is_terminal();
        let text = if colour {
            rendered.ansi().to_string()
        } else {
            rendered.to_string()
        };
        write!(io::stderr(), "{}", redact(&text, typed))
    } else if colour && io::stdout().is_terminal() {
        write!(io::stdout(), "{}", rendered.ansi())
    } else {
        write!(io::stdout(), "{rendered}")
    };
    match (written, told.use_stderr()) {
        (_, true) => Exit::Usage,
        // Whoever closes the pipe has read enough of the help.
        (Err(cause), false) if cause.kind() != io::ErrorKind::BrokenPipe => Exit::Failed,
        (_, false) => Exit::Done,
    }
}

/// Warnings of the clients go to stderr; `RUST_LOG` asks for more or less.
fn start_log(default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let started = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(colour && io::stderr().is_terminal())
        .with_target(false)
        .try_init();
    // Only a second call in one process fails, and the first one's log is as good.
    drop(started);
}
