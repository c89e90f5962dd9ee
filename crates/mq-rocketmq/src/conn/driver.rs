//! The task that owns a socket: writes what is submitted, reads what comes, and tells every waiter its end.
//!
//! ```text
//!  Command ─► channel ─► Session ─► one vectored write for all that is there ─► socket
//!  Waiter  ◄───────────  Session ◄─ one read, sliced into frames             ◄─ socket
//! ```
//!
//! A connection is made when the first command wants one. While it is being made, and while it stands, commands expire at their
//! deadlines. When it breaks, each waiter hears whether its request had left. A peer that keeps silent is given up (`liveness`); one
//! that asks for a new connection gets it.

mod contact;
mod failure;
mod liveness;
mod socket;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use mq_core::{Clock, Endpoint, ErrorKind, Outcome, later};
use tokio::sync::mpsc;

use self::contact::ended;
pub(crate) use self::contact::{Contact, OnContact};
pub(crate) use self::failure::Failure;
use self::failure::{Refusal, lose, outcome, pauses};
use self::liveness::{Act, Liveness};
use self::socket::Socket;
use super::READ_SIZE;
use super::broken::Broken;
use super::tls::TlsConfig;
use crate::proto::session::{Event, Outgoing, Session};
use crate::proto::{Encoded, Frame, ResponseCode};

/// A request on its way to a connection.
pub(crate) struct Command {
    pub(crate) head: Encoded,
    pub(crate) body: Bytes,
    pub(crate) deadline: Instant,
    pub(crate) oneway: bool,
    pub(crate) waiter: Box<dyn Waiter>,
}

/// Who hears what became of a command. Called by the driver: must not block.
pub(crate) trait Waiter: Send {
    fn done(self: Box<Self>, result: Result<Done, Failure>);
}

/// How a command ended well.
#[derive(Debug)]
pub(crate) enum Done {
    /// The peer answered, with whatever code.
    Reply(Frame),
    /// A one-way command was handed to the socket.
    Written,
}

/// Told what a broker asks of this client.
pub(crate) type OnRequest = Arc<dyn Fn(&Endpoint, Frame) + Send + Sync>;
/// Makes a request that any peer answers, with whatever code: header and body.
pub(crate) type Probe = Arc<dyn Fn() -> (Encoded, Bytes) + Send + Sync>;

/// What a driver needs besides its channel.
pub(crate) struct Setting {
    pub(crate) endpoint: Endpoint,
    pub(crate) connect_timeout: Duration,
    /// After so long a silence, a probe unanswered, the peer is gone.
    pub(crate) half_open_timeout: Duration,
    pub(crate) probe: Probe,
    /// `None`: not secured.
    pub(crate) tls: Option<Arc<TlsConfig>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) on_request: OnRequest,
    pub(crate) on_contact: OnContact,
}

/// Serves one endpoint until the channel's senders are gone.
pub(crate) async fn drive(setting: Setting, mut commands: mpsc::Receiver<Command>) {
    let mut refused: Option<Refusal> = None;
    let mut pauses = pauses();
    while let Some(first) = commands.recv().await {
        if let Some(refusal) = refused
            .as_ref()
            .filter(|refusal| setting.clock.now() < refusal.until)
        {
            first.waiter.done(Err(refusal.failure.clone()));
            continue;
        }
        let mut session = Session::new();
        submit(&mut session, first, &setting);
        match connect(&setting, &mut session, &mut commands).await {
            Ok(mut socket) => {
                tracing::debug!(peer = %setting.endpoint, "connected");
                (setting.on_contact)(&setting.endpoint, Contact::Made);
                let broken = serve(&setting, &mut socket, &mut session, &mut commands).await;
                tracing::debug!(peer = %setting.endpoint, reason = %broken.reason, "disconnected");
                // First this, so that who hears of a failure finds the server known to be away.
                (setting.on_contact)(
                    &setting.endpoint,
                    ended(&commands, Contact::Lost(&broken.reason)),
                );
                let failure = lose(session, ErrorKind::Disconnected, &broken, &setting.endpoint);
                refused = None;
                if broken.tls.is_some() {
                    // Whoever sends us away is not asked again at once either.
                    refused = Some(Refusal::new(&mut pauses, &broken, failure, &setting));
                } else {
                    pauses = self::pauses();
                }
            }
            Err(broken) => {
                tracing::debug!(peer = %setting.endpoint, reason = %broken.reason, "could not connect");
                (setting.on_contact)(
                    &setting.endpoint,
                    ended(&commands, Contact::Failed(&broken.reason)),
                );
                let failure = lose(session, ErrorKind::Connect, &broken, &setting.endpoint);
                refused = Some(Refusal::new(&mut pauses, &broken, failure, &setting));
            }
        }
    }
}

fn submit(session: &mut Session<Box<dyn Waiter>>, command: Command, setting: &Setting) {
    let Command {
        head,
        body,
        deadline,
        oneway,
        waiter,
    } = command;
    if let Err(waiter) = session.submit(Outgoing {
        head,
        body,
        deadline,
        oneway,
        waiter,
    }) {
        waiter.done(Err(Failure {
            kind: ErrorKind::Busy,
            outcome: Outcome::NotSent,
            endpoint: setting.endpoint.to_string(),
            reason: "too many requests are under way on the connection".into(),
            tls: None,
        }));
    }
}

