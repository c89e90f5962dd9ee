//! One gateway: a connection that has authenticated, with many requests under way, each found by its number.
//!
//! ```text
//!  Command ─► channel ─► numbered, framed ─► socket          silence of 3 s: heartbeat
//!  answer  ◄─ by number ◄─ frames         ◄─ socket          question (1042): OnQuery
//!
//!  broken: whoever waits hears of it ─► a pause, jittered ─► again, when somebody asks, or at once where questions are waited for
//! ```

mod session;

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use mq_core::{Clock, Endpoint};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval, sleep_until, timeout};

use self::session::Session;
use super::pool::Failure;
use super::tasks::Tasks;
use crate::client::pauses;
use crate::proto::tcp::{Auth, Packet, TransactionQuery};

/// A request on its way.
pub(super) struct Call {
    /// Without a number.
    pub(super) packet: Box<Packet>,
    /// When nobody waits for it any more.
    pub(super) deadline: Instant,
    /// Set when bytes may have left.
    pub(super) sent: Arc<AtomicBool>,
    pub(super) answer: oneshot::Sender<Result<Box<Packet>, Failure>>,
}

/// What a link is told.
pub(super) enum Command {
    Call(Box<Call>),
    /// Stay connected: the server's questions are waited for.
    Stay,
}

/// Told what a gateway asks.
pub(crate) type OnQuery = Arc<dyn Fn(TransactionQuery) + Send + Sync>;

/// What all links of a client have in common.
#[derive(Clone)]
pub(crate) struct LinkOptions {
    pub(crate) auth: Auth,
    pub(crate) connect_timeout: Duration,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) on_query: OnQuery,
}

/// A link's task, to be told things. When all are dropped, the link ends with the last request that is under way.
#[derive(Clone, Debug)]
pub(super) struct Link {
    commands: mpsc::Sender<Command>,
}

impl Link {
    pub(super) fn start(endpoint: Endpoint, options: LinkOptions, tasks: &Tasks) -> Self {
        let (commands, received) = mpsc::channel(WAITING);
        tasks.spawn(drive(endpoint, options, received));
        Self { commands }
    }

    /// Whether the client closed meanwhile.
    pub(super) fn is_gone(&self) -> bool {
        self.commands.is_closed()
    }

    pub(super) async fn tell(&self, command: Command) -> Result<(), Failure> {
        let told = self.commands.send(command).await;
        told.map_err(|_| Failure::Closed)
    }
}

async fn drive(endpoint: Endpoint, options: LinkOptions, mut commands: mpsc::Receiver<Command>) {
    let mut waits = pauses(LONGEST_PAUSE);
    let (mut stay, mut first) = (false, None);
    loop {
        if !stay && first.is_none() {
            match commands.recv().await {
                None => return,
                Some(Command::Stay) => stay = true,
                Some(Command::Call(call)) => first = Some(call),
            }
        }
        let broken = match connect(&endpoint, &options).await {
            Ok(mut line) => {
                tracing::debug!(gateway = %endpoint, "connected");
                let since = options.clock.now();
                let mut session = Session::new(line.seqno, Arc::clone(&options.clock));
                if let Some(call) = first.take() {
                    session.submit(*call);
                }
                let ended = serve(&mut line, &mut session, &options, &mut commands, &mut stay);
                let Some(why) = ended.await else { return };
                session.lose(&why);
                // One that logs us in and sends us away is not asked again and again at once.
                if options.clock.now().saturating_duration_since(since) >= STOOD {
                    waits = pauses(LONGEST_PAUSE);
                }
                tracing::debug!(gateway = %endpoint, %why, "disconnected");
                Refusal::Broken(why)
            }
            Err(refusal) => {
                tracing::debug!(gateway = %endpoint, %refusal, "could not connect");
                if let Some(call) = first.take() {
                    refusal.tell(*call);
                }
                refusal
            }
        };
        let until = options.clock.now() + waits.next().unwrap_or(LONGEST_PAUSE);
        // A connection that stood and broke is made anew at once, if somebody asks.
        let refuses = !matches!(broken, Refusal::Broken(_));
        if (refuses || stay)
            && !pause(
                until,
                &broken,
                &mut commands,
                &mut stay,
                &mut first,
                refuses,
            )
            .await
        {
            return;
        }
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("{0}")]
    NoConnection(io::Error),
    /// The gateway's own no, to the authentication.
    #[error("refused: {0:?}")]
    Said(Box<Packet>),
    #[error("{0}")]
    Broken(String),
}

