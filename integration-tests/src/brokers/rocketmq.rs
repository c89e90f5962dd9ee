//! RocketMQ: a nameserver and its brokers, natively from Maven's jars.
//!
//! ```text
//!   Cluster ─┬─ jars      downloaded by Maven
//!            ├─ config    base file (also docker-compose.yml's) + overlay
//!            └─ ready     route from the nameserver, then an answer from the broker
//! ```

mod cluster;
mod config;
mod docker;
mod jars;
mod ready;
mod shared;
mod spec;
mod tls;

use std::net::SocketAddr;

pub use self::cluster::{Broker, Cluster};
pub use self::config::base_dir;
pub use self::docker::{Service, services};
pub use self::jars::jars;
pub use self::shared::{Shared, shared};
pub use self::spec::User;
pub(super) use self::spec::{
    ROCKETMQ, ROCKETMQ_ACL, ROCKETMQ_BENCH, ROCKETMQ_TLS, ROCKETMQ_TLS_ENFORCING,
    ROCKETMQ_TLS_MUTUAL, ROCKETMQ4, ROCKETMQ4_ACL, ROCKETMQ4_TLS, Spec, ports, url,
};

/// Whether the nameserver does.
pub(super) fn answers(spec: &Spec, nameserver: SocketAddr) -> bool {
    let door = ready::Door::of(spec);
    door.is_ok_and(|door| ready::nameserver(nameserver, &door).is_ok())
}
