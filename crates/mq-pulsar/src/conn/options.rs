//! What a connection needs to know.

use std::sync::Arc;
use std::time::Duration;

use mq_core::{Endpoint, Propagator};

use super::TlsConfig;
use crate::auth::Auth;

/// Options of every connection of a client.
#[derive(Debug)]
pub(crate) struct Options {
    /// Where topics are looked up.
    pub(crate) endpoints: Vec<Endpoint>,
    /// Topics are looked up by HTTP there.
    pub(crate) web: bool,
    pub(crate) tls: Option<TlsConfig>,
    pub(crate) auth: Auth,
    pub(crate) listener: Option<String>,
    /// What the broker's own tools show.
    pub(crate) description: Option<String>,
    pub(crate) connect_timeout: Duration,
    pub(crate) operation_timeout: Duration,
    pub(crate) keep_alive: Duration,
    /// Of all producers together, in bytes.
    pub(crate) memory: usize,
    pub(crate) propagator: Option<Arc<dyn Propagator>>,
}
