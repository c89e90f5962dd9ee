//! Pulsar's frames, as far as a proxy needs them: a lookup's answer names the broker, and clients are to stay here.
//!
//! ```text
//!   [total size][command size][command: type = LOOKUP_RESPONSE, 24: { 1: "pulsar://host:port", … }]
//! ```
//!
//! All other fields stay byte for byte. Addresses for TLS stay as well: what names them is sealed, or is no answer to who speaks plainly.

use std::io;

use bytes::{BufMut, Bytes, BytesMut};

/// The frame with what `other` answers in place of the broker's address, if it is a lookup's answer that names one.
pub(super) fn rewrite(
    frame: &[u8],
    mut other: impl FnMut(&str) -> io::Result<String>,
) -> io::Result<Option<Bytes>> {
    let Some(command) = command(frame).and_then(fields) else {
        return Ok(None);
    };
    let mut out = Vec::with_capacity(frame.len() + 16);
    let mut found = false;
    for field in &command {
        let answer = field.value.filter(|_| field.number == LOOKUP_RESPONSE);
        let Some(answer) = answer.and_then(fields) else {
            out.extend_from_slice(field.whole);
            continue;
        };
        let mut inner = Vec::new();
        for field in answer {
            let url = field.value.filter(|_| field.number == BROKER_URL);
            let url = url.and_then(|url| std::str::from_utf8(url).ok());
            if let Some(address) = url.and_then(|url| url.strip_prefix(SCHEME)) {
                let ours = format!("{SCHEME}{}", other(address)?);
                put(&mut inner, BROKER_URL, ours.as_bytes());
                found = true;
            } else {
                inner.extend_from_slice(field.whole);
            }
        }
        put(&mut out, LOOKUP_RESPONSE, &inner);
    }
    if !found {
        return Ok(None);
    }
    let size = u32::try_from(out.len()).map_err(io::Error::other)?;
    let mut whole = BytesMut::with_capacity(2 * LENGTH + out.len());
    whole.put_u32(size + 4);
    whole.put_u32(size);
    whole.put_slice(&out);
    Ok(Some(whole.freeze()))
}

/// The command of a frame that is nothing else.
fn command(frame: &[u8]) -> Option<&[u8]> {
    let (size, command) = frame.get(LENGTH..)?.split_first_chunk::<LENGTH>()?;
    let size = usize::try_from(u32::from_be_bytes(*size)).ok()?;
    (size == command.len()).then_some(command)
}

/// One field of a protobuf message.
struct Field<'a> {
    number: u64,
    /// With its tag.
    whole: &'a [u8],
    /// Of a string, bytes or message.
    value: Option<&'a [u8]>,
}

/// All of them, or nothing if these bytes are no message.
fn fields(mut bytes: &[u8]) -> Option<Vec<Field<'_>>> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let (tag, rest) = varint(bytes)?;
        let (value, rest) = match tag & 7 {
            0 => (None, varint(rest)?.1),
            1 => (None, rest.get(8..)?),
            2 => {
                let (length, rest) = varint(rest)?;
                let (value, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
                (Some(value), rest)
            }
            5 => (None, rest.get(4..)?),
            _ => return None,
        };
        let whole = bytes.get(..bytes.len() - rest.len())?;
        all.push(Field {
            number: tag >> 3,
            whole,
            value,
        });
        bytes = rest;
    }
    Some(all)
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(at + 1..)?));
        }
    }
    None
}

fn put(out: &mut Vec<u8>, number: u64, value: &[u8]) {
    put_varint(out, number << 3 | 2);
    put_varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7F).unwrap_or_default() | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap_or_default());
}

const LENGTH: usize = 4;
/// In `BaseCommand` (apache/pulsar: PulsarApi.proto).
const LOOKUP_RESPONSE: u64 = 24;
/// In `CommandLookupTopicResponse`.
const BROKER_URL: u64 = 1;
const SCHEME: &str = "pulsar://";

#[cfg(test)]
mod tests {
    use super::*;

    /// As 4.0.8 has answered: url, response, request id, authoritative, proxy through.
    fn answer(url: &str) -> Vec<u8> {
        let mut inner = Vec::new();
        put(&mut inner, 1, url.as_bytes());
        inner.extend_from_slice(b"\x18\x01\x20\x07\x28\x01\x40\x00");
        let mut command = b"\x08\x18".to_vec();
        put(&mut command, LOOKUP_RESPONSE, &inner);
        framed(&command)
    }

    fn framed(command: &[u8]) -> Vec<u8> {
        let size = u32::try_from(command.len()).unwrap();
        [&(size + 4).to_be_bytes()[..], &size.to_be_bytes(), command].concat()
    }

    fn rewritten(frame: &[u8]) -> Option<Bytes> {
        rewrite(frame, |address| Ok(format!("[{address}]"))).unwrap()
    }

    #[test]
    fn the_address_alone_is_another() {
        let made = rewritten(&answer("pulsar://10.0.0.1:6650")).unwrap();
        assert_eq!(made, answer("pulsar://[10.0.0.1:6650]"));
        // Lengths of two bytes.
        let long = "b".repeat(130);
        let made = rewritten(&answer(&format!("pulsar://{long}"))).unwrap();
        assert_eq!(made, answer(&format!("pulsar://[{long}]")));
    }

    #[test]
    fn anything_else_stays() {
        let ping = framed(b"\x08\x12\x92\x01\x00");
        let tls = answer("pulsar+ssl://10.0.0.1:6651");
        let mut torn = answer("pulsar://10.0.0.1:6650");
        torn.truncate(20);
        for frame in [
            &ping[..],
            &tls,
            &torn,
            b"",
            b"\x00\x00\x00\x00",
            &framed(b"\xff\xff"),
        ] {
            assert_eq!(rewritten(frame), None, "{}", frame.escape_ascii());
        }
    }
}
