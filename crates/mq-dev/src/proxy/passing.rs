//! Between the reader of a connection and the socket at its other end: what waits, and what the toxics make of it.
//!
//! ```text
//!   reader ─► Outlet ──────────► queue ─► Writer: Link ─► socket
//!                └─ delay, hold ──┘
//! ```

use std::{
    future::{pending, poll_fn},
    io::{self, ErrorKind},
    pin::Pin,
    time::{Duration, Instant},
};

use bytes::Bytes;
use mq_core::{Clock, SystemClock};
use tokio::{
    io::AsyncWrite,
    net::tcp::WriteHalf,
    sync::{mpsc, watch},
    task::JoinSet,
    time::{sleep, sleep_until},
};

use super::{
    Direction, Ending,
    link::{Link, Step},
    toxic::Active,
};

/// What goes from reader to writer, in this order.
pub(super) enum Passing {
    Bytes(Bytes),
    End(Ending),
}

/// The reader's end.
pub(super) struct Outlet {
    queue: mpsc::Sender<Passing>,
    late: JoinSet<()>,
    released: watch::Receiver<u64>,
}

impl Outlet {
    pub(super) fn new(released: watch::Receiver<u64>) -> (Self, mpsc::Receiver<Passing>) {
        let (queue, passing) = mpsc::channel(QUEUE);
        let late = JoinSet::new();
        let outlet = Self {
            queue,
            late,
            released,
        };
        (outlet, passing)
    }

    /// Waits while the queue is full.
    pub(super) async fn pass(&self, passing: Passing) -> io::Result<()> {
        let sent = self.queue.send(passing).await;
        sent.map_err(|_| io::Error::from(ErrorKind::BrokenPipe))
    }

    /// A frame is about to be decided about: whoever learns of that can release it.
    pub(super) fn listen_for_release(&mut self) {
        self.released.mark_unchanged();
    }

    pub(super) async fn delay(&mut self, time: Duration, frame: Bytes) {
        self.pass_after(sleep(time), frame).await;
    }

    pub(super) async fn hold(&mut self, frame: Bytes) {
        let mut released = self.released.clone();
        let release = async move {
            // Fails with the proxy.
            let _ = released.changed().await;
        };
        self.pass_after(release, frame).await;
    }

    async fn pass_after(&mut self, time: impl Future<Output = ()> + Send + 'static, frame: Bytes) {
        while self.late.try_join_next().is_some() {}
        if self.late.len() >= MAX_LATE {
            self.late.join_next().await;
        }
        let queue = self.queue.clone();
        self.late.spawn(async move {
            time.await;
            // The connection may have ended meanwhile.
            let _ = queue.send(Passing::Bytes(frame)).await;
        });
    }
}

/// The socket's end.
pub(super) struct Writer<'a> {
    pub(super) link: Link,
    pub(super) toxics: watch::Receiver<Active>,
    pub(super) upstream: &'a str,
    pub(super) direction: Direction,
}

impl Writer<'_> {
    /// Writes until the source has ended or a toxic ends the connection. The socket is left open.
    pub(super) async fn run(
        mut self,
        mut socket: WriteHalf<'_>,
        mut queue: mpsc::Receiver<Passing>,
    ) -> io::Result<Ending> {
        self.toxics.mark_changed();
        loop {
            self.heed_toxics();
            match self.link.step(now()) {
                // The socket first: the toxics are watched only while it makes us wait.
                Step::Write(piece) => tokio::select! {
                    biased;
                    count = write_some(&mut socket, &piece) => {
                        let count = count?;
                        if count == 0 {
                            return Err(ErrorKind::WriteZero.into());
                        }
                        self.link.wrote(count, now());
                    }
                    _ = self.toxics.changed() => self.toxics.mark_changed(),
                },
                Step::Wait { until, take } => tokio::select! {
                    biased;
                    passing = queue.recv(), if take => match passing {
                        Some(Passing::Bytes(bytes)) => self.link.push(bytes, now()),
                        Some(Passing::End(ending)) => self.link.end(ending),
                        None => self.link.end(Ending::Close),
                    },
                    () = reached(until) => {}
                    _ = self.toxics.changed() => self.toxics.mark_changed(),
                },
                Step::End(ending) => return Ok(ending),
            }
        }
    }

    fn heed_toxics(&mut self) {
        if self.toxics.has_changed().unwrap_or_default() {
            let active = self.toxics.borrow_and_update();
            self.link.set(&active, self.upstream, self.direction, now());
        }
    }
}

/// As much as the socket takes; nothing, if dropped before it ends.
async fn write_some(socket: &mut WriteHalf<'_>, piece: &[u8]) -> io::Result<usize> {
    poll_fn(|context| Pin::new(&mut *socket).poll_write(context, piece)).await
}

async fn reached(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time.into()).await,
        None => pending().await,
    }
}

fn now() -> Instant {
    SystemClock.now()
}

/// Frames between reader and writer; a slow writer holds up its reader, and by that the sender.
const QUEUE: usize = 16;
const MAX_LATE: usize = 4096;
