//! Asks a broker whether it serves. An open port says nothing: a broker listens before it
//! registers with the nameserver, and a nameserver goes on routing to one that was killed.
//!
//! ```text
//!   105 GET_ROUTEINFO_BY_TOPIC(topic = broker's name) -> nameserver   until 0
//!   28  GET_BROKER_RUNTIME_INFO, unsigned             -> broker       until 0, or refused (ACL)
//! ```
//! This speaks the protocol by itself, thirty lines of it: a launcher that used the client under
//! test could not tell a broker's failure from the client's.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

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

/// The part of a response header that matters.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Answer {
    code: i32,
    #[serde(default)]
    remark: Option<String>,
}

/// Whether the nameserver answers at all; "no such topic" is an answer.
pub(super) fn nameserver(address: SocketAddr) -> Result<(), String> {
    route(address, "TBW102").and_then(|answer| match answer.code {
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
) -> Result<(), String> {
    // apache/rocketmq: TopicConfigManager, a broker registers a topic of its own name.
    let routed = route(nameserver, name)?;
    if routed.code != 0 {
        return Err(format!("no route to it yet: {routed:?}"));
    }
    let answer = call(address, 28, &json!({}))?;
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

fn route(nameserver: SocketAddr, topic: &str) -> Result<Answer, String> {
    call(
        nameserver,
        105,
        &json!({ "topic": topic, "acceptStandardJsonOnly": "true" }),
    )
}

fn call(address: SocketAddr, code: i32, fields: &Value) -> Result<Answer, String> {
    let mut stream = TcpStream::connect_timeout(&address, LIMIT).map_err(text)?;
    stream.set_read_timeout(Some(LIMIT)).map_err(text)?;
    stream.set_write_timeout(Some(LIMIT)).map_err(text)?;
    stream.write_all(&request(code, fields)?).map_err(text)?;
    answer(&mut stream)
}

fn request(code: i32, fields: &Value) -> Result<Vec<u8>, String> {
    let header = json!({
        "code": code, "language": "OTHER", "version": 513, "opaque": 1, "flag": 0,
        "extFields": fields,
    })
    .to_string();
    let length = u32::try_from(header.len()).map_err(text)?;
    let mut frame = (length + 4).to_be_bytes().to_vec();
    frame.extend(length.to_be_bytes());
    frame.extend(header.as_bytes());
    Ok(frame)
}

fn answer(stream: &mut impl Read) -> Result<Answer, String> {
    let mut word = [0; 4];
    stream.read_exact(&mut word).map_err(text)?;
    let length = u32::from_be_bytes(word);
    if !(4..=CAP).contains(&length) {
        return Err(format!("a frame of {length} bytes"));
    }
    stream.read_exact(&mut word).map_err(text)?;
    // The upper byte says how the header is encoded.
    let header = u32::from_be_bytes(word) & 0x00ff_ffff;
    if header > length - 4 {
        return Err(format!("a header of {header} bytes in a frame of {length}"));
    }
    let mut bytes = vec![0; usize::try_from(header).map_err(text)?];
    stream.read_exact(&mut bytes).map_err(text)?;
    // Closing with bytes unread resets the connection, which the broker logs with a stack trace.
    let body = u64::from(length - 4 - header);
    io::copy(&mut stream.take(body), &mut io::sink()).map_err(text)?;
    serde_json::from_slice(&bytes).map_err(text)
}

fn text(cause: impl std::fmt::Display) -> String {
    cause.to_string()
}

const LIMIT: Duration = Duration::from_secs(2);
const CAP: u32 = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(header: &str, claimed: u32) -> Vec<u8> {
        let mut bytes = (u32::try_from(header.len()).unwrap() + 4)
            .to_be_bytes()
            .to_vec();
        bytes.extend(claimed.to_be_bytes());
        bytes.extend(header.as_bytes());
        bytes
    }

    #[test]
    fn a_frame_is_read_and_lengths_are_checked() {
        let header = r#"{"code":17,"remark":"No topic route info","opaque":1}"#;
        let length = u32::try_from(header.len()).unwrap();
        let read = answer(&mut frame(header, length).as_slice()).unwrap();
        assert_eq!(
            read,
            Answer {
                code: 17,
                remark: Some("No topic route info".into())
            }
        );
        assert!(answer(&mut frame(header, length + 1).as_slice()).is_err());
        assert!(answer(&mut u32::MAX.to_be_bytes().as_slice()).is_err());
        assert!(answer(&mut [0; 4].as_slice()).is_err());
    }

    #[test]
    fn a_request_is_length_prefixed_twice() {
        let bytes = request(28, &json!({})).unwrap();
        let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!(usize::try_from(word(0)).unwrap(), bytes.len() - 4);
        assert_eq!(usize::try_from(word(4)).unwrap(), bytes.len() - 8);
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
