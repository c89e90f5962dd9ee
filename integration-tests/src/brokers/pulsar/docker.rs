//! Pulsar's part of `docker-compose.yml`: without TLS and tokens, since a container may not read the launcher's keys.

use super::{OPEN, Ports, VERSION, base_dir, loopback};
use crate::brokers::{Container, Profile};

/// The profile's container.
pub fn container() -> Container {
    let ports = ports();
    Container {
        name: Profile::Pulsar.name(),
        image: format!("apachepulsar/pulsar:{VERSION}"),
        ports: vec![("PORT", ports.plain()), ("ADMIN_PORT", ports.admin())],
        base: base_dir(),
    }
}

/// What its tests are told.
pub(in crate::brokers) fn container_variables() -> Vec<(String, String)> {
    let (profile, ports) = (Profile::Pulsar, ports());
    let url = format!("pulsar://{}", loopback(ports.plain()));
    let mut all = profile.variables(&url, VERSION);
    let admin = format!("http://{}", loopback(ports.admin()));
    all.push((profile.variable("ADMIN_URL"), admin));
    all
}

fn ports() -> Ports {
    Ports {
        base: OPEN.base_port,
    }
}
