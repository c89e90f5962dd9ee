//! Asks a node whether it serves. It listens before the virtual hosts are imported: an open port says less.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;
use serde_json::Value;

use super::management::request;
use super::probe::{Probe, TlsProbe};
use super::{ROLE, VHOST};

/// Whether the role may open its virtual host.
pub(super) fn opens(address: SocketAddr) -> Result<(), String> {
    let mut probe = Probe::connect(address)?;
    probe.open(ROLE, VHOST)?;
    probe.close()
}

/// Whether it may over TLS.
pub(super) fn opens_by_tls(address: SocketAddr, config: Arc<ClientConfig>) -> Result<(), String> {
    let mut probe = TlsProbe::connect_tls(address, config)?;
    probe.open(ROLE, VHOST)?;
    probe.close()
}

/// Whether the management answers.
pub(super) fn manages(address: SocketAddr) -> Result<(), String> {
    request(address, "GET", "/api/overview", &Value::Null).map(drop)
}
