//! Asks a broker whether it serves. An open port says nothing: a broker listens before it
//! registers with the nameserver, and a nameserver goes on routing to one that was killed.
//!
//! ```text
//!   105 GET_ROUTEINFO_BY_TOPIC(topic = broker's name) -> nameserver   until 0
//!   28  GET_BROKER_RUNTIME_INFO, unsigned             -> broker       until 0, or refused (ACL)
//! ```
//! Of the client only the codec is used: a launcher that used its connections could not tell a broker's failure from the client's.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use mq_rocketmq::proto::command::GetRoute;
use mq_rocketmq::proto::{
    Fields, Flags, FrameDecoder, HeaderCodec, HeaderParts, Language, NoFields, Request,
    RequestCode, encode,
};
use rustls::{ClientConfig, ClientConnection};

use super::spec::Spec;
use crate::brokers::{self, Certificates};

/// What the answer to an unsigned request must look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guard {
    /// Served.
    Open,
    /// Refused with code 16.
    Acl2,
    /// Refused with code 1 and an `AclException` in the remark.
    Acl1,
}

/// How a server is spoken to.
#[derive(Debug, Clone)]
pub(super) enum Door {
    Plain,
    Tls(Arc<ClientConfig>),
}

impl Door {
    pub(super) fn of(spec: &Spec) -> Result<Self, brokers::Error> {
        Ok(match spec.tls {
            None => Self::Plain,
            Some(_) => Self::Tls(Certificates::made()?.client_config()?),
        })
    }
}

/// The part of a response header that matters.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    code: i32,
    remark: Option<String>,
}

/// Whether the nameserver answers at all; "no such topic" is an answer.
pub(super) fn nameserver(address: SocketAddr, door: &Door) -> Result<(), String> {
    route(address, door, "TBW102").and_then(|answer| match answer.code {
        0 | 17 => Ok(()),
        _ => Err(format!("nameserver: {answer:?}")),
    })
}

/// Whether the nameserver routes to the broker and the broker answers as its guard demands.
pub(super) fn broker(
    nameserver: SocketAddr,
    name: &str,
    address: SocketAddr,
    guard: Guard,
    door: &Door,
) -> Result<(), String> {
    // apache/rocketmq: TopicConfigManager, a broker registers a topic of its own name.
    let routed = route(nameserver, door, name)?;
    if routed.code != 0 {
        return Err(format!("no route to it yet: {routed:?}"));
    }
    let code = RequestCode::GET_BROKER_RUNTIME_INFO;
    let answer = call(address, door, code, &NoFields)?;
    if guard.accepts(&answer) {
        Ok(())
    } else {
        Err(format!("it answers {answer:?}"))
    }
}

impl Guard {
    fn accepts(self, answer: &Answer) -> bool {
        let remark = answer.remark.as_deref().unwrap_or_default();
        match self {
            Self::Open => answer.code == 0,
            Self::Acl2 => answer.code == 16,
            // Code 1 alone is what any broker answers in its first half second.
            Self::Acl1 => answer.code == 1 && remark.contains("AclException"),
        }
    }
}

fn route(nameserver: SocketAddr, door: &Door, topic: &str) -> Result<Answer, String> {
    let request = GetRoute::new(topic);
    call(nameserver, door, GetRoute::CODE, &request)
}

fn call(
    address: SocketAddr,
    door: &Door,
    code: RequestCode,
    fields: &dyn Fields,
) -> Result<Answer, String> {
    let mut stream = TcpStream::connect_timeout(&address, LIMIT).map_err(text)?;
    stream.set_read_timeout(Some(LIMIT)).map_err(text)?;
    stream.set_write_timeout(Some(LIMIT)).map_err(text)?;
    let parts = HeaderParts {
        code: code.0,
        flags: Flags::REQUEST,
        remark: None,
        language: Language::OTHER,
        version: 513,
        codec: HeaderCodec::Json,
    };
    let request = encode(&parts, fields, &[], 0).into_bytes();
    let Door::Tls(config) = door else {
        stream.write_all(&request).map_err(text)?;
        return answer(&mut stream);
    };
    let mut tls = ClientConnection::new(Arc::clone(config), address.ip().into()).map_err(text)?;
    let mut stream = rustls::Stream::new(&mut tls, &mut stream);
    stream.write_all(&request).map_err(text)?;
    answer(&mut stream)
}

/// The next frame, in either codec: a broker may be told to answer in binary. Read to its end: closing with bytes unread
/// resets the connection, which the broker logs with a stack trace.
fn answer(stream: &mut impl Read) -> Result<Answer, String> {
    let mut decoder = FrameDecoder::new(CAP);
    let (mut buf, mut chunk) = (BytesMut::new(), [0; 8192]);
    loop {
        if let Some(frame) = decoder.decode(&mut buf).map_err(text)? {
            return Ok(Answer {
                code: frame.header.code,
                remark: frame.header.remark,
            });
        }
        let count = stream.read(&mut chunk).map_err(text)?;
        let read = chunk.get(..count).unwrap_or_default();
        if read.is_empty() {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).to_string());
        }
        buf.extend_from_slice(read);
    }
}

fn text(cause: impl std::fmt::Display) -> String {
    cause.to_string()
}

const LIMIT: Duration = Duration::from_secs(2);
const CAP: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_in_either_codec_and_in_pieces() {
        for codec in [HeaderCodec::Json, HeaderCodec::Binary] {
            let parts = HeaderParts {
                code: 17,
                flags: Flags::RESPONSE,
                remark: Some("No topic route info"),
                language: Language::JAVA,
                version: 513,
                codec,
            };
            let frame = encode(&parts, &NoFields, &[], 4).into_bytes();
            let frame = [&frame, &b"body"[..]].concat();
            let (head, tail) = frame.split_at(7);
            let read = answer(&mut head.chain(tail)).unwrap();
            let expected = Answer {
                code: 17,
                remark: Some("No topic route info".into()),
            };
            assert_eq!(read, expected);
            assert!(answer(&mut &head[..]).is_err());
        }
        assert!(answer(&mut u32::MAX.to_be_bytes().as_slice()).is_err());
        assert!(answer(&mut [0; 4].as_slice()).is_err());
    }

    #[test]
    fn each_guard_accepts_its_own_answer_only() {
        let answer = |code, remark: &str| Answer {
            code,
            remark: Some(remark.into()),
        };
        let served = answer(0, "");
        let booting = answer(1, "java.util.NoSuchElementException");
        let acl1 = answer(
            1,
            "org.apache.rocketmq.acl.common.AclException: No accessKey",
        );
        let acl2 = answer(16, "username cannot be null.");
        let answers = [served, booting, acl1, acl2];
        for (guard, accepted) in [
            (Guard::Open, [true, false, false, false]),
            (Guard::Acl1, [false, false, true, false]),
            (Guard::Acl2, [false, false, false, true]),
        ] {
            assert_eq!(
                answers.each_ref().map(|answer| guard.accepts(answer)),
                accepted
            );
        }
    }
}
