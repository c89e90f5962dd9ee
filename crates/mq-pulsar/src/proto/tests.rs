use bytes::{Bytes, BytesMut};
use prost::Message as _;

use super::api::command_ack::ValidationError;
use super::*;

mod compressed;
mod golden;
mod invalid;
mod mutated;
mod oracle;
