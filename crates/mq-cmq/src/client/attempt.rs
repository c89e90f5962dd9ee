//! One attempt: a signed request, and what became of it.

use std::time::Instant;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use mq_core::{ErrorBuilder, ErrorKind, Outcome, Retry};

use super::{Answered, Body, Shared};
use crate::conn::{Answer, Failure};
use crate::error::{Error, ErrorCode, Result, closed, invalid, rejected};
use crate::proto::{Action, Common, Envelope, HttpMethod, request};

impl Shared {
    pub(super) async fn attempt<A: Action + Sync>(
        &self,
        action: &A,
        operation: &'static str,
        deadline: Instant,
    ) -> Result<Answered> {
        if let Some(carrier) = &self.carrier
            && let Some((to, packet)) = action.packet()
        {
            let answered = self.attempt_packet::<A>(carrier, to, packet, operation, deadline);
            return answered.await;
        }
        self.attempt_http(action, operation, deadline).await
    }

    pub(super) async fn attempt_http<A: Action + Sync>(
        &self,
        action: &A,
        operation: &'static str,
        deadline: Instant,
    ) -> Result<Answered> {
        let begun = self.clock.now();
        let request = self.request(action, operation)?;
        match self.pool.call(request, deadline).await {
            Ok(answer) => self.judge::<A>(answer, operation, begun),
            Err(failure) => Err(self.failed(failure, operation, &self.host)),
        }
    }

    fn request<A: Action>(
        &self,
        action: &A,
        operation: &'static str,
    ) -> Result<Request<Full<Bytes>>> {
        let form = request::encode(action, &self.common(), &self.signer.key);
        let request = Request::builder().header(HOST, &self.host);
        let request = match self.method {
            HttpMethod::Post => request
                .method(Method::POST)
                .uri(&self.path)
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(Full::new(Bytes::from(form))),
            HttpMethod::Get => {
                self.check_length(&form, operation)?;
                request
                    .method(Method::GET)
                    .uri(format!("{}?{form}", self.path))
                    .body(Full::default())
            }
        };
        // The cause is not kept: it could repeat a part of the request.
        request.map_err(|_| invalid(operation, "the request can't be written as HTTP"))
    }

    fn common(&self) -> Common<'_> {
        Common {
            method: self.method,
            host: &self.host,
            path: &self.path,
            secret_id: &self.signer.secret_id,
            token: self.signer.token.as_ref().map(mq_core::Secret::expose),
            region: self.region.as_deref(),
            timestamp: self.seconds(),
            // As many bits as a signed number of 64 bits has: servers may read it as one.
            nonce: fastrand::u64(1..=i64::MAX.unsigned_abs()),
        }
    }

    /// Whether an action can be written: GET has a limit for URLs.
    pub(crate) fn fits<A: Action>(&self, action: &A) -> bool {
        match self.method {
            HttpMethod::Post => true,
            HttpMethod::Get if self.carrier.is_some() => true,
            HttpMethod::Get => {
                let form = request::encode(action, &self.common(), &self.signer.key);
                self.url_length(&form) + SIGNATURE_SPREAD <= MAX_URL
            }
        }
    }

    fn check_length(&self, form: &str, operation: &'static str) -> Result<()> {
        let length = self.url_length(form);
        if length <= MAX_URL {
            return Ok(());
        }
        let message = format!("the request's URL has {length} characters, over {MAX_URL}");
        Err(invalid(operation, message)
            .into_builder()
            .hint("use POST, or send fewer and smaller bodies")
            .build())
    }

    fn url_length(&self, form: &str) -> usize {
        let scheme = if self.https { "https://" } else { "http://" };
        scheme.len() + self.host.len() + self.path.len() + 1 + form.len()
    }

    fn judge<A: Action>(
        &self,
        answer: Answer,
        operation: &'static str,
        begun: Instant,
    ) -> Result<Answered> {
        let Answer { status, body } = answer;
        let envelope = match Envelope::parse(&body) {
            Ok(envelope) => envelope,
            Err(_) if status != StatusCode::OK => return Err(self.not_cmq(status, operation)),
            Err(cause) => {
                return Err(self
                    .not_the_protocol(operation, "the answer is not one of CMQ's")
                    .source(cause)
                    .build());
            }
        };
        match envelope.error() {
            Some(code) if !A::ANSWERS.contains(&envelope.code) => {
                Err(rejected(operation, &self.host, code, &envelope))
            }
            None if status != StatusCode::OK => Err(self.not_cmq(status, operation)),
            _ => Ok(Answered {
                envelope,
                body: Body::Json(body),
                begun,
                unsure: false,
            }),
        }
    }

    /// CMQ answers 200 whatever it has to say: this is something before it, which may have passed the request on.
    fn not_cmq(&self, status: StatusCode, operation: &'static str) -> Error {
        let error = Error::builder(ErrorKind::Protocol, format!("HTTP status {status}"))
            .operation(operation)
            .endpoint(&self.host)
            .outcome(Outcome::Unknown);
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            error.retry(Retry::Later).build()
        } else {
            error
                .hint("check host, port and path: this may not be a CMQ endpoint")
                .build()
        }
    }

    pub(crate) fn not_the_protocol(
        &self,
        operation: &'static str,
        message: &str,
    ) -> ErrorBuilder<ErrorCode> {
        Error::builder(ErrorKind::Protocol, message)
            .operation(operation)
            .endpoint(&self.host)
            .outcome(Outcome::Unknown)
    }

    pub(super) fn failed(
        &self,
        failure: Failure,
        operation: &'static str,
        endpoint: &str,
    ) -> Error {
        let error = |kind, message: &str| {
            let error = Error::builder(kind, message).operation(operation);
            error.endpoint(endpoint)
        };
        match failure {
            Failure::Connect(cause) => error(ErrorKind::Connect, "no connection")
                .source(cause)
                .build(),
            Failure::Timeout { sent: false } => {
                error(ErrorKind::Timeout, "no connection in time").build()
            }
            Failure::Timeout { sent: true } => error(ErrorKind::Timeout, "no answer in time")
                .outcome(Outcome::Unknown)
                .build(),
            Failure::Broken(cause) => error(
                ErrorKind::Disconnected,
                "the connection broke before the answer was there",
            )
            .outcome(Outcome::Unknown)
            .source(cause)
            .build(),
            Failure::TooLarge => self
                .not_the_protocol(operation, "the answer is larger than any of CMQ's")
                .build(),
            Failure::Unwritable(what) => invalid(operation, what.to_string()),
            Failure::Closed => closed(operation),
        }
    }
}

/// Tencent's Java SDK refuses to send longer ones.
const MAX_URL: usize = 2048;
/// By how much two signatures may differ, written into a URL, and two nonces.
const SIGNATURE_SPREAD: usize = 128;