impl Refusal {
    fn tell(&self, call: Call) {
        let result = match self {
            Self::NoConnection(error) => Err(Failure::Connect(io::Error::new(
                error.kind(),
                error.to_string(),
            ))),
            Self::Said(packet) => Ok(packet.clone()),
            Self::Broken(why) => Err(Failure::Connect(io::Error::other(why.clone()))),
        };
        // Nobody need wait for it.
        let _ = call.answer.send(result);
    }
}

/// Refuses what comes, until it is time to try again. The answer is whether anybody is left.
async fn pause(
    until: Instant,
    refusal: &Refusal,
    commands: &mut mpsc::Receiver<Command>,
    stay: &mut bool,
    first: &mut Option<Box<Call>>,
    refuses: bool,
) -> bool {
    loop {
        tokio::select! {
            command = commands.recv() => match command {
                None => return false,
                Some(Command::Stay) => *stay = true,
                Some(Command::Call(call)) if refuses => refusal.tell(*call),
                Some(Command::Call(call)) => {
                    *first = Some(call);
                    return true;
                }
            },
            () = sleep_until(until.into()) => return true,
        }
    }
}

/// A connection that has authenticated.
struct Line {
    stream: TcpStream,
    inbound: BytesMut,
    /// The last number that was used.
    seqno: i64,
}

async fn connect(endpoint: &Endpoint, options: &LinkOptions) -> Result<Line, Refusal> {
    let connecting = async {
        let stream = TcpStream::connect((endpoint.host(), endpoint.port())).await;
        let stream = stream.and_then(|it| it.set_nodelay(true).map(|()| it));
        authenticate(stream.map_err(Refusal::NoConnection)?, options).await
    };
    let connected = timeout(options.connect_timeout, connecting).await;
    connected.unwrap_or_else(|_| {
        let late = io::Error::new(io::ErrorKind::TimedOut, "no connection in time");
        Err(Refusal::NoConnection(late))
    })
}

async fn authenticate(mut stream: TcpStream, options: &LinkOptions) -> Result<Line, Refusal> {
    let packet = session::authentication(options.auth.clone());
    stream
        .write_all(&packet)
        .await
        .map_err(Refusal::NoConnection)?;
    let mut inbound = BytesMut::with_capacity(READ);
    loop {
        let read = stream.read_buf(&mut inbound).await;
        if read.map_err(Refusal::NoConnection)? == 0 {
            let ended = io::Error::new(io::ErrorKind::UnexpectedEof, "it ended the connection");
            return Err(Refusal::NoConnection(ended));
        }
        match session::authenticated(&mut inbound) {
            Ok(None) => {}
            Ok(Some(Ok(seqno))) => {
                return Ok(Line {
                    stream,
                    inbound,
                    seqno,
                });
            }
            Ok(Some(Err(packet))) => return Err(Refusal::Said(Box::new(packet))),
            Err(malformed) => {
                let strange = io::Error::new(io::ErrorKind::InvalidData, malformed);
                return Err(Refusal::NoConnection(strange));
            }
        }
    }
}

/// Serves a connection. The answer is why it ended; `None` when nobody is left.
async fn serve(
    line: &mut Line,
    session: &mut Session,
    options: &LinkOptions,
    commands: &mut mpsc::Receiver<Command>,
    stay: &mut bool,
) -> Option<String> {
    let (mut read, mut write) = line.stream.split();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut batch = Vec::with_capacity(BATCH);
    let mut forgotten = false;
    loop {
        if forgotten && session.is_idle() {
            return None;
        }
        line.inbound.reserve(READ);
        tokio::select! {
            count = commands.recv_many(&mut batch, BATCH), if !forgotten && !session.is_full() => {
                forgotten = count == 0;
                for command in batch.drain(..) {
                    match command {
                        Command::Call(call) => session.submit(*call),
                        Command::Stay => *stay = true,
                    }
                }
            }
            count = read.read_buf(&mut line.inbound) => match count {
                Ok(0) => return Some("the gateway ended the connection".to_owned()),
                Ok(_) => {
                    let received = session.received(&mut line.inbound, &options.on_query);
                    if let Err(why) = received {
                        return Some(why);
                    }
                }
                Err(error) => return Some(error.to_string()),
            },
            count = write.write_buf(&mut session.out), if !session.out.is_empty() => {
                if let Err(error) = count {
                    return Some(error.to_string());
                }
            }
            _ = ticks.tick() => if let Err(why) = session.tick() {
                return Some(why);
            },
        }
    }
}

const WAITING: usize = 1024;
const BATCH: usize = 64;
const READ: usize = 16 * 1024;
const TICK: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A connection that stood so long was good.
const STOOD: Duration = Duration::from_secs(5);
