//! Time-outs of any length: `Duration::MAX` is how people write "no limit".

use super::*;
use crate::{TransactionalProducer, Verdict};

#[tokio::test]
async fn no_timeout_is_too_long() {
    let server = Server::start(&[Step::Store; 3]).await;
    let builder = Client::from_url(&format!("rocketmq://{}", server.address)).unwrap();
    let builder = builder
        .connect_timeout(Duration::MAX)
        .request_timeout(Duration::MAX)
        .half_open_timeout(Duration::MAX);
    let client = builder.connect().await.unwrap();
    let builder = client
        .producer("g")
        .timeout(Duration::MAX)
        .attempt_timeout(Duration::MAX);
    let producer = builder.build().await.unwrap();
    producer.send(message()).await.unwrap();
    let send = producer.send(message()).timeout(Duration::MAX);
    send.await.unwrap();
    let builder = client.producer("h").timeout(Duration::MAX);
    let checked = builder.checker(|_| async { Verdict::Unknown });
    let producer: TransactionalProducer = checked.build().await.unwrap();
    let begin = producer.begin(message()).timeout(Duration::MAX);
    // The scripted broker's answer is no half message's; that it came is what counts.
    let failed = begin.await.unwrap_err();
    assert_eq!(failed.error.kind(), ErrorKind::Protocol, "{failed}");
    client.close().await.unwrap();
}
