//! A read buffer that takes room as it grows.

use bytes::BytesMut;
use tokio::time::Instant;

use crate::cmq::room::{Full, Held, Room};

#[derive(Debug)]
pub(super) struct Buffer {
    pub(super) bytes: BytesMut,
    room: Room,
    held: Option<Held>,
}

impl Buffer {
    pub(super) fn new(room: Room) -> Self {
        Self {
            bytes: BytesMut::new(),
            room,
            held: None,
        }
    }

    /// Makes place for more bytes: small at first, and then twice as much each time, as far as there is room for it.
    pub(super) async fn grow(&mut self, until: Instant) -> Result<(), Full> {
        if self.bytes.is_empty() && self.held.take().is_some() {
            self.bytes = BytesMut::new();
        }
        let length = self.bytes.len();
        if self.bytes.capacity() > length {
            return Ok(());
        }
        let wanted = (2 * length).max(SMALL);
        if wanted > SMALL {
            let held = self.held.as_ref().map_or(0, Held::num_permits);
            let more = (wanted / KIB).saturating_sub(held);
            let more = self.room.take(more, until).await?;
            match &mut self.held {
                Some(held) => held.merge(more),
                None => self.held = Some(more),
            }
        }
        self.bytes.reserve(wanted - length);
        Ok(())
    }
}

const KIB: usize = 1024;
/// What each connection has without asking.
const SMALL: usize = 16 * KIB;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mq_core::{Clock as _, SystemClock, later};

    use super::*;

    #[tokio::test]
    async fn holds_room_for_what_is_large_and_gives_it_back() {
        let soon = || Instant::from_std(later(SystemClock.now(), Duration::from_millis(20)));
        let room = Room::new(100 * KIB);
        let mut buffer = Buffer::new(room.clone());
        for (length, held) in [(0, 0), (SMALL - 1, 0), (SMALL, 32), (32 * KIB, 64)] {
            buffer.bytes.resize(length, 0);
            buffer.grow(soon()).await.unwrap();
            let free = room.take(100 - held, soon()).await;
            assert!(free.is_ok(), "{length}");
            assert!(room.take(1, soon()).await.is_err(), "{length}");
            assert!(buffer.bytes.capacity() > length);
        }
        buffer.bytes.resize(64 * KIB, 0);
        assert!(buffer.grow(soon()).await.is_err());
        buffer.bytes.clear();
        buffer.grow(soon()).await.unwrap();
        assert!(room.take(100, soon()).await.is_ok());
        assert!(buffer.bytes.capacity() <= SMALL);
    }
}
