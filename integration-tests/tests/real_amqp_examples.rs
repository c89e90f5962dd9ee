//! The examples of AMQP print on RabbitMQ what their README says.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use integration_tests::brokers::rabbitmq::{shared, variable};
use integration_tests::examples::{Built, Needs, needs};

#[test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
fn real_amqp_examples_print_what_their_readme_says() {
    let tls = |name: &str| variable(name).unwrap();
    let variables = [
        ("MQ_AMQP_URL", shared().unwrap().url().to_owned()),
        ("MQ_AMQP_TLS_URL", tls("TLS_URL")),
        ("MQ_AMQP_TLS_CA", tls("TLS_CA")),
        ("MQ_AMQP_TLS_CERT", tls("TLS_CERT")),
        ("MQ_AMQP_TLS_KEY", tls("TLS_KEY")),
    ];
    Built::all().check(|name| (needs(name) == Needs::Amqp).then(|| variables.to_vec()));
}
