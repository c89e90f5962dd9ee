//! Which endpoint, and how a request gets there.
//!
//! ```text
//!  call / oneway / submit ─► Connections ─► one driver task an endpoint ─► socket
//!                               │
//!  Routes (cache) ── fetch ─► Nameservers, several at a time, first answer wins
//! ```

mod broken;
pub(crate) mod credentials;
pub(crate) mod driver;
mod nameserver;
mod route;
mod tasks;
#[cfg_attr(not(feature = "tls"), path = "conn/tls_absent.rs")]
mod tls;
mod transport;
mod upkeep;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use mq_core::{Clock, Endpoint, ErrorKind, Outcome, later};
use tokio::sync::{mpsc, oneshot};

pub(crate) use self::driver::{
    Command, Contact, Done, Failure, Nobody, OnContact, OnRequest, Waiter,
};
pub(crate) use self::nameserver::Nameservers;
pub(crate) use self::route::{DEFAULT_TOPIC, QueueId, Routes, TopicRoute, WeakRoutes};
pub(crate) use self::tasks::Tasks;
pub(crate) use self::tls::TlsConfig;
pub(crate) use self::upkeep::start_upkeep;
use crate::auth::Keys;
use crate::error::{Error, Result, answer_error, is_login_refused};
use crate::proto::command::Heartbeat;
use crate::proto::{
    Encoded, Flags, Frame, HeaderCodec, HeaderParts, Language, Malformed, Reply, Request,
    ResponseCode, encode,
};

/// Who this client is, and how it writes its headers.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) client_id: Arc<str>,
    pub(crate) codec: HeaderCodec,
    pub(crate) language: Language,
    pub(crate) version: i32,
    pub(crate) keys: Arc<Keys>,
}

impl Identity {
    /// Encodes and signs the header of a request.
    pub(crate) fn encode<R: Request>(&self, request: &R, body: &[u8], oneway: bool) -> Encoded {
        self.sign(request, body, oneway).0
    }

    /// The same, and which generation of keys it was signed with.
    pub(crate) fn sign<R: Request>(
        &self,
        request: &R,
        body: &[u8],
        oneway: bool,
    ) -> (Encoded, u64) {
        let parts = HeaderParts {
            code: R::CODE.0,
            flags: if oneway {
                Flags::ONEWAY
            } else {
                Flags::REQUEST
            },
            remark: None,
            language: self.language,
            version: self.version,
            codec: self.codec,
        };
        let (signer, generation) = self.keys.signer();
        let Some(signer) = signer else {
            return (encode(&parts, request, &[], body.len()), generation);
        };
        let added = signer.sign(request, body);
        let extra: Vec<(&str, &str)> = added
            .iter()
            .map(|(key, value)| (*key, value.as_str()))
            .collect();
        (encode(&parts, request, &extra, body.len()), generation)
    }
}

/// How long a peer may keep silent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// Until a connection stands.
    pub(crate) connect: Duration,
    /// While something is awaited, before the connection is given up.
    pub(crate) half_open: Duration,
}

/// How connections are made and kept.
#[derive(Debug)]
pub(crate) struct Terms {
    pub(crate) patience: Patience,
    /// `None`: not secured.
    pub(crate) tls: Option<Arc<TlsConfig>>,
}

/// All connections of a client; each is made when it is first needed.
pub(crate) struct Connections {
    identity: Arc<Identity>,
    terms: Terms,
    clock: Arc<dyn Clock>,
    tasks: Arc<Tasks>,
    on_request: OnRequest,
    on_contact: OnContact,
    probe: driver::Probe,
    open: Mutex<HashMap<Endpoint, mpsc::Sender<Command>>>,
}

impl std::fmt::Debug for Connections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connections").finish_non_exhaustive()
    }
}

