//! Receives what HTTP subscriptions push: a tower service, for hyper, axum and others.
//!
//! ```text
//!  CMQ ─ POST ─► server (hyper, axum) ─► PushReceiver: method, size, form ─► handler ─► Ok: 200, the message is done
//!                                             └ 405, 413, 400                  └ Err: 500, it is pushed again
//! ```
//!
//! The service takes every answer from 200 to 299 for done, gives up waiting after some 15 s, and tries again by the subscription's
//! [`PushRetry`](crate::PushRetry): messages can come twice, and in any order. Pushes are not signed: whoever knows the URL can send some.
//! Choose a URL that can't be guessed, and have the server speak HTTPS and limit how long a request may take.

use std::convert::Infallible;
use std::fmt::{self, Display};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Body;
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::admin::ContentFormat;
use crate::proto::answer::{number, text};

/// A tower service that hands pushed messages to a handler, and answers by what the handler says. Cheap to clone.
///
/// `H` is a `Fn(Pushed) -> Future<Output = Result<(), E>>`.
///
/// ```no_run
/// # use mq_cmq::push::{PushReceiver, Pushed};
/// let receiver = PushReceiver::json(|message: Pushed| async move {
///     println!("{} {}", message.message_id().unwrap_or("?"), message.body());
///     Ok::<_, std::io::Error>(())
/// });
/// // axum: Router::new().route_service("/cmq/3f9c…", receiver)
/// # drop(receiver);
/// ```
pub struct PushReceiver<H> {
    handler: Arc<H>,
    format: ContentFormat,
    max_body: usize,
}

impl<H> PushReceiver<H> {
    /// For subscriptions with [`ContentFormat::Json`], the service's default.
    pub fn json(handler: H) -> Self {
        Self::new(handler, ContentFormat::Json)
    }

    /// For subscriptions with [`ContentFormat::Simplified`]: the body of the request is that of the message.
    pub fn simplified(handler: H) -> Self {
        Self::new(handler, ContentFormat::Simplified)
    }

    fn new(handler: H, format: ContentFormat) -> Self {
        Self {
            handler: Arc::new(handler),
            format,
            max_body: 6 * 1024 * 1024 + 64 * 1024,
        }
    }

    /// The largest body of a request, in bytes; default 6 MiB and 64 KiB: a message of 1 MiB, whatever JSON makes of it, and what is around it.
    /// What is larger is answered with 413, and not read further.
    #[must_use]
    pub const fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }
}

/// A message that was pushed. What the service did not say is `None`.
#[derive(Clone, PartialEq, Eq)]
pub struct Pushed {
    body: String,
    message_id: Option<String>,
    request_id: Option<String>,
    tags: Vec<String>,
    about: About,
}

/// What the JSON form says beside the body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct About {
    owner: Option<u64>,
    topic: Option<String>,
    subscription: Option<String>,
    published: Option<SystemTime>,
}

impl Pushed {
    /// The body.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// The body, taken out.
    pub fn into_body(self) -> String {
        self.body
    }

    /// The body read as JSON.
    ///
    /// # Errors
    ///
    /// It is not the JSON of a `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(&self.body)
    }

    /// The id that the service gave the message: the same each time it is pushed.
    pub fn message_id(&self) -> Option<&str> {
        self.message_id.as_deref()
    }

    /// The service's name for the push.
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    /// The tags of the message.
    pub fn tags(&self) -> &[String] {
        &self.tags
    }

    /// The topic; of the JSON form.
    pub fn topic(&self) -> Option<&str> {
        self.about.topic.as_deref()
    }

    /// The subscription; of the JSON form.
    pub fn subscription(&self) -> Option<&str> {
        self.about.subscription.as_deref()
    }

    /// The account that owns the topic; of the JSON form.
    pub const fn owner(&self) -> Option<u64> {
        self.about.owner
    }

    /// When it was published, by the service's clock, to the second; of the JSON form.
    pub const fn published(&self) -> Option<SystemTime> {
        self.about.published
    }

    fn read(format: ContentFormat, headers: &HeaderMap, body: &[u8]) -> Option<Self> {
        let tags = header(headers, MESSAGE_TAG).unwrap_or_default();
        let tags = tags.split(',').map(str::trim).filter(|tag| !tag.is_empty());
        let mut pushed = Self {
            body: String::new(),
            message_id: header(headers, MESSAGE_ID),
            request_id: header(headers, REQUEST_ID),
            tags: tags.map(str::to_owned).collect(),
            about: About::default(),
        };
        if format == ContentFormat::Simplified {
            str::from_utf8(body).ok()?.clone_into(&mut pushed.body);
            return Some(pushed);
        }
        let form: Form = serde_json::from_slice(body).ok()?;
        pushed.body = form.body;
        pushed.message_id = Some(form.id);
        let since = (form.published > 0).then(|| Duration::from_secs(form.published));
        let some = |text: String| Some(text).filter(|text| !text.is_empty());
        pushed.about = About {
            owner: Some(form.owner).filter(|owner| *owner > 0),
            topic: some(form.topic),
            subscription: some(form.subscription),
            published: since.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since)),
        };
        Some(pushed)
    }
}

