//! Connecting to RabbitMQ: every way in, and what is said where there is none.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use integration_tests::brokers::rabbitmq::{GUEST, LIMITED, NOBODY, ROLE, VHOST, shared, variable};
use integration_tests::harness::amqp::{builder, connect, queue};
use integration_tests::harness::{now, unique};
use mq_amqp::{
    Client, ClientBuilder, Endpoint, Error, ErrorKind, Mechanism, Message, Outcome, Queue,
    ReplyCode, Retry, Secret,
};
use tokio::net::{TcpListener, TcpStream};

fn address() -> Endpoint {
    Endpoint::parse(shared().unwrap().address(), None).unwrap()
}

fn at(user: (&str, &str), vhost: &str) -> ClientBuilder {
    Client::builder()
        .hosts([address()])
        .vhost(vhost)
        .credentials(user.0, Secret::new(user.1))
}

async fn refused(builder: ClientBuilder) -> Error {
    let begun = now();
    let error = builder.connect().await.unwrap_err();
    assert!(
        now() - begun < Duration::from_secs(5),
        "it was tried again: {error}"
    );
    assert!(!format!("{error:?} {error:#?}").contains("hunter2"));
    error
}

/// Sends and receives by a queue, and gives its name.
async fn works(client: &Client) -> String {
    let queue = queue(client, "works").await;
    let publisher = client.publisher("").build().await.unwrap();
    publisher
        .send(Message::new(queue.clone(), "x"))
        .await
        .unwrap();
    let consumer = client.consumer(queue.clone()).build().await.unwrap();
    consumer.recv().await.unwrap().unwrap().ack().await.unwrap();
    queue
}

/// The virtual host with a bar, written as it is, percent-encoded, and by the builder; by each mechanism.
#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_every_way_in() {
    let host = address();
    let (user, key) = (ROLE.name, ROLE.secret);
    let watcher = at((user, key), VHOST).connect().await.unwrap();
    for url in [
        format!("amqp://{user}:{key}@{host}/{VHOST}"),
        format!("amqp://{user}:{key}@{host}/{}", VHOST.replace('|', "%7C")),
        format!(
            "amqp://{user}:{key}@{host}/{VHOST}?auth_mechanism=amqplain&heartbeat=1&frame_max=8192&connection_name=mine"
        ),
        format!("amqp://{user}:{key}@127.0.0.1:1,{host}/{VHOST}"),
    ] {
        let client = Client::from_url(&url).unwrap().connect().await.unwrap();
        let queue = works(&client).await;
        // It was in that virtual host, and in no other.
        watcher.queue(&queue).await.unwrap();
        client.close().await;
    }
    watcher.close().await;
    let client = at((user, key), VHOST)
        .mechanism(Mechanism::AmqPlain)
        .connect()
        .await
        .unwrap();
    works(&client).await;
    client.close().await;
}

fn file(name: &str) -> Vec<u8> {
    std::fs::read(variable(name).unwrap()).unwrap()
}

#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_tls_with_and_without_a_certificate() {
    let url = variable("TLS_URL").unwrap();
    let ca = variable("TLS_CA").unwrap();
    let client = Client::from_url(&format!("{url}?cacertfile={ca}")).unwrap();
    let client = client.connect().await.unwrap();
    works(&client).await;
    client.close().await;
    let (cert, key) = (variable("TLS_CERT").unwrap(), variable("TLS_KEY").unwrap());
    let url =
        format!("{url}?cacertfile={ca}&certfile={cert}&keyfile={key}&auth_mechanism=external");
    let client = Client::from_url(&url).unwrap().connect().await.unwrap();
    works(&client).await;
    client.close().await;
    let plain = variable("TLS_URL").unwrap();
    let untrusted = Client::from_url(&plain)
        .unwrap()
        .connect()
        .await
        .unwrap_err();
    assert_eq!(
        (untrusted.kind(), untrusted.retry()),
        (ErrorKind::Connect, Retry::Never),
        "{untrusted}"
    );
    let wrong = Client::from_url(&plain)
        .unwrap()
        .tls_ca(file("TLS_CA"))
        .tls_server_name("another.example");
    let wrong = wrong.connect().await.unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::Connect, "{wrong}");
    let unsecured = plain.replace("amqps://", "amqp://");
    let unsecured = Client::from_url(&unsecured)
        .unwrap()
        .connect()
        .await
        .unwrap_err();
    assert!(unsecured.to_string().contains("amqps://"), "{unsecured}");
    let url = format!(
        "amqps://{}:{}@{}/{VHOST}?cacertfile={ca}",
        ROLE.name,
        ROLE.secret,
        address()
    );
    let not_tls = Client::from_url(&url).unwrap().connect().await.unwrap_err();
    assert_eq!(not_tls.kind(), ErrorKind::Connect, "{not_tls}");
}

