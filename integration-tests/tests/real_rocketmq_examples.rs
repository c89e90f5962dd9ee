//! The examples on real brokers print what their README says.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use integration_tests::examples::{Built, Needs, needs};
use integration_tests::harness::url;

#[test]
#[ignore = "needs MQ_ROCKETMQ_URL"]
fn real_rocketmq_examples_print_what_their_readme_says() {
    let url = url();
    let version = std::env::var("MQ_ROCKETMQ_VERSION").unwrap_or_default();
    Built::all().check(|name| match needs(name) {
        Needs::Shared5(why) if version.starts_with("4.") => {
            println!("{name} is left out on {version}: {why}");
            None
        }
        Needs::Shared | Needs::Shared5(_) => Some(vec![("MQ_ROCKETMQ_URL", url.clone())]),
        Needs::Acl | Needs::Tls | Needs::Cmq | Needs::Amqp | Needs::Pulsar | Needs::PulsarAuth => {
            None
        }
    });
}
