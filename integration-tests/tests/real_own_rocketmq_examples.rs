//! The examples that need brokers of their own print what their README says.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use integration_tests::brokers::{Cluster, Profile, User};
use integration_tests::examples::{Built, Needs, needs};

#[test]
#[ignore = "needs JDK 17 and Maven; starts its own broker"]
fn real_own_rocketmq_examples_of_acl_print_what_their_readme_says() {
    let cluster = Cluster::start(Profile::RocketmqAcl).unwrap();
    let url = format!("rocketmq://{}", cluster.namesrv());
    Built::all().check(|name| {
        let variables = || {
            vec![
                ("MQ_ROCKETMQ_URL", url.clone()),
                ("ROCKETMQ_AK", User::ADMIN.name.to_owned()),
                ("ROCKETMQ_SK", User::ADMIN.secret.to_owned()),
            ]
        };
        (needs(name) == Needs::Acl).then(variables)
    });
}

#[test]
#[ignore = "needs JDK 17 and Maven; starts its own broker"]
fn real_own_rocketmq_examples_of_tls_print_what_their_readme_says() {
    let cluster = Cluster::start(Profile::RocketmqTls).unwrap();
    let url = cluster.url();
    Built::all().check(|name| {
        let variables = || vec![("MQ_ROCKETMQ_URL", url.to_owned())];
        (needs(name) == Needs::Tls).then(variables)
    });
}
