//! One client connection and its upstream: two pumps, each a reader that cuts frames and a writer.
//!
//! ```text
//!   client ─► cut ─► count, record ─► faults, policy ─► queue, toxics ─► server
//! ```
//!
//! Each way ends by itself, in line with what it carries; the connection ends with the first of the two.

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
        tcp::{ReadHalf, WriteHalf},
    },
    sync::oneshot,
};

use super::{
    Action, Direction, Ending, Observed, Recorded,
    link::Link,
    passing::{Outlet, Passing, Writer},
    pulsar,
    record::PulsarFrame,
    route,
    shared::{Shared, Speaks, lock},
};

pub(super) struct Connection {
    id: u64,
    upstream: Arc<str>,
    shared: Arc<Shared>,
    /// Requests without an answer yet, by opaque: an answer does not say what it answers.
    asked_by_client: Mutex<HashMap<i32, i32>>,
    asked_by_server: Mutex<HashMap<i32, i32>>,
}

/// The two sockets, as far as they are open.
struct Ends {
    client: Option<TcpStream>,
    server: Option<TcpStream>,
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

    /// Forwards until either side ends, or it is cut.
    pub(super) async fn run(&self, client: TcpStream, cut: oneshot::Receiver<Ending>) {
        let mut ends = Ends {
            client: Some(client),
            server: None,
        };
        tokio::select! {
            biased;
            Ok(ending) = cut => {
                finish(ends.client, ending).await;
                finish(ends.server, ending).await;
            }
            () = self.live(&mut ends) => {}
        }
    }

    async fn live(&self, ends: &mut Ends) {
        let ending = self.exchange(ends).await.unwrap_or_else(|error| {
            tracing::debug!(connection = self.id, %error, "proxied connection ended");
            Ending::Close
        });
        // What a black hole swallows includes the end of a connection, and that there never was one.
        let Ends { client, server } = ends;
        let never_connected = server.is_none();
        let end_client = async {
            if never_connected {
                self.passable(Direction::ToServer).await;
            }
            self.passable(Direction::ToClient).await;
            finish(client.take(), ending).await;
        };
        let end_server = async {
            self.passable(Direction::ToServer).await;
            finish(server.take(), ending).await;
        };
        tokio::join!(end_client, end_server);
    }

    async fn passable(&self, direction: Direction) {
        self.shared.passable(&self.upstream, direction).await;
    }

    async fn exchange(&self, ends: &mut Ends) -> io::Result<Ending> {
        let Some(client) = &mut ends.client else {
            return Ok(Ending::Close);
        };
        let server = TcpStream::connect(&*self.upstream).await?;
        let server = ends.server.insert(server);
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        // Borrowed halves: an owned one says FIN when it is dropped, and then there would be no reset.
        let (client_read, client_write) = client.split();
        let (server_read, server_write) = server.split();
        tokio::select! {
            ended = self.forward(Direction::ToServer, client_read, server_write) => ended,
            ended = self.forward(Direction::ToClient, server_read, client_write) => ended,
        }
    }

    /// Ends when the reader has ended and everything it let pass is written, or at once when a toxic says so.
    async fn forward(
        &self,
        direction: Direction,
        read: ReadHalf<'_>,
        write: WriteHalf<'_>,
    ) -> io::Result<Ending> {
        let (outlet, passing) = Outlet::new(self.shared.released());
        let writer = Writer {
            link: Link::new(self.id),
            toxics: self.shared.toxics(),
            upstream: &self.upstream,
            direction,
        };
        let ended = tokio::select! {
            // The reader first, so that the writer finds what it read in the same turn.
            biased;
            Err(error) = self.pump(direction, read, outlet) => return Err(error),
            ended = writer.run(write, passing) => ended,
        };
        match ended {
            Ok(ending) => Ok(ending),
            // Who takes no more may have said something before, and that is still under way: reading it has the last word.
            Err(_) => std::future::pending().await,
        }
    }

