//! The task of a transactional publisher: keeps its slot, takes over those of who is gone, and asks.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytestring::ByteString;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use mq_core::ErrorKind;
use tokio::time::{Instant, sleep};

use super::slots::{self, Held};
use super::{Own, Shared, checks};
use crate::conn::{Link, now};
use crate::consumer::attend::begin;
use crate::error::{Error, Result, closed};

/// Takes a slot and leaves the rest to a task.
///
/// # Errors
///
/// What taking the first slot answers.
pub(super) async fn start(shared: &Arc<Shared>, link: Link) -> Result<()> {
    let connection = link.soon().await?;
    let first = slots::take_one(shared, &connection).await?;
    shared.own.send_replace(Own::Live(Arc::clone(&first.lane)));
    begin(&shared.client, attend(Arc::clone(shared), link, first));
    Ok(())
}

async fn attend(shared: Arc<Shared>, link: Link, first: Held) {
    tokio::join!(
        keep(&shared, &link, first),
        take_over(&shared, &link),
        checks::ask_when_due(&shared),
        checks::renew_old(&shared),
    );
}

/// Keeps a slot of its own, and says when there will be none any more.
async fn keep(shared: &Shared, link: &Link, first: Held) {
    let why = hold(shared, link, first).await;
    shared.own.send_replace(Own::Ended(why));
}

async fn hold(shared: &Shared, link: &Link, first: Held) -> Error {
    let closed = || closed("begin", "transactional publisher");
    let mut held = first;
    loop {
        let since = now();
        tokio::select! {
            () = held.lost() => {}
            () = shared.ending() => {
                held.release().await;
                return closed();
            }
        }
        let before = held.lane.queue.clone();
        held.forget();
        if now() < since + SHORTEST {
            // Whatever costs the channel at once is not to be done as fast as the broker can.
            sleep(SHORTEST).await;
        }
        shared.own.send_replace(Own::Away(None));
        tokio::select! {
            again = again(shared, link, &before) => match again {
                Ok(again) => held = again,
                Err(why) => return why,
            },
            () = shared.ending() => return closed(),
        }
        shared.own.send_replace(Own::Live(Arc::clone(&held.lane)));
    }
}

/// The slot that it had, where what it has begun is, or any other one.
async fn again(shared: &Shared, link: &Link, before: &ByteString) -> Result<Held> {
    let (mut pause, since) = (SHORTEST, now());
    loop {
        let connection = link.up().await?;
        let taken = match slots::take(shared, &connection, before.clone()).await {
            // By this publisher itself: the broker may not have heard yet that its channel is gone.
            Err(error) if slots::is_taken(&error) && now() < since + SOON => Err(error),
            Err(error) if slots::is_taken(&error) || error.kind() == ErrorKind::Busy => {
                slots::take_one(shared, &connection).await
            }
            taken => taken,
        };
        match taken {
            Ok(held) => return Ok(held),
            Err(error) => {
                tracing::debug!(group = %shared.group, %error, "no slot could be taken");
                shared.own.send_replace(Own::Away(Some(error)));
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST);
    }
}

/// Takes over slots whose publishers have been gone for a while, until they are empty.
async fn take_over(shared: &Shared, link: &Link) {
    let mut seen: HashMap<ByteString, Instant> = HashMap::new();
    let mut serving = FuturesUnordered::new();
    loop {
        tokio::select! {
            () = sleep(shared.takeover_after / 2) => {}
            Some(()) = serving.next() => continue,
            () = shared.ending() => break,
        }
        let orphans = match slots::orphans(shared).await {
            Ok(orphans) => orphans,
            Err(error) if error.kind() == ErrorKind::Closed => return,
            Err(error) => {
                tracing::debug!(group = %shared.group, %error, "could not look for slots of who is gone");
                continue;
            }
        };
        seen.retain(|name, _| orphans.contains(name));
        for name in orphans {
            let since = *seen.entry(name.clone()).or_insert_with(now);
            // Who has lost a connection only comes back to it.
            if since + shared.takeover_after / 2 <= now() {
                seen.remove(&name);
                serving.push(serve(shared, link, name));
            }
        }
    }
    while serving.next().await.is_some() {}
}

/// Holds a slot of somebody who is gone until it is empty.
async fn serve(shared: &Shared, link: &Link, name: ByteString) {
    let Ok(connection) = link.up().await else {
        return;
    };
    let held = match slots::take(shared, &connection, name.clone()).await {
        Ok(held) => held,
        // Somebody else was faster; or it is tried again.
        Err(error) => {
            tracing::debug!(slot = %name, %error, "a slot was not taken over");
            return;
        }
    };
    tracing::info!(slot = %name, group = %shared.group, "took over half messages of a publisher that is gone");
    loop {
        tokio::select! {
            () = held.lost() => return held.forget(),
            () = shared.ending() => return held.release().await,
            () = sleep(LOOK) => {}
        }
        let left = shared.client.queue(&name).await;
        let empty = left.is_ok_and(|info| info.messages == 0);
        if empty && shared.halves.held_by(&held.lane) == 0 {
            return held.release().await;
        }
    }
}

/// So long it waits for the slot that it had.
const SOON: Duration = Duration::from_secs(1);
const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(5);
/// How often it is looked whether a slot that was taken over is empty.
const LOOK: Duration = Duration::from_millis(500);