impl Connections {
    pub(crate) fn new(
        identity: Identity,
        terms: Terms,
        clock: Arc<dyn Clock>,
        tasks: Arc<Tasks>,
        on_request: OnRequest,
        on_contact: OnContact,
    ) -> Self {
        let (identity, open) = (Arc::new(identity), Mutex::default());
        Self {
            probe: probe(Arc::clone(&identity)),
            identity,
            terms,
            clock,
            tasks,
            on_request,
            on_contact,
            open,
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// So long from now.
    pub(crate) fn after(&self, time: Duration) -> Instant {
        later(self.clock.now(), time)
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Hands a command to the endpoint's driver. The waiter hears the end in any case.
    pub(crate) fn submit(&self, to: &Endpoint, command: Command) {
        let refused = match self.sender(to).try_send(command) {
            Ok(()) => return,
            Err(mpsc::error::TrySendError::Full(command)) => (
                command,
                ErrorKind::Busy,
                "too many requests wait for the connection",
            ),
            Err(mpsc::error::TrySendError::Closed(command)) => {
                (command, ErrorKind::Closed, "the client is closed")
            }
        };
        let (command, kind, reason) = refused;
        command.waiter.done(Err(Failure {
            kind,
            outcome: Outcome::NotSent,
            endpoint: to.to_string(),
            reason: reason.into(),
            tls: None,
        }));
    }

    /// Sends a request and waits for its answer, whatever its code.
    ///
    /// Cancel-safe: dropped, the answer is ignored when it comes.
    pub(crate) async fn call_raw<R: Request + Sync>(
        &self,
        to: &Endpoint,
        request: &R,
        wait: Duration,
        operation: &'static str,
    ) -> Result<Frame> {
        match self.exchange(to, request, wait, operation).await? {
            Done::Reply(frame) => Ok(frame),
            Done::Written => Err(protocol_error(operation, to, "an answer was lost inside")),
        }
    }

    /// Sends a request and reads its answer; a code other than success is an error.
    pub(crate) async fn call<R: Request + Sync>(
        &self,
        to: &Endpoint,
        request: &R,
        wait: Duration,
        operation: &'static str,
    ) -> Result<R::Reply> {
        let frame = self.call_raw(to, request, wait, operation).await?;
        if frame.header.code != ResponseCode::SUCCESS.0 {
            return Err(answer_error(&frame, operation, &to.to_string()));
        }
        parse_reply::<R>(&frame, to, operation)
    }

    /// Refused with keys that have been replaced by others since, a request is signed anew and sent again, once.
    async fn exchange<R: Request + Sync>(
        &self,
        to: &Endpoint,
        request: &R,
        wait: Duration,
        operation: &'static str,
    ) -> Result<Done> {
        let (done, generation) = self.exchange_once(to, request, wait, operation).await?;
        let refused = matches!(&done, Done::Reply(frame) if is_login_refused(frame));
        if !refused {
            return Ok(done);
        }
        let (keys, until) = (&self.identity.keys, self.after(self.terms.patience.connect));
        if !credentials::renewed(keys, generation, &*self.clock, until).await {
            return Ok(done);
        }
        Ok(self.exchange_once(to, request, wait, operation).await?.0)
    }

    async fn exchange_once<R: Request + Sync>(
        &self,
        to: &Endpoint,
        request: &R,
        wait: Duration,
        operation: &'static str,
    ) -> Result<(Done, u64)> {
        let (sender, receiver) = oneshot::channel();
        let body: Bytes = request.body();
        let (head, generation) = self.identity.sign(request, &body, false);
        self.submit(
            to,
            Command {
                head,
                body,
                deadline: self.after(wait),
                oneway: false,
                waiter: Box::new(Call(sender)),
            },
        );
        match receiver.await {
            Ok(Ok(done)) => Ok((done, generation)),
            Ok(Err(failure)) => Err(failure.into_error(operation)),
            Err(_) => Err(crate::error::closed(operation, "client")),
        }
    }

    /// Asks for any answer at all; a broker's has its version.
    pub(crate) fn ask_after(&self, to: &Endpoint, waiter: Box<dyn Waiter>) {
        let until = self.after(self.terms.patience.connect);
        self.submit(to, driver::question(&self.probe, until, waiter));
    }

    /// Asks the provider of keys, if there is one, and from then on whenever its keys are refused.
    pub(crate) async fn start_keys(&self) -> Result<()> {
        let keys = &self.identity.keys;
        if keys.provider().is_none() {
            return Ok(());
        }
        self.refresh_keys("connect").await?;
        let (clock, limit) = (Arc::clone(&self.clock), self.terms.patience.connect);
        let renewing = credentials::renew(Arc::clone(keys), clock, limit);
        self.tasks.spawn(renewing);
        Ok(())
    }

    /// Asks the provider of keys now.
    pub(crate) async fn refresh_keys(&self, operation: &'static str) -> Result<()> {
        let limit = self.terms.patience.connect;
        credentials::ask(&self.identity.keys, &*self.clock, limit, operation).await
    }

    /// Forgets all others: what is under way there comes to its end, then the connection does.
    pub(crate) fn keep_only(&self, known: &BTreeSet<Endpoint>) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|endpoint, _| known.contains(endpoint));
    }

    fn sender(&self, to: &Endpoint) -> mpsc::Sender<Command> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        // One whose task is gone is replaced.
        if let Some(sender) = open.get(to).filter(|sender| !sender.is_closed()) {
            return sender.clone();
        }
        let (sender, receiver) = mpsc::channel(COMMANDS);
        open.insert(to.clone(), sender.clone());
        drop(open);
        let setting = driver::Setting {
            endpoint: to.clone(),
            connect_timeout: self.terms.patience.connect,
            half_open_timeout: self.terms.patience.half_open,
            probe: Arc::clone(&self.probe),
            tls: self.terms.tls.as_ref().map(Arc::clone),
            clock: Arc::clone(&self.clock),
            on_request: Arc::clone(&self.on_request),
            on_contact: Arc::clone(&self.on_contact),
        };
        self.tasks.spawn(driver::drive(setting, receiver));
        sender
    }
}

