//! Order by convention: a key's messages go to one of several queues, numbered, and are put back in order where they are received.
//!
//! ```text
//!  send(key, body) ─► lane of the key: one under way ─► number it ─► queue name-(hash % N)
//!                                                                        │ redelivered, shuffled, twice
//!  recv │ run ◄─ one at a time ◄─ sequencer: next number? twice? a gap? ◄┘ one shard: a task
//!       └─ ack ─► delete, confirmed ─► the next
//! ```
//!
//! CMQ keeps no strict order, and has neither leases nor message attributes. What this module adds is a convention between its own producers
//! and consumers, in the body of the messages:
//!
//! `{"v":1,"producer":"8a51…","epoch":1700000000123,"key":"customer-7","seq":3,"payload":"paid"}`
//!
//! Names of producers and keys have up to 256 bytes; a body where they are longer is a [`Foreign`](Continuity::Foreign) one.
//!
//! A *stream* is what one producer sends with one key in one epoch; its numbers are 1, 2, 3, …. The queue of a key is
//! `name-(FNV-1a-64(key in UTF-8) % N)`.
//!
//! **What holds**, while every shard has one active consumer: the messages of a stream are handed out in the order of their numbers, the next
//! one when the one before was acknowledged and its delete answered; a message that comes again after that is deleted unseen; a number that is missing is
//! waited for, and then reported as a [`SequenceGap`], or passed over as [`Continuity::Resumed`] where an earlier consumer may have handled it; never in
//! silence.
//!
//! **What does not hold:**
//! - *One consumer a shard is for you to see to*: [`OrderedConsumerBuilder::shards`]. CMQ can't lock a queue; two consumers of one
//!   shard both wait for what the other one has.
//! - *A consumer that starts anew has forgotten what was handled.* A stream that it meets in the middle is held for
//!   [`gap_after`](OrderedConsumerBuilder::gap_after), so that what its predecessor held comes back, and then taken up at the lowest number
//!   there is: [`Continuity::Resumed`]. What turns up later from before that point is handed out too, as [`Continuity::Late`]: rather
//!   late or twice than never. A message whose delete was not confirmed before the restart comes twice; numbers that are missing behind one
//!   that somebody had received before are taken for handled, those behind one that nobody had are a gap. (A service that does not count
//!   receives leaves that to clocks: streams and messages that are ten minutes younger than this consumer are its own.)
//! - *Between epochs there is no order*: a producer that starts anew, a key that was [abandoned](OrderedProducer::abandon) or that was
//!   not used while 100 000 others were, begins an epoch. Neither is there order between producers.
//! - *A dead-letter rule that counts receives* makes gaps: what is held out of order and given back counts.
//! - *Other clients see the envelope.* Messages of theirs, without one, are handed out as they come, without a key.
//! - *A change of the number of shards* moves keys: empty the queues before.

mod consumer;
mod delivery;
mod envelope;
mod gap;
mod lanes;
mod producer;
mod sequencer;
mod shard;

use std::sync::Arc;

pub use self::consumer::{GapDecision, OrderedConsumer, OrderedConsumerBuilder, OrderedCounts};
pub use self::delivery::{OrderedDelivery, OrderedHeld};
pub use self::gap::SequenceGap;
pub use self::producer::{OrderedMessage, OrderedProducer, OrderedReceipt, OrderedSend};
pub use self::sequencer::Continuity;
use crate::client::Client;
use crate::error::{Result, invalid};
use crate::queue::Queue;

/// A name with its shards: the queues `name-0`, `name-1`, …, which have to exist. See the [module](self). Made by [`Client::ordered`].
#[derive(Debug, Clone)]
pub struct Ordered {
    shards: Arc<[Queue]>,
}

impl Client {
    /// A handle of `shards` queues that carry an order by convention; nothing is sent. See [`ordered`](crate::ordered).
    ///
    /// # Errors
    ///
    /// Kind `Invalid`: no shard or more than 1000, or not the name of a queue with `-` and the highest number behind it.
    pub fn ordered(&self, name: &str, shards: usize) -> Result<Ordered> {
        if !(1..=MOST_SHARDS).contains(&shards) {
            let message = format!("the number of shards is 1 to {MOST_SHARDS}");
            return Err(invalid("ordered", message));
        }
        let queues = (0..shards).map(|at| self.queue(&format!("{name}-{at}")));
        Ok(Ordered {
            shards: queues.collect::<Result<_>>()?,
        })
    }
}

impl Ordered {
    /// The number of the shard of a key: FNV-1a of 64 bits over its UTF-8, modulo the number of shards. It does not change with versions of this crate.
    pub fn shard_of(&self, key: &str) -> usize {
        let hash = key.bytes().fold(FNV_OFFSET, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME)
        });
        let count = self.shards.len() as u64;
        usize::try_from(hash % count).unwrap_or_default()
    }

    /// The queues, by number: to make, describe or empty them.
    pub fn shards(&self) -> &[Queue] {
        &self.shards
    }

    /// A producer with a name and an epoch of its own.
    pub fn producer(&self) -> OrderedProducer {
        OrderedProducer::new(self)
    }

    /// Options of a consumer of all shards, or [some](OrderedConsumerBuilder::shards).
    pub fn consumer(&self) -> OrderedConsumerBuilder {
        OrderedConsumerBuilder::new(self.clone())
    }

    fn queue_of(&self, key: &str) -> Option<&Queue> {
        self.shards.get(self.shard_of(key))
    }
}

// The FNV hash, parameters of 64 bits
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;
const MOST_SHARDS: usize = 1000;
