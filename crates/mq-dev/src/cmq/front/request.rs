//! A request, read whole.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::HOST;
use hyper::{Method, Request};
use mq_cmq::proto::limits::Refusal;
use mq_cmq::proto::{ErrorCode, form};
use tokio::sync::Semaphore;

/// What of a request counts.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) method: &'static str,
    pub(super) host: String,
    pub(super) path: String,
    /// Of the query and, with POST, of the body, whatever its `Content-Type`.
    pub(super) pairs: Vec<(String, String)>,
}

/// Reads a request, if it is one of CMQ's.
pub(super) async fn read(
    request: Request<Incoming>,
    patience: Duration,
    room: &Arc<Semaphore>,
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
    let mut pairs = decode(query.as_bytes())?;
    if method == "POST" {
        // As much as it says, or as it may have: nobody is read who would not fit.
        let size = request.body().size_hint().exact().unwrap_or(MAX_FORM);
        if size > MAX_FORM {
            return Err(too_large());
        }
        let room = permits(room, size).await?;
        let body = tokio::time::timeout(patience, collect(request.into_body())).await;
        let body = body.unwrap_or_else(|_| Err(unreadable("the body did not come in time")))?;
        let more = decode(&body)?;
        drop(room);
        if pairs.is_empty() {
            pairs = more;
        } else {
            pairs.extend(more);
        }
    }
    Ok(Read {
        method,
        host,
        path,
        pairs,
    })
}

async fn permits(
    room: &Arc<Semaphore>,
    size: u64,
) -> Result<tokio::sync::OwnedSemaphorePermit, Refusal> {
    let kib = u32::try_from(size / 1024 + 1).unwrap_or(u32::MAX);
    let permits = Arc::clone(room).acquire_many_owned(kib).await;
    permits.map_err(|_| unreadable("the server ends"))
}

async fn collect(body: Incoming) -> Result<Bytes, Refusal> {
    let most = usize::try_from(MAX_FORM).unwrap_or(usize::MAX);
    let collected = Limited::new(body, most).collect().await;
    let collected = collected.map_err(|error| {
        if error.is::<LengthLimitError>() {
            too_large()
        } else {
            unreadable("the body could not be read")
        }
    })?;
    Ok(collected.to_bytes())
}

fn decode(form: &[u8]) -> Result<Vec<(String, String)>, Refusal> {
    let pairs = form::decode(form).map_err(|error| unreadable(&error.to_string()))?;
    if pairs.len() > MAX_PAIRS {
        return Err(unreadable("it has more than 200 parameters"));
    }
    Ok(pairs)
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

/// 1 MiB of bodies, as three characters a byte, and the rest.
const MAX_FORM: u64 = 4 * 1024 * 1024;
const MAX_PAIRS: usize = 200;
