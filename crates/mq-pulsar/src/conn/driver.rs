//! The task that owns a socket: writes what is asked and what lanes have, reads what comes, and tells everybody its end.

mod waiting;

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use mq_core::{ErrorKind, Outcome};
use mq_net::Stream;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, Interval, MissedTickBehavior, Sleep, sleep, sleep_until};

use super::handshake::{self, Opened};
use super::{Command, Connection, Inbox, Inner, Key, Lanes, Options, Outbox, Reply, asks, now};
use crate::error::{Error, Result, refused};
use crate::proto::{FrameDecoder, Incoming, Malformed, api};

/// A connection's handle, and the task that serves it.
pub(super) fn start(
    opened: Opened,
    endpoint: String,
    options: &Arc<Options>,
) -> (Connection, impl Future<Output = ()> + Send + use<>) {
    let connection = Connection(Arc::new(Inner {
        inbox: Inbox::default().into(),
        wake: Notify::new(),
        requests: AtomicU64::new(1),
        end: watch::Sender::new(None),
        endpoint,
        settled: opened.settled,
        options: Arc::clone(options),
    }));
    let driver = Driver {
        out: Outbox::default(),
        stream: opened.stream,
        inbound: opened.inbound,
        decoder: opened.decoder,
        connection: connection.clone(),
        lanes: HashMap::new(),
        asked: HashMap::new(),
        dirty: VecDeque::new(),
        later: Vec::new(),
        alarm: None,
        fresh: Vec::new(),
        auth: None,
        closing: None,
        flushed: true,
        heard: true,
        pinged: false,
    };
    (connection, driver.run())
}

