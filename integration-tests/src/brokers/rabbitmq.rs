//! RabbitMQ: one node, natively from Debian's packages, unpacked into the cache and never installed.
//!
//! ```text
//!   Node ─┬─ packages   apt-get download + dpkg-deb -x, or what the machine has installed
//!         ├─ config     base files (also docker-compose.yml's) + overlay, and a rabbitmqctl of its own
//!         ├─ epmd       a private one, recorded like the node itself
//!         └─ ready      a login to the virtual host, plain and by TLS, and an answer of the management
//! ```

mod config;
mod ctl;
mod docker;
mod management;
mod node;
mod packages;
mod probe;
mod ready;
mod shared;

use std::net::{Ipv4Addr, SocketAddr};

pub use self::config::base_dir;
pub use self::ctl::Queue;
pub use self::docker::container;
pub(super) use self::docker::container_variables;
pub use self::node::Node;
pub use self::probe::{Probe, TlsProbe};
pub use self::shared::{Shared, shared, variable};
use super::{Profile, Result, User};

/// The version, as Debian 12 has it: apt is asked for this one, in whatever revision.
pub const VERSION: &str = "3.10.8";

/// A virtual host with a bar in its name, as TDMQ names them.
pub const VHOST: &str = "amqp-xxx|Vhostname";

/// May do everything on [`VHOST`] and `/`: a role of TDMQ with its key.
pub const ROLE: User = User {
    name: "rolename",
    secret: "KEY12345678",
};
/// May do everything on `/`, and nothing on [`VHOST`].
pub const GUEST: User = User {
    name: "guest",
    secret: "guest",
};
/// May use what begins with `limited_` on [`VHOST`], and nothing else.
pub const LIMITED: User = User {
    name: "limited",
    secret: "limitedpw1",
};
/// May log in, and use no virtual host.
pub const NOBODY: User = User {
    name: "nobody",
    secret: "nobodypw1",
};

/// What a URL of a user on a virtual host looks like.
fn url(scheme: &str, user: User, address: SocketAddr, vhost: &str) -> String {
    let (name, secret) = (encoded(user.name), encoded(user.secret));
    format!("{scheme}://{name}:{secret}@{address}/{}", encoded(vhost))
}

/// Where the management answers, with a user of it.
fn management_url(address: SocketAddr) -> String {
    format!("http://{}:{}@{address}", GUEST.name, GUEST.secret)
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// Percent-encoded wherever a URL's part may need it.
fn encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

/// Where its block of ports is looked for first.
pub(super) const BASE_PORT: u16 = 29_916;

/// What listens where in a block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ports {
    base: u16,
}

impl Ports {
    fn amqp(self) -> u16 {
        self.base
    }

    fn amqps(self) -> u16 {
        self.base + 1
    }

    fn management(self) -> u16 {
        self.base + 2
    }

    fn stream(self) -> u16 {
        self.base + 3
    }

    /// Between nodes, and from the command line tools.
    fn distribution(self) -> u16 {
        self.base + 4
    }

    fn epmd(self) -> u16 {
        self.base + 5
    }

    /// The tools listen as well, each on one of these.
    fn tools(self) -> (u16, u16) {
        (self.base + 10, self.base + 19)
    }

    /// Every port of a block.
    pub(super) fn all(base: u16) -> Vec<u16> {
        let ports = Self { base };
        let (first, last) = ports.tools();
        (ports.amqp()..=ports.epmd()).chain(first..=last).collect()
    }
}

/// Whether a node speaks AMQP there.
pub(super) fn answers(address: SocketAddr) -> bool {
    Probe::connect(address).is_ok()
}

/// Starts the profile's node.
pub(super) fn start(stop: &super::signals::Stop) -> Result<Node> {
    Node::start_until(Profile::Rabbitmq, stop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_is_encoded() {
        let address = "127.0.0.1:5672".parse().unwrap();
        assert_eq!(
            url("amqp", ROLE, address, VHOST),
            "amqp://rolename:KEY12345678@127.0.0.1:5672/amqp-xxx%7CVhostname"
        );
        assert_eq!(encoded("/"), "%2F");
        assert_eq!(encoded("a/b+c=d e~"), "a%2Fb%2Bc%3Dd%20e~");
    }
}
