//! What a driver tells of its connection.

use std::sync::Arc;

use mq_core::Endpoint;
use tokio::sync::mpsc;

use super::Command;

/// Told what became of a connection.
pub(crate) type OnContact = Arc<dyn Fn(&Endpoint, Contact<'_>) + Send + Sync>;

/// What became of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Contact<'a> {
    Made,
    /// It could not be made.
    Failed(&'a Arc<str>),
    /// It broke or was given up.
    Lost(&'a Arc<str>),
    /// It has ended, and nobody wants another.
    Forgotten(&'a Arc<str>),
}

/// Nothing has failed if nobody wants the connection any more.
pub(super) fn ended<'a>(commands: &mpsc::Receiver<Command>, how: Contact<'a>) -> Contact<'a> {
    match how {
        Contact::Lost(why) | Contact::Failed(why) if commands.is_closed() => {
            Contact::Forgotten(why)
        }
        how => how,
    }
}
