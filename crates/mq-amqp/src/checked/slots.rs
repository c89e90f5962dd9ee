//! Slots: queues of half messages, each consumed by one publisher of the group alone.
//!
//! ```text
//!  a publisher ─► the first slot that nobody has: its own, for what it begins
//!              └► slots with messages that nobody has: taken over until they are empty
//! ```
//!
//! They are numbered from 0, made when they are first needed and never deleted, so that a group has as many as it had publishers at a time.
// rabbitmq-server 3.10: rabbit_amqqueue_process.erl, check_exclusive_access: of a classic queue's consumers an exclusive one is the only one; of quorum
// queues it is not looked at

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytestring::ByteString;
use mq_core::{ErrorKind, Retry};
use tokio::time::{sleep, timeout};

use super::Shared;
use super::lane::{SlotLane, Taker};
use crate::conn::{Channel, Connection, Lane};
use crate::error::{Error, ReplyCode, Result, closed};
use crate::proto::{BasicConsume, BasicQos, ConfirmSelect, Table};
use crate::topology::Queue;

/// A slot that is held.
pub(super) struct Held {
    pub(super) lane: Arc<SlotLane>,
    channel: Channel,
}

impl Held {
    /// Until it is lost, or its consumer cancelled.
    pub(super) async fn lost(&self) {
        while self.lane.is_live() {
            self.lane.changed.notified().await;
        }
    }

    /// Gives the slot back. What was decided is read by the broker before.
    pub(super) async fn release(self) {
        let idle = async {
            while !self.lane.is_idle() && self.lane.is_live() {
                sleep(SOON).await;
            }
        };
        let _ = timeout(PATIENCE, idle).await;
        let _ = timeout(PATIENCE, self.channel.close()).await;
        self.lane.end(&closed("publish", "transactional publisher"));
    }

    pub(super) fn forget(self) {
        self.lane.end(
            &Error::builder(ErrorKind::Disconnected, "the slot is not consumed any more").build(),
        );
    }
}

/// Takes the first slot that nobody has.
///
/// # Errors
///
/// Kind `Busy` if all of them are taken.
pub(super) async fn take_one(shared: &Shared, connection: &Connection) -> Result<Held> {
    for number in 0..shared.slots {
        let name = shared.slot(number);
        match shared.client.queue(&name).await {
            Ok(info) if info.consumers > 0 => continue,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            // On a node that is away.
            Err(error) if error.kind() == ErrorKind::Busy => continue,
            Err(error) => return Err(error),
        }
        match take(shared, connection, name).await {
            Ok(held) => return Ok(held),
            Err(error) if is_taken(&error) => {}
            Err(error) => return Err(error),
        }
    }
    let message = format!(
        "all {} slots of group \"{}\" are taken",
        shared.slots, shared.group
    );
    Err(Error::builder(ErrorKind::Busy, message)
        .operation(BUILD)
        .retry(Retry::Later)
        .hint("allow more slots: as many as there are publishers of the group at a time")
        .build())
}

/// Slots with messages that nobody has.
pub(super) async fn orphans(shared: &Shared) -> Result<Vec<ByteString>> {
    let (mut orphans, mut missing) = (Vec::new(), 0);
    for number in 0..shared.slots {
        let name = shared.slot(number);
        match shared.client.queue(&name).await {
            Ok(info) if info.consumers == 0 && info.messages > 0 => orphans.push(name),
            Ok(_) => {}
            // They are made in their order; one that somebody has deleted, or whose node is away, holds no other up.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                missing += 1;
                if missing > GAP {
                    break;
                }
            }
            Err(error) if error.kind() == ErrorKind::Busy => {}
            Err(error) => return Err(error),
        }
    }
    Ok(orphans)
}

/// Takes this slot.
///
/// # Errors
///
/// [`is_taken`] if somebody else has it.
pub(super) async fn take(
    shared: &Shared,
    connection: &Connection,
    name: ByteString,
) -> Result<Held> {
    // By its kind, since a virtual host may have another one for queues that do not say.
    let of_kind = |name| Queue::classic(name).argument("x-queue-type", "classic");
    let discard = of_kind(shared.discard.clone());
    shared.client.ensure_queue(&discard).await?;
    let slot = of_kind(name.clone());
    shared.client.ensure_queue(&slot).await?;
    let taker: Arc<dyn Taker> = Arc::<super::Halves>::clone(&shared.halves);
    let weak: Weak<dyn Taker> = Arc::downgrade(&taker);
    let lane = SlotLane::new(name.clone(), weak);
    let channel = Channel::open(connection, Arc::<SlotLane>::clone(&lane) as Arc<dyn Lane>).await?;
    let qos = BasicQos {
        prefetch_size: 0,
        prefetch_count: shared.prefetch,
        global: false,
    };
    channel.call(qos).await?;
    channel.call(ConfirmSelect { nowait: false }).await?;
    let consume = BasicConsume {
        reserved_1: 0,
        queue: name,
        consumer_tag: ByteString::new(),
        no_local: false,
        no_ack: false,
        exclusive: true,
        nowait: false,
        arguments: Table::new(),
    };
    channel.call(consume).await?;
    lane.opened(connection, channel.key());
    Ok(Held { lane, channel })
}

/// Whether somebody else has the slot.
pub(super) fn is_taken(error: &Error) -> bool {
    error.kind() == ErrorKind::Rejected && error.code() == Some(&ReplyCode::ACCESS_REFUSED)
}

/// So many slots may be missing before one that is there.
const GAP: u32 = 4;
const BUILD: &str = "transactional publisher";
const SOON: Duration = Duration::from_millis(5);
/// How long who gives a slot back waits for what is under way.
const PATIENCE: Duration = Duration::from_secs(2);
