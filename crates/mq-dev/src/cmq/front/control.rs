//! Requests of the control plane: POST `/` with the header `X-TC-Action`.

use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response};
use mq_cmq::ControlCode;
use mq_cmq::proto::tc3::{Received, VERSION};
use mq_core::{Clock as _, SystemClock};

use super::answer::{self, Answer};
use super::request::collect;
use super::{Front, Struck, faulted};
use crate::cmq::auth::No;
use crate::cmq::shared::Shared;
use crate::cmq::tc3;

/// Whether a request is one of the control plane.
pub(super) fn is_one<B>(request: &Request<B>) -> bool {
    request.headers().contains_key(ACTION)
}

pub(super) async fn handle(
    front: &Front,
    request: Request<Incoming>,
) -> Result<Response<Answer>, Struck> {
    let shared = &front.shared;
    let request_id = shared.counts.request().to_string();
    let no = |no: No| Bytes::from(tc3::refused(no, &request_id));
    let (head, body) = request.into_parts();
    let (body, room) = match collect(body, front.patience.body, &front.room).await {
        Ok(collected) => collected,
        Err(refusal) => {
            let code = if refusal.code.is_throttling() {
                ControlCode::THROTTLED
            } else {
                ControlCode::INVALID_REQUEST
            };
            return Ok(answer::closing(no((code, refusal.message))));
        }
    };
    let text = |value| hyper::header::HeaderValue::to_str(value).ok();
    let headers = head.headers.iter();
    let headers: Vec<(&str, &str)> = headers
        .filter_map(|(name, value)| Some((name.as_str(), text(value)?)))
        .collect();
    let received = Received {
        method: head.method.as_str(),
        path: head.uri.path(),
        query: head.uri.query().unwrap_or_default(),
        headers: &headers,
        body: &body,
    };
    let action = match authorize(shared, &head.method, &received) {
        Ok(action) => action,
        Err(why) => return Ok(answer::whole(no(why))),
    };
    let name = action.to_ascii_lowercase();
    shared.counts.count(&name);
    let answered = faulted(shared, &name, |lose| {
        let answer = tc3::act(shared, action, &body, &request_id, lose);
        std::future::ready(Bytes::from(answer))
    });
    let answered = answered.await;
    drop(room);
    answered
}

/// The action's name.
fn authorize<'a>(shared: &Shared, method: &Method, request: &Received<'a>) -> Result<&'a str, No> {
    if *method != Method::POST || request.path != "/" {
        let message = "only POST / is served".to_owned();
        return Err((ControlCode::UNSUPPORTED_PROTOCOL, message));
    }
    let now = u64::try_from(SystemClock.wall_ms() / 1000).unwrap_or_default();
    shared.auth.check_tc3(request, now)?;
    let version = request.header("x-tc-version").unwrap_or_default();
    if version != VERSION {
        let message = format!("X-TC-Version is not {VERSION}");
        return Err((ControlCode::NO_SUCH_VERSION, message));
    }
    if request.header("x-tc-region").is_none_or(str::is_empty) {
        let message = "X-TC-Region is missing".to_owned();
        return Err((ControlCode::MISSING_PARAMETER, message));
    }
    Ok(request.header(ACTION).unwrap_or_default())
}

const ACTION: &str = "x-tc-action";
