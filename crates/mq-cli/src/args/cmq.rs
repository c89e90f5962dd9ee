//! The flags as CMQ has them: some are absent, some mean something else.

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Command, CommandFactory as _};

use super::Typed;

/// The command with CMQ's own help.
pub(super) fn command() -> Command {
    Typed::command().mut_subcommand("cmq", |mut cmq| {
        for (name, _) in NO_COMMANDS {
            cmq = cmq.mut_subcommand(name, |it| it.hide(true));
        }
        for (name, flag, _) in NO_FLAGS {
            cmq = cmq.mut_subcommand(name, |it| it.mut_arg(flag, |arg| arg.hide(true)));
        }
        for (name, arg, help) in OTHER_HELP {
            let change = |it: clap::Arg| it.help(help).long_help(None);
            cmq = cmq.mut_subcommand(name, |it| it.mut_arg(arg, change));
        }
        for (name, about) in OTHER_ABOUT {
            cmq = cmq.mut_subcommand(name, |it| it.about(about).long_about(None));
        }
        cmq
    })
}

/// Refuses what CMQ lacks, instead of taking it without effect.
pub(super) fn check(matches: &ArgMatches, command: &mut Command) -> Result<(), clap::Error> {
    let Some(("cmq", cmq)) = matches.subcommand() else {
        return Ok(());
    };
    let Some((name, typed)) = cmq.subcommand() else {
        return Ok(());
    };
    let absent = NO_COMMANDS.iter().find(|(absent, _)| *absent == name);
    let absent = absent.map(|(name, why)| format!("mq cmq has no {name}: {why}"));
    let is_typed = |flag: &str| typed.value_source(flag) == Some(ValueSource::CommandLine);
    let flag = NO_FLAGS
        .iter()
        .find(|(of, flag, _)| *of == name && is_typed(flag));
    let flag = flag.map(|(_, flag, why)| format!("--{}: {why}", flag.replace('_', "-")));
    match absent.or(flag) {
        Some(told) => Err(command.error(ErrorKind::ArgumentConflict, told)),
        None => Ok(()),
    }
}

const NO_COMMANDS: [(&str, &str); 3] = [
    ("cancel", "a message that was sent can't be taken back"),
    ("groups", "there are no consumer groups"),
    (
        "lag",
        "there are no consumer groups; describe shows what a queue holds",
    ),
];

const NO_FLAGS: [(&str, &str, &str); 11] = [
    ("send", "key", "CMQ's messages have no keys"),
    ("send", "properties", "CMQ's messages have no properties"),
    (
        "send",
        "deliver_level",
        "CMQ has no delay levels: use --deliver-after",
    ),
    ("send", "compress", "CMQ's bodies are text"),
    (
        "recv",
        "group",
        "CMQ has no consumer groups: a message goes to one receiver of its queue",
    ),
    (
        "recv",
        "from",
        "a queue is received from its oldest message on",
    ),
    (
        "recv",
        "filter",
        "CMQ filters where a queue is subscribed to a topic",
    ),
    ("bench", "group", "CMQ has no consumer groups"),
    ("topics", "all", "CMQ has no topics of its own making"),
    ("create", "queues", "write QUEUE/SHARDS as the name"),
    ("create", "group", "CMQ has no consumer groups"),
];

const OTHER_HELP: [(&str, &str, &str); 12] = [
    (
        "send",
        "topic",
        "A queue, QUEUE/SHARDS with --ordering-key, or topic:NAME[/ROUTING.KEY]",
    ),
    ("send", "tag", "The tag of what is published to a topic"),
    (
        "send",
        "ordering_key",
        "Keep the order of the messages that have the same one, by mq-cmq's convention",
    ),
    (
        "send",
        "deliver_after",
        "Deliver it so long from now, such as 5s or 1h30m, rounded up to seconds",
    ),
    (
        "send",
        "deliver_at",
        "Deliver it at this time, such as 2026-11-20T12:00:00Z, rounded up to seconds",
    ),
    ("recv", "topic", "A queue, or QUEUE/SHARDS with --ordered"),
    (
        "recv",
        "ordered",
        "In order, by mq-cmq's convention: the next message of a shard comes when the one before it is acknowledged",
    ),
    (
        "recv",
        "no_ack",
        "Print without acknowledging: the messages come again, counted, when the queue's visibility timeout ends",
    ),
    ("bench", "topic", "A queue, or QUEUE/SHARDS with --ordered"),
    (
        "create",
        "name",
        "A queue, QUEUE/SHARDS, or topic:NAME; topic:NAME/ makes one that routes by key",
    ),
    ("delete", "name", "A queue, QUEUE/SHARDS, or topic:NAME"),
    ("describe", "name", "A queue, QUEUE/SHARDS, or topic:NAME"),
];

const OTHER_ABOUT: [(&str, &str); 5] = [
    (
        "bench",
        "Put load on a queue, and print how fast that went and what it cost",
    ),
    ("topics", "List the queues and topics"),
    ("describe", "Show how many messages a queue or topic holds"),
    (
        "create",
        "Create a queue or topic; on TDMQ that is done in the console",
    ),
    ("delete", "Delete a queue or topic with its messages"),
];
