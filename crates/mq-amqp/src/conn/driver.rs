//! The task that owns a socket: writes what channels and lanes have, reads what comes, and tells everybody its end.

mod channels;
#[cfg(test)]
mod tests;
mod waiting;

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use mq_core::{ErrorKind, Outcome};
use tokio::sync::{Notify, watch};
use tokio::time::{Interval, MissedTickBehavior, Sleep, sleep};

use self::channels::Channels;
use super::handshake::Opened;
use super::link::Notice;
use super::now;
use super::{Command, Connection, Inbox, Inner, Key, Options, Outbox, Reply};
use crate::error::{Error, refused};
use crate::proto::{
    ConnectionClose, ConnectionCloseOk, Frame, FrameDecoder, Incoming, Kind, Malformed, Method,
    ReplyCode,
};
use mq_net::Stream;

/// Told what a server says about the connection. Must not block.
pub(super) type OnNotice = Arc<dyn Fn(Notice) + Send + Sync>;

/// A connection's handle, and the task that serves it.
pub(super) fn start(
    opened: Opened,
    endpoint: String,
    options: &Arc<Options>,
    on_notice: OnNotice,
) -> (Connection, impl Future<Output = ()> + Send + use<>) {
    let connection = Connection(Arc::new(Inner {
        inbox: Inbox::default().into(),
        wake: Notify::new(),
        serials: AtomicU64::new(1),
        blocked: AtomicBool::new(false),
        end: watch::Sender::new(None),
        endpoint,
        settled: opened.settled,
        options: Arc::clone(options),
    }));
    let settled = connection.settled();
    let driver = Driver {
        out: Outbox::new(settled.frame_max),
        channels: Channels::new(settled.channel_max),
        half: settled.heartbeat / 2,
        stream: opened.stream,
        inbound: opened.inbound,
        decoder: opened.decoder,
        connection: connection.clone(),
        dirty: VecDeque::new(),
        fresh: Vec::new(),
        lazy: None,
        updates: VecDeque::new(),
        closing: None,
        flushed: true,
        wrote: false,
        heard: true,
        silent: 0,
        on_notice,
    };
    (connection, driver.run())
}

struct Driver {
    stream: Stream,
    inbound: BytesMut,
    decoder: FrameDecoder,
    out: Outbox,
    connection: Connection,
    channels: Channels,
    /// Channels whose lanes have something to write, in the order in which they said so.
    dirty: VecDeque<Key>,
    /// Channels whose lanes have taken something of the present read.
    fresh: Vec<Key>,
    /// When lanes that can wait have waited long enough.
    lazy: Option<Pin<Box<Sleep>>>,
    /// Who waits for a reply of the connection itself.
    updates: VecDeque<((u16, u16), Reply)>,
    /// The connection is being closed by us: for so long.
    closing: Option<Pin<Box<Sleep>>>,
    flushed: bool,
    half: Duration,
    wrote: bool,
    heard: bool,
    silent: u32,
    on_notice: OnNotice,
}

impl Driver {
    async fn run(mut self) {
        let why = match self.serve().await {
            Ok(never) => match never {},
            Err(why) => why,
        };
        tracing::debug!(peer = %self.connection.endpoint(), reason = %why, "disconnected");
        let left = {
            let mut inbox = self.connection.inbox();
            inbox.gone = true;
            std::mem::take(&mut inbox.commands)
        };
        for command in left {
            abandon(command, &why);
        }
        let lost = why.clone().into_builder().outcome(Outcome::Unknown).build();
        for (_, reply) in self.updates.drain(..) {
            let _ = reply.send(Err(lost.clone()));
        }
        self.channels.lost(&lost);
        self.connection.0.end.send_replace(Some(why));
    }