/// A heartbeat of no group: it changes nothing at a broker, and a nameserver says that it does not know it.
fn probe(identity: Arc<Identity>) -> driver::Probe {
    Arc::new(move || {
        let heartbeat = Heartbeat {
            client_id: identity.client_id.to_string(),
            ..Heartbeat::default()
        };
        let body = heartbeat.body();
        (identity.encode(&heartbeat, &body, false), body)
    })
}

/// Reads a successful answer.
pub(crate) fn parse_reply<R: Request>(
    frame: &Frame,
    from: &Endpoint,
    operation: &'static str,
) -> Result<R::Reply> {
    R::Reply::parse(&frame.header.ext, &frame.body)
        .map_err(|malformed| unreadable(operation, from, malformed))
}

/// An answer that came and can't be read: what was asked may well have been done.
pub(crate) fn unreadable(operation: &'static str, from: &Endpoint, malformed: Malformed) -> Error {
    protocol_error(operation, from, "the answer can't be read")
        .into_builder()
        .outcome(Outcome::Unknown)
        .source(malformed)
        .build()
}

fn protocol_error(operation: &'static str, endpoint: &Endpoint, message: &str) -> Error {
    Error::builder(ErrorKind::Protocol, message)
        .operation(operation)
        .endpoint(endpoint.to_string())
        .build()
}

struct Call(oneshot::Sender<Result<Done, Failure>>);

impl Waiter for Call {
    fn done(self: Box<Self>, result: Result<Done, Failure>) {
        // The caller may have gone.
        let _ = self.0.send(result);
    }
}

/// The clock of tokio's timers, so that a test that pauses time pauses everything.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct TimerClock;

impl Clock for TimerClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this clock is what the rest takes time from"
    )]
    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn wall(&self) -> SystemTime {
        mq_core::SystemClock.wall()
    }
}

/// Slices to a write call.
const SLICES: usize = 128;
/// Bytes that a read call has room for.
const READ_SIZE: usize = 64 * 1024;
/// As many as a session takes; memory is taken when commands come, not before.
const COMMANDS: usize = 1 << 16;
