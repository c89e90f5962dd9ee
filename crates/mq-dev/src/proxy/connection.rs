//! One client connection and its upstream: two pumps, each a reader that cuts frames and a writer.
//!
//! ```text
//!   client ─► cut ─► count, record ─► policy ─► queue ─► write ─► server
//!                                       │ delay
//!                                       └─ timer ─► queue
//! ```

use std::{
    collections::HashMap,
    io::{self, ErrorKind},
    sync::{Arc, Mutex},
};

use bytes::{BufMut, Bytes, BytesMut};
use mq_rocketmq::proto::{Frame, FrameDecoder, Header, MAX_FRAME};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
    task::JoinSet,
};

use super::{
    Action, Direction, Observed, Recorded, route,
    shared::{Shared, lock},
};

pub(super) struct Connection {
    id: u64,
    upstream: Arc<str>,
    shared: Arc<Shared>,
    /// Requests without an answer yet, by opaque: an answer does not say what it answers.
    asked_by_client: Mutex<HashMap<i32, i32>>,
    asked_by_server: Mutex<HashMap<i32, i32>>,
}

impl Connection {
    pub(super) fn new(id: u64, upstream: Arc<str>, shared: Arc<Shared>) -> Self {
        Self {
            id,
            upstream,
            shared,
            asked_by_client: Mutex::default(),
            asked_by_server: Mutex::default(),
        }
    }

    pub(super) const fn id(&self) -> u64 {
        self.id
    }

    /// Forwards until either side ends.
    pub(super) async fn run(&self, client: TcpStream) -> io::Result<()> {
        let server = TcpStream::connect(&*self.upstream).await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (client_read, client_write) = client.into_split();
        let (server_read, server_write) = server.into_split();
        tokio::select! {
            ended = self.forward(Direction::ToServer, client_read, server_write) => ended,
            ended = self.forward(Direction::ToClient, server_read, client_write) => ended,
        }
    }

    /// Ends when the reader has ended and everything it let pass is written.
    async fn forward(
        &self,
        direction: Direction,
        read: OwnedReadHalf,
        write: OwnedWriteHalf,
    ) -> io::Result<()> {
        let (queue, frames) = mpsc::channel(QUEUE);
        tokio::try_join!(self.pump(direction, read, queue), write_all(write, frames))?;
        Ok(())
    }

    async fn pump(
        &self,
        direction: Direction,
        mut read: OwnedReadHalf,
        queue: mpsc::Sender<Bytes>,
    ) -> io::Result<()> {
        let mut delayed = JoinSet::new();
        let mut buf = BytesMut::new();
        loop {
            while let Some((raw, frame)) = cut(&mut buf)? {
                let request = self.matched(direction, &frame.header)?;
                let action = self.observe(direction, request, &raw, &frame);
                let raw = self.stay_on_proxy(direction, request, raw, &frame)?;
                match action {
                    Action::Forward => queue.send(raw).await.map_err(|_| closed())?,
                    Action::Drop => {}
                    Action::Delay(time) => {
                        while delayed.try_join_next().is_some() {}
                        if delayed.len() >= MAX_DELAYED {
                            delayed.join_next().await;
                        }
                        let queue = queue.clone();
                        delayed.spawn(async move {
                            tokio::time::sleep(time).await;
                            // The connection may have ended meanwhile.
                            let _ = queue.send(raw).await;
                        });
                    }
                    Action::Close => return Ok(()),
                }
            }
            if read.read_buf(&mut buf).await? == 0 {
                return Ok(());
            }
        }
    }

    /// The code of the request that this frame is or answers.
    fn matched(&self, direction: Direction, header: &Header) -> io::Result<Option<i32>> {
        let (ours, theirs) = match direction {
            Direction::ToServer => (&self.asked_by_client, &self.asked_by_server),
            Direction::ToClient => (&self.asked_by_server, &self.asked_by_client),
        };
        if header.flags.is_response() {
            return Ok(lock(theirs).remove(&header.opaque));
        }
        if !header.flags.is_oneway() {
            let mut asked = lock(ours);
            if asked.len() >= MAX_UNANSWERED {
                return Err(io::Error::other(format!(
                    "{MAX_UNANSWERED} requests without answer"
                )));
            }
            asked.insert(header.opaque, header.code);
        }
        Ok(Some(header.code))
    }

    fn observe(
        &self,
        direction: Direction,
        request: Option<i32>,
        raw: &Bytes,
        frame: &Frame,
    ) -> Action {
        let Frame { header, body } = frame;
        if !header.flags.is_response() {
            self.shared.count(header.code);
        }
        self.shared.record(|| Recorded {
            connection: self.id,
            direction,
            request,
            frame: raw.clone(),
            header: header.clone(),
            body: body.clone(),
        });
        let upstream = &*self.upstream;
        let connection = self.id;
        self.shared.policy.decide(&Observed {
            connection,
            direction,
            upstream,
            request,
            header,
        })
    }

    /// A route answer with our listeners in place of the brokers; anything else unchanged.
    fn stay_on_proxy(
        &self,
        direction: Direction,
        request: Option<i32>,
        raw: Bytes,
        frame: &Frame,
    ) -> io::Result<Bytes> {
        let names_brokers = request.is_some_and(|code| route::NAMES_BROKERS.contains(&code));
        if direction == Direction::ToServer || !names_brokers || frame.body.is_empty() {
            return Ok(raw);
        }
        let body = route::rewrite(&frame.body, |addr| {
            self.shared.stand_in(addr).map(|ours| ours.to_string())
        })?;
        // Only the total length changes; the header stays byte for byte.
        let head = raw.slice(LENGTH..raw.len() - frame.body.len());
        let length = u32::try_from(head.len() + body.len()).map_err(io::Error::other)?;
        let mut out = BytesMut::with_capacity(LENGTH + head.len() + body.len());
        out.put_u32(length);
        out.put_slice(&head);
        out.put_slice(&body);
        Ok(out.freeze())
    }
}

/// The next whole frame, as bytes and decoded.
fn cut(buf: &mut BytesMut) -> io::Result<Option<(Bytes, Frame)>> {
    let Some(prefix) = buf.first_chunk::<LENGTH>() else {
        return Ok(None);
    };
    let length = usize::try_from(u32::from_be_bytes(*prefix)).map_err(io::Error::other)?;
    if length > MAX_FRAME {
        let reason = format!("a frame of {length} bytes");
        return Err(io::Error::new(ErrorKind::InvalidData, reason));
    }
    if buf.len() < LENGTH + length {
        // At most as much again as has arrived: a length alone buys no memory.
        buf.reserve((LENGTH + length - buf.len()).min(buf.len().max(FIRST_STEP)));
        return Ok(None);
    }
    let raw = buf.split_to(LENGTH + length).freeze();
    let frame = FrameDecoder::default()
        .decode(&mut BytesMut::from(&*raw))
        .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?
        .ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "a frame that is no frame"))?;
    Ok(Some((raw, frame)))
}

async fn write_all(mut write: OwnedWriteHalf, mut frames: mpsc::Receiver<Bytes>) -> io::Result<()> {
    while let Some(frame) = frames.recv().await {
        write.write_all(&frame).await?;
    }
    write.shutdown().await
}

fn closed() -> io::Error {
    io::Error::from(ErrorKind::BrokenPipe)
}

const LENGTH: usize = 4;
const FIRST_STEP: usize = 64 << 10;
/// Frames between reader and writer; a slow writer holds up its reader, and by that the sender.
const QUEUE: usize = 16;
const MAX_DELAYED: usize = 4096;
const MAX_UNANSWERED: usize = 1 << 16;
