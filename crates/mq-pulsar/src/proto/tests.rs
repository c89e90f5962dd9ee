use bytes::{Bytes, BytesMut};
use prost::Message as _;

use super::*;

mod oracle;