struct Driver {
    stream: Stream,
    inbound: BytesMut,
    decoder: FrameDecoder,
    out: Outbox,
    connection: Connection,
    lanes: Lanes,
    /// Who waits for an answer; and the lane that is nobody's if the answer is a refusal.
    asked: HashMap<u64, (Reply, Option<Key>)>,
    /// Lanes that have something to write, in the order in which they said so.
    dirty: VecDeque<Key>,
    /// Lanes that will have, and when.
    later: Vec<(Instant, Key)>,
    alarm: Option<Pin<Box<Sleep>>>,
    /// Lanes that have taken something of the present read.
    fresh: Vec<Key>,
    /// The broker has asked again who this is.
    auth: Option<BoxFuture<'static, Result<api::AuthData>>>,
    /// The connection is being ended by us: until everything is written, or for so long.
    closing: Option<Pin<Box<Sleep>>>,
    flushed: bool,
    heard: bool,
    pinged: bool,
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
        for (_, (reply, _)) in self.asked.drain() {
            let _ = reply.send(Err(lost.clone()));
        }
        for (_, lane) in self.lanes.drain() {
            lane.lost(&lost);
        }
        self.connection.0.end.send_replace(Some(why));
    }

    async fn serve(&mut self) -> Result<Infallible> {
        let mut ticks = ticks(self.connection.0.options.keep_alive);
        // What came with the handshake's last frame.
        self.received()?;
        loop {
            self.take_commands();
            self.fill();
            let happened = self.wait(&mut ticks).await;
            let happened = happened.map_err(|cause| self.broke(&cause))?;
            if happened.read > 0 {
                self.heard = true;
                self.received()?;
            }
            if let Some(data) = happened.auth {
                self.out.command(&handshake::auth_response(data?));
            }
            if happened.ticked {
                self.tick()?;
            }
            if self.closing.is_some() && (happened.over || self.out.is_empty() && self.flushed) {
                return Err(self.ended(ErrorKind::Closed, "the connection was closed"));
            }
        }
    }

    fn take_commands(&mut self) {
        let commands = {
            let mut inbox = self.connection.inbox();
            self.dirty.extend(inbox.dirty.drain(..));
            self.later.append(&mut inbox.later);
            std::mem::take(&mut inbox.commands)
        };
        let first = self.later.iter().map(|(at, _)| *at).min();
        if let Some(first) = first
            && self
                .alarm
                .as_ref()
                .is_none_or(|alarm| first < alarm.deadline())
        {
            self.alarm = Some(Box::pin(sleep_until(first)));
        }
        for command in commands {
            self.command(command);
        }
    }

    fn command(&mut self, command: Command) {
        if self.closing.is_some() {
            let closed = self.ended(ErrorKind::Closed, "the connection is being closed");
            return abandon(command, &closed);
        }
        match command {
            Command::Ask {
                id,
                command,
                reply,
                lane,
            } => {
                let key = lane.as_ref().map(|(key, _)| *key);
                self.lanes.extend(lane);
                self.out.command(&command);
                self.asked.insert(id, (reply, key));
            }
            Command::Forget(id) => drop(self.asked.remove(&id)),
            Command::Close { key, id, reply } => self.close(key, id, reply),
            Command::Shutdown => {
                self.fill();
                self.closing = Some(Box::pin(sleep(PATIENCE)));
            }
        }
    }

    fn close(&mut self, key: Key, id: u64, reply: Option<Reply>) {
        // What its lane has decided comes before.
        let Some(lane) = self.lanes.remove(&key) else {
            // The broker was faster.
            return;
        };
        lane.fill(&mut self.out);
        self.out.command(&closing(key, id));
        if let Some(reply) = reply {
            self.asked.insert(id, (reply, None));
        }
    }

    /// Lets lanes write, in turns, while there is room.
    fn fill(&mut self) {
        while let Some(key) = self.dirty.pop_front() {
            if self.out.is_full() {
                self.dirty.push_front(key);
                break;
            }
            let lane = self.lanes.get(&key);
            if lane.is_some_and(|lane| lane.fill(&mut self.out)) {
                self.dirty.push_back(key);
            }
        }
    }

    /// Takes the frames that have come.
    fn received(&mut self) -> Result<()> {
        loop {
            let decoded = self.decoder.decode(&mut self.inbound);
            match decoded.map_err(|malformed| self.strange(&malformed))? {
                Some(incoming) => self.incoming(incoming)?,
                None => break,
            }
        }
        for key in self.fresh.drain(..) {
            let lane = self.lanes.get(&key);
            if lane.is_some_and(|lane| lane.all_taken()) {
                self.dirty.push_back(key);
            }
        }
        Ok(())
    }

    fn incoming(&mut self, incoming: Incoming) -> Result<()> {
        match incoming {
            Incoming::Message(ref entry) => self.give(Key::Consumer(entry.consumer_id), incoming),
            Incoming::Receipt(ref receipt) => {
                self.give(Key::Producer(receipt.producer_id), incoming)
            }
            Incoming::Command(command) => self.told(command),
            Incoming::Send(_) => {
                let message = "the broker sent what only clients send";
                Err(self.ended(ErrorKind::Protocol, message))
            }
        }
    }

    fn give(&mut self, key: Key, incoming: Incoming) -> Result<()> {
        // Of one that was closed meanwhile.
        let Some(lane) = self.lanes.get(&key) else {
            return Ok(());
        };
        let taken = lane.incoming(incoming);
        taken.map_err(|malformed| self.strange(&malformed))?;
        if self.fresh.last() != Some(&key) {
            self.fresh.push(key);
        }
        Ok(())
    }

    fn told(&mut self, command: Box<api::BaseCommand>) -> Result<()> {
        if let Some(id) = asks::answered(&command) {
            self.answered(id, command);
            return Ok(());
        }
        if command.ping.is_some() {
            self.out.command(&asks::pong(api::CommandPong {}));
        } else if let Some(error) = &command.send_error {
            return self.give(Key::Producer(error.producer_id), Incoming::Command(command));
        } else if let Some(consumer_id) = asks::told(&command) {
            return self.give(Key::Consumer(consumer_id), Incoming::Command(command));
        } else if let Some(close) = &command.close_producer {
            self.moved(Key::Producer(close.producer_id));
        } else if let Some(close) = &command.close_consumer {
            self.moved(Key::Consumer(close.consumer_id));
        } else if command.auth_challenge.is_some() {
            let options = Arc::clone(&self.connection.0.options);
            self.auth = Some(async move { handshake::auth_data(&options).await }.boxed());
        }
        // Of what a later broker may say, nothing is lost by not knowing it.
        Ok(())
    }

    fn answered(&mut self, id: u64, mut command: Box<api::BaseCommand>) {
        // It waits for its turn to have the topic for itself, and hears again.
        let waits = command.producer_success.as_ref();
        if waits.is_some_and(|success| success.producer_ready == Some(false)) {
            return;
        }
        let Some((reply, opens)) = self.asked.remove(&id) else {
            return;
        };
        let result = match command.error.take() {
            None => Ok(*command),
            Some(error) => {
                if let Some(key) = opens {
                    self.lanes.remove(&key);
                }
                Err(refused(error.error, &error.message))
            }
        };
        let _ = reply.send(result);
    }

    /// The broker has closed a producer or a consumer: the topic is another broker's, or will soon be here again.
    fn moved(&mut self, key: Key) {
        if let Some(lane) = self.lanes.remove(&key) {
            let message = "the broker handed the topic over, or unloaded it";
            let error = Error::builder(ErrorKind::Disconnected, message);
            let error = error.endpoint(self.connection.endpoint());
            lane.lost(&error.outcome(Outcome::Unknown).build());
        }
    }

    /// The time of a keep-alive has passed.
    // apache/pulsar: PulsarHandler.handleKeepAliveTimeout
    fn tick(&mut self) -> Result<()> {
        if std::mem::take(&mut self.heard) {
            self.pinged = false;
        } else if self.pinged {
            let message = format!(
                "nothing heard for {:?}",
                self.connection.0.options.keep_alive * 2
            );
            return Err(self.ended(ErrorKind::Disconnected, &message));
        } else {
            self.out.command(&asks::ping(api::CommandPing {}));
            self.pinged = true;
        }
        Ok(())
    }

    fn broke(&self, cause: &io::Error) -> Error {
        let message = match cause.kind() {
            io::ErrorKind::UnexpectedEof => "the broker closed the connection".to_owned(),
            _ => format!("the connection broke: {cause}"),
        };
        let kind = if self.closing.is_some() {
            ErrorKind::Closed
        } else {
            ErrorKind::Disconnected
        };
        self.ended(kind, &message)
    }

    fn strange(&self, malformed: &Malformed) -> Error {
        let message = format!("the broker does not keep to the protocol: {malformed}");
        self.ended(ErrorKind::Disconnected, &message)
    }

    fn ended(&self, kind: ErrorKind, message: &str) -> Error {
        let error = Error::builder(kind, message);
        error.endpoint(self.connection.endpoint()).build()
    }
}

fn closing(key: Key, id: u64) -> api::BaseCommand {
    use super::Ask as _;
    match key {
        Key::Producer(producer_id) => api::CommandCloseProducer {
            producer_id,
            ..api::CommandCloseProducer::default()
        }
        .with(id),
        Key::Consumer(consumer_id) => api::CommandCloseConsumer {
            consumer_id,
            ..api::CommandCloseConsumer::default()
        }
        .with(id),
    }
}

fn abandon(command: Command, why: &Error) {
    let reply = match command {
        Command::Ask { reply, .. } => Some(reply),
        Command::Close { reply, .. } => reply,
        Command::Forget(_) | Command::Shutdown => None,
    };
    if let Some(reply) = reply {
        let why = why.clone().into_builder().outcome(Outcome::NotSent);
        let _ = reply.send(Err(why.build()));
    }
}

fn ticks(period: Duration) -> Interval {
    // Without keep-alives they have nothing to do.
    let period = if period.is_zero() { NEVER } else { period };
    let mut ticks = tokio::time::interval_at(now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// How long what is left may take to be written at the end.
const PATIENCE: Duration = Duration::from_secs(5);
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);
