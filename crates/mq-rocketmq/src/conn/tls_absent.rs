//! What stands for TLS in a build without the feature `tls`: nothing can be made of these types.

use bytes::BytesMut;
use mq_core::Endpoint;
use tokio::net::TcpStream;

use super::broken::Broken;
use super::driver::Waiter;
use crate::proto::session::Session;

/// Never made.
#[derive(Debug)]
pub(crate) enum TlsConfig {}

/// Never made.
#[derive(Debug)]
pub(crate) enum TlsStream {}

impl TlsStream {
    #[expect(clippy::unused_async, reason = "the same face as with the feature")]
    pub(super) async fn handshake(
        _: &TcpStream,
        config: &TlsConfig,
        _: &Endpoint,
    ) -> Result<Self, Broken> {
        match *config {}
    }

    pub(super) fn has_news(&self) -> bool {
        match *self {}
    }

    pub(super) fn write_all_there_is(
        &mut self,
        _: &TcpStream,
        _: &mut Session<Box<dyn Waiter>>,
    ) -> Result<bool, Broken> {
        match *self {}
    }

    pub(super) fn read_some(&mut self, _: &TcpStream, _: &mut BytesMut) -> Result<bool, Broken> {
        match *self {}
    }

    pub(super) fn say_goodbye(&mut self, _: &TcpStream) {
        match *self {}
    }
}
