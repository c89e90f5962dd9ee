//! Keeps one connection up: dials the hosts in turn, replays the topology, and does so again when the connection is lost.

use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use futures_util::future::BoxFuture;
use mq_core::{Endpoint, ErrorKind, Outcome, Retry};
use tokio::sync::watch;

use super::{Connection, Options, Tasks, driver, handshake};
use crate::error::{Error, Result, closed};

/// What a link is doing.
#[derive(Debug, Clone)]
enum State {
    /// There is no connection now, since the last one was lost.
    Down(Error),
    /// There is one.
    Up(Connection),
    /// There will be none any more.
    Ended(Error),
}

/// What happens to a link, for those who watch.
#[derive(Debug, Clone)]
pub(crate) enum Notice {
    Up { endpoint: String },
    Lost(Error),
    Blocked(String),
    Unblocked,
    Ended(Error),
}

/// Watches links. Must not block.
pub(crate) type Observer = Arc<dyn Fn(&'static str, Notice) + Send + Sync>;
/// Declares again what a connection that was lost had declared, before others use the new one.
pub(crate) type Replay = Arc<dyn Fn(Connection) -> BoxFuture<'static, Result<()>> + Send + Sync>;

/// A connection that is made again whenever it is lost.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    state: Arc<watch::Sender<State>>,
    closing: Arc<watch::Sender<bool>>,
    /// How long a call may take.
    patience: Duration,
}

impl Link {
    /// Connects, and keeps the connection up by a task of `tasks`.
    ///
    /// # Errors
    /// When no host can be reached, or the first that can refuses. Nothing is kept up then.
    pub(crate) async fn connect(
        role: &'static str,
        options: &Arc<Options>,
        tasks: &Arc<Tasks>,
        observer: Observer,
        replay: Replay,
    ) -> Result<Self> {
        let mut keeper = Keeper {
            role,
            options: Arc::clone(options),
            tasks: Arc::downgrade(tasks),
            observer,
            replay,
            first: fastrand::usize(..options.endpoints.len().max(1)),
        };
        let connection = keeper.dial().await?;
        let link = Self {
            state: Arc::new(watch::Sender::new(State::Up(connection.clone()))),
            closing: Arc::new(watch::Sender::new(false)),
            patience: options.call_timeout,
        };
        let (state, closing) = (Arc::clone(&link.state), link.closing.subscribe());
        tasks.spawn(async move { keeper.keep(connection, &state, closing).await });
        Ok(link)
    }

    /// The connection, as soon as there is one.
    ///
    /// # Errors
    /// When there will be none any more.
    pub(crate) async fn up(&self) -> Result<Connection> {
        let mut state = self.state.subscribe();
        loop {
            match &*state.borrow_and_update() {
                State::Up(connection) if !connection.is_gone() => return Ok(connection.clone()),
                State::Ended(why) => return Err(why.clone()),
                _ => {}
            }
            if state.changed().await.is_err() {
                return Err(closed("connect", "client"));
            }
        }
    }

    /// The connection, if there is one within the time that a call may take.
    ///
    /// # Errors
    /// When there is none, with why the last one was lost; and as [`up`](Self::up).
    pub(crate) async fn soon(&self) -> Result<Connection> {
        let up = tokio::time::timeout(self.patience, self.up()).await;
        up.unwrap_or_else(|_| {
            let message = format!("there was no connection within {:?}", self.patience);
            let error = Error::builder(ErrorKind::Timeout, message).outcome(Outcome::NotSent);
            let error = match &*self.state.borrow() {
                State::Down(why) => error.source(why.clone()),
                _ => error,
            };
            Err(error.hint("it was lost, and is being made again").build())
        })
    }

    /// Ends the connection well and makes no other.
    pub(crate) async fn close(&self) {
        self.closing.send_replace(true);
        let mut state = self.state.subscribe();
        let _ = state
            .wait_for(|state| matches!(state, State::Ended(_)))
            .await;
    }
}

struct Keeper {
    role: &'static str,
    options: Arc<Options>,
    tasks: std::sync::Weak<Tasks>,
    observer: Observer,
    replay: Replay,
    /// Which host to begin with.
    first: usize,
}

