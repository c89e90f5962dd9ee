//! A request, read whole.

use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::header::HOST;
use hyper::{Method, Request};
use mq_cmq::proto::form::Unread;
use mq_cmq::proto::limits::Refusal;
use mq_cmq::proto::{ErrorCode, form};
use mq_core::{Clock as _, SystemClock, later};
use tokio::time::{Instant, timeout_at};

use crate::cmq::room::{Collected, Full, Held, Room};

/// What of a request counts.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) method: &'static str,
    pub(super) host: String,
    pub(super) path: String,
    /// Of the query and, with POST, of the body, whatever its `Content-Type`.
    pub(super) pairs: Vec<(String, String)>,
    /// Room for as many bytes as the body had, of which the pairs are.
    #[expect(dead_code, reason = "it is there to be dropped with the pairs")]
    pub(super) room: Option<Held>,
}

/// Reads a request, if it is one of CMQ's.
pub(super) async fn read(
    request: Request<Incoming>,
    patience: Duration,
    room: &Room,
) -> Result<Read, Refusal> {
    let method = match *request.method() {
        Method::GET => "GET",
        Method::POST => "POST",
        ref other => {
            let message = format!("{other} is not supported, only GET and POST are");
            return Err(Refusal::new(ErrorCode::WRONG_HTTP_METHOD, message));
        }
    };
    let path = request.uri().path().to_owned();
    if path != "/" && path != "/v2/index.php" {
        return Err(unreadable("the path is neither /v2/index.php nor /"));
    }
    let authority = request.uri().authority().map(ToString::to_string);
    let header = request.headers().get(HOST);
    let header = header.and_then(|host| host.to_str().ok().map(ToOwned::to_owned));
    let host = header.or(authority).unwrap_or_default();
    let query = request.uri().query().unwrap_or_default();
    let mut pairs = decode(query.as_bytes(), MAX_PAIRS)?;
    let mut held = None;
    if method == "POST" {
        let (body, room) = collect(request.into_body(), patience, room).await?;
        let left = MAX_PAIRS.saturating_sub(pairs.len());
        pairs.append(&mut decode(&body, left)?);
        held = room;
    }
    Ok(Read {
        method,
        host,
        path,
        pairs,
        room: held,
    })
}

/// The body, and its room. A body that says that it is too large is not read at all.
pub(super) async fn collect(
    mut body: Incoming,
    patience: Duration,
    room: &Room,
) -> Result<(Vec<u8>, Option<Held>), Refusal> {
    let until = Instant::from_std(later(SystemClock.now(), patience));
    let said = body.size_hint().exact().map(usize::try_from);
    let most = said.map_or(MAX_FORM, |said| said.unwrap_or(usize::MAX));
    if most > MAX_FORM {
        return Err(too_large());
    }
    let mut collected = Collected::new();
    loop {
        let frame = timeout_at(until, body.frame()).await;
        let frame = frame.map_err(|_| unreadable("the body did not come in time"))?;
        let Some(frame) = frame else {
            return Ok(collected.end());
        };
        let frame = frame.map_err(|_| unreadable("the body could not be read"))?;
        let Ok(piece) = frame.into_data() else {
            continue;
        };
        if collected.len() + piece.len() > MAX_FORM {
            return Err(too_large());
        }
        let pushed = collected.push(&piece, most, room, until).await;
        pushed.map_err(|Full| full())?;
    }
}

fn decode(form: &[u8], most: usize) -> Result<Vec<(String, String)>, Refusal> {
    form::decode(form, most).map_err(|error| match error {
        Unread::TooMany { .. } => unreadable("it has more than 200 parameters"),
        Unread::Malformed(error) => unreadable(&error.to_string()),
    })
}

fn unreadable(why: &str) -> Refusal {
    Refusal::new(
        ErrorCode::UNREADABLE_REQUEST,
        format!("cannot parse request: {why}"),
    )
}

fn too_large() -> Refusal {
    unreadable("it is larger than 4 MiB")
}

/// Nothing was carried out, and it may be tried again: what the service says when it has too much to do.
fn full() -> Refusal {
    let message = "the server is full: other requests take up its memory";
    Refusal::new(ErrorCode::THROTTLED, message)
}

/// 1 MiB of bodies, as three characters a byte, and the rest.
const MAX_FORM: usize = 4 * 1024 * 1024;
const MAX_PAIRS: usize = 200;
