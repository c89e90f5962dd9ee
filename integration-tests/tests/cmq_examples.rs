//! The examples of CMQ print on the dev server what their README says.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use integration_tests::examples::{Built, Needs, needs};
use mq_dev::cmq::{DevServer, PushTargets};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cmq_examples_print_what_their_readme_says_and_leave_nothing_behind() {
    let server = DevServer::builder().push(PushTargets::Any);
    let server = server.gateway("127.0.0.1:0").start().await.unwrap();
    let urls = [
        ("MQ_CMQ_URL", server.url()),
        ("MQ_CMQ_TCP_URL", server.tcp_url()),
        ("MQ_CMQ_CONTROL_URL", server.control_url()),
    ];
    let checked = tokio::task::spawn_blocking(move || {
        Built::all().check(|name| {
            let variables = || urls.to_vec();
            (needs(name) == Needs::Cmq).then(variables)
        });
    });
    checked.await.unwrap();
    let mut state = Vec::new();
    server.snapshot(&mut state).unwrap();
    let state: serde_json::Value = serde_json::from_slice(&state).unwrap();
    for made in ["queues", "topics", "pushes"] {
        assert_eq!(state[made], serde_json::json!([]), "{made}");
    }
    server.close().await;
}
