//! HTTP: connections, requests read whole, answers.
//!
//! ```text
//!  accept ─► one task a connection (hyper, HTTP/1) ─► head ─► body, piece by piece ─► pairs ─► dispatch ─► answer
//!              └ too many: closed at once              └ 30 s   └ 30 s, each piece when there is room for it
//! ```
//!
//! What bounds the memory of requests: bodies that are read, and the pairs of those that are carried out, have 256 MiB together
//! ([`Limits::requests`](crate::cmq::Limits::requests)); while a body is decoded it is there twice, which is 4 MiB a thread. A receive that waits has
//! nothing left of its request but the queue's name. Beside that a connection has hyper's buffer: 32 KiB at most behind a body ([`sips`]), 256
//! behind a long head.

mod answer;
mod control;
mod request;
mod sips;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use mq_cmq::proto::action::Given;
use mq_cmq::proto::limits::Refusal;
use mq_core::{Clock as _, SystemClock};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use self::answer::Answer;
use self::request::{Read, read};
use self::sips::Sips;
use super::auth::Signed;
use super::dispatch::{self, Stamp, Wanted};
use super::faults::Kind;
use super::room::Room;
use super::shared::Shared;

/// How connections are treated.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// How many at a time.
    pub(super) connections: usize,
    /// How long a head may take, from the end of the request before it.
    pub(super) head: Duration,
    /// How long a body may take, and the wait for room for it.
    pub(super) body: Duration,
}

/// What all connections have in common.
#[derive(Debug)]
struct Front {
    shared: Arc<Shared>,
    patience: Patience,
    room: Room,
}

/// Accepts until it is dropped; all connections end with it.
pub(super) async fn serve(
    listener: TcpListener,
    shared: Arc<Shared>,
    patience: Patience,
    room: Room,
) {
    let mut life = shared.life.subscribe();
    let front = Arc::new(Front {
        shared,
        patience,
        room,
    });
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) if connections.len() < patience.connections => {
                    connections.spawn(connection(socket, Arc::clone(&front)));
                }
                Ok(_) => tracing::warn!(most = patience.connections, "too many connections: closed at once"),
                Err(error) => {
                    // Out of files, most likely: it gets better when connections end.
                    tracing::warn!(%error, "could not accept");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            _ = life.changed() => connections.shutdown().await,
        }
    }
}

async fn connection(socket: TcpStream, front: Arc<Front>) {
    let _ = socket.set_nodelay(true);
    let head = front.patience.head;
    let service = service_fn(move |request| handle(Arc::clone(&front), request));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(Sips::new(socket)), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "connection ended");
    }
}

/// A connection that is to end without an answer.
#[derive(Debug, thiserror::Error)]
#[error("a fault was injected")]
struct Struck;

async fn handle(front: Arc<Front>, request: Request<Incoming>) -> Result<Response<Answer>, Struck> {
    if control::is_one(&request) {
        return control::handle(&front, request).await;
    }
    let mut stamp = Stamp::new(front.shared.counts.request());
    let request = match read(request, front.patience.body, &front.room).await {
        Ok(request) => request,
        Err(refusal) => return Ok(answer::closing(stamp.refuse(&refusal))),
    };
    let given = Given::new(&request.pairs);
    stamp.echo(&given);
    match authorize(&front.shared, &request, &given) {
        Ok(action) => act(&front.shared, &action, request, &stamp).await,
        Err(refusal) => Ok(answer::whole(stamp.refuse(&refusal))),
    }
}

/// The action, in lower case.
fn authorize(shared: &Shared, request: &Read, given: &Given<'_>) -> Result<String, Refusal> {
    let action = given.text("Action")?;
    let now = u64::try_from(SystemClock.wall_ms() / 1000).unwrap_or_default();
    let signed = Signed {
        method: request.method,
        host: &request.host,
        path: &request.path,
        pairs: &request.pairs,
    };
    shared.auth.check(&signed, now)?;
    let action = action.to_ascii_lowercase();
    shared.counts.count(&action);
    Ok(action)
}

async fn act(
    shared: &Arc<Shared>,
    action: &str,
    request: Read,
    stamp: &Stamp,
) -> Result<Response<Answer>, Struck> {
    let carry_out = |lose| async move {
        match Wanted::of(action, &Given::new(&request.pairs)) {
            Some(wanted) => {
                // It may wait for long, and what it is about fits into a line.
                drop(request);
                dispatch::receive(shared, wanted, stamp).await
            }
            None => dispatch::act(shared, action, &Given::new(&request.pairs), stamp, lose),
        }
    };
    faulted(shared, action, carry_out).await
}

/// Carries something out, with what goes wrong on purpose; it is told whether its message is to be lost.
async fn faulted<F: Future<Output = Bytes> + Send>(
    shared: &Shared,
    action: &str,
    carry_out: impl FnOnce(bool) -> F + Send,
) -> Result<Response<Answer>, Struck> {
    let faults = shared.faults.strike(action);
    if faults.contains(&Kind::Restart) {
        shared.life.send_modify(|life| *life += 1);
        return Err(Struck);
    }
    if faults.contains(&Kind::Cut) {
        return Err(Struck);
    }
    if faults.contains(&Kind::Status500) {
        return Ok(answer::status_500());
    }
    let bytes = carry_out(faults.contains(&Kind::LoseOne)).await;
    for fault in &faults {
        if let Kind::Delay(time) = fault {
            tokio::time::sleep(*time).await;
        }
    }
    if faults.contains(&Kind::DropReply) {
        return Err(Struck);
    }
    if faults.contains(&Kind::HalfBody) {
        return Ok(answer::half(bytes));
    }
    Ok(answer::whole(bytes))
}

/// As long as hyper lets a URL be, and headers.
const MAX_HEAD: usize = 128 * 1024;
