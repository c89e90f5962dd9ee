//! RabbitMQ's part of `docker-compose.yml`: without TLS, since a container may not read the launcher's keys.

use super::{BASE_PORT, Ports, ROLE, VHOST, base_dir, loopback, management_url, url};
use crate::brokers::{Container, Profile};

/// The profile's container.
pub fn container() -> Container {
    let ports = Ports { base: BASE_PORT };
    Container {
        name: Profile::Rabbitmq.name(),
        image: format!("rabbitmq:{IMAGE_VERSION}-management"),
        ports: vec![
            ("PORT", ports.amqp()),
            ("MANAGEMENT_PORT", ports.management()),
            ("STREAM_PORT", ports.stream()),
        ],
        base: base_dir(),
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
