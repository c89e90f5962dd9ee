//! Room for what clients send: taken as bytes arrive, and given back when they are gone.
//!
//! Who announces much and sends little has little. Requests that each hold a part and wait for more can't block each other for longer than
//! a body may take: then the wait ends, and what they hold is free.

use std::sync::Arc;

use hyper::body::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// For all requests together, in KiB.
#[derive(Debug, Clone)]
pub(super) struct Room(Arc<Semaphore>);

/// A body that is being read: as much of the room as it has memory.
#[derive(Debug)]
pub(super) struct Collected {
    bytes: Vec<u8>,
    held: Option<Held>,
}

/// A part of the room, free again when it is dropped.
pub(super) type Held = OwnedSemaphorePermit;

/// There was no room in time.
#[derive(Debug)]
pub(super) struct Full;

impl Room {
    pub(super) fn new(bytes: usize) -> Self {
        let kib = (bytes / KIB).clamp(1, Semaphore::MAX_PERMITS);
        Self(Arc::new(Semaphore::new(kib)))
    }

    /// A part of it, in KiB.
    pub(super) async fn take(&self, kib: usize, until: Instant) -> Result<Held, Full> {
        let kib = u32::try_from(kib).map_err(|_| Full)?;
        let room = Arc::clone(&self.0).acquire_many_owned(kib);
        timeout_at(until, room)
            .await
            .ok()
            .and_then(Result::ok)
            .ok_or(Full)
    }
}

impl Collected {
    pub(super) const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            held: None,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// One piece more; `most` is what all of them can be.
    ///
    /// Copied: a piece keeps the whole buffer alive that it was read into, however small it is.
    pub(super) async fn push(
        &mut self,
        piece: &Bytes,
        most: usize,
        room: &Room,
        until: Instant,
    ) -> Result<(), Full> {
        let needed = self.bytes.len() + piece.len();
        if needed > self.bytes.capacity() {
            // Twice as much each time, so that a byte is not copied often; in whole KiB, as the room is.
            let wanted = needed.max((2 * self.bytes.capacity()).min(most));
            let kib = wanted.div_ceil(KIB);
            let more = kib - self.bytes.capacity() / KIB;
            let more = room.take(more, until).await?;
            match &mut self.held {
                Some(held) => held.merge(more),
                None => self.held = Some(more),
            }
            self.bytes.reserve_exact(kib * KIB - self.bytes.len());
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }

    /// The bytes, and their room.
    pub(super) fn end(self) -> (Vec<u8>, Option<Held>) {
        (self.bytes, self.held)
    }
}

const KIB: usize = 1024;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mq_core::{Clock as _, SystemClock, later};

    use super::*;

    fn soon() -> Instant {
        Instant::from_std(later(SystemClock.now(), Duration::from_millis(20)))
    }

    #[tokio::test]
    async fn holds_as_much_as_it_has_memory_and_gives_it_back() {
        let room = Room::new(64 * KIB);
        let mut body = Collected::new();
        assert_eq!(room.0.available_permits(), 64);
        for size in [1, 1023, 1, 20_000, 20_000] {
            let piece = Bytes::from(vec![b'x'; size]);
            body.push(&piece, 50_000, &room, soon()).await.unwrap();
            let held = 64 - room.0.available_permits();
            assert_eq!(held * KIB, body.bytes.capacity());
            assert!(held * KIB < 2 * body.len() + 2 * KIB, "{held} KiB");
        }
        let piece = Bytes::from(vec![b'x'; 30_000]);
        assert!(body.push(&piece, 99_000, &room, soon()).await.is_err());
        let (bytes, held) = body.end();
        assert_eq!(bytes.len(), 41_025);
        drop(bytes);
        assert!(room.0.available_permits() < 64);
        drop(held);
        assert_eq!(room.0.available_permits(), 64);
    }
}
