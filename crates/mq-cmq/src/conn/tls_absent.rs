//! What stands for TLS in a build without the feature `tls`: nothing can be made of it.

use std::io;

use mq_core::{Endpoint, Error, ErrorKind};
use tokio::net::TcpStream;

/// Never made.
#[derive(Debug, Clone)]
pub(crate) enum TlsConfig {}

impl TlsConfig {
    /// Why there is none.
    pub(crate) fn absent<C>() -> Result<Self, Error<C>> {
        let what = "HTTPS needs the feature \"tls\", which this build was made without";
        Err(Error::builder(ErrorKind::Unsupported, what)
            .operation("build")
            .build())
    }

    #[expect(clippy::unused_async, reason = "the same face as with the feature")]
    pub(super) async fn secure(&self, _: TcpStream, _: &Endpoint) -> io::Result<TcpStream> {
        match *self {}
    }
}
