//! One request over HTTP at a time, for lookups at the addresses of consoles and for tokens of `OAuth2`.

use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use mq_core::{Endpoint, ErrorKind, Retry};
use mq_net::Stream;

use super::TlsConfig;
use super::handshake::{broke, not_connected};
use crate::error::{Error, Result};

/// What is asked.
pub(crate) struct Question {
    pub(crate) method: Method,
    /// From the slash on, with its query.
    pub(crate) path: String,
    pub(crate) headers: Vec<(&'static str, HeaderValue)>,
    pub(crate) body: Bytes,
}

/// What was answered.
pub(crate) struct Answered {
    pub(crate) status: u16,
    /// Where else to ask.
    pub(crate) location: Option<String>,
    pub(crate) body: Bytes,
}

/// Asks a server on a connection of its own.
///
/// Cancel safe: dropped, the connection is cut.
///
/// # Errors
///
/// Kind `Connect`, `Disconnected`, `Protocol` for what is no HTTP or longer than 16 MiB; all name the server. An answer of any status is none.
pub(crate) async fn ask(
    endpoint: &Endpoint,
    tls: Option<&TlsConfig>,
    question: Question,
    within: Duration,
) -> Result<Answered> {
    let whole = async {
        let stream = Stream::open(endpoint, tls).await;
        let stream = stream.map_err(|cause| not_connected(&cause))?;
        exchange(stream, endpoint, question).await
    };
    let answered = tokio::time::timeout(within, whole).await;
    let answered = answered.unwrap_or_else(|_| {
        let message = format!("no answer within {within:?}");
        Err(Error::builder(ErrorKind::Connect, message).build())
    });
    answered.map_err(|error| error.into_builder().endpoint(endpoint.to_string()).build())
}

async fn exchange(stream: Stream, endpoint: &Endpoint, question: Question) -> Result<Answered> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|cause| failed(&cause))?;
    let mut request = Request::builder()
        .method(question.method)
        .uri(question.path)
        .header(header::HOST, endpoint.to_string())
        .header(header::ACCEPT, "application/json")
        .header(header::CONNECTION, "close");
    for (name, value) in question.headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(question.body)).map_err(|cause| {
        let message = format!("what is asked can't be put into HTTP: {cause}");
        Error::builder(ErrorKind::Invalid, message).build()
    })?;
    let answering = async {
        let response = sender.send_request(request).await;
        read(response.map_err(|cause| failed(&cause))?).await
    };
    tokio::pin!(connection, answering);
    tokio::select! {
        answered = &mut answering => answered,
        // The bytes of the answer may all be here when the connection has ended.
        ended = &mut connection => match ended {
            Ok(()) => answering.await,
            Err(cause) => Err(failed(&cause)),
        },
    }
}

async fn read(response: Response<hyper::body::Incoming>) -> Result<Answered> {
    let location = response.headers().get(header::LOCATION);
    let location = location.and_then(|value| value.to_str().ok().map(str::to_owned));
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), MOST).collect().await;
    let body = body.map_err(|cause| {
        let message = format!("the answer could not be read: {cause}");
        Error::builder(ErrorKind::Protocol, message)
            .retry(Retry::Later)
            .build()
    })?;
    Ok(Answered {
        status,
        location,
        body: body.to_bytes(),
    })
}

fn failed(cause: &hyper::Error) -> Error {
    if cause.is_parse() {
        let error = Error::builder(ErrorKind::Protocol, "the peer does not speak HTTP");
        return error
            .hint("the port of pulsar:// is another one, 6650 by default; https:// begins with TLS")
            .build();
    }
    broke(&io::Error::other(cause.to_string()))
}

/// As a part of a URL's path or query.
pub(crate) fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

const MOST: usize = 16 * 1024 * 1024;