    async fn pump(
        &self,
        direction: Direction,
        mut read: ReadHalf<'_>,
        mut outlet: Outlet,
    ) -> io::Result<()> {
        let mut buf = BytesMut::new();
        let mut sealed = self.shared.speaks == Speaks::Anything;
        loop {
            sealed |= is_tls(&buf);
            if sealed && !buf.is_empty() {
                // Nothing to read in it, or to change; what happens to bytes, toxics and cuts, happens to these.
                let raw = buf.split().freeze();
                outlet.pass(Passing::Bytes(raw)).await?;
            }
            if self.shared.speaks == Speaks::Pulsar {
                while let Some(raw) = split(&mut buf)? {
                    let raw = self.take_pulsar(direction, raw)?;
                    outlet.pass(Passing::Bytes(raw)).await?;
                }
            }
            while let Some((raw, frame)) = cut(&mut buf)? {
                if let Some(ending) = self.take(direction, raw, &frame, &mut outlet).await? {
                    return outlet.pass(Passing::End(ending)).await;
                }
            }
            let ending = match read.read_buf(&mut buf).await {
                Ok(0) => Ending::Close,
                Ok(_) => continue,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => Ending::Reset,
                Err(error) => return Err(error),
            };
            return outlet.pass(Passing::End(ending)).await;
        }
    }

    /// Does to one frame what is to be done to it; an ending if it was the last.
    async fn take(
        &self,
        direction: Direction,
        raw: Bytes,
        frame: &Frame,
        outlet: &mut Outlet,
    ) -> io::Result<Option<Ending>> {
        let request = self.matched(direction, &frame.header)?;
        outlet.listen_for_release();
        let action = self.observe(direction, request, &raw, frame);
        let raw = self.stay_on_proxy(direction, request, raw, frame)?;
        match action {
            Action::Forward => outlet.pass(Passing::Bytes(raw)).await?,
            Action::Drop => {}
            Action::Delay(time) => outlet.delay(time, raw).await,
            Action::Hold => outlet.hold(raw).await,
            Action::Close => return Ok(Some(Ending::Close)),
            Action::Reset => return Ok(Some(Ending::Reset)),
            Action::CutMid { at, ending } => {
                let length = at.unwrap_or(raw.len() / 2).min(raw.len() - 1);
                outlet.pass(Passing::Bytes(raw.slice(..length))).await?;
                return Ok(Some(ending));
            }
        }
        Ok(None)
    }

    /// What goes on of a frame of Pulsar's, which is recorded as it came.
    fn take_pulsar(&self, direction: Direction, raw: Bytes) -> io::Result<Bytes> {
        self.shared.record_pulsar(|| PulsarFrame {
            connection: self.id,
            direction,
            frame: raw.clone(),
        });
        self.shared.changed().notify_waiters();
        if direction == Direction::ToServer {
            return Ok(raw);
        }
        let stand_in = |address: &str| self.shared.stand_in(address).map(|ours| ours.to_string());
        Ok(pulsar::rewrite(&raw, stand_in)?.unwrap_or(raw))
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
        let action = self.shared.decide(&Observed {
            connection,
            direction,
            upstream,
            request,
            header,
        });
        self.shared.changed().notify_waiters();
        action
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

/// Whether this begins with a TLS record: as the length of a frame it would be far too long.
fn is_tls(buf: &[u8]) -> bool {
    matches!(buf, [0x14..=0x17, 0x03, ..])
}

/// The next whole frame, as bytes and decoded.
fn cut(buf: &mut BytesMut) -> io::Result<Option<(Bytes, Frame)>> {
    let Some(raw) = split(buf)? else {
        return Ok(None);
    };
    let frame = FrameDecoder::default()
        .decode(&mut BytesMut::from(&*raw))
        .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?
        .ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "a frame that is no frame"))?;
    Ok(Some((raw, frame)))
}

/// The next frame, behind the length that both protocols begin with.
fn split(buf: &mut BytesMut) -> io::Result<Option<Bytes>> {
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
    Ok(Some(buf.split_to(LENGTH + length).freeze()))
}

/// Ends one side, so that its peer hears of it in this way.
async fn finish(stream: Option<TcpStream>, ending: Ending) {
    let Some(mut stream) = stream else { return };
    // Either fails when the peer has ended it already.
    let _ = match ending {
        // The FIN goes before the RST that unread bytes would make of it.
        Ending::Close => stream.shutdown().await,
        Ending::Reset => stream.set_zero_linger(),
    };
}

const LENGTH: usize = 4;
const FIRST_STEP: usize = 64 << 10;
const MAX_UNANSWERED: usize = 1 << 16;