    async fn serve(&mut self) -> Result<std::convert::Infallible, Error> {
        let mut ticks = ticks(self.half);
        // What came with the handshake's last frame.
        self.received()?;
        loop {
            self.take_commands();
            self.fill();
            let happened = self
                .wait(&mut ticks)
                .await
                .map_err(|cause| self.broke(&cause))?;
            if happened.read > 0 {
                self.heard = true;
                self.received()?;
            }
            if happened.ticked {
                self.tick()?;
            }
            if happened.over {
                let closed = "the connection was closed, and the server did not answer";
                let closed = Error::builder(ErrorKind::Closed, closed);
                return Err(closed.endpoint(self.connection.endpoint()).build());
            }
        }
    }

    fn take_commands(&mut self) {
        let commands = {
            let mut inbox = self.connection.inbox();
            self.dirty.extend(inbox.dirty.drain(..));
            if !inbox.lazy.is_empty() && self.lazy.is_none() {
                self.lazy = Some(Box::pin(sleep(LAZY)));
            }
            std::mem::take(&mut inbox.commands)
        };
        for command in commands {
            self.command(command);
        }
    }

    fn command(&mut self, command: Command) {
        if self.closing.is_some() {
            let closed =
                Error::builder(ErrorKind::Closed, "the connection is being closed").build();
            return abandon(command, &closed);
        }
        match command {
            Command::Open {
                serial,
                lane,
                opened,
            } => self.channels.open(serial, lane, opened, &mut self.out),
            Command::Call { key, method, reply } => {
                self.channels.call(key, &method, reply, &mut self.out);
            }
            Command::Close { key, closed } => {
                // What its lane has decided comes before.
                if let Some(lane) = self.channels.lane(key) {
                    lane.fill(key.id, &mut self.out);
                }
                self.channels.close(key, closed, &mut self.out);
            }
            Command::Update { method, reply } => {
                self.out.method(0, &method);
                self.updates.push_back((method.id(), reply));
            }
            Command::Shutdown => {
                // Decisions that wait for others go first.
                self.dirty.extend(self.connection.inbox().lazy.drain(..));
                self.fill();
                self.out.method(0, &goodbye());
                self.closing = Some(Box::pin(sleep(self.connection.options().call_timeout)));
            }
        }
    }

    /// Lets lanes write, in turns, while there is room.
    fn fill(&mut self) {
        if self.closing.is_some() {
            return;
        }
        let blocked = self.connection.is_blocked();
        let mut kept = Vec::new();
        while let Some(key) = self.dirty.pop_front() {
            if self.out.is_full() {
                self.dirty.push_front(key);
                break;
            }
            let Some(lane) = self.channels.lane(key) else {
                continue;
            };
            if lane.publishes() && (blocked || self.channels.is_paused(key)) {
                kept.push(key);
            } else if lane.fill(key.id, &mut self.out) {
                self.dirty.push_back(key);
            }
        }
        self.dirty.extend(kept);
    }

    /// Takes the frames that have come.
    fn received(&mut self) -> Result<(), Error> {
        loop {
            let frame = self.decoder.decode(&mut self.inbound);
            match frame.map_err(|malformed| self.strange(&malformed))? {
                Some(frame) => self.frame(frame)?,
                None => break,
            }
        }
        for key in self.fresh.drain(..) {
            let lane = self.channels.lane(key);
            if lane.is_some_and(|lane| lane.all_taken()) {
                self.dirty.push_back(key);
            }
        }
        Ok(())
    }

    fn frame(&mut self, frame: Frame) -> Result<(), Error> {
        if frame.channel == 0 {
            return match frame.kind {
                Kind::Method => {
                    let method = Method::decode(frame.payload);
                    let method = method.map_err(|malformed| self.strange(&malformed))?;
                    self.own_method(method)
                }
                _ => Ok(()),
            };
        }
        let most = self.connection.options().max_message;
        let key = self.channels.take(frame, most, &mut self.out);
        let key = key.map_err(|malformed| self.strange(&malformed))?;
        if let Some(key) = key.filter(|key| self.fresh.last() != Some(key)) {
            self.fresh.push(key);
        }
        Ok(())
    }

