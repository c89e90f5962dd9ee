//! What a client does by itself: heartbeats and fresh routes.

use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::client::Shared;

/// Starts the client's own task.
pub(crate) fn start_upkeep(shared: &Arc<Shared>) {
    let weak = Arc::downgrade(shared);
    shared.tasks.spawn(upkeep(weak));
}

async fn upkeep(shared: Weak<Shared>) {
    loop {
        tokio::time::sleep(PERIOD).await;
        let Some(shared) = shared.upgrade() else {
            return;
        };
        for topic in shared.routes.topics() {
            shared.routes.refresh_soon(&topic);
        }
        if let Err(error) = shared.heartbeat_now().await {
            tracing::warn!(%error, "a heartbeat failed");
        }
    }
}

// apache/rocketmq: ClientConfig, heartbeatBrokerInterval and pollNameServerInterval
const PERIOD: Duration = Duration::from_secs(30);
