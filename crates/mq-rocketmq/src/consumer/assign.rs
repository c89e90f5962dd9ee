//! Which queues of a topic are this consumer's, when every member of the group works it out alone.
//!
//! ```text
//!   members, from a broker ──┐ sorted                    ┌─ averagely, circle, machine_room, nearby, hash: a file each
//!   queues, from the route ──┴──► AllocationInput ──► decide ──► those of them that the topic has
//! ```
//!
//! All members, whatever their language, have to come to the same split from the same lists, or queues are read twice or never. So
//! order and arithmetic are Java's to the letter.
// apache/rocketmq 5.5.0: the strategies are in client/…/client/consumer/rebalance, and RebalanceImpl.rebalanceByTopic asks them

mod averagely;
mod circle;
mod hash;
mod input;
mod machine_room;
mod nearby;

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

pub(crate) use self::input::Group;
use self::input::Lists;
use self::input::Undecided;
pub use self::input::{AllocationInput, QueueRef};
use self::nearby::Rooms;
use crate::conn::QueueId;
use crate::error::{Result, invalid};

/// How the queues of a topic are shared out among the members of a group.
///
/// Each member works out its own share from what the brokers tell it. So **all members of a group have to use the same**, with the same
/// settings: where two differ, queues are read twice or by nobody. The first six give what the Java client gives, and members may be
/// either.
///
/// | here | Java's | gives every queue to one member |
/// |---|---|---|
/// | [`averagely`](Self::averagely), the default | `AllocateMessageQueueAveragely` | yes |
/// | [`circle`](Self::circle) | `AllocateMessageQueueAveragelyByCircle` | yes |
/// | [`consistent_hash`](Self::consistent_hash) | `AllocateMessageQueueConsistentHash` | yes |
/// | [`nearby`](Self::nearby) | `AllocateMachineRoomNearby` | as the one inside |
/// | [`machine_rooms`](Self::machine_rooms) | `AllocateMessageQueueByMachineRoom` | those of its rooms |
/// | [`fixed`](Self::fixed) | `AllocateMessageQueueByConfig` | as its lists do |
/// | [`custom`](Self::custom) | an `AllocateMessageQueueStrategy` | as it does |
///
/// Each topic is shared out by itself, the group's retry topic among them. As long as the brokers don't list this client as a member,
/// its queues stay as they are.
///
/// ```
/// use mq_rocketmq::Allocation;
///
/// // Clients are 10.<room>.x.y@…, brokers are called <room>-a, <room>-b …
/// let broker_room = |broker: &str| Some(broker.split_once('-')?.0.to_owned());
/// let client_room = |client: &str| Some(client.split('.').nth(1)?.to_owned());
/// let allocation = Allocation::nearby(Allocation::circle(), broker_room, client_room);
/// ```
#[derive(Clone)]
pub struct Allocation(Way);

#[derive(Clone)]
enum Way {
    Averagely,
    Circle,
    Hash(u16),
    Nearby(Arc<Allocation>, Rooms),
    MachineRooms(Arc<BTreeSet<String>>),
    Fixed(Arc<[QueueRef]>),
    Custom(Arc<str>, Custom),
}

