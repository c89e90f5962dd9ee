//! The examples of Pulsar print on a real one what their README says.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use integration_tests::examples::{Built, Needs, needs};
use integration_tests::harness::pulsar::{told, url};

#[test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
fn real_pulsar_examples_print_what_their_readme_says() {
    let variables = [("MQ_PULSAR_URL", url())];
    Built::all().check(|name| (needs(name) == Needs::Pulsar).then(|| variables.to_vec()));
}

#[test]
#[ignore = "needs Pulsar with tokens and TLS (profile pulsar-auth)"]
fn real_pulsar_auth_examples_print_what_their_readme_says() {
    let variables = [
        ("MQ_PULSAR_TLS_URL", told("TLS_URL")),
        ("MQ_PULSAR_TLS_CA", told("TLS_CA")),
        ("MQ_PULSAR_TOKEN", told("TOKEN")),
    ];
    Built::all().check(|name| (needs(name) == Needs::PulsarAuth).then(|| variables.to_vec()));
}
