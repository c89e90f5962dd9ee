//! What stands for TLS in a build without the feature `tls`: nothing can be made of it.

use std::io;

use mq_core::Endpoint;
use tokio::net::TcpStream;

use super::stream::Stream;

/// Never made.
#[derive(Debug, Clone)]
pub enum TlsConfig {}

impl TlsConfig {
    #[expect(clippy::unused_async, reason = "the same face as with the feature")]
    pub(super) async fn secure(&self, _: TcpStream, _: &Endpoint) -> io::Result<Stream> {
        match *self {}
    }
}
