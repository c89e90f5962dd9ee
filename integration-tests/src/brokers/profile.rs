//! The table of profiles: which version, which brokers, which settings, which ports.

use std::fmt;

use super::{Certificates, Result};

/// A set of brokers that is started together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum)]
#[non_exhaustive]
pub enum Profile {
    /// RocketMQ 5.5.0: a nameserver and two brokers, fast timers. The default.
    #[value(name = "rocketmq")]
    Rocketmq,
    /// RocketMQ 5.5.0 with ACL 2.0, one broker.
    #[value(name = "rocketmq-acl")]
    RocketmqAcl,
    /// RocketMQ 4.9.7: a nameserver and two brokers, fast timers.
    #[value(name = "rocketmq4")]
    Rocketmq4,
    /// RocketMQ 4.9.7 with ACL 1.0, one broker.
    #[value(name = "rocketmq4-acl")]
    Rocketmq4Acl,
    /// RocketMQ 5.5.0, one broker with the full JIT and 1 GiB of heap.
    #[value(name = "rocketmq-bench")]
    RocketmqBench,
    /// RocketMQ 5.5.0, one broker that takes TLS and plain connections (permissive).
    #[value(name = "rocketmq-tls")]
    RocketmqTls,
    /// RocketMQ 5.5.0 with ACL 2.0, one broker that takes TLS only (enforcing).
    #[value(name = "rocketmq-tls-enforcing")]
    RocketmqTlsEnforcing,
    /// RocketMQ 5.5.0, one broker that takes TLS only and wants a client certificate (mutual).
    #[value(name = "rocketmq-tls-mutual")]
    RocketmqTlsMutual,
    /// RocketMQ 4.9.7 with ACL 1.0, one broker that takes TLS only (enforcing).
    #[value(name = "rocketmq4-tls")]
    Rocketmq4Tls,
}

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
pub(super) struct Spec {
    pub(super) version: &'static str,
    /// First port of the block in `docker-compose.yml`, and where the native launcher looks first.
    pub(super) base_port: u16,
    /// Base configuration: each broker's pieces, concatenated, a later line winning.
    pub(super) brokers: &'static [(&'static str, &'static [&'static str])],
    pub(super) acl: bool,
    /// `None`: as the broker is without a word, permissive with a certificate that nobody has signed.
    pub(super) tls: Option<Tls>,
    /// JVM options of a broker; the nameserver's are always the small ones.
    pub(super) broker_jvm: &'static [&'static str],
}

/// How a server's port is secured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tls {
    /// `permissive` or `enforcing`.
    pub(super) mode: &'static str,
    /// A client must have a certificate.
    pub(super) mutual: bool,
}

impl Profile {
    /// Every profile, in the order of the help text.
    pub const ALL: [Self; 9] = [
        Self::Rocketmq,
        Self::RocketmqAcl,
        Self::Rocketmq4,
        Self::Rocketmq4Acl,
        Self::RocketmqBench,
        Self::RocketmqTls,
        Self::RocketmqTlsEnforcing,
        Self::RocketmqTlsMutual,
        Self::Rocketmq4Tls,
    ];

    /// The name on the command line and in `MQ_ROCKETMQ_PROFILE`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rocketmq => "rocketmq",
            Self::RocketmqAcl => "rocketmq-acl",
            Self::Rocketmq4 => "rocketmq4",
            Self::Rocketmq4Acl => "rocketmq4-acl",
            Self::RocketmqBench => "rocketmq-bench",
            Self::RocketmqTls => "rocketmq-tls",
            Self::RocketmqTlsEnforcing => "rocketmq-tls-enforcing",
            Self::RocketmqTlsMutual => "rocketmq-tls-mutual",
            Self::Rocketmq4Tls => "rocketmq4-tls",
        }
    }

    /// The protocol; one profile of a protocol at a time.
    pub fn protocol(self) -> &'static str {
        "rocketmq"
    }

    /// The broker's version, as Maven and the container images name it.
    pub fn version(self) -> &'static str {
        self.spec().version
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name() == name)
    }

    pub(super) fn spec(self) -> &'static Spec {
        match self {
            Self::Rocketmq => &ROCKETMQ,
            Self::RocketmqAcl => &ROCKETMQ_ACL,
            Self::Rocketmq4 => &ROCKETMQ4,
            Self::Rocketmq4Acl => &ROCKETMQ4_ACL,
            Self::RocketmqBench => &ROCKETMQ_BENCH,
            Self::RocketmqTls => &ROCKETMQ_TLS,
            Self::RocketmqTlsEnforcing => &ROCKETMQ_TLS_ENFORCING,
            Self::RocketmqTlsMutual => &ROCKETMQ_TLS_MUTUAL,
            Self::Rocketmq4Tls => &ROCKETMQ4_TLS,
        }
    }

    /// The URL that tests get, with the super user's credentials where the broker wants some, and with the CA where it has TLS.
    pub(super) fn url(self, nameserver: &str) -> Result<String> {
        let mut url = if self.spec().acl {
            let User { name, secret } = User::ADMIN;
            format!("rocketmq://{name}:{secret}@{nameserver}")
        } else {
            format!("rocketmq://{nameserver}")
        };
        if let Some(tls) = self.spec().tls {
            url += &Certificates::made()?.query(tls);
        }
        Ok(url)
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Spec {
    /// Whether the broker is a 4.x one.
    pub(super) fn is_4(&self) -> bool {
        self.version.starts_with("4.")
    }
}

/// A nameserver is a routing table: 64 MiB are plenty.
pub(super) const NAMESRV_JVM: &[&str] = &[
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

const ROCKETMQ: Spec = Spec {
    version: "5.5.0",
    base_port: 31876,
    brokers: TWO,
    acl: false,
    tls: None,
    broker_jvm: SMALL,
};
const ROCKETMQ_ACL: Spec = Spec {
    version: "5.5.0",
    base_port: 31836,
    brokers: ONE_ACL,
    acl: true,
    tls: None,
    broker_jvm: SMALL,
};
const ROCKETMQ4: Spec = Spec {
    version: "4.9.7",
    base_port: 31796,
    brokers: TWO,
    acl: false,
    tls: None,
    broker_jvm: SMALL,
};
const ROCKETMQ4_ACL: Spec = Spec {
    version: "4.9.7",
    base_port: 31756,
    brokers: ONE_ACL,
    acl: true,
    tls: None,
    broker_jvm: SMALL,
};
const ROCKETMQ_BENCH: Spec = Spec {
    version: "5.5.0",
    base_port: 31716,
    brokers: ONE_BENCH,
    acl: false,
    tls: None,
    broker_jvm: LARGE,
};
const ROCKETMQ_TLS: Spec = Spec {
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
const ROCKETMQ_TLS_ENFORCING: Spec = Spec {
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
const ROCKETMQ_TLS_MUTUAL: Spec = Spec {
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
const ROCKETMQ4_TLS: Spec = Spec {
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