    /// A method of the connection itself.
    fn own_method(&mut self, method: Method) -> Result<(), Error> {
        match method {
            Method::ConnectionClose(close) => {
                self.out.method(0, &ConnectionCloseOk {}.into());
                self.last_write();
                let error = refused(close.reply_code, &close.reply_text).into_builder();
                return Err(error.endpoint(self.connection.endpoint()).build());
            }
            Method::ConnectionCloseOk(_) if self.closing.is_some() => {
                let closed = Error::builder(ErrorKind::Closed, "the connection was closed");
                return Err(closed.endpoint(self.connection.endpoint()).build());
            }
            Method::ConnectionBlocked(blocked) => {
                self.connection.0.blocked.store(true, Ordering::Release);
                (self.on_notice)(Notice::Blocked(blocked.reason.to_string()));
            }
            Method::ConnectionUnblocked(_) => {
                self.connection.0.blocked.store(false, Ordering::Release);
                (self.on_notice)(Notice::Unblocked);
            }
            method => match self.updates.pop_front() {
                // Who asked may have gone.
                Some((asked, reply)) if method.answers(asked) => {
                    drop(reply.send(Ok(Incoming::Method(method))));
                }
                call => {
                    // It hears how the connection ends.
                    self.updates.extend(call);
                    return Err(self.strange(&channels::strange(&method)));
                }
            },
        }
        Ok(())
    }

    /// Half a heartbeat has passed.
    fn tick(&mut self) -> Result<(), Error> {
        if self.half.is_zero() {
            return Ok(());
        }
        self.silent = if std::mem::take(&mut self.heard) {
            0
        } else {
            self.silent + 1
        };
        // AMQP 0-9-1, 4.2.7: two heartbeats without an octet
        if self.silent >= 4 {
            let message = format!("nothing heard for {:?}", self.half * 4);
            let error = Error::builder(ErrorKind::Disconnected, message);
            return Err(error.endpoint(self.connection.endpoint()).build());
        }
        if !std::mem::take(&mut self.wrote) && self.out.is_empty() {
            self.out.heartbeat();
        }
        Ok(())
    }

    fn broke(&self, cause: &io::Error) -> Error {
        let message = match cause.kind() {
            io::ErrorKind::UnexpectedEof => "the server closed the connection".to_owned(),
            _ => format!("the connection broke: {cause}"),
        };
        // After our goodbye some servers don't wait for theirs to be read.
        let kind = if self.closing.is_some() {
            ErrorKind::Closed
        } else {
            ErrorKind::Disconnected
        };
        Error::builder(kind, message)
            .endpoint(self.connection.endpoint())
            .build()
    }

    fn strange(&self, malformed: &Malformed) -> Error {
        let error = Error::builder(
            ErrorKind::Disconnected,
            format!("the server does not keep to the protocol: {malformed}"),
        );
        error.endpoint(self.connection.endpoint()).build()
    }
}

fn abandon(command: Command, why: &Error) {
    let why = || why.clone().into_builder().outcome(Outcome::NotSent).build();
    match command {
        Command::Open { opened, .. } => drop(opened.send(Err(why()))),
        Command::Call { reply, .. } | Command::Update { reply, .. } => drop(reply.send(Err(why()))),
        Command::Close { .. } | Command::Shutdown => {}
    }
}

fn goodbye() -> Method {
    ConnectionClose {
        reply_code: ReplyCode::REPLY_SUCCESS.0,
        reply_text: "bye".into(),
        class_id: 0,
        method_id: 0,
    }
    .into()
}

fn ticks(half: Duration) -> Interval {
    // Without heartbeats they have nothing to do.
    let period = if half.is_zero() {
        Duration::from_secs(3600)
    } else {
        half
    };
    let mut ticks = tokio::time::interval_at(now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// How long acknowledgements may wait for others.
const LAZY: Duration = Duration::from_millis(2);
