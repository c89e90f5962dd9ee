//! The task of a publisher: keeps a channel in confirm mode open.

use std::sync::Arc;
use std::time::Duration;

use mq_core::ErrorKind;

use super::core::Core;
use crate::client::Client;
use crate::conn::{Channel, Connection, Lane, Link};
use crate::error::{Error, Result, closed};
use crate::proto::ConfirmSelect;
use crate::rpc::Replies;

/// Opens the first channel and leaves the rest to a task.
///
/// # Errors
///
/// What opening the first channel answers.
pub(super) async fn start(client: &Client, core: Arc<Core>, link: Link) -> Result<()> {
    let connection = link.soon().await?;
    let channel = open(&core, &connection).await?;
    client.tasks().spawn(attend(core, link, channel));
    Ok(())
}

async fn open(core: &Arc<Core>, connection: &Connection) -> Result<Channel> {
    let lane: Arc<dyn Lane> = Arc::<Core>::clone(core);
    let channel = Channel::open(connection, lane).await?;
    core.begin(channel.key());
    channel.call(ConfirmSelect { nowait: false }).await?;
    if core.replies.is_some() {
        channel.call(Replies::consume()).await?;
    }
    if !core.opened(connection, channel.key()) {
        let lost = Error::builder(
            ErrorKind::Disconnected,
            "the channel was closed as it opened",
        );
        return Err(lost.build());
    }
    Ok(channel)
}

async fn attend(core: Arc<Core>, link: Link, first: Channel) {
    let mut channel = Some(first);
    loop {
        if channel.is_some() {
            core.changed.notified().await;
        }
        if core.is_done() {
            core.end(&closed("send", "publisher"));
            return;
        }
        if channel
            .as_ref()
            .is_some_and(|channel| core.holds(channel.key()))
        {
            // Something else has changed.
            continue;
        }
        drop(channel.take());
        let connection = match link.up().await {
            Ok(connection) => connection,
            Err(why) => {
                core.end(&why);
                return;
            }
        };
        match open(&core, &connection).await {
            Ok(opened) => channel = Some(opened),
            Err(error) => {
                tracing::debug!(%error, "no channel to publish on");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Between attempts to open a channel on a connection that stands.
const PAUSE: Duration = Duration::from_millis(100);