type Custom = Arc<dyn Fn(&AllocationInput<'_>) -> Vec<QueueRef> + Send + Sync>;

impl Allocation {
    /// Runs of neighbouring queues, of equal length: of 5 queues the first of two members has 0, 1 and 2.
    pub const fn averagely() -> Self {
        Self(Way::Averagely)
    }

    /// Queues in turn, as cards are dealt: of 5 queues the first of two members has 0, 2 and 4. With it each member has queues of every broker.
    pub const fn circle() -> Self {
        Self(Way::Circle)
    }

    /// By a hash ring on which each member has so many places; Java has 10 where nothing is said. When a member comes or goes, fewer queues move than
    /// with the others, and shares are less equal: the more places, the more equal they are, and the longer each rebalance takes.
    ///
    /// 0 is refused by [`ConsumerBuilder::build`](crate::ConsumerBuilder::build): nobody would get a queue.
    pub const fn consistent_hash(virtual_nodes: u16) -> Self {
        Self(Way::Hash(virtual_nodes))
    }

    /// The queues of a machine room are shared out among the members in that room, those of a room without members among all, each time by
    /// `inside`.
    ///
    /// `broker_room` gives the room of a broker by its name, `client_room` that of a member by its client id, `<ip>@<instance>`. They are
    /// asked in every rebalance, and must not block. If one of them answers `None` or an empty name, the queues stay as they are, and
    /// [`ConsumerBuilder::build`](crate::ConsumerBuilder::build) fails with kind `Invalid`.
    pub fn nearby(
        inside: Self,
        broker_room: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
        client_room: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        let rooms = Rooms {
            broker: Arc::new(broker_room),
            client: Arc::new(client_room),
        };
        Self(Way::Nearby(Arc::new(inside), rooms))
    }

    /// Averagely, but only the queues of brokers in these machine rooms, where brokers are called `room@broker`. Nobody gets the others. What
    /// does not divide goes to the first members, one queue each from the end of the list.
    pub fn machine_rooms(rooms: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let rooms = rooms.into_iter().map(Into::into).collect();
        Self(Way::MachineRooms(Arc::new(rooms)))
    }

    /// These queues, whoever else is in the group. Of the list, what belongs to other topics or does not exist is passed over.
    ///
    /// The list has to name the group's retry topic too, `%RETRY%` and the group, one queue a broker and its number 0: a message that failed
    /// comes again to the member that has the queue, and to nobody if none has it.
    pub fn fixed(queues: impl IntoIterator<Item = QueueRef>) -> Self {
        Self(Way::Fixed(queues.into_iter().collect()))
    }

    /// As `decide` decides; the name is for logs. It is asked with lists that have this client and at least one queue in them, in every rebalance, and
    /// must not block. Queues in its answer that the topic does not have are passed over. If it panics, the queues stay as they are.
    pub fn custom(
        name: impl Into<Arc<str>>,
        decide: impl Fn(&AllocationInput<'_>) -> Vec<QueueRef> + Send + Sync + 'static,
    ) -> Self {
        Self(Way::Custom(name.into(), Arc::new(decide)))
    }

    /// Whether it is a ring without places.
    pub(crate) fn is_empty_ring(&self) -> bool {
        match &self.0 {
            Way::Hash(virtual_nodes) => *virtual_nodes == 0,
            Way::Nearby(inside, _) => inside.is_empty_ring(),
            _ => false,
        }
    }

    /// What of `queues`, those of one topic, is ours; `None` if we are not among the `ids`, when the list is too old to decide by. Both lists come in any
    /// order.
    pub(crate) fn allocate(
        &self,
        group: &Group<'_>,
        ids: &[String],
        queues: &[QueueId],
    ) -> Result<Option<Vec<QueueId>>> {
        let lists = Lists::new(group, ids, queues);
        let answer = catch_unwind(AssertUnwindSafe(|| self.decide(&lists.input(group))))
            .unwrap_or(Err(Undecided::Panicked));
        let answer = match answer {
            Ok(answer) => answer,
            Err(Undecided::Unlisted) => return Ok(None),
            Err(Undecided::NoRoom(whose)) => {
                return Err(invalid(
                    "rebalance",
                    format!("{whose} is in no machine room"),
                ));
            }
            Err(Undecided::Panicked) => {
                return Err(invalid("rebalance", format!("{self:?} panicked")));
            }
        };
        let wanted: HashSet<(&str, i32)> = answer
            .iter()
            .filter(|queue| lists.have_topic_of(queue, group))
            .map(|queue| (queue.broker(), queue.queue()))
            .collect();
        let ours = queues
            .iter()
            .filter(|queue| wanted.contains(&(&*queue.broker, queue.id)));
        Ok(Some(ours.cloned().collect()))
    }

    /// In the order in which Java answers, and with what it says twice.
    ///
    /// Where the topic has no queues Java's strategies throw; here nobody gets any.
    fn decide(&self, input: &AllocationInput<'_>) -> std::result::Result<Vec<QueueRef>, Undecided> {
        match &self.0 {
            Way::Averagely => averagely::decide(input),
            Way::Circle => circle::decide(input),
            Way::Hash(virtual_nodes) => hash::decide(*virtual_nodes, input),
            Way::Nearby(inside, rooms) => nearby::decide(inside, rooms, input),
            Way::MachineRooms(rooms) => machine_room::decide(rooms, input),
            // Java's does not look at the lists either.
            Way::Fixed(queues) => Ok(queues.to_vec()),
            Way::Custom(_, decide) => {
                input.index()?;
                Ok(if input.queues.is_empty() {
                    Vec::new()
                } else {
                    decide(input)
                })
            }
        }
    }
}

impl Default for Allocation {
    /// [`averagely`](Self::averagely)
    fn default() -> Self {
        Self::averagely()
    }
}

impl fmt::Debug for Allocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Way::Averagely => f.write_str("averagely"),
            Way::Circle => f.write_str("circle"),
            Way::Hash(virtual_nodes) => write!(f, "consistent_hash({virtual_nodes})"),
            Way::Nearby(inside, _) => write!(f, "nearby({inside:?})"),
            Way::MachineRooms(rooms) => write!(f, "machine_rooms({rooms:?})"),
            Way::Fixed(queues) => write!(f, "fixed({} queues)", queues.len()),
            Way::Custom(name, _) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests;
