//! RocketMQ's part of `docker-compose.yml`.

use super::spec::broker_port;
use crate::brokers::Profile;
use crate::brokers::profile::Plan;

/// What `docker-compose.yml` must say about one server of a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Service {
    /// The service's name.
    pub name: String,
    /// Image with its version as tag.
    pub image: String,
    /// Published on loopback, the same number inside and outside, since routes name it; the last
    /// one is the port it listens on.
    pub ports: Vec<u16>,
    /// The base files of its configuration, in order.
    pub base: &'static [&'static str],
    /// The name in routes; `None` for a nameserver.
    pub broker: Option<&'static str>,
    /// The nameserver it registers with, as `service:port`; `None` for a nameserver.
    pub nameserver: Option<String>,
    /// The question of its health check, a sub-command of `mqadmin`.
    pub health: &'static str,
}

/// The services of a profile, as the launcher's table has them. None for one with TLS: its certificates are the launcher's.
pub fn services(profile: Profile) -> Vec<Service> {
    let spec = match profile.plan() {
        Plan::Rocketmq(spec) if spec.tls.is_none() => spec,
        _ => return Vec::new(),
    };
    let image = format!("apache/rocketmq:{}", spec.version);
    let nameserver = format!("{profile}-namesrv");
    let registry = format!("{nameserver}:{}", spec.base_port);
    let mut all = vec![Service {
        name: nameserver,
        image: image.clone(),
        ports: vec![spec.base_port],
        base: &["namesrv.conf"],
        broker: None,
        nameserver: None,
        health: "getNamesrvConfig",
    }];
    all.extend(
        spec.brokers
            .iter()
            .enumerate()
            .map(|(index, (name, base))| {
                let port = broker_port(spec.base_port, index);
                Service {
                    name: format!("{profile}-{name}"),
                    image: image.clone(),
                    ports: vec![port - 2, port],
                    base,
                    broker: Some(name),
                    nameserver: Some(registry.clone()),
                    health: "topicRoute",
                }
            }),
    );
    all
}
