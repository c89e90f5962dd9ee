//! What the pages of Pulsar show in Rust, so that it compiles. None of it is run here; the examples are.

use std::error::Error;
use std::time::Duration;

use futures_util::StreamExt as _;
use mq_pulsar::{
    Auth, Client, Compression, Consumer, Hashing, Message, Outcome, Producer, Received, Secret,
    Settle,
};

type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;
type MyError = std::io::Error;

async fn work(_: &Received) -> Result<(), MyError> {
    Ok(())
}

async fn readme(token: String) -> Result {
    use mq_pulsar::{Client, Message, Secret};

    let client = Client::from_url("pulsar://host:6650")?
        .token(Secret::new(token))
        .connect()
        .await?;

    let producer = client.producer("tenant/namespace/topic").build().await?;
    let receipt = producer.send(Message::new("hello").key("42")).await?;

    let consumer = client
        .consumer("subscription")
        .topic("tenant/namespace/topic")
        .shared()
        .build()
        .await?;
    while let Some(delivery) = consumer.recv().await? {
        println!("{:?}", delivery.text());
        delivery.ack().await?;
    }
    let _ = receipt;
    Ok(())
}

async fn guide_client(role_token: String) -> Result<Client> {
    let client = Client::from_url("pulsar://pulsar-xxx.example:6650")?
        .token(Secret::new(role_token))
        .connect()
        .await?;
    Ok(client)
}

async fn guide_producer(client: Client) -> Result<Producer> {
    let producer = client
        .producer("pulsar-xxx/sdk_python/topic1")
        .build()
        .await?;
    Ok(producer)
}

async fn guide_send(producer: Producer) -> Result {
    let message = Message::new("Hello, this is a msg.")
        .property("k", "v")
        .key("yourKey");
    let receipt = producer.send(message).await?;
    println!("stored as {:?}", receipt.id());
    Ok(())
}

async fn guide_async(producer: Producer) -> Result {
    let message = Message::new("Hello, this is a async msg.")
        .property("k", "v")
        .key("yourKey");
    let confirm = producer.enqueue(message).await?;
    // Later, here or in another task.
    match confirm.await {
        Ok(receipt) => println!("stored as {:?}", receipt.id()),
        Err(failed) => println!("{failed}: {}", failed.outcome()),
    }
    Ok(())
}

async fn guide_consumer(client: Client) -> Result<Consumer> {
    let consumer = client
        .consumer("sub_topic1")
        .topic("pulsar-xxx/sdk_python/topic1")
        .from_earliest()
        .build()
        .await?;
    Ok(consumer)
}

async fn guide_receive(consumer: Consumer) -> Result {
    consumer
        .run(|message| async move {
            println!("received {:?} as {}", message.text(), message.id());
            work(&message).await?;
            Ok::<_, MyError>(Settle::Ack)
        })
        .await?;
    Ok(())
}

async fn proof(client: Client, topic: &str) -> Result {
    let subscribe = || client.consumer("billing").topic(topic).from_earliest();

    let consumer = subscribe().build().await?;
    let first = consumer.recv().await?.expect("it is open");
    first.ack().await?;
    consumer.close().await;

    let consumer = subscribe().build().await?;
    for _ in 0..9 {
        let next = consumer.recv().await?.expect("it is open");
        println!("{:?}", next.text());
        next.ack().await?;
    }
    Ok(())
}

async fn outcomes(producer: Producer, message: Message, mut outbox: Vec<Message>) -> Result {
    if let Err(failed) = producer.send(message).await {
        match failed.outcome() {
            Outcome::Rejected => println!("{failed}"),
            _ => outbox.push(*failed.message),
        }
    }
    Ok(())
}

async fn many(producer: Producer, lines: Vec<String>) -> Result {
    let messages = futures_util::stream::iter(lines).map(Message::new);
    let mut results = std::pin::pin!(producer.send_all(messages));
    while let Some(result) = results.next().await {
        println!("{:?}", result?.id());
    }
    Ok(())
}

async fn secured(ca: Vec<u8>) -> Result {
    let client = Client::from_url("pulsar+ssl://broker-1,broker-2:6651")?
        .tls_ca(ca)
        .auth(Auth::token_file("/run/secrets/token"))
        .connect()
        .await?;
    client.close().await;
    Ok(())
}

async fn crate_producer(client: Client) -> Result {
    let producer = client
        .producer("orders")
        .batch_messages(1000)
        .compression(Compression::Zstd)
        .build()
        .await?;
    let confirm = producer.enqueue(Message::new("one").key("k")).await?;
    let receipt = confirm.await?;
    println!("{:?} after {}", receipt.id(), receipt.attempts());
    Ok(())
}

async fn crate_consumer(client: Client) -> Result {
    let consumer = client
        .consumer("billing")
        .topic("orders")
        .shared()
        .nack_delay(Duration::from_secs(10))
        .build()
        .await?;
    while let Some(delivery) = consumer.recv().await? {
        match work(&delivery).await {
            Ok(()) => delivery.ack().await?,
            Err(_) => delivery.nack().await?,
        }
    }
    Ok(())
}

async fn crate_hashing(client: Client) -> Result {
    let producer = client
        .producer("orders")
        .hashing(Hashing::Murmur3)
        .build()
        .await?;
    producer.close().await?;
    Ok(())
}
