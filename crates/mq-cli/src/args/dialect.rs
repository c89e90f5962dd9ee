//! The flags as one protocol has them: some are absent, some mean something else.

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Command};

/// How a protocol differs from what all commands are written for.
pub(super) struct Dialect {
    /// As it is typed.
    pub(super) protocol: &'static str,
    /// Commands that it lacks, and why.
    pub(super) no_commands: &'static [(&'static str, &'static str)],
    /// Flags of a command that it lacks, and why.
    pub(super) no_flags: &'static [(&'static str, &'static str, &'static str)],
    /// What a command's argument is here.
    pub(super) other_help: &'static [(&'static str, &'static str, &'static str)],
    /// What a command does here.
    pub(super) other_about: &'static [(&'static str, &'static str)],
}

impl Dialect {
    /// The command with the protocol's own help.
    pub(super) fn adapt(&self, command: Command) -> Command {
        command.mut_subcommand(self.protocol, |mut protocol| {
            for (name, _) in self.no_commands {
                protocol = protocol.mut_subcommand(name, |it| it.hide(true));
            }
            for (name, flag, _) in self.lacking() {
                let hide = |it: Command| it.mut_arg(flag, |arg| arg.hide(true));
                protocol = protocol.mut_subcommand(name, hide);
            }
            for (name, arg, help) in self.other_help {
                let change = |it: clap::Arg| it.help(*help).long_help(None);
                protocol = protocol.mut_subcommand(name, |it| it.mut_arg(arg, change));
            }
            for (name, about) in self.other_about {
                protocol = protocol.mut_subcommand(name, |it| it.about(*about).long_about(None));
            }
            protocol
        })
    }

    /// Flags of a command that the protocol lacks, and why.
    fn lacking(&self) -> impl Iterator<Item = &(&'static str, &'static str, &'static str)> {
        let others = if self.protocol == PULSARS {
            &[][..]
        } else {
            OF_PULSAR
        };
        self.no_flags.iter().chain(others)
    }

    /// Refuses what the protocol lacks, instead of taking it without effect.
    pub(super) fn check(
        &self,
        matches: &ArgMatches,
        command: &mut Command,
    ) -> Result<(), clap::Error> {
        let of_protocol = matches
            .subcommand()
            .filter(|(protocol, _)| *protocol == self.protocol);
        let Some((name, typed)) = of_protocol.and_then(|(_, typed)| typed.subcommand()) else {
            return Ok(());
        };
        let absent = self.no_commands.iter().find(|(absent, _)| *absent == name);
        let absent = absent.map(|(name, why)| format!("mq {} has no {name}: {why}", self.protocol));
        let is_typed = |flag: &str| typed.value_source(flag) == Some(ValueSource::CommandLine);
        let flag = self
            .lacking()
            .find(|(of, flag, _)| *of == name && is_typed(flag));
        let flag = flag.map(|(_, flag, why)| format!("--{}: {why}", flag.replace('_', "-")));
        match absent.or(flag) {
            Some(told) => Err(command.error(ErrorKind::ArgumentConflict, told)),
            None => Ok(()),
        }
    }
}

const PULSARS: &str = "pulsar";
const BATCHES: &str = "how messages go together is said to Pulsar's client alone";
const SHARING: &str = "types of subscription are Pulsar's alone";
/// What Pulsar alone has.
const OF_PULSAR: &[(&str, &str, &str)] = &[
    ("send", "batch_messages", BATCHES),
    ("send", "batch_bytes", BATCHES),
    ("send", "linger", BATCHES),
    ("recv", "subscription_type", SHARING),
    ("bench", "batch_messages", BATCHES),
    ("bench", "batch_bytes", BATCHES),
    ("bench", "linger", BATCHES),
    ("bench", "subscription_type", SHARING),
];
