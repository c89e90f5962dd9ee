//! The command line of `brokers`: parse, check, act.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line speaks to a terminal"
)]

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use rustix::process::Signal;

use super::environment::without_package;
use super::process::{Identity, end_all, tree};
use super::signals::Stop;
use super::state::{self, State};
use super::{Context, Profile, Result, docker, home, now};

/// Starts real brokers on loopback, and takes them down again.
#[derive(Debug, Parser)]
#[command(name = "brokers", version)]
struct Cli {
    #[command(subcommand)]
    command: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Start brokers, print their variables, and leave them running.
    Up {
        #[command(flatten)]
        what: What,
    },
    /// End what `up` started, and what a killed launcher left.
    Down {
        /// Containers instead of native processes.
        #[arg(long)]
        docker: bool,
    },
    /// Show what runs.
    Status {
        /// Containers instead of native processes.
        #[arg(long)]
        docker: bool,
    },
    /// Start brokers, run a command with their variables, take the brokers down, and exit with the
    /// command's code (128 + n if signal n ended it).
    Run {
        #[command(flatten)]
        what: What,
        /// The command and its arguments, behind `--`.
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
}

#[derive(Debug, clap::Args)]
struct What {
    /// Which brokers; one profile of a protocol at a time [default: rocketmq]
    #[arg(long = "profile", value_enum, value_name = "PROFILE")]
    profiles: Vec<Profile>,
    /// Containers (`docker compose`) instead of native processes; never run on an engine.
    #[arg(long)]
    docker: bool,
}

/// Runs the `brokers` binary; returns its exit code: 0, 1 for a failure, 2 for wrong usage, or the
/// code of the command that was run.
pub fn main() -> u8 {
    let cli = match Cli::try_parse().and_then(checked) {
        Ok(cli) => cli,
        Err(usage) => {
            // Nothing is left to be done if the terminal is gone.
            let _ = usage.print();
            return u8::try_from(usage.exit_code()).unwrap_or(2);
        }
    };
    let stop = match Stop::on_signals() {
        Ok(stop) => stop,
        Err(cause) => return report(&cause, 1),
    };
    match act(cli.command, &stop) {
        Ok(code) => code,
        Err(cause) => report(&cause, stop.raised().map_or(1, signal_code)),
    }
}

fn checked(mut cli: Cli) -> Result<Cli, clap::Error> {
    if let Action::Up { what } | Action::Run { what, .. } = &mut cli.command {
        if what.profiles.is_empty() {
            what.profiles.push(Profile::Rocketmq);
        }
        for (index, profile) in what.profiles.iter().enumerate() {
            let mut earlier = what.profiles.iter().take(index);
            if let Some(other) = earlier.find(|other| other.protocol() == profile.protocol()) {
                let text = format!(
                    "profiles {other} and {profile} are both {}: one of a protocol at a time",
                    profile.protocol()
                );
                return Err(Cli::command().error(ErrorKind::ArgumentConflict, text));
            }
        }
    }
    Ok(cli)
}

fn act(action: Action, stop: &Stop) -> Result<u8> {
    match action {
        Action::Up { what } => up(&what, stop),
        Action::Down { docker: true } => docker::down().map(|()| 0),
        Action::Down { docker: false } => down(stop),
        Action::Status { docker: true } => docker::status().map(|()| 0),
        Action::Status { docker: false } => Ok(status()),
        Action::Run { what, command } => run(&what, &command, stop),
    }
}

fn up(what: &What, stop: &Stop) -> Result<u8> {
    for profile in &what.profiles {
        if what.docker {
            print_variables(&docker::up(*profile)?);
            continue;
        }
        state::sweep(&home(), stop)?;
        let same = |state: &State| {
            state.detached && state.profile().map(Profile::protocol) == Some(profile.protocol())
        };
        match state::list(&home()).into_iter().find(same) {
            Some(state) if state.profile != profile.name() => {
                return Err(super::Error::new(format!(
                    "profile {} is up already, and {profile} is the same protocol: \
                     run `brokers down` first",
                    state.profile
                )));
            }
            Some(state) if whole(&state) => print_variables(&state.variables),
            // A broker of it has died since.
            Some(_) => {
                state::end_detached(&home(), same, stop)?;
                start_detached(*profile, stop)?;
            }
            None => start_detached(*profile, stop)?,
        }
    }
    Ok(0)
}

fn start_detached(profile: Profile, stop: &Stop) -> Result<()> {
    let brokers = profile.start(stop)?;
    let variables = brokers.variables();
    brokers.detach()?;
    print_variables(&variables);
    Ok(())
}

fn down(stop: &Stop) -> Result<u8> {
    let ended = state::end_detached(&home(), |_| true, stop)?;
    for state in &ended {
        println!("{} at {} ended", state.profile, state.endpoint);
    }
    if ended.is_empty() {
        println!("nothing was up");
    }
    Ok(0)
}

fn status() -> u8 {
    let all = state::list(&home());
    if all.is_empty() {
        println!("nothing runs");
    }
    for state in all {
        let whose = match (state.detached, state.owner.alive()) {
            (true, _) => "up".to_owned(),
            (false, true) => format!("of process {}", state.owner.pid),
            (false, false) => "left by a killed launcher".to_owned(),
        };
        let entrance = state.profile().map_or("profile", Profile::entrance);
        let answers = if answers(&state) {
            "answers"
        } else {
            "does not answer"
        };
        println!(
            "{} at {}: {whose}, the {entrance} {answers}",
            state.profile, state.endpoint
        );
        for server in &state.servers {
            let runs = if server.process.alive() {
                "runs"
            } else {
                "is gone"
            };
            println!("  {} (process {}) {runs}", server.name, server.process.pid);
        }
    }
    0
}

fn run(what: &What, command: &[OsString], stop: &Stop) -> Result<u8> {
    let mut running = Vec::new();
    let mut containers = Containers { running: false };
    let mut variables = Vec::new();
    for profile in &what.profiles {
        if what.docker {
            // Also when starting fails half way.
            containers.running = true;
            variables.extend(docker::up(*profile)?);
        } else {
            let brokers = profile.start(stop)?;
            variables.extend(brokers.variables());
            running.push(brokers);
        }
    }
    stop.check()?;
    let code = execute(command, &variables, stop)?;
    drop(running);
    containers.end()?;
    Ok(code)
}

/// Ends containers on every way out of `run`.
struct Containers {
    running: bool,
}

impl Containers {
    fn end(&mut self) -> Result<()> {
        if std::mem::take(&mut self.running) {
            docker::down()
        } else {
            Ok(())
        }
    }
}

impl Drop for Containers {
    fn drop(&mut self) {
        if let Err(cause) = self.end() {
            report(&cause, 1);
        }
    }
}

fn execute(command: &[OsString], variables: &[(String, String)], stop: &Stop) -> Result<u8> {
    let Some((program, args)) = command.split_first() else {
        return Ok(0);
    };
    // In the launcher's own process group, so that it may read from the terminal.
    let mut child = without_package(&mut Command::new(program))
        .args(args)
        .envs(variables.iter().cloned())
        .spawn()
        .context(|| format!("cannot run {}", program.display()))?;
    loop {
        if let Some(status) = child
            .try_wait()
            .context(|| "cannot wait for it".to_owned())?
        {
            return Ok(stop.raised().map_or_else(|| exit_code(status), signal_code));
        }
        if let Some(number) = stop.raised() {
            end_command(&mut child, number)?;
            return Ok(signal_code(number));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Passes a signal on to the command and all it started; what doesn't go is ended.
fn end_command(child: &mut Child, number: i32) -> Result<()> {
    let root = Identity::of(child.id())?;
    let mut all = tree(root);
    for process in &all {
        process.signal(Signal::from_named_raw(number).unwrap_or(Signal::TERM));
    }
    let deadline = now() + Duration::from_secs(5);
    while now() < deadline && matches!(child.try_wait(), Ok(None)) {
        std::thread::sleep(Duration::from_millis(20));
    }
    // What it started since.
    all.extend(tree(root));
    end_all(&all);
    child
        .wait()
        .context(|| "cannot wait for the command".to_owned())?;
    Ok(())
}

fn exit_code(status: ExitStatus) -> u8 {
    match (status.code(), status.signal()) {
        (Some(code), _) => u8::try_from(code).unwrap_or(1),
        (None, signal) => signal.map_or(1, signal_code),
    }
}

fn signal_code(number: i32) -> u8 {
    u8::try_from(128 + number).unwrap_or(1)
}

/// `up`'s output is meant for `eval`: a URL with test credentials is quoted.
fn print_variables(variables: &[(String, String)]) {
    for (name, value) in variables {
        println!("export {name}='{value}'");
    }
}

/// Whether each process of a run lives and it answers.
fn whole(state: &State) -> bool {
    answers(state) && state.processes().iter().all(|process| process.alive())
}

fn answers(state: &State) -> bool {
    let asked = state.endpoint.parse().ok().zip(state.profile());
    asked.is_some_and(|(endpoint, profile)| profile.answers(endpoint))
}

fn report(cause: &super::Error, code: u8) -> u8 {
    eprintln!("brokers: {cause}");
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Cli, clap::Error> {
        let all = std::iter::once("brokers").chain(args.iter().copied());
        Cli::try_parse_from(all).and_then(checked)
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_default_profile_is_rocketmq() {
        let cli = parse(&["run", "--", "cargo", "test", "--", "--ignored"]).unwrap();
        let Action::Run { what, command } = cli.command else {
            panic!("not run")
        };
        assert_eq!(what.profiles, [Profile::Rocketmq]);
        assert_eq!(command, ["cargo", "test", "--", "--ignored"]);
    }

    #[test]
    fn each_profile_has_the_name_that_it_prints() {
        for profile in Profile::ALL {
            let cli = parse(&["up", "--profile", profile.name()]).unwrap();
            let Action::Up { what } = cli.command else {
                panic!("not up")
            };
            assert_eq!(what.profiles, [profile]);
            assert_eq!(Profile::named(profile.name()), Some(profile));
        }
    }

    #[test]
    fn a_profile_of_each_protocol_may_run() {
        let cli = parse(&["up", "--profile", "rocketmq", "--profile", "rabbitmq"]).unwrap();
        let Action::Up { what } = cli.command else {
            panic!("not up")
        };
        assert_eq!(what.profiles, [Profile::Rocketmq, Profile::Rabbitmq]);
    }

    #[test]
    fn wrong_usage_is_code_2() {
        for args in [
            &[
                "run",
                "--profile",
                "rocketmq",
                "--profile",
                "rocketmq4",
                "--",
                "true",
            ][..],
            &["up", "--profile", "rocketmq", "--profile", "rocketmq"],
            &["up", "--profile", "kafka"],
            &["run"],
            &["run", "true"],
            &[],
        ] {
            assert_eq!(parse(args).unwrap_err().exit_code(), 2, "{args:?}");
        }
    }

    #[test]
    fn codes_are_those_of_a_shell() {
        assert_eq!(exit_code(ExitStatus::from_raw(7 << 8)), 7);
        assert_eq!(exit_code(ExitStatus::from_raw(15)), 143);
        assert_eq!(signal_code(2), 130);
    }
}
