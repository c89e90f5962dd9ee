//! One call: a checked and signed request, what became of it, and whether it is made again.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Request, StatusCode};
use mq_core::{Clock, ErrorKind, Outcome, Retry, Secret};

use super::{ControlError, Result};
use crate::client::{LONGEST, Patience};
use crate::conn::{Answer, Pool};
use crate::error::{failed, invalid, not_the_protocol, other_status, words};
use crate::proto::tc3::{self, Action, Authorization, Canonical, ControlCode, Key, Refusal, Scope};

/// What all clones of one client have in common.
pub(super) struct Shared {
    pub(super) pool: Pool,
    pub(super) key: Key,
    pub(super) secret_id: String,
    pub(super) token: Option<Secret>,
    pub(super) region: String,
    /// The `Host` header, and the name of the endpoint in errors.
    pub(super) host: String,
    pub(super) timeout: Duration,
    pub(super) attempts: u32,
    pub(super) resend_unknown: bool,
    pub(super) clock: Arc<dyn Clock>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlClient")
            .field("endpoint", &self.host)
            .field("region", &self.region)
            .field("secret_id", &self.secret_id)
            .finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn close(&self) {
        self.pool.close();
    }

    /// Checks and asks, again where that is right.
    pub(super) async fn call<A: Action + Sync>(
        &self,
        action: &A,
        operation: &'static str,
    ) -> Result<A::Reply>
    where
        A::Reply: Send,
    {
        let refuse = |refusal| refused(operation, refusal);
        action.check().map_err(refuse)?;
        let deadline = self.clock.now() + self.timeout.min(LONGEST);
        let patience = Patience {
            action: A::NAME,
            endpoint: &self.host,
            clock: &*self.clock,
            deadline,
            attempts: self.attempts,
        };
        let attempt = || async move {
            let request = self.request(action, operation)?;
            match self.pool.call(request, deadline).await {
                Ok(answer) => self.judge::<A>(&answer, operation),
                Err(failure) => Err(failed(operation, &self.host, failure)),
            }
        };
        let is_worth_it = |error: &ControlError| self.is_worth_it::<A>(error);
        match patience.ask(attempt, is_worth_it).await {
            Ok((reply, _)) => Ok(reply),
            Err(error) if A::READS && is_answer(&error) => {
                // Attempts before it changed nothing.
                Err(error.into_builder().outcome(Outcome::Rejected).build())
            }
            Err(error) => Err(error),
        }
    }

    /// The service took a request and did not do what it is for.
    pub(super) fn not_done(&self, operation: &'static str, message: &str) -> ControlError {
        ControlError::builder(ErrorKind::Rejected, message)
            .operation(operation)
            .endpoint(&self.host)
            .outcome(Outcome::Rejected)
            .build()
    }

    fn request<A: Action>(
        &self,
        action: &A,
        operation: &'static str,
    ) -> Result<Request<Full<Bytes>>> {
        // No cause is kept: it could repeat a part of the request.
        let unwritable = || invalid(operation, "the request can't be written as HTTP");
        let body = serde_json::to_vec(action).map_err(|_| unwritable())?;
        let seconds = u64::try_from(self.clock.wall_ms() / 1000).unwrap_or_default();
        let authorization = self.authorization(A::NAME, &body, seconds);
        let authorization = authorization.and_then(|text| HeaderValue::try_from(text).ok());
        let mut authorization = authorization.ok_or_else(unwritable)?;
        authorization.set_sensitive(true);
        let mut request = Request::post("/")
            .header(HOST, &self.host)
            .header(CONTENT_TYPE, tc3::CONTENT_TYPE)
            .header("X-TC-Action", A::NAME)
            .header("X-TC-Version", tc3::VERSION)
            .header("X-TC-Timestamp", seconds)
            .header("X-TC-Region", &self.region)
            .header(AUTHORIZATION, authorization);
        if let Some(token) = &self.token {
            let mut token = HeaderValue::from_str(token.expose()).map_err(|_| unwritable())?;
            token.set_sensitive(true);
            request = request.header("X-TC-Token", token);
        }
        let request = request.body(Full::new(Bytes::from(body)));
        request.map_err(|_| unwritable())
    }

    fn authorization(&self, action: &str, body: &[u8], seconds: u64) -> Option<String> {
        let date = tc3::date::utc_date(seconds);
        let scope = Scope {
            date: &date,
            service: tc3::SERVICE,
        };
        // The action too: over plain HTTP nobody can turn a description into a deletion.
        let action = action.to_ascii_lowercase();
        let headers = [
            ("content-type", tc3::CONTENT_TYPE),
            ("host", self.host.as_str()),
            ("x-tc-action", action.as_str()),
        ];
        let canonical = Canonical {
            method: "POST",
            path: "/",
            query: "",
            headers: &headers,
            payload: body,
        };
        let text = canonical.string_to_sign(&seconds.to_string(), scope);
        let authorization = Authorization {
            secret_id: &self.secret_id,
            scope,
            signed_headers: headers.iter().map(|header| header.0).collect(),
            signature: &self.key.sign(scope, &text)?,
        };
        Some(authorization.to_string())
    }

    fn judge<A: Action>(&self, answer: &Answer, operation: &'static str) -> Result<A::Reply> {
        let ok = answer.status == StatusCode::OK;
        match tc3::answer::parse(&answer.body) {
            Ok(Err(refused)) => Err(self.rejected(operation, &refused)),
            Ok(Ok(answer)) if ok => Ok(answer.reply),
            Err(cause) if ok => {
                let message = "the answer is not one of the control plane's";
                Err(not_the_protocol(operation, &self.host, message)
                    .source(cause)
                    .build())
            }
            _ => Err(other_status(operation, &self.host, answer.status)),
        }
    }

    /// The service said no.
    fn rejected(&self, operation: &'static str, refused: &tc3::Refused) -> ControlError {
        let code = ControlCode::new(&refused.code);
        let (outcome, retry) = (
            if code.is_uncertain() {
                Outcome::Unknown
            } else {
                Outcome::Rejected
            },
            if code.is_retryable() {
                Retry::Later
            } else {
                Retry::Never
            },
        );
        let told = words(&refused.message, code.text(), &refused.request_id);
        let mut error = ControlError::builder(code.kind(), told)
            .operation(operation)
            .endpoint(&self.host)
            .outcome(outcome)
            .retry(retry);
        if let Some(hint) = code.hint() {
            error = error.hint(hint);
        }
        error.code(code).build()
    }

    fn is_worth_it<A: Action>(&self, error: &ControlError) -> bool {
        let later = error.retry() == Retry::Later;
        match error.outcome() {
            Outcome::Rejected => {
                error.code().is_some_and(ControlCode::is_throttling) || (A::READS && later)
            }
            Outcome::NotSent => error.kind() == ErrorKind::Connect,
            _ => later && (A::READS || self.resend_unknown),
        }
    }
}

/// Whether the service answered, and knew what it said.
fn is_answer(error: &ControlError) -> bool {
    error.code().is_some_and(|code| !code.is_uncertain())
}

/// What the service would refuse, refused here.
pub(super) fn refused(operation: &'static str, refusal: Refusal) -> ControlError {
    ControlError::builder(ErrorKind::Invalid, refusal.message)
        .operation(operation)
        .code(refusal.code)
        .build()
}
