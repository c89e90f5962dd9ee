//! The gateways of a client: a link each, made when it is first needed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use mq_core::Endpoint;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::link::{Call, Command, Link, LinkOptions};
use super::pool::Failure;
use super::tasks::Tasks;
use crate::proto::tcp::Packet;

/// See the module.
pub(crate) struct Gateways {
    options: LinkOptions,
    links: Mutex<HashMap<Endpoint, Link>>,
}

impl Gateways {
    pub(crate) fn new(options: LinkOptions) -> Self {
        Self {
            options,
            links: Mutex::default(),
        }
    }

    /// Sends a packet to a gateway and waits for its answer, all until `deadline`.
    pub(crate) async fn call(
        &self,
        gateway: &Endpoint,
        packet: Box<Packet>,
        deadline: Instant,
        tasks: &Tasks,
    ) -> Result<Box<Packet>, Failure> {
        let sent = Arc::new(AtomicBool::new(false));
        let (answer, answered) = oneshot::channel();
        let call = Call {
            packet,
            deadline,
            sent: Arc::clone(&sent),
            answer,
        };
        let link = self.link(gateway, tasks);
        let exchange = async {
            link.tell(Command::Call(Box::new(call))).await?;
            answered.await.unwrap_or(Err(Failure::Closed))
        };
        let left = deadline.saturating_duration_since(self.options.clock.now());
        // Read when nobody waits any more: see `Session::submit`.
        let sent = || {
            fence(Ordering::SeqCst);
            sent.load(Ordering::SeqCst)
        };
        match timeout(left, exchange).await {
            // The client was closed while it was under way.
            Ok(Err(Failure::Closed)) if sent() => Err(Failure::Broken("the client closed".into())),
            Ok(result) => result,
            Err(_) => Err(Failure::Timeout { sent: sent() }),
        }
    }

    /// Has a link stay connected, from now on.
    pub(crate) async fn stay(&self, gateway: &Endpoint, tasks: &Tasks) -> Result<(), Failure> {
        self.link(gateway, tasks).tell(Command::Stay).await
    }

    /// Forgets the gateways that no route names; each ends with the last request under way.
    pub(crate) fn keep_only(&self, named: &[Endpoint]) {
        self.links().retain(|gateway, _| named.contains(gateway));
    }

    /// Ends all links with the last requests under way.
    pub(crate) fn close(&self) {
        self.links().clear();
    }

    fn link(&self, gateway: &Endpoint, tasks: &Tasks) -> Link {
        let mut links = self.links();
        if let Some(link) = links.get(gateway).filter(|link| !link.is_gone()) {
            return link.clone();
        }
        let link = Link::start(gateway.clone(), self.options.clone(), tasks);
        links.insert(gateway.clone(), link.clone());
        link
    }

    fn links(&self) -> MutexGuard<'_, HashMap<Endpoint, Link>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
