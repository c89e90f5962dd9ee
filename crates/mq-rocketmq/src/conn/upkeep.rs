//! What a client does by itself: heartbeats, fresh routes, and asking after servers that are away.

use std::sync::{Arc, Weak};
use std::time::Duration;

use mq_core::Endpoint;

use super::{Done, Failure, Waiter};
use crate::client::{Board, Shared};

/// Starts the client's own tasks.
pub(crate) fn start_upkeep(shared: &Arc<Shared>) {
    let weak = Arc::downgrade(shared);
    shared
        .tasks
        .spawn(upkeep(Weak::clone(&weak), Arc::clone(&shared.board)));
    shared
        .tasks
        .spawn(look_after(weak, Arc::clone(&shared.board)));
}

async fn upkeep(shared: Weak<Shared>, board: Arc<Board>) {
    loop {
        let all = tokio::select! {
            () = tokio::time::sleep(PERIOD) => true,
            // One that was restarted has forgotten who is here.
            () = board.returned.notified() => false,
        };
        let Some(shared) = shared.upgrade() else {
            return;
        };
        if all {
            shared.forget_others();
            for topic in shared.routes.topics() {
                shared.routes.refresh_soon(&topic);
            }
        }
        if let Err(error) = shared.heartbeat_now().await {
            tracing::warn!(%error, "a heartbeat failed");
        }
    }
}

/// Asks the servers that are away until they answer, so that no send need find out.
async fn look_after(shared: Weak<Shared>, board: Arc<Board>) {
    let mut any_away = false;
    loop {
        tokio::select! {
            () = board.trouble.notified() => {}
            () = tokio::time::sleep(pause()), if any_away => {}
        }
        let Some(shared) = shared.upgrade() else {
            return;
        };
        board.keep_only(&shared.known_endpoints());
        any_away = false;
        for peer in board.all_away() {
            any_away = true;
            let asked = Asked(Arc::clone(&board), peer.clone());
            shared.connections.ask_after(&peer, Box::new(asked));
        }
    }
}

struct Asked(Arc<Board>, Endpoint);

impl Waiter for Asked {
    fn done(self: Box<Self>, result: Result<Done, Failure>) {
        if result.is_ok() {
            self.0.answered(&self.1);
        }
    }
}

/// Not all clients at once.
fn pause() -> Duration {
    ASK.mul_f64(0.75 + fastrand::f64() / 2.0)
}

/// Shorter than Java's 30 s, so that new queues are in use after 30 s at the latest.
// apache/rocketmq: ClientConfig, heartbeatBrokerInterval and pollNameServerInterval
const PERIOD: Duration = Duration::from_secs(20);
const ASK: Duration = Duration::from_secs(1);