impl Keeper {
    async fn keep(
        mut self,
        mut connection: Connection,
        state: &watch::Sender<State>,
        mut closing: watch::Receiver<bool>,
    ) {
        loop {
            let why = tokio::select! {
                why = connection.lost() => why,
                () = asked(&mut closing) => {
                    connection.shut_down();
                    connection.lost().await;
                    state.send_replace(State::Ended(closed("connect", "client")));
                    return;
                }
            };
            tracing::warn!(peer = %connection.endpoint(), role = self.role, reason = %why, "connection lost");
            state.send_replace(State::Down(why.clone()));
            (self.observer)(self.role, Notice::Lost(why));
            self.first += 1;
            let again = tokio::select! {
                again = self.again() => again,
                () = asked(&mut closing) => Err(closed("connect", "client")),
            };
            match again {
                Ok(made) => {
                    connection = made;
                    state.send_replace(State::Up(connection.clone()));
                }
                Err(why) => {
                    (self.observer)(self.role, Notice::Ended(why.clone()));
                    state.send_replace(State::Ended(why));
                    return;
                }
            }
        }
    }

    /// Dials until it succeeds; ends with what another attempt can't cure.
    async fn again(&mut self) -> Result<Connection> {
        let mut pauses = pauses();
        loop {
            let pause = pauses.next().unwrap_or(LONGEST);
            tokio::time::sleep(pause).await;
            match self.dial().await {
                Ok(connection) => return Ok(connection),
                Err(error) if is_final(&error) => {
                    return Err(error);
                }
                Err(error) => {
                    tracing::debug!(role = self.role, %error, "could not connect again");
                }
            }
        }
    }

    /// Each host once, from the next one on.
    async fn dial(&mut self) -> Result<Connection> {
        let hosts = self.options.endpoints.len();
        let mut failures = Vec::new();
        for at in 0..hosts {
            let at = (self.first + at) % hosts;
            let Some(endpoint) = self.options.endpoints.get(at).cloned() else {
                continue;
            };
            match self.dial_one(&endpoint).await {
                Ok(connection) => {
                    self.first = at;
                    (self.observer)(
                        self.role,
                        Notice::Up {
                            endpoint: endpoint.to_string(),
                        },
                    );
                    return Ok(connection);
                }
                // Another host of the cluster has the same users and virtual hosts.
                Err(error) if is_final(&error) => {
                    return Err(error);
                }
                Err(error) => failures.push(error),
            }
        }
        Err(none_reached(failures))
    }

    async fn dial_one(&self, endpoint: &Endpoint) -> Result<Connection> {
        let opened = handshake::open(endpoint, &self.options, self.role).await?;
        let (observer, role) = (Arc::clone(&self.observer), self.role);
        let on_notice = Arc::new(move |notice| observer(role, notice));
        let (connection, task) =
            driver::start(opened, endpoint.to_string(), &self.options, on_notice);
        match self.tasks.upgrade() {
            Some(tasks) => tasks.spawn(task),
            None => return Err(closed("connect", "client")),
        }
        let mut unfinished = Unfinished(Some(connection.clone()));
        (self.replay)(connection.clone()).await?;
        unfinished.0 = None;
        Ok(connection)
    }
}

/// A connection that is not ready yet: if it never gets so, nobody else would end it.
struct Unfinished(Option<Connection>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(connection) = &self.0 {
            connection.shut_down();
        }
    }
}

async fn asked(closing: &mut watch::Receiver<bool>) {
    // A link that nobody has any more is as good as closed.
    let _ = closing.wait_for(|closing| *closing).await;
}

/// What is the same at every host and at every time.
fn is_final(error: &Error) -> bool {
    error.retry() == Retry::Never
        && matches!(
            error.kind(),
            ErrorKind::Auth | ErrorKind::NotFound | ErrorKind::Unsupported
        )
}

fn none_reached(mut failures: Vec<Error>) -> Error {
    if failures.len() == 1
        && let Some(only) = failures.pop()
    {
        return only;
    }
    let all: Vec<_> = failures
        .iter()
        .map(|error| {
            format!(
                "{} ({})",
                error.endpoint().unwrap_or_default(),
                error.message()
            )
        })
        .collect();
    Error::builder(
        ErrorKind::Connect,
        format!(
            "none of {} hosts can be reached: {}",
            all.len(),
            all.join(", ")
        ),
    )
    .operation("connect")
    .build()
}

/// At first at once; then longer and longer, so that a broker which starts is not stormed, and at most so long that its return is noticed soon.
fn pauses() -> impl Iterator<Item = Duration> {
    let builder = ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(20))
        .with_max_delay(LONGEST)
        .with_jitter()
        .without_max_times();
    builder.build().map(|pause| pause.min(LONGEST))
}

const LONGEST: Duration = Duration::from_secs(1);
