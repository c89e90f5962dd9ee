//! RabbitMQ's part of `docker-compose.yml`: without TLS, since a container may not read the launcher's keys.

use super::{BASE_PORT, Ports, ROLE, VHOST, loopback, management_url, url};
use crate::brokers::Profile;

/// What `docker-compose.yml` must say about it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Container {
    /// The service's name.
    pub name: &'static str,
    /// Image with its version as tag.
    pub image: String,
    /// What listens where, by the variable that says so. Published on loopback, the same number inside and outside.
    pub ports: [(&'static str, u16); 3],
}

/// The profile's container.
pub fn container() -> Container {
    let ports = Ports { base: BASE_PORT };
    Container {
        name: Profile::Rabbitmq.name(),
        image: format!("rabbitmq:{IMAGE_VERSION}-management"),
        ports: [
            ("PORT", ports.amqp()),
            ("MANAGEMENT_PORT", ports.management()),
            ("STREAM_PORT", ports.stream()),
        ],
    }
}

/// What its tests are told.
pub(in crate::brokers) fn container_variables() -> Vec<(String, String)> {
    let profile = Profile::Rabbitmq;
    let ports = Ports { base: BASE_PORT };
    let url = url("amqp", ROLE, loopback(ports.amqp()), VHOST);
    let mut all = profile.variables(&url, IMAGE_VERSION);
    let management = management_url(loopback(ports.management()));
    all.push((profile.variable("MANAGEMENT_URL"), management));
    all
}

/// There is no image of every patch release of old; natively it is [`super::VERSION`].
const IMAGE_VERSION: &str = "3.10";