/// The JSON form.
// Tencent Cloud, product 406, document 7420
#[derive(Deserialize)]
struct Form {
    #[serde(rename = "msgBody", deserialize_with = "text")]
    body: String,
    #[serde(rename = "msgId", deserialize_with = "text")]
    id: String,
    #[serde(default, rename = "TopicOwner", deserialize_with = "number")]
    owner: u64,
    #[serde(default, rename = "topicName", deserialize_with = "text")]
    topic: String,
    #[serde(default, rename = "subscriptionName", deserialize_with = "text")]
    subscription: String,
    #[serde(default, rename = "publishTime", deserialize_with = "number")]
    published: u64,
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?.as_bytes();
    Some(str::from_utf8(value).ok()?.to_owned())
}

impl<H, B, Fut, E> tower_service::Service<Request<B>> for PushReceiver<H>
where
    H: Fn(Pushed) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), E>> + Send,
    E: Display,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let receiver = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let pushed = match read(receiver.format, receiver.max_body, &parts, body).await {
                Ok(pushed) => pushed,
                Err(status) => {
                    tracing::warn!(%status, "a push was refused");
                    return Ok(answer(status));
                }
            };
            let id = pushed.message_id.clone();
            Ok(answer(match (receiver.handler)(pushed).await {
                Ok(()) => StatusCode::OK,
                Err(error) => {
                    tracing::warn!(%error, message_id = id, "a handler failed; its message is pushed again");
                    StatusCode::INTERNAL_SERVER_ERROR
                }
            }))
        })
    }
}

async fn read<B>(
    format: ContentFormat,
    max_body: usize,
    parts: &Parts,
    body: B,
) -> Result<Pushed, StatusCode>
where
    B: Body + Send,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if parts.method != Method::POST {
        return Err(StatusCode::METHOD_NOT_ALLOWED);
    }
    let whole = Box::pin(Limited::new(body, max_body).collect()).await;
    let whole = whole.map_err(|error| {
        if error.is::<LengthLimitError>() {
            StatusCode::PAYLOAD_TOO_LARGE
        } else {
            StatusCode::BAD_REQUEST
        }
    })?;
    let pushed = Pushed::read(format, &parts.headers, &whole.to_bytes());
    pushed.ok_or(StatusCode::BAD_REQUEST)
}

fn answer(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

impl<H> Clone for PushReceiver<H> {
    fn clone(&self) -> Self {
        Self {
            handler: Arc::clone(&self.handler),
            ..*self
        }
    }
}

impl<H> fmt::Debug for PushReceiver<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PushReceiver")
            .field("format", &self.format)
            .field("max_body", &self.max_body)
            .finish_non_exhaustive()
    }
}

/// Without the body.
impl fmt::Debug for Pushed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pushed")
            .field("message_id", &self.message_id)
            .field("request_id", &self.request_id)
            .field("tags", &self.tags)
            .field("about", &self.about)
            .finish_non_exhaustive()
    }
}

const REQUEST_ID: &str = "x-cmq-request-id";
const MESSAGE_ID: &str = "x-cmq-message-id";
const MESSAGE_TAG: &str = "x-cmq-message-tag";
