//! Answers, and what an answer says of a refusal.

use bytes::Bytes;
use mq_cmq::proto::limits::Refusal;
use mq_cmq::proto::tcp::{ALREADY_AUTHENTICATED, NOT_AUTHENTICATED, Packet, Pulled};
use mq_cmq::proto::{Envelope, ErrorCode};

use crate::cmq::engine::{Body, Delivered};

/// An answer that is nothing yet.
pub(super) fn answer(to: &Packet, request_id: u64) -> Packet {
    Packet {
        result: Some(0),
        request_id: Some(request_id),
        ..Packet::new(to.seqno, to.cmd)
    }
}

/// The module code, or what TCP has in its place, and the text as over HTTP.
pub(super) fn refuse(answer: &mut Packet, refusal: &Refusal) {
    answer.result = Some(result(refusal.code));
    answer.error = Some(text(refusal));
}

pub(super) fn result(code: ErrorCode) -> i32 {
    match code {
        ErrorCode::NOT_AUTHENTICATED => NOT_AUTHENTICATED,
        ErrorCode::ALREADY_AUTHENTICATED => ALREADY_AUTHENTICATED,
        other => {
            let number = other.module().unwrap_or_else(|| other.number());
            i32::try_from(number).unwrap_or(i32::MAX)
        }
    }
}

/// `(10100)queue is not existed, or deleted`.
pub(super) fn text(refusal: &Refusal) -> String {
    Envelope::refusal(refusal.code, &refusal.message, String::new()).message
}

/// Times travel in whole seconds, cut off as over HTTP.
pub(super) fn pulled(message: &Delivered) -> Pulled {
    let seconds = |millis: u64| i64::try_from(millis / 1000).ok();
    let origin = message.origin.as_ref();
    Pulled {
        message_id: message.id,
        handle: Some(message.handle),
        body: Some(Bytes::from_owner(Text(Body::clone(&message.body)))),
        enqueued: seconds(message.enqueued),
        next_visible: seconds(message.next_visible),
        first_dequeued: seconds(message.first_received),
        dequeue_count: Some(message.receives.into()),
        original_queue: origin.map(|origin| origin.queue_id.clone()),
        original_enqueued: origin.map(|origin| origin.enqueued / 1000),
        original_dequeue_count: origin.map(|origin| origin.receives),
    }
}

/// A body that is not copied.
struct Text(Body);

impl AsRef<[u8]> for Text {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}
