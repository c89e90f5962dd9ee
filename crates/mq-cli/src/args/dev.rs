//! What can be typed after `mq dev` and `mq demo`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::EXIT_CODES;

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Dev {
    #[command(subcommand)]
    pub(crate) broker: DevBroker,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DevBroker {
    /// A CMQ server: queues and topics over HTTP, and over TCP on request, until Ctrl-C
    ///
    /// Prints its URL on stdout, with the credentials of development that it accepts: AKIDdev and dev-secret. Whoever reaches its port can do
    /// everything with them. With --gateway two lines follow: the URL for clients over TCP, and that of the control plane.
    #[command(after_help = EXIT_CODES)]
    Cmq(DevCmq),
}

#[derive(Debug, Args)]
pub(crate) struct DevCmq {
    /// Where to listen; port 0 is any free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:0")]
    pub(crate) listen: String,
    /// Serve CMQ's TCP protocol too, with transactions, and listen for it there; port 0 is any free one
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) gateway: Option<String>,
    /// What clients are told that ask where the gateway is, if they reach it by another address, as from outside of a container
    #[arg(
        long,
        value_name = "HOST:PORT",
        requires = "gateway",
        env = "MQ_DEV_ADVERTISE"
    )]
    pub(crate) advertise: Option<String>,
    /// Queues, topics and subscriptions to begin with: [[queue]], [[topic]] and [[subscription]] with a name each
    #[arg(long, value_name = "FILE.toml")]
    pub(crate) seed: Option<PathBuf>,
    /// What goes wrong: KIND[:REQUEST][=TIME][@N|%P], with commas between
    ///
    /// lose-one, shuffle, redeliver%10, drop-reply:send@3, delay:receive=200ms%10, 500, half-body, cut, restart@100. REQUEST is send, receive,
    /// delete, publish or an action such as SendMessage; @N the nth of them, %P so many in a hundred.
    #[arg(long, value_name = "SPEC")]
    pub(crate) fault: Option<String>,
    /// Go on with what is in this file, if it is there, and write everything into it at the end
    #[arg(long, value_name = "FILE")]
    pub(crate) snapshot: Option<PathBuf>,
    /// Where messages of HTTP subscriptions are pushed to; any includes this machine and the network around it
    #[arg(long, value_name = "WHERE", default_value = "off")]
    pub(crate) push: PushTo,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PushTo {
    Off,
    Public,
    Any,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// What goes wrong, as for mq dev: lose-one loses a message, so that the demo fails
    #[arg(long, value_name = "SPEC")]
    pub(crate) fault: Option<String>,
}