/// Connects while commands keep coming and expiring.
async fn connect(
    setting: &Setting,
    session: &mut Session<Box<dyn Waiter>>,
    commands: &mut mpsc::Receiver<Command>,
) -> Result<Socket, Broken> {
    let attempt = tokio::time::timeout(setting.connect_timeout, Socket::open(setting));
    tokio::pin!(attempt);
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let wake = session.next_deadline();
        tokio::select! {
            result = &mut attempt => return result.unwrap_or_else(|_| {
                Err(Broken::new(format!("no connection within {:?}", setting.connect_timeout)))
            }),
            // Forgotten meanwhile, it is connected all the same for what is under way.
            _ = commands.recv_many(&mut batch, BATCH), if !commands.is_closed() || !commands.is_empty() => {
                batch.drain(..).for_each(|command| submit(session, command, setting));
            }
            () = until(wake) => session.expire(setting.clock.now()),
        }
        dispatch(session, setting);
    }
}

/// Serves a connection; returns why it ended.
async fn serve(
    setting: &Setting,
    socket: &mut Socket,
    session: &mut Session<Box<dyn Waiter>>,
    commands: &mut mpsc::Receiver<Command>,
) -> Broken {
    let mut inbound = BytesMut::with_capacity(READ_SIZE);
    let mut batch = Vec::with_capacity(BATCH);
    let sleep = tokio::time::sleep_until(setting.clock.now().into());
    tokio::pin!(sleep);
    let mut armed: Option<Instant> = None;
    let mut liveness = Liveness::new(setting.half_open_timeout);
    let mut leaving: Option<Instant> = None;
    let mut forgotten = false;
    loop {
        let now = setting.clock.now();
        if !pass_time(setting, session, &mut liveness, now) {
            return Broken::silent(setting.half_open_timeout);
        }
        let blocked = match socket.write_all_there_is(session) {
            Ok(blocked) => blocked,
            Err(broken) => return broken,
        };
        if dispatch(session, setting) && leaving.is_none() {
            leaving = Some(now + LEAVING);
        }
        // Encrypted bytes may be under way of which the session knows nothing any more.
        let idle = session.in_flight() == 0 && !blocked;
        if leaving.is_some_and(|until| idle || until <= now) {
            return Broken::new("the peer asks for a new connection");
        }
        // What is under way has its deadlines.
        if forgotten && idle {
            return Broken::new(FORGOTTEN);
        }
        let wakes = [session.next_deadline(), liveness.next(), leaving];
        let wake = wakes.into_iter().flatten().min();
        if let Some(at) = wake.filter(|at| armed != Some(*at)) {
            sleep.as_mut().reset(at.into());
            armed = Some(at);
        }
        tokio::select! {
            count = commands.recv_many(&mut batch, BATCH), if leaving.is_none() && !forgotten => {
                forgotten = count == 0;
                batch.drain(..).for_each(|command| submit(session, command, setting));
            }
            ready = socket.readable() => {
                let any = match ready.map_err(Broken::from).and_then(|()| socket.read_some(&mut inbound)) {
                    Ok(any) => any,
                    Err(broken) => return broken,
                };
                if let Err(malformed) = session.received(&mut inbound) {
                    dispatch(session, setting);
                    return socket.strange(&malformed);
                }
                if any {
                    liveness.heard(setting.clock.now(), session.in_flight() > 0);
                }
            }
            ready = socket.writable(), if blocked => if let Err(cause) = ready {
                return cause.into();
            },
            () = &mut sleep, if wake.is_some() => armed = None,
        }
    }
}

/// Tells waiters what happened. The answer is whether the peer asks for a new connection.
fn dispatch(session: &mut Session<Box<dyn Waiter>>, setting: &Setting) -> bool {
    let mut go_away = false;
    while let Some(event) = session.poll_event() {
        match event {
            Event::Reply(waiter, frame) => {
                // apache/rocketmq: NettyRemotingClient.invokeImpl. It was not carried out.
                go_away |= frame.header.code == ResponseCode::GO_AWAY.0;
                waiter.done(Ok(Done::Reply(frame)));
            }
            Event::Written(waiter) => waiter.done(Ok(Done::Written)),
            Event::Expired(waiter, progress) => waiter.done(Err(Failure {
                kind: ErrorKind::Timeout,
                outcome: outcome(progress),
                endpoint: setting.endpoint.to_string(),
                reason: "no answer in time".into(),
                tls: None,
            })),
            Event::Request(frame) => (setting.on_request)(&setting.endpoint, frame),
        }
    }
    go_away
}

/// Before writing. The answer is whether the connection goes on.
fn pass_time(
    setting: &Setting,
    session: &mut Session<Box<dyn Waiter>>,
    liveness: &mut Liveness,
    now: Instant,
) -> bool {
    // What came too late is not written.
    session.expire(now);
    match liveness.act(now) {
        Act::Wait => {}
        Act::Probe => {
            let until = later(now, setting.half_open_timeout);
            submit(
                session,
                question(&setting.probe, until, Box::new(Nobody)),
                setting,
            );
        }
        Act::GiveUp => return false,
    }
    if session.wants_write() {
        liveness.wrote(now);
    }
    true
}

/// A request for any answer at all; who answers counts as there as soon as the first byte has come.
pub(super) fn question(probe: &Probe, deadline: Instant, waiter: Box<dyn Waiter>) -> Command {
    let (head, body) = probe();
    Command {
        head,
        body,
        deadline,
        oneway: false,
        waiter,
    }
}

/// Does not care what becomes of it.
pub(crate) struct Nobody;

impl Waiter for Nobody {
    fn done(self: Box<Self>, _: Result<Done, Failure>) {}
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

const BATCH: usize = 128;
const FORGOTTEN: &str = "no route names it any more";
/// How long requests under way still have when the peer asks for a new connection.
const LEAVING: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests;
