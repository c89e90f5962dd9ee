//! Answers: always HTTP 200, apart from what a fault makes of them.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::Response;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};

/// A body that is there, or the half of one.
#[derive(Debug)]
pub(super) struct Answer {
    bytes: Bytes,
    /// What comes behind it.
    end: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Whole,
    /// First what there is has to be on its way.
    Break {
        written: bool,
    },
}

/// The answer to most requests.
pub(super) fn whole(bytes: Bytes) -> Response<Answer> {
    response(bytes, End::Whole)
}

/// An answer to a request that was not read to its end: nothing else can come behind it.
pub(super) fn closing(bytes: Bytes) -> Response<Answer> {
    let mut response = whole(bytes);
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(CONNECTION, close);
    response
}

/// Half of an answer that promises to be whole.
pub(super) fn half(mut bytes: Bytes) -> Response<Answer> {
    let promised = HeaderValue::from(bytes.len());
    bytes.truncate(bytes.len() / 2);
    let mut response = response(bytes, End::Break { written: false });
    response.headers_mut().insert(CONTENT_LENGTH, promised);
    response
}

/// As a gateway has them.
pub(super) fn status_500() -> Response<Answer> {
    let page = Bytes::from_static(b"<html><body>Internal Server Error</body></html>");
    let mut response = response(page, End::Whole);
    *response.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
    let html = HeaderValue::from_static("text/html");
    response.headers_mut().insert(CONTENT_TYPE, html);
    response
}

fn response(bytes: Bytes, end: End) -> Response<Answer> {
    let mut response = Response::new(Answer { bytes, end });
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

/// The connection breaks here, as a fault wants it.
#[derive(Debug, thiserror::Error)]
#[error("a fault was injected")]
pub(super) struct Broken;

impl From<Infallible> for Broken {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if !self.bytes.is_empty() {
            let bytes = std::mem::take(&mut self.bytes);
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        match self.end {
            End::Whole => Poll::Ready(None),
            End::Break { written: true } => Poll::Ready(Some(Err(Broken))),
            End::Break { written: false } => {
                self.end = End::Break { written: true };
                context.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty() && self.end == End::Whole
    }

    fn size_hint(&self) -> SizeHint {
        match self.end {
            End::Whole => SizeHint::with_exact(self.bytes.len() as u64),
            End::Break { .. } => SizeHint::default(),
        }
    }
}
