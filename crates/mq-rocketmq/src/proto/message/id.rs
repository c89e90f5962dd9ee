//! Message ids: the broker's, made of an address and a place in its log, and the client's, made before sending.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use crate::proto::{Malformed, reader::Reader};

/// Where a message is: the broker's address and the place in its log. Shown as 32 or 56 hexadecimal digits.
// apache/rocketmq: MessageDecoder.createMessageId
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OffsetMessageId {
    /// The broker's address.
    pub host: SocketAddr,
    /// The place in its log.
    pub physical_offset: i64,
}

impl fmt::Display for OffsetMessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_ip(f, self.host.ip())?;
        write!(f, "{:08X}{:016X}", self.host.port(), self.physical_offset)
    }
}

impl FromStr for OffsetMessageId {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let bytes = unhex(text)?;
        let mut reader = Reader::new(&bytes);
        let ip = read_ip(&mut reader, bytes.len() - 12.min(bytes.len()))?;
        let port = reader.i32("port")?;
        let port = u16::try_from(port)
            .map_err(|_| Malformed::new("port", 0, format!("port {port} does not exist")))?;
        let physical_offset = reader.i64("offset")?;
        Ok(Self {
            host: SocketAddr::new(ip, port),
            physical_offset,
        })
    }
}

/// What a client's message id is made of.
// apache/rocketmq: MessageClientIDSetter
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UniqueIdParts {
    /// The client's address.
    pub ip: IpAddr,
    /// The lower half of the process's number.
    pub pid: u16,
    /// Four bytes that tell clients of one process apart (Java: a class loader's hash).
    pub salt: [u8; 4],
    /// Milliseconds since the month began, by the client's clock.
    pub since_month_ms: i32,
    /// A counter.
    pub counter: u16,
}

/// The id that Java would make of these parts: 32 hexadecimal digits, or 56 with an IPv6 address.
pub fn unique_id(parts: &UniqueIdParts) -> String {
    parts.to_string()
}

impl fmt::Display for UniqueIdParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_ip(f, self.ip)?;
        let salt = u32::from_be_bytes(self.salt);
        write!(
            f,
            "{:04X}{salt:08X}{:08X}{:04X}",
            self.pid, self.since_month_ms, self.counter
        )
    }
}

impl FromStr for UniqueIdParts {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let bytes = unhex(text)?;
        let mut reader = Reader::new(&bytes);
        Ok(Self {
            ip: read_ip(&mut reader, bytes.len() - 12.min(bytes.len()))?,
            pid: reader.i16("pid")?.cast_unsigned(),
            salt: reader.u32("salt")?.to_be_bytes(),
            since_month_ms: reader.i32("time")?,
            counter: reader.i16("counter")?.cast_unsigned(),
        })
    }
}

fn write_ip(f: &mut fmt::Formatter<'_>, ip: IpAddr) -> fmt::Result {
    match ip {
        IpAddr::V4(ip) => write!(f, "{:08X}", ip.to_bits()),
        IpAddr::V6(ip) => write!(f, "{:032X}", ip.to_bits()),
    }
}

fn read_ip(reader: &mut Reader<'_>, len: usize) -> Result<IpAddr, Malformed> {
    match len {
        4 => Ok(reader.array::<4>("ip")?.into()),
        16 => Ok(reader.array::<16>("ip")?.into()),
        _ => Err(Malformed::new("messageId", 0, "neither 32 nor 56 digits")),
    }
}

fn unhex(text: &str) -> Result<Vec<u8>, Malformed> {
    let wrong = |at, reason: &'static str| Malformed::new("messageId", at, reason);
    if !matches!(text.len(), 32 | 56) {
        return Err(wrong(0, "neither 32 nor 56 digits"));
    }
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let pair = |(at, pair): (usize, &[u8])| match pair {
        [high, low] => match (digit(*high), digit(*low)) {
            (Some(high), Some(low)) => Ok(high << 4 | low),
            _ => Err(wrong(at * 2, "not a hexadecimal digit")),
        },
        _ => Err(wrong(at * 2, "odd number of digits")),
    };
    text.as_bytes().chunks(2).enumerate().map(pair).collect()
}
