//! The table of RocketMQ's profiles: which version, which brokers, which settings, which ports.
//!
//! ```text
//!   base       +12 +14 +15     +22 +24 +25
//!   nameserver  broker-a        broker-b      (a broker takes listenPort, -2 and +1)
//! ```

use std::fmt;

use super::tls::query;
use crate::brokers::Result;

/// A user of the ACL profiles; the same in `plain_acl.yml`.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct User {
    /// Access key.
    pub name: &'static str,
    /// Secret key. Test data, but never shown by `Debug`: nobody should copy that habit.
    pub secret: &'static str,
}

impl User {
    /// May do everything.
    pub const ADMIN: Self = Self {
        name: "rocketmq",
        secret: "12345678",
    };
    /// May publish and subscribe on topic `alice_t` with group `CGalice`, and nothing else.
    pub const ALICE: Self = Self {
        name: "alice_mq",
        secret: "alicepw1",
    };
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// How to run a profile. A row of the table at the end of this file.
#[derive(Debug, Clone, Copy)]
pub(in crate::brokers) struct Spec {
    pub(in crate::brokers) version: &'static str,
    /// First port of the block in `docker-compose.yml`, and where the native launcher looks first.
    pub(in crate::brokers) base_port: u16,
    /// Base configuration: each broker's pieces, concatenated, a later line winning.
    pub(in crate::brokers) brokers: &'static [(&'static str, &'static [&'static str])],
    pub(in crate::brokers) acl: bool,
    /// `None`: as the broker is without a word, permissive with a certificate that nobody has signed.
    pub(in crate::brokers) tls: Option<Tls>,
    /// JVM options of a broker; the nameserver's are always the small ones.
    pub(in crate::brokers) broker_jvm: &'static [&'static str],
}

/// How a server's port is secured.
#[derive(Debug, Clone, Copy)]
pub(in crate::brokers) struct Tls {
    /// `permissive` or `enforcing`.
    pub(in crate::brokers) mode: &'static str,
    /// A client must have a certificate.
    pub(in crate::brokers) mutual: bool,
}

impl Spec {
    /// Whether the broker is a 4.x one.
    pub(in crate::brokers) fn is_4(&self) -> bool {
        self.version.starts_with("4.")
    }

    /// The nameserver of the containers.
    pub(in crate::brokers) fn nameserver(&self) -> String {
        format!("127.0.0.1:{}", self.base_port)
    }
}

/// The URL that tests get, with the super user's credentials where the broker wants some, and with the CA where it has TLS.
pub(in crate::brokers) fn url(spec: &Spec, nameserver: &str) -> Result<String> {
    let mut url = if spec.acl {
        let User { name, secret } = User::ADMIN;
        format!("rocketmq://{name}:{secret}@{nameserver}")
    } else {
        format!("rocketmq://{nameserver}")
    };
    if let Some(tls) = spec.tls {
        url += &query(tls)?;
    }
    Ok(url)
}

/// The listenPort of the broker at `index`, in a block that starts at `base`.
pub(in crate::brokers) fn broker_port(base: u16, index: usize) -> u16 {
    base + 14 + 10 * u16::try_from(index).unwrap_or(0)
}

/// Every port that the servers of a block may take.
pub(in crate::brokers) fn ports(base: u16) -> Vec<u16> {
    let brokers = (0..2).map(|index| broker_port(base, index));
    let brokers = brokers.flat_map(|port| [port - 2, port, port + 1]);
    std::iter::once(base).chain(brokers).collect()
}

/// A nameserver is a routing table: 64 MiB are plenty.
pub(in crate::brokers) const NAMESRV_JVM: &[&str] = &[
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xms64m",
    "-Xmx64m",
    "-XX:MaxDirectMemorySize=64m",
];

/// Measured: 64 MiB of heap do not boot, 96 do; with 192 MiB of direct memory a broker of 5.5.0 runs out of it when it has served all the suites
/// with their bodies of megabytes at once.
const SMALL: &[&str] = &[
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xss512k",
    "-Xms128m",
    "-Xmx192m",
    "-XX:MaxDirectMemorySize=512m",
];
const LARGE: &[&str] = &[
    "-XX:+UseG1GC",
    "-Xms1g",
    "-Xmx1g",
    "-XX:MaxDirectMemorySize=1g",
];

const TWO: &[(&str, &[&str])] = &[
    ("broker-a", &["broker-a.conf"]),
    ("broker-b", &["broker-b.conf"]),
];
const ONE: &[(&str, &[&str])] = &[("broker-a", &["broker-a.conf"])];
const ONE_ACL: &[(&str, &[&str])] = &[("broker-a", &["broker-a.conf", "acl.conf"])];
const ONE_BENCH: &[(&str, &[&str])] = &[("broker-a", &["broker-a.conf", "bench.conf"])];

pub(in crate::brokers) const ROCKETMQ: Spec = Spec {
    version: "5.5.0",
    base_port: 31876,
    brokers: TWO,
    acl: false,
    tls: None,
    broker_jvm: SMALL,
};
pub(in crate::brokers) const ROCKETMQ_ACL: Spec = Spec {
    version: "5.5.0",
    base_port: 31836,
    brokers: ONE_ACL,
    acl: true,
    tls: None,
    broker_jvm: SMALL,
};
pub(in crate::brokers) const ROCKETMQ4: Spec = Spec {
    version: "4.9.7",
    base_port: 31796,
    brokers: TWO,
    acl: false,
    tls: None,
    broker_jvm: SMALL,
};
pub(in crate::brokers) const ROCKETMQ4_ACL: Spec = Spec {
    version: "4.9.7",
    base_port: 31756,
    brokers: ONE_ACL,
    acl: true,
    tls: None,
    broker_jvm: SMALL,
};
pub(in crate::brokers) const ROCKETMQ_BENCH: Spec = Spec {
    version: "5.5.0",
    base_port: 31716,
    brokers: ONE_BENCH,
    acl: false,
    tls: None,
    broker_jvm: LARGE,
};
pub(in crate::brokers) const ROCKETMQ_TLS: Spec = Spec {
    version: "5.5.0",
    base_port: 30076,
    brokers: ONE,
    acl: false,
    tls: Some(Tls {
        mode: "permissive",
        mutual: false,
    }),
    broker_jvm: SMALL,
};
pub(in crate::brokers) const ROCKETMQ_TLS_ENFORCING: Spec = Spec {
    version: "5.5.0",
    base_port: 30036,
    brokers: ONE_ACL,
    acl: true,
    tls: Some(Tls {
        mode: "enforcing",
        mutual: false,
    }),
    broker_jvm: SMALL,
};
pub(in crate::brokers) const ROCKETMQ_TLS_MUTUAL: Spec = Spec {
    version: "5.5.0",
    base_port: 29996,
    brokers: ONE,
    acl: false,
    tls: Some(Tls {
        mode: "enforcing",
        mutual: true,
    }),
    broker_jvm: SMALL,
};
pub(in crate::brokers) const ROCKETMQ4_TLS: Spec = Spec {
    version: "4.9.7",
    base_port: 29956,
    brokers: ONE_ACL,
    acl: true,
    tls: Some(Tls {
        mode: "enforcing",
        mutual: false,
    }),
    broker_jvm: SMALL,
};
