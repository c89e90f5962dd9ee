//! Pulsar's protocol by hand, as much as it takes to be greeted.
//!
//! No client is used: a launcher that used ours could not tell a broker's failure from the client's.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use crate::brokers::http::{connect, text};

/// Greets the broker there, and reads whether it is greeted or refused: either is an answer.
pub(super) fn greeted(address: SocketAddr) -> Result<(), String> {
    let mut stream = connect(address, LIMIT)?;
    stream.write_all(CONNECT).map_err(text)?;
    let mut head = [0; 10];
    stream.read_exact(&mut head).map_err(text)?;
    match head {
        [.., TYPE, CONNECTED | ERROR] => Ok(()),
        other => Err(format!("no greeting, but {}", other.escape_ascii())),
    }
}

/// `CommandConnect` of a client "probe" that speaks version 19: two lengths, the command's type, and its fields 1 and 4.
const CONNECT: &[u8] = b"\x00\x00\x00\x11\x00\x00\x00\x0d\x08\x02\x12\x09\x0a\x05probe\x20\x13";
const TYPE: u8 = 8;
const CONNECTED: u8 = 3;
const ERROR: u8 = 14;
const LIMIT: Duration = Duration::from_secs(2);
