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
mod liveness;
mod socket;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backon::BackoffBuilder as _;
use bytes::{Bytes, BytesMut};
use mq_core::{Clock, Endpoint, ErrorKind, Outcome};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use self::contact::ended;
pub(crate) use self::contact::{Contact, OnContact};
use self::liveness::{Act, Liveness};
use self::socket::{READ_SIZE, read_some, write_all_there_is};
use super::transport;
use crate::error::Error;
use crate::proto::session::{Event, Outgoing, Progress, Session};
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

/// Why a command got no answer.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) kind: ErrorKind,
    pub(crate) outcome: Outcome,
    pub(crate) endpoint: String,
    pub(crate) reason: Arc<str>,
}

impl Failure {
    pub(crate) fn into_error(self, operation: &'static str) -> Error {
        let mut error = Error::builder(self.kind, &*self.reason)
            .operation(operation)
            .endpoint(self.endpoint)
            .outcome(self.outcome);
        if self.outcome == Outcome::Unknown {
            error = error.hint("the broker may have applied it");
        }
        error.build()
    }
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
            Ok(stream) => {
                tracing::debug!(peer = %setting.endpoint, "connected");
                refused = None;
                pauses = self::pauses();
                (setting.on_contact)(&setting.endpoint, Contact::Made);
                let reason = serve(&setting, &stream, &mut session, &mut commands).await;
                tracing::debug!(peer = %setting.endpoint, reason = %reason, "disconnected");
                // First this, so that who hears of a failure finds the server known to be away.
                (setting.on_contact)(&setting.endpoint, ended(&commands, Contact::Lost(&reason)));
                lose(session, ErrorKind::Disconnected, &reason, &setting.endpoint);
            }
            Err(cause) => {
                let reason: Arc<str> = cause.to_string().into();
                tracing::debug!(peer = %setting.endpoint, reason = %reason, "could not connect");
                (setting.on_contact)(
                    &setting.endpoint,
                    ended(&commands, Contact::Failed(&reason)),
                );
                let failure = lose(session, ErrorKind::Connect, &reason, &setting.endpoint);
                let pause = pauses.next().unwrap_or(LONGEST_PAUSE);
                refused = Some(Refusal {
                    until: setting.clock.now() + pause,
                    failure,
                });
            }
        }
    }
}

/// After a failed attempt, commands fail at once for a while instead of knocking again.
struct Refusal {
    until: Instant,
    failure: Failure,
}

fn pauses() -> backon::ExponentialBackoff {
    backon::ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(50))
        .with_max_delay(LONGEST_PAUSE)
        .with_jitter()
        .without_max_times()
        .build()
}

fn lose(
    session: Session<Box<dyn Waiter>>,
    kind: ErrorKind,
    reason: &Arc<str>,
    endpoint: &Endpoint,
) -> Failure {
    let failure = |outcome| Failure {
        kind,
        outcome,
        endpoint: endpoint.to_string(),
        reason: Arc::clone(reason),
    };
    for (waiter, progress) in session.fail() {
        waiter.done(Err(failure(outcome(progress))));
    }
    failure(Outcome::NotSent)
}

const fn outcome(progress: Progress) -> Outcome {
    match progress {
        Progress::Queued => Outcome::NotSent,
        Progress::Written => Outcome::Unknown,
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
        }));
    }
}

/// Connects while commands keep coming and expiring.
async fn connect(
    setting: &Setting,
    session: &mut Session<Box<dyn Waiter>>,
    commands: &mut mpsc::Receiver<Command>,
) -> io::Result<TcpStream> {
    let attempt = tokio::time::timeout(
        setting.connect_timeout,
        transport::connect(&setting.endpoint),
    );
    tokio::pin!(attempt);
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let wake = session.next_deadline();
        tokio::select! {
            result = &mut attempt => return result.unwrap_or_else(|_| {
                let waited = setting.connect_timeout;
                Err(io::Error::new(io::ErrorKind::TimedOut, format!("no connection within {waited:?}")))
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
    stream: &TcpStream,
    session: &mut Session<Box<dyn Waiter>>,
    commands: &mut mpsc::Receiver<Command>,
) -> Arc<str> {
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
            return format!("nothing was heard for {:?}", setting.half_open_timeout).into();
        }
        let blocked = match write_all_there_is(stream, session) {
            Ok(blocked) => blocked,
            Err(cause) => return format!("writing failed: {cause}").into(),
        };
        if dispatch(session, setting) && leaving.is_none() {
            leaving = Some(now + LEAVING);
        }
        if leaving.is_some_and(|until| session.in_flight() == 0 || until <= now) {
            return "the peer asks for a new connection".into();
        }
        // What is under way has its deadlines.
        if forgotten && session.in_flight() == 0 {
            return FORGOTTEN.into();
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
            ready = stream.readable() => {
                let any = match ready.and_then(|()| read_some(stream, &mut inbound)) {
                    Ok(any) => any,
                    Err(reason) => return reason.to_string().into(),
                };
                if let Err(malformed) = session.received(&mut inbound) {
                    dispatch(session, setting);
                    return format!("the peer does not speak this protocol: {malformed}").into();
                }
                if any {
                    liveness.heard(setting.clock.now(), session.in_flight() > 0);
                }
            }
            ready = stream.writable(), if blocked => {
                if let Err(cause) = ready {
                    return cause.to_string().into();
                }
            }
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
            let until = now + setting.half_open_timeout;
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

struct Nobody;

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
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;
