//! Pulsar: one standalone broker, natively from the archive that Apache has put on Maven Central.
//!
//! ```text
//!   Node ─┬─ archive   Maven, its checksum, tar
//!         ├─ config    the archive's standalone.conf + base files (also docker-compose.yml's) + overlay
//!         ├─ tokens    of a secured broker: its key, and what that has signed
//!         └─ ready     the management's health check: the broker has sent itself a message
//! ```

mod admin;
mod archive;
mod config;
mod docker;
mod node;
mod probe;
mod shared;
mod tokens;

use std::net::{Ipv4Addr, SocketAddr};

pub use self::admin::Admin;
pub use self::config::base_dir;
pub use self::docker::container;
pub(super) use self::docker::container_variables;
pub use self::node::Node;
pub use self::shared::{Shared, shared, variable};
pub use self::tokens::{Tokens, token};
use super::{Profile, Result, User};

/// The version, as Maven Central has it.
pub const VERSION: &str = "4.0.8";

/// Its token may do everything.
pub const ADMIN: &str = "admin";
/// Its token lets it in, and it may do nothing until it is given permission.
pub const NOBODY: &str = "nobody";
/// Comes in by a password (`AuthenticationBasic`), and may do nothing until it is given permission.
pub const BASIC: User = User {
    name: "basic",
    secret: "basicpw1",
};
/// The role of who comes in by the certificate of [`Certificates::client`](super::Certificates::client).
pub const CERTIFIED: &str = "client";
/// A client that asks for this listener is told `localhost` instead of `127.0.0.1`.
pub const LISTENER: &str = "named";

/// How to run a profile.
#[derive(Debug)]
pub(super) struct Spec {
    pub(super) base_port: u16,
    /// Tokens, certificates and passwords, permissions, and TLS beside plain connections.
    pub(super) secured: bool,
}

pub(super) const OPEN: Spec = Spec {
    base_port: 29_876,
    secured: false,
};
pub(super) const SECURED: Spec = Spec {
    base_port: 29_836,
    secured: true,
};

/// What listens where in a block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ports {
    base: u16,
}

impl Ports {
    fn plain(self) -> u16 {
        self.base
    }

    fn tls(self) -> u16 {
        self.base + 1
    }

    fn admin(self) -> u16 {
        self.base + 2
    }

    fn admin_tls(self) -> u16 {
        self.base + 3
    }

    /// Every port of a block.
    pub(super) fn all(base: u16) -> Vec<u16> {
        let ports = Self { base };
        (ports.plain()..=ports.admin_tls()).collect()
    }
}

/// Whether a broker speaks Pulsar's protocol there.
pub(super) fn answers(address: SocketAddr) -> bool {
    probe::greeted(address).is_ok()
}

/// Starts the profile's broker.
pub(super) fn start(
    profile: Profile,
    spec: &'static Spec,
    stop: &super::signals::Stop,
) -> Result<Node> {
    Node::start_until(profile, spec, &[], stop)
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}