#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_who_is_not_let_in_hears_why_and_at_once() {
    let error = refused(at((ROLE.name, "hunter2"), VHOST)).await;
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::Auth, Retry::Never)
    );
    assert_eq!(error.code(), Some(&ReplyCode::ACCESS_REFUSED));
    let error = refused(at((ROLE.name, ROLE.secret), "there is no such host")).await;
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::NotFound, Some(&ReplyCode::NOT_ALLOWED))
    );
    let error = refused(at((NOBODY.name, NOBODY.secret), VHOST)).await;
    assert_eq!(error.kind(), ErrorKind::Auth, "{error}");
    let error = refused(at((GUEST.name, GUEST.secret), VHOST)).await;
    assert_eq!(error.kind(), ErrorKind::Auth, "{error}");
    let error = refused(Client::builder().hosts([Endpoint::new("127.0.0.1", 1)])).await;
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::Connect, Retry::Later)
    );
    let error = refused(at((ROLE.name, ROLE.secret), VHOST).mechanism(Mechanism::External)).await;
    assert_eq!(error.kind(), ErrorKind::Auth, "{error}");
    assert!(
        error.to_string().contains("PLAIN"),
        "it says what there is: {error}"
    );
}

/// What a user may not do is told with the code; his other channels live.
#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_what_a_user_may_not_do() {
    let client = at((LIMITED.name, LIMITED.secret), VHOST)
        .connect()
        .await
        .unwrap();
    let mine = format!("limited_{}", unique("q"));
    client
        .declare_queue(Queue::classic(mine.clone()).expires(Duration::from_secs(600)))
        .await
        .unwrap();
    let error = client
        .declare_queue(Queue::classic(unique("others")))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Auth, Some(&ReplyCode::ACCESS_REFUSED))
    );
    let publisher = client.publisher("amq.direct").build().await.unwrap();
    let failed = publisher.send(Message::new("k", "x")).await.unwrap_err();
    assert_eq!(
        (failed.kind(), failed.outcome()),
        (ErrorKind::Auth, Outcome::Rejected),
        "{failed}"
    );
    let other = connect().await;
    let theirs = queue(&other, "theirs").await;
    let error = client.consumer(theirs).build().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Auth, "{error}");
    let consumer = client.consumer(mine.clone()).build().await.unwrap();
    let publisher = other.publisher("").build().await.unwrap();
    publisher.send(Message::new(mine, "x")).await.unwrap();
    consumer.recv().await.unwrap().unwrap().ack().await.unwrap();
    client.close().await;
    other.close().await;
}

/// As many channels as may be, and one more: told, and when one is free it goes on.
#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_channels_that_are_used_up() {
    let client = builder().channel_max(3).connect().await.unwrap();
    let queue = queue(&client, "channels").await;
    let mut consumers = Vec::new();
    for _ in 0..3 {
        consumers.push(client.consumer(queue.clone()).build().await.unwrap());
    }
    let error = client.consumer(queue.clone()).build().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Busy, Some(&ReplyCode::NOT_ALLOWED))
    );
    assert_eq!(error.outcome(), Outcome::NotSent, "{error}");
    consumers.pop().unwrap().close().await;
    client.consumer(queue).build().await.unwrap();
    client.close().await;
}

/// A new password is taken by the server as it is; a wrong one is refused, and is not used for a later connection.
#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_a_secret_is_renewed() {
    let client = connect().await;
    client
        .update_secret(Secret::new(ROLE.secret))
        .await
        .unwrap();
    works(&client).await;
    client.close().await;
}

/// Closed, everything made of the client says so.
#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_a_client_that_is_closed() {
    let client = connect().await;
    let queue = queue(&client, "closed").await;
    let publisher = client.publisher("").build().await.unwrap();
    let consumer = client.consumer(queue.clone()).build().await.unwrap();
    client.close().await;
    let failed = publisher
        .send(Message::new(queue.clone(), "x"))
        .await
        .unwrap_err();
    assert_eq!(
        (failed.kind(), failed.outcome()),
        (ErrorKind::Closed, Outcome::NotSent),
        "{failed}"
    );
    assert!(consumer.recv().await.unwrap().is_none());
    let error = client.queue(&queue).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    let error = client.publisher("").build().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    // Also one that never had a connection to publish on.
    let client = connect().await;
    client.close().await;
    let error = client.publisher("").build().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
}

/// `amqp://[::1]:port`: the broker's node listens on IPv4 alone, so what is in between passes bytes on.
#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_over_ip_version_6() {
    let listener = TcpListener::bind("[::1]:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let passing = tokio::spawn(async move {
        let mut each = tokio::task::JoinSet::new();
        while let Ok((mut inner, _)) = listener.accept().await {
            each.spawn(async move {
                let host = address();
                let mut outer = TcpStream::connect((host.host(), host.port())).await?;
                tokio::io::copy_bidirectional(&mut inner, &mut outer).await
            });
        }
    });
    let url = format!("amqp://{}:{}@[::1]:{port}/{VHOST}", ROLE.name, ROLE.secret);
    let client = Client::from_url(&url).unwrap().connect().await.unwrap();
    works(&client).await;
    client.close().await;
    passing.abort();
}
