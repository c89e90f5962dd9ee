//! The queues of a machine room among the members in it, those of a room without members among all.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Allocation, AllocationInput, QueueRef, Undecided};

/// Who is where.
#[derive(Clone)]
pub(super) struct Rooms {
    pub(super) broker: Resolver,
    pub(super) client: Resolver,
}

type Resolver = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// A room's name as UTF-16, by which Java sorts.
type Room = Vec<u16>;

// apache/rocketmq 5.5.0: AllocateMachineRoomNearby
pub(super) fn decide(
    inside: &Allocation,
    rooms: &Rooms,
    input: &AllocationInput<'_>,
) -> Result<Vec<QueueRef>, Undecided> {
    input.index()?;
    if input.queues.is_empty() {
        return Ok(Vec::new());
    }
    let mut queues: BTreeMap<Room, Vec<QueueRef>> = BTreeMap::new();
    for queue in input.queues {
        let room = room(&rooms.broker, "broker", queue.broker())?;
        queues.entry(room).or_default().push(queue.clone());
    }
    let mut members: BTreeMap<Room, Vec<String>> = BTreeMap::new();
    for id in input.members {
        let room = room(&rooms.client, "client", id)?;
        members.entry(room).or_default().push(id.clone());
    }

    let own = room(&rooms.client, "client", input.own)?;
    let mut ours = Vec::new();
    if let (Some(queues), Some(members)) = (queues.remove(&own), members.get(&own)) {
        ours = inside.decide(&AllocationInput {
            queues: &queues,
            members,
            ..*input
        })?;
    }
    let deserted = queues
        .iter()
        .filter(|(room, _)| !members.contains_key(*room));
    for (_, queues) in deserted {
        ours.extend(inside.decide(&AllocationInput { queues, ..*input })?);
    }
    Ok(ours)
}

fn room(resolver: &Resolver, what: &str, name: &str) -> Result<Room, Undecided> {
    resolver(name)
        .filter(|room| !room.is_empty())
        .map(|room| room.encode_utf16().collect())
        .ok_or_else(|| Undecided::NoRoom(format!("{what} \"{name}\"")))
}
