//! Pushes to URLs: off unless asked for, and never where they could do harm unless that is asked for too.
//!
//! ```text
//!  job ─► one of 64 ─► URL ─► addresses, looked up once ─► each allowed? ─► connect to that address ─► POST ─► 2xx?
//!                               └ no: refused, an audit line ─► by the strategy, again
//! ```
//!
//! Redirects are not followed: only 2xx is success. The address that was checked is the one that is connected to, so that a name that
//! changes in between changes nothing.

mod targets;

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

pub use self::targets::PushTargets;
use super::engine::{OWNER, PushJob};
use super::shared::Shared;
use super::spec::ContentFormat;

/// Pushes what comes, until it is dropped.
pub(super) async fn push_all(
    shared: Arc<Shared>,
    mut jobs: mpsc::Receiver<PushJob>,
    targets: PushTargets,
    timeout: Duration,
) {
    let room = Arc::new(Semaphore::new(AT_A_TIME));
    let mut tasks = JoinSet::new();
    while let Some(job) = jobs.recv().await {
        while tasks.try_join_next().is_some() {}
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        let shared = Arc::clone(&shared);
        tasks.spawn(async move {
            let pushed = tokio::time::timeout(timeout, push(&job, targets)).await;
            let pushed = pushed.unwrap_or_else(|_| Err("no answer in time".to_owned()));
            shared.with(|engine, now| engine.pushed(now, job.push, pushed.is_ok()));
            // Behind it: whoever reads the line may let time pass.
            audit(&job, &pushed);
            drop(permit);
        });
    }
}

fn audit(job: &PushJob, pushed: &Result<u16, String>) {
    let (done, why) = match pushed {
        Ok(status) => (true, status.to_string()),
        Err(why) => (false, why.clone()),
    };
    tracing::info!(
        target: "mq_dev::cmq::push",
        url = shown(&job.url),
        topic = job.topic,
        subscription = job.subscription,
        id = job.id,
        done,
        why,
        "push"
    );
}

/// What may be shown of an endpoint: user, password and query can be secrets of whom it belongs to.
fn shown(url: &str) -> String {
    url.parse().map_or_else(
        |_| "(unreadable)".to_owned(),
        |uri: Uri| {
            let scheme = uri.scheme_str().unwrap_or_default();
            format!("{scheme}://{}{}", host(&uri), uri.path())
        },
    )
}

/// Host and port, if the URL names one: without user and password, which are part of its authority.
fn host(uri: &Uri) -> String {
    let host = uri.host().unwrap_or_default();
    let port = uri.port().map(|port| format!(":{port}"));
    host.to_owned() + &port.unwrap_or_default()
}

/// Pushes once; the status if it is a good one.
async fn push(job: &PushJob, targets: PushTargets) -> Result<u16, String> {
    let uri: Uri = job
        .url
        .parse()
        .map_err(|_| "the URL can't be read".to_owned())?;
    let authority = uri.authority().ok_or("the URL has no host")?;
    let address = resolve(
        authority.host(),
        authority.port_u16().unwrap_or(80),
        targets,
    )
    .await?;
    let socket = TcpStream::connect(address).await;
    let socket = socket.map_err(|error| format!("no connection: {error}"))?;
    let request = request(job, &uri)?;
    let handshake = http1::handshake(TokioIo::new(socket)).await;
    let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
    // Both in this task: the connection ends with it. It may have ended just behind the answer.
    let mut answer = pin!(sender.send_request(request));
    let answer = tokio::select! {
        biased;
        answer = &mut answer => answer,
        _ = connection => answer.await,
    };
    let status = answer.map_err(|error| error.to_string())?.status();
    if status.is_success() {
        return Ok(status.as_u16());
    }
    Err(format!("status {}", status.as_u16()))
}

/// The address to connect to; all that the name has must be allowed.
async fn resolve(host: &str, port: u16, targets: PushTargets) -> Result<SocketAddr, String> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let found = tokio::net::lookup_host((host, port)).await;
    let addresses: Vec<SocketAddr> = found.map_err(|error| error.to_string())?.collect();
    if let Some(refused) = addresses.iter().find(|at| !targets.allow(at.ip())) {
        return Err(format!("refused: {} is not a public address", refused.ip()));
    }
    addresses
        .first()
        .copied()
        .ok_or_else(|| "the host has no address".to_owned())
}

/// Source: Tencent Cloud, product 406, document 7420.
fn request(job: &PushJob, uri: &Uri) -> Result<Request<Full<Bytes>>, String> {
    let body = match job.format {
        ContentFormat::Simplified => job.body.to_string(),
        ContentFormat::Json => json(job)?,
    };
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::post(path)
        .header(HOST, host(uri))
        .header(USER_AGENT, "Qcloud Notification Service Agent")
        .header(CONTENT_TYPE, "text/plain")
        .header("x-cmq-request-id", job.push)
        .header("x-cmq-message-id", job.id)
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| error.to_string())?;
    if !job.tags.is_empty()
        && let Ok(tags) = HeaderValue::from_bytes(job.tags.as_bytes())
    {
        request.headers_mut().insert("x-cmq-message-tag", tags);
    }
    Ok(request)
}

fn json(job: &PushJob) -> Result<String, String> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Body<'a> {
        #[serde(rename = "TopicOwner")]
        topic_owner: u64,
        topic_name: &'a str,
        subscription_name: &'a str,
        #[serde(rename = "msgId")]
        id: String,
        #[serde(rename = "msgBody")]
        text: &'a str,
        publish_time: u64,
    }
    let body = Body {
        topic_owner: OWNER,
        topic_name: &job.topic,
        subscription_name: &job.subscription,
        id: job.id.to_string(),
        text: &job.body,
        publish_time: job.published / 1000,
    };
    serde_json::to_string(&body).map_err(|error| error.to_string())
}

const AT_A_TIME: usize = 64;
