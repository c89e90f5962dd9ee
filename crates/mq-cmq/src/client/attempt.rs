//! One attempt: a signed request, and what became of it.

use std::time::Instant;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use mq_core::ErrorBuilder;

use super::{Answered, Body, Shared};
use crate::conn::Answer;
use crate::error::{ErrorCode, Result, failed, invalid, not_the_protocol, other_status, rejected};
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
            Err(failure) => Err(failed(operation, &self.host, failure)),
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
            Err(_) if status != StatusCode::OK => {
                return Err(other_status(operation, &self.host, status));
            }
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
            None if status != StatusCode::OK => Err(other_status(operation, &self.host, status)),
            _ => Ok(Answered {
                envelope,
                body: Body::Json(body),
                begun,
                unsure: false,
            }),
        }
    }

    pub(crate) fn not_the_protocol(
        &self,
        operation: &'static str,
        message: &str,
    ) -> ErrorBuilder<ErrorCode> {
        not_the_protocol(operation, &self.host, message)
    }
}

/// Tencent's Java SDK refuses to send longer ones.
const MAX_URL: usize = 2048;
/// By how much two signatures may differ, written into a URL, and two nonces.
const SIGNATURE_SPREAD: usize = 128;
