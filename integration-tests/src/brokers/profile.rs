//! The table of profiles: which version, which brokers, which settings, which ports.

use std::fmt;

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
    /// JVM options of a broker; the nameserver's are always the small ones.
    pub(super) broker_jvm: &'static [&'static str],
}

impl Profile {
    /// Every profile, in the order of the help text.
    pub const ALL: [Self; 5] = [
        Self::Rocketmq,
        Self::RocketmqAcl,
        Self::Rocketmq4,
        Self::Rocketmq4Acl,
        Self::RocketmqBench,
    ];

    /// The name on the command line and in `MQ_ROCKETMQ_PROFILE`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rocketmq => "rocketmq",
            Self::RocketmqAcl => "rocketmq-acl",
            Self::Rocketmq4 => "rocketmq4",
            Self::Rocketmq4Acl => "rocketmq4-acl",
            Self::RocketmqBench => "rocketmq-bench",
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
        }
    }

    /// The URL that tests get, with the super user's credentials where the broker wants some.
    pub(super) fn url(self, nameserver: &str) -> String {
        if self.spec().acl {
            let User { name, secret } = User::ADMIN;
            format!("rocketmq://{name}:{secret}@{nameserver}")
        } else {
            format!("rocketmq://{nameserver}")
        }
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

/// Measured: 64 MiB of heap do not boot, 96 do.
const SMALL: &[&str] = &[
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xss512k",
    "-Xms128m",
    "-Xmx128m",
    "-XX:MaxDirectMemorySize=192m",
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
const ONE_ACL: &[(&str, &[&str])] = &[("broker-a", &["broker-a.conf", "acl.conf"])];
const ONE_BENCH: &[(&str, &[&str])] = &[("broker-a", &["broker-a.conf", "bench.conf"])];

const ROCKETMQ: Spec = Spec {
    version: "5.5.0",
    base_port: 31876,
    brokers: TWO,
    acl: false,
    broker_jvm: SMALL,
};
const ROCKETMQ_ACL: Spec = Spec {
    version: "5.5.0",
    base_port: 31836,
    brokers: ONE_ACL,
    acl: true,
    broker_jvm: SMALL,
};
const ROCKETMQ4: Spec = Spec {
    version: "4.9.7",
    base_port: 31796,
    brokers: TWO,
    acl: false,
    broker_jvm: SMALL,
};
const ROCKETMQ4_ACL: Spec = Spec {
    version: "4.9.7",
    base_port: 31756,
    brokers: ONE_ACL,
    acl: true,
    broker_jvm: SMALL,
};
const ROCKETMQ_BENCH: Spec = Spec {
    version: "5.5.0",
    base_port: 31716,
    brokers: ONE_BENCH,
    acl: false,
    broker_jvm: LARGE,
};
